"""Changes told in words."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings

from support.examples import examples
from support.values import json_values
from unspool.delta.explain import explain
from unspool.model.values import strict_equal


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ({"a": 1}, {"a": 2}, ["a rose from 1 to 2"]),
        ({"a": 2}, {"a": 1}, ["a fell from 2 to 1"]),
        ({"a": "x"}, {"a": "y"}, ['a changed from "x" to "y"']),
        ({"a": 1}, {"a": 1.0}, ["a turned from a whole number (1) into a decimal number (1.0)"]),
        ({"a": True}, {"a": 1}, ["a turned from true or false (true) into a whole number (1)"]),
        ({}, {"b": [1]}, ["b was added: [1]"]),
        ({"b": None}, {}, ["b was removed: null"]),
        ({"l": [1, {"k": 2}]}, {"l": [1, {"k": 3}, 4]}, ["l[1].k rose from 2 to 3", "l[2] was added: 4"]),
        (1, 2, ["the value rose from 1 to 2"]),
        ({"odd key": 1}, {"odd key": 2}, ['["odd key"] rose from 1 to 2']),
        ({"a": 1}, {"a": 1}, []),
    ],
)
def test_each_step_is_one_sentence(old: Any, new: Any, told: list[str]) -> None:
    assert explain(old, new) == told


def test_long_values_are_cut() -> None:
    (sentence,) = explain({"a": ""}, {"a": "x" * 1000})
    assert len(sentence) < 120


def test_what_is_too_deep_is_said_to_be() -> None:
    old: Any = 1
    new: Any = 2
    for _ in range(5000):
        old, new = [old], [new]
    assert explain(old, new) == ["it changed, too deep inside to be told in words"]


@settings(max_examples=examples(40))
@given(old=json_values, new=json_values)
def test_something_is_told_exactly_when_something_changed(old: Any, new: Any) -> None:
    if strict_equal(old, new):
        assert explain(old, new) == []
    else:
        for sentence in explain(old, new):
            assert sentence
