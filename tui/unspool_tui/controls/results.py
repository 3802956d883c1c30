"""The list of results and notes: opened by a search, a question, writes, checks or bookmarks; the head follows its cursor.

Notes are written on entries and values, listed here, and bookmarks are kept among them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from unspool.errors import UnspoolError
from unspool.model.keys import Path, format_path
from unspool.model.keys import Path as Address
from unspool.model.paths import parse_path
from unspool_tui import questions
from unspool_tui.rendering import format_units
from unspool_tui.rendering.header import short_name
from unspool_tui.rendering.labels import file_and_line
from unspool_tui.rendering.line import on_grid
from unspool_tui.screens.follower import after
from unspool_tui.screens.modal import Prompt
from unspool_tui.shown_notes import NoteDesk, NoteDraft, NotesShown
from unspool_tui.view import moves
from unspool_tui.view.model import ListKind, Pane, ResultList, ResultRow, View
from unspool_tui.worker import QuestionKind, Reply

if TYPE_CHECKING:
    from unspool.query.checkers import CheckReport
    from unspool.query.findings import CheckFinding
    from unspool.sources.written_notes import PlacedNote
    from unspool_tui.screens.protocols import HistoryScreen
    from unspool_tui.tabs import Tab

_LOOK_EVERY: Final = 0.1
"""Seconds between two looks at what the worker has found."""


def open_list(main: HistoryScreen, kind: ListKind, title: str, *, total: int = 0) -> ResultList:
    """Show a new list, still empty and said to be filled, and give it the focus."""
    results = ResultList(kind, title, total=total)
    main.scene.results.show(results)
    main.apply(moves.list_results(main.view))
    return results


def is_shown(main: HistoryScreen, results: ResultList) -> bool:
    """Whether a list is still the one that is shown."""
    return main.scene.results.list is results


def add(main: HistoryScreen, results: ResultList, rows: Iterable[ResultRow]) -> None:
    """Add rows to a list, and show them where it is still the one that is shown."""
    for row in rows:
        results.add(row)
    if is_shown(main, results):
        main.apply(replace(main.view, dock=replace(main.view.dock, count=len(results))))
        _go_where_wanted(main, results)
        main.repaint()


def _go_where_wanted(main: HistoryScreen, results: ResultList) -> None:
    """Go where the first row leads, if somebody asked for that before it was there and has not left the list since."""
    if results.wanted and len(results):
        results.wanted = False
        if main.view.focus is Pane.RESULTS:
            choose(main)


def finish(main: HistoryScreen, results: ResultList, said: str) -> None:
    """Say of a list that it is complete, or why it is not; a list without rows is closed."""
    results.said = said
    if not is_shown(main, results):
        return
    main.apply(replace(main.view, dock=replace(main.view.dock, running=False)))
    if not len(results):
        leave(main)
    main.repaint()


def stop_filling(main: HistoryScreen) -> None:
    """Say that a list is partial, because somebody stopped the looking."""
    if main.view.dock.running:
        finish(main, main.scene.results.list, f"stopped: partial ({main.scene.results.list.progress()})")


def to_row(main: HistoryScreen, row: int) -> None:
    """Put the cursor on a row, and the head on its entry."""
    count = main.view.dock.count
    if count:
        row = max(0, min(row, count - 1))
        if main.scene.results.list[row].seq < main.view.first:
            main.flash(main.scene.history.told_dropped(), "warning")
        main.apply(moves.preview(main.view, row, main.scene.results.list[row]))


def point_at(main: HistoryScreen, seq: int) -> None:
    """Put the cursor of the list on an entry that was gone to in another way, where it has it."""
    dock = main.view.dock
    row = main.scene.results.list.row_of(seq) if dock.open else None
    if row is not None and row < dock.count:
        main.apply(replace(main.view, dock=replace(dock, cursor=row)))


def choose(main: HistoryScreen) -> None:
    """Stay where the row under the cursor leads, and give the keys back."""
    results = main.scene.results.list
    if not main.view.dock.count and main.view.dock.running:
        results.wanted = True
        main.flash(f"{results.title}: {results.progress()}; goes to the first as soon as there is one")
        return
    if not main.view.dock.count:
        main.flash("nothing is listed", "warning")
        return
    to_row(main, main.view.dock.cursor)
    main.apply(moves.stay(main.view))


def leave(main: HistoryScreen) -> None:
    """Close the list and return to where going through it began."""
    main.apply(moves.return_to_start(main.view))


def focus(main: HistoryScreen) -> None:
    """Focus the list."""
    main.apply(moves.focus(main.view, Pane.RESULTS))


def list_bookmarks(main: HistoryScreen) -> None:
    """List the bookmarks, with what is selected at each."""
    view = main.view
    results = open_list(main, ListKind.BOOKMARKS, "Bookmarks")
    add(main, results, (ResultRow(seq, view.selected) for seq in view.bookmarks))
    at = next((row for row, seq in enumerate(view.bookmarks) if seq >= view.head), len(view.bookmarks) - 1)
    main.apply(replace(main.view, dock=replace(main.view.dock, cursor=at)))
    finish(main, results, "")


_MARKS: Final = {"added": "+", "modified": "~", "deleted": "-", "unchanged": "=", "older": "<"}


def list_writes(main: HistoryScreen) -> None:
    """List the entries that wrote the selected value up to the head, those that left it as it was too."""
    history, address, head, withdrawn = main.scene.history, main.view.selected, main.view.head, main.worker.withdrawn
    results = open_list(main, ListKind.WRITES, f"Writes of {_short(address)}", total=head + 1)

    def take(reply: Reply) -> None:
        if reply.value is not None:
            results.looked_at = reply.value.looked_at
            add(main, results, map(_written, reply.value.writes))
            results.said = reply.value.short
        if reply.done:
            finish(main, results, results.said)
            if reply.error is None and not len(results):
                main.flash(
                    f"no write of {_short(address)} was found; {results.said or 'all entries were looked at'}",
                    "warning",
                )

    told = f"looking for the writes of {_short(address)}"
    main.ask(QuestionKind.TASK, lambda: questions.writes(history, address, head, withdrawn), take, told=told)


def _short(address: Path) -> str:
    return format_path(address[-3:], root="")[:40]


def _written(write: questions.ValueWrite) -> ResultRow:
    return ResultRow(write.seq, write.address, _MARKS[write.kind], write.before, write.after, write.action)


def list_findings(main: HistoryScreen) -> None:
    """Have the checkers look for faults of the app that recorded, and list what they find as they find it."""
    from unspool_tui.screens.chains import mark_entries  # loaded with the first such question

    history, withdrawn, total = main.scene.history, main.worker.withdrawn, main.view.total
    results = open_list(main, ListKind.CHECKS, "Findings of the checkers", total=total)
    found: list[CheckFinding] = []

    def tell(done: int, _: int) -> None:
        results.looked_at = done

    def take(reply: Reply) -> None:
        if reply.error is not None:
            finish(main, results, "")
            return
        report: CheckReport = reply.value
        complete = _in_order(main, results, report)
        mark_entries(main, f"check: {sum(report.counts.values()):,}", (one.seq for one in report.findings))
        finish(main, complete, _told(report))
        if not report.findings:
            main.flash(_told(report), "good" if report.complete else "warning")
        for text in (*report.doubts, *report.problems):
            main.messages.add(f"not checked: {text}", "warning")

    def watch() -> None:
        if is_shown(main, results) and main.view.dock.running:
            fresh = found[len(results) :]
            add(main, results, map(_finding, fresh))
            after(main, _LOOK_EVERY, watch)

    work = lambda: questions.check_all(history, tell, withdrawn, found.append)  # noqa: E731 - one name, one use
    main.ask(QuestionKind.TASK, work, take, told="checking every entry")
    watch()


def _in_order(main: HistoryScreen, listed: ResultList, report: CheckReport) -> ResultList:
    """Put the findings in the order of entries; the cursor stays on the one it is on."""
    ordered = ResultList(ListKind.CHECKS, listed.title)
    for finding in report.findings:
        ordered.add(_finding(finding))
    if is_shown(main, listed):
        dock = main.view.dock
        at = listed[dock.cursor] if dock.cursor < len(listed) else None
        row = next((row for row in range(len(ordered)) if ordered[row] == at), 0)
        ordered.wanted = listed.wanted
        main.scene.results.show(ordered)
        main.apply(replace(main.view, dock=replace(dock, count=len(ordered), cursor=row)))
        _go_where_wanted(main, ordered)
    return ordered


def _told(report: CheckReport) -> str:
    total = sum(report.counts.values())
    many = format_units.count(total, "finding") if total else "the checkers found nothing"
    by_checker = ", ".join(f"{count:,} {name}" for name, count in report.counts.items())
    left = len(report.doubts) + len(report.problems)
    doubts = f"; {left} not checked (! tells what)" if left else ""
    return f"{many} in {report.entries:,} entries{f': {by_checker}' if by_checker else ''}{doubts}"


def _finding(found: CheckFinding) -> ResultRow:
    address: Path = ()
    with suppress(UnspoolError):
        # The path of a finding may be a pattern, which stands nowhere.
        address = parse_path(found.path) if found.path else ()
    place = "" if found.caller is None else file_and_line(found.caller)
    return ResultRow(found.seq, address, found.severity, "", f"{found.checker}: {found.message}", found.action, place)


def read_notes(main: HistoryScreen) -> None:
    """Read the notes on the source of a screen, and show them."""
    _ask(main, desk_of(main).read)


def read_notes_again(main: HistoryScreen) -> None:
    """Show what somebody else has written meanwhile."""
    if main.notes is not None and not main.notes.is_asked:
        _ask(main, main.notes.read_again)


def desk_of(main: HistoryScreen) -> NoteDesk:
    """Return what reads and writes the notes of a screen, made when it is first asked for."""
    if main.notes is None:
        tab = _tab_of(main)
        source = None if tab is None else tab.source
        main.notes = NoteDesk(main.scene.history, source, main.unspool_app.tab_screens.passing)
        main.at_end.append(main.notes.finish)
    return main.notes


def _tab_of(main: HistoryScreen) -> Tab | None:
    return next((tab for tab in main.unspool_app.tabs.all if tab.history is main.scene.history), None)


def _ask(main: HistoryScreen, work: Callable[[], NotesShown | None], then: Callable[[], None] | None = None) -> None:
    desk = desk_of(main)
    desk.is_asked = True

    def take(reply: Reply) -> None:
        desk.is_asked = False
        if reply.error is not None or reply.value is None:
            # Told by the screen already; or nothing has changed.
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
    before, new_line = main.typed.setdefault("note", []), main.pen.glyphs.new_line
    # A sign of ASCII may be meant as it stands in a note of one line.
    has_lines = not new_line.isascii() or (seen is not None and "\n" in seen.note.text)

    def typed(text: str | None) -> None:
        if text is None:
            return
        before.append(text)
        desk.write(NoteDraft(seq, address, text.replace(new_line, "\n") if has_lines else text, seen))
        _ask(main, desk.work, lambda: _list_again(main, desk))

    where = f"kept until you leave: {desk.passing}" if desk.passing else "kept beside the history"
    hint = on_grid(f"note on {on}; {where}{', empty removes it' if seen else ''}")
    text = "" if seen is None else seen.note.text.replace("\n", new_line)
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
    found = open_list(main, ListKind.NOTES, f"Notes{place}")
    add(main, found, map(_row, shown.listed))
    at = next((row for row, one in enumerate(shown.listed) if one.seq == main.view.head), 0)
    main.apply(replace(main.view, dock=replace(main.view.dock, cursor=at)))
    finish(main, found, told)


def _list_again(main: HistoryScreen, desk: NoteDesk) -> None:
    """Show in the list of notes what became of it, where it is looked at."""
    if main.view.dock.open and main.scene.results.list.kind is ListKind.NOTES:
        if desk.shown.listed:
            _show_list(main, desk)
        else:
            leave(main)


def _row(one: PlacedNote) -> ResultRow:
    note = one.note
    return ResultRow(one.seq or 0, note.steps, after=" ".join(note.text.split()) or "(bookmark)")


def keep_bookmarks(main: HistoryScreen) -> None:
    """Put the bookmarks among the notes, so that they go where the history goes."""
    desk = desk_of(main)
    desk.keep_bookmarks(main.view.bookmarks)
    _ask(main, desk.work)


CONTROLS: Final[Mapping[str, Callable[[HistoryScreen], None]]] = {
    "bookmark.go": list_bookmarks,
    "writes": list_writes,
    "check": list_findings,
    "pane.results": focus,
    "note": write_note,
    "note.list": list_notes,
    "bookmark.keep": keep_bookmarks,
}
