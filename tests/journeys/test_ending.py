"""Ctrl-C and SIGTERM end every command within a second, in the middle of a large source, and nothing stays behind."""

from __future__ import annotations

import itertools
import json
import math
import os
import resource
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from support.recording import record_shop
from support.waiting import wait_until

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks at processes through /proc")
_SOON_S = 1.8
"""Seconds within which a command ends: one of its own, and what a busy machine adds."""
_TRIES = 4
"""Runs of which one has to be in time: a machine that stalls makes any of them late, and a deaf command all."""
_BEGUN_CPU_S = 0.5
"""Seconds of computing after loading a command, when it is in the middle of its work."""
_LINES = 12_000
_READING = (
    "open SRC",
    "log SRC --json",
    "show SRC 1 --json",
    "diff SRC 1 2",
    "stats SRC",
    "blame SRC atom3 --writes",
    "search SRC nothing-like-it",
    "bisect SRC atom3.total>5",
    "compare SRC SRC",
    "bytes SRC",
    "check SRC",
    "doctor SRC",
    "doctor SRC --repair OUT.unspool",
    "simulate SRC",
    "convert SRC OUT.unspool",
    "export SRC OUT.jsonl",
    "export SRC OUT.html",
)
_ASKING = (
    "bytes SRC",
    "check SRC",
    "compare SRC SRC",
    "export SRC OUT.jsonl",
    "simulate SRC",
    "convert SRC OUT.unspool",
)


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a foreign source that takes many seconds to read."""
    path = tmp_path_factory.mktemp("large") / "large.jsonl"
    rest = {f"atom{number}": {"items": [{"id": n, "name": f"name {n}"} for n in range(40)]} for number in range(4)}
    tail = json.dumps(rest)[1:]
    with path.open("w") as stream:
        stream.writelines(f'{{"count": {number}, {tail}\n' for number in range(_LINES))
    return path


@pytest.fixture(scope="module")
def native(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a native file that takes seconds to question."""
    path = tmp_path_factory.mktemp("large") / "large.unspool"
    record_shop(path, 4_000)
    return path


def _cpu_s(pid: int) -> float:
    try:
        words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


@cache
def _loading_cpu_s() -> float:
    """Return the seconds of computing that loading a command takes on this machine, the first time and compiled."""
    times = []
    for _ in range(2):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-m", "unspool_tui.cli", "bytes", "--help"], capture_output=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        times.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return max(times)


def _end(command: str, source: Path, folder: Path, number: signal.Signals) -> None:
    """Run a command, tell it to end when it is in the middle, and see how it went and that it was soon."""
    assert any(_ended_after(command, source, folder / f"{n}", number) < _SOON_S for n in range(_TRIES))


def _ended_after(command: str, source: Path, folder: Path, number: signal.Signals) -> float:
    """Return the seconds a command took to end, or infinity where it had reached its end by itself."""
    scratch, out = folder / "scratch", folder / "out"
    scratch.mkdir(parents=True)
    out.mkdir()
    words = command.replace("SRC", str(source)).replace("OUT", str(out / "out")).split()
    process = subprocess.Popen(
        [sys.executable, "-m", "unspool_tui.cli", *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(scratch), "XDG_STATE_HOME": str(folder / "state")},
        start_new_session=True,
    )
    try:
        wait_until(
            lambda: process.poll() is not None or _cpu_s(process.pid) > _loading_cpu_s() + _BEGUN_CPU_S,
            "the middle of the work",
        )
        told = time.monotonic()
        process.send_signal(number)
        said, wrong = process.communicate(timeout=20)
        took = time.monotonic() - told
    finally:
        process.kill()
    if process.returncode == 0:
        return math.inf
    assert process.returncode == 128 + number, wrong.decode()
    assert b"Traceback" not in wrong
    assert list(scratch.iterdir()) == []
    assert list(out.iterdir()) == []
    if number == signal.SIGTERM:
        assert said == b""
    return took


def _mostly_slow(calls: Iterable[tuple[str, signal.Signals]]) -> list[Any]:
    """Return calls as parameters; all end by one mechanism, so that the quick run needs a few of them."""
    return [pytest.param(*call, marks=() if at % 8 == 0 else pytest.mark.slow) for at, call in enumerate(calls)]


@pytest.mark.one_in(4)
@pytest.mark.parametrize(
    ("command", "number"), _mostly_slow(zip(_READING, itertools.cycle([signal.SIGTERM, signal.SIGINT]), strict=False))
)
def test_a_command_ends_while_a_large_source_is_read(
    command: str, number: signal.Signals, lines: Path, tmp_path: Path
) -> None:
    _end(command, lines, tmp_path, number)


@pytest.mark.parametrize(
    ("command", "number"), _mostly_slow(zip(_ASKING, itertools.cycle([signal.SIGINT, signal.SIGTERM]), strict=False))
)
def test_a_command_ends_in_the_middle_of_its_question(
    command: str, number: signal.Signals, native: Path, tmp_path: Path
) -> None:
    _end(command, native, tmp_path, number)


_DEAF = """
import sys, time
from unspool.files import ScratchFolder
from unspool_tui.cli.ending import end_when_told, interruptible, was_told
end_when_told()
folder = ScratchFolder()
print(folder.path, flush=True)
try:
{body}
except KeyboardInterrupt:
    folder.close()
    sys.exit(was_told())
"""
_DEAF_BODIES = {
    "swallows it": "while True:\n    try:\n        time.sleep(60)\n    except KeyboardInterrupt:\n        pass",
    "never asks": "with interruptible():\n    while True:\n        time.sleep(60)",
    "waits in foreign code": (
        "import sqlite3\n"
        "sqlite3.connect(':memory:').execute("
        "'with recursive n(x) as (select 1 union all select x + 1 from n) select count(*) from n').fetchall()"
    ),
}


def _is_within(pid: int, begun: float) -> bool:
    """Whether a process sleeps, or has computed for a while."""
    return Path(f"/proc/{pid}/wchan").read_text() not in ("0", "pipe_write") or _cpu_s(pid) > begun + 0.2


@pytest.mark.one_in(2)
@pytest.mark.parametrize("number", [pytest.param(signal.SIGINT, marks=pytest.mark.slow), signal.SIGTERM])
@pytest.mark.parametrize("body", _DEAF_BODIES.values(), ids=_DEAF_BODIES)
def test_what_does_not_listen_ends_all_the_same(body: str, number: signal.Signals, tmp_path: Path) -> None:
    code = _DEAF.format(body=textwrap.indent(body, "    "))
    assert any(_deaf_ended_after(code, number, tmp_path) < _SOON_S for _ in range(_TRIES))


def _deaf_ended_after(code: str, number: signal.Signals, scratch: Path) -> float:
    env = {**os.environ, "TMPDIR": str(scratch)}
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env
    )
    try:
        assert process.stdout is not None
        folder = Path(process.stdout.readline().strip())
        begun = _cpu_s(process.pid)
        assert folder.is_dir()
        wait_until(lambda: _is_within(process.pid, begun), "the middle of its work")
        told = time.monotonic()
        process.send_signal(number)
        process.wait(20)
        took = time.monotonic() - told
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 128 + number
    assert list(scratch.iterdir()) == []
    return took


def test_what_is_ignored_from_the_start_stays_ignored(tmp_path: Path) -> None:
    code = (
        "import signal, os\n"
        "signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
        "from unspool_tui.cli.ending import end_when_told\n"
        "end_when_told()\n"
        "os.kill(os.getpid(), signal.SIGHUP)\n"
        "print('goes on')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=20)
    assert done.stdout == "goes on\n"
