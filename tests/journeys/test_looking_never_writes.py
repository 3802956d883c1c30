"""Whatever command looks at a source, and the app: not a byte of the source changes, and nothing of it goes away."""

from __future__ import annotations

import io
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

import pytest

from support.left_behind import FOREIGN, NATIVE, live_database, live_recording, prints
from unspool import Recorder, open_history
from unspool.history import History
from unspool.store import FileStore
from unspool_tui.cli import COMMANDS, run

CALLS: dict[str, list[list[str]]] = {
    "open": [["open", "SOURCE"], ["SOURCE"], ["open", "SOURCE", "--at", "0", "--no-follow"]],
    "log": [["log", "SOURCE"], ["log", "SOURCE", "--json", "-n", "3"], ["log", "SOURCE", "--kind", "full"]],
    "show": [["show", "SOURCE", "-1"], ["show", "SOURCE", "0", "--json"]],
    "diff": [["diff", "SOURCE", "0", "-1"], ["diff", "SOURCE", "0", "1", "--json"]],
    "stats": [["stats", "SOURCE"], ["stats", "SOURCE", "--json"]],
    "blame": [["blame", "SOURCE"]],
    "search": [["search", "SOURCE", "A-1"], ["search", "SOURCE", "A-1", "--skip-damaged"]],
    "bisect": [["bisect", "SOURCE", "stock[0].qty < `40`", "--skip-damaged"]],
    "why": [["why", "SOURCE", "stock[0].qty", "--skip-damaged"]],
    "shape": [["shape", "SOURCE", "--skip-damaged"]],
    "compare": [["compare", "SOURCE", "SOURCE", "--skip-damaged"]],
    "bytes": [["bytes", "SOURCE", "--skip-damaged"]],
    "convert": [["convert", "SOURCE", "OUT/converted.unspool"]],
    "export": [["export", "SOURCE", "OUT/states.jsonl", "--format", "jsonl"]],
    "events": [["events", "verify", "SOURCE"], ["events", "export", "SOURCE", "OUT/archive.rblogs"]],
    "compact": [["compact", "SOURCE", "OUT/small.unspool"]],
    "doctor": [
        ["doctor", "SOURCE"],
        ["doctor", "SOURCE", "--json"],
        ["doctor", "SOURCE", "--repair", "OUT/r.unspool"],
    ],
    "simulate": [["simulate", "SOURCE", "--entries", "20"]],
    "check": [["check", "SOURCE"]],
    "jump": [["jump", "SOURCE", "0"], ["jump", "SOURCE", "-1", "--look"], ["jump", "SOURCE", "--back"]],
    "pause": [["pause", "SOURCE"]],
    "resume": [["resume", "SOURCE"]],
    "skip": [["skip", "SOURCE", "0"]],
    "mcp": [["mcp", "SOURCE"]],
    "notes": [["notes", "SOURCE"], ["notes", "SOURCE", "--json"]],
    "share": [["share", "SOURCE", "OUT/part.html"], ["share", "SOURCE", "OUT/part.unspool", "--redact", "qty"]],
    "step": [["step", "SOURCE"]],
}
TAKE_LONG = {"mcp", "simulate", "check"}
"""These open their source by the same call as the others; one killed file and one database are enough for them."""
QUESTIONS = {
    "blame",
    "search",
    "bisect",
    "why",
    "shape",
    "compare",
    "bytes",
    "pause",
    "resume",
    "skip",
    "notes",
    "step",
}
"""These differ in what they ask of an open history only; a file in each of the usual states is enough for them."""
USUAL = {"closed", "killed", "log damaged", "graph closed with a log", "graph killed with a log"}
WITHOUT_A_LOOK = {
    "vacuum": "writes to its file",
    "replay": "writes to its file",
    "note": "writes beside its source",
    "schema": "has no source",
    "run": "records a program",
    "attach": "records a program",
    "listen": "records stores",
    "serve": "runs `open` for a browser",
    "demo": "has no source",
    "formats": "has no source",
    "ship": "empties spools",
    "completion": "has no source",
}


def test_every_command_is_called_or_has_a_reason() -> None:
    assert set(CALLS) | set(WITHOUT_A_LOOK) == set(COMMANDS)
    assert not set(CALLS) & set(WITHOUT_A_LOOK)
    assert not left_out("log damaged")
    assert not left_out("graph killed with a log")


def left_out(state: str) -> set[str]:
    """Return the commands that are not called on a source in some state, since they are on others."""
    return (set() if state == "log damaged" or state == "graph killed with a log" else TAKE_LONG) | (
        set() if state in USUAL else QUESTIONS
    )


def look(source: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, without: set[str]) -> None:
    """Call commands on a source; whatever each says, the folder of the source must stay as it is."""
    out = folder / "out"
    before = prints(source.parent)
    for name, calls in CALLS.items():
        for call in () if name in without else calls:
            out.mkdir(exist_ok=True)
            words = [word.replace("SOURCE", str(source)).replace("OUT", str(out)) for word in call]
            for stream in ("stdin", "stdout", "stderr"):
                monkeypatch.setattr(sys, stream, io.TextIOWrapper(io.BytesIO(), "utf-8"))
            code = run(words)
            assert code in {0, 1, 2, 3}, words
            assert prints(source.parent) == before, words
            shutil.rmtree(out)


def _mostly_slow(states: Iterable[str], quick: Collection[str]) -> list[Any]:
    return [pytest.param(state, marks=() if state in quick else pytest.mark.slow) for state in states]


