"""Patterns of paths: one grammar for identity keys, rules, what is ignored, and what is left out of sizes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unspool.errors import ExpressionError, PathSyntaxError
from unspool.model.keys import Step, format_path
from unspool.model.paths import Glob, parse_path, parse_pattern, spell_pattern
from unspool.query.findings import covers
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
