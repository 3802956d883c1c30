"""Two wire forms of equal length hold the same value or not, and telling so does not take long."""

from __future__ import annotations

import time
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from support.values import values
from unspool.delta.structural import same_value
from unspool.model.encoding import encode
from unspool.model.values import strict_equal


@given(values, values)
def test_it_agrees_with_comparing_the_values(one: Any, other: Any) -> None:
    left, right = encode(one), encode(other)
    if left != right:
        assert same_value(left, right) == strict_equal(one, other)


@given(st.permutations(list(range(6))), st.integers(0, 1))
def test_objects_whose_keys_changed_their_order_are_the_same(order: list[int], changed: int) -> None:
    one = {f"key{number}": [number, {"n": float(number)}] for number in range(6)}
    other = {f"key{number}": [number, {"n": float(number + changed)}] for number in order}
    left, right = encode(one), encode(other)
    assert left == right or same_value(left, right) == (not changed)


def test_large_values_of_equal_length_are_told_apart_in_little_time() -> None:
    left, right = (encode([bytes((byte,)) * 24_000_000, "tail"]) for byte in b"xy")
    start = time.thread_time()
    assert not same_value(left, right)
    # Sorting these bytes takes seconds.
    assert time.thread_time() - start < 0.5
