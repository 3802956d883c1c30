"""The command line as a process: pipes, imports, signals, the demo."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import pytest

from support.waiting import wait_until
from unspool import Recorder, open_history
from unspool.errors import UnreadableSource
from unspool_tui import cli
from unspool_tui.cli import opening

FIXTURES = Path(__file__).parents[3] / "fixtures"
SOURCE = str(FIXTURES / "states" / "envelope.jsonl")
PROGRAM = (sys.executable, "-m", "unspool_tui.cli")


def test_whoever_stops_reading_causes_no_complaint(tmp_path: Path) -> None:
    path = tmp_path / "long.unspool"
    with Recorder(path) as recorder:
        for number in range(3000):
            recorder.record({"n": number}, "x" * 100)
    process = subprocess.Popen([*PROGRAM, "log", str(path), "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait() == 0


@pytest.mark.skipif(os.name != "posix", reason="a shell of POSIX closes them")
@pytest.mark.parametrize(
    ("closed", "file", "code"),
    [(">&-", SOURCE, 0), (">&- 2>&- <&-", SOURCE, 0), (">&- 2>&-", "nowhere.jsonl", 3)],
)
def test_without_standard_streams_a_command_ends_as_with_them(closed: str, file: str, code: int) -> None:
    done = subprocess.run(
        ["/bin/sh", "-c", f'exec "$@" {closed}', "sh", *PROGRAM, "stats", file], stderr=subprocess.PIPE, check=False
    )
    assert (done.returncode, done.stderr) == (code, b"")


@pytest.mark.parametrize(
    ("words", "unwanted"),
    [
        (("stats", SOURCE), ("textual", "rich", "deepdiff", "numpy", "libcst", "watchdog", "socket", "email")),
        (("log", SOURCE, "-n", "10", "--json"), ("textual", "rich", "deepdiff", "numpy", "libcst", "watchdog")),
        (("diff", SOURCE, "0", "1"), ("textual", "rich", "deepdiff", "numpy")),
        (("formats",), ("textual", "rich", "deepdiff")),
        (("--help",), ("textual", "rich", "deepdiff", "sqlite3", "msgspec")),
        (("--version",), ("textual", "rich", "email", "sqlite3", "msgspec")),
    ],
)
def test_commands_import_no_more_than_they_need(words: tuple[str, ...], unwanted: tuple[str, ...]) -> None:
    done = subprocess.run([sys.executable, "-X", "importtime", *PROGRAM[1:], *words], capture_output=True, check=True)
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.decode().splitlines()}
    assert imported & set(unwanted) == set()


def test_the_entry_point_is_installed() -> None:
    done = subprocess.run([Path(sys.executable).with_name("unspool"), "--version"], capture_output=True, check=True)
    assert done.stdout.startswith(b"unspool ")


def test_interrupting_ends_with_one_line() -> None:
    reading, writing = os.pipe()
    process = subprocess.Popen([*PROGRAM, "log", "-"], stdin=reading, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    os.close(reading)
    os.write(writing, b'{"a": 1}\n')
    task = Path(f"/proc/{process.pid}/task")
    wait_until(lambda: len(list(task.iterdir())) > 1, "the thread that reads standard input")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate()
    os.close(writing)
    assert (process.returncode, out, err.strip()) == (130, b"", b"unspool: interrupted")


@pytest.mark.one_in(2)
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.parametrize("words", [("log", SOURCE, "--json"), ("stats", SOURCE), ("--help",)])
def test_a_full_disk_is_told_in_one_line(words: tuple[str, ...]) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run([*PROGRAM, *words], stdout=full, stderr=subprocess.PIPE, check=False)
    assert done.returncode == 3
    begin = b'{"error":{"type":"StorageFailed","message":"' if "--json" in words else b"unspool: "
    assert done.stderr.startswith(begin + b"standard output: No space left on device; ")
    assert done.stderr.count(b"\n") == 1


def test_interrupting_the_doctor_while_it_reads_ends_at_once() -> None:
    reading, writing = os.pipe()
    process = subprocess.Popen(
        [*PROGRAM, "doctor", "-"], stdin=reading, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    os.close(reading)
    os.write(writing, b'{"a": 1}\n')
    task = Path(f"/proc/{process.pid}/task")
    wait_until(lambda: len(list(task.iterdir())) > 1, "the thread that reads standard input")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    os.close(writing)
    assert (process.returncode, out, err.strip()) == (130, b"", b"unspool: interrupted")


def test_a_demo_that_cannot_record_says_why(tmp_path: Path) -> None:
    file = tmp_path / "none" / "shop.unspool"
    done = subprocess.run([*PROGRAM, "demo", "--steps", "1", "--file", file], capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr.count(b"\n")) == (3, b"", 1)
    assert done.stderr.startswith(f"unspool: {file}: cannot be opened for writing".encode())


@pytest.mark.parametrize("is_quiet", [False, True])
def test_the_demo_says_at_once_that_a_screen_follows(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], is_quiet: bool
) -> None:
    def begin(*_: object, **__: object) -> NoReturn:
        said.append(capsys.readouterr().err)
        raise UnreadableSource("the shop stays closed")

    said: list[str] = []
    monkeypatch.setattr(opening, "stdout_is_terminal", lambda: True)
    monkeypatch.setattr(opening, "shop_running", begin)
    assert cli.run(["demo", *["--quiet"] * is_quiet]) == 3
    assert ["the screen follows" in each for each in said] == [not is_quiet]


def test_the_demo_records_itself_and_stops(tmp_path: Path) -> None:
    path = tmp_path / "shop.unspool"
    words = ("demo", "--rate", "50", "--seconds", "0.5", "--file", str(path), "--seed", "3")
    done = subprocess.run([*PROGRAM, *words], capture_output=True, check=True)
    assert b"open the shop" in done.stdout
    with open_history(path) as history:
        assert len(history) == 26
        assert set(history.state(-1)) == {"stock", "sessions", "carts", "orders", "till", "settings"}
        assert len({entry.action for entry in history}) > 5


def test_a_day_in_the_shop_depends_on_the_seed_only() -> None:
    from unspool_tui.demo_shop import Shop

    days = []
    for seed in (1, 1, 2):
        shop = Shop(seed)
        days.append(([shop.step() for _ in range(300)], json.dumps(shop.state)))
    assert days[0] == days[1] != days[2]


def test_the_example_program_is_the_demo(tmp_path: Path) -> None:
    path = tmp_path / "shop.unspool"
    example = Path(__file__).parents[3] / "examples" / "shop.py"
    subprocess.run([sys.executable, example, "--file", path, "--rate", "100", "--seconds", "0.05"], check=True)
    with open_history(path) as history:
        assert history[0].action == "open the shop"
        assert len(history) == 6


def test_the_demo_program_ends_with_its_parent(tmp_path: Path) -> None:
    path = tmp_path / "shop.unspool"
    process = subprocess.Popen(
        [sys.executable, "-m", "unspool_tui.demo_app", "--file", path, "--rate", "100", "--parent", "1"]
    )
    assert process.wait(20) == 0


def test_stopping_the_program_leaves_a_sound_file(tmp_path: Path) -> None:
    path = tmp_path / "shop.unspool"
    process = subprocess.Popen([sys.executable, "-m", "unspool_tui.demo_app", "--file", path, "--rate", "200"])
    wait_until(path.exists)
    wait_until(lambda: _length(path) > 3)
    process.terminate()
    assert process.wait(20) == 0
    with open_history(path) as history:
        assert len(history) > 3
        assert history.stats().health == "healthy"


def _length(path: Path) -> int:
    from unspool.errors import UnspoolError

    try:
        with open_history(path) as history:
            return len(history)
    except UnspoolError:
        return 0
