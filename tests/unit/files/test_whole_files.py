"""A file is there whole or not at all, on the disk before it has its name, and nobody else's file is touched on the way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from support.recording import record_shop
from support.waiting import wait_until
from unspool import files, open_history
from unspool.errors import StorageFailed, UnreadableSource
from unspool.files import check_new, whole_file, write_whole
from unspool.query.repair import repair
from unspool.store.compacting import compact, vacuum
from unspool_tui.cli import run
from unspool_tui.source import keep


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_block_that_fails_leaves_nothing(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.write_bytes(b"old")
    with pytest.raises(ZeroDivisionError), whole_file(out, replace=True) as part:
        part.write_bytes(b"new")
        part.with_name(part.name + "-wal").write_bytes(b"")
        raise ZeroDivisionError
    assert names(tmp_path) == ["out"]
    assert out.read_bytes() == b"old"


def test_a_name_that_is_taken_meanwhile_is_not_taken_away(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(UnreadableSource, match="made by another program meanwhile"), whole_file(out) as part:
        part.write_bytes(b"ours")
        out.write_bytes(b"theirs")
    assert out.read_bytes() == b"theirs"
    assert names(tmp_path) == ["out"]


def test_a_link_to_nothing_is_a_name_that_is_taken(tmp_path: Path) -> None:
    (tmp_path / "out").symlink_to(tmp_path / "nothing")
    with pytest.raises(UnreadableSource, match="exists already"):
        check_new(tmp_path / "out")
    with pytest.raises(UnreadableSource, match="exists already"), whole_file(tmp_path / "out"):
        pass
    assert names(tmp_path) == ["out"]


def test_a_database_whose_log_is_not_folded_is_not_finished(tmp_path: Path) -> None:
    with pytest.raises(StorageFailed, match="write-ahead log"), whole_file(tmp_path / "out") as part:
        part.with_name(part.name + "-wal").write_bytes(b"frames")
    assert names(tmp_path) == []


FOREIGN = ("out.partial", "out.part", ".out.part", "shop.unspool.partial", ".out.abc.unspool-part", ".x.unspool-part")


@pytest.mark.parametrize("command", ["compact", "convert", "export", "repair", "vacuum"])
def test_nobody_elses_unfinished_file_is_touched(command: str, tmp_path: Path) -> None:
    source, out = tmp_path / "shop.unspool", tmp_path / "out"
    record_shop(source, 5)
    files._swept.clear()
    for name in FOREIGN[:-2]:
        (tmp_path / name).write_bytes(b"mine")
    # What looks like ours is spared too where it is a link, or somebody works on it.
    (tmp_path / FOREIGN[-2]).symlink_to(tmp_path / "out.partial")
    with whole_file(tmp_path / "other") as part:
        part.write_bytes(b"in work")
        files._swept.clear()
        words = {"repair": ["doctor", str(source), "--repair", str(out)], "vacuum": ["vacuum", str(source)]}
        assert run(words.get(command, [command, str(source), str(out)])) == 0
        assert part.read_bytes() == b"in work"
    assert all((tmp_path / name).read_bytes() == b"mine" for name in FOREIGN[:-2])
    assert (tmp_path / FOREIGN[-2]).is_symlink()


def test_what_a_killed_process_left_is_removed_by_the_next(tmp_path: Path) -> None:
    program = (
        "import sys\nfrom pathlib import Path\nfrom unspool.files import whole_file\n"
        "with whole_file(Path(sys.argv[1])) as part:\n"
        "    Path(str(part) + '-wal').write_bytes(b'x')\n    print(part, flush=True)\n    sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "big")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        part = Path(process.stdout.readline().strip())
        files._swept.clear()
        write_whole(tmp_path / "small", [b"1"])
        assert part.exists()
        process.send_signal(signal.SIGKILL)
    assert part.exists()
    files._swept.clear()
    write_whole(tmp_path / "small", [b"2"])
    assert names(tmp_path) == ["small"]


TRACED: dict[str, Callable[[Path, Path], object]] = {
    "compact": compact,
    "vacuum": lambda source, out: vacuum(source),
    "convert": lambda source, out: run(["convert", str(source), str(out), "-q"]),
    "convert --force": lambda source, out: run(["convert", "--force", str(source), str(out), "-q"]),
    "export --force": lambda source, out: run(["export", "--force", str(source), str(out)]),
    "repair": repair,
    "remembered": lambda source, out: keep(out, b"x"),
}  # fmt: skip


@pytest.mark.parametrize("make", TRACED.values(), ids=list(TRACED))
def test_a_file_is_on_the_disk_before_it_has_its_name_and_the_name_is_afterwards(
    make: Callable[[Path, Path], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen from outside the function that is to do it: what the calls of the system were, and on which file."""
    source, out = tmp_path / "shop.unspool", tmp_path / "out"
    record_shop(source, 5)
    if "--force" in make.__code__.co_consts:
        out.write_bytes(b"old")
    calls: list[tuple[str, int]] = []
    sync = os.fsync

    def note_sync(descriptor: int) -> None:
        calls.append(("sync", os.fstat(descriptor).st_ino))
        sync(descriptor)

    def noting(name: str) -> None:
        function = getattr(os, name)

        def note(first: str | Path, second: str | Path, **options: object) -> None:
            calls.append(("name", Path(first).stat().st_ino))
            function(first, second, **options)

        monkeypatch.setattr(os, name, note)

    monkeypatch.setattr(os, "fsync", note_sync)
    for name in ("replace", "rename", "link"):
        noting(name)
    make(source, out)
    place = source if "vacuum" in make.__code__.co_names else out
    file, folder = place.stat().st_ino, tmp_path.stat().st_ino
    named = calls.index(("name", file))
    assert ("sync", file) in calls[:named]
    assert ("sync", folder) in calls[named:]


