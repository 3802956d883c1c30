"""The key that tells the records of a list apart: shown in Changes, set by hand, remembered for the source."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from test_tabs import tabbed
from tui_driver import Driver, drive

from unspool_tui.source import NamedSource, recall
from unspool_tui.view.model import Pane

action = pytest.mark.action

BEFORE = [{"id": 1, "tag": "a", "n": 0}, {"id": 2, "tag": "b", "n": 0}]
AFTER = [{"id": 2, "tag": "a", "n": 1}, {"id": 1, "tag": "b", "n": 1}]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A log in which records change places by `id`, and stay where they are by `tag`."""
    path = tmp_path / "app.jsonl"
    path.write_text("".join(json.dumps({"rows": rows, "n": 1}) + "\n" for rows in (BEFORE, AFTER)))
    return path


async def read(driver: Driver) -> None:
    """Wait until all that is there has been read."""
    await driver.until(lambda: driver.view.total == 2)
    await driver.settle()


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 50)])
async def test_changes_names_the_key_by_which_the_list_at_hand_was_compared(log: Path, size: tuple[int, int]) -> None:
    async with drive(tabbed(log), size=size) as driver:
        await read(driver)
        assert "rows[*] by id" in driver.panel(Pane.CHANGES)
        await driver.press("2", "j", "j")
        assert "rows[*] by id" in driver.panel(Pane.CHANGES)


async def test_a_value_outside_any_list_names_no_key(tmp_path: Path) -> None:
    path = tmp_path / "app.jsonl"
    path.write_text("".join(json.dumps({"rows": rows, "a": n}) + "\n" for n, rows in enumerate((BEFORE, AFTER))))
    async with drive(tabbed(path)) as driver:
        await read(driver)
        await driver.press("2", "G")
        assert driver.view.selected == ("a",)
        assert "by id" not in driver.panel(Pane.CHANGES)


@action("identity")
async def test_a_key_set_by_hand_changes_the_diff_at_once_and_shows_that_it_was_set(log: Path) -> None:
    async with drive(tabbed(log, remember=True)) as driver:
        await read(driver)
        await driver.press("2", "j", "I")
        assert "rows[*]=id" in driver.text()
        await driver.press(*["backspace"] * 2, *"tag", "enter")
        await driver.settle()
        assert "rows[*] by tag (set)" in driver.panel(Pane.CHANGES)
        assert "»" not in driver.panel(Pane.CHANGES)
    async with drive(tabbed(NamedSource(str(log)).name, remember=True)) as driver:
        await read(driver)
        assert recall(NamedSource(str(log))).identity == {"rows": "tag"}


async def test_a_remembered_key_holds_when_the_source_is_opened_from_the_command_line(
    log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from unspool_tui.cli import run

    async with drive(tabbed(log, remember=True)) as driver:
        await read(driver)
        await driver.press("I")
        await driver.press(*["backspace"] * 20, *"rows=tag", "enter")
    assert run(["diff", str(log), "0", "1"]) == 0
    assert "rows[*] by tag" in capsys.readouterr().out


async def test_an_empty_key_leaves_the_list_to_detection_again(log: Path) -> None:
    async with drive(tabbed(log)) as driver:
        await read(driver)
        driver.app.main.scene.identify({"rows": "tag"})
        driver.app.main.repaint()
        await driver.settle()
        assert "rows[*] by tag (set)" in driver.panel(Pane.CHANGES)
        await driver.press("I", *["backspace"] * 3, "enter")
        await driver.settle()
        assert "rows[*] by id" in driver.panel(Pane.CHANGES)
        assert "is detected again" in driver.text()


async def test_what_is_no_path_is_told_while_it_is_typed_and_what_matches_nothing_after(log: Path) -> None:
    async with drive(tabbed(log)) as driver:
        await read(driver)
        await driver.press("I", *["backspace"] * 20, *"rows[=x")
        assert "no path of a list" in driver.text()
        await driver.press("enter")
        assert "no path of a list" in driver.text()
        await driver.press(*["backspace"] * 20, *"row=x", "enter")
        await driver.until(lambda: "did you mean rows?" in driver.text())


async def test_nothing_is_remembered_where_the_person_does_not_want_it(log: Path) -> None:
    async with drive(tabbed(log, remember=False)) as driver:
        await read(driver)
        await driver.press("I", *["backspace"] * 2, *"tag", "enter")
    assert recall(NamedSource(str(log))).identity == {}
