"""Stories in a real pseudo-terminal: from opening a history to leaving it, the terminal as it was before."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from terminal_harness import PATIENCE, Screen, Terminal, unspool

from unspool.recorder.recorder import Recorder

START_NS = 1_772_366_400 * 10**9


def state_at(number: int) -> dict[str, Any]:
    return {
        "cart": {"items": [{"sku": f"sku-{item}", "qty": 1} for item in range(number // 10)], "total": number * 2.5},
        "user": {"name": "Mara", "visits": number},
        "note": "the kettle is on" if number == 42 else "all quiet",
    }


@pytest.fixture
def history_file(tmp_path: Path) -> Path:
    path = tmp_path / "shop.unspool"
    with Recorder(path) as recorder:
        for number in range(100):
            recorder.record(state_at(number), f"visit {number}", timestamp_ns=START_NS + number * 10**9)
    return path


@pytest.fixture
def opened(history_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Terminal]:
    monkeypatch.chdir(tmp_path)
    with unspool("open", str(history_file), size=(120, 36)) as terminal:
        terminal.wait_for(r"99/99")
        yield terminal


def wait_until(condition: Callable[[], bool]) -> None:
    end = monotonic() + PATIENCE
    while not condition():
        assert monotonic() < end
        os.sched_yield()


def told(terminal: Terminal, pattern: str) -> None:
    """Find a word in the message log: in the footer it passes, and a busy machine may not see it there."""
    end = monotonic() + PATIENCE
    while True:
        terminal.send("!")
        terminal.wait_for(r"Esc leaves")
        found = re.search(pattern, terminal.screen.text)
        # Escape and a key right after it would be one key to a terminal.
        terminal.send("!")
        terminal.wait_for(r"(?s)\A(?!.*Esc leaves)")
        if found is not None:
            return
        assert monotonic() < end, f"{pattern!r} was never told"


def export(terminal: Terminal, kind: str, path: Path) -> None:
    """Export to the name that is proposed, and wait for the file: a key that comes while the question closes is nobody's."""
    terminal.send("E", kind)
    terminal.wait_for(re.escape(path.name))
    terminal.send("enter")
    end = monotonic() + PATIENCE
    while not path.exists():
        assert monotonic() < end, terminal.screen.text
        terminal.read(0.05)


def leave(terminal: Terminal) -> None:
    terminal.send("q")
    assert terminal.wait() == 0
    assert terminal.restored()


@pytest.mark.slow
def test_opening_scrubbing_and_leaving_restores_the_terminal(opened: Terminal) -> None:
    opened.wait_for(r"LIVE follow")
    opened.send(",", ",", ",")
    opened.wait_for(r"96/99")
    opened.wait_for(r"#95 → #96")
    opened.send("." * 2)
    opened.wait_for(r"98/99")
    opened.send("{")
    opened.wait_for(r"0/99")
    assert opened.screen.modes >= {"1049"}
    leave(opened)


@pytest.mark.slow
def test_searching_through_time_arrives_at_the_entry(opened: Terminal) -> None:
    # Sent in one go: nothing that is typed ahead of the screen may be lost.
    opened.send("{", "/", "kettle", "enter")
    opened.wait_for(r"42/99")
    opened.wait_for(r"the kettle is on")
    leave(opened)


@pytest.mark.slow
def test_marking_a_base_diffing_and_exporting_the_patch(opened: Terminal, tmp_path: Path) -> None:
    opened.send(":", "10", "enter")
    opened.wait_for(r"10/99")
    opened.send("m", ":", "30", "enter")
    opened.wait_for(r"#10 base → #30")
    export(opened, "d", tmp_path / "shop-30.patch.json")
    told(opened, r"wrote .* to shop-30\.patch\.json")
    patch = json.loads((tmp_path / "shop-30.patch.json").read_text())
    assert {"op": "replace", "path": "/user/visits", "value": 30} in patch
    leave(opened)


@pytest.mark.slow
def test_yanking_writes_the_value_to_the_terminals_clipboard(opened: Terminal) -> None:
    opened.send("3", "j", "l", "j", "y", "v")
    told(opened, r"OSC 52|copied with")
    assert b"\x1b]52;c;" in opened.written or b"copied with" in opened.written
    leave(opened)


def test_following_a_history_that_another_process_writes(history_file: Path, opened: Terminal) -> None:
    with Recorder(history_file) as recorder:
        for number in range(100, 110):
            recorder.record(state_at(number), "visit", timestamp_ns=START_NS + number * 10**9)
        opened.wait_for(r"109/109")
        opened.send(",")
        opened.wait_for(r"PAUSED")
        recorder.record(state_at(110), "visit", timestamp_ns=START_NS + 110 * 10**9)
        opened.wait_for(r"PAUSED \+1")
    leave(opened)


