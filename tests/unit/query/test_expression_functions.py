"""Functions of expressions: exact arithmetic, what stands twice, counts, joins, and refusals that say what was wrong."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unspool.errors import ExpressionError
from unspool.model.encoding import encode
from unspool.query.expressions import Expression, StateAnswer

STATE: dict[str, Any] = {
    "a": 3, "b": 4, "price": 0.1, "text": "12.50", "total_secs": 30, "limit": 5, "none": None, "money": Decimal("12.50"),
    "queue": [{"song": "x", "n": 1}, {"song": "y", "n": 9}],
    "library": {"x": {"secs": 10}, "y": {"secs": 20}},
    "songs": [{"id": 1, "v": "p"}, {"id": 2, "v": "q"}],
    "mixed": [1, True, 1.0, "1", None, 1, [1], [1], {"k": 1, "m": 2}, {"m": 2, "k": 1}],
}  # fmt: skip


def ask(text: str, **state: Any) -> StateAnswer:
    return Expression(text).ask({atom: encode(value) for atom, value in (STATE | state).items()})


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("add(a, b)", 7), ("add(a, b, 5, -1)", 11), ("sub(a, b)", -1), ("mul(a, b, 2)", 24), ("div(b, 2)", 2), ("div(a, b)", 0.75),
        ("mod(7, 3)", 1), ("mod(7, -3)", -2), ("mod(7.5, -3)", -1.5), ("mod(-7.5, 3)", 1.5), ("add(price, 0.2)", 0.3),
        ("mul(price, 3)", 0.3), ("sub(0.3, price)", 0.2), ("round(2.675, 2)", 2.68), ("round(2.5)", 3), ("round(-2.5)", -3),
        ("round(15, -1)", 20), ("round(-15, -1)", -20), ("round(a, 2)", 3), ("round(1234.5, -2)", 1200), ("add(money, 0.5)", 13.0),
        ("unique(mixed)", [1, True, "1", None, [1], {"k": 1, "m": 2}]), ("duplicates(mixed)", [1, [1], {"m": 2, "k": 1}]),
        ("duplicates(queue[].song)", []), ("count_by(queue, &song)", {"x": 1, "y": 1}), ("count_by(queue, &n)", {"1": 1, "9": 1}),
        ("count_by(songs, &nothing)", {"null": 2}), ("lookup(library, 'x').secs", 10), ("lookup(library, 'z')", None),
        ("lookup(songs, 1).v", "q"), ("lookup(songs, -1).v", "q"), ("lookup(songs, 7)", None), ("lookup(songs, &id, 2).v", "q"),
        ("lookup(songs, &id, [2, 1])[].v", ["q", "p"]), ("lookup(none, 'x')", None), ("lookup(library, &secs, 20).secs", 20),
        ("sum(lookup(library, queue[].song)[].secs)", 30), ("queue[?n > $.limit].song", ["y"]),
        ("queue[?lookup($.library, song).secs > 10].song", ["y"]), ("$['queue'][0]['song']", "x"), ("$.a", 3),
        ("contains([a, 9], 9)", True), ("not_null(null, a)", 3), ("length($) > 5", True),
    ],
)  # fmt: skip
def test_what_functions_give(text: str, value: Any) -> None:
    answer = ask(text)
    assert answer.failure == ""
    assert answer.value == value
    assert type(answer.value) is type(value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("add(text, a)", "add takes numbers, not \"12.50\"; to_number('12.50') reads it"),
        ("add(none, a)", "add takes numbers, not null"), ("mul(queue, a)", "mul takes numbers, not [{"), ("sub(a, a == b)", "not false"),
        ("div(a, 0)", "div: 3 is divided by 0"), ("mod(a, 0)", "mod: 3 is divided by 0"), ("round(a, 0.5)", "whole number of digits"),
        ("round(text)", "round takes numbers"), ("unique(library)", "unique takes a list, not {\"x\""), ("unique(a)", "takes a list, not 3"),
        ("duplicates(none)", "takes a list, not null"), ("count_by(a, &b)", "count_by takes a list, not 3"),
        ("lookup(a, b)", "looks in an object or a list, not in 3"), ("lookup(songs, 'x')", "lookup(songs, &id, song) looks among records"),
        ("lookup(songs, a, b)", "the key of records as an expression"), ("unique(library)", "values(...) makes a list"),
    ],
)  # fmt: skip
def test_what_functions_cannot_take_they_say(text: str, said: str) -> None:
    answer = ask(text)
    assert not answer.holds
    assert said in answer.failure


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("add(a)", "add (column 1) takes 2 or more arguments, not 1"), ("sub(a, b, a)", "takes 2 arguments, not 3"),
        ("round()", "takes 1 or 2 arguments, not 0; write round(value)"), ("lookup(a)", "takes 2 or 3 arguments"),
        ("plus(a, b)", "did you mean add?"), ("distinct(a)", "did you mean unique?"), ("groupby(a, &b)", "did you mean"),
        ("uniqe(a)", "did you mean unique?"), ("Lookup(a, b)", "did you mean lookup?"), ("min(a, b)", "write min([a, b])"),
    ],
)  # fmt: skip
def test_wrong_calls_are_refused_before_anything_is_asked(text: str, said: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        Expression(text)
    assert said in str(caught.value)


@given(st.integers(), st.integers())
def test_whole_numbers_are_exact(one: int, other: int) -> None:
    state = {"one": one, "other": other}
    assert ask("add(one, other)", **state).value == one + other
    assert ask("sub(one, other)", **state).value == one - other
    assert ask("mul(one, other)", **state).value == one * other
    if other:
        assert ask("mod(one, other)", **state).value == one % other
        quotient = ask("div(one, other)", **state).value
        assert quotient == one // other if one % other == 0 else quotient == float(Fraction(one, other))


@given(st.integers(-(10**9), 10**9), st.integers(-(10**9), 10**9))
def test_money_adds_up_as_it_is_written(one: int, other: int) -> None:
    assert ask("add(one, other) == total", one=one / 100, other=other / 100, total=(one + other) / 100).value is True


def test_products_are_bounded() -> None:
    text = "a"
    for _ in range(40):
        text = f"mul({text}, {text})" if len(text) < 6_000 else text
    answer = ask(text, a=10**4000)
    assert "too many digits" in answer.failure


def test_what_is_read_through_the_state_as_a_whole_is_known() -> None:
    assert Expression("queue[?n > $.limit]").reads == {"queue", "limit"}
    assert Expression("$.a").reads == {"a"}
    assert Expression("length($)").reads is None
    assert Expression("add(a, 2)").reads == {"a"}
    assert Expression("map(&lookup($.library, @), queue[].song)").reads == {"queue", "library"}


def test_two_who_ask_one_expression_share_nothing() -> None:
    expression = Expression("a.b > 1")
    one, other = expression.fresh(), expression.fresh()
    one.ask({"a": encode({"c": 3})})
    assert one.watch.doubts()
    assert not other.watch.doubts()
    assert not expression.watch.doubts()
