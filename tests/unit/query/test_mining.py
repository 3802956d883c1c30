"""Mined relations: what sound apps do raises no alarm, and faults of one line are found where they begin."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.examples import examples
from support.planted_apps import APPS, App, Ledger, Planted, recorded
from support.values import json_states
from unspool.history import History
from unspool.query.checkers import CheckFinding, Rule, check
from unspool.recorder import Recorder
from unspool.store import MemoryStore


def mined(history: History, **options: Any) -> tuple[CheckFinding, ...]:
    report = check(history, [Rule("mined", "mined", options)], plugins={})
    assert report.complete
    return report.findings


def alarms(history: History) -> list[CheckFinding]:
    return [found for found in mined(history) if found.severity != "info"]


def is_found(planted: Planted) -> bool:
    """Whether an alarm leads to where the fault first showed, within a few entries of it."""
    report = check(planted.history, [Rule("mined", "mined", {}), Rule("duplicate", "duplicate", {})], plugins={})
    found = [item.seq for item in report.findings if item.severity != "info"]
    return any(planted.first <= seq <= planted.first + 20 for seq in found)


FAULTS = [(kind, place, fault) for kind in APPS for place, fault in enumerate(kind.FAULTS)]
QUICK = ("enemies", "below", "account", "running", "lines", "chars", "cursor")


@pytest.mark.one_in(2)
@pytest.mark.parametrize("kind", APPS)
def test_a_sound_app_raises_no_alarm(kind: type[App]) -> None:
    assert alarms(recorded(kind(7), 400, begins=400).history) == []


@pytest.mark.one_in(4)
@pytest.mark.parametrize(("kind", "place", "fault"), [case for case in FAULTS if case[2] in QUICK])
def test_a_fault_of_one_line_is_found_where_it_begins(kind: type[App], place: int, fault: str) -> None:
    assert is_found(recorded(kind(100 + place, fault), 500, begins=300))


@pytest.mark.slow
def test_twenty_sound_histories_raise_at_most_one_alarm_in_a_thousand_entries() -> None:
    histories = [recorded(kind(seed), 1000, begins=1000).history for kind in APPS for seed in range(20, 24)]
    assert 1000 * sum(len(alarms(history)) for history in histories) <= sum(map(len, histories))


@pytest.mark.slow
def test_of_thirty_planted_faults_at_least_seven_in_ten_are_found() -> None:
    planted = [recorded(kind(200 + place, fault), 1000, begins=600) for kind, place, fault in FAULTS]
    shown = [item for item in planted if item.first >= 0]
    assert len(shown) >= 27
    assert 10 * sum(map(is_found, shown)) >= 7 * len(shown)


def test_a_finding_says_what_held_how_often_and_what_is_there_now() -> None:
    planted = recorded(Ledger(100, "amount"), 400, begins=240)
    (found,) = alarms(planted.history)
    assert (found.seq, found.action, found.path) == (planted.first, "transfer", "sum(accounts.*.balance)")
    assert found.message.startswith("sum(accounts.*.balance) stays the same by 'transfer' held for ")


def history_of(states: list[dict[str, Any]], action: str = "edit", gap_ms: int = 1000, **meta: Any) -> History:
    store = MemoryStore()
    recorder = Recorder(store, on_error="raise")
    for seq, state in enumerate(states):
        recorder.record(state, action, timestamp_ns=seq * gap_ms * 10**6, meta=meta)
    return History(store)


def counted(entries: int, *, wrong: range) -> list[dict[str, Any]]:
    """Return states in which `count` is the length of `rows`, but for some."""
    rows: list[int] = []
    states = []
    for seq in range(entries):
        rows = [*rows, seq] if seq % 5 < 3 else rows[:-1]
        states.append({"rows": rows, "count": len(rows) + (seq in wrong)})
    return states


def test_a_relation_that_was_hardly_tried_is_not_reported() -> None:
    assert mined(history_of(counted(30, wrong=range(20, 30)))) == ()
    (found,) = mined(history_of(counted(160, wrong=range(120, 124))))
    assert (found.seq, found.path, found.severity, found.recovered_at) == (120, "count", "warning", 124)


def test_what_breaks_and_is_mended_within_one_action_is_no_fault() -> None:
    states = counted(160, wrong=range(120, 121))
    assert mined(history_of(states))
    store = MemoryStore()
    recorder = Recorder(store, on_error="raise")
    for seq, state in enumerate(states):
        number = 120 if seq == 121 else seq
        recorder.record(state, "edit", timestamp_ns=seq * 10**9, meta={"action_id": number})
    assert mined(History(store)) == ()


def test_what_ends_with_something_new_is_mentioned_only() -> None:
    states = counted(160, wrong=range(120, 160))
    new = [state | ({"mode": "sample"} if seq >= 120 else {"mode": "all"}) for seq, state in enumerate(states)]
    assert {found.severity for found in mined(history_of(new))} <= {"info"}


def test_what_was_not_looked_at_for_want_of_time_is_said() -> None:
    history = history_of(counted(400, wrong=range(0)))
    report = check(history, [Rule("mined", "mined", {"seconds": 1e-9})], plugins={})
    (problem,) = report.problems
    assert "up to entry" in problem
    assert "more seconds" in problem


@settings(max_examples=examples(40))
@given(st.lists(json_states, max_size=12))
def test_any_state_is_borne(states: list[dict[str, Any]]) -> None:
    assert check(history_of(states), [Rule("mined", "mined", {})], plugins={}).complete


def test_odd_states_are_borne() -> None:
    deep: Any = 1
    for _ in range(2000):
        deep = {"k": deep}
    odd: list[dict[str, Any]] = [
        {"a": float("nan"), "b": float("inf"), "c": 10**400, "d": {1: 2, None: 3}, "e": (1, 2), "deep": deep},
        {"a": 0.0, "b": -0.0, "c": -1, "d": {}, "e": [], "odd key": {'q"': [1]}},
        {"a": None, "b": [], "c": {}, "d": [[1], [2]], "e": "x" * 1000},
    ]
    assert {found.severity for found in mined(history_of(odd * 12))} <= {"info", "warning"}
    store = MemoryStore()
    recorder = Recorder(store, on_error="raise")
    for seq, state in enumerate(counted(60, wrong=range(0))):
        recorder.record(state, "edit", timestamp_ns=seq * 10**9, **({"parent_seq": 10} if seq == 40 else {}))
    assert mined(History(store)) == ()
