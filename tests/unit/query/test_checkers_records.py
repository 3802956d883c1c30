"""Ids that stand twice and tables that leak are found where they begin; collections that live as usual are left alone."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.examples import examples
from support.values import json_states
from unspool.history import History
from unspool.query.checkers import CheckFinding, Rule, check
from unspool.recorder import Recorder
from unspool.store import MemoryStore


def recorded(steps: list[tuple[str, dict[str, Any]]]) -> History:
    store = MemoryStore()
    recorder = Recorder(store, on_error="raise")
    for seq, (action, state) in enumerate(steps):
        recorder.record(state, action, timestamp_ns=seq * 10**9)
    return History(store)


def findings(history: History, name: str, **options: Any) -> tuple[CheckFinding, ...]:
    report = check(history, [Rule(name, name, options)], plugins={})
    assert report.problems == ()
    return report.findings


def library(seed: int, *, entries: int, twice: range) -> History:
    """Return a library of songs; while `twice` the newest has the id of an older one."""
    chance = random.Random(seed)
    songs: list[dict[str, Any]] = []
    steps = []
    for seq in range(entries):
        if seq == twice.start:
            songs.append({"id": songs[0]["id"], "secs": 16})
            action = "import"
        elif seq == twice.stop:
            songs = [song for song in songs if song["secs"] != 16]
            action = "clean up"
        elif len(songs) > 6 and chance.random() < 0.5:
            songs.remove(chance.choice([song for song in songs[1:] if song["secs"] != 16]))
            action = "remove"
        else:
            songs.append({"id": 1000 + seq, "secs": 20 + chance.randrange(100)})
            action = "add"
        steps.append((action, {"library": [dict(song) for song in songs], "n": seq}))
    return recorded(steps)


def test_an_id_that_stands_twice_is_found_with_the_entries_between_which_it_does() -> None:
    (found,) = findings(library(1, entries=160, twice=range(93, 130)), "duplicate")
    assert (found.seq, found.path, found.action, found.severity) == (93, "library", "import", "error")
    assert found.message == "id 1000 stands twice, from entry 93 to 129"
    (found,) = findings(library(1, entries=120, twice=range(93, 130)), "duplicate")
    assert found.message == "id 1000 stands twice, from entry 93 to the end"


def test_a_list_that_goes_away_ends_what_stood_twice_in_it() -> None:
    lines = [{"id": n} for n in range(8)]
    steps = [
        ("open", {"carts": {"ada": {"lines": lines}}}),
        ("add", {"carts": {"ada": {"lines": [*lines, {"id": 3}]}}}),
    ]
    history = recorded([*steps, ("think", steps[1][1] | {"n": 1}), ("leave", {"carts": {}, "n": 1})])
    # Eight records told each other apart seven times: too seldom to be sure.
    assert findings(history, "duplicate") == ()
    more = [*lines, *({"id": n} for n in range(8, 14))]
    steps = [
        ("open", {"carts": {"ada": {"lines": more}}}),
        ("add", {"carts": {"ada": {"lines": [*more, {"id": 3}]}}}),
    ]
    history = recorded([*steps, ("think", steps[1][1] | {"n": 1}), ("leave", {"carts": {}, "n": 1})])
    (found,) = findings(history, "duplicate")
    assert found.message == "id 3 stands twice, from entry 1 to 2"


@pytest.mark.parametrize("name", ["order_id", "sku", "userId"])
def test_a_field_by_which_records_refer_to_others_may_stand_twice(name: str) -> None:
    chance = random.Random(4)
    lines: list[dict[str, Any]] = []
    steps = []
    for seq in range(200):
        lines = [*lines[-8:], {name: chance.randrange(40), "n": seq}]
        steps.append(("add", {"lines": lines}))
    assert findings(recorded(steps), "duplicate") == ()


@settings(max_examples=examples(40))
@given(st.lists(st.lists(st.integers(0, 30), max_size=8), min_size=1, max_size=30))
def test_duplicates_are_those_a_look_at_every_list_finds(rows: list[list[int]]) -> None:
    known, expected = 0, set()
    standing: dict[int, int] = {}
    is_shared = False
    before: list[int] | None = None
    for seq, row in enumerate(rows):
        if row == before:
            continue
        before = row
        twice = {value for value in row if row.count(value) > 1}
        known += 0 if twice or not row else len(row) - 1
        is_shared = is_shared or bool(twice and known < 10)
        now = set() if is_shared else twice
        expected |= {(since, value) for value, since in standing.items() if value not in now}
        standing = {value: standing.get(value, seq) for value in now}
    expected |= {(since, value) for value, since in standing.items()}
    history = recorded([("edit", {"rows": [{"id": value} for value in row]}) for row in rows])
    found = findings(history, "duplicate")
    assert {(item.seq, int(item.message.split()[1])) for item in found} == expected


# --- tables that leak ------------------------------------------------------------------------------------------------


def sessions(seed: int, *, leaks: bool, as_list: bool = False, grows: bool = False, entries: int = 600) -> History:
    """Return a server whose handlers go with their sessions, but where it leaks, not after a timeout."""
    chance = random.Random(seed)
    live: dict[str, dict[str, Any]] = {}
    handlers: dict[str, dict[str, Any]] = {}
    steps = []
    for seq in range(entries):
        if live and chance.random() < (0.3 if grows else 0.5):
            name = chance.choice(sorted(live))
            del live[name]
            is_timeout = chance.random() < 0.15
            if not (leaks and is_timeout):
                del handlers[name]
            action = "timeout" if is_timeout else "close"
        else:
            live[f"s{seq}"] = {"since": seq}
            handlers[f"s{seq}"] = {"calls": 0}
            action = "connect"
        state: dict[str, Any] = {"sessions": {name: dict(item) for name, item in live.items()}}
        state["handlers"] = [{"id": name, **item} for name, item in handlers.items()] if as_list else dict(handlers)
        steps.append((action, state))
    return recorded(steps)


@pytest.mark.one_in(3)
@pytest.mark.parametrize("as_list", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_a_table_that_shrinks_at_every_normal_release_and_leaks_at_others_is_found(seed: int, as_list: bool) -> None:
    (found,) = findings(sessions(seed, leaks=True, as_list=as_list), "leak-floor")
    assert (found.path, found.checker) == ("handlers", "leak-floor")
    assert "low-water mark rises" in found.message
    if not as_list:
        assert found.action == "timeout"
        assert f"gone from sessions at entry {found.seq}" in found.message


@pytest.mark.one_in(3)
@pytest.mark.parametrize("seed", range(3))
def test_tables_whose_members_come_and_go_do_not_leak(seed: int) -> None:
    assert findings(sessions(seed, leaks=False), "leak-floor") == ()
    assert findings(sessions(seed, leaks=False, grows=True), "leak-floor") == ()


@settings(max_examples=examples(30))
@given(st.lists(json_states, max_size=12))
def test_any_state_is_borne(states: list[dict[str, Any]]) -> None:
    history = recorded([("", state) for state in states])
    report = check(history, [Rule("duplicate", "duplicate", {}), Rule("leak-floor", "leak-floor", {})], plugins={})
    assert report.complete
