"""Comparing wire forms says what comparing the values says."""

from __future__ import annotations

import copy
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.values import values
from unspool.delta.structural import encoded_equal
from unspool.model.encoding import encode
from unspool.model.values import json_equal, strict_equal
from unspool.model.wire import decode


@given(values, values)
def test_any_two_values(one: Any, other: Any) -> None:
    left, right = encode(one), encode(other)
    assert encoded_equal(left, right) is json_equal(decode(left), decode(right))
    assert encoded_equal(left, right, strict=True) is strict_equal(decode(left), decode(right))


def _slightly_changed(value: Any, rng: random.Random) -> Any:
    if isinstance(value, dict) and value and all(isinstance(key, str) for key in value):
        pairs = list(value.items())
        rng.shuffle(pairs)
        return {key: _slightly_changed(item, rng) for key, item in pairs}
    if isinstance(value, list):
        return [_slightly_changed(item, rng) for item in value]
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**50 and rng.random() < 0.5:
        return float(value)
    return copy.deepcopy(value) if rng.random() < 0.95 else None


@given(values, st.integers(0, 10**6))
def test_a_value_and_one_like_it(one: Any, seed: int) -> None:
    other = _slightly_changed(one, random.Random(seed))
    left, right = encode(one), encode(other)
    assert encoded_equal(left, right) is json_equal(decode(left), decode(right))
    assert encoded_equal(left, right, strict=True) is strict_equal(decode(left), decode(right))


@pytest.mark.parametrize("depth", [10, 900, pytest.param(20_000, marks=pytest.mark.slow)])
def test_at_any_depth(depth: int) -> None:
    def nested(leaf: Any) -> Any:
        value = leaf
        for level in range(depth):
            value = [value] if level % 3 else {"in": value, "n": level}
        return value

    one = encode(nested(1))
    assert encoded_equal(one, encode(nested(1.0)))
    assert not encoded_equal(one, encode(nested(1.0)), strict=True)
    assert not encoded_equal(one, encode(nested(True)))
