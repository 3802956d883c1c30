"""Comparing two histories: the first entries that differ, and who set what differs."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from question_histories import Told, damaged_shop, histories, tell

from support.recording import record_shop
from unspool.errors import CorruptHistory, ExpressionError
from unspool.history import History
from unspool.model.values import strict_equal
from unspool.query.compare import HistoryRelation, compare
from unspool.query.path_writes import last_write
from unspool.query.value_parts import find
from unspool.store.file import FileStore


def changing(told: Told, at: int) -> list[int]:
    """Entries of a line that change something."""
    return [seq for seq in told.line(at) if not strict_equal(told.before(seq), told.states[seq])]


@given(histories(), histories(), st.data())
def test_the_first_difference_is_the_first_unlike_state(one: Told, two: Told, data: st.DataObject) -> None:
    if data.draw(st.booleans()):
        # Half of the time the second history is the first one with an end of its own.
        keep = data.draw(st.integers(0, len(one.states)))
        two = tell(
            one.states[:keep] + two.states[keep:],
            one.parents[:keep]
            + [max(0, seq - 1) if seq else None for seq in range(keep, max(keep, len(two.states)))],
        )
    if not one.states or not two.states:
        return
    left, right = changing(one, len(one.states) - 1), changing(two, len(two.states) - 1)
    common = 0
    while common < min(len(left), len(right)) and strict_equal(one.states[left[common]], two.states[right[common]]):
        common += 1
    found = compare(one.history, two.history)
    assert found.common == common
    assert found.first.seq == (left[common] if common < len(left) else None)
    assert found.second.seq == (right[common] if common < len(right) else None)
    assert found.first.last_common == (left[common - 1] if common else None)
    assert found.complete
    for part in found.differences:
        for path, value, write, told, side in (
            (part.first_path, part.first_bytes, part.first_write, one, found.first),
            (part.second_path, part.second_bytes, part.second_write, two, found.second),
        ):
            seq = side.last_common if side.seq is None else side.seq
            assert (path is None) == (value is None)
            if path is not None and seq is not None:
                assert find(told.history.view(seq).wire, path, "")[1] == value
                assert write is not None
                assert write.seq == last_write(told.history, path, seq).seq


@given(histories())
def test_a_history_is_the_same_as_itself(told: Told) -> None:
    found = compare(told.history, tell(told.states, told.parents).history)
    assert found.relation is HistoryRelation.SAME
    assert found.differences == ()
    assert found.renamed == ()


def shop(*edits: dict[str, Any]) -> list[dict[str, Any]]:
    state: dict[str, Any] = {"cart": {"items": [{"sku": "pen", "qty": 1}], "total": 3}, "user": "ann"}
    states = [copy.deepcopy(state)]
    for edit in edits:
        state["cart"] |= edit
        states.append(copy.deepcopy(state))
    return states


def test_what_differs_is_told_with_who_set_it_in_both() -> None:
    one = tell(shop({"coupon": "A"}, {"total": 5}, {"paid": True}))
    two = tell(shop({"coupon": "A"}, {"total": 6}, {"paid": True}))
    found = compare(one.history, two.history)
    assert found.relation is HistoryRelation.DIVERGED
    assert (found.common, found.first.seq, found.second.seq) == (2, 2, 2)
    assert found.same_action
    (part,) = found.differences
    assert (part.first_path, part.second_path) == (("cart", "total"), ("cart", "total"))
    assert (part.first, part.second) == (5, 6)
    assert part.first_write is not None
    assert part.second_write is not None
    assert (part.first_write.seq, part.second_write.seq) == (2, 2)


def test_entries_that_change_nothing_are_passed_over() -> None:
    states = shop({"coupon": "A"}, {"total": 5})
    one, two = tell(states), tell([states[0], states[0], states[0], states[1], states[1], states[2], states[2]])
    found = compare(one.history, two.history)
    assert found.relation is HistoryRelation.SAME
    assert (found.first.unchanging, found.second.unchanging) == (0, 4)


def test_runs_that_part_and_meet_again_tell_where() -> None:
    one = tell(shop({"a": 1}, {"b": 1}, {"c": 1}, {"d": 1}))
    two = tell(shop({"a": 1}, {"log": "x"}, {"b": 1}, {"log": "y"}))
    assert compare(one.history, two.history).meet_again is None
    states = shop({"a": 1}, {"b": 1}, {"c": 1}, {"d": 1})
    detour = tell([states[0], states[1], shop({"z": 1})[1], states[2], states[3]])
    found = compare(one.history, detour.history)
    assert (found.first.seq, found.second.seq) == (2, 2)
    assert found.meet_again == (2, 3)


def test_actions_that_differ_over_the_same_state_are_told() -> None:
    states = shop({"a": 1}, {"b": 1}, {"c": 1})
    one, two = tell(states), tell([states[0], states[0], *states[1:]])
    assert compare(one.history, two.history).renamed == ((1, 2), (2, 3), (3, 4))


def test_what_is_ignored_makes_no_difference() -> None:
    one = tell([{"clock": step, "rows": [{"id": 1, "n": step // 2, "seen": step}]} for step in range(6)])
    two = tell([{"clock": 9 - step, "rows": [{"id": 1, "n": step // 2, "seen": -step}]} for step in range(6)])
    assert compare(one.history, two.history).first.seq == 0
    assert compare(one.history, two.history).relation is HistoryRelation.DIFFERENT
    found = compare(one.history, two.history, ignore=["clock", "rows[*].seen"])
    assert found.relation is HistoryRelation.SAME
    assert found.common == 3
    with pytest.raises(ExpressionError, match="column 2"):
        compare(one.history, two.history, ignore=["a["])


def test_one_that_ends_is_a_beginning_of_the_other() -> None:
    states = shop({"a": 1}, {"b": 1})
    found = compare(tell(states[:2]).history, tell(states).history)
    assert found.relation is HistoryRelation.FIRST_ENDS
    assert (found.first.seq, found.second.seq) == (None, 2)
    (part,) = found.differences
    assert (part.first_path, part.second_path) == (None, ("cart", "b"))
    assert compare(tell(states).history, tell(states[:2]).history).relation is HistoryRelation.SECOND_ENDS


def test_histories_with_nothing_in_common_say_so() -> None:
    found = compare(tell([{"a": 1}]).history, tell([{"b": 1}, {"a": 1}]).history)
    assert found.relation is HistoryRelation.UNRELATED
    assert [(part.first_path, part.second_path) for part in found.differences] == [(("a",), None), (None, ("b",))]
    assert found.meet_again is None


def test_empty_histories() -> None:
    assert compare(tell([]).history, tell([]).history).relation is HistoryRelation.SAME
    assert compare(tell([]).history, tell([{}]).history).relation is HistoryRelation.SAME
    assert compare(tell([]).history, tell([{"a": 1}]).history).relation is HistoryRelation.FIRST_ENDS


def test_lines_of_forks_are_compared_as_asked_for() -> None:
    told = tell([{"a": 0}, {"a": 1}, {"a": 2}, {"a": 1, "b": 1}], [None, 0, 1, 1])
    found = compare(told.history, told.history, first_at=2, second_at=3)
    assert (found.common, found.first.seq, found.second.seq) == (2, 2, 3)


def test_only_the_first_differences_are_looked_into() -> None:
    one = tell([{"a": {str(n): n for n in range(50)}}])
    two = tell([{"a": {str(n): -n - 1 for n in range(50)}}])
    found = compare(one.history, two.history, most=7)
    assert (len(found.differences), found.more) == (7, 43)


def test_a_cancelled_comparison_says_so() -> None:
    told = tell([{"a": step} for step in range(50)])
    asked = iter([False] * 5 + [True])
    found = compare(told.history, told.history, cancelled=lambda: next(asked))
    assert (found.relation, found.common, found.complete) == (None, 5, False)


def test_damage_is_named_and_passed_over_when_asked(tmp_path: Path) -> None:
    damaged, whole = tmp_path / "damaged.unspool", tmp_path / "whole.unspool"
    _, hole = damaged_shop(damaged)
    record_shop(whole, 300)
    with History(FileStore.open(damaged)) as one, History(FileStore.open(whole)) as two:
        with pytest.raises(CorruptHistory, match=f"entry {hole.start}"):
            compare(one, two)
        found = compare(one, two, skip_damaged=True)
        assert not found.complete
        assert (found.first.seq, found.second.seq) == (hole.stop, hole.start)
        assert found.meet_again == (hole.stop, hole.stop)
