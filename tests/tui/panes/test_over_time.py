"""What is drawn over the whole history: a number's plot."""

from __future__ import annotations

from pathlib import Path

import pytest
from tui_driver import Driver, drive, make_app, open_file

from unspool_tui.screens.plot import spread
from unspool_tui.view.moves import select

action = pytest.mark.action


async def _select(driver: Driver, *address: str | int) -> None:
    driver.app.main.apply(select(driver.app.main.view, address))
    await driver.settle()


@action("plot")
async def test_a_number_is_drawn_over_time_and_any_moment_can_be_gone_to(shop_file: Path) -> None:
    async with drive(make_app(open_file(shop_file), at=100)) as driver:
        await _select(driver, "banner")
        await driver.press("s")
        assert "only a number can be drawn" in driver.line(-1)
        await _select(driver, "requests")
        await driver.press("s")
        assert "$.requests" in driver.text()
        assert "199" in driver.text()
        await driver.press("end", "enter")
        assert driver.view.head == 199


def test_a_column_shows_the_number_that_stood_there() -> None:
    assert spread([(0, 1.0), (4, 2.0), (7, None)], 8, 8) == [1.0, 1.0, 1.0, 1.0, 2.0, 2.0, 2.0, None]
