"""Expressions over a state: what they may say, what they read, and how they fail."""

from __future__ import annotations

import datetime as dt
import decimal
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.values import json_states
from unspool.errors import EvaluationStopped, ExpressionError
from unspool.model.encoding import encode
from unspool.model.limits import Limits, use
from unspool.query.expressions import Expression, holds
from unspool.query.lineage import Wire

STATE: dict[str, Any] = {
    "cart": {"total": 120, "name": "bob", "items": [{"qty": 2}, {"qty": 5}], "paid": False, "at": (1, 2)},
    "n": 0,
    "odd name": {"x": 1},
    "when": dt.datetime(2024, 5, 1, 12),
    "price": decimal.Decimal("9.50"),
    "seen": {1: "one"},
}


def wire(state: dict[str, Any]) -> Wire:
    return {atom: encode(value) for atom, value in state.items()}


@pytest.mark.parametrize(
    ("text", "value", "reads"),
    [
        ("cart.total > 100", True, {"cart"}),
        ("cart.total > `100`", True, {"cart"}),
        ("$.cart.total>100 && $.n == 0", True, {"cart", "n"}),
        ('cart.name == "bob"', True, {"cart"}),
        ("cart.name == 'bob'", True, {"cart"}),
        ('cart.name != "bob\'s"', True, {"cart"}),
        ("cart.items[?qty > 3]", [{"qty": 5}], {"cart"}),
        ("cart.items[?qty > 3].qty | [0]", 5, {"cart"}),
        ("length(cart.items) > 2 || !cart.paid", True, {"cart"}),
        ("!cart.paid", True, {"cart"}),
        ("!cart.items[0].qty", False, {"cart"}),
        ("cart.paid == false", True, {"cart"}),
        ("cart.gone == null", True, {"cart"}),
        ("cart.at[1]", 2, {"cart"}),
        ("n > -1e2", True, {"n"}),
        ('"odd name".x', 1, {"odd name"}),
        ('"odd name".x == 1', True, {"odd name"}),
        ('when > "2024-04-30"', True, {"when"}),
        ("price > 9.4", True, {"price"}),
        ('seen."1"', "one", {"seen"}),
        ("sort_by(cart.items, &qty)[-1].qty", 5, {"cart"}),
        ("{a: n, b: cart.total}", {"a": 0, "b": 120}, {"n", "cart"}),
        ("[n, price]", [0, 9.5], {"n", "price"}),
        ("cart | total", 120, {"cart"}),
        ("@.cart.total", 120, {"cart"}),
        ("@ | @.n", 0, {"n"}),
        ("length(@)", 6, None),
        ("*.total | [0]", 120, None),
        ("nothing.here", None, {"nothing"}),
    ],
)
def test_expressions_say_what_people_mean(text: str, value: object, reads: set[str] | None) -> None:
    expression = Expression(text)
    answer = expression.ask(wire(STATE))
    assert answer.value == value
    assert expression.reads == reads
    assert not answer.failure


@given(json_states, st.sampled_from(["a.b", "a[0] || b", "a == b", "type(a)", "[a, b] | [1]", "c.*.d", "@.a | b"]))
def test_answers_depend_on_nothing_but_the_atoms_read(state: dict[str, Any], text: str) -> None:
    expression = Expression(text)
    assert expression.reads is not None
    only = {atom: value for atom, value in state.items() if atom in expression.reads}
    assert Expression(text).ask(wire(state)) == Expression(text).ask(wire(only))


@pytest.mark.parametrize(("value", "true"), [
    (None, False), (False, False), ("", False), ([], False), ({}, False),
    (0, True), (0.0, True), (float("nan"), True), (True, True), ([0], True), ("x", True), ({"a": None}, True),
])  # fmt: skip
def test_what_holds_is_all_but_null_false_and_the_empty(value: object, true: bool) -> None:
    assert holds(value) is true


