"""Writes of a path: every entry that set a value, through moves, deletions, returns and forks."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from question_histories import Told, damaged_shop, histories, tell

from unspool.errors import CorruptHistory, PathNotFound, QuestionError
from unspool.history import History
from unspool.model.encoding import encode
from unspool.model.values import MISSING, strict_equal
from unspool.query.blame import blame
from unspool.query.path_writes import WriteKind, all_writes, last_write, next_write, previous_write, writes_of
from unspool.store.file import FileStore


def _record(state: dict[str, Any], number: int) -> Any:
    rows = state.get("rows", [])
    return next((row for row in rows if row["id"] == number), MISSING)


def _part(record: Any, name: str | None) -> Any:
    return record if record is MISSING or name is None else record[name]


def _kind(old: Any, new: Any) -> WriteKind | None:
    if old is MISSING or new is MISSING:
        return None if old is new else WriteKind.ADDED if old is MISSING else WriteKind.DELETED
    return WriteKind.UNCHANGED if strict_equal(old, new) else WriteKind.MODIFIED


@given(histories(wild=False), st.data())
def test_writes_of_a_record_are_those_of_its_identity(told: Told, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(told.states) - 1))
    rows = told.states[at].get("rows", [])
    if not rows:
        return
    index = data.draw(st.integers(0, len(rows) - 1))
    name = data.draw(st.sampled_from([None, "value", "tags", "name"]))
    number = rows[index]["id"]
    expected = []
    for seq in reversed(told.line(at)):
        old, new = (_part(_record(state, number), name) for state in (told.before(seq), told.states[seq]))
        kind = _kind(old, new)
        if kind not in (None, WriteKind.UNCHANGED):
            expected.append((seq, kind, old, new))
    path = ("rows", index) if name is None else ("rows", index, name)
    found = list(writes_of(told.history, path, at))
    assert [(write.seq, write.kind) for write in found] == [(seq, kind) for seq, kind, *_ in expected]
    for write, (_, _, old, new) in zip(found, expected, strict=True):
        assert strict_equal(write.old, old)
        assert strict_equal(write.new, new)
    assert last_write(told.history, path, at) == found[0]
    assert previous_write(told.history, path, at) == next((write for write in found if write.seq < at), None)


@given(histories(), st.data())
def test_writes_of_an_object_key_are_those_of_its_name(told: Told, data: st.DataObject) -> None:
    def value(state: dict[str, Any], key: str) -> Any:
        conf = state.get("conf")
        return conf.get(key, MISSING) if isinstance(conf, dict) else MISSING

    at = data.draw(st.integers(0, len(told.states) - 1))
    key = data.draw(st.sampled_from("kxy"))
    if value(told.states[at], key) is MISSING:
        return
    kinds = [(seq, _kind(value(told.before(seq), key), value(told.states[seq], key))) for seq in told.line(at)]
    expected = [(seq, kind) for seq, kind in reversed(kinds) if kind not in (None, WriteKind.UNCHANGED)]
    assert [(write.seq, write.kind) for write in writes_of(told.history, ("conf", key), at)] == expected


@given(histories(wild=False), st.data())
def test_the_next_write_is_the_first_one_on_the_branch(told: Told, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(told.states) - 1))
    rows = told.states[at].get("rows", [])
    if not rows:
        return
    index = data.draw(st.integers(0, len(rows) - 1))
    number = rows[index]["id"]
    expected = None
    for seq in range(at + 1, len(told.states)):
        if told.parents[seq] != seq - 1:
            break
        old, new = (_record(state, number) for state in (told.states[seq - 1], told.states[seq]))
        kind = _kind(old, new)
        if kind not in (None, WriteKind.UNCHANGED):
            expected = (seq, kind, old, new)
            break
    found = next_write(told.history, ("rows", index), at)
    if found is None or expected is None:
        assert found is expected
    else:
        assert (found.seq, found.kind) == expected[:2]
        assert strict_equal([found.old, found.new], list(expected[2:]))


@given(histories(), st.data())
def test_the_last_write_of_a_leaf_is_the_one_that_blame_names(told: Told, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(told.states) - 1))
    values = blame(told.history, at).values
    if values:
        value = data.draw(st.sampled_from(values))
        assert last_write(told.history, value.path, at).seq == value.seq


def test_a_deleted_and_returned_record_has_writes_on_both_sides_of_the_gap() -> None:
    pen, cup = {"sku": "pen", "qty": 1}, {"sku": "cup", "qty": 1}
    told = tell(
        [
            {"cart": {"lines": [pen, cup]}},
            {"cart": {"lines": [pen | {"qty": 2}, cup]}},
            {"cart": {"lines": [cup]}},
            {"cart": {}},
            {"cart": {"lines": [cup, pen | {"qty": 2}]}},
            {"cart": {"lines": [pen | {"qty": 3}, cup]}},
        ]
    )
    found = [
        (write.seq, write.kind.value, write.path[2:])
        for write in writes_of(told.history, ("cart", "lines", 0, "qty"))
    ]
    assert found == [
        (5, "modified", (0, "qty")),
        (4, "added", (1, "qty")),
        (2, "deleted", (0, "qty")),
        (1, "modified", (0, "qty")),
        (0, "added", (0, "qty")),
    ]


def test_an_item_without_identity_has_no_past_before_it_was_added() -> None:
    told = tell([{"a": [1, 2, 3]}, {"a": [1, 3]}, {"a": [1, 2, 3]}])
    assert [(write.seq, write.kind) for write in writes_of(told.history, ("a", 1))] == [(2, WriteKind.ADDED)]


def test_an_identity_key_set_by_hand_is_followed() -> None:
    store_states = [
        {"a": [{"x": 1, "v": 0}, {"x": 2, "v": 0}]},
        {"a": [{"x": 2, "v": 1}]},
        {"a": [{"x": 1, "v": 5}, {"x": 2, "v": 1}]},
    ]
    told = tell(store_states)
    history = History(told.history.store, identity={"a": "x"})
    assert [write.seq for write in writes_of(history, ("a", 0, "v"))] == [2, 1, 0]


def test_writes_that_leave_the_value_as_it_was_are_shown_when_asked_for() -> None:
    told = tell([{"a": {"x": 1, "y": step}, "b": step} for step in range(3)])
    assert [write.seq for write in writes_of(told.history, ("a", "x"))] == [0]
    every = list(writes_of(told.history, ("a", "x"), unchanged=True))
    assert [(write.seq, write.kind.value) for write in every] == [(2, "unchanged"), (1, "unchanged"), (0, "added")]


def test_only_entries_that_touch_the_atom_are_rebuilt() -> None:
    told = tell([{"a": step // 50, "b": step} for step in range(101)])
    before = told.history.cache_stats()
    assert [write.seq for write in writes_of(told.history, ("a",))] == [100, 50, 0]
    after = told.history.cache_stats()
    assert after.hits + after.misses - before.hits - before.misses == 3


def test_a_line_can_be_chosen_to_look_ahead_on() -> None:
    told = tell([{"a": 0}, {"a": 0, "b": 1}, {"a": 1, "b": 1}, {"a": 2}], [None, 0, 1, 0])
    assert next_write(told.history, ("a",), 0) is not None
    assert next_write(told.history, ("a",), 0).seq == 2  # type: ignore[union-attr]
    assert next_write(told.history, ("a",), 0, line=3).seq == 3  # type: ignore[union-attr]
    assert next_write(told.history, ("a",), 2) is None


def test_the_whole_state_is_no_path_to_a_value() -> None:
    told = tell([{"a": 1}])
    with pytest.raises(QuestionError, match="begins with the name of an atom"):
        list(writes_of(told.history, ()))
    with pytest.raises(PathNotFound, match="entry 0 has nothing"):
        last_write(told.history, ("b",))


def test_damage_on_the_way_is_named_and_stepped_over_when_asked(tmp_path: Path) -> None:
    path = tmp_path / "shop.unspool"
    _, hole = damaged_shop(path)
    with History(FileStore.open(path)) as history:
        at = hole.stop + 3
        with pytest.raises(CorruptHistory, match=rf"entry {hole.start}|entry {hole.stop - 1}"):
            blame(history, at)
        found = blame(history, at, skip_damaged=True)
        assert not found.complete
        assert not found.unexplained
        assert all(problem.place.startswith("entry ") for problem in found.problems)
        assert {value.path for value in found.values if not value.certain}
        assert all(value.seq in hole or value.seq <= at for value in found.values)
        certain = [value for value in found.values if value.certain and value.seq < hole.start]
        assert all(last_write(history, value.path, hole.start - 1).seq == value.seq for value in certain[:5])


def test_the_next_write_on_a_line_comes_after_the_entry_asked_for() -> None:
    told = tell([{"n": number // 2} for number in range(10)])
    for at in range(8):
        found = next_write(told.history, ("n",), at, line=9)
        assert found is not None
        assert (found.seq, found.old_bytes, found.new_bytes) == (
            2 * (at // 2 + 1),
            encode(at // 2),
            encode(at // 2 + 1),
        )
    assert next_write(told.history, ("n",), 8, line=9) is None


def test_only_the_write_across_damage_is_uncertain_and_those_before_it_are_not(tmp_path: Path) -> None:
    states, hole = damaged_shop(tmp_path / "shop.unspool")
    with History(FileStore.open(tmp_path / "shop.unspool")) as history:
        path = next((name,) for name in states[0] if all(one[name] != other[name] for one, other in pairwise(states)))
        found = all_writes(history, path, skip_damaged=True)
        assert not found.complete
        assert [write.seq for write in found.writes if not write.certain] == [hole.stop]
        assert [write.seq for write in found.writes if write.certain] == [
            *range(len(states) - 1, hole.stop, -1), *range(hole.start - 1, -1, -1),
        ]  # fmt: skip