@pytest.mark.slow
def test_the_place_is_found_again_after_a_restart(history_file: Path, opened: Terminal) -> None:
    opened.send(":", "55", "enter")
    opened.wait_for(r"55/99")
    opened.send("b", "2", "j")
    told(opened, r"bookmark set")
    leave(opened)
    with unspool("open", str(history_file)) as again:
        again.wait_for(r"55/99")
        again.wait_for(r"55◆")
        leave(again)


def test_ctrl_c_only_hints(opened: Terminal) -> None:
    opened.send("ctrl+c")
    told(opened, r"nothing is selected to copy; q leaves unspool")
    leave(opened)


def test_a_terminal_that_is_too_small_says_what_it_needs_and_still_quits(history_file: Path) -> None:
    with unspool("open", str(history_file), size=(50, 12)) as terminal:
        terminal.wait_for(r"unspool needs 60 columns")
        leave(terminal)


def test_plain_ascii_without_mouse_or_colour(history_file: Path) -> None:
    with unspool("open", str(history_file), "--ascii", "--no-mouse", "--no-color") as terminal:
        terminal.wait_for(r"99/99")
        terminal.wait_for(r"\+- 1 History")
        assert terminal.screen.text.isascii()
        assert not terminal.screen.modes & {"1000", "1002", "1003"}
        leave(terminal)


_RECORDS = """
import sys, time
from unspool import Recorder
with Recorder(sys.argv[1]) as recorder:
    number = 0
    while True:
        recorder.record({"beat": number}, "beat")
        number += 1
        time.sleep(0.02)
"""


def test_a_whole_day_from_opening_to_leaving(history_file: Path, opened: Terminal, tmp_path: Path) -> None:
    opened.wait_for(r"LIVE follow")
    opened.send(*"," * 9)
    opened.wait_for(r"90/99")
    opened.send("/", "kettle", "enter")
    opened.wait_for(r"42/99")
    opened.send("m", "n", ":", "50", "enter")
    opened.wait_for(r"#42 base → #50")
    export(opened, "d", tmp_path / "shop-50.patch.json")
    told(opened, r"wrote .* to shop-50\.patch\.json")
    patch = json.loads((tmp_path / "shop-50.patch.json").read_text())
    assert {"op": "replace", "path": "/note", "value": "all quiet"} in patch
    export(opened, "1", tmp_path / "shop.jsonl")
    told(opened, r"wrote .* to shop\.jsonl")
    assert len((tmp_path / "shop.jsonl").read_text().splitlines()) == 100
    opened.send("M", "f")
    opened.wait_for(r"LIVE follow")
    with Recorder(history_file) as recorder:
        recorder.record(state_at(100), "late visit", timestamp_ns=START_NS + 100 * 10**9)
        opened.wait_for(r"100/100")
        opened.wait_for(r"late visit")
    leave(opened)


def test_leaving_in_the_middle_of_a_long_read_lets_go_of_everything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, scratch = tmp_path / "long.jsonl", tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setenv("TMPDIR", str(scratch))
    path.write_text("".join(f'{{"n": {number}, "text": "{number % 977:>60}"}}\n' for number in range(400_000)))
    with unspool("open", str(path), size=(100, 30)) as terminal:
        terminal.wait_for(r"READING")
        leave(terminal)
    assert not any(scratch.iterdir())


@pytest.mark.slow
def test_escape_stops_a_long_read_and_what_has_arrived_stays(tmp_path: Path) -> None:
    path = tmp_path / "long.jsonl"
    path.write_text("".join(f'{{"n": {number}, "text": "{number % 977:>60}"}}\n' for number in range(400_000)))
    with unspool("open", str(path), size=(100, 30)) as terminal:
        terminal.wait_for(r"READING +[1-9]")
        terminal.send("escape")
        terminal.wait_for(r"(?s)\A(?!.*READING)")
        told(terminal, r"reading stopped; what has arrived stays|reading was cancelled")
        terminal.send("{")
        terminal.wait_for(r"#0|0/")
        leave(terminal)


def test_a_recorder_that_is_killed_leaves_the_screen_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "beats.unspool"
    with subprocess.Popen([sys.executable, "-c", _RECORDS, str(path)]) as recording:
        try:
            wait_until(path.exists)
            with unspool("open", str(path), size=(100, 30)) as terminal:
                terminal.wait_for(r"LIVE follow")
                seen = terminal.wait_for(r"unspool +beats\.unspool +entry ([\d,]+)/")[1]
                terminal.wait_for(rf"beats\.unspool +entry (?!{seen}/)[\d,]+/")
                recording.send_signal(signal.SIGKILL)
                recording.wait()
                terminal.send(",", ",")
                terminal.wait_for(r"PAUSED")
                terminal.wait_for(r"beat +~ \d+ → \d+")
                leave(terminal)
        finally:
            recording.kill()


