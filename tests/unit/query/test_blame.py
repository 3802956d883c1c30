"""Blame: who last set each value, checked against a replay of all states."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from question_histories import Told, brute_blame, histories, tell

from unspool.errors import EntryNotFound, PathNotFound
from unspool.model.encoding import encode
from unspool.query.blame import blame
from unspool.query.value_parts import find


@given(histories(), st.data())
def test_blame_agrees_with_a_replay_of_every_state(told: Told, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(told.states) - 1))
    expected = brute_blame(told, at)
    found = blame(told.history, at)
    assert found.complete
    assert {value.path: value.seq for value in found.values} == expected
    for value in found.values:
        assert value.encoded == find(told.history.view(at).wire, value.path, "")[1]


@given(histories(), st.data())
def test_blame_of_one_path_agrees_with_blame_of_the_whole_state(told: Told, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(told.states) - 1))
    whole = {value.path: value.seq for value in blame(told.history, at).values}
    if not whole:
        return
    leaf = data.draw(st.sampled_from(sorted(whole, key=repr)))
    for size in range(1, len(leaf) + 1):
        part = blame(told.history, at, leaf[:size])
        assert {value.path: value.seq for value in part.values} == {
            path: seq for path, seq in whole.items() if path[:size] == leaf[:size]
        }


def test_a_moved_record_keeps_the_entries_that_set_its_values() -> None:
    one, two = {"sku": "A-1", "qty": 1, "note": "first"}, {"sku": "B-2", "qty": 5, "note": "second"}
    told = tell(
        [
            {"cart": [one, two]},
            {"cart": [one, two | {"qty": 6}]},
            {"cart": [two | {"qty": 6}, one]},
            {"cart": [{"sku": "C-3", "qty": 1, "note": "third"}, two | {"qty": 6}, one]},
        ]
    )
    found = {value.path[1:]: value.seq for value in blame(told.history).values}
    assert found == {
        (0, "sku"): 3, (0, "qty"): 3, (0, "note"): 3,
        (1, "sku"): 0, (1, "qty"): 1, (1, "note"): 0,
        (2, "sku"): 0, (2, "qty"): 0, (2, "note"): 0,
    }  # fmt: skip


def test_blame_tells_value_action_and_age() -> None:
    told = tell([{"a": 1}, {"a": 1, "b": [2]}, {"a": 3, "b": [2]}, {"a": 3, "b": [2], "c": None}])
    values = {value.path: value for value in blame(told.history).values}
    assert values["b", 0].value == 2
    assert values["b", 0].seq == 1
    assert values["b", 0].action == told.actions[1]
    assert values["b", 0].age_ns == 2_000_000_000
    assert values["c",].age_ns == 0


def test_what_is_empty_or_kept_as_one_piece_is_one_value() -> None:
    told = tell([{"a": {"x": 1}, "t": (1, 2), "l": []}, {"a": {}, "t": (1, 2), "l": []}])
    assert {value.path: value.seq for value in blame(told.history).values} == {("a",): 1, ("t",): 0, ("l",): 0}


def test_a_write_in_another_key_order_sets_nothing() -> None:
    told = tell([{"a": {"x": 1, "y": 2}}, {"a": {"y": 2, "x": 1}}, {"a": {"y": 2, "x": 1, "z": 0}}])
    assert [value.seq for value in blame(told.history).values] == [0, 0, 2]


def test_blame_follows_the_line_of_a_fork() -> None:
    told = tell([{"a": 0}, {"a": 1}, {"a": 1, "b": 1}, {"a": 0, "c": 1}, {"a": 0, "c": 2}], [None, 0, 1, 0, 3])
    assert {value.path: value.seq for value in blame(told.history, 4).values} == {("a",): 0, ("c",): 4}
    assert {value.path: value.seq for value in blame(told.history, 2).values} == {("a",): 1, ("b",): 2}


def test_an_empty_history_and_one_of_a_single_entry() -> None:
    assert [(value.path, value.seq) for value in blame(tell([{"a": [1]}]).history).values] == [(("a", 0), 0)]
    assert blame(tell([{}]).history).values == ()
    with pytest.raises(EntryNotFound, match="it has 0"):
        blame(tell([]).history)


@pytest.mark.parametrize(
    ("path", "says"),
    [
        (("b",), r"entry 0 has nothing at \$\.b: the state has 'a'"),
        (("a", "x"), r"at \$\.a\.x: \$\.a is a list of 2"),
        (("a", 2), r"at \$\.a\[2\]: \$\.a is a list of 2"),
        (("a", 0, "x"), r"at \$\.a\[0\]\.x: \$\.a\[0\] is a int"),
    ],
)
def test_a_path_that_leads_nowhere_is_told_with_what_is_there(path: tuple[str | int, ...], says: str) -> None:
    with pytest.raises(PathNotFound, match=says):
        blame(tell([{"a": [1, 2]}]).history, 0, path)


def test_negative_steps_and_number_keys_are_understood() -> None:
    told = tell([{"a": [1, {"7": 2}]}, {"a": [1, {"7": 3}]}])
    assert [(value.path, value.seq) for value in blame(told.history, 1, ("a", -1, 7)).values] == [(("a", 1, "7"), 1)]


def test_a_cancelled_blame_says_what_it_did_not_find() -> None:
    told = tell([{"a": step, "b": 0, "c": step // 3} for step in range(9)])
    asked = iter([False, False, True])
    found = blame(told.history, cancelled=lambda: next(asked))
    assert {value.path: value.seq for value in found.values} == {("a",): 8}
    assert found.unexplained == (("b",), ("c",))
    assert not found.complete


def test_values_nested_ten_thousand_deep_are_blamed_as_one() -> None:
    deep: list[object] = []
    for _ in range(10_000):
        deep = [deep]
    told = tell([{"deep": deep, "n": 0}, {"deep": deep, "n": 1}])
    assert [(value.path, value.seq) for value in blame(told.history).values] == [(("deep",), 0), (("n",), 1)]
    assert blame(told.history).values[0].encoded == encode(deep)
