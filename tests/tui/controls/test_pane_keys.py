"""Keys that move inside a pane, fold, open and focus."""

from __future__ import annotations

from pathlib import Path

import pytest
from shop_files import record
from tui_driver import drive, make_app, open_file

from unspool_tui.view.model import InspectMode, Pane

action = pytest.mark.action


@action("move.up", "move.down", "move.page_up", "move.page_down", "move.top", "move.bottom")
async def test_movement_keys_move_the_head_in_history(shop_file: Path) -> None:
    async with drive(make_app(open_file(shop_file), at=100)) as driver:
        await driver.press("j", "down", "j", "k")
        assert driver.view.head == 102
        await driver.press("up")
        page = driver.app.main.panels[Pane.HISTORY].page
        await driver.press("ctrl+d", "ctrl+d", "ctrl+u")
        assert driver.view.head == 101 + page // 2
        await driver.press("g")
        assert driver.view.head == 0
        await driver.press("G")
        assert driver.view.head == 199
        await driver.press("home", "end", "pageup", "pagedown")
        assert driver.view.head == 199


async def test_movement_keys_move_the_cursor_in_changes_and_leave_the_head(shop_file: Path) -> None:
    async with drive(make_app(open_file(shop_file), at=100)) as driver:
        await driver.press("2", "j")
        first = driver.view.selected
        await driver.press("G")
        assert driver.view.head == 100
        assert driver.view.change_row == len(driver.app.main.scene.changes.items) - 1
        await driver.press("g", "j")
        assert driver.view.selected == first


async def test_stats_scroll_when_they_do_not_fit(shop_file: Path) -> None:
    async with drive(make_app(open_file(shop_file), at=100), size=(80, 18)) as driver:
        await driver.press("4")
        await driver.until(lambda: "where the bytes are" not in driver.panel(Pane.STATS))
        await driver.press("G")
        await driver.until(lambda: "banner" in driver.panel(Pane.STATS))
        await driver.press("g")
        assert "entries" in driver.panel(Pane.STATS)


@action("fold", "unfold", "toggle")
async def test_folding_in_changes_and_inspect(shop_file: Path) -> None:
    async with drive(make_app(open_file(shop_file), at=100)) as driver:
        main = driver.app.main
        await driver.press("2", "g")
        lines = len(main.scene.changes.items)
        await driver.press("h")
        folded = len(main.scene.changes.items)
        assert folded < lines
        await driver.press("l")
        assert len(main.scene.changes.items) == lines
        await driver.press("space", "space")
        assert len(main.scene.changes.items) == lines
        await driver.press("3", "g", "right")
        assert "items" in driver.panel(Pane.INSPECT)
        await driver.press("right", "space")
        assert driver.view.selected == ("cart", "items")
        await driver.press("left", "left")
        assert driver.view.selected == ("cart",)
        await driver.press("left")
        assert main.scene.inspect.count() == len(main.scene.detail.state)


@action("open")
async def test_enter_leads_from_an_entry_to_the_change_to_the_value_to_its_writer(shop_file: Path) -> None:
    history = open_file(shop_file)
    async with drive(make_app(history, at=100)) as driver:
        await driver.press("enter")
        assert driver.view.focus is Pane.CHANGES
        await driver.press("j", "enter")
        assert driver.view.focus is Pane.INSPECT
        assert driver.view.selected == driver.app.main.scene.changes.items[1].address
        await driver.press("g")
        while driver.view.selected != ("banner",):
            await driver.press("j")
        writer = history.previous_write("banner", 101)
        await driver.press("enter")
        assert driver.view.head == writer
        assert f"set #{writer}" in driver.panel(Pane.INSPECT)
        await driver.press(".")
        assert f"set #{writer} edit banner 250 ms ago" in driver.panel(Pane.INSPECT)
        await driver.press(",")
        await driver.press("ctrl+o")
        assert driver.view.head == 100


@action("pane.next", "pane.prev", "pane.history", "pane.changes", "pane.inspect", "pane.stats")
async def test_digits_and_tab_focus_panes(shop_file: Path) -> None:
    async with drive(make_app(open_file(shop_file), at=100), size=(200, 50)) as driver:
        areas = {pane: driver.app.main.panels[pane].region.size for pane in (Pane.CHANGES, Pane.INSPECT, Pane.STATS)}
        # No smaller than on a screen of 120 columns, where each has the width beside the list.
        assert all(width >= 64 and height >= 13 for width, height in areas.values())
        await driver.press("tab", "tab", "tab")
        assert driver.view.focus is Pane.STATS
        await driver.press("tab", "shift+tab", "shift+tab")
        assert driver.view.focus is Pane.INSPECT
        for key, pane in (("1", Pane.HISTORY), ("2", Pane.CHANGES), ("3", Pane.INSPECT), ("4", Pane.STATS)):
            await driver.press(key)
            assert driver.view.focus is pane


