"""A history that grows while it is looked at."""

from __future__ import annotations

from pathlib import Path

from tui_driver import drive, make_app, open_file

from conftest import START_NS
from unspool.recorder.recorder import Recorder
from unspool_tui.view.model import Pane


def _record(recorder: Recorder, number: int, action: str = "tick") -> None:
    recorder.record({"count": number, "even": number % 2 == 0}, action, timestamp_ns=START_NS + number * 10**9)


async def test_following_shows_each_new_entry_as_another_process_would_write_it(tmp_path: Path) -> None:
    path = tmp_path / "live.unspool"
    with Recorder(path) as recorder:
        _record(recorder, 0)
        async with drive(make_app(open_file(path))) as driver:
            for number in range(1, 6):
                _record(recorder, number)
            await driver.until(lambda: driver.view.total == 6)
            await driver.settle()
            assert driver.view.head == 5
            assert "5/5" in driver.line(0)
            assert "#4 → #5" in driver.panel(Pane.CHANGES)


async def test_while_paused_the_place_stays_and_new_entries_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "live.unspool"
    with Recorder(path) as recorder:
        for number in range(10):
            _record(recorder, number)
        async with drive(make_app(open_file(path))) as driver:
            await driver.press("k", "k")
            for number in range(10, 24):
                _record(recorder, number)
            await driver.until(lambda: driver.view.total == 24)
            await driver.settle()
            assert driver.view.head == 7
            assert "PAUSED +14" in driver.line(0)
            await driver.press("f")
            assert driver.view.head == 23


async def test_a_filter_holds_for_entries_that_arrive(tmp_path: Path) -> None:
    path = tmp_path / "live.unspool"
    with Recorder(path) as recorder:
        for number in range(6):
            _record(recorder, number, "odd" if number % 2 else "even")
        async with drive(make_app(open_file(path))) as driver:
            await driver.press("\\")
            await driver.type("action:odd")
            await driver.press("enter")
            for number in range(6, 10):
                _record(recorder, number, "odd" if number % 2 else "even")
            await driver.until(lambda: driver.view.total == 10)
            await driver.settle()
            assert list(driver.app.main.rows) == [1, 3, 5, 7, 9]


async def test_an_empty_history_waits_and_shows_the_first_entry_when_it_comes(tmp_path: Path) -> None:
    path = tmp_path / "empty.unspool"
    with Recorder(path) as recorder:
        async with drive(make_app(open_file(path))) as driver:
            assert "waiting for the first entry" in driver.text()
            await driver.press(*",.[]<>npmyE/\\", "escape", "enter", "space", "j", "k", "G", "g", "z", "z", "v", "u")
            assert "the history is still empty" in driver.text()
            _record(recorder, 0)
            await driver.until(lambda: driver.view.total == 1)
            await driver.settle()
            assert "0/0" in driver.line(0)


async def test_wheeling_the_list_up_pauses_following(tmp_path: Path) -> None:
    path = tmp_path / "live.unspool"
    with Recorder(path) as recorder:
        for number in range(120):
            _record(recorder, number)
        async with drive(make_app(open_file(path))) as driver:
            panel = driver.app.main.panels[Pane.HISTORY]
            panel.post_message(panel.Wheeled(panel, -1))
            await driver.settle()
            assert not driver.view.follow
            top = panel.top
            _record(recorder, 120)
            await driver.until(lambda: driver.view.total == 121)
            await driver.settle()
            assert panel.top == top
