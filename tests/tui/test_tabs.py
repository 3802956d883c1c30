"""Several sources side by side: each with a place of its own, opened when it is looked at, counted when it is not."""

from __future__ import annotations

import datetime as dt
import errno
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import pytest
from shop_files import record, shop_states
from tui_driver import Driver, drive

from unspool.history.history import History
from unspool.recorder.recorder import Recorder
from unspool_tui.app import UnspoolApp
from unspool_tui.rendering.header import Label, tab_row
from unspool_tui.rendering.line import ASCII, UNICODE
from unspool_tui.settings import Settings, UiOptions
from unspool_tui.source import NamedSource, distinct_names
from unspool_tui.tabs import Tab, Tabs
from unspool_tui.view.model import Pane

action = pytest.mark.action


def tabbed(*sources: Path | str, at: Sequence[int | None] = (), **options: Any) -> UnspoolApp:
    """Make the app over several sources; the first that can be opened is in front."""
    settings = options.pop("settings", Settings())
    options.setdefault("remember", False)
    places = [*at, *[None] * (len(sources) - len(at))]
    tabs = [Tab(NamedSource(str(source)), place) for source, place in zip(sources, places, strict=True)]
    front = next(number for number, tab in enumerate(tabs) if tab.open())
    chosen = UiOptions(zone=dt.UTC, **options)
    history = cast("History", tabs[front].history)
    return UnspoolApp(history, settings, chosen, at=tabs[front].at, follow=True, tabs=Tabs(tabs, front))


def lines(start: int, stop: int, name: str = "n") -> str:
    states = ({"timestamp": 1_700_000_000 + n, "action": f"a{n}", "state": {name: n}} for n in range(start, stop))
    return "".join(json.dumps(state) + "\n" for state in states)


@pytest.fixture
def two(tmp_path: Path) -> tuple[Path, Path]:
    """Two short logs in two folders, called alike."""
    paths = tmp_path / "left" / "app.jsonl", tmp_path / "right" / "app.jsonl"
    for path, name in zip(paths, "xy", strict=True):
        path.parent.mkdir()
        path.write_text(lines(0, 20, name))
    return paths


async def opened(driver: Driver, number: int) -> None:
    """Wait until a tab is open, and what is in front is read."""
    tabs = driver.app.tabs
    await driver.until(lambda: tabs.all[number].history is not None)
    await driver.until(lambda: driver.app.main.scene.history.progress.is_finished)
    await driver.until(lambda: driver.view.total == len(driver.app.main.scene.history))
    await driver.settle()


@action("tab.next", "tab.prev")
async def test_each_tab_keeps_a_place_of_its_own(two: tuple[Path, Path]) -> None:
    async with drive(tabbed(*two)) as driver:
        await opened(driver, 1)
        await driver.press(",", ",", ",", "m", "2")
        first = driver.view
        assert (first.head, first.base, first.focus, first.follow) == (16, 16, Pane.CHANGES, False)
        await driver.press("L")
        assert driver.view.total == 20
        assert (driver.view.head, driver.view.base, driver.view.focus) == (19, None, Pane.HISTORY)
        assert driver.view.follow
        await driver.press("{", "b")
        await driver.press("H")
        assert driver.view == first
        await driver.press("ctrl+pagedown")
        assert (driver.view.head, driver.view.bookmarks) == (0, (0,))
        await driver.press("L")
        assert driver.app.tabs.front == 0


@action("tab.go")
async def test_a_tab_is_chosen_by_its_number_by_menu_and_by_mouse(two: tuple[Path, Path], shop_file: Path) -> None:
    async with drive(tabbed(*two, shop_file)) as driver:
        await opened(driver, 2)
        await driver.press("`", "3")
        assert driver.app.tabs.front == 2
        assert "shop.unspool" in driver.line(1)
        await driver.press("`")
        assert "200 entries" in driver.text()
        await driver.press("k", "enter")
        assert driver.app.tabs.front == 1
        line = driver.line(0)
        await driver.click(driver.app.main.query_one("#tabs"), line.index("left/app"), 0)
        assert driver.app.tabs.front == 0