async def test_a_narrow_screen_shows_history_and_the_pane_asked_for(shop_file: Path) -> None:
    async with drive(make_app(open_file(shop_file), at=100), size=(80, 24)) as driver:
        for key, pane in (("2", Pane.CHANGES), ("3", Pane.INSPECT), ("4", Pane.STATS)):
            await driver.press(key)
            shown = [p for p in Pane if driver.app.main.panels[p].display and driver.app.main.panels[p].region.width]
            assert shown == [Pane.HISTORY, pane]


@action("pane.zoom")
async def test_zoom_gives_one_pane_the_screen_and_escape_takes_it_back(shop_file: Path) -> None:
    async with drive(make_app(open_file(shop_file), at=100)) as driver:
        await driver.press("2", "z")
        assert driver.app.main.panels[Pane.CHANGES].region.width == 120
        await driver.press("escape")
        assert driver.app.main.panels[Pane.CHANGES].region.width < 100
        assert ">100" in driver.panel(Pane.HISTORY)


@action("inspect.mode")
async def test_inspect_cycles_through_tree_json_and_raw(shop_file: Path) -> None:
    async with drive(make_app(open_file(shop_file), at=100)) as driver:
        await driver.press("3", "v")
        assert driver.view.mode is InspectMode.JSON
        assert "[json]" in driver.panel(Pane.INSPECT)
        assert '"items": [' in driver.panel(Pane.INSPECT)
        await driver.press("j", "j", "v")
        assert driver.view.mode is InspectMode.RAW
        await driver.press("v")
        assert driver.view.mode is InspectMode.TREE


@action("changes.unchanged")
async def test_unchanged_atoms_are_listed_on_demand(shop_file: Path) -> None:
    async with drive(make_app(open_file(shop_file), at=101)) as driver:
        assert "banner" not in driver.panel(Pane.CHANGES)
        await driver.press("u")
        assert "banner" in driver.panel(Pane.CHANGES)
        await driver.press("2", "G", "u")
        assert "(u shows them)" in driver.panel(Pane.CHANGES)


@action("changes.words")
async def test_changes_are_explained_in_sentences(shop_file: Path) -> None:
    async with drive(make_app(open_file(shop_file), at=101)) as driver:
        await driver.press("e")
        assert "requests rose from 100 to 101, by 1." in driver.panel(Pane.CHANGES)


@action("history.gaps")
async def test_the_list_shows_gaps_instead_of_the_clock(shop_file: Path) -> None:
    async with drive(make_app(open_file(shop_file), at=100)) as driver:
        assert "12:00:25.000" in driver.panel(Pane.HISTORY)
        await driver.press("T")
        assert "+250 ms" in driver.panel(Pane.HISTORY)


@action("wrap")
async def test_long_texts_wrap_line_by_line_on_demand(tmp_path: Path) -> None:
    poem = [f"line {number} of the long text" for number in range(20)]
    changed = [*poem[:10], "a new line", *poem[11:]]
    states = [({"poem": "\n".join(poem)}, ""), ({"poem": "\n".join(changed)}, "")]
    async with drive(make_app(open_file(record(tmp_path / "poem.unspool", states)), at=1)) as driver:
        assert "+ a new line" not in driver.panel(Pane.CHANGES)
        await driver.press("w")
        shown = driver.panel(Pane.CHANGES)
        assert "- line 10 of the long text" in shown
        assert "+ a new line" in shown
        assert "line 2 of the long text" not in shown


async def test_long_lines_of_json_and_raw_scroll_to_the_side_and_wrap_where_they_have_the_focus(
    tmp_path: Path,
) -> None:
    words = " ".join(f"word{number}" for number in range(40))
    file = record(
        tmp_path / "long.unspool", [({"text": words, "wide": "日本語" * 60}, ""), ({"text": "", "wide": ""}, "")]
    )
    async with drive(make_app(open_file(file), at=0)) as driver:
        await driver.press("3", "v")
        assert "word0 " in driver.panel(Pane.INSPECT)
        assert "word39" not in driver.panel(Pane.INSPECT)
        for _ in range(20):
            await driver.press("l")
        assert "word39" in driver.panel(Pane.INSPECT)
        assert "word0 " not in driver.panel(Pane.INSPECT)
        furthest = driver.view.sideways
        await driver.press("right")
        assert driver.view.sideways == furthest
        await driver.press(".")
        assert ' 1 ""' in driver.panel(Pane.INSPECT), "the lines are shorter here"
        await driver.press(",", *["h"] * 20)
        assert driver.view.sideways == 0
        await driver.press("w")
        assert (driver.view.wrap, driver.view.wrap_text) == (False, True)
        shown = driver.panel(Pane.INSPECT)
        assert "word0 " in shown
        assert "word39" in shown
        await driver.press("v", "w", "v", "w")
        assert "wrap: the tree shows a value a line" in driver.line(-1)
        await driver.press("2", "w")
        assert (driver.view.wrap, driver.view.wrap_text) == (True, False)
