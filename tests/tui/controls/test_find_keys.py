"""Search through time, the filter, bookmarks, the palette's places."""

from __future__ import annotations

from pathlib import Path

import pytest
from shop_files import record
from textual import events
from tui_driver import drive, make_app, open_file

from unspool import Recorder
from unspool.query.checkers import check
from unspool_tui.demo_app import run_at_once
from unspool_tui.view.model import Pane

action = pytest.mark.action


@action("search", "search.next", "search.prev")
async def test_search_finds_entries_marks_them_and_travels_between_them(shop_file: Path) -> None:
    history = open_file(shop_file)
    async with drive(make_app(history, at=0)) as driver:
        await driver.press("n")
        assert "search for something first" in driver.line(-1)
        await driver.press("/")
        await driver.type("Restock")
        await driver.press("enter")
        hits = list(driver.view.search.hits)
        assert hits
        assert all("draft" in dict(history.changed_atoms(seq)) for seq in hits)
        assert driver.view.head == hits[0]
        await driver.press("n")
        assert driver.view.head == hits[1]
        await driver.press("N", "N")
        assert driver.view.head == hits[-1]
        assert any("▴" in driver.line(number) for number in (1, 2, 3))
        await driver.press("escape", "escape")
        assert not driver.view.search.text


async def test_a_search_lists_the_line_of_code_that_recorded_an_entry(tmp_path: Path) -> None:
    path = tmp_path / "traced.unspool"
    with Recorder(path) as recorder:
        recorder.record({"n": 0}, "open")
        recorder.record({"n": 1}, "pay", meta={"caller": {"file": "shop.py", "line": 41, "function": "checkout"}})
    async with drive(make_app(open_file(path), at=0), size=(120, 40)) as driver:
        await driver.press("/")
        await driver.type("shop.py:41")
        await driver.press("enter")
        await driver.until(lambda: "shop.py:41 in checkout" in driver.panel(Pane.RESULTS))
        assert driver.view.head == 1


async def test_a_key_that_was_on_its_way_when_the_line_got_the_focus_is_not_lost(shop_file: Path) -> None:
    async with drive(make_app(open_file(shop_file), at=0)) as driver:
        await driver.press("/")
        await driver.type("Resto")
        front = driver.app.screen
        assert front.focused is not None
        # The screen was the target when they arrived.
        front.post_message(events.Key("c", "c"))
        front.post_message(events.Key("k", "k"))
        front.post_message(events.Key("enter", "\r"))
        await driver.until(lambda: driver.app.screen is not front)
        assert driver.view.search.text == "Restock"


async def test_escape_leaves_the_search_prompt_without_searching(shop_file: Path) -> None:
    async with drive(make_app(open_file(shop_file), at=0)) as driver:
        await driver.press("/", "x", "escape")
        assert not driver.view.search.text
        await driver.press(".")
        assert driver.view.head == 1


@action("filter")
async def test_a_filtered_list_is_what_stepping_goes_through(shop_file: Path) -> None:
    history = open_file(shop_file)
    async with drive(make_app(history, at=0)) as driver:
        await driver.press("\\")
        await driver.type('action:"sign in"')
        await driver.press("enter")
        expected = [seq for seq in range(200) if history.action(seq) == "sign in"]
        assert list(driver.app.main.rows) == expected
        assert f"FILTER {len(expected)}" in driver.line(0)
        assert driver.view.head == expected[0]
        await driver.press(".")
        assert driver.view.head == expected[1]
        await driver.press("\\")
        await driver.press("home", "!", "enter")
        assert len(driver.app.main.rows) == 200 - len(expected)
        await driver.press("escape", "escape")
        assert len(driver.app.main.rows) == 200


async def test_a_filtered_list_keeps_its_cursor_on_the_nearest_entry(shop_file: Path) -> None:
    history = open_file(shop_file)
    async with drive(make_app(history, at=100)) as driver:
        shown = [seq for seq in range(200) if history.action(seq) == "edit banner"]
        nearest = min(shown, key=lambda seq: abs(seq - 100))
        await driver.press("\\")
        await driver.type('action:"edit banner"')
        await driver.press("enter")
        assert driver.view.head == nearest
        assert f">{nearest:>3}" in driver.panel(Pane.HISTORY)
        await driver.press("escape")
        assert driver.view.head == nearest
        await driver.press("ctrl+o")
        assert driver.view.head == 100


async def test_a_filter_while_following_leaves_the_head_and_shows_the_newest_that_pass(shop_file: Path) -> None:
    async with drive(make_app(open_file(shop_file)), (80, 24)) as driver:
        await driver.press("\\")
        await driver.type("kind:delta seq<150")
        await driver.press("enter")
        assert (driver.view.head, driver.view.follow) == (199, True)
        assert "149" in driver.panel(Pane.HISTORY)


async def test_a_wrong_filter_says_what_would_be_right_and_keeps_the_prompt(shop_file: Path) -> None:
    async with drive(make_app(open_file(shop_file), at=0)) as driver:
        await driver.press("\\")
        await driver.type("atm:cart")
        await driver.press("enter")
        assert "did you mean atom?" in driver.text()
        await driver.press("escape")
        assert not driver.view.filter.text


