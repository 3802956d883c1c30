"""Stories in a real pseudo-terminal: from opening a history to leaving it, the terminal as it was before."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from terminal_harness import Terminal, unspool

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


def leave(terminal: Terminal) -> None:
    terminal.send("q")
    assert terminal.wait() == 0
    assert terminal.restored()


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


def test_searching_through_time_arrives_at_the_entry(opened: Terminal) -> None:
    # Sent in one go: nothing that is typed ahead of the screen may be lost.
    opened.send("{", "/", "kettle", "enter")
    opened.wait_for(r"42/99")
    opened.wait_for(r"the kettle is on")
    leave(opened)


def test_marking_a_base_diffing_and_exporting_the_patch(opened: Terminal, tmp_path: Path) -> None:
    opened.send(":", "10", "enter")
    opened.wait_for(r"10/99")
    opened.send("m", ":", "30", "enter")
    opened.wait_for(r"#10 base → #30")
    opened.send("E", "d", "enter")
    opened.wait_for(r"wrote .* to shop-30\.patch\.json")
    patch = json.loads((tmp_path / "shop-30.patch.json").read_text())
    assert {"op": "replace", "path": "/user/visits", "value": 30} in patch
    leave(opened)


def test_yanking_writes_the_value_to_the_terminals_clipboard(opened: Terminal) -> None:
    opened.send("3", "j", "l", "j", "y", "v")
    opened.wait_for(r"OSC 52|copied with")
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


def test_the_place_is_found_again_after_a_restart(history_file: Path, opened: Terminal) -> None:
    opened.send(":", "55", "enter")
    opened.wait_for(r"55/99")
    opened.send("b", "2", "j")
    opened.wait_for(r"bookmark set")
    leave(opened)
    with unspool("open", str(history_file)) as again:
        again.wait_for(r"55/99")
        again.wait_for(r"55◆")
        leave(again)


def test_ctrl_c_only_hints(opened: Terminal) -> None:
    opened.send("ctrl+c")
    opened.wait_for(r"nothing is selected to copy; q leaves unspool")
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