async def test_search_and_filter_stay_with_their_tab(two: tuple[Path, Path]) -> None:
    async with drive(tabbed(*two)) as driver:
        await opened(driver, 1)
        await driver.press("/")
        await driver.type("x>15")
        await driver.press("enter", "L", "\\")
        await driver.type("action:a1")
        await driver.press("enter")
        assert not driver.view.search.text
        assert list(driver.app.main.rows) == [1, *range(10, 20)]
        await driver.press("H")
        assert driver.view.search.found == 4
        assert len(driver.app.main.rows) == 20


async def test_the_line_tells_what_arrived_behind(two: tuple[Path, Path]) -> None:
    async with drive(tabbed(*two)) as driver:
        await opened(driver, 1)
        await driver.until(lambda: driver.app.tabs.counts(driver.app.tabs.all[1]))
        assert driver.app.tabs.all[1].seen == 20
        with two[1].open("a") as file:
            file.write(lines(20, 34, "y"))
        await driver.until(lambda: "+14" in driver.line(0))
        await driver.press("L")
        await driver.until(lambda: driver.view.head == 33)
        assert "+14" not in driver.line(0)
        with two[0].open("a") as file:
            file.write(lines(20, 23, "x"))
        await driver.until(lambda: "+3" in driver.line(0))
        await driver.press("H")
        assert driver.view.head == 22


async def test_a_paused_tab_stays_where_it_was_while_it_grows_behind(two: tuple[Path, Path]) -> None:
    async with drive(tabbed(*two)) as driver:
        await opened(driver, 1)
        await driver.press(",", "L")
        with two[0].open("a") as file:
            file.write(lines(20, 25, "x"))
        await driver.until(lambda: "+5" in driver.line(0))
        await driver.press("H")
        assert driver.view.head == 18
        assert "PAUSED +5" in driver.line(1)


async def test_a_refused_source_says_why_and_leaves_the_others_alone(two: tuple[Path, Path], tmp_path: Path) -> None:
    missing = tmp_path / "no\x1b[31msuch.jsonl"
    async with drive(tabbed(missing, two[0]), size=(80, 24)) as driver:
        assert driver.app.tabs.front == 1
        assert "✗" in driver.line(0)
        await driver.press("H")
        assert "check the spelling" in " ".join(line[2:-1].strip() for line in driver.panel(Pane.CHANGES).split("\n"))
        assert "\x1b" not in driver.text()
        # Nothing is to be waited for.
        assert "this source cannot be shown" in driver.text()
        assert "no entry can be read" in driver.text()
        assert "waiting for the first entry" not in driver.text()
        await driver.press(
            *",.[]<>mdyE/\\", "escape", "enter", "space", "z", "z", "v", "u", "?", "escape", "!", "escape"
        )
        assert driver.app.is_running
        missing.write_text(lines(0, 5))
        await driver.press("r")
        await driver.until(lambda: driver.view.total == 5)
        await driver.press("L")
        assert driver.view.total == 20


@pytest.mark.parametrize("name", ["new.jsonl", "new.unspool"])
async def test_a_file_to_which_nothing_was_written_yet_is_shown_as_soon_as_something_is(
    tmp_path: Path, name: str
) -> None:
    path = tmp_path / name
    path.touch()
    tab = Tab(NamedSource(str(path)))
    assert not tab.open()
    app = UnspoolApp(None, Settings(), UiOptions(zone=dt.UTC, remember=False), at=None, follow=True, tabs=Tabs([tab]))
    async with drive(app) as driver:
        assert f"{name} is empty so far" in driver.text()
        assert "✗" not in driver.text()
        await driver.press(*",.[]<>{}mdyE/", "escape", "enter", "z", "z", "v", "?", "escape")
        if path.suffix == ".unspool":
            record(path, shop_states(3))
        else:
            path.write_text('{"n": ')
            await driver.until(lambda: bool(tab.error))
            path.write_text(lines(0, 3))
        await driver.until(lambda: driver.view.total == 3)
        assert driver.view.follow
    tab.history.close()


async def test_a_tab_behind_that_is_empty_is_opened_when_it_is_written_to(
    two: tuple[Path, Path], tmp_path: Path
) -> None:
    path = tmp_path / "later.jsonl"
    path.touch()
    async with drive(tabbed(two[0], path)) as driver:
        await driver.until(lambda: driver.app.tabs.all[1].waits)
        await driver.press("L")
        assert "is empty so far" in driver.text()
        path.write_text(lines(0, 4))
        await driver.until(lambda: driver.view.total == 4)


