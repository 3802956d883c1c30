"""Whatever is made is private whatever the umask, is never made through a link, and an existing file keeps its mode."""

from __future__ import annotations

import io
import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.recording import record_shop
from unspool import Recorder, open_history
from unspool.errors import ConfigError, HistoryLocked, UnreadableSource, UnspoolError
from unspool.events import EventLog
from unspool.query.repair import repair
from unspool.regions.formats import DirectoryStorage, SqliteStorage
from unspool.sources.entries import Reading
from unspool.sources.foreign import open_foreign
from unspool_tui.cli import run
from unspool_tui.screens.exporting import write_new
from unspool_tui.source import keep


@pytest.fixture(params=[0o000, 0o022, 0o077], ids=oct, autouse=True)
def _umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def modes(folder: Path) -> dict[str, int]:
    return {str(path.relative_to(folder)): mode(path) for path in folder.rglob("*") if path.is_file()}


def test_a_recording_and_all_that_lies_beside_it(tmp_path: Path) -> None:
    with Recorder(tmp_path / "app.unspool") as recorder:
        recorder.record({"a": 1})
        found = modes(tmp_path)
        assert set(found) == {"app.unspool", "app.unspool-wal", "app.unspool-shm", "app.unspool-lock"}
        assert set(found.values()) == {0o600}
    assert modes(tmp_path) == {"app.unspool": 0o600}


def test_an_option_lets_others_read(tmp_path: Path) -> None:
    with Recorder(tmp_path / "app.unspool", mode=0o640) as recorder:
        recorder.record({"a": 1})
        assert set(modes(tmp_path).values()) == {0o640}


def test_an_existing_file_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "app.unspool"
    record_shop(path, 3)
    path.chmod(0o644)
    with Recorder(path, mode=0o600) as recorder:
        recorder.record({"a": 1})
        assert set(modes(tmp_path).values()) == {0o644}
    assert run(["vacuum", str(path), "-q"]) == 0
    assert mode(path) == 0o644
    assert run(["convert", str(path), str(tmp_path / "other.unspool"), "-q"]) == 0
    (tmp_path / "other.unspool").chmod(0o660)
    assert run(["convert", str(path), str(tmp_path / "other.unspool"), "--force", "-q"]) == 0
    assert mode(tmp_path / "other.unspool") == 0o660


@pytest.mark.parametrize("bad", [0o400, 0o700, 0o200, -1, "0600", True, None])
def test_a_mode_that_cannot_be_honoured(tmp_path: Path, bad: object) -> None:
    with pytest.raises(ConfigError, match="mode is .*0o600"):
        Recorder(tmp_path / "app.unspool", on_error="raise", mode=bad)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


MAKERS: dict[str, Callable[[Path, Path], object]] = {
    "compact": lambda source, out: run(["compact", str(source), str(out), "-q"]),
    "convert": lambda source, out: run(["convert", str(source), str(out), "-q"]),
    "export": lambda source, out: run(["export", str(source), str(out)]),
    "repair": repair,
    "demo": lambda source, out: run(["demo", "--steps", "2", "--file", str(out)]),
    "app": lambda source, out: list(write_new(out, ["text"])),
    "remembered": lambda source, out: keep(out, b"place"),
    "region": lambda source, out: DirectoryStorage(out.parent).write(out.name, b"region"),
    "regions": lambda source, out: SqliteStorage(out).close(),
    "events": lambda source, out: EventLog(out).close(),
}  # fmt: skip


@pytest.mark.one_in(4)
@pytest.mark.parametrize("make", MAKERS.values(), ids=list(MAKERS))
def test_every_file_that_is_made(make: Callable[[Path, Path], object], tmp_path: Path) -> None:
    source = tmp_path / "shop.unspool"
    record_shop(source, 5)
    folder = tmp_path / "new"
    folder.mkdir(0o755)
    make(source, folder / "out")
    found = modes(folder)
    assert found
    assert set(found.values()) == {0o600}