def test_a_function_given_what_it_cannot_take_does_not_hold_and_says_why() -> None:
    answer = Expression("length(gone) > 2").ask(wire(STATE))
    assert not answer.holds
    assert "length()" in answer.failure


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is empty"),
        ("   ", "column 4: it ends too early"),
        ("a >", "column 4: it ends too early"),
        ("a.", "column 3: it ends too early"),
        ("(a", "column 3: it ends too early"),
        ("a = 3", "column 3: .*write =="),
        ("a b", "column 3: 'b' is not expected"),
        ("#", "column 1: Unknown token #"),
        ("'abc", "column 1: Unclosed"),
        ("$.a > 3 # b", "column 9: Unknown token #"),
        ("a == 3 && !b.c ]", r"column 16: '\]' is not expected"),
        ("a > 3 and b", "column 7: .*write &&"),
        ("user-name == 1", "column 5: .*double quotes"),
        ("a-1 == 1", "column 2: .*double quotes"),
        ("foo(a)", r"no function is called 'foo' \(column 1\)"),
        ("a && length(a, b)", r"length \(column 6\) takes 1 arguments, not 2"),
        ("(" * 5000 + "a" + ")" * 5000, "nested more than 100 levels"),
        ("||".join(["a"] * 5000), "nested more than 100 levels"),
        (f"a[{'9' * 5000}]", "does not parse"),
    ],
)
def test_what_does_not_parse_is_told_with_the_column(text: str, says: str) -> None:
    with pytest.raises(ExpressionError, match=says) as caught:
        Expression(text)
    assert "\n" not in str(caught.value)


@given(st.text(max_size=30) | st.text(alphabet="ab.[]()!&|<>=?*@`'\"$0123 -,{}:", max_size=20))
def test_any_text_is_an_expression_or_a_typed_error(text: str) -> None:
    try:
        Expression(text).ask(wire({"a": {"b": [1, {"c": "x"}]}, "b": 2}))
    except ExpressionError as error:
        assert str(error)


def test_values_nested_ten_thousand_deep_can_be_asked_about() -> None:
    deep: list[Any] = []
    for _ in range(10_000):
        deep = [deep]
    answers = [Expression(text).ask(wire({"deep": deep})) for text in ("length(deep) == 1", "to_string(deep)")]
    assert answers[0].holds
    assert not answers[1].holds
    assert answers[1].failure


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a" * 20_001, "has 20,001 characters; at most 20,000"),
        ("@" + "|[@,@]" * 40, "puts its parts side by side too often"),
        ("to_string([" + "[@,@,@,@]|" * 12 + "@])", "puts its parts side by side too often"),
        ('a < "' + '\\"' * 9_000, "does not parse at column"),
        ("a" + " > 1" * 4_000, "nested more than 100 levels"),
        ("a == '" + "\\'" * 9_000, "does not parse at column"),
        ("a == `" + "[" * 9_000, "does not parse at column"),
        ("\x00", "column 1"),
        ("a.\ud800", "column 3"),
    ],
    ids=lambda value: f"{len(value)}chars",
)
def test_a_hostile_expression_is_refused_in_one_line(text: str, says: str) -> None:
    with pytest.raises(ExpressionError, match=says) as caught:
        Expression(text)
    assert len(str(caught.value)) < 300
    assert "\n" not in str(caught.value)


def test_an_expression_as_wide_as_people_write_them_is_asked() -> None:
    wide = "{" + ", ".join(f"k{number}: a" for number in range(300)) + "} | [k1, k2, k299] | [0]"
    assert Expression(wide).ask({"a": encode(7)}).value == 7
    text = 'a == "it is \\"so\\"" && b != \'x\''
    assert Expression(text).ask({"a": encode('it is "so"'), "b": encode("y")}).holds


@pytest.mark.parametrize("text", [
    "map(&map(&map(&map(&@, $.rows), $.rows), $.rows), rows)".replace("$.rows", "`[1,2,3,4,5,6,7,8,9,10]`") + "[]",
    "rows[*].[" + ", ".join(["@"] * 40) + "][].[" + ", ".join(["@"] * 40) + "][].[" + ", ".join(["@"] * 40) + "][]",
])  # fmt: skip
def test_an_expression_that_multiplies_its_items_is_ended_in_its_time(text: str) -> None:
    expression = Expression(text)
    use(Limits(expression_seconds=0.2))
    started = time.process_time()
    try:
        with pytest.raises(EvaluationStopped, match="--raise-limit expression_seconds=N"):
            expression.ask({"rows": encode(list(range(2000)))})
    finally:
        use(None)
    assert time.process_time() - started < 3
