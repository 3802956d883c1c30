"""The whole app over a history of hostile states: every pane, mode and modal, at every step."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from hostile_texts import HOSTILE_TEXTS, deep
from shop_files import START_NS
from tui_driver import drive, make_app, open_file

from unspool.recorder.recorder import Recorder


@pytest.fixture(scope="module")
def hostile_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("hostile") / "[red]nasty\x1b[2J.unspool"
    texts = [text for text in HOSTILE_TEXTS if text]
    with Recorder(path) as recorder:
        for number, text in enumerate(texts):
            state: dict[str, Any] = {
                text: text,
                "list": texts[:number],
                "deep": deep(10_000 if number == 4 else 30, text),
                "numbers": [math.nan, -math.inf, 7**9000, number],
                "large": "\x1b[1m" * (200_000 if number in (5, 6) else number),
                "keys": {text: number, (1, text): text, number: None},
                "both\nlines": text + "\n" + "line\n" * number,
            }
            recorder.record(state, text, timestamp_ns=START_NS + number * 10**9)
    return path


@pytest.mark.parametrize(
    "size",
    [pytest.param((80, 24), marks=pytest.mark.slow), (120, 40), pytest.param((200, 50), marks=pytest.mark.slow)],
)
async def test_every_pane_and_mode_survives_hostile_states(hostile_file: Path, size: tuple[int, int]) -> None:
    async with drive(make_app(open_file(hostile_file), at=0), size=size) as driver:
        for _ in range(len(HOSTILE_TEXTS) - 2):
            await driver.press(".", "2", "w", "j", "l", "j", "w", "e", "e", "u")
            await driver.press("3", "j", "l", "j", "l", "j", "v", "j", "v", "j", "v", "4", "z", "z", "1")
            assert "\x1b" not in driver.text()
        await driver.press("m", "{", "}", "?", "escape", "!", "escape", "c", "escape", ":", "escape", "y", "escape")
        assert driver.app.is_running


async def test_a_hostile_selection_can_be_copied_travelled_and_exported(
    hostile_file: Path, clipboard: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    def written() -> int:
        return sum("-2." in path.name for path in tmp_path.iterdir())

    async with drive(make_app(open_file(hostile_file), at=2)) as driver:
        await driver.press("3", "g", "y", "v", "y", "p", "y", "q", "y", "k", "y", "d", "y", "l", "y", "e")
        # A JSON Patch cannot hold the keys that are no text.
        assert len(clipboard) == 6
        await driver.press("E", "s", "enter", "E", "h", "enter", "E", "p", "enter", "]", "[")
    assert written() == 3