async def test_a_source_that_breaks_the_reader_is_refused_like_any_other(
    two: tuple[Path, Path], tmp_path: Path
) -> None:
    torn = tmp_path / "torn.unspool"
    torn.write_bytes(b"SQLite format 3\x00" + bytes(52) + b"UNSP" + bytes(50))
    async with drive(tabbed(two[0], torn)) as driver:
        await driver.until(lambda: bool(driver.app.tabs.all[1].error))
        await driver.press("L")
        assert "torn.unspool" in driver.panel(Pane.CHANGES)


async def test_a_large_source_is_not_read_before_it_is_looked_at(
    two: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("unspool_tui.source.UNASKED_BYTES", 100)
    async with drive(tabbed(*two)) as driver:
        assert driver.app.tabs.all[1].history is None
        await driver.press("L")
        await opened(driver, 1)
        assert driver.view.total == 20


async def test_a_source_behind_has_no_screen_until_it_is_looked_at(two: tuple[Path, Path]) -> None:
    async with drive(tabbed(*two)) as driver:
        await opened(driver, 1)
        assert driver.app.tab_screens.screen_of(driver.app.tabs.all[1]) is None
        await driver.press("L")
        assert driver.app.tab_screens.screen_of(driver.app.tabs.all[1]) is driver.app.main


async def test_the_entry_to_begin_at_is_given_for_each_source(two: tuple[Path, Path]) -> None:
    async with drive(tabbed(*two, at=(3, -2))) as driver:
        assert driver.view.head == 3
        await opened(driver, 1)
        await driver.press("L")
        assert driver.view.head == 18


async def test_an_entry_to_begin_at_that_is_not_there_is_told(two: tuple[Path, Path]) -> None:
    async with drive(tabbed(*two, at=(3, 99))) as driver:
        await opened(driver, 1)
        await driver.press("L")
        assert "the history has entries 0 to 19" in driver.text()
        assert driver.view.head == 19


async def test_every_place_is_remembered(two: tuple[Path, Path]) -> None:
    async with drive(tabbed(*two, remember=True)) as driver:
        await opened(driver, 1)
        await driver.press(",", "L", "{")
    async with drive(tabbed(*two, remember=True)) as driver:
        await opened(driver, 1)
        await driver.until(lambda: (driver.view.head, driver.view.follow) == (18, False))
        await driver.press("L")
        await driver.until(lambda: driver.view.head == 0)


@pytest.mark.slow
async def test_a_remembered_place_waits_for_a_source_that_is_still_being_read(tmp_path: Path) -> None:
    path = tmp_path / "app.jsonl"
    path.write_text(lines(0, 8_000))
    async with drive(tabbed(path, remember=True)) as driver:
        await driver.until(lambda: driver.view.total == 8_000)
        await driver.press(":", *"7000", "enter", "b")
    async with drive(tabbed(path, remember=True)) as driver:
        await driver.until(lambda: (driver.view.head, driver.view.bookmarks) == (7_000, (7_000,)))
        await driver.until(lambda: driver.view.total == 8_000)
        assert driver.view.head == 7_000


async def test_one_source_has_no_line_of_tabs_and_its_keys_say_why(shop_file: Path) -> None:
    async with drive(tabbed(shop_file)) as driver:
        assert driver.line(0).startswith(" unspool ")
        await driver.press("L")
        assert "only one source is open" in driver.text()


async def test_playing_stops_when_another_tab_comes_to_the_front(shop_file: Path, two: tuple[Path, Path]) -> None:
    async with drive(tabbed(shop_file, two[0], at=(10,))) as driver:
        await opened(driver, 1)
        driver.app.main.run(_action("play"))
        await driver.until(lambda: driver.view.playing)
        driver.app.tab_screens.show(1)
        await driver.settle()
        driver.app.tab_screens.show(0)
        await driver.settle()
        assert not driver.view.playing


def _action(name: str) -> Any:
    from unspool_tui.actions import BY_ID

    return BY_ID[name]


@action("tab.compare")
async def test_comparing_tells_where_two_tabs_part_and_goes_there(tmp_path: Path) -> None:
    states = shop_states(30)
    one = record(tmp_path / "one.unspool", states)
    changed = [(dict(state, requests=99) if n == 17 else state, action) for n, (state, action) in enumerate(states)]
    other = record(tmp_path / "other.unspool", changed)
    async with drive(tabbed(one, other)) as driver:
        await opened(driver, 1)
        await driver.press("C")
        await driver.settle()
        text = driver.text()
        assert "they part after what they have in common" in text
        assert "17 entries in common" in text
        assert "requests" in text
        await driver.press("enter")
        assert (driver.app.tabs.front, driver.view.head) == (0, 17)
        await driver.press("C")
        await driver.settle()
        await driver.press("o")
        assert (driver.app.tabs.front, driver.view.head) == (1, 17)


async def test_a_tab_is_opened_while_help_is_read_and_shows_when_that_is_left(
    two: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("unspool_tui.source.UNASKED_BYTES", 100)
    async with drive(tabbed(*two)) as driver:
        driver.app.tab_screens.show(1)
        await driver.press("?")
        await driver.until(lambda: driver.app.tabs.all[1].history is not None)
        await driver.press("escape")
        await driver.until(lambda: driver.view.total == 20)


async def test_leaving_lets_go_of_everything(two: tuple[Path, Path], tmp_path: Path) -> None:
    live = tmp_path / "live.unspool"
    with Recorder(live) as recorder:
        recorder.record({"n": 0})
        app = tabbed(*two, live)
        async with drive(app) as driver:
            await opened(driver, 2)
            await driver.press("L", "L", "q")
        app.tabs.close()
        app.tabs.close()


def test_names_that_end_alike_get_the_folders_that_differ() -> None:
    assert distinct_names(["/a/x/s.json", "/b/x/s.json", "/c/t.json"]) == ["a/x/s.json", "b/x/s.json", "t.json"]
    assert distinct_names(["s.json", "s.json", "-"]) == ["s.json", "s.json (2)", "stdin"]
    assert distinct_names(["git:.:a.json", "./a.json"]) == ["git:.:a.json", "a.json"]


@pytest.mark.parametrize("width", [40, 80, 200])
@pytest.mark.parametrize("front", [0, 7, 29])
def test_the_tab_in_front_is_always_in_the_line_and_every_cell_leads_to_a_tab(width: int, front: int) -> None:
    labels = [Label(f"{'very-' * n}long-\u202ename-{n}", new=n * 1000) for n in range(30)]
    line = tab_row(labels, front, width, ASCII)
    text = "".join(text for text, _ in line.row.left)
    assert f"[{front + 1} " in text
    assert len(text) <= width
    assert text.isascii()
    assert {line.tab_at(x) for x in range(len(text))} <= set(range(30))
    assert any(line.tab_at(x) == front for x in range(len(text)))


def test_a_name_that_is_cut_says_so() -> None:
    line = tab_row([Label("n" * 300), Label("b")], 0, 80, UNICODE)
    assert "…" in "".join(text for text, _ in line.row.left)


SIZES = [(80, 24), (120, 40), (200, 50)]


@pytest.mark.parametrize("size", SIZES, ids=["80x24", "120x40", "200x50"])
async def test_the_line_of_tabs_takes_one_line_at_every_size(two: tuple[Path, Path], size: tuple[int, int]) -> None:
    async with drive(tabbed(*two, ascii=True), size=size) as driver:
        await opened(driver, 1)
        assert driver.line(0).startswith("[1 left/app.jsonl]")
        assert driver.line(1).startswith(" unspool ")
        assert len(driver.text().split("\n")) == size[1]
        await driver.press("L")
        assert "[2 right/app.jsonl]" in driver.line(0)


async def test_places_that_cannot_be_kept_keep_nobody_from_leaving(
    two: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    async with drive(tabbed(*two, remember=True)) as driver:
        await driver.press("G")
        monkeypatch.setattr("unspool.files.create_private", refuse)
        driver.app.tab_screens.end()
        await driver.press("q")
        await driver.until(lambda: not driver.app.is_running or driver.app.return_code is not None)
    assert driver.app.return_code in (0, None)