def test_remembered_files_and_the_folders_made_for_them(tmp_path: Path) -> None:
    keep(tmp_path / "state" / "unspool" / "sources" / "x.json", b"{}")
    assert {mode(path) for path in tmp_path.rglob("*") if path.is_dir()} == {0o700}


def test_temporary_copies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    stdin = io.BytesIO(b'{"a": 1}\n{"a": 2}\n')
    with open_foreign("-", Reading(stdin=stdin), identity=None, wait=True) as history:
        assert len(history) == 2
        assert {mode(path) for path in tmp_path.rglob("*") if path.is_dir()} == {0o700}
        assert set(modes(tmp_path).values()) == {0o600}
        assert {"stdin", "history.unspool"} <= {path.name for path in tmp_path.rglob("*")}
    assert list(tmp_path.iterdir()) == []


def test_a_lock_file_is_never_made_through_a_link(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    (tmp_path / "app.unspool-lock").symlink_to(victim)
    with pytest.raises(UnreadableSource, match="app.unspool-lock: is a link"):
        Recorder(tmp_path / "app.unspool", on_error="raise")
    assert not victim.exists()
    victim.write_bytes(b"mine")
    with pytest.raises(UnreadableSource, match="app.unspool-lock: is a link"):
        Recorder(tmp_path / "app.unspool", on_error="raise")
    assert victim.read_bytes() == b"mine"


def test_a_linked_history_is_one_history(tmp_path: Path) -> None:
    real, link = tmp_path / "real" / "app.unspool", tmp_path / "app.unspool"
    real.parent.mkdir()
    link.symlink_to(real)
    with Recorder(link, on_error="raise") as recorder:
        recorder.record({"a": 1})
        assert set(modes(real.parent).values()) == {0o600}
        with pytest.raises(HistoryLocked):
            Recorder(real, on_error="raise")
        with open_history(link) as history, open_history(real) as same:
            assert history.state(0) == {"a": 1}
            recorder.record({"a": 2})
            assert history.refresh() == 1
            assert history.watch_paths == same.watch_paths
            assert history.file_bytes() == same.file_bytes() > Path(f"{real}-wal").stat().st_size
    assert [path.name for path in tmp_path.iterdir() if path.is_symlink()] == ["app.unspool"]
    with open_history(link) as history:
        assert history.state(0) == {"a": 1}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as two users")
def test_another_user_is_told_which_option_lets_them_read() -> None:
    # Other sessions of pytest keep everybody else out of its own folders.
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        path = Path(folder) / "app.unspool"
        record_shop(path, 3)
        told = _told_to_another_user(path)
    assert told.count("belongs to user 0 and has mode 0600; record with Recorder(..., mode=0o640)") == 1
    assert told.count("belongs to user 0 and has mode 0600; record with Recorder(..., mode=0o660)") == 1


def _told_to_another_user(path: Path) -> str:
    program = (
        "import os, sys\n"
        "from unspool import open_history, Recorder, UnspoolError\n"
        "import json, shutil, tempfile, unspool.recorder.recorder, unspool.store.writer, unspool.sources.foreign\n"
        "open_history(sys.argv[1]).close()\n"
        "os.setgid(65534); os.setuid(65534)\n"
        "for open_it in (open_history, lambda path: Recorder(path, on_error='raise')):\n"
        "    try:\n        open_it(sys.argv[1])\n"
        "    except UnspoolError as error:\n        print(error)\n"
    )
    ran = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_a_place_that_cannot_be_kept_is_an_error_that_names_it(tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    (taken / "x").mkdir(parents=True)
    with pytest.raises(UnspoolError, match="taken: cannot be written"):
        keep(taken, b"{}")
    with pytest.raises(UnspoolError, match="place.json"):
        keep(Path("/proc/self/place.json"), b"{}")
    (tmp_path / "file").write_text("")
    with pytest.raises(UnspoolError, match="place.json"):
        keep(tmp_path / "file" / "place.json", b"{}")
