"""Notes: written where the head and the cursor are, seen in the panes, listed, gone to, kept by leaving."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from msgspec.structs import replace
from tui_driver import Driver, drive, make_app, open_file

from unspool import open_history
from unspool.sources.written_notes import SourceNotes, new_note
from unspool_tui.permits import Permits
from unspool_tui.rendering.line import UNICODE
from unspool_tui.view.model import Pane

action = pytest.mark.action


@pytest.fixture
def shop(shop_file: Path, tmp_path: Path) -> Path:
    """A history that one test alone writes notes on."""
    return Path(shutil.copy(shop_file, tmp_path / "shop.unspool"))


def beside(shop: Path) -> Path:
    return shop.with_name("shop.unspool-notes")


def damage(shop: Path) -> None:
    beside(shop).write_text("{")


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def kept(path: Path) -> list[tuple[int, str, str]]:
    with open_history(path, follow=False) as history:
        notes = SourceNotes(str(path), history=history).read().notes
    return [(note.entry, note.path, note.text) for note in notes]


async def write(driver: Driver, text: str) -> None:
    before = driver.view.notes
    await driver.press("i")
    await driver.type(text)
    await driver.press("enter")
    await driver.until(lambda: driver.view.notes != before)


@action("note", "note.list")
async def test_a_note_on_the_entry_and_one_on_a_value(shop: Path) -> None:
    async with drive(make_app(open_file(shop), at=4)) as driver:
        await driver.press("1")
        await write(driver, "look at this")
        assert driver.view.notes.entries == (4,)
        assert UNICODE.written in driver.text()
        # In the list behind the action, and in full where the entry is told.
        assert driver.text().count("look at this") == 2
        assert f"{UNICODE.written} look at this" in driver.text()
        await driver.press("3", "g")
        selected = driver.view.selected
        await write(driver, "wrong")
        assert driver.view.notes.values == {selected: (4,)}
        assert driver.view.notes.texts[4] == "look at this / wrong"
        await driver.press(".", ".", "1", "quotation_mark")
        await driver.until(lambda: driver.view.focus is Pane.RESULTS and driver.view.dock.count == 2)
        await driver.press("j")
        assert (driver.view.head, driver.view.selected) == (4, selected)
        # `i` writes on the note under the cursor again; empty removes it.
        await driver.press("i", *["backspace"] * 5, "enter")
        await driver.until(lambda: not driver.view.notes.values and driver.view.dock.count == 1)
    assert kept(shop) == [(4, "", "look at this")]


async def test_notes_on_a_source_that_goes_away_say_so_before_and_after(shop: Path) -> None:
    async with drive(make_app(open_file(shop), at=4, passing="unspool demo --file FILE keeps it")) as driver:
        await driver.press("1", "i")
        assert "kept until you leave: unspool demo --file FILE keeps it" in driver.text()
        await driver.press("x", "enter")
        await driver.until(lambda: "note kept until you leave: unspool demo --file FILE keeps it" in driver.line(-1))


async def test_notes_that_are_there_are_shown_and_looking_writes_nothing(shop: Path) -> None:
    with open_history(shop) as history:
        SourceNotes(str(shop)).add(new_note(history, 3, "two\nlines \x1b[31m[red]"))
    before = contents(shop.parent)
    async with drive(make_app(open_file(shop), at=3)) as driver:
        await driver.until(lambda: driver.view.notes.entries == (3,))
        await driver.settle()
        assert "two lines" in driver.text()
        assert "\x1b" not in driver.text()
        await driver.press("quotation_mark")
        await driver.until(lambda: "Notes" in driver.text())
        await driver.press("escape", "1", "i", "escape")
    assert contents(shop.parent) == before


async def test_lines_of_a_note_survive_being_edited_in_one(shop: Path) -> None:
    with open_history(shop) as history:
        SourceNotes(str(shop)).add(new_note(history, 3, "two\nlines"))
    async with drive(make_app(open_file(shop), at=3)) as driver:
        await driver.until(lambda: driver.view.notes.entries == (3,))
        await driver.press("1")
        before = driver.view.notes
        await driver.press("i", "x", "enter")
        await driver.until(lambda: driver.view.notes != before)
    assert kept(shop) == [(3, "", "two\nlinesx")]


async def test_leaving_right_after_typing_keeps_the_note(shop: Path) -> None:
    async with drive(make_app(open_file(shop), at=2)) as driver:
        await driver.press("1", "i")
        await driver.type("last words")
        await driver.press("enter", "q")
    assert kept(shop) == [(2, "", "last words")]


async def test_a_damaged_file_of_notes_is_told_and_left_alone(shop: Path) -> None:
    damage(shop)
    async with drive(make_app(open_file(shop), at=2)) as driver:
        await driver.until(lambda: "damaged" in driver.text())
        await driver.press("1", "i")
        await driver.type("x")
        await driver.press("enter")
        await driver.until(
            lambda: driver.app.main.flash_text is not None and driver.app.main.flash_text[1] == "error"
        )
        await driver.press(".")
        assert driver.view.head == 3
    assert contents(shop.parent)["shop.unspool-notes"] == b"{"


async def test_a_note_that_could_not_be_written_is_written_with_the_next_one(shop: Path) -> None:
    async with drive(make_app(open_file(shop), at=2)) as driver:
        damage(shop)
        for entry, text in ((2, "first"), (3, "second")):
            await driver.press(":", str(entry), "enter", "1", "i")
            await driver.type(text)
            await driver.press("enter")
            await driver.until(lambda: any("damaged" in said.text for said in driver.app.main.messages.all()))
        beside(shop).unlink()
        # What is typed anew takes the place of what could not be written.
        await driver.press(":", "2", "enter", "1", "i")
        await driver.type("again")
        await driver.press("enter")
        await driver.until(lambda: driver.view.notes.entries == (2, 3))
    assert kept(shop) == [(2, "", "again"), (3, "", "second")]


async def test_notes_that_another_process_writes_are_shown_by_themselves(shop: Path) -> None:
    async with drive(make_app(open_file(shop))) as driver:
        with open_history(shop, follow=False) as history:
            SourceNotes(str(shop)).add(new_note(history, 199, "from elsewhere"))
        await driver.until(lambda: driver.view.notes.entries == (199,))
        await driver.until(lambda: "from elsewhere" in driver.text())


async def test_notes_go_along_where_the_history_is_exported_or_repaired(shop: Path) -> None:
    async with drive(make_app(open_file(shop), at=4)) as driver:
        await driver.press("1")
        await write(driver, "look at this")
        copy, repaired = shop.with_name("copy.jsonl"), shop.with_name("repaired.unspool")
        main = driver.app.main
        await driver.press("E", "1", "ctrl+u")
        await driver.type(str(copy))
        await driver.press("enter")
        await driver.until(copy.with_name("copy.jsonl-notes").exists)
        await driver.press("c", "R", "ctrl+u")
        await driver.type(str(repaired))
        await driver.press("enter")
        await driver.until(lambda: any("entries as recorded" in said.text for said in main.messages.all()))
    assert kept(copy) == kept(repaired) == [(4, "", "look at this")]


@action("bookmark.keep")
async def test_bookmarks_are_kept_among_the_notes_when_asked_and_begin_the_next_look(shop: Path) -> None:
    async with drive(make_app(open_file(shop), at=2)) as driver:
        await driver.press("b", "ctrl+b")
        await driver.until(lambda: "1 bookmark kept in " in driver.text())
        await driver.press(".", ".", "b", "ctrl+b")
        await driver.until(lambda: "2 bookmarks kept in " in driver.text())
    assert kept(shop) == [(2, "", ""), (4, "", "")]
    async with drive(make_app(open_file(shop), at=0)) as driver:
        await driver.until(lambda: driver.view.bookmarks == (2, 4))


async def test_a_note_whose_entry_is_gone_is_listed_and_says_so(shop: Path) -> None:
    with open_history(shop) as history:
        note = new_note(history, 3, "on something else")
    SourceNotes(str(shop)).add(replace(note, time_ns=1, action="earlier"))
    async with drive(make_app(open_file(shop), at=3)) as driver:
        await driver.press("quotation_mark")
        await driver.until(lambda: "1 whose entry is gone" in driver.text())
        assert driver.view.notes.entries == ()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
async def test_a_folder_that_takes_no_file_is_told(shop: Path) -> None:
    shop.parent.chmod(0o500)
    async with drive(make_app(open_file(shop), at=2)) as driver:
        await driver.press("1", "i", "x", "enter")
        await driver.until(lambda: "cannot be written" in driver.text())
    shop.parent.chmod(0o700)


async def test_notes_are_ticks_in_the_timeline(shop: Path) -> None:
    with open_history(shop) as history:
        SourceNotes(str(shop)).add(*(new_note(history, seq, "here") for seq in (60, 150)))
    async with drive(make_app(open_file(shop), at=3), size=(80, 24)) as driver:
        await driver.until(lambda: driver.view.notes.entries == (60, 150))
        await driver.settle()
        lines = driver.text().split("\n")[1:4]
        assert sum(line.count(UNICODE.written) for line in lines) == 2


def test_a_visitor_reads_notes_and_writes_none() -> None:
    visitor = Permits(visitor=True, below=Path("/tmp"))
    assert visitor.why_not("note.list") == ""
    assert visitor.why_not("note")
    assert visitor.why_not("bookmark.keep")
