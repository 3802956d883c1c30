"""Progress on standard error: by the clock, with an estimate, only on a terminal, and taken away in the end."""

from __future__ import annotations

import io
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from support.recording import record_shop
from unspool.history.history import History
from unspool.query.blame import blame
from unspool.query.checkers import check
from unspool.query.compare import compare
from unspool.query.disk_usage import footprint
from unspool.query.doctor.diagnosis import diagnose
from unspool.query.path_writes import all_writes
from unspool.query.search import parse_query, search
from unspool.sources.opening import open_history
from unspool_tui.cli import options
from unspool_tui.cli.options import Common, Meter, shown_progress


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    one = Clock()
    monkeypatch.setattr(options, "monotonic", one)
    return one


def lines(said: str) -> list[str]:
    return [line.rstrip() for line in said.split("\r") if line.strip()]


def test_the_first_second_is_silent_and_then_ten_times_a_second(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    meter = Meter("counting", is_shown=True)
    for step in range(100):
        clock.now = 1000.0 + step / 100
        meter(step, 10_000)
    assert capsys.readouterr().err == ""
    for step in range(100, 200):
        clock.now = 1000.0 + step / 100
        meter(step, 10_000)
    assert 9 <= len(lines(capsys.readouterr().err)) <= 11


def test_slow_entries_are_told_each(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    meter = Meter("counting", is_shown=True)
    for step in range(4):
        clock.now += 5
        meter(step, 4)
    assert lines(capsys.readouterr().err)[-1] == "counting  75 %, about 5 s left"


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(10, "about 10 s left"), (100, "about 1 min 40 s left"), (40_000, "about 11 h 06 min left")],
)
def test_the_estimate_goes_on_at_the_rate_so_far(
    clock: Clock, capsys: pytest.CaptureFixture[str], seconds: int, told: str
) -> None:
    meter = Meter("reading", is_shown=True)
    meter(0, 200)
    clock.now += seconds
    meter(100, 200)
    assert lines(capsys.readouterr().err) == [f"reading  50 %, {told}"]


def test_what_has_no_total_and_what_overtakes_it_are_told_without_nonsense(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    meter = Meter("reading", is_shown=True)
    for done, total in ((0, 0), (5_000, 0), (7, 5), (5, 5)):
        clock.now += 3
        meter(done, total)
    assert lines(capsys.readouterr().err) == [
        "reading 0",
        "reading 5,000",
        "reading 100 %",
        "reading 100 %, about 1 s left",
    ]


def test_the_line_is_taken_away(
    clock: Clock, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    with shown_progress(Common("x"), "reading") as meter:
        clock.now += 2
        meter(1, 4)
    shown = screen.getvalue()
    assert shown.startswith("\rreading  25 %")
    assert shown.endswith("\r")
    assert set(shown.split("\r")[-2]) == {" "}
    with shown_progress(Common("x", quiet=True), "reading") as meter:
        clock.now += 2
        meter(1, 4)
    assert screen.getvalue() == shown


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Iterator[History]:
    path = tmp_path_factory.mktemp("progress") / "shop.unspool"
    record_shop(path, 50)
    with open_history(path, follow=False) as opened:
        yield opened


@pytest.mark.parametrize(
    "question",
    [
        lambda history, tell, stop: footprint(history, progress=tell, cancelled=stop).complete,
        lambda history, tell, stop: compare(history, history, progress=tell, cancelled=stop).complete,
        lambda history, tell, stop: _searched(history, tell, stop),
        lambda history, tell, stop: not blame(history, progress=tell, cancelled=stop).unexplained,
        lambda history, tell, stop: all_writes(history, ("stock",), progress=tell, cancelled=stop).complete,
        lambda history, tell, stop: check(history, progress=tell, cancelled=stop).complete,
        lambda history, tell, stop: diagnose(history, progress=tell, cancelled=stop).complete,
    ],
    ids=["bytes", "compare", "search", "blame", "writes", "check", "doctor"],
)
def test_each_entry_is_told_and_may_be_the_last(question, history: History) -> None:  # type: ignore[no-untyped-def]
    told: list[tuple[int, int]] = []

    def tell(done: int, total: int) -> None:
        told.append((done, total))

    assert question(history, tell, lambda: False)
    assert len(told) >= 10
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert all(0 <= done <= total for done, total in told)
    whole = len(told)
    told.clear()
    question(history, tell, lambda: len(told) >= 5)
    assert len(told) <= 6 < whole


def _searched(history: History, tell, stop) -> bool:  # type: ignore[no-untyped-def]
    running = search(history, parse_query("no such thing"), progress=tell, cancelled=stop)
    assert list(running) == []
    return running.complete


def test_reading_a_foreign_source_is_told(tmp_path: Path) -> None:
    path = tmp_path / "app.jsonl"
    path.write_text("".join(f'{{"count": {number}}}\n' for number in range(30)))
    told: list[tuple[int, int]] = []
    with open_history(path, follow=False, progress=lambda done, total: told.append((done, total))) as history:
        assert len(history) == 30
    assert len(told) == 30
    assert {total for _, total in told} == {path.stat().st_size}
    assert [done for done, _ in told] == sorted(done for done, _ in told)


_SLOW = """
import sys
from unspool_tui.cli import options, run
options._SILENT_S = 0.0
sys.exit(run(sys.argv[1:]))
"""


@pytest.mark.one_in(6)
@pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals")
@pytest.mark.parametrize(
    ("command", "what"),
    [
        ("stats SRC", "reading"),
        ("show SRC 1", "reading"),
        ("diff SRC 1 2", "reading"),
        ("log SRC", "listing"),
        ("search SRC zzz", "searching"),
        ("bytes SRC", "counting"),
        ("compare SRC SRC", "comparing"),
        ("blame SRC count", "looking back"),
        ("check SRC", "checking"),
        ("doctor SRC", "examining"),
        ("export SRC OUT.jsonl", "writing"),
        ("convert SRC OUT.unspool", "reading"),
    ],
)
def test_commands_tell_how_far_they_are_on_a_terminal_and_nowhere_else(
    command: str, what: str, tmp_path: Path
) -> None:
    path = tmp_path / "app.jsonl"
    path.write_text("".join(f'{{"count": {number}, "same": 1}}\n' for number in range(400)))
    words = command.replace("SRC", str(path)).replace("OUT", str(tmp_path / "out")).split()
    reading, writing = pty.openpty()
    try:
        done = subprocess.run(
            [sys.executable, "-c", _SLOW, *words], stdout=subprocess.PIPE, stderr=writing, check=False, timeout=60
        )
    finally:
        os.close(writing)
    said = _all_of(reading).decode()
    os.close(reading)
    assert done.returncode == 0, said
    assert f"\r{what} " in said
    assert b"\r" not in done.stdout
    words += ["--force"] if "OUT" in command else []
    piped = subprocess.run([sys.executable, "-c", _SLOW, *words], capture_output=True, check=False, timeout=60)
    assert piped.returncode == 0
    assert b"\r" not in piped.stderr


def _all_of(descriptor: int) -> bytes:
    found = b""
    with suppress(OSError):
        while piece := os.read(descriptor, 65_536):
            found += piece
    return found
