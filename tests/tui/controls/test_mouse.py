"""Clicks, drags and the wheel."""

from __future__ import annotations

from pathlib import Path

from shop_files import record
from textual import events
from tui_driver import Driver, drive, make_app, open_file

from unspool_tui.view.model import Pane
from unspool_tui.widgets.timeline import margin


def _mouse(
    kind: type[events.MouseEvent], x: int, y: int, *, shift: bool = False, ctrl: bool = False
) -> events.MouseEvent:
    return kind(None, x, y, 0, 0, 1, shift, False, ctrl, screen_x=x, screen_y=y)


async def _send(driver: Driver, *happened: events.MouseEvent) -> None:
    for event in happened:
        event.set_sender(driver.app)
        driver.app.post_message(event)
    await driver.settle()


async def test_a_click_on_the_ends_goes_there_and_can_be_taken_back(shop_file: Path) -> None:
    async with drive(make_app(open_file(shop_file), at=5)) as driver:
        timeline = driver.app.main.timeline
        await driver.click(timeline, margin(120), 0)
        assert driver.view.head == 0
        await driver.click(timeline, 118, 0)
        assert driver.view.head == 199
        await driver.press("ctrl+o", "ctrl+o")
        assert driver.view.head == 5


async def test_a_click_on_axis_bars_or_ticks_goes_to_the_entry_of_that_column(shop_file: Path) -> None:
    async with drive(make_app(open_file(shop_file), at=5)) as driver:
        timeline = driver.app.main.timeline
        for line in range(3):
            await driver.click(timeline, margin(120) + 42 + line, line)
            assert driver.view.head == timeline.axis.entry_at(42 + line)
            assert timeline.axis.cell_of(driver.view.head) == 42 + line


async def test_dragging_scrubs_and_letting_go_ends_it(shop_file: Path) -> None:
    async with drive(make_app(open_file(shop_file), at=0)) as driver:
        start, axis = margin(120), driver.app.main.timeline.axis
        moves = [_mouse(events.MouseMove, x, 2) for x in range(start, start + 31)]
        await _send(driver, _mouse(events.MouseDown, start, 2), *moves)
        assert driver.view.head == axis.entry_at(30) > 30
        await _send(driver, _mouse(events.MouseUp, start + 30, 2), _mouse(events.MouseMove, start + 50, 2))
        assert driver.view.head == axis.entry_at(30)


async def test_what_is_under_the_pointer_is_told_until_it_leaves(shop_file: Path) -> None:
    for size, line in (((120, 40), 1), ((80, 24), 2)):
        async with drive(make_app(open_file(shop_file), at=0), size) as driver:
            before, seq = driver.line(line), driver.app.main.timeline.entry_under(40)
            # The line that the pointer is on stays as it is.
            await _send(driver, _mouse(events.MouseMove, 40, 2 if line == 1 else 1))
            assert f" #{seq} 2026-03-01 12:00:" in driver.line(line)
            assert "~" in driver.line(line)
            await _send(driver, _mouse(events.MouseMove, 40, 12))
            assert driver.line(line) == before


async def test_the_wheel_with_ctrl_shows_less_and_leaves_what_is_under_the_pointer_there(shop_file: Path) -> None:
    async with drive(make_app(open_file(shop_file), at=60)) as driver:
        timeline, place = driver.app.main.timeline, 45
        await _send(driver, _mouse(events.MouseScrollUp, place, 1, ctrl=True))
        assert timeline.axis.stop - timeline.axis.start == 100
        assert timeline.axis.holds(60)
        assert abs(timeline.entry_under(place) - 66) <= 2
        await _send(driver, _mouse(events.MouseScrollDown, place, 1, ctrl=True))
        assert (timeline.axis.start, timeline.axis.stop) == (0, 200)


