"""Choosing what of a source is shown: listed, switched, remembered for the source, with a place for each part."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from test_tabs import lines, opened, tabbed
from tui_driver import Driver, drive

from unspool.events import EventLog, write_source
from unspool_tui.source import NamedSource, keep_choice, recall, with_choice
from unspool_tui.tabs import Tab
from unspool_tui.view.model import Pane

action = pytest.mark.action
FIXTURES = Path(__file__).parents[3] / "fixtures"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """An event log of two spaces, of four events and of two."""
    path = tmp_path / "log.db"
    with EventLog(path) as events:
        for number in range(4):
            write_source(events, "a.py", f"2026-02-14T00:00:0{number}.000Z", f"x = {number}\n", "python")
        for number in range(2):
            write_source(events, "b.json", f"2026-02-14T00:00:1{number}.000Z", f'{{"n": {number}}}', "json")
    return path


async def shows(driver: Driver, total: int) -> None:
    """Wait until the tab in front shows so many entries."""
    await driver.until(lambda: driver.view.total == total)
    await driver.settle()


@action("choose")
async def test_a_space_is_chosen_from_a_list_and_all_of_it_again(log: Path) -> None:
    async with drive(tabbed(log)) as driver:
        await shows(driver, 6)
        await driver.press("O")
        assert "space a.py" in driver.text()
        assert "4 entries" in driver.text()
        await driver.press("1")
        await shows(driver, 4)
        assert "a.py source" not in driver.text()
        await driver.press("O", "2")
        await shows(driver, 2)
        await driver.press("O", "a")
        await shows(driver, 6)


async def test_the_choice_and_the_place_in_each_part_are_remembered(log: Path) -> None:
    async with drive(tabbed(log, remember=True)) as driver:
        await shows(driver, 6)
        await driver.press(",", "O", "1")
        await shows(driver, 4)
        await driver.press(",", ",")
        assert driver.view.head == 1
        await driver.press("O", "a")
        await shows(driver, 6)
        assert driver.view.head == 4
        await driver.press("O", "1")
        await shows(driver, 4)
        await driver.until(lambda: driver.view.head == 1)
    assert recall(NamedSource(str(log))).select == {"space": "a.py"}


async def test_a_source_of_one_part_says_so(tmp_path: Path) -> None:
    path = tmp_path / "app.jsonl"
    path.write_text(lines(0, 5))
    async with drive(tabbed(path)) as driver:
        await driver.press("O")
        await driver.until(lambda: "no threads, players or spaces" in driver.text())


async def test_escape_and_the_part_that_is_shown_already_change_nothing(log: Path) -> None:
    async with drive(tabbed(log)) as driver:
        await shows(driver, 6)
        history = driver.app.main.scene.history
        await driver.press("O", "escape", "O", "enter")
        assert driver.app.main.scene.history is history


async def test_each_tab_has_a_choice_of_its_own(log: Path, tmp_path: Path) -> None:
    threads = tmp_path / "threads.sqlite"
    shutil.copy(FIXTURES / "langgraph" / "threads.sqlite", threads)
    async with drive(tabbed(log, threads)) as driver:
        await opened(driver, 1)
        await driver.press("O", "2")
        await shows(driver, 2)
        await driver.press("L", "O")
        assert "thread a" in driver.text()
        await driver.press("2")
        await shows(driver, 1)
        await driver.press("H")
        assert driver.view.total == 2
        await driver.press("L")
        assert driver.view.total == 1


async def test_a_part_goes_on_being_followed(log: Path) -> None:
    async with drive(tabbed(log)) as driver:
        await shows(driver, 6)
        await driver.press("O", "1")
        await shows(driver, 4)
        with EventLog(log) as events:
            write_source(events, "a.py", "2026-02-14T00:01:00.000Z", "x = 9\n", "python")
            write_source(events, "b.json", "2026-02-14T00:01:01.000Z", '{"n": 9}', "json")
        await shows(driver, 5)
        assert driver.view.head == 4


def test_a_part_that_is_not_there_any_more_gives_way_to_all_of_it(log: Path) -> None:
    whole = NamedSource(str(log), follow=False)
    keep_choice(whole, {"space": "gone.py"})
    tab = Tab(with_choice(whole), fallback=whole)
    with tab.open_or_raise(wait=True) as history:
        assert len(history) == 6
    assert "no space 'gone.py'" in tab.note


def test_a_part_named_on_the_command_line_goes_before_the_one_that_was_chosen(log: Path) -> None:
    keep_choice(NamedSource(str(log)), {"space": "a.py"})
    assert with_choice(NamedSource(str(log))).select == {"space": "a.py"}
    assert with_choice(NamedSource(str(log), select={"space": "b.json"})).select == {"space": "b.json"}


async def test_a_tab_that_was_refused_for_want_of_a_choice_can_still_be_chosen_from(tmp_path: Path) -> None:
    path = tmp_path / "region.bin"
    path.write_bytes(bytes(4) + bytes((7,)) + bytes((1, 2, 3, 4)) + bytes(2))
    other = tmp_path / "app.jsonl"
    other.write_text(lines(0, 5))
    app = tabbed(other, path)
    app.tabs.all[1].source = NamedSource(str(path), format="region")
    async with drive(app) as driver:
        await driver.until(lambda: bool(app.tabs.all[1].error))
        await driver.press("L")
        await driver.until(lambda: "order=little" in driver.panel(Pane.CHANGES))
        await driver.press("O")
        await driver.until(lambda: driver.app.screen is not driver.app.main)
        await driver.press("2")
        await shows(driver, 1)


async def test_very_many_parts_are_listed_before_anything_else(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    with EventLog(path) as events:
        for space in range(60):
            for number in range(1 + space % 2):
                moment = f"2026-02-14T00:{space:02}:0{number}.000Z"
                write_source(events, f"file{space:02}.py", moment, f"x = {number}\n", "python")
    async with drive(tabbed(path)) as driver:
        await driver.until(lambda: "60 parts: show" in driver.text())
        assert "space file00.py" in driver.text()
        await driver.press("2")
        await shows(driver, 2)
        assert "parts: show" not in driver.text()
