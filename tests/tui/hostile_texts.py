"""Values and texts that try to act on a terminal, and what holds rows to showing them as text."""

from __future__ import annotations

import datetime as dt
import unicodedata
from typing import Any

from hypothesis import strategies as st

from unspool_tui.rendering.line import (
    Row,
    width_of,
)
from unspool_tui.rendering.paint import Pen, paint_row

HOSTILE_TEXTS = (
    "[bold red]markup[/]",
    "[/]",
    "[@click=app.quit]click[/]",
    "\x1b[31mred\x1b[0m",
    "\x1b]52;c;aGFjaw==\x07",
    "\x9b2J",
    "\u202egnp.exe",
    "\u2066isolated\u2069",
    "zero\u200bwidth\u200djoiner\ufeff",
    "a\u0301\u0302\u0303" * 20,
    "👨‍👩‍👧‍👦🏳️‍🌈",
    "\ud800 lone surrogate",
    "\r\n\t\v\f\x00\x07\x7f",
    "宽字符" * 30,
    "\\" * 50,
    "'\"`$(rm)",
    "",
)
texts = st.one_of(st.sampled_from(HOSTILE_TEXTS), st.text(max_size=60))
leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(4_000, 6_000).map(lambda digits: -(10**digits)),
    st.floats(allow_nan=True, allow_infinity=True),
    texts,
    st.binary(max_size=40),
    st.sampled_from([dt.datetime(1, 1, 1), dt.timedelta.max, frozenset({1, ("a",)}), ((),)]),
)
values = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=5),
        st.dictionaries(texts, inner, max_size=5),
        st.dictionaries(st.one_of(st.integers(), st.tuples(st.integers())), inner, max_size=3),
        st.tuples(inner),
    ),
    max_leaves=12,
)
states = st.dictionaries(texts, values, max_size=4)
widths = st.integers(min_value=12, max_value=180)

_CONTROL = {"Cc", "Cs", "Zl", "Zp"}
_BIDI = set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f")


def assert_harmless(row: Row, width: int) -> None:
    strip = paint_row(row, width, Pen())
    assert width_of(strip.text) == width == strip.cell_length
    assert not {c for c in strip.text if unicodedata.category(c) in _CONTROL or c in _BIDI}


def deep(levels: int, leaf: Any = "bottom") -> Any:
    value: Any = leaf
    for level in range(levels):
        value = {"k": value} if level % 2 else [value]
    return value
