"""Help, themes, messages, re-reading, leaving."""

from __future__ import annotations

from pathlib import Path

import pytest
from shop_files import START_NS, record
from tui_driver import drive, make_app, open_file

from unspool.recorder.recorder import Recorder
from unspool_tui.actions import ACTIONS

action = pytest.mark.action


@action("help")
async def test_help_lists_every_action_with_its_keys_and_why_it_does_not_apply(shop_file: Path) -> None:
    async with drive(make_app(open_file(shop_file), at=100), size=(120, 40)) as driver:
        await driver.press("?")
        seen = driver.text()
        for _ in range(6):
            await driver.press("pagedown")
            seen += driver.text()
        for act in ACTIONS:
            assert act.help[:40] in seen
        assert "mark a base first" in seen
        await driver.press("escape")
        await driver.press("f1")
        assert "Help" in driver.text()


@action("theme")
async def test_themes_show_while_choosing_and_escape_takes_them_back(shop_file: Path) -> None:
    async with drive(make_app(open_file(shop_file), at=100)) as driver:
        before = driver.app.theme
        await driver.press("t", "down", "down")
        assert driver.app.theme != before
        await driver.press("escape")
        assert driver.app.theme == before
        await driver.press("t", "down", "enter")
        assert driver.app.theme == "unspool-light"


@pytest.mark.slow
async def test_every_theme_shows_while_the_cursor_is_on_it(shop_file: Path) -> None:
    async with drive(make_app(open_file(shop_file), at=100)) as driver:
        names = driver.app.theme_names()
        assert len(names) >= 23
        await driver.press("t")
        seen = {driver.app.theme: driver.app.pen}
        for _ in names[1:]:
            await driver.press("down")
            seen[driver.app.theme] = driver.app.pen
        assert list(seen) == names
        assert len({id(pen) for pen in seen.values()}) == len(names)


@action("log")
async def test_the_message_log_keeps_what_passed_by(shop_file: Path) -> None:
    async with drive(make_app(open_file(shop_file), at=100)) as driver:
        await driver.press("b", "!")
        assert "bookmark set on #100" in driver.text()
        assert "source: complete" in driver.text()


@action("reread")
async def test_rereading_finds_what_was_written_meanwhile(tmp_path: Path) -> None:
    path = tmp_path / "growing.unspool"
    with Recorder(path) as recorder:
        recorder.record({"a": 1}, "one", timestamp_ns=START_NS)
        history = open_file(path)
        async with drive(make_app(history, at=0, follow=False)) as driver:
            recorder.record({"a": 2}, "two", timestamp_ns=START_NS + 1)
            await driver.press("r")
            await driver.until(lambda: driver.view.total == 2)
            assert driver.view.head == 0


@action("escape")
async def test_escape_leaves_the_innermost_thing_first(shop_file: Path) -> None:
    async with drive(make_app(open_file(shop_file), at=0)) as driver:
        await driver.press("\\")
        await driver.type("kind:delta")
        await driver.press("enter", "z")
        await driver.press("escape")
        assert not driver.view.zoomed
        assert driver.view.filter.text
        await driver.press("escape")
        assert not driver.view.filter.text


@action("quit")
async def test_q_leaves_and_the_place_is_remembered(shop_file: Path) -> None:
    async with drive(make_app(open_file(shop_file), at=77, remember=True)) as driver:
        await driver.press("b", "2", "j", "q")
    async with drive(make_app(open_file(shop_file), remember=True)) as driver:
        assert driver.view.head == 77
        assert driver.view.bookmarks == (77,)
        assert driver.view.focus.name == "CHANGES"


@pytest.mark.one_in(2)
@pytest.mark.parametrize(("opens", "stray"), [("y", "j6"), ("t", "x"), ("?", "x"), ("c", "x"), ("!", "w")])
async def test_an_open_menu_says_when_a_key_is_not_its_own(shop_file: Path, opens: str, stray: str) -> None:
    async with drive(make_app(open_file(shop_file), at=100), (80, 24)) as driver:
        await driver.press(opens, *stray)
        assert f"{stray[-1]} does nothing; Esc leaves" in driver.text()
        await driver.press("j")
        assert "does nothing" not in driver.text()
        await driver.press("f5", "escape", ".")
        assert driver.view.head == 101


async def test_looking_again_tells_again_that_another_history_is_there(tmp_path: Path) -> None:
    path, other = tmp_path / "a.unspool", tmp_path / "b.unspool"
    record(path, [({"n": number}, "one") for number in range(3)])
    record(other, [({"m": number}, "two") for number in range(5)])
    async with drive(make_app(open_file(path), at=0)) as driver:
        other.replace(path)
        told = "another history has taken its place"
        for times in (1, 2):
            driver.app.main.flash("said meanwhile")
            await driver.press("r")
            # What passes below is gone after three seconds, which a busy machine takes to press a key.
            await driver.until(
                lambda times=times: times <= sum(told in said.text for said in driver.app.main.messages.all())
            )
