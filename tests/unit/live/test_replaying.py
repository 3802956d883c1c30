"""What would have been without some entries: the app's reducer makes the others once more, as a fork."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.examples import examples
from unspool import Recorder, open_history
from unspool.errors import ConfigError, EntryNotFound, HistoryLocked
from unspool.live.replaying import NotReproduced, reducer_named, replay
from unspool.model.json_text import to_json
from unspool_tui.cli import run


def bank(state: dict[str, Any], event: dict[str, Any]) -> dict[str, Any]:
    """Move money between accounts; a payment that the account does not cover is refused."""
    accounts = dict(state["accounts"])
    if event["type"] == "open":
        accounts[event["name"]] = 0
    elif event["type"] == "pay" and accounts[event["name"]] + event["amount"] >= 0:
        accounts[event["name"]] += event["amount"]
    return {"accounts": accounts, "count": state["count"] + 1}


EVENTS = [
    {"type": "open", "name": "ann"},
    {"type": "open", "name": "bob"},
    {"type": "pay", "name": "ann", "amount": 100},
    {"type": "pay", "name": "bob", "amount": 30},
    {"type": "pay", "name": "ann", "amount": -80},
    {"type": "pay", "name": "bob", "amount": -20},
]


def recorded(file: Path, events: list[dict[str, Any]] = EVENTS) -> list[dict[str, Any]]:
    states = [{"accounts": {}, "count": 0}]
    with Recorder(file, caller=True) as recorder:
        recorder.record(states[0], "begin")
        for event in events:
            states.append(bank(states[-1], event))
            recorder.record(states[-1], event["type"], event=event, meta={"user": "clerk"})
    return states


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "bank.unspool"


def test_the_events_that_are_left_become_a_fork(file: Path) -> None:
    states = recorded(file)
    found = replay(file, bank, [3])
    assert (found.parent, found.first, found.last, found.skipped, found.checked, found.taken) == (2, 7, 9, (3,), 6, 0)
    with open_history(file) as history:
        assert [history.state(seq) for seq in range(7)] == states
        assert [history[seq].parent_seq for seq in (7, 8, 9)] == [2, 7, 8]
        # Without the 100, the 80 are not covered.
        assert history.state(9) == {"accounts": {"ann": 0, "bob": 10}, "count": 5}
        assert [history[seq].meta["replayed"] for seq in (7, 8, 9)] == [4, 5, 6]
        assert [history[seq].meta["event"] for seq in (7, 8, 9)] == EVENTS[3:]
        assert all(history[seq].meta["user"] == "clerk" for seq in (7, 8, 9))
        assert all("caller" not in history[seq].meta for seq in (7, 8, 9))
        assert [history[seq].action for seq in (7, 8, 9)] == ["pay", "pay", "pay"]


def test_a_fork_can_be_replayed_again(file: Path) -> None:
    recorded(file)
    replay(file, bank, [3])
    found = replay(file, bank, [8])
    with open_history(file) as history:
        assert found.parent == 7
        assert history.state(found.last) == {"accounts": {"ann": 0, "bob": 10}, "count": 4}
    with pytest.raises(EntryNotFound, match="entry 5 is not on the line that leads to entry"):
        replay(file, bank, [5])
    assert replay(file, bank, [5], at=6).parent == 4


def test_the_last_entry_alone_may_be_left_out(file: Path) -> None:
    states = recorded(file)
    found = replay(file, bank, [-1])
    with open_history(file) as history:
        assert history.state(found.first) == states[5]
        assert history[found.first].parent_seq == 5
        assert history[found.first].action == "without 6"


def test_a_reducer_that_is_not_the_apps_is_refused_at_the_first_entry_that_it_makes_otherwise(file: Path) -> None:
    recorded(file)

    def generous(state: dict[str, Any], event: dict[str, Any]) -> dict[str, Any]:
        made = bank(state, event)
        if event.get("amount", 0) > 50:
            made["accounts"]["ann"] += 1
        return made

    with pytest.raises(
        NotReproduced, match=r"entry 3 \(pay\) is the first .*: it makes accounts.ann 101, recorded is 100"
    ) as refused:
        replay(file, generous, [6])
    assert refused.value.seq == 3
    with open_history(file) as history:
        assert len(history) == 7


@pytest.mark.parametrize(
    ("reducer", "told"),
    [
        (lambda state, event: None, "the reducer returned a NoneType"),
        (lambda state, event: 1 / 0, "the reducer raised ZeroDivisionError"),
        (lambda state, event: {"accounts": object()}, "entry 1"),
        (lambda state, event: {}, "it makes accounts nothing"),
        (lambda state, event: {**state, "more": 1}, "entry 1 (open) is the first"),
    ],
)
def test_what_a_reducer_does_wrong_is_told_and_nothing_recorded(file: Path, reducer: Any, told: str) -> None:
    recorded(file)
    with pytest.raises((ConfigError, NotReproduced)) as refused:
        replay(file, reducer, [6])
    assert told in str(refused.value)
    with open_history(file) as history:
        assert len(history) == 7


def test_an_event_that_cannot_stand_without_those_before_leaves_no_half_a_fork(file: Path) -> None:
    recorded(file)
    with pytest.raises(ConfigError, match="entry 3 .*KeyError.* without 1; nothing was recorded"):
        replay(file, bank, [1])
    with open_history(file) as history:
        assert len(history) == 7


def test_a_reducer_may_change_what_it_is_given(file: Path) -> None:
    def in_place(state: dict[str, Any], event: dict[str, Any]) -> dict[str, Any]:
        made = bank(state, dict(event))
        state.clear()
        event.clear()
        state.update(made)
        return state

    recorded(file)
    assert replay(file, in_place, [3]).last == 9


def test_entries_without_an_event_are_taken_before_and_refused_behind(file: Path) -> None:
    state = {"accounts": {}, "count": 0}
    with Recorder(file) as recorder:
        recorder.record(state, "begin")
        state = {"accounts": {"ann": 5}, "count": 1}
        recorder.record(state, "import")
        recorder.note("closing time")
        for number in (3, 4):
            state = bank(state, {"type": "pay", "name": "ann", "amount": number})
            recorder.record(state, "pay", event={"type": "pay", "name": "ann", "amount": number})
        recorder.record({**state, "count": 99}, "by hand")
    with pytest.raises(ConfigError, match=r"entry 5 \(by hand\) changes the state and has no event"):
        replay(file, bank, [3])
    found = replay(file, bank, [3], at=4)
    assert (found.checked, found.taken) == (2, 1)
    with open_history(file) as history:
        assert history.state(found.last)["accounts"] == {"ann": 9}


def test_a_file_that_a_program_records_into_is_refused_with_a_way_out(file: Path, tmp_path: Path) -> None:
    recorded(file)
    program = f"from unspool import Recorder; r = Recorder({str(file)!r}); print(flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        with pytest.raises(HistoryLocked, match=r"unspool convert .* copy.unspool"):
            replay(file, bank, [3])
        copy = tmp_path / "copy.unspool"
        assert run(["convert", str(file), str(copy), "--quiet"]) == 0
        assert replay(copy, bank, [3]).last == 9
        process.communicate(b"\n")


@settings(max_examples=examples(40), deadline=None)
@given(data=st.data(), count=st.integers(2, 12))
def test_a_fork_is_what_the_app_would_have_done(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, count: int
) -> None:
    file = tmp_path_factory.mktemp("any") / "bank.unspool"
    names = st.sampled_from(["ann", "bob"])
    events = EVENTS[:2] + [
        {"type": "pay", "name": data.draw(names), "amount": data.draw(st.integers(-5, 5))} for _ in range(count)
    ]
    recorded(file, events)
    skip = data.draw(st.sets(st.integers(3, count + 2), min_size=1, max_size=count - 1))
    found = replay(file, bank, skip)
    state: dict[str, Any] = {"accounts": {}, "count": 0}
    for seq, event in enumerate(events, 1):
        if seq not in skip:
            state = bank(state, event)
    with open_history(file) as history:
        assert to_json(history.state(found.last)) == to_json(state)
        assert history[found.first].parent_seq == min(skip) - 1


class TestTheCommand:
    @pytest.fixture(autouse=True)
    def module(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "path", list(sys.path))
        (tmp_path / "replayed_bank.py").write_text(
            "class Rules:\n    @staticmethod\n    def reduce(state, event):\n"
            "        from test_replaying_bank import bank\n        return bank(state, event)\n\n"
            "def broken(state, event):\n    return state\n"
        )
        (tmp_path / "test_replaying_bank.py").write_text(
            "def bank(state, event):\n    accounts = dict(state['accounts'])\n    if event['type'] == 'open':\n"
            "        accounts[event['name']] = 0\n    elif accounts[event['name']] + event['amount'] >= 0:\n"
            "        accounts[event['name']] += event['amount']\n"
            "    return {'accounts': accounts, 'count': state['count'] + 1}\n"
        )
        (tmp_path / "failing_module.py").write_text("raise RuntimeError('no database')\n")

    def test_it_says_what_came_of_it(self, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
        recorded(file)
        assert run(["replay", str(file), "--reducer", "replayed_bank:Rules.reduce", "--skip", "3,4"]) == 0
        told = capsys.readouterr()
        assert told.out == ""
        assert "without 3, 4, entries 7 to 8 follow entry 2; the reducer made 6 recorded states before" in told.err
        assert (
            run(
                ["replay", str(file), "--reducer", "replayed_bank:Rules.reduce", "--skip", "3", "--at", "6", "--json"]
            )
            == 0
        )
        assert json.loads(capsys.readouterr().out) == {
            "parent": 2, "first": 9, "last": 11, "skipped": [3], "checked": 6, "taken": 0
        }  # fmt: skip

    @pytest.mark.parametrize(
        ("reducer", "skip", "code", "told"),
        [
            ("replayed_bank:broken", "3", 3, "entry 1 (open) is the first that the reducer does not reproduce"),
            ("replayed_bank:none", "3", 2, "replayed_bank has no function none"),
            ("no_such_module:f", "3", 2, "No module named 'no_such_module'"),
            ("failing_module:f", "3", 2, "importing failing_module raised RuntimeError: no database"),
            ("replayed_bank", "3", 2, "write MODULE:FUNCTION"),
            ("replayed_bank:broken", "x", 2, "write numbers of entries"),
            ("replayed_bank:Rules.reduce", "0", 2, "is the first of its line"),
            ("replayed_bank:Rules.reduce", "77", 2, "has no entry 77"),
        ],
    )
    def test_what_is_wrong_is_one_line(
        self, reducer: str, skip: str, code: int, told: str, file: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        recorded(file)
        assert run(["replay", str(file), "--reducer", reducer, "--skip", skip]) == code
        said = capsys.readouterr().err.splitlines()
        assert len(said) == 1
        assert told in said[0]

    def test_a_reducer_of_a_folder_is_found_by_its_name(self) -> None:
        assert reducer_named("replayed_bank:broken")({"a": 1}, None) == {"a": 1}
