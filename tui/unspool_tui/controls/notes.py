"""Notes on entries and values: writing one, listing them, keeping bookmarks among them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from unspool.model.keys import Path as Address
from unspool.model.keys import format_path
from unspool_tui.controls import results
from unspool_tui.rendering.header import short_name
from unspool_tui.rendering.line import on_grid
from unspool_tui.screens.modal import Prompt
from unspool_tui.shown_notes import NoteDesk, NoteDraft, NotesShown
from unspool_tui.view.model import ListKind, Pane, ResultRow, View
from unspool_tui.worker import QuestionKind, Reply

if TYPE_CHECKING:
    from unspool.sources.written_notes import PlacedNote
    from unspool_tui.screens.protocols import HistoryScreen
    from unspool_tui.tabs import Tab

_NEW_LINE: Final = "⏎"
"""Stands for the end of a line where a note of several is edited in one."""


def read_notes(main: HistoryScreen) -> None:
    """Read the notes on the source of a screen, and show them."""
    _ask(main, desk_of(main).read)


def desk_of(main: HistoryScreen) -> NoteDesk:
    """Return what reads and writes the notes of a screen, made when it is first asked for."""
    if main.notes is None:
        tab = _tab_of(main)
        main.notes = NoteDesk(main.scene.history, None if tab is None else tab.source)
        main.at_end.append(main.notes.finish)
    return main.notes


def _tab_of(main: HistoryScreen) -> Tab | None:
    return next((tab for tab in main.unspool_app.tabs.all if tab.history is main.scene.history), None)


def _ask(main: HistoryScreen, work: Callable[[], NotesShown], then: Callable[[], None] | None = None) -> None:
    def take(reply: Reply) -> None:
        if reply.error is not None:
            # Told by the screen already.
            return
        _take(main, reply.value)
        if then is not None:
            then()

    main.ask(QuestionKind.NOTES, work, take)


def _take(main: HistoryScreen, shown: NotesShown) -> None:
    desk = desk_of(main)
    new = [problem for problem in shown.problems if problem not in desk.shown.problems]
    desk.shown = shown
    view, marks = main.view, shown.marks()
    if marks != view.notes:
        view = replace(view, notes=marks)
    if shown.bookmarks and not view.bookmarks and _has_no_place(main):
        # Whoever opens a history for the first time begins with the bookmarks that came with it.
        view = replace(view, bookmarks=shown.bookmarks)
    main.apply(view)
    if new:
        main.flash(new[0], "warning")
    elif shown.told:
        main.flash(shown.told)


def _has_no_place(main: HistoryScreen) -> bool:
    tab = _tab_of(main)
    return tab is None or tab.session is None or not tab.session.place.source


def place_of_note(view: View) -> Address:
    """Return the value that a note would be written on: the selected one in Changes and Inspect, none in other panes."""
    return view.selected if view.focus in (Pane.CHANGES, Pane.INSPECT) else ()


def write_note(main: HistoryScreen) -> None:
    """Ask for a note on the selected value or on the entry at the head; in the list of notes, for the one under the cursor."""
    desk = desk_of(main)
    seq, address, seen = main.view.head, place_of_note(main.view), _under_cursor(main, desk)
    if seen is not None and seen.seq is not None:
        seq, address = seen.seq, seen.note.steps
    else:
        seen = desk.shown.at(seq, address)
    on = f"#{seq}" + (f" {format_path(address[-3:], root='')[:40]}" if address else "")
    before = main.typed.setdefault("note", [])

    def typed(text: str | None) -> None:
        if text is None:
            return
        before.append(text)
        desk.write(NoteDraft(seq, address, text.replace(_NEW_LINE, "\n"), seen))
        _ask(main, desk.work, lambda: _list_again(main, desk))

    hint = on_grid(f"note on {on}; kept beside the history{', empty removes it' if seen else ''}")
    text = "" if seen is None else seen.note.text.replace("\n", _NEW_LINE)
    # What could not be written comes back with the arrow keys.
    main.open(Prompt("note", hint, text=text, history=before), typed)


def _under_cursor(main: HistoryScreen, desk: NoteDesk) -> PlacedNote | None:
    view, listed = main.view, main.scene.results.list
    if view.focus is not Pane.RESULTS or listed.kind is not ListKind.NOTES or not view.dock.count:
        return None
    found = desk.shown.listed
    return found[view.dock.cursor] if view.dock.cursor < len(found) else None


def list_notes(main: HistoryScreen) -> None:
    """List the notes, those too that somebody else wrote meanwhile."""
    desk = desk_of(main)
    _ask(main, desk.read, lambda: _show_list(main, desk))


def _show_list(main: HistoryScreen, desk: NoteDesk) -> None:
    shown = desk.shown
    gone = [one for one in shown.placed if one.seq is None]
    told = f"{len(gone)} whose entry is gone: `unspool notes` lists them" if gone else ""
    if not shown.listed:
        main.flash(told or "no notes yet (i writes one)", "warning" if gone else "text")
        return
    place = "" if shown.place is None else f" in {short_name(str(shown.place))}"
    found = results.open_list(main, ListKind.NOTES, f"Notes{place}")
    results.add(main, found, map(_row, shown.listed))
    at = next((row for row, one in enumerate(shown.listed) if one.seq == main.view.head), 0)
    main.apply(replace(main.view, dock=replace(main.view.dock, cursor=at)))
    results.finish(main, found, told)


def _list_again(main: HistoryScreen, desk: NoteDesk) -> None:
    """Show in the list of notes what became of it, where it is looked at."""
    if main.view.dock.open and main.scene.results.list.kind is ListKind.NOTES:
        if desk.shown.listed:
            _show_list(main, desk)
        else:
            results.leave(main)


def _row(one: PlacedNote) -> ResultRow:
    note = one.note
    return ResultRow(one.seq or 0, note.steps, after=" ".join(note.text.split()) or "(bookmark)")


def keep_bookmarks(main: HistoryScreen) -> None:
    """Put the bookmarks among the notes, so that they go where the history goes."""
    desk = desk_of(main)
    desk.keep_bookmarks(main.view.bookmarks)
    _ask(main, desk.work)


CONTROLS: Final[Mapping[str, Callable[[HistoryScreen], None]]] = {
    "note": write_note,
    "note.list": list_notes,
    "bookmark.keep": keep_bookmarks,
}
