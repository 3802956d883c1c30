"""Panes made wider and narrower, and rows gone to by the letter beside them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shop_files import record
from tui_driver import Driver, drive, make_app, open_file

from unspool_tui.screens.modal import LETTERS, letters_of
from unspool_tui.view.model import Pane

action = pytest.mark.action


def width_of(driver: Driver, pane: Pane) -> int:
    width: int = driver.app.main.panels[pane].region.width
    return width


@pytest.mark.one_in(2)
@action("pane.wider", "pane.narrower")
@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 50)])
async def test_the_focused_pane_grows_and_shrinks_within_the_screen(shop_file: Path, size: tuple[int, int]) -> None:
    async with drive(make_app(open_file(shop_file), at=100), size) as driver:
        for pane in (Pane.HISTORY, Pane.CHANGES):
            await driver.press(str(pane.value))
            before = width_of(driver, pane)
            await driver.press("vertical_line")
            assert width_of(driver, pane) == before + 4
            await driver.press("underscore", "underscore")
            assert width_of(driver, pane) == before - 4
        await driver.press("1", *["vertical_line"] * 40)
        assert "cannot be made larger" in driver.line(-1)
        assert width_of(driver, Pane.CHANGES) >= 20
        await driver.press(*["underscore"] * 40)
        assert width_of(driver, Pane.HISTORY) == 20
        await driver.press("z")
        assert width_of(driver, Pane.HISTORY) == size[0]
        await driver.press("vertical_line")
        assert "z gives it back" in driver.line(-1)
        await driver.press("z")
        assert width_of(driver, Pane.HISTORY) == 20


async def test_the_list_of_results_grows_in_height(shop_file: Path) -> None:
    async with drive(make_app(open_file(shop_file), at=100)) as driver:
        await driver.press("b", "'")
        panel = driver.app.main.panels[Pane.RESULTS]
        before = panel.region.height
        await driver.press("|")
        assert panel.region.height == before + 2
        await driver.press(*["_"] * 20)
        assert panel.region.height == 4


@action("jump.row")
async def test_a_letter_goes_to_its_row(shop_file: Path) -> None:
    async with drive(make_app(open_file(shop_file), at=100)) as driver:
        panel = driver.app.main.panels[Pane.HISTORY]
        await driver.press("semicolon")
        assert "a letter goes to its row" in driver.line(-1)
        shown = driver.panel(Pane.HISTORY).split("\n")[1:-1]
        assert [line[1] for line in shown] == list(LETTERS[: len(shown)])
        await driver.press("d")
        assert driver.view.head == panel.top + 3
        assert "│d" not in driver.panel(Pane.HISTORY)
        await driver.press("3", "semicolon", "%")
        assert "% stands beside no row" in driver.line(-1)
        await driver.press("b")
        assert driver.view.selected == ("session",)
        before = driver.view.head
        await driver.press("semicolon", "escape", ".")
        assert driver.view.head == before + 1
        await driver.press("4", "semicolon")
        assert "no rows to go to" in driver.line(-1)


async def test_letters_typed_ahead_go_where_they_would_have_gone(tmp_path: Path) -> None:
    path = record(tmp_path / "few.unspool", [({"n": number}, "step") for number in range(9)])
    async with drive(make_app(open_file(path), at=8), (80, 24)) as driver:
        main = driver.app.main
        main.take_key("semicolon", ";")
        main.take_key("c", "c")
        await driver.settle()
        assert driver.view.head == 2


@given(st.integers(0, 10**6), st.integers(1, 100), st.integers(0, 10**6))
def test_every_row_in_sight_has_a_letter_of_its_own_while_there_are_letters(top: int, page: int, count: int) -> None:
    found = letters_of(top, page, count)
    assert len(set(found.values())) == len(found) == max(0, min(page, count - top, len(LETTERS)))
    assert all(top <= row < top + page for row in found)