async def test_after_a_drag_inspect_tells_who_set_its_values(shop_file: Path) -> None:
    async with drive(make_app(open_file(shop_file), at=0)) as driver:
        start = margin(120)
        y = driver.app.main.timeline.region.y
        await _send(driver, *(_mouse(events.MouseMove, x, y) for x in range(start)))
        await _send(driver, _mouse(events.MouseDown, start, y))
        await _send(driver, *(_mouse(events.MouseMove, x, y) for x in range(start, start + 40, 5)))
        await _send(driver, _mouse(events.MouseUp, start + 35, y))
        head = driver.view.head
        assert head > 10
        await driver.until(lambda: f"#{head}" in driver.panel(Pane.INSPECT).split("\n", 1)[1])


async def test_the_wheel_over_the_timeline_steps(shop_file: Path) -> None:
    async with drive(make_app(open_file(shop_file), at=50)) as driver:
        await _send(driver, _mouse(events.MouseScrollDown, 40, 1), _mouse(events.MouseScrollDown, 40, 1))
        assert driver.view.head == 52
        await _send(driver, _mouse(events.MouseScrollUp, 40, 2))
        assert driver.view.head == 51


async def test_the_mouse_follows_where_it_comes_to_the_end(shop_file: Path) -> None:
    async with drive(make_app(open_file(shop_file), follow=True)) as driver:
        main = driver.app.main
        panel, timeline = main.panels[Pane.HISTORY], main.timeline
        await _send(driver, _mouse(events.MouseScrollUp, 10, 20))
        assert not driver.view.follow
        await _send(driver, _mouse(events.MouseScrollDown, 10, 20))
        assert driver.view.follow
        await driver.click(panel, 5, 4)
        assert not driver.view.follow
        await driver.click(timeline, timeline.columns - 1, 0)
        assert (driver.view.head, driver.view.follow) == (199, True)
        await _send(driver, _mouse(events.MouseScrollUp, 40, 1))
        assert not driver.view.follow
        await _send(driver, _mouse(events.MouseScrollDown, 40, 1))
        assert driver.view.follow


async def test_clicks_select_rows_and_focus_panes_and_a_second_click_opens(shop_file: Path) -> None:
    async with drive(make_app(open_file(shop_file), at=100)) as driver:
        main = driver.app.main
        row = main.panels[Pane.HISTORY].top + 3
        await driver.click(main.panels[Pane.HISTORY], 5, 4)
        assert driver.view.head == row
        await driver.click(main.panels[Pane.INSPECT], 5, 1)
        assert driver.view.focus is Pane.INSPECT
        assert driver.view.selected == ("cart",)
        await driver.click(main.panels[Pane.INSPECT], 5, 1, times=2)
        assert ("cart",) in driver.view.unfolded


async def test_the_wheel_scrolls_a_panel_without_moving_the_head(shop_file: Path) -> None:
    async with drive(make_app(open_file(shop_file), at=100)) as driver:
        panel = driver.app.main.panels[Pane.HISTORY]
        before = panel.top
        await _send(driver, _mouse(events.MouseScrollDown, 10, 20))
        assert panel.top == before + 3
        assert driver.view.head == 100
        await driver.press(".")
        assert ">101" in driver.panel(Pane.HISTORY)


async def test_the_wheel_scrolls_text_to_the_side_with_shift(tmp_path: Path) -> None:
    file = record(tmp_path / "long.unspool", [({"text": "x" * 400 + "end"}, "")])
    async with drive(make_app(open_file(file), at=0)) as driver:
        await driver.press("3", "v")
        x, y = map(int, driver.app.main.panels[Pane.INSPECT].region.center)
        for event in (_mouse(events.MouseScrollDown, x, y, shift=True), _mouse(events.MouseScrollRight, x, y)):
            before = driver.view.sideways
            await _send(driver, event)
            assert driver.view.sideways > before
        await _send(driver, _mouse(events.MouseScrollLeft, x, y), _mouse(events.MouseScrollUp, x, y, shift=True))
        assert driver.view.sideways == 0
