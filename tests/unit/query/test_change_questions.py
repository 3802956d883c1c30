"""Questions about changes, and questions as Python expressions."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from question_histories import Told, histories, tell

from unspool.errors import ExpressionError
from unspool.history import History
from unspool.query.bisect import bisect
from unspool.query.expressions import PythonQuestion
from unspool.query.search import ChangeQuestion, changes_where, search
from unspool.recorder import Recorder
from unspool.store import MemoryStore


def told(states: list[dict[str, Any]], **options: Any) -> History:
    return tell(states, **options).history


LEVELS = told([{"n": n, "other": number} for number, n in enumerate((1, 3, 3, 2, 5, 0))])


@pytest.mark.parametrize(
    ("text", "entries"),
    [
        ("after.n < before.n", [3, 5]), ("after.n > before.n", [1, 4]), ("after.n == before.n", [2]), ("sub(after.n, before.n) > 1", [1, 4]),
        ("before.n == null", [0]), ("action == 'step 1'", [1, 4]), ("action == 'step 1' && after.n > 4", [4]),
        ("time > '2023-11-14T22:13:22.5'", [3, 4, 5]), ("after != before", [0, 1, 2, 3, 4, 5]), ("before.n", [1, 2, 3, 4, 5]),
        ("$.after.n == 3", [1, 2]), ("meta.nothing || after.n == 5", [4]), ("keys(before) == keys(after)", [1, 2, 3, 4, 5]),
    ],
)  # fmt: skip
def test_a_change_sees_both_states_the_action_and_the_time(text: str, entries: list[int]) -> None:
    found = changes_where(LEVELS, text)
    assert [flip.seq for flip in found.flips] == entries
    assert [hit.seq for hit in search(LEVELS, ChangeQuestion(text))] == entries
    assert found.complete
    assert found.failures == ("sub" in text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("n < 3", "write after.n or before.n"), ("afer.n < before.n", "did you mean after?"), ("after.m > 1", "no entry has m; there are n, other"),
        ("before.othr > 1", "did you mean other?"), ("after.n <", "ends too early"),
    ],
)  # fmt: skip
def test_what_a_change_does_not_have_is_refused(text: str, said: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        changes_where(LEVELS, text)
    assert said in str(caught.value)


def test_a_change_at_a_fork_is_one_from_the_entry_it_follows() -> None:
    history = tell([{"n": 1}, {"n": 9}, {"n": 2}], [None, 0, 0]).history
    assert [flip.seq for flip in changes_where(history, "after.n < before.n").flips] == []
    assert [(flip.seq, flip.parent_seq) for flip in changes_where(history, "after.n > before.n").flips] == [
        (1, 0),
        (2, 0),
    ]


def test_notes_change_nothing() -> None:
    store = MemoryStore()
    with Recorder(store, on_error="raise") as recorder:
        recorder.record({"n": 1}, "one")
        recorder.note("said")
        recorder.record({"n": 2}, "two")
    assert [flip.seq for flip in changes_where(History(store), "after != before").flips] == [0, 2]


@given(histories())
def test_changes_agree_with_whole_states(found: Told) -> None:
    wanted = [seq for seq, state in enumerate(found.states) if found.before(seq) == state]
    assert [flip.seq for flip in changes_where(found.history, "before == after").flips] == wanted


class Mood(Enum):
    GOOD = "good"


@dataclass
class Row:
    qty: int
    mood: Mood


ROWS = told([{"rows": [Row(n, Mood.GOOD) for n in range(size)], "total": size, "odd name": 7} for size in range(5)])


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("sum(row['qty'] for row in rows) != total", 0), ("len(rows) > 2", 3), ("any(row['mood'] == 'good' for row in rows)", 1),
        ("state['odd name'] == 7 and total > 3", 4), ("[row for row in rows if row['qty'] > total - 2]", 1),
        ("max([row['qty'] for row in rows], default=0) >= 3", 4), ("(lambda x: x > 1)(total)", 2),
    ],
)  # fmt: skip
def test_a_python_expression_has_the_atoms_as_names(text: str, first: int) -> None:
    by_python = [seq for seq in range(5) if _plainly(text, seq)]
    found = bisect(ROWS, PythonQuestion(text))
    holding = [flip.seq for flip in found.flips if flip.holds] or ([0] if found.holds_first else [])
    assert holding[0] == by_python[0]
    assert not found.failures


def _plainly(text: str, size: int) -> bool:
    rows = [{"qty": n, "mood": "good"} for n in range(size)]
    names = {"rows": rows, "total": size, "state": {"odd name": 7}}
    return bool(eval(text, names))


def test_a_python_expression_reads_what_it_names() -> None:
    assert "rows" in (PythonQuestion("len(rows)").reads or ())
    assert PythonQuestion("state['rows']").reads is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("len(rowz) > 1", "no entry has rowz; did you mean rows?"), ("rows = 3", "is no Python expression"), ("rows >", "(column"),
        ("while True: pass", "is no Python expression"), ("odd name", "is no Python expression"), ("(" * 300, "is no Python expression"),
        ("x" * 20_001, "at most 20,000"),
    ],
)  # fmt: skip
def test_what_is_no_python_expression_over_the_atoms_is_refused(text: str, said: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        bisect(ROWS, PythonQuestion(text))
    assert said in str(caught.value)


def test_what_a_python_expression_does_to_a_value_is_gone_when_it_is_asked_again() -> None:
    found = bisect(ROWS, PythonQuestion("rows.append(1) or len(rows) > 3"))
    assert [flip.seq for flip in found.flips] == [3]
    assert [len(ROWS.state(seq)["rows"]) for seq in range(5)] == [0, 1, 2, 3, 4]


def test_where_a_python_expression_fails_it_is_not_answered() -> None:
    found = bisect(ROWS, PythonQuestion("rows[2]['qty'] == 2"))
    assert [flip.seq for flip in found.flips] == [3]
    assert (found.failures, found.failure) == (3, "entry 0: IndexError: list index out of range")
    (doubt,) = bisect(ROWS, PythonQuestion("rows['x']")).doubts
    assert "it could be worked out at no entry: TypeError" in doubt


@given(st.sampled_from(["(n for n in rows)", "object()", "{1, 2}", "lambda: 1", "b'x'", "1j"]))
def test_results_of_any_type_are_told(text: str) -> None:
    hits = list(search(ROWS, PythonQuestion(text)))
    assert all(isinstance(hit.text, str) for hit in hits)
