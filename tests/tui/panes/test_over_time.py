"""What is drawn over the whole history: a number's plot."""

from __future__ import annotations

from pathlib import Path

import pytest
from tui_driver import Driver, drive, make_app, open_file

from unspool_tui.rendering.line import UNICODE
from unspool_tui.screens.plot import Plot, plot_rows, spread
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


@pytest.mark.parametrize(
    ("low", "high", "told"),
    [
        (0, 199, ["199", "100", "0"]),
        (1, 2, ["2", "1"]),
        (0, 1234567, ["1,234,567", "617,284", "0"]),
        (0.5, 2.0, ["2", "1.25", "0.5"]),
    ],
)
def test_the_axis_of_whole_numbers_has_whole_numbers(low: float, high: float, told: list[str]) -> None:
    rows = plot_rows(Plot([float(low), float(high)], 0, 0), 9, UNICODE)
    assert [text for row in rows if (text := row.left[0][0].strip())] == told
