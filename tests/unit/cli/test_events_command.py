"""`unspool events`: source files recorded as they are saved, logs verified, archives in and out."""

from __future__ import annotations

import io
import json
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from support.waiting import wait_until
from unspool import open_history
from unspool.events import EventLog, reconstruct_source, write_source
from unspool.sources.formats.event_archives import Save, SourceSaves
from unspool_tui.cli import run

SEEDS = Path(__file__).parents[3] / "fixtures" / "seeds"
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def unspool(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    monkeypatch.chdir(tmp_path)

    def call(*words: str) -> tuple[int, str, str]:
        streams = [io.TextIOWrapper(io.BytesIO(), "utf-8", newline="\n") for _ in range(2)]
        for name, stream in zip(("stdout", "stderr"), streams, strict=True):
            monkeypatch.setattr(f"sys.{name}", stream)
        code = run(words)
        texts = []
        for stream in streams:
            stream.flush()
            buffer = stream.buffer
            assert isinstance(buffer, io.BytesIO)
            texts.append(buffer.getvalue().decode())
        return code, texts[0], texts[1]

    return call


def test_files_are_recorded_once(unspool: Run, tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x = 1\n")
    (tmp_path / "b.json").write_text('{"n": 1}')
    assert unspool("events", "record", "a.py", "b.json", "--once")[0] == 0
    (tmp_path / "a.py").write_text("x = 2\n")
    code, out, err = unspool("events", "record", "a.py", "b.json", "--once", "--json", "--log", "event-log.db")
    assert (code, err) == (0, "unspool: 1 event written to event-log.db\n")
    (event,) = map(json.loads, out.splitlines())
    assert (event["file"], event["sequence"], event["type"]) == ("a.py", 2, "space_evolved")
    with open_history(tmp_path / "event-log.db", follow=False) as history:
        assert history.state(-1) == {"a.py source": "x = 2\n", "b.json n": 1}


def test_a_file_that_cannot_be_read_is_told_and_the_others_are_recorded(unspool: Run, tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x = 1\n")
    code, out, err = unspool("events", "record", "gone.py", "a.py", "--once", "-q")
    assert (code, out) == (3, "")
    assert "gone.py" in err
    with EventLog("event-log.db") as log:
        assert log.spaces() == ("a.py",)


def test_the_log_itself_is_not_recorded(unspool: Run, tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x = 1\n")
    unspool("events", "record", "a.py", "--once")
    code, _, err = unspool("events", "record", "event-log.db", "--once")
    assert code == 3
    assert "is the event log itself" in err


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_saves_are_recorded_as_they_happen_until_the_program_is_ended(ending: signal.Signals, tmp_path: Path) -> None:
    source, log = tmp_path / "launch.py", tmp_path / "log.db"
    source.write_text("x = 0\n")
    words = ["events", "record", str(source), str(tmp_path / "later.py"), "--log", str(log), "--json"]
    command = [sys.executable, "-m", "unspool_tui.cli", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["sequence"] == 1
        for number in (1, 2):
            source.write_text(f"x = {number}\n")
            assert json.loads(process.stdout.readline())["sequence"] == number + 1
        replacement = tmp_path / "new"
        replacement.write_text("x = 3\n")
        replacement.replace(source)
        assert json.loads(process.stdout.readline())["sequence"] == 4
        (tmp_path / "later.py").write_text("y = 0\n")
        assert json.loads(process.stdout.readline())["file"].endswith("later.py")
        process.send_signal(ending)
        out, err = process.communicate(timeout=20)
    assert (process.returncode, out) == (0, "")
    assert "5 events written" in err
    with open_history(log, follow=False, select={"space": source.as_posix()}) as history:
        assert [history.state(seq)["source"] for seq in range(len(history))] == [f"x = {n}\n" for n in range(4)]
        assert history.verdict.status == "complete"


def test_a_log_is_verified(unspool: Run, tmp_path: Path) -> None:
    with EventLog("log.db") as log:
        write_source(log, "a.py", "2026-02-14T00:00:00.000Z", "x = 1\n", "python")
        write_source(log, "a.py", "2026-02-14T00:00:01.000Z", "x = 2\n", "python")
    code, out, _ = unspool("events", "verify", "log.db")
    assert (code, out) == (0, "log.db: 2 events, every hash and link holds\n")
    with sqlite3.connect("log.db") as connection:
        connection.execute("UPDATE events SET timestamp = '2026-02-14T00:00:09.000Z' WHERE sequence = 2")
    connection.close()
    code, out, _ = unspool("events", "verify", "log.db", "--json")
    assert code == 1
    report = json.loads(out)
    assert report["valid"] is False
    assert (report["first_broken_link"]["space"], report["first_broken_link"]["sequence"]) == ("a.py", 2)
    assert unspool("events", "verify", "log.db")[1].startswith("log.db: broken at event 2 of space 'a.py'")
    assert unspool("events", "verify", "log.db", "--space", "b")[0] == 3


def test_what_is_no_log_is_refused(unspool: Run, tmp_path: Path) -> None:
    (tmp_path / "thing").write_text("hello")
    for words in (("verify", "thing"), ("verify", "missing"), ("export", "thing", "out"), ("record", "thing", "--once", "--log", "thing")):  # fmt: skip
        code, out, err = unspool("events", *words)
        assert (code, out) == (3, "")
        assert err.count("\n") == 1


def test_e71_an_archive_goes_out_and_comes_in(unspool: Run, tmp_path: Path) -> None:
    golden = str(SEEDS / "ri-source-space.rblogs")
    code, out, _ = unspool("events", "import", golden, "log.db", "--json")
    assert code == 0
    assert json.loads(out) == [{"archive": golden, "imported": 4, "skipped": 0}]
    assert unspool("events", "import", golden, "log.db")[2].endswith("0 events imported, 4 already there\n")
    assert unspool("events", "export", "log.db", "out.rblogs")[0] == 0
    with open_history("out.rblogs") as ours, open_history(golden) as theirs:
        assert [entry.meta["hash"] for entry in ours] == [entry.meta["hash"] for entry in theirs]
    assert unspool("events", "export", "log.db", "out.rblogs")[0] == 3
    before = ("--before", "2026-02-14T00:00:02.000Z")
    assert unspool("events", "export", "log.db", "out.rblogs", "--force", *before)[0] == 0
    with open_history("out.rblogs") as history:
        assert len(history) == 2
    assert unspool("events", "export", "log.db", "log.db", "--force")[0] == 3
    assert unspool("events", "verify", "log.db")[0] == 0


def test_of_several_spaces_one_is_asked_for(unspool: Run, tmp_path: Path) -> None:
    with EventLog("log.db") as log:
        for name in ("a.py", "b.py"):
            write_source(log, name, "2026-02-14T00:00:00.000Z", "x = 1\n", "python")
    code, _, err = unspool("events", "export", "log.db", "out.rblogs")
    assert code == 2
    assert "Say which with --space: " in err
    assert "has 'a.py', 'b.py'; see `unspool events export --help`" in err
    assert unspool("events", "export", "log.db", "out.rblogs", "--space", "b.py")[0] == 0
    assert unspool("events", "export", "log.db", "out2.rblogs", "--space", "c.py")[0] == 3
    assert not Path("out2.rblogs").exists()


def test_e75_a_damaged_archive_changes_nothing(unspool: Run, tmp_path: Path) -> None:
    data = bytearray((SEEDS / "ri-source-space.rblogs").read_bytes())
    data[-1] ^= 1
    (tmp_path / "bad.rblogs").write_bytes(data)
    code, out, err = unspool("events", "import", "bad.rblogs", "log.db")
    assert (code, out) == (3, "")
    assert "checksum" in err
    with EventLog("log.db") as log:
        assert log.spaces() == ()


def test_a_file_emptied_while_it_is_saved_is_not_recorded_empty(tmp_path: Path) -> None:
    source = tmp_path / "launch.py"
    source.write_text("x = 0\n")
    seen: list[Save] = []

    def follow() -> None:
        for save in saves.follow():
            seen.append(save)

    with EventLog(tmp_path / "log.db") as log:
        saves = SourceSaves(log, [source])
        thread = threading.Thread(target=follow)
        thread.start()
        for number in range(1, 6):
            wait_until(lambda: len(seen) == number, "the save")  # noqa: B023 - asked before the next round
            source.write_text(f"x = {number}\n" * 200)
        wait_until(lambda: len(seen) == 6, "the last save")
        saves.stop()
        thread.join()
    with open_history(tmp_path / "log.db", follow=False) as history:
        assert [history.state(seq)["source"][:5] for seq in range(6)] == [f"x = {n}" for n in range(6)]


def test_saves_that_come_fast_are_kept_and_those_that_cannot_be_are_told_of(tmp_path: Path) -> None:
    source, fresh = tmp_path / "launch.py", tmp_path / "app.new"
    source.write_text("x = 0\n")
    seen: list[Save] = []
    started = threading.Event()

    def follow() -> None:
        for save in saves.follow():
            seen.append(save)
            started.set()

    with EventLog(tmp_path / "log.db") as log:
        saves = SourceSaves(log, [source])
        thread = threading.Thread(target=follow)
        thread.start()
        started.wait(20)
        pause = threading.Event()
        for number in range(1, 51):
            fresh.write_text(f"x = {number}\n")
            fresh.rename(source)
            pause.wait(0.02)
        wait_until(lambda: "x = 50" in reconstruct_source(log, source.as_posix()).source, "the last save")
        saves.stop()
        thread.join()
    # On an idle machine nearly all are kept; on one that is busy some are not.
    assert len(seen) >= 8
