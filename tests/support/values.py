"""Random values and states."""

from __future__ import annotations

import datetime as dt
from typing import Any

from hypothesis import strategies as st

texts = st.text(max_size=8) | st.text(min_size=60, max_size=120) | st.text(alphabet=st.characters(), max_size=5)
"""Short, long and odd texts (control characters, surrogates of astral characters, bidi marks)."""

json_leaves = (
    st.none()
    | st.booleans()
    | st.integers(-3, 300)
    | st.integers(-(2**80), 2**80)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
    | st.text(min_size=60, max_size=90)
)

leaves = (
    json_leaves
    | st.floats(allow_nan=True)
    | st.binary(max_size=12)
    | st.just("\ud800 lone surrogate")
    | st.datetimes()
    | st.dates()
    | st.timedeltas()
    | st.decimals(allow_nan=False)
    | st.uuids()
    | st.complex_numbers(allow_nan=False)
    | st.just(dt.datetime(2024, 10, 27, 2, 30, fold=1))
)


def _nested(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    records = st.lists(st.fixed_dictionaries({"id": st.integers(0, 6), "v": inner}), max_size=6)
    return st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=4), inner, max_size=5) | records


json_values = st.recursive(json_leaves, _nested, max_leaves=25)
"""Values that JSON can hold."""

values = st.recursive(
    leaves,
    lambda inner: (
        _nested(inner)
        | st.lists(inner, max_size=3).map(tuple)
        | st.sets(st.integers() | st.text(max_size=3), max_size=4)
        | st.frozensets(st.integers(), max_size=3)
        | st.dictionaries(st.integers() | st.none() | st.tuples(st.integers()), inner, max_size=3)
    ),
    max_leaves=25,
)
"""Every value that has a wire form and comes back as itself."""

atom_names = st.sampled_from(["cart", "user", "a", "b", "", "odd name", "\u202ebidi", "x" * 40])
states = st.dictionaries(atom_names, values, max_size=5)
json_states = st.dictionaries(st.text(max_size=4), json_values, max_size=5)
