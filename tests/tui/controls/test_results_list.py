"""The list of results: previews, ways out of it, what it tells, and how it fills while somebody reads it."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from hostile_texts import HOSTILE_TEXTS
from hypothesis import given
from hypothesis import strategies as st
from shop_files import record
from tui_driver import Driver, drive, make_app, open_file

from support.keys import press_keys
from unspool.query.checkers import CheckReport
from unspool_tui import questions
from unspool_tui.demo_app import run_at_once
from unspool_tui.view import moves
from unspool_tui.view.model import ListKind, Pane, ResultList, ResultRow, View, seconds_left

action = pytest.mark.action


async def search(driver: Driver, text: str) -> None:
    await driver.press("/")
    await driver.type(text)
    await driver.press("enter")


@action("pane.results")
async def test_moving_in_the_list_previews_and_escape_returns_to_the_start(shop_file: Path) -> None:
    async with drive(make_app(open_file(shop_file), at=60)) as driver:
        await driver.press("5")
        assert "nothing is listed yet" in driver.line(-1)
        await driver.press("2", "j")
        before = driver.view.selected
        await search(driver, "user_id")
        hits = list(driver.view.search.hits)
        at = driver.view.dock.cursor
        assert driver.view.head == hits[at] >= 60
        await driver.press("j", "j")
        assert driver.view.head == hits[at + 2]
        assert driver.view.selected == ("session", "user_id")
        await driver.press("escape")
        assert (driver.view.head, driver.view.selected, driver.view.focus) == (60, before, Pane.CHANGES)
        assert not driver.view.dock.open
        await driver.press("5", "k")
        assert driver.view.dock.open
        assert driver.view.head == hits[at + 1]


@pytest.mark.parametrize("leaves", [False, True])
async def test_enter_before_anything_is_found_says_what_is_looked_for_and_goes_there_once_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, leaves: bool
) -> None:
    gate, check_all = threading.Event(), questions.check_all

    def checked(*asked: Any) -> CheckReport:
        gate.wait()
        return check_all(*asked)

    monkeypatch.setattr(questions, "check_all", checked)
    run_at_once(str(tmp_path / "shop.unspool"), rate=5, steps=120, seed=0, bug=True)
    async with drive(make_app(open_file(tmp_path / "shop.unspool"), at=2)) as driver:
        try:
            await press_keys(driver.pilot, "K", "enter")
            await driver.until(lambda: "Findings of the checkers: 0% of 121 entries" in driver.line(-1))
            await press_keys(driver.pilot, *["1"] * leaves)
        finally:
            gate.set()
        await driver.settle()
        assert driver.view.focus is Pane.HISTORY
        assert driver.view.dock.count
        assert driver.view.head == (2 if leaves else 17)


async def test_enter_stays_and_the_jump_list_leads_back(shop_file: Path) -> None:
    async with drive(make_app(open_file(shop_file), at=60)) as driver:
        await search(driver, "user_id")
        await driver.press("j", "enter")
        there = driver.view.head
        assert there > 60
        assert (driver.view.focus, driver.view.dock.open) == (Pane.HISTORY, True)
        await driver.press("ctrl+o")
        assert driver.view.head == 60
        await driver.press("o")
        assert driver.view.head == there


async def test_leaving_for_another_pane_stays_too(shop_file: Path) -> None:
    async with drive(make_app(open_file(shop_file), at=60)) as driver:
        await search(driver, "user_id")
        await driver.press("j", "2")
        there = driver.view.head
        await driver.press("5", "escape")
        assert driver.view.head == there
        await driver.press("ctrl+o")
        assert driver.view.head == 60


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_a_row_tells_value_before_and_after_who_and_when(shop_file: Path, size: tuple[int, int]) -> None:
    history = open_file(shop_file)
    async with drive(make_app(history, at=1), size) as driver:
        await search(driver, "user_id")
        seq = driver.view.head
        (line,) = (line for line in driver.panel(Pane.RESULTS).split("\n") if f"#{seq} " in line)
        assert "user_id" in line
        assert f"{history.value(seq, 'session')['user_id']}" in line
        assert " → " in line
        assert "12:00:" in line
        narrow = size[0] < 100
        # History beside it tells the action too.
        assert "sign in" in (driver.panel(Pane.HISTORY) if narrow else line)
        assert (Pane.CHANGES in moves.shown_panes(driver.view, driver.app.main.width_class)) is not narrow
        await driver.press("n")
        assert driver.view.dock.cursor == list(driver.view.search.hits).index(driver.view.head)


async def test_a_click_previews_and_a_second_one_goes(shop_file: Path) -> None:
    async with drive(make_app(open_file(shop_file), at=0)) as driver:
        await search(driver, "user_id")
        hits = list(driver.view.search.hits)
        panel = driver.app.main.panels[Pane.RESULTS]
        await driver.click(panel, 5, 3)
        assert (driver.view.head, driver.view.focus) == (hits[2], Pane.RESULTS)
        await driver.click(panel, 5, 4, times=2)
        assert (driver.view.head, driver.view.focus) == (hits[3], Pane.HISTORY)


async def test_a_new_list_takes_the_place_of_the_one_before(shop_file: Path) -> None:
    async with drive(make_app(open_file(shop_file), at=100)) as driver:
        await search(driver, "user_id")
        await driver.press("j", "W")
        assert "Writes of session.user_id" in driver.panel(Pane.RESULTS)
        assert driver.view.search.text == "user_id"
        await driver.press("escape", "5", "z")
        assert moves.shown_panes(driver.view, driver.app.main.width_class) == (Pane.RESULTS,)


async def test_nothing_found_closes_the_list_where_it_began(shop_file: Path) -> None:
    async with drive(make_app(open_file(shop_file), at=60)) as driver:
        await driver.press("3")
        await search(driver, "qqqq")
        assert "nothing found for qqqq" in driver.line(-1)
        assert (driver.view.focus, driver.view.dock.open, driver.view.head) == (Pane.INSPECT, False, 60)


async def test_hostile_values_are_only_text_in_the_list(tmp_path: Path) -> None:
    states = [({text: {text: number}, "n": text}, text) for number, text in enumerate(HOSTILE_TEXTS)]
    async with drive(make_app(open_file(record(tmp_path / "h.unspool", states)), at=0), (80, 24)) as driver:
        await search(driver, "a")
        await driver.press("j", "j", "k", "G", "g", "enter")
        await driver.press("5", "W", "b", "'", "j")
        assert driver.app.is_running


rows = st.lists(st.integers(0, 99), min_size=1, max_size=30, unique=True).map(sorted)


@given(rows, st.integers(0, 99), st.lists(st.integers(-3, 3), max_size=8))
def test_whatever_is_previewed_the_way_back_leads_to_the_start(seqs: list[int], head: int, by: list[int]) -> None:
    start = moves.move_to(View(total=100, head=99, paused_total=100), head)
    view, listed = moves.list_results(start), ResultList(ListKind.SEARCH, "x")
    for seq in seqs:
        listed.add(ResultRow(seq, ("a", seq)))
        assert listed.row_of(seq) == len(listed) - 1
    at = 0
    for step in by:
        at = max(0, min(at + step, len(seqs) - 1))
        view = moves.preview(view, at, listed[at])
        assert (view.head, view.dock.cursor) == (seqs[at], at)
    back = moves.return_to_start(view)
    assert (back.head, back.follow, back.selected, back.jumps, back.focus) == (
        start.head, start.follow, start.selected, start.jumps, start.focus,
    )  # fmt: skip
    stayed = moves.stay(view)
    assert stayed.head == view.head
    assert moves.jump_back(stayed).head == (start.head if view.head != start.head else stayed.head)


def test_the_rest_is_estimated_from_what_is_done() -> None:
    now = [0.0]
    listed = ResultList(ListKind.SEARCH, "x", total=1_000, clock=lambda: now[0])
    assert listed.progress() == "0% of 1,000 entries"
    now[0], listed.looked_at = 10.0, 250
    assert listed.progress() == "25% of 1,000 entries, about 30 s left"
    assert seconds_left(1, 1_000, 60) == "about 16.6 h left"
    assert seconds_left(1, 100, 10) == "about 16 min left"
    assert seconds_left(0, 100, 10) == ""
