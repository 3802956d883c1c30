"""Bisect: where an answer flips, checked against asking every state."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from question_histories import Told, damage_a_block, histories, tell

from unspool.errors import CorruptHistory, EntryNotFound, ExpressionError
from unspool.history import History
from unspool.model.encoding import encode
from unspool.query.bisect import bisect
from unspool.query.expressions import Expression
from unspool.recorder import Recorder
from unspool.store import MemoryStore
from unspool.store.file import FileStore

questions = st.sampled_from(
    [
        "length(rows) > 2",
        "conf.k",
        "rows[?value == 1]",
        "numbers[0] == 1",
        "conf.x || extra",
        "@",
        "keys(@)",
        "extra == null",
    ]
)


def is_known(told: Told, text: str) -> bool:
    """Whether every atom that a question reads is in some entry; others are refused."""
    reads = Expression(text).reads
    return reads is None or all(any(atom in state for state in told.states) for atom in reads)


def brute_truth(told: Told, text: str) -> list[bool]:
    """Whether a question holds, for every state."""
    expression = Expression(text)
    return [expression.ask({atom: encode(value) for atom, value in state.items()}).holds for state in told.states]


@given(histories(), questions)
def test_flips_are_where_an_entry_answers_otherwise_than_the_one_it_follows(told: Told, text: str) -> None:
    assume(is_known(told, text))
    truth = brute_truth(told, text)
    expected = [
        (seq, parent, truth[seq])
        for seq, parent in enumerate(told.parents)
        if parent is not None and truth[seq] is not truth[parent]
    ]
    found = bisect(told.history, text)
    assert [(flip.seq, flip.parent_seq, flip.holds) for flip in found.flips] == expected
    assert (found.holds_first, found.holds_last) == (truth[0], truth[-1])
    assert found.complete
    assert found.avoided == max(0, len(truth) - found.asked)
    assert all(flip.certain for flip in found.flips)


@given(histories(), questions, st.data())
def test_flips_along_a_line_are_those_of_its_entries(told: Told, text: str, data: st.DataObject) -> None:
    assume(is_known(told, text))
    at = data.draw(st.integers(0, len(told.states) - 1))
    truth = brute_truth(told, text)
    line = told.line(at)
    expected = [seq for before, seq in pairwise(line) if truth[before] is not truth[seq]]
    assert [flip.seq for flip in bisect(told.history, text, at=at).flips] == expected
    if len(expected) == 1:
        single = bisect(told.history, text, at=at, assume_single_flip=True)
        assert [flip.seq for flip in single.flips] == expected
        assert single.single


@given(histories())
def test_a_python_function_is_asked_like_an_expression(told: Told) -> None:
    def many(state: Mapping[str, Any]) -> bool:
        return "rows" in state and isinstance(state["rows"], list) and len(state["rows"]) > 2

    def whole(state: Mapping[str, Any]) -> int:
        return len(state) % 2

    for function in (many, whole):
        truth = [bool(function(state)) for state in told.states]
        expected = [
            seq for seq, parent in enumerate(told.parents) if parent is not None and truth[seq] is not truth[parent]
        ]
        assert [flip.seq for flip in bisect(told.history, function).flips] == expected


def test_only_entries_that_change_what_is_read_are_rebuilt() -> None:
    told = tell([{"a": step // 100, "b": step, "c": {"x": step % 7}} for step in range(400)])
    found = bisect(told.history, "a > 1")
    assert [flip.seq for flip in found.flips] == [200]
    assert (found.asked, found.avoided) == (4, 396)
    watched = bisect(told.history, lambda state: state["a"] > 1)
    assert [flip.seq for flip in watched.flips] == [200]
    assert watched.asked == 4


def test_a_single_flip_is_found_in_a_few_steps_and_told_with_both_results() -> None:
    told = tell([{"n": step} for step in range(1000)])
    found = bisect(told.history, "n >= 700", assume_single_flip=True)
    (flip,) = found.flips
    assert (flip.seq, flip.parent_seq, flip.old, flip.new, flip.holds) == (700, 699, False, True, True)
    assert found.asked <= 12
    assert found.first is found.last is flip


def test_an_assumed_flip_that_is_none_is_no_flip() -> None:
    told = tell([{"n": step % 4} for step in range(9)])
    found = bisect(told.history, "n == 0", assume_single_flip=True)
    assert found.flips == ()
    assert found.holds_first is found.holds_last is True
    assert found.single


def test_a_question_that_never_holds_and_one_that_cannot_be_answered() -> None:
    told = tell([{"a": [1]}, {"b": 1}, {"a": [1, 2]}])
    nothing = bisect(told.history, "b.away > 3")
    assert nothing.flips == ()
    assert nothing.holds_first is False
    found = bisect(told.history, "length(a) >= 1")
    assert [flip.seq for flip in found.flips] == [1, 2]
    assert found.failures == 1
    assert found.failure.startswith("entry 1: In function length()")


@pytest.mark.parametrize("single", [False, True])
def test_histories_of_no_and_one_entry(single: bool) -> None:
    empty = bisect(tell([]).history, "a", assume_single_flip=single)
    assert (empty.flips, empty.holds_first, empty.asked, empty.complete) == ((), None, 0, True)
    one = bisect(tell([{"a": 1}]).history, "a", assume_single_flip=single)
    assert (one.flips, one.holds_first, one.holds_last) == ((), True, True)
    with pytest.raises(EntryNotFound):
        bisect(tell([]).history, "a", at=0)


def test_a_question_that_does_not_parse_is_refused() -> None:
    with pytest.raises(ExpressionError, match="column 5"):
        bisect(tell([{"a": 1}]).history, "a > ")


def test_a_cancelled_bisect_tells_what_it_found_and_that_it_is_not_all() -> None:
    told = tell([{"n": step % 2} for step in range(50)])
    asked = iter([False] * 11 + [True])
    found = bisect(told.history, "n == 1", cancelled=lambda: next(asked))
    assert [flip.seq for flip in found.flips] == list(range(1, 11))
    assert not found.complete


def test_progress_reaches_the_end() -> None:
    seen: list[tuple[int, int]] = []
    bisect(
        tell([{"n": step} for step in range(3000)]).history,
        "n > 5",
        progress=lambda done, of: seen.append((done, of)),
    )
    assert seen[-1] == (3000, 3000)
    assert len(seen) > 1


def test_what_a_function_raises_is_raised() -> None:
    def broken(state: Mapping[str, Any]) -> bool:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        bisect(tell([{"a": 1}]).history, broken)


@pytest.mark.parametrize("single", [False, True])
def test_damage_is_named_and_stepped_over_when_asked(tmp_path: Path, single: bool) -> None:
    path = tmp_path / "count.unspool"
    with Recorder(path, on_error="raise") as recorder:
        for step in range(300):
            recorder.record({"n": step, "text": f"number {step} " * 9})
    hole = damage_a_block(path)
    with History(FileStore.open(path)) as history:
        with pytest.raises(CorruptHistory, match=f"entry {hole.start}"):
            bisect(history, f"n >= {hole.start + 9}", assume_single_flip=single)
        found = bisect(history, f"n >= {hole.start + 9}", skip_damaged=True, assume_single_flip=single)
        (flip,) = found.flips
        assert (flip.seq, flip.certain) == (hole.stop, False)
        assert not found.complete
        assert {problem.place for problem in found.problems} <= {f"entry {seq}" for seq in hole}
        behind = bisect(history, f"n >= {hole.stop + 5}", skip_damaged=True, assume_single_flip=single)
        assert [(flip.seq, flip.certain) for flip in behind.flips] == [(hole.stop + 5, True)]


def test_what_changed_inside_damage_is_seen_right_behind_it_though_more_changes_follow(tmp_path: Path) -> None:
    path, ones = tmp_path / "x.unspool", range(140, 250)
    with Recorder(path, on_error="raise") as recorder:
        for step in range(300):
            recorder.record({"n": step, "x": int(step in ones), "text": f"number {step} " * 9})
    hole = damage_a_block(path)
    assert ones.start in hole
    assert hole.stop < ones.stop
    with History(FileStore.open(path)) as history:
        found = bisect(history, "x == 1", skip_damaged=True)
        told = [(flip.seq, flip.holds, flip.certain) for flip in found.flips]
        assert told == [(hole.stop, True, False), (ones.stop, False, True)]


def test_what_holds_at_the_last_entry_is_never_told_of_another() -> None:
    store = MemoryStore()
    with Recorder(store) as recorder:
        for at in range(10):
            recorder.record({"a": at})
    history = History(store)
    for text in ("a >= 2", "a < 7", "a > 8", "a < 1"):
        whole = bisect(history, text)
        assert bisect(history, text, assume_single_flip=True).holds_last is whole.holds_last
        assert whole.holds_last is text.startswith("a >")
        assert bisect(history, text, most=1).holds_last is None
    assert bisect(history, "a >= 2", cancelled=lambda: True).holds_last is None


def test_the_last_entry_of_a_fork_answers_for_itself() -> None:
    store = MemoryStore()
    with Recorder(store) as recorder:
        recorder.record({"a": 1, "b": 1})
        recorder.record({"a": 2, "b": 1})
        recorder.record({"a": 1, "b": 2}, parent_seq=0)
    found = bisect(History(store), "a == 2")
    assert [(flip.seq, flip.holds) for flip in found.flips] == [(1, True)]
    assert found.holds_last is False
