"""A recorder was killed and its -wal is damaged: every command and the doctor say so, and nothing is touched."""

from __future__ import annotations

import errno
import os
import random
import re
import threading
from pathlib import Path

import pytest

from support.left_behind import flip, killed, live_recording, prints
from unspool import Recorder, open_history
from unspool.errors import CorruptHistory, HistoryLocked, StorageFailed, UnreadableSource
from unspool.query.doctor.diagnosis import Code, Health, diagnose
from unspool.query.repair import repair
from unspool.recorder import DamagedLogKept
from unspool.store import wal
from unspool.store.compacting import compact
from unspool.store.databases import is_recording
from unspool_tui.cli import run

ENTRIES = 200
FRAME = 24 + 1024


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, object]]]:
    path = tmp_path_factory.mktemp("killed") / "app.unspool"
    return path, killed(path, ENTRIES)


def copied(kept: Path, folder: Path) -> Path:
    for suffix in ("", "-wal"):
        (folder / f"app.unspool{suffix}").write_bytes(Path(f"{kept}{suffix}").read_bytes())
    return folder / "app.unspool"


def spots(size: int) -> list[int]:
    """Return bytes to spoil: the header, headers of frames, bytes of pages."""
    rng = random.Random(8)
    frames = (size - 32) // FRAME
    heads = [32 + place * FRAME + at for place in (0, frames // 2, frames - 1) for at in (0, 9, 18)]
    return [
        *range(0, 32, 3),
        *heads,
        *(32 + rng.randrange(frames) * FRAME + 24 + rng.randrange(1024) for _ in range(12)),
    ]


@pytest.mark.one_in(3)
@pytest.mark.parametrize("part", range(3))
def test_what_stands_before_the_damage_reads_and_the_rest_is_said_to_be_missing(
    kept: tuple[Path, list[dict[str, object]]], tmp_path: Path, part: int
) -> None:
    source, states = kept
    for at in spots(Path(f"{source}-wal").stat().st_size)[part::3]:
        path = copied(source, tmp_path)
        flip(Path(f"{path}-wal"), at)
        before = prints(tmp_path)
        with open_history(path) as history:
            count = len(history)
            for seq in {*range(0, count, 17), count - 1} if count else ():
                assert history.state(seq) == states[seq], at
            assert history.verdict.is_damaged, at
            assert "-wal" in history.verdict.problems[0].message
            assert history.stats().health is Health.BROKEN
        found = diagnose(path)
        assert found.verdict is not Health.HEALTHY, at
        assert {Code.LOG_DAMAGED, Code.LOG_TORN} & {finding.code for finding in found.findings}, at
        assert prints(tmp_path) == before, at


def test_log_and_show_say_so_and_exit_with_one(
    kept: tuple[Path, list[dict[str, object]]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = copied(kept[0], tmp_path)
    assert run(["log", str(path)]) == 0
    assert "missing" not in capsys.readouterr().err
    flip(Path(f"{path}-wal"), 32 + 100 * FRAME + 300)
    for words in (
        ["log", str(path)],
        ["show", str(path), "0"],
        ["stats", str(path), "--quiet"],
        ["doctor", str(path)],
    ):
        assert run(words) == 1
        told = capsys.readouterr()
        assert "-wal" in told.err + told.out
        assert "damaged at frame 101" in told.err + told.out


def test_no_advice_names_the_command_that_was_just_run(
    kept: tuple[Path, list[dict[str, object]]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, out = copied(kept[0], tmp_path), tmp_path / "out.unspool"
    flip(Path(f"{path}-wal"), 32 + 100 * FRAME + 300)
    assert run(["doctor", str(path)]) == 1
    told = capsys.readouterr().out
    assert "--repair OUT" in told
    assert "run `unspool doctor`" not in told
    assert run(["doctor", str(path), "--repair", str(out)]) == 1
    told = capsys.readouterr().out
    assert "--repair" not in told
    assert f"`{out}` is a new file with all that is intact" in told


def test_a_copy_is_never_made_of_the_part_that_reads(
    kept: tuple[Path, list[dict[str, object]]], tmp_path: Path
) -> None:
    path = copied(kept[0], tmp_path)
    flip(Path(f"{path}-wal"), 32 + 100 * FRAME + 300)
    with pytest.raises(CorruptHistory, match="newest entries are missing"):
        compact(path, tmp_path / "small.unspool")
    assert not (tmp_path / "small.unspool").exists()


def test_a_file_that_is_being_recorded_is_not_said_to_be_damaged(tmp_path: Path) -> None:
    with live_recording(tmp_path / "app.unspool") as recorder:
        with open_history(tmp_path / "app.unspool") as history:
            assert history.verdict.status == "complete"
        assert diagnose(tmp_path / "app.unspool").verdict is Health.HEALTHY
        recorder.record({"a": 1})


def test_whoever_looks_never_keeps_a_recorder_from_starting(tmp_path: Path) -> None:
    path = tmp_path / "app.unspool"
    stop, errors = threading.Event(), []
    (tmp_path / "app.unspool-lock").touch()

    def look() -> None:
        while not stop.is_set():
            is_recording(path)

    threads = [threading.Thread(target=look, daemon=True) for _ in range(2)]
    for thread in threads:
        thread.start()
    for number in range(40):
        try:
            with Recorder(path, on_error="raise") as recorder:
                recorder.record({"n": number})
        except HistoryLocked as error:
            errors.append(error)
        (tmp_path / "app.unspool-lock").touch()
    stop.set()
    for thread in threads:
        thread.join()
    assert errors == []


# --- recording on -----------------------------------------------------------------------------------------------------


def went_on(kept: Path, folder: Path, at: int, more: int = 30) -> tuple[Path, Path]:
    """Damage the log of a killed recorder and record on; return the file and the log that was kept."""
    path = copied(kept, folder)
    flip(Path(f"{path}-wal"), at)
    log = Path(f"{path}-wal").read_bytes()
    with pytest.warns(DamagedLogKept, match="kept as") as told:
        recorder = Recorder(path)
    with recorder:
        for step in range(more):
            recorder.record({"later": step}, "later")
    (found,) = folder.glob("*.damaged-*")
    assert found.name in str(told[0].message)
    assert found.read_bytes() == log
    assert found.stat().st_mode & 0o777 == 0o600
    return path, found


def test_a_damaged_log_is_kept_before_a_recorder_goes_on_and_repair_brings_back_what_it_holds(
    kept: tuple[Path, list[dict[str, object]]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, states = kept
    path, log = went_on(source, tmp_path, 32 + 100 * FRAME + 300)
    with open_history(path) as history:
        first = len(history) - 30
        assert 0 < first < ENTRIES
        assert [history.state(seq) for seq in range(first)] == states[:first]
        assert [history.state(first + step) for step in range(30)] == [{"later": step} for step in range(30)]
    assert log.name.endswith(f"-{first}-wal")
    (told,) = (finding for finding in diagnose(path).findings if finding.code is Code.LOG_KEPT)
    assert log.name in told.meaning
    assert run(["doctor", str(path)]) == 1
    assert log.name in capsys.readouterr().out
    before = prints(tmp_path)
    out = tmp_path / "out.unspool"
    assert run(["doctor", str(log), "--repair", str(out)]) == 1
    out.rename(tmp_path.parent / f"{tmp_path.name}-out.unspool")
    assert prints(tmp_path) == before
    with open_history(tmp_path.parent / f"{tmp_path.name}-out.unspool") as history:
        assert len(history) == ENTRIES
        kept_states = [seq for seq in range(ENTRIES) if history.state(seq) == states[seq]]
        assert len(kept_states) >= ENTRIES - 1
        assert not any("later" in history.state(seq) for seq in range(ENTRIES))


def test_the_file_need_not_be_there_for_a_kept_log_to_be_read(
    kept: tuple[Path, list[dict[str, object]]], tmp_path: Path
) -> None:
    source, states = kept
    path, log = went_on(source, tmp_path, 32 + 60 * FRAME + 500)
    path.unlink()
    report = repair(log, tmp_path / "out.unspool")
    assert report.entries == ENTRIES
    with open_history(tmp_path / "out.unspool") as history:
        right = [seq for seq in range(ENTRIES) if history.state(seq) == states[seq]]
        assert len(right) >= ENTRIES - 1


@pytest.mark.parametrize("at", [0, 17, 32 + 1, 32 + 9])
def test_a_log_whose_beginning_is_damaged_is_kept(
    kept: tuple[Path, list[dict[str, object]]], tmp_path: Path, at: int
) -> None:
    _, log = went_on(kept[0], tmp_path, at)
    report = repair(log, tmp_path / "out.unspool")
    assert report.kept >= ENTRIES - 2


@pytest.mark.parametrize("left", ["whole", "cut", "none"])
def test_no_log_is_kept_where_nothing_stands_behind_any_damage(
    kept: tuple[Path, list[dict[str, object]]], tmp_path: Path, left: str, recwarn: pytest.WarningsRecorder
) -> None:
    path = copied(kept[0], tmp_path)
    log = Path(f"{path}-wal")
    if left == "cut":
        # What a killed process leaves that was just writing.
        log.write_bytes(log.read_bytes()[: -FRAME + 200])
    elif left == "none":
        log.unlink()
    with Recorder(path, on_error="raise") as recorder:
        recorder.record({"later": 1})
    assert not list(tmp_path.glob("*.damaged-*"))
    assert not recwarn.list


def test_where_a_damaged_log_cannot_be_kept_nothing_is_recorded(
    kept: tuple[Path, list[dict[str, object]]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = copied(kept[0], tmp_path)
    flip(Path(f"{path}-wal"), 32 + 100 * FRAME + 300)
    before = prints(tmp_path)

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(wal, "write_whole", full)
    with pytest.raises(StorageFailed, match="cannot be kept"):
        Recorder(path, on_error="raise")
    assert {name: mark for name, mark in prints(tmp_path).items() if not name.endswith("-lock")} == before


@pytest.mark.parametrize("left", [None, 0, 1, 31, 32, 40])
def test_a_closed_file_that_was_recorded_into_again_says_that_entries_may_be_missing_when_its_log_is_lost(
    tmp_path: Path, left: int | None
) -> None:
    path, copy = tmp_path / "app.unspool", tmp_path / "copy.unspool"
    with Recorder(path, on_error="raise") as recorder:
        recorder.record({"n": 1})
    recorder = Recorder(path, on_error="raise")
    recorder.record({"n": 2})
    log = Path(f"{path}-wal").read_bytes()
    copy.write_bytes(path.read_bytes())
    recorder.close()
    if left is not None:
        Path(f"{copy}-wal").write_bytes(log[:left])
    assert Code.NOT_CLOSED in {finding.code for finding in diagnose(copy).findings}


@pytest.mark.parametrize("size", [0, 1])
def test_a_file_that_sqlite_takes_for_empty_keeps_its_log(
    kept: tuple[Path, list[dict[str, object]]], tmp_path: Path, size: int
) -> None:
    path = copied(kept[0], tmp_path)
    path.write_bytes(path.read_bytes()[:size])
    before = prints(tmp_path)
    assert run(["log", str(path)]) == 3
    assert diagnose(path).readable > 100
    assert prints(tmp_path) == before


def test_a_file_cut_to_any_few_bytes_is_refused_by_name(
    kept: tuple[Path, list[dict[str, object]]], tmp_path: Path
) -> None:
    data = kept[0].read_bytes()
    path = tmp_path / "cut.unspool"
    for size in range(100):
        path.write_bytes(data[:size])
        with pytest.raises(UnreadableSource, match=re.escape(str(path))):
            diagnose(path)