@action("bookmark", "bookmark.go")
async def test_bookmarks_are_set_listed_and_gone_to(shop_file: Path) -> None:
    async with drive(make_app(open_file(shop_file), at=40)) as driver:
        await driver.press("'")
        assert "no bookmark yet" in driver.line(-1)
        await driver.press("b", ".", ".", "b")
        assert driver.view.bookmarks == (40, 42)
        assert "40◆" in driver.panel(Pane.HISTORY)
        await driver.press("'", "k")
        assert driver.view.head == 40
        assert "cart" in driver.panel(Pane.RESULTS)
        await driver.press("escape")
        assert driver.view.head == 42
        await driver.press("'", "k", "enter")
        assert (driver.view.head, driver.view.focus) == (40, Pane.HISTORY)
        await driver.press("b")
        assert driver.view.bookmarks == (42,)


@pytest.mark.one_in(2)
@action("palette")
@pytest.mark.parametrize(
    ("typed", "head"),
    [
        ("150", 150),
        ("+5", 105),
        ("-5", 95),
        ("12:00:10", 40),
        ("50%", 100),
        ("first", 0),
        ("2026-03-01 12:00:20", 80),
    ],
)
async def test_the_palette_goes_to_numbers_offsets_and_times(shop_file: Path, typed: str, head: int) -> None:
    async with drive(make_app(open_file(shop_file), at=100)) as driver:
        await driver.press(":")
        await driver.type(typed)
        await driver.press("enter")
        assert driver.view.head == head


async def test_the_palette_runs_any_action_by_name(shop_file: Path) -> None:
    async with drive(make_app(open_file(shop_file), at=100)) as driver:
        await driver.press("ctrl+p")
        await driver.type("zoom")
        await driver.press("enter")
        assert driver.view.zoomed


async def test_a_place_beyond_the_history_is_refused_in_words(shop_file: Path) -> None:
    async with drive(make_app(open_file(shop_file), at=100)) as driver:
        await driver.press(":")
        await driver.type("999")
        await driver.press("enter")
        assert "there is no entry 999: the history has entries 0 to 199" in driver.line(-1)
        assert driver.view.head == 100


async def test_a_comparison_finds_where_a_value_passes_it_and_selects_it(shop_file: Path) -> None:
    async with drive(make_app(open_file(shop_file), at=0)) as driver:
        await driver.press("/")
        await driver.type("requests > 150")
        await driver.press("enter")
        assert driver.view.head == 151
        assert driver.view.selected == ("requests",)


@action("bisect")
async def test_bisect_lists_the_entries_at_which_an_answer_changes(shop_file: Path) -> None:
    async with drive(make_app(open_file(shop_file), at=199)) as driver:
        await driver.press("B")
        await driver.type("requests > ")
        await driver.press("enter")
        assert "column" in driver.text()
        await driver.type("`120`")
        await driver.press("enter")
        await driver.until(lambda: "entries rebuilt" in driver.panel(Pane.RESULTS))
        assert "where this changes: requests > `120`" in driver.text()
        assert "#121 holds     false → true" in driver.panel(Pane.RESULTS)
        assert driver.view.head == 199
        await driver.press("enter")
        assert driver.view.head == 121
        assert driver.view.search.found == 1


@action("check")
async def test_checkers_tell_what_they_find_and_lead_there(tmp_path: Path) -> None:
    leaking = [
        ({"log": [f"line {line}" for line in range(number)], "beat": number % 2}, "tick") for number in range(300)
    ]
    history = open_file(record(tmp_path / "leak.unspool", leaking))
    first, *_ = expected = check(history).findings
    async with drive(make_app(history, at=0)) as driver:
        await driver.press("K")
        await driver.until(lambda: f"{len(expected):,} finding" in driver.text())
        line = next(line for line in driver.panel(Pane.RESULTS).split("\n") if f"#{first.seq} " in line)
        assert first.checker in line
        await driver.press("g")
        await driver.press("enter")
        assert driver.view.head == first.seq


async def test_a_finding_names_its_line_of_code(tmp_path: Path) -> None:
    run_at_once(str(tmp_path / "shop.unspool"), rate=5, steps=120, seed=0, bug=True)
    async with drive(make_app(open_file(tmp_path / "shop.unspool"), at=0), size=(100, 40)) as driver:
        await driver.press("K")
        await driver.until(lambda: "1 finding" in driver.text())
        line = next(line for line in driver.panel(Pane.RESULTS).split("\n") if "#17 " in line)
        assert "demo_bug.py:19" in line


async def test_a_history_without_faults_is_said_to_have_none(tmp_path: Path) -> None:
    history = open_file(record(tmp_path / "calm.unspool", [({"n": number}, "tick") for number in range(3)]))
    assert not check(history).findings
    async with drive(make_app(history, at=0)) as driver:
        await driver.press("K")
        await driver.until(lambda: "found nothing" in driver.text())
