"""The palette: entries, atoms, paths, actions, bookmarks, sources and commands by a few letters."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hostile_texts import HOSTILE_TEXTS
from shop_files import hurt, record, shop_states
from tui_driver import Driver, drive, make_app, open_file

from unspool.model.keys import Path as Address
from unspool.model.values import MISSING
from unspool_tui.panes.names import MOST_PATHS, ActionCounts, CountedActions, count_actions, other_names, state_names
from unspool_tui.screens.palette import CommandPalette
from unspool_tui.view.model import Pane
from unspool_tui.view.outline import value_at


async def find(driver: Driver, text: str) -> None:
    await driver.press(":")
    await driver.type(text)
    await driver.press("enter")


async def test_a_path_is_found_with_its_value_and_selected(shop_file: Path) -> None:
    async with drive(make_app(open_file(shop_file), at=100)) as driver:
        assert "quit" in driver.line(-1)
        await driver.press(":")
        # What these keys did before, they do not do now.
        assert "quit" not in driver.line(-1)
        await driver.type("sku-3 stock")
        line = next(line for line in driver.text().split("\n") if "catalog.sku-3.stock" in line)
        assert "path" in line
        assert str(open_file(shop_file).value(100, "catalog")["sku-3"]["stock"]) in line
        await driver.press("enter")
        assert driver.view.selected == ("catalog", "sku-3", "stock")
        assert "quit" in driver.line(-1)
        assert "stock" in driver.panel(Pane.INSPECT)


async def test_an_atom_that_only_a_later_entry_has_is_found_there(tmp_path: Path) -> None:
    path = record(tmp_path / "late.unspool", [({"a": 1}, "start"), ({"a": 1, "late": 2}, "add")])
    async with drive(make_app(open_file(path), at=0)) as driver:
        await driver.press(":")
        await driver.type("late")
        assert "not here yet, at #1" in driver.text()
        await driver.press("enter")
        assert (driver.view.head, driver.view.selected) == (1, ("late",))
        await driver.press("ctrl+o")
        assert driver.view.head == 0


async def test_actions_are_listed_with_how_often_and_lead_to_the_newest(shop_file: Path) -> None:
    history = open_file(shop_file)
    signed_in = [seq for seq in range(200) if history.action(seq) == "sign in"]
    async with drive(make_app(history, at=0)) as driver:
        await driver.press(":")
        await driver.type(":/sign")
        assert f"{len(signed_in)} times, last #{signed_in[-1]}" in driver.text()
        await driver.press("enter")
        assert driver.view.head == signed_in[-1]


async def test_bookmarks_are_found_beside_the_entry(shop_file: Path) -> None:
    async with drive(make_app(open_file(shop_file), at=40)) as driver:
        await driver.press("b", "{", ":")
        await driver.type("book")
        assert "bookmark #40" in driver.text()
        await driver.type("mark #40")
        await driver.press("enter")
        assert driver.view.head == 40


@pytest.mark.one_in(2)
@pytest.mark.parametrize("typed", ["23:59", "2026-03-02", "23:59~1"])
async def test_a_time_after_the_newest_entry_is_refused_in_words(shop_file: Path, typed: str) -> None:
    async with drive(make_app(open_file(shop_file), at=100)) as driver:
        await driver.press(":")
        await driver.type(typed)
        assert "the newest, entry 199, is before it" in driver.text()
        await driver.press("enter")
        assert "the newest, entry 199, is before it" in driver.line(-1)
        assert driver.view.head == 100


async def test_what_nothing_is_called_is_said(shop_file: Path) -> None:
    async with drive(make_app(open_file(shop_file), at=100)) as driver:
        await find(driver, "qqqzzz")
        assert "nothing here is called 'qqqzzz'" in driver.line(-1)


async def test_an_enter_that_comes_before_the_names_are_read_waits_for_them(shop_file: Path) -> None:
    async with drive(make_app(open_file(shop_file), at=100)) as driver:
        main = driver.app.main
        main.take_key("colon", ":")
        # All of it is typed before the worker could answer anything.
        for letter in "total":
            main.take_key(letter, letter)
        main.take_key("enter", "\r")
        await driver.until(lambda: not isinstance(driver.app.screen, CommandPalette))
        await driver.settle()
        assert driver.view.selected == ("cart", "total")


async def test_names_that_cannot_be_read_leave_commands_to_choose(tmp_path: Path) -> None:
    path = hurt(record(tmp_path / "hurt.unspool", shop_states(300)))
    async with drive(make_app(open_file(path), at=0)) as driver:
        await find(driver, "zoom")
        assert driver.view.zoomed


@pytest.mark.one_in(2)
@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_hostile_names_are_only_text(tmp_path: Path, size: tuple[int, int]) -> None:
    state = {text: {text: text} for text in HOSTILE_TEXTS}
    path = record(tmp_path / "hostile.unspool", [(state, text) for text in HOSTILE_TEXTS])
    async with drive(make_app(open_file(path)), size) as driver:
        for typed in ("[", "a", "e ", ":/"):
            await driver.press(":")
            await driver.type(typed)
            await driver.press("down", "up", "escape")
        assert driver.app.is_running


def test_names_are_bounded_and_say_so(tmp_path: Path) -> None:
    path = record(tmp_path / "deep.unspool", [({"rows": list(range(MOST_PATHS + 10))}, "start")])
    *_, named = (part for part in state_names(open_file(path), 0, 0) if part is not None)
    assert len(named.names) == MOST_PATHS + 1
    assert f"only the first {MOST_PATHS:,} paths" in named.left_out


def test_actions_are_counted_once_and_go_on_where_the_count_ended(shop_file: Path) -> None:
    history, counts = open_file(shop_file), ActionCounts()
    assert counts.missing(0, 150)
    for part in count_actions(history, 0, 150):
        counts.learn(part)
    counts.learn(CountedActions(0, 150, {}))
    assert counts.missing(0, 200)
    for part in count_actions(history, counts.until, 200):
        counts.learn(part)
    actions = [history.action(seq) for seq in range(200)]
    assert {name: one.count for name, one in counts.in_order()} == {name: actions.count(name) for name in actions}
    assert [one.count for _, one in counts.in_order()] == sorted(map(actions.count, set(actions)), reverse=True)
    assert not counts.missing(0, 200)
    assert counts.missing(0, 100)
    assert not counts.by_action


async def test_a_path_that_only_earlier_entries_have_is_found_with_where_it_stood_last(tmp_path: Path) -> None:
    carts = {"ada": {"total": 5, "items": [1]}, "dana": {"total": 7, "items": []}}
    gone = {"dana": {"total": 9, "items": []}}
    path = record(
        tmp_path / "carts.unspool",
        [({"carts": carts}, "begin"), ({"carts": gone}, "ada leaves"), ({"carts": gone, "till": 1}, "count")],
    )
    async with drive(make_app(open_file(path))) as driver:
        await driver.press(":")
        await driver.type("ada.tot")
        (line,) = (line for line in driver.text().split("\n") if "carts.ada.total" in line)
        assert "not here, last at #0" in line
        await driver.press("enter")
        assert (driver.view.head, driver.view.selected) == (0, ("carts", "ada", "total"))
        await driver.press("}")
        # Typed before anything is known, Enter waits for it; what is there now goes before it.
        main = driver.app.main
        for keys, expected in (("adt", ("carts", "ada", "total")), ("dt", ("carts", "dana", "total"))):
            main.take_key("colon", ":")
            for letter in keys:
                main.take_key(letter, letter)
            main.take_key("enter", "\r")
            await driver.until(lambda: not isinstance(driver.app.screen, CommandPalette))
            await driver.settle()
            assert driver.view.selected == expected


def test_every_path_of_every_entry_is_a_name_with_an_entry_at_which_it_stands(shop_file: Path) -> None:
    with open_file(shop_file) as history:
        head = 100
        *_, here = (part for part in state_names(history, head, len(history) - 1) if part is not None)
        *_, names = (part for part in other_names(history, here, len(history) - 1) if part is not None)
        assert names.left_out == ""
        assert len({name.name for name in names.names}) == len(names.names)
        for name in names.names:
            assert value_at(history.state(name.seq), name.address) is not MISSING
        listed = {name.address for name in names.names}
        for seq in range(len(history)):
            assert set(_addresses(history.state(seq), ())) <= listed


def _addresses(value: Any, at: Address) -> Iterator[Address]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, part in inner:
        yield (*at, step)
        yield from _addresses(part, (*at, step))
