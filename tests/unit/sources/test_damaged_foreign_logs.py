"""A database of another program with a damaged log beside it: what is lost is said, and nothing is touched."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from support.left_behind import FIXTURES, flip, prints
from unspool import open_history
from unspool.events import EventLog, write_source
from unspool_tui.cli import run

COMMITS = 12


def home_assistant(path: Path) -> None:
    shutil.copyfile(FIXTURES / "home_assistant" / "home.db", path)


def langgraph(path: Path) -> None:
    shutil.copyfile(FIXTURES / "langgraph" / "threads.sqlite", path)


def event_log(path: Path) -> None:
    with EventLog(path) as log:
        write_source(log, "a.py", "2026-02-14T00:00:00.000Z", "x = 1\n", "python")


MAKERS = {"home assistant": home_assistant, "langgraph": langgraph, "event log": event_log}


def left(make: str, folder: Path) -> Path:
    """Leave a database with a log of several commits, as a program does that is killed."""
    source, path = folder.parent / "source.db", folder / "app.db"
    MAKERS[make](source)
    with closing(sqlite3.connect(source, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        for _ in range(COMMITS):
            # Any page will do: the rows are as they were.
            connection.execute(f"PRAGMA user_version = {version}")
            connection.execute("CREATE TABLE passing (n)")
            connection.execute("DROP TABLE passing")
        for suffix in ("", "-wal"):
            shutil.copyfile(f"{source}{suffix}", f"{path}{suffix}")
    return path


@pytest.mark.parametrize("make", MAKERS)
def test_a_damaged_log_is_a_loss_and_a_sound_one_is_not(
    make: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    path = left(make, folder)
    log = Path(f"{path}-wal")
    with open_history(path) as history:
        assert not [problem for problem in history.verdict.problems if "-wal" in problem.place]
        count = len(history)
        assert count
    flip(log, log.stat().st_size // 2)
    before = prints(folder)
    with open_history(path) as history:
        (told,) = (problem for problem in history.verdict.problems if problem.place == str(log))
        assert "cannot be reached" in told.message
        assert len(history) == count
    run(["log", str(path)])
    assert f"partly read: {log}" in capsys.readouterr().err
    assert run(["doctor", str(path)]) == 1
    assert "source-partial" in capsys.readouterr().out
    assert prints(folder) == before


def test_a_log_that_ends_early_is_told_and_costs_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    path = left("home assistant", folder)
    log = Path(f"{path}-wal")
    log.write_bytes(log.read_bytes()[:-100])
    with open_history(path) as history:
        assert not history.verdict.problems
        assert any("ends in the middle of a frame" in note for note in history.verdict.notes)
