"""Keys of the timeline: focus, moving by a cell, zoom, axis."""

from __future__ import annotations

from pathlib import Path

import pytest
from tui_driver import drive, make_app, open_file

from unspool_tui.view.model import Pane

action = pytest.mark.action


@action("timeline")
async def test_the_timeline_takes_the_keys_and_gives_them_back(shop_file: Path) -> None:
    async with drive(make_app(open_file(shop_file), at=100)) as driver:
        axis = driver.app.main.timeline.axis
        place = axis.cell_of(100)
        await driver.press("6", "l", "right", "l")
        assert axis.cell_of(driver.view.head) == place + 3
        await driver.press("h", "left")
        assert axis.cell_of(driver.view.head) == place + 1
        assert driver.view.focus is Pane.HISTORY
        await driver.press("6", "l")
        assert driver.view.focus is Pane.CHANGES
        assert axis.cell_of(driver.view.head) == place + 1
        await driver.press("6", "1", "k")
        assert not driver.view.timeline_focused


async def test_moving_by_a_cell_stays_within_the_history(shop_file: Path) -> None:
    async with drive(make_app(open_file(shop_file), at=1)) as driver:
        await driver.press("6", *["h"] * 4)
        assert driver.view.head == 0
        await driver.press("+", "+", "+", *["l"] * 60)
        assert driver.app.main.timeline.axis.holds(driver.view.head)
        seen = driver.view.head
        await driver.press(*["l"] * 150)
        assert seen < driver.view.head == 199


@action("timeline.in", "timeline.out", "timeline.whole")
async def test_zoom_halves_what_is_shown_around_the_head(shop_file: Path) -> None:
    async with drive(make_app(open_file(shop_file), at=100)) as driver:
        timeline = driver.app.main.timeline
        await driver.press("0")
        assert "the timeline shows all entries" in driver.line(-1)
        await driver.press("+")
        assert (timeline.axis.start, timeline.axis.stop) == (50, 150)
        assert "100 of 200 entries" in driver.line(-1)
        await driver.press(*"++++++")
        assert timeline.axis.stop - timeline.axis.start == 8
        assert timeline.axis.holds(100)
        assert "cannot show fewer than 8" in driver.line(-1)
        # So close every entry has columns of its own, and its mark.
        assert driver.line(3).count("F") + driver.line(3).count("·") == 8
        assert driver.line(3).count("┃") == 1
        await driver.press("-")
        assert timeline.axis.stop - timeline.axis.start == 12
        await driver.press("0")
        assert (timeline.axis.start, timeline.axis.stop) == (0, 200)


@action("timeline.axis")
async def test_the_axis_is_by_time_or_by_entry(shop_file: Path) -> None:
    async with drive(make_app(open_file(shop_file), at=100)) as driver:
        timeline = driver.app.main.timeline
        assert not timeline.axis.by_time
        await driver.press("Z")
        assert timeline.axis.by_time
        assert "by time" in driver.line(-1)
        await driver.press("Z")
        assert not timeline.axis.by_time
