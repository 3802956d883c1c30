"""Words that can be clicked: keys, chips, modes, numbers of entries; what was recorded is none of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shop_files import record
from tui_driver import Driver, drive, make_app, open_file

from unspool_tui.actions import ACTIONS, key_of_shown, show_key
from unspool_tui.rendering.line import Row, pointed_at, spans_width
from unspool_tui.view.model import InspectMode, Pane
from unspool_tui.view.moves import select


async def click_on(driver: Driver, widget: Any, text: str, *, by: int = 0) -> None:
    """Click on a text that a widget shows, `by` cells behind its beginning."""
    x, y, width, height = widget.region
    for line, shown in enumerate(driver.text().split("\n")[y : y + height]):
        at = shown[x : x + width].find(text)
        if at >= 0:
            await driver.click(widget, at + by, line)
            return
    raise AssertionError(f"{text!r} is not shown:\n{driver.text()}")


async def test_keys_of_the_footer_are_pressed_by_a_click_on_them_or_what_they_do(shop_file: Path) -> None:
    async with drive(make_app(open_file(shop_file), at=100)) as driver:
        footer = driver.app.main.footer
        await click_on(driver, footer, ", . step")
        assert driver.view.head == 99
        await click_on(driver, footer, ", . step", by=2)
        assert driver.view.head == 100
        await click_on(driver, footer, "find", by=1)
        assert "price>3 compares" in driver.text()
        await driver.press("escape")
        await click_on(driver, footer, "? help")
        assert "Esc leaves" in driver.text()


async def test_chips_and_words_of_the_header_do_what_they_name(shop_file: Path) -> None:
    async with drive(make_app(open_file(shop_file), at=100)) as driver:
        header = driver.app.main.header
        await click_on(driver, header, "PAUSED")
        assert driver.view.follow
        # Whether the watcher of the source runs already makes no difference to a click.
        await click_on(driver, header, "LIVE" if "LIVE" in driver.line(0) else "FOLLOW")
        assert not driver.view.follow
        await click_on(driver, header, "199/199")
        assert "Commands" in driver.text()
        await driver.press("escape")
        await click_on(driver, header, "chain")
        assert "Chains" in driver.text()


async def test_numbers_of_entries_lead_there_and_words_of_the_title_change_the_mode(shop_file: Path) -> None:
    async with drive(make_app(open_file(shop_file), at=100)) as driver:
        inspect = driver.app.main.panels[Pane.INSPECT]
        await click_on(driver, inspect, "#87")
        assert (driver.view.head, driver.view.focus) == (87, Pane.INSPECT)
        await driver.press("ctrl+o")
        assert driver.view.head == 100
        await click_on(driver, inspect, " json", by=2)
        assert driver.view.mode is InspectMode.JSON
        await click_on(driver, driver.app.main.panels[Pane.CHANGES], "#99")
        assert driver.view.head == 99


async def test_what_was_recorded_is_no_number_of_an_entry(tmp_path: Path) -> None:
    states = [({"note": f"see #{number}", "n": number}, f"about #{number}") for number in range(5)]
    path = record(tmp_path / "numbers.unspool", states)
    async with drive(make_app(open_file(path), at=4)) as driver:
        main = driver.app.main
        await click_on(driver, main.panels[Pane.INSPECT], "see #4", by=5)
        await click_on(driver, main.panels[Pane.CHANGES], "see #3", by=5)
        assert driver.view.head == 4
        main.apply(select(main.view, ("note",)))
        main.flash("there may be #1 and #99")
        await driver.settle()
        await click_on(driver, main.footer, "#99")
        assert "there is no entry #99" in driver.line(-1)


async def test_keys_below_a_page_are_pressed_by_a_click(shop_file: Path) -> None:
    async with drive(make_app(open_file(shop_file), at=100)) as driver:
        await driver.press("a")
        page = driver.app.screen
        await click_on(driver, page.query_one("#keys"), "newest")
        assert driver.view.head == max(
            seq for seq in range(200) if driver.app.main.scene.history.action(seq) == "tick"
        )
        await driver.press("a")
        await click_on(driver, driver.app.screen.query_one("#keys"), "Esc")
        assert driver.app.screen is driver.app.main


@pytest.mark.parametrize("key", sorted({key for action in ACTIONS for key in action.keys}))
def test_every_key_is_known_by_how_it_is_shown(key: str) -> None:
    assert key_of_shown(show_key(key)) == key


texts = st.text(st.characters(codec="utf-8", exclude_categories=("C",)), max_size=8)
spans = st.lists(st.tuples(texts, st.sampled_from(["key", "dim"])), max_size=5).map(tuple)


@given(spans, spans, st.booleans(), st.integers(0, 60))
def test_what_stands_at_a_cell_is_a_part_of_the_row(left: Any, right: Any, framed: bool, x: int) -> None:
    row = Row(left, right, edge="line" if framed else "")
    width = spans_width(left) + spans_width(right) + 4
    found = pointed_at(row, x, width)
    if found is not None:
        assert (found.span, found.style) in (*left, *right)
        assert found.word in found.span
        assert " " not in found.word
