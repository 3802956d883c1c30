"""Checkers against models that look at every pair of entries: the same findings, and no others."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from support.examples import examples
from unspool.history import History
from unspool.query.checkers import CheckReport, Rule, check, together
from unspool.recorder import Recorder
from unspool.store import MemoryStore

MILLISECOND = 1_000_000
values = st.lists(st.integers(0, 3), min_size=1, max_size=40)


def recorded(
    states: list[dict[str, Any]], actions: list[str] | None = None, times: list[int] | None = None
) -> History:
    store = MemoryStore()
    recorder = Recorder(store, on_error="raise")
    for place, state in enumerate(states):
        moment = (times[place] if times else place * 1000) * MILLISECOND
        recorder.record(state, actions[place] if actions else "", timestamp_ns=moment)
    return History(store)


def report_of(history: History, name: str, **options: Any) -> CheckReport:
    report = check(history, [Rule(name, name, options)], plugins={})
    assert report.problems == ()
    return report


def found(history: History, name: str, **options: Any) -> list[tuple[int, int]]:
    return [(finding.seq, finding.since) for finding in report_of(history, name, **options).findings]


def changes_in(row: list[Any]) -> list[int]:
    return [seq for seq in range(1, len(row)) if row[seq] != row[seq - 1]]


@settings(max_examples=examples(60))
@given(row=values, within=st.integers(1, 12), times=st.integers(1, 3))
def test_oscillation_is_told_where_a_value_has_come_back_often_enough(
    row: list[int], within: int, times: int
) -> None:
    expected = []
    run, since = 0, 0
    changed = changes_in(row)
    for place, seq in enumerate(changed):
        before = changed[place - 1] if place else None
        comes_back = before is not None and seq - before <= within and row[before - 1] == row[seq]
        run, since = (run + 1, since) if comes_back else (0, seq)
        if run == times:
            expected.append((seq, since))
    states = [{"m": value, "n": seq} for seq, value in enumerate(row)]
    assert found(recorded(states), "oscillation", path="m", within=within, times=times) == expected


@settings(max_examples=examples(60))
@given(row=st.lists(st.integers(0, 40), min_size=1, max_size=60), growths=st.integers(1, 8))
def test_a_leak_is_an_atom_that_grew_often_enough_and_never_shrank(row: list[int], growths: int) -> None:
    states = [{"log": "x" * (size * 100), "n": seq} for seq, size in enumerate(row)]
    changed = changes_in(row)
    rises = sum(row[seq] > row[seq - 1] for seq in changed)
    grew = row[-1] * 100 >= 2 * row[0] * 100 and (row[-1] - row[0]) * 100 >= 300
    told = found(recorded(states), "leak", path="log", growths=growths)
    never_shrank = all(row[seq] > row[seq - 1] for seq in changed)
    if rises < growths or not never_shrank or row[-1] <= row[0]:
        assert told == []
    elif grew and row[-1] * 100 > 2 * (row[0] * 100 + 10):
        assert told == [(changed[-1], 0)]


@settings(max_examples=examples(60))
@given(row=values, writes=st.integers(2, 5), within=st.integers(2, 20))
def test_thrash_begins_and_ends_with_the_same_value(row: list[int], writes: int, within: int) -> None:
    changed = changes_in(row)
    told = found(recorded([{"m": value, "n": seq} for seq, value in enumerate(row)]), "thrash",
                 path="m", writes=writes, within=within)  # fmt: skip
    possible = {
        (seq, changed[place - writes + 1])
        for place, seq in enumerate(changed)
        if place >= writes - 1
        and seq - changed[place - writes + 1] < within
        and row[changed[place - writes + 1] - 1] == row[seq]
    }
    assert set(told) <= possible
    assert bool(told) == bool(possible)
    assert not told or told[0] == min(possible)


@settings(max_examples=examples(60))
@given(steps=st.lists(st.tuples(st.integers(0, 2), st.sampled_from(["a", "b", ""]), st.integers(0, 80)), max_size=30))
def test_overwrites_are_within_one_short_run_of_one_name(steps: list[tuple[int, str, int]]) -> None:
    times, now = [], 0
    for _, _, pause in steps:
        now += pause
        times.append(now)
    rows, actions = [value for value, _, _ in steps], [action for _, action, _ in steps]
    groups: list[list[int]] = []
    for seq in range(len(steps)):
        joins = groups and actions[seq] == actions[seq - 1] and times[seq] - times[seq - 1] <= 50
        if joins:
            groups[-1].append(seq)
        else:
            groups.append([seq])
    expected = []
    for group in groups:
        wrote = [seq for seq in group if seq == 0 or rows[seq] != rows[seq - 1]]
        if len(group) <= 8 and actions[group[0]]:
            expected += [(later, earlier) for earlier, later in pairwise(wrote)]
    turns = [seq for seq in range(1, len(steps)) if actions[seq] != actions[seq - 1]]
    fast = [seq for seq in turns if times[seq] - times[seq - 1] <= 50]
    if len(turns) >= 20 and 2 * len(fast) > len(turns):
        expected = []
    history = recorded([{"v": value} for value in rows], actions, times)
    assert found(history, "overwrite") == expected


def test_where_all_entries_follow_each_other_fast_being_close_tells_nothing() -> None:
    actions = [("add", "add", "remove")[n % 3] for n in range(60)]
    states = [{"count": n} for n in range(60)]
    assert found(recorded(states, actions, list(range(60))), "overwrite") == []
    assert found(recorded(states, actions, [n // 3 * 300 + (0, 20, 150)[n % 3] for n in range(60)]), "overwrite")


def test_a_stream_of_entries_of_one_name_is_no_action() -> None:
    states = [{"tick": n} for n in range(500)]
    assert found(recorded(states, ["tick"] * 500, list(range(500))), "overwrite") == []


typed = st.one_of(st.integers(0, 3), st.text("ab", max_size=2), st.none(), st.booleans(), st.floats(0, 1))
NAMES = {int: "number", float: "number", str: "text", bool: "boolean"}


@settings(max_examples=examples(60))
@given(st.lists(typed, min_size=1, max_size=20))
def test_drift_is_told_once_for_each_further_type(row: list[Any]) -> None:
    expected: list[tuple[int, int]] = []
    known: dict[str, int] = {}
    before: Any = object()
    for seq, value in enumerate(row):
        changed = type(value) is not type(before) or value != before
        before = value
        kind = NAMES.get(type(value))
        if kind is None or not changed or kind in known:
            continue
        if known:
            expected.append((seq, next(iter(known.values()))))
        known[kind] = seq
    assert found(recorded([{"v": value} for value in row]), "drift") == expected


ids = st.lists(st.sampled_from("abc"), max_size=3)


@settings(max_examples=examples(60))
@given(st.lists(st.tuples(ids, ids), min_size=1, max_size=15))
def test_an_orphan_is_told_at_the_entry_at_which_it_becomes_one(rows: list[tuple[list[str], list[str]]]) -> None:
    expected: list[tuple[int, str]] = []
    lost: set[str] = set()
    for seq, (used, there) in enumerate(rows):
        now = set(used) - set(there)
        expected += [(seq, name) for name in now - lost]
        lost = now
    states = [{"cart": used, "stock": there} for used, there in rows]
    report = report_of(recorded(states), "orphan", **{"from": "cart[*]", "to": "stock[*]"})
    told = [(finding.seq, finding.message.split("'")[1]) for finding in report.findings]
    assert sorted(told) == sorted(expected)


def test_what_happens_at_once_is_shown_together() -> None:
    states = [{f"v{place}": n % 2 for place in range(20)} for n in range(6)]
    report = report_of(recorded(states), "oscillation")
    (group,) = together(report.findings)
    assert len(group) == 20
