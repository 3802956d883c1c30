"""A file that is deleted, replaced or cut short under its recorder is told at the next call, once, and nobody's file is harmed."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from support.open_files import descriptors
from support.recording import record_shop, shop_states
from unspool import Recorder, open_history
from unspool.errors import StorageFailed
from unspool.query.doctor.diagnosis import diagnose
from unspool.recorder import RecordingStopped, SealingStopped
from unspool.store.compacting import compact, vacuum
from unspool.store.sealing import Sealer


def replace_by_another(path: Path) -> None:
    other = path.with_name("other.unspool")
    record_shop(other, 7, seed=5)
    other.replace(path)


HARMS: dict[str, tuple[Callable[[Path], object], str]] = {
    "deleted": (lambda path: path.unlink(), "was deleted or moved away"),
    "moved": (lambda path: path.rename(path.with_name("moved")), "was deleted or moved away"),
    "its folder moved": (lambda path: path.parent.rename(path.parent.with_name("away")), "was deleted or moved away"),
    "replaced": (replace_by_another, "another file has taken its name"),
    "cut to nothing": (lambda path: os.truncate(path, 0), "was cut short"),
    "cut": (lambda path: os.truncate(path, path.stat().st_size - 1024), "was cut short"),
    "log deleted": (lambda path: Path(f"{path}-wal").unlink(), "its -wal was deleted"),
    "log cut": (lambda path: os.truncate(f"{path}-wal", 100), "its -wal was cut short"),
    "log cut to nothing": (lambda path: os.truncate(f"{path}-wal", 0), "its -wal was cut short"),
}  # fmt: skip


@pytest.mark.one_in(4)
@pytest.mark.parametrize("harm", HARMS)
def test_it_is_told_at_the_next_call_and_once(harm: str, tmp_path: Path) -> None:
    folder = tmp_path / "app"
    folder.mkdir()
    path = folder / "app.unspool"
    before = descriptors()
    recorder = Recorder(path)
    for state in shop_states(100):
        recorder.record(state)
    recorder.store._writer.sealer.finish()  # type: ignore[attr-defined]
    harm_it, told = HARMS[harm]
    harm_it(path)
    with pytest.warns(RecordingStopped, match=f"app.unspool: .*{told}.*open a new recorder") as caught:
        assert recorder.record({"a": 1}) is None
    assert len(caught) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert recorder.record({"a": 2}) is None
        assert not recorder.recording
        recorder.close()
    assert descriptors() <= before
    assert not Path(f"{path}-lock").exists()


def test_the_file_that_took_the_name_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "app.unspool"
    recorder = Recorder(path)
    for state in shop_states(100):
        recorder.record(state)
    other = tmp_path / "other.unspool"
    states = record_shop(other, 7, seed=5)
    content = other.read_bytes()
    # Nothing is recorded after that: it is noticed on closing at the latest.
    other.replace(path)
    with pytest.warns(RecordingStopped, match="another file has taken its name"):
        recorder.close()
    assert path.read_bytes() == content
    # What is in the log of the file that went away is kept, where nobody takes it for the other one's.
    assert sorted(item.name.split(".lost-")[0] for item in tmp_path.iterdir()) == ["app.unspool", "app.unspool"]
    with open_history(path) as history:
        assert [history.state(seq) for seq in range(len(history))] == states


def test_it_raises_where_that_is_wanted(tmp_path: Path) -> None:
    path = tmp_path / "app.unspool"
    recorder = Recorder(path, on_error="raise")
    recorder.record({"a": 1})
    path.unlink()
    for _ in range(2):
        with pytest.raises(StorageFailed, match="was deleted or moved away"):
            recorder.record({"a": 2})
    with pytest.raises(StorageFailed, match="was deleted or moved away"):
        recorder.close()


def test_a_deleted_log_costs_nothing_that_was_recorded(tmp_path: Path) -> None:
    path = tmp_path / "app.unspool"
    recorder = Recorder(path)
    states = list(shop_states(30))
    for state in states:
        recorder.record(state)
    Path(f"{path}-wal").unlink()
    with pytest.warns(RecordingStopped, match="its -wal was deleted"):
        recorder.record({"a": 1})
    recorder.close()
    with open_history(path) as history:
        assert [history.state(seq) for seq in range(len(history))] == states


@pytest.mark.parametrize("statement", ["PRAGMA wal_checkpoint(TRUNCATE)", "VACUUM; PRAGMA wal_checkpoint(TRUNCATE)"])
def test_a_tool_that_folds_the_log_by_right_is_no_fault(statement: str, tmp_path: Path) -> None:
    path = tmp_path / "app.unspool"
    states = list(shop_states(300))
    with Recorder(path, on_error="raise") as recorder:
        for state in states[:200]:
            recorder.record(state)
        recorder.store._writer.sealer.finish()  # type: ignore[attr-defined]
        with closing(sqlite3.connect(path, isolation_level=None)) as tool:
            tool.executescript(statement)
        assert Path(f"{path}-wal").stat().st_size == 0
        for state in states[200:]:
            recorder.record(state)
    with open_history(path) as history:
        assert [history.state(seq) for seq in range(len(history))] == states


TOOL = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1])
print(connection.execute("SELECT count(*) FROM tail").fetchone()[0])
connection.close()
"""


