"""Notes on entries and values: writing one, listing them, keeping bookmarks among them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from unspool.model.keys import Path as Address
from unspool.model.keys import format_path
from unspool_tui.rendering.header import short_name
from unspool_tui.rendering.line import on_grid
from unspool_tui.screens.menu import Menu, MenuLine
from unspool_tui.screens.modal import Prompt
from unspool_tui.shown_notes import NoteDesk, NoteDraft, NotesShown
from unspool_tui.view import moves
from unspool_tui.view.model import Pane, View
from unspool_tui.worker import QuestionKind, Reply

if TYPE_CHECKING:
    from unspool.sources.written_notes import PlacedNote
    from unspool_tui.screens.protocols import HistoryScreen
    from unspool_tui.tabs import Tab

_NEW_LINE: Final = "⏎"
"""Stands for the end of a line where a note of several is edited in one."""
_MOST_LISTED: Final = 500


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
    """Ask for a note on the selected value, or on the entry at the head."""
    seq, address = main.view.head, place_of_note(main.view)
    desk = desk_of(main)
    seen = desk.shown.at(seq, address)
    on = f"#{seq}" + (f" {format_path(address[-3:], root='')[:40]}" if address else "")

    def typed(text: str | None) -> None:
        if text is not None:
            before.append(text)
            desk.write(NoteDraft(seq, address, text.replace(_NEW_LINE, "\n"), seen))
            _ask(main, desk.work)

    hint = on_grid(f"note on {on}; kept beside the history{', empty removes it' if seen else ''}")
    # What could not be written comes back with the arrow keys.
    before = main.typed.setdefault("note", [])
    text = "" if seen is None else seen.note.text.replace("\n", _NEW_LINE)
    main.open(Prompt("note", hint, text=text, history=before), typed)


def list_notes(main: HistoryScreen) -> None:
    """List the notes, and go to the one that is chosen."""
    desk = desk_of(main)
    _ask(main, desk.read, lambda: _choose_note(main, desk))


_KEEP: Final = "keep"


def _choose_note(main: HistoryScreen, desk: NoteDesk) -> None:
    if not main.is_uncovered:
        # Whoever types into something else by now must not lose keys to a menu.
        return
    placed = desk.shown.placed[:_MOST_LISTED]
    lines = [_line(number, one) for number, one in enumerate(placed)]
    loose = [seq for seq in main.view.bookmarks if seq not in desk.shown.bookmarks]
    if loose and not main.view.permits.visitor:
        lines.append(MenuLine("b", f"keep {len(loose)} more of your bookmarks here", _KEEP, "so that they travel"))
    if not lines:
        main.flash("no notes yet (i writes one)")
        return

    def chosen(value: str | None) -> None:
        if value == _KEEP:
            desk.keep_bookmarks(loose)
            _ask(main, desk.work)
        elif value is not None:
            go_to_note(main, placed[int(value)])

    place = "" if desk.shown.place is None else f": {short_name(str(desk.shown.place))}"
    at = next((str(number) for number, one in enumerate(placed) if one.seq == main.view.head), "")
    main.open(Menu(f"Notes{place}", lines, at=at), chosen)


def _line(number: int, one: PlacedNote) -> MenuLine:
    note = one.note
    entry = f"#{one.seq}" if one.seq is not None else "gone"
    path = f" {format_path(note.steps[-3:], root='')[:30]}" if note.path else ""
    text = " ".join(note.text.split())[:60] or "(bookmark)"
    key = str(number + 1) if number < 9 else ""
    return MenuLine(key, f"{entry}{path}  {text}", str(number), note.action[:30])


def go_to_note(main: HistoryScreen, one: PlacedNote) -> None:
    """Go to the entry of a note, and to the value that it is on."""
    if one.seq is None:
        note = one.note
        main.flash(
            f"that note was on entry {note.entry} ({note.action[:40]}), which is not in this history", "warning"
        )
        return
    view = moves.jump_to(main.view, one.seq)
    if one.note.path:
        # Where `i` writes on it again.
        view = replace(moves.reveal(view, one.note.steps), focus=Pane.INSPECT, side=Pane.INSPECT)
    else:
        view = replace(view, focus=Pane.HISTORY)
    main.apply(view)


CONTROLS: Final[Mapping[str, Callable[[HistoryScreen], None]]] = {
    "note": write_note,
    "note.list": list_notes,
}
