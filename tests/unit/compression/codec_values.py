"""Values and states that the tests of this room share."""

from __future__ import annotations

import datetime as dt
import decimal
import uuid
from typing import Any

from hypothesis import strategies as st

from unspool.compression.states import first_difference

STRATEGIES = ("binary", "dict", "compress", "auto", "none")

_leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=12)
    | st.binary(max_size=12)
    | st.datetimes()
    | st.dates()
    | st.decimals(allow_nan=False)
    | st.uuids()
    | st.just("\ud800")
    | st.integers(2**64, 2**200)
    | st.just("long text " * 60)
)
_hashable = st.none() | st.booleans() | st.integers() | st.text(max_size=4)
values: st.SearchStrategy[Any] = st.recursive(
    _leaves,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=4), inner, max_size=4)
        | st.dictionaries(_hashable, inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.frozensets(_hashable, max_size=3)
        | st.sets(_hashable, max_size=3)
    ),
    max_leaves=8,
)
states: st.SearchStrategy[dict[str, Any]] = st.dictionaries(st.sampled_from("abcdef"), values, max_size=6)

EVERY_TYPE: dict[str, Any] = {
    "plain": [None, True, 1, 1.5, "text", {"n": []}],
    "tuple": (1, (2, [3])),
    "sets": [{1, 2}, frozenset({"a"})],
    "bytes": b"\x00\xff",
    "float": [float("nan"), float("inf"), -0.0],
    "keys": {1: "int", None: "none", (1, 2): "tuple", "s": "text"},
    "time": [dt.datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=dt.UTC), dt.date(2026, 1, 2), dt.timedelta(days=-1)],
    "exact": [decimal.Decimal("1.10"), uuid.UUID(int=7), 2**80, 1j],
    "odd text": "lone \ud800 half",
}


def same(one: Any, other: Any) -> bool:
    """Whether two values are the same, types included."""
    return first_difference(one, other) is None