@pytest.mark.parametrize("refused", ["fsync", "link"])
def test_a_disk_that_refuses_leaves_no_half_file(
    refused: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, out = tmp_path / "shop.unspool", tmp_path / "out"
    record_shop(source, 5)

    def refuse(*_: object, **__: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, refused, refuse)
    if refused == "link":
        # Not every file system has hard links: another way is gone then.
        compact(source, out)
    else:
        with pytest.raises(StorageFailed, match="out"):
            compact(source, out)
        assert names(tmp_path) == ["shop.unspool"]
    monkeypatch.undo()
    with open_history(source) as history:
        assert len(history) == 5


@pytest.mark.one_in(2)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGKILL])
def test_temporary_folders_do_not_outlive_the_program_that_made_them(number: int, tmp_path: Path) -> None:
    scratch = tmp_path / "tmp"
    scratch.mkdir()
    stranger = scratch / "unspool-stranger"
    stranger.mkdir()
    environment = {**os.environ, "TMPDIR": str(scratch)}
    command = [sys.executable, "-c", "from unspool_tui.cli import main; main()", "log", "-"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, env=environment) as process:
        assert process.stdin is not None
        process.stdin.write(b'{"a": "secret"}\n')
        process.stdin.flush()
        wait_until(lambda: any(path.stat().st_size for path in scratch.glob("unspool-*/stdin")), "the copy")
        process.send_signal(number)
        # It reads on from a pipe that stays open: only the signal can end it.
        assert process.wait(20) != 0
    left = sorted(path for path in scratch.iterdir() if path != stranger)
    if number == signal.SIGKILL:
        assert left
        assert {path.stat().st_mode & 0o777 for path in left} == {0o700}
    else:
        assert left == []
    subprocess.run([*command[:-1], "-"], input=b'{"a": 1}\n', env=environment, check=True, capture_output=True)
    assert list(scratch.iterdir()) == [stranger]