@pytest.mark.one_in(2)
@pytest.mark.parametrize("state", _mostly_slow(NATIVE, ("killed", "log damaged", "closed")))
def test_commands_leave_a_native_file(state: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "in" / "app.unspool"
    source.parent.mkdir()
    NATIVE[state](source)
    look(source, tmp_path, monkeypatch, left_out(state))


@pytest.mark.parametrize("state", _mostly_slow(FOREIGN, ("graph killed with a log",)))
def test_commands_leave_a_foreign_database(state: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "in" / "app.db"
    source.parent.mkdir()
    FOREIGN[state](source)
    look(source, tmp_path, monkeypatch, left_out(state))


def test_commands_leave_a_file_that_is_being_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "in" / "app.unspool"
    source.parent.mkdir()
    with live_recording(source) as recorder:
        look(source, tmp_path, monkeypatch, TAKE_LONG)
        recorder.record({"after": 1})
        with open_history(source) as history:
            assert history.state(-1) == {"after": 1}
    with open_history(source) as history:
        assert len(history) == 41


def test_commands_leave_a_database_that_is_being_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "in" / "app.db"
    source.parent.mkdir()
    with live_database(source) as writer:
        look(source, tmp_path, monkeypatch, TAKE_LONG)
        writer.execute("UPDATE checkpoints SET metadata = metadata")


@pytest.mark.parametrize("state", ["graph closed", "graph closed with a log", "graph killed with a log"])
def test_a_database_is_followed_when_its_program_comes_back(state: str, tmp_path: Path) -> None:
    source = tmp_path / "app.db"
    FOREIGN[state](source)
    with open_history(source, format="langgraph") as history:
        before = len(history)
        assert before
        writer = sqlite3.connect(source, isolation_level=None)
        copied = (
            "INSERT INTO checkpoints SELECT thread_id, checkpoint_ns, '~' || checkpoint_id, parent_checkpoint_id, "
        )
        columns = [row[1] for row in writer.execute("PRAGMA table_info(checkpoints)")]
        rest = ", ".join(columns[4:])
        writer.execute(f"{copied}{rest} FROM checkpoints ORDER BY checkpoint_id DESC LIMIT 1")
        assert history.refresh() == 1
        writer.close()
        assert len(history) == before + 1


def test_an_unfinished_change_is_read_as_if_it_never_was(tmp_path: Path) -> None:
    FOREIGN["graph closed"](tmp_path / "whole.db")
    FOREIGN["graph killed in a change"](tmp_path / "killed.db")
    before = prints(tmp_path)
    with open_history(tmp_path / "whole.db") as whole, open_history(tmp_path / "killed.db") as killed:
        assert len(whole) > 0
        assert [whole.state(seq) for seq in range(len(whole))] == [killed.state(seq) for seq in range(len(killed))]
    assert prints(tmp_path) == before


def test_a_killed_file_reads_where_no_index_of_its_log_can_be_made(tmp_path: Path) -> None:
    path = tmp_path / "app.unspool"
    NATIVE["killed"](path)
    before = prints(tmp_path)
    # SQLite cannot make its index there, as in a folder that takes no new file.
    Path(f"{path}-shm").mkdir()
    for _ in range(2):
        with open_history(path) as history:
            assert len(history) == 200
            assert history.verdict.status == "complete"
    assert prints(tmp_path) == before
    Path(f"{path}-wal").write_bytes(b"\0" * 4000)
    before = prints(tmp_path)
    with open_history(path) as history:
        assert history.verdict.is_damaged
    assert prints(tmp_path) == before


def test_a_link_shows_what_its_file_shows(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    NATIVE["killed"](tmp_path / "real" / "app.unspool")
    (tmp_path / "link.unspool").symlink_to(tmp_path / "real" / "app.unspool")
    with open_history(tmp_path / "link.unspool") as history:
        assert len(history) == 200


def test_a_recorder_goes_on_after_readers_of_a_killed_file(tmp_path: Path) -> None:
    path = tmp_path / "app.unspool"
    NATIVE["killed"](path)
    readers = [History(FileStore.open(path)) for _ in range(3)]
    readers.pop().close()
    with Recorder(path, on_error="raise") as recorder:
        recorder.record({"after": 1})
        assert len(recorder.store) == 201
        assert [reader.refresh() for reader in readers] == [1, 1]
    for reader in readers:
        assert reader.state(200) == {"after": 1}
        reader.close()
    with open_history(path) as history:
        assert len(history) == 201
        assert history.verdict.status == "complete"


RECORDING = """
import sys
from unspool import Recorder
recorder = Recorder(sys.argv[1], on_error="raise")
number = len(recorder.store)
while True:
    recorder.record({"n": number, "twice": [number, 2 * number]})
    print(number, flush=True)
    number += 1
"""


def test_a_killed_recorder_loses_nothing_while_readers_come_and_go(tmp_path: Path) -> None:
    path = tmp_path / "app.unspool"
    acknowledged = -1
    for wanted in (150, 320):
        command = [sys.executable, "-c", RECORDING, str(path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            while acknowledged < wanted:
                acknowledged = int(child.stdout.readline())
                if acknowledged % 10 == 0:
                    with open_history(path) as history:
                        assert len(history) > acknowledged
                        assert history.state(acknowledged)["n"] == acknowledged
            with open_history(path) as history:
                child.kill()
                acknowledged = max(acknowledged, *map(int, child.stdout.read().split()), acknowledged)
                before = prints(tmp_path)
                history.refresh()
                assert len(history) > acknowledged
            assert prints(tmp_path) == before
    with Recorder(path, on_error="raise") as recorder:
        recorder.record({"n": -1})
    with open_history(path) as history:
        assert history.verdict.status == "complete"
        assert len(history) >= acknowledged + 2
        assert [history.state(seq)["n"] for seq in range(acknowledged + 1)] == list(range(acknowledged + 1))