@pytest.mark.one_in(2)
@pytest.mark.skipif(not hasattr(fcntl, "F_OFD_SETLK"), reason="needs locks that do not go with any close of the file")
@pytest.mark.parametrize("looks", [False, True], ids=["alone", "the app looks too"])
def test_another_tool_that_leaves_the_file_does_not_remove_its_log(looks: bool, tmp_path: Path) -> None:
    """SQLite's lock goes with any close of the file in this process, and whoever leaves as the last removes the log."""
    path = tmp_path / "app.unspool"
    before = descriptors()
    with Recorder(path, on_error="raise") as recorder:
        for number in range(3):
            recorder.record({"n": number})
            if looks:
                with open_history(path) as history:
                    assert len(history) == number + 1
                diagnose(path)
            told = subprocess.run([sys.executable, "-c", TOOL, str(path)], capture_output=True, text=True, check=True)
            assert int(told.stdout) == number + 1
            assert Path(f"{path}-wal").stat().st_size
    assert [item.name for item in tmp_path.iterdir()] == ["app.unspool"]
    assert descriptors() <= before


def test_an_app_that_changes_its_folder_goes_on_recording(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    recorder = Recorder("app.unspool", on_error="raise")
    recorder.record({"a": 1})
    monkeypatch.chdir(tmp_path / "elsewhere")
    recorder.record({"a": 2})
    recorder.close()
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["app.unspool"]
    with open_history(tmp_path / "app.unspool") as history:
        assert len(history) == 2


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Opened, it lets the sealer fail."""
    opened = threading.Event()

    def fail(*_: object) -> None:
        opened.wait()
        raise ZeroDivisionError("a fault of our own")

    monkeypatch.setattr(Sealer, "_seal", fail)
    return opened


def record_and_fail(recorder: Recorder, states: list[dict[str, Any]], gate: threading.Event) -> None:
    for state in states:
        recorder.record(state)
    gate.set()
    recorder.store._writer.sealer.finish()  # type: ignore[attr-defined]


def test_a_sealer_that_stops_tells_and_recording_goes_on(tmp_path: Path, gate: threading.Event) -> None:
    path = tmp_path / "app.unspool"
    states = list(shop_states(150))
    recorder = Recorder(path)
    record_and_fail(recorder, states[:149], gate)
    with pytest.warns(
        SealingStopped, match="entries from 0 on could not be sealed .ZeroDivisionError: a fault of our own."
    ):
        assert recorder.record(states[149]) == 149
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        recorder.close()
    with open_history(path) as history:
        assert [history.state(seq) for seq in range(len(history))] == states


def test_a_sealer_that_stopped_is_told_on_closing_at_the_latest(tmp_path: Path, gate: threading.Event) -> None:
    recorder = Recorder(tmp_path / "app.unspool", on_error="raise")
    record_and_fail(recorder, list(shop_states(150)), gate)
    with pytest.raises(StorageFailed, match="entries from 0 on could not be sealed"):
        recorder.close()
    assert not (tmp_path / "app.unspool-lock").exists()


@pytest.mark.one_in(2)
@pytest.mark.parametrize("opener", ["Recorder", "vacuum", "compact"])
def test_a_full_disk_is_a_typed_error_and_leaves_no_descriptor_open(
    opener: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sixty rows wait to be sealed, and there is no page left for the block."""
    path = tmp_path / "app.unspool"
    killed = Recorder(path)
    for state in shop_states(60):
        killed.record(state)
    for suffix in ("", "-wal"):
        Path(tmp_path / f"full.unspool{suffix}").write_bytes(Path(f"{path}{suffix}").read_bytes())
    connect = sqlite3.connect

    def on_a_full_disk(*arguments: Any, **options: Any) -> sqlite3.Connection:
        connection = connect(*arguments, **options)
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {max(pages, 1)}")
        return connection

    monkeypatch.setattr(sqlite3, "connect", on_a_full_disk)
    before = descriptors()
    openers: dict[str, Callable[[Path], object]] = {
        "Recorder": lambda full: Recorder(full, on_error="raise"),
        "vacuum": vacuum,
        "compact": lambda full: compact(full, tmp_path / "out"),
    }
    with pytest.raises(StorageFailed, match="full"):
        openers[opener](tmp_path / "full.unspool")
    assert descriptors() <= before
    monkeypatch.undo()
    killed.close()
    with open_history(tmp_path / "full.unspool") as history:
        assert [history.state(seq) for seq in range(len(history))] == list(shop_states(60))
