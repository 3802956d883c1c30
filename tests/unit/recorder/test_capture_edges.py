"""Capturing compares encoded states as byte strings: bytes that look alike by chance must never be taken for alike."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.examples import examples
from unspool.history import History
from unspool.model.encoding import encode
from unspool.model.values import strict_equal
from unspool.recorder import Recorder
from unspool.store import MemoryStore


def read_back(states: list[dict[str, Any]]) -> list[dict[str, Any]]:
    store = MemoryStore()
    recorder = Recorder(store, on_error="raise")
    for state in states:
        recorder.record(state)
    history = History(store)
    return [history.state(seq) for seq in range(len(history))]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        # The new text ends like all that followed the first atom: its key and its value.
        ({"a": 1, "b": 120}, {"a": 2, "b": "¡bx"}),
        ({"a": 1, "b": "x"}, {"a": 2, "b": b"\xa1b\xa1x"}),
        ({"a": [1], "b": "x", "c": 0}, {"a": [2], "b": "x", "c": b"..\xa1b\xa1x\xa1c\x00"}),
    ],
)
def test_a_value_that_ends_like_the_old_rest_is_told_apart(before: dict[str, Any], after: dict[str, Any]) -> None:
    assert read_back([before, after, before]) == [before, after, before]


@given(st.data())
@settings(max_examples=examples(100))
def test_any_suffix_of_the_old_state_inside_a_new_value_is_told_apart(data: st.DataObject) -> None:
    values = st.integers(0, 300) | st.text("¡¢xb", max_size=4) | st.binary(max_size=4) | st.lists(st.integers(0, 9))
    before = data.draw(st.dictionaries(st.sampled_from("abcd"), values, min_size=2))
    after = {name: data.draw(values | st.just(value)) for name, value in before.items()}
    # One value swallows a suffix of the encoded old state.
    blob = encode(before)
    after[data.draw(st.sampled_from(sorted(after)))] = blob[data.draw(st.integers(1, len(blob))) :]
    for got, expected in zip(read_back([before, after]), [before, after], strict=True):
        assert strict_equal(got, expected)


@given(st.data())
@settings(max_examples=examples(60))
def test_many_changes_of_size_at_once_read_back(data: st.DataObject) -> None:
    names = [f"atom{number}" for number in range(data.draw(st.integers(1, 12)))]
    sizes = st.sampled_from([0, 1, 31, 32, 64, 300, 2100, 5000])
    states = [{name: "x" * data.draw(sizes) + str(step) for name in names} for step in range(3)]
    states.append(
        {name: data.draw(st.just(states[-1][name]) | sizes.map(lambda size: ["y" * size])) for name in names}
    )
    assert read_back(states) == states