def test_a_history_deleted_while_it_is_open_can_still_be_looked_at(history_file: Path, opened: Terminal) -> None:
    history_file.unlink()
    told(opened, r"shop\.unspool is gone; what was read can still be looked at")
    opened.send(",", ",")
    opened.wait_for(r"97/99")
    opened.wait_for(r"#96 → #97")
    opened.send("r", "{")
    opened.wait_for(r"Changes #0, the beginning")
    leave(opened)


def test_the_terminal_is_put_back_when_the_program_is_told_to_end(opened: Terminal) -> None:
    opened.send("?")
    opened.wait_for(r"Travel in time")
    opened.process.send_signal(signal.SIGTERM)
    opened.wait()
    assert opened.restored()
    assert opened.process.returncode == 128 + signal.SIGTERM


@pytest.mark.one_in(2)
@pytest.mark.parametrize("busy", [False, True], ids=["at rest", "in a long read"])
def test_the_program_ends_when_its_terminal_goes_away(
    tmp_path: Path, history_file: Path, monkeypatch: pytest.MonkeyPatch, busy: bool
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setenv("TMPDIR", str(scratch))
    path = tmp_path / "long.jsonl" if busy else history_file
    if busy:
        path.write_text("".join(f'{{"n": {number}, "text": "{number % 977:>60}"}}\n' for number in range(400_000)))
    with unspool("open", str(path), size=(100, 30)) as terminal:
        terminal.wait_for(r"READING" if busy else r"99/99")
        terminal.vanish()
        terminal.process.wait(PATIENCE)
    assert not any(scratch.iterdir())


def test_after_stops_from_outside_the_screen_is_there_again_and_leaving_gives_the_terminal_back(
    opened: Terminal,
) -> None:
    stat = Path(f"/proc/{opened.process.pid}/stat")
    # A shell takes the terminal back meanwhile; whoever stops the program from elsewhere leaves it as it is.
    for shell_takes_it in (True, False):
        opened.process.send_signal(signal.SIGSTOP)
        wait_until(lambda: stat.read_text().rpartition(")")[2].split()[0] == "T")
        if shell_takes_it:
            termios.tcsetattr(opened._slave, termios.TCSANOW, opened.before)
        while opened.read(0):
            pass
        before = len(opened.written)
        opened.process.send_signal(signal.SIGCONT)
        wait_until(lambda before=before: _is_drawn_since(opened, before))  # type: ignore[misc]

    def listens() -> bool:
        # The terminal throws keys away that come while it is taken again.
        opened.send("g")
        opened.read(0.2)
        return "entry 0/99" in opened.screen.text

    wait_until(listens)
    for place in (1, 2, 3):
        opened.send(".")
        opened.wait_for(rf"{place}/99")
    opened.send("q")
    assert opened.wait() == 0
    assert opened.restored()


def _is_drawn_since(terminal: Terminal, before: int) -> bool:
    terminal.read(0.05)
    begun = terminal.written.find(b"\x1b[?1049h", before)
    screen = Screen(terminal.screen.width, terminal.screen.height)
    screen.feed(terminal.written[begun:] if begun >= 0 else b"")
    return "99/99" in screen.text


def test_a_resize_storm_ends_with_the_right_layout(opened: Terminal) -> None:
    for width, height in ((40, 10), (200, 50), (61, 17), (300, 80), (80, 24), (1, 1), (100, 30)) * 3:
        opened.resize(width, height)
    opened.send(",")
    opened.wait_for(r"98/99")
    opened.wait_for(r"3 Inspect")
    leave(opened)


def test_a_terminal_that_shrank_and_grew_back_unseen_is_drawn_anew(opened: Terminal) -> None:
    opened.wait_for(r"3 Inspect")
    # By the time that the program asks, the terminal has the size again that it had, and nothing on it.
    opened.resize(120, 36)
    opened.wait_for(r"99/99")
    opened.wait_for(r"3 Inspect")
    leave(opened)


@pytest.mark.slow
def test_a_copied_command_opens_at_the_value(history_file: Path) -> None:
    with unspool("open", str(history_file), "--at", "42", "--atom", "user.visits") as terminal:
        terminal.wait_for(r"42/99")
        terminal.wait_for(r"visits +42")
        leave(terminal)
    with unspool("open", str(history_file), "--atom", "usr") as terminal:
        assert terminal.wait() == 2
        assert "did you mean user?" in terminal.screen.text


def test_a_pipe_gets_plain_text_and_no_screen(history_file: Path) -> None:
    command = [sys.executable, "-m", "unspool_tui.cli", "open", str(history_file)]
    done = subprocess.run(command, capture_output=True, check=True, timeout=60)
    assert b"\x1b" not in done.stdout
    assert b"visit 99" in done.stdout
    assert not done.stderr
