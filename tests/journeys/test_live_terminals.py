"""Several terminals follow one recorder that is another process: each shows the newest entry to the end."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from terminal_harness import Terminal, unspool

from support.waiting import wait_until
from unspool_tui.cli.demo import len_of

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
