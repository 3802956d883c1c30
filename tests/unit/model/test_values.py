"""Equality, paths and JSON text of values."""

from __future__ import annotations

import copy
import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.values import json_values, values
from unspool.errors import PathSyntaxError
from unspool.model.json_text import to_json
from unspool.model.keys import Path, format_path, to_pointer
from unspool.model.paths import parse_path, parse_pointer
from unspool.model.values import Tagged, Value, json_equal, strict_equal, walk

DIFFERENT = [
    (1, True),
    (0, False),
    (1, 1.0),
    (0.0, -0.0),
    ([1], (1,)),
    ("1", 1),
    (None, False),
    ({1}, frozenset({1})),
]


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_types_are_part_of_a_value(one: Any, other: Any) -> None:
    assert not strict_equal(one, other)
    assert not strict_equal({"a": [one]}, {"a": [other]})


@pytest.mark.parametrize(
    ("one", "other"), [({1}, {True}), ({(1,)}, {(True,)}), ({1: 0}, {True: 0}), ({1: 0}, {1.0: 0})]
)
def test_types_count_inside_sets_and_keys(one: Any, other: Any) -> None:
    assert strict_equal(one, copy.deepcopy(one))
    assert not strict_equal(one, other)


def test_nan_equals_nan_and_key_order_does_not_matter() -> None:
    assert strict_equal({"a": math.nan, "b": 1}, {"b": 1, "a": math.nan})


def test_json_equality_compares_numbers_by_value_but_never_booleans() -> None:
    assert json_equal({"a": [1, 0.0]}, {"a": [1.0, -0.0]})
    assert not json_equal([1], [True])


@given(values)
def test_a_copy_is_equal(value: Any) -> None:
    assert strict_equal(value, copy.deepcopy(value))


def test_comparing_cycles_ends() -> None:
    one: list[Any] = [1]
    one.append(one)
    other: list[Any] = [1]
    other.append(other)
    assert strict_equal(one, other)


@given(st.lists(st.text(max_size=6) | st.integers(0, 99), max_size=5).map(tuple))
def test_paths_survive_their_spelling(path: Path) -> None:
    assert parse_path(format_path(path)) == path


def test_paths_read_the_way_people_write_them() -> None:
    assert parse_path("cart.items[2].qty") == ("cart", "items", 2, "qty")
    assert parse_path("$.cart.items.2") == ("cart", "items", 2)
    assert parse_path('$["a b"]["c\\"d"]') == ("a b", 'c"d')
    assert parse_path("/cart/items/2/a~1b~0") == ("cart", "items", 2, "a/b~")
    assert format_path(("cart", "items", 2, "a b")) == '$.cart.items[2]["a b"]'
    assert format_path(("items", 2), root="") == "items[2]"


@pytest.mark.parametrize("text", ["$.a[", "a b", "$..a", "[x]"])
def test_a_path_that_does_not_parse_names_the_column(text: str) -> None:
    with pytest.raises(PathSyntaxError, match=r"column \d+"):
        parse_path(text)


@given(st.lists(st.text(max_size=6).filter(lambda t: not t.isdigit()) | st.integers(0, 99), max_size=5).map(tuple))
def test_pointers_survive_their_spelling(path: Path) -> None:
    assert parse_pointer(to_pointer(path)) == path


@given(json_values)
def test_json_values_are_told_as_plain_json(value: Any) -> None:
    assert strict_equal(json.loads(to_json(value)), value)
    assert strict_equal(json.loads(to_json(value, indent=2)), value)


@given(values)
def test_json_text_is_always_valid_json(value: Any) -> None:
    text = to_json(value)
    json.loads(text, parse_constant=pytest.fail)
    text.encode()


def test_json_text_marks_what_json_lacks() -> None:
    assert to_json([math.nan, (1,), b"\x00", {1: 2}]) == (
        '[{"$float":"nan"},{"$tuple":[1]},{"$bytes":"AA=="},{"$pairs":[[1,2]]}]'
    )


def test_json_text_goes_to_any_depth() -> None:
    value: Any = 1
    for _ in range(10_000):
        value = [value]
    assert to_json(value) == "[" * 10_000 + "1" + "]" * 10_000
    assert len(to_json(value, indent=2)) < 10_000 * 500


def _all_of(value: Value) -> list[Value]:
    inner: list[Value] = []
    if isinstance(value, dict):
        inner = [*value, *value.values()]
    elif isinstance(value, list | tuple | set | frozenset):
        inner = list(value)
    elif isinstance(value, Tagged):
        inner = [value.value]
    return [value, *(part for item in inner for part in _all_of(item))]


@given(values)
def test_walking_meets_every_part_once(value: Value) -> None:
    assert sorted(map(repr, walk(value, keys=True))) == sorted(map(repr, _all_of(value)))
    assert next(walk(value)) is value


def test_walking_goes_to_any_depth() -> None:
    value: Value = "end"
    for _ in range(50_000):
        value = {"in": [Tagged("Box", value)]}
    assert sum(part == "end" for part in walk(value) if isinstance(part, str)) == 1
