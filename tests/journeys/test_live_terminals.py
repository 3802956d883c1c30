"""Several terminals follow one recorder that is another process: each shows the newest entry to the end."""

from __future__ import annotations

import os
import re
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from terminal_harness import Terminal, unspool

from support.waiting import wait_until
from unspool.recorder.recorder import Recorder
from unspool_tui.cli.opening import len_of

RATE = 29
SECONDS = 6
SIZES = ((80, 24), (120, 40), (200, 50))


@contextmanager
def _shop(path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run the demo's program as a process of its own."""
    arguments = ["--file", str(path), "--rate", str(RATE), "--seconds", str(SECONDS)]
    process = subprocess.Popen([sys.executable, "-m", "unspool_tui.demo_app", *arguments])
    try:
        wait_until(lambda: len_of(path) > 0, "the first entry")
        yield process
    finally:
        process.kill()
        process.wait()


def _resident_mb(terminal: Terminal) -> float:
    status = Path(f"/proc/{terminal.process.pid}/statm").read_text().split()
    return int(status[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


@pytest.mark.slow
def test_three_terminals_show_the_newest_entry_while_and_after_a_program_records(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    path = tmp_path / "shop.unspool"
    with ExitStack() as stack:
        recorder = stack.enter_context(_shop(path))
        terminals = [stack.enter_context(unspool("open", str(path), size=size)) for size in SIZES]
        for terminal in terminals:
            terminal.wait_for("LIVE follow")
        while recorder.poll() is None:
            for terminal in terminals:
                terminal.read(0.02)
        newest = f"{len_of(path) - 1:,}"
        assert int(newest.replace(",", "")) >= RATE * SECONDS
        for terminal in terminals:
            terminal.wait_for(rf"{newest}/{newest}")
            terminal.wait_for(rf"> ?{re.escape(newest)}|{re.escape(newest)} ")
            assert _resident_mb(terminal) < 150
            terminal.send("q")
            assert terminal.wait() == 0


def test_without_file_descriptors_left_the_app_says_so_and_stays_up(tmp_path: Path) -> None:
    path = tmp_path / "shop.unspool"
    with Recorder(path) as recorder:
        for number in range(30):
            recorder.record({"visits": number}, f"visit {number}")
    with unspool("open", str(path), "--no-follow") as terminal:
        terminal.wait_for(r"29/29")
        terminal.send(",")
        terminal.wait_for(r"28/29")
        used = max(int(place.name) for place in Path(f"/proc/{terminal.process.pid}/fd").iterdir())
        _, hard = resource.prlimit(terminal.process.pid, resource.RLIMIT_NOFILE)
        lowest_free = min(set(range(used + 2)) - _descriptors_of(terminal))
        resource.prlimit(terminal.process.pid, resource.RLIMIT_NOFILE, (lowest_free, hard))
        terminal.send("K")
        terminal.wait_for(r"no file descriptor is left")
        terminal.send(",")
        terminal.wait_for(r"27/29")
        resource.prlimit(terminal.process.pid, resource.RLIMIT_NOFILE, (hard, hard))
        terminal.send("q")
        assert terminal.wait() == 0
        assert terminal.restored()


def _descriptors_of(terminal: Terminal) -> set[int]:
    return {int(place.name) for place in Path(f"/proc/{terminal.process.pid}/fd").iterdir()}


def test_with_too_few_file_descriptors_for_a_screen_one_line_says_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "shop.unspool"
    with Recorder(path) as recorder:
        recorder.record({"visits": 1})
    command = f'ulimit -n 7; exec "{sys.executable}" -m unspool_tui.cli open "{path}"'
    with Terminal(["bash", "-c", command], size=(160, 20)) as terminal:
        assert terminal.wait() == 3
        assert "no file descriptor is left; close other programs" in terminal.screen.text
        assert "Traceback" not in terminal.screen.text
