"""Patterns of paths: one grammar for identity keys, rules, what is ignored, and what is left out of sizes."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unspool.errors import ExpressionError, PathSyntaxError
from unspool.model.encoding import encode
from unspool.model.keys import Path, Step, format_path
from unspool.model.paths import (
    Glob,
    PathPattern,
    covers,
    parse_path,
    parse_pattern,
    parts_inside,
    places,
    spell_pattern,
    value_parts,
)
from unspool.model.values import Value
from unspool.model.wire import decode
from unspool.query.findings import parse_pattern as parse_globs

NAMES = st.one_of(st.sampled_from(["a", "odd key", "a.[b", "*", "[*]", 'say "x"', "2", "é"]), st.text(max_size=5))
STEPS = st.one_of(NAMES, st.integers(-3, 99))


@given(st.lists(st.one_of(STEPS, st.none()), max_size=5))
def test_a_pattern_reads_back_as_it_is_spelled(steps: list[Step | None]) -> None:
    assert parse_pattern(spell_pattern(tuple(steps))) == tuple(steps)
    assert parse_pattern(spell_pattern(tuple(steps), root="$")) == tuple(steps)


@given(st.lists(STEPS, max_size=5))
def test_a_path_is_the_pattern_of_itself_alone(steps: list[Step]) -> None:
    text = format_path(tuple(steps))
    assert parse_path(text) == parse_pattern(text) == tuple(steps)
    assert covers(parse_globs(text), tuple(steps))


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("Incidents[*]", ("Incidents", None)),
        ("Incidents[]", ("Incidents", None)),
        ("$.orders[*].lines", ("orders", None, "lines")),
        ("/orders/*/lines", ("orders", None, "lines")),
        ("a[0][*]", ("a", 0, None)),
    ],
)
def test_every_item_of_a_list_is_written_as_a_star_in_brackets(text: str, steps: tuple[Step | None, ...]) -> None:
    assert parse_pattern(text) == parse_pattern(text, globs=True) == steps


def test_stars_match_within_names_only_where_globs_are_read() -> None:
    assert parse_pattern("cart*.it?ms", globs=True) == (Glob("cart*"), Glob("it?ms"))
    with pytest.raises(PathSyntaxError, match="column 5"):
        parse_pattern("cart*.items")


def test_a_quoted_key_is_meant_as_it_stands() -> None:
    assert covers(parse_globs('["a*"]'), ("a*",))
    assert not covers(parse_globs('["a*"]'), ("ab",))


@pytest.mark.parametrize("text", ["a[", "a]]", "a[x]", "a..b", '["open'])
def test_what_is_no_pattern_is_refused_with_one_message(text: str) -> None:
    with pytest.raises(PathSyntaxError, match="is no pattern: stuck at column") as plain:
        parse_pattern(text)
    with pytest.raises(ExpressionError) as globs:
        parse_globs(text)
    assert str(plain.value) == str(globs.value)


KEYS = st.sampled_from(["a", "ab", "odd key", "2", "1.5", "*"])
VALUES = st.recursive(
    st.integers(0, 3) | st.just("x"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS | st.integers(0, 3), inner, max_size=3),
    max_leaves=12,
)
WANTED = st.one_of(st.none(), KEYS, st.integers(-1, 3), st.sampled_from([Glob("a*"), Glob("*"), Glob("?")]))


def every_place(state: Mapping[str, Value]) -> list[tuple[Path, Value]]:
    pending: list[tuple[Path, Value]] = [((atom,), value) for atom, value in reversed(state.items())]
    found = []
    while pending:
        path, value = pending.pop()
        found.append((path, value))
        parts = value_parts(value)
        items = enumerate(parts) if isinstance(parts, list) else (parts or {}).items()
        pending += reversed([((*path, step), part) for step, part in items])
    return found


@given(st.dictionaries(KEYS, VALUES, max_size=3), st.lists(WANTED, min_size=1, max_size=3).map(tuple))
def test_the_places_of_a_pattern_are_those_that_it_covers(state: dict[str, Value], pattern: PathPattern) -> None:
    expected = [
        (path, value) for path, value in every_place(state) if len(path) == len(pattern) and covers(pattern, path)
    ]
    assert list(places(pattern, state, value_parts)) == expected
    forms = {atom: encode(value) for atom, value in state.items()}
    assert [(path, decode(form)) for path, form in places(pattern, forms, parts_inside)] == expected


def test_no_step_stands_for_no_place() -> None:
    assert list(places((), {"a": 1}, value_parts)) == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("orders.lines", [[1, 2], [3]]),
        ("orders[*].lines", [[1, 2], [3]]),
        ("orders[0].lines", [[1, 2], [3]]),
        ("orders", [[{"lines": [1, 2]}, {"lines": [3]}, 7]]),
        ("by_id[*]", [["of 4"]]),
        ("nothing.here", []),
    ],
)
def test_lists_of_records_are_named_with_their_items_or_without(text: str, found: list[Value]) -> None:
    state: dict[str, Value] = {
        "orders": [{"lines": [1, 2]}, {"lines": [3]}, 7],
        "by_id": {4: ["of 4"], "name": ["no item"]},
    }
    assert [value for _, value in places(parse_pattern(text), state, value_parts, of_lists=True)] == found
