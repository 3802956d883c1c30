"""Recorded text that would act on a terminal is shown instead."""

from __future__ import annotations

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unspool_tui.rendering.sanitize import visible, visible_json

anything = st.text(st.characters(exclude_categories=()), max_size=40)


@given(text=anything)
def test_nothing_that_acts_is_left(text: str) -> None:
    shown = visible(text)
    assert not {character for character in shown if unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp")}
    assert not set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\ufeff") & set(shown)
    shown.encode()


@given(
    text=st.text(
        st.characters(categories=("L", "N", "P", "S", "Zs"), exclude_characters="\u115f\u1160\u3164\uffa0\u00ad"),
        max_size=40,
    )
)
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    assert visible(text) == text


@given(text=anything)
def test_json_made_inert_means_the_same(text: str) -> None:
    written = json.dumps({"k": text}, ensure_ascii=False)
    shown = visible_json(written)
    assert json.loads(shown) == {"k": text}
    assert visible(shown) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("a\x1b[31mb", "a\\e[31mb"),
        ("one\ntwo\tthree\r", "one\\ntwo\\tthree\\r"),
        ("\x07\x9b", "\\x07\\x9b"),
        ("abc\u202edef", "abc\\u202edef"),
        ("\ud800", "\\ud800"),
        ("\U000e0041", "\\U000e0041"),
        ("👨‍👩‍👧 ❤️", "👨‍👩‍👧 ❤️"),
        ("naïve 文字 עברית", "naïve 文字 עברית"),
    ],
)
def test_what_is_spelled_out(text: str, shown: str) -> None:
    assert visible(text) == shown
