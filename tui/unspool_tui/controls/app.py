"""The app itself: palette, help, themes, messages, the editor at a line of code, re-reading, leaving."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace
from textual.app import SuspendNotSupported

from unspool.errors import UnspoolError
from unspool.model.entries import SourceLine
from unspool.model.values import Value
from unspool.query.entry_names import SHAPES, looks_like_place
from unspool_tui.actions import ACTIONS, BY_ID, GROUPS, Action, Keymap
from unspool_tui.controls import navigation, results, search
from unspool_tui.panes.answer import UNSEEN
from unspool_tui.rendering.line import BLANK, Glyphs, Row, pad, width_of, wrap_words
from unspool_tui.screens.messages import log_rows, told_as
from unspool_tui.screens.modal import Menu, MenuLine, ReaderScreen
from unspool_tui.screens.palette import CommandPalette, PaletteTarget, TargetKind, place_named
from unspool_tui.view import moves
from unspool_tui.view.model import Pane, View
from unspool_tui.worker import QuestionKind

if TYPE_CHECKING:
    from unspool_tui.screens.protocols import HistoryScreen

_PARENTS: Final = 4
"""Folders from that of a recording upwards in which a file named from the program's folder is looked for."""
_LINE_OF_CODE: Final = re.compile(r"([^\s:][^:\n]*\.\w+):(\d{1,8})(?::\d+)?")
_LONGEST_PLACE: Final = 1_000
"""Characters of a recorded text that may name a line of code."""
_LAST_LINE: Final = 10**8
_BY_COLON: Final = frozenset(("hx", "helix", "subl", "zed"))
_BY_GOTO: Final = frozenset(("code", "code-insiders", "codium", "cursor"))


class EditorFailed(UnspoolError):
    """A line of code cannot be opened; the message says why, and what would help."""


def file_of(place: SourceLine, near: Iterable[Path]) -> Path:
    """Return the file that a line is in.

    A recording names files from the folder that its program ran in, or from where a package lies.

    Args:
        place: the line.
        near: files of the recording; programs often keep theirs in or below the folder they run in.

    Raises:
        EditorFailed: there is no such regular file.
    """
    for folder in _folders(near):
        try:
            path = (folder / place.file).resolve()
            if path.is_file():
                return path
        except (OSError, ValueError, RuntimeError):
            # A name with a zero byte, one that is too long, or links that lead in a circle.
            continue
    raise EditorFailed(
        f"{place.file[:200]}:{place.line} is not on this machine; start unspool in the folder that the program ran in"
    )


def _folders(near: Iterable[Path]) -> Iterator[Path]:
    yield Path.cwd()
    for file in near:
        folder = file.absolute().parent
        yield from (folder, *list(folder.parents)[: _PARENTS - 1])
    yield from (Path(entry) for entry in sys.path if entry)


def editor_command(path: Path, line: int, environ: Mapping[str, str]) -> list[str]:
    """Return the command that opens a file at a line.

    Args:
        path: an absolute path.
        line: counted from 1.
        environ: where `VISUAL` and `EDITOR` are looked up.

    Raises:
        EditorFailed: neither is set, or what is set cannot be run.
    """
    chosen = environ.get("VISUAL", "").strip() or environ.get("EDITOR", "").strip()
    try:
        words = shlex.split(chosen)
    except ValueError:
        words = []
    if not words:
        raise EditorFailed("no editor is known: set VISUAL or EDITOR, such as EDITOR=vim")
    program = shutil.which(words[0], path=environ.get("PATH"))
    if program is None:
        raise EditorFailed(f"{words[0][:80]} is not there: VISUAL or EDITOR names it")
    number = max(1, min(line, _LAST_LINE))
    name = Path(words[0]).name
    if name in _BY_COLON:
        return [program, *words[1:], f"{path}:{number}"]
    if name in _BY_GOTO:
        return [program, *words[1:], "--goto", f"{path}:{number}"]
    return [program, *words[1:], f"+{number}", str(path)]


def run_editor(command: list[str]) -> None:
    """Run an editor in the terminal, and wait until it ends.

    Raises:
        EditorFailed: it cannot be run, or ended with an error.
    """
    try:
        with _interrupts_ignored():
            code = subprocess.run(command, check=False).returncode
    except OSError as error:
        raise EditorFailed(f"{command[0]} cannot be run: {error.strerror or error}") from None
    if code:
        raise EditorFailed(f"{command[0]} ended with {code}")


@contextmanager
def _interrupts_ignored() -> Iterator[None]:
    """Leave Ctrl+C to the editor, which sits at the same terminal."""
    # A handler, since the editor would inherit that a signal is ignored.
    before = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


_KEYS = 10
_MARGIN = _KEYS + 4
_PANES = {
    Pane.HISTORY: "one row an entry: number, full, delta or note, what was added, changed and deleted, time, bytes",
    Pane.CHANGES: "what differs from the entry before, from the base, or from live",
    Pane.INSPECT: "the whole state at the head, each value with the entry that last set it",
    Pane.RESULTS: "what was found: entry, value before and after, who and when; the head follows the cursor",
    Pane.STATS: "what the history costs, measured: bytes, chains, rebuild times, cache",
}


def open_line(main: HistoryScreen) -> None:
    """Open the line of code that wrote the selected value, else that of the entry."""
    place = main.scene.line_of_code(main.view, of_value=bool(main.view.selected))
    if place is None:
        main.flash("no line of code is known here: Recorder(caller=True) and unspool run keep them", "warning")
    else:
        edit(main, place)


def open_row(main: HistoryScreen) -> None:
    """Open the line of code that the text under the cursor names; of any other row, what is in it or behind it."""
    node = main.scene.inspect.node(navigation.row(main, Pane.INSPECT)) if main.view.focus is Pane.INSPECT else None
    place = None if node is None else _line_named(main, node.value)
    if place is not None:
        main.open_line(place)
    else:
        navigation.open_row(main)


def _line_named(main: HistoryScreen, value: Value) -> SourceLine | None:
    """Return the line of code that a recorded text names, such as `shop.py:19`; None where its file is not here to be opened."""
    named = _LINE_OF_CODE.fullmatch(value) if isinstance(value, str) and len(value) <= _LONGEST_PLACE else None
    if named is None or BY_ID["line.open"].refusal(main.view):
        return None
    place = SourceLine(named[1], int(named[2]))
    try:
        file_of(place, main.scene.history.source_paths)
    except EditorFailed:
        return None
    return place


def edit(main: HistoryScreen, place: SourceLine) -> None:
    """Open a line of code in the person's editor; the screen comes back when that ends."""
    failure: UnspoolError | None = None
    try:
        command = editor_command(file_of(place, main.scene.history.source_paths), place.line, os.environ)
        with main.app.suspend():
            # What is raised in here leaves the app without its terminal: `suspend` gives it back at a normal end alone.
            try:
                run_editor(command)
            except UnspoolError as error:
                failure = error
        if failure is not None:
            raise failure
    except UnspoolError as error:
        main.flash(told_as(error), "error")
    except SuspendNotSupported:
        main.flash("the screen cannot step aside for an editor here", "error")
    main.repaint()


def help_rows(view: View, keymap: Keymap, glyphs: Glyphs, width: int) -> list[Row]:
    """Return the help for a view in lines of a width; what does not apply now says why."""
    rows = [
        *_told(view.focus.name.capitalize() + ":", "strong", _PANES[view.focus], width),
        BLANK,
        *_legend(glyphs),
        BLANK,
        *_told(
            ":",
            "key",
            f"goes to {SHAPES}; finds atoms, paths, actions, bookmarks and sources, and runs every command",
            width,
        ),
    ]
    for group in GROUPS:
        rows += [BLANK, Row(((f" {group}", "title.focus"),))]
        for action in ACTIONS:
            if action.group == group:
                rows += _action_rows(action, keymap, action.refusal(view), width)
    return rows


def _told(name: str, style: str, text: str, width: int) -> list[Row]:
    margin = len(name) + 2
    first, *rest = wrap_words(text, width - margin - 1, 9)
    indent = " " * margin
    return [Row(((f" {name} ", style), (first, "dim"))), *(Row(((indent, "text"), (line, "dim"))) for line in rest)]


def _legend(glyphs: Glyphs) -> list[Row]:
    """Return what kinds of entries there are, and what marks them."""
    return [
        Row(
            (
                (f" {glyphs.full} ", "full"),
                ("full  ", "dim"),
                (f"{glyphs.delta} ", "delta"),
                ("delta  ", "dim"),
                (f"{glyphs.note} ", "note"),
                ("note  ", "dim"),
                (f" {glyphs.head} ", "head"),
                (" head  ", "dim"),
                (f" {glyphs.base} ", "base"),
                (" base", "dim"),
            )
        ),
        Row(
            (
                (f" {glyphs.bookmark} ", "bookmark"),
                ("bookmark  ", "dim"),
                (f"{glyphs.written} ", "written"),
                ("written note  ", "dim"),
                (f"{glyphs.hit} ", "hit"),
                ("search hit  ", "dim"),
                (f"{glyphs.parting} ", "parting"),
                ("linked tabs part", "dim"),
            )
        ),
        Row(
            (
                (f" {glyphs.added} ", "added"),
                ("added  ", "dim"),
                (f"{glyphs.modified} ", "modified"),
                ("modified  ", "dim"),
                (f"{glyphs.deleted} ", "removed"),
                ("deleted  ", "dim"),
                (f"{glyphs.moved} ", "moved"),
                ("moved  ", "dim"),
                (f"{glyphs.ellipsis} ", "text"),
                ("more  ", "dim"),
                (f"{UNSEEN} ", "warning"),
                ("changed unseen", "dim"),
            )
        ),
    ]


def _action_rows(action: Action, keymap: Keymap, why: str, width: int) -> list[Row]:
    """Return what an action does, and at the right end of its last line why it does not apply."""
    keys = keymap.all_shown(action.id) or "(no key)"
    style = "faint" if why else "text"
    lines = list(wrap_words(action.help, width - _MARGIN - 1, 9))
    right = ((f"{why} ", "warning"),) if why else ()
    if why and _MARGIN + width_of(lines[-1]) + width_of(why) + 3 > width:
        lines.append("")
    label = pad(keys, max(_KEYS, width_of(keys)))
    rows = [Row(((f"  {label}  ", "key"), (lines[0], style)))]
    rows += [Row(((" " * _MARGIN, "text"), (line, style))) for line in lines[1:]]
    return [*rows[:-1], rows[-1]._replace(right=right)]


def palette(main: HistoryScreen) -> None:
    """Ask for anything by its name, and go there, select it or do it."""

    def chosen(target: PaletteTarget | None) -> None:
        if target is not None:
            go_to_target(main, target)

    main.open(CommandPalette(main), chosen)


def go_to_target(main: HistoryScreen, target: PaletteTarget) -> None:
    """Do what choosing something in the palette means."""
    match target.kind:
        case TargetKind.COMMAND:
            main.run(BY_ID[target.name])
        case TargetKind.SOURCE:
            main.unspool_app.tab_screens.show(target.seq or 0)
        case TargetKind.ATOM | TargetKind.PATH:
            there = moves.jump_to(main.view, main.view.head if target.seq is None else target.seq)
            main.apply(moves.focus(moves.reveal(there, target.address), Pane.INSPECT))
        case TargetKind.ENTRY if looks_like_place(target.name):
            go_to(main, target.name)
        case TargetKind.ENTRY:
            main.flash(f"nothing here is called {target.name[:60]!r}; an entry is {SHAPES}", "warning")
        case TargetKind.ACTION | TargetKind.BOOKMARK:
            search.go(main, None if target.seq is None else str(target.seq))


def go_to(main: HistoryScreen, text: str) -> None:
    """Go to a typed place, or say why it is none."""
    try:
        seq = place_named(main, text)
    except UnspoolError as error:
        main.flash(str(error), "warning")
        return
    move = moves.move_to if text.strip()[:1] in ("+", "-") else moves.jump_to
    main.apply(moves.follow_at_end(move(main.view, seq)))


def show_help(main: HistoryScreen) -> None:
    """Show what can be done here."""
    view, keymap, glyphs = main.view, main.keymap, main.pen.glyphs
    main.open(ReaderScreen("Help", lambda width: help_rows(view, keymap, glyphs, width)))


def theme(main: HistoryScreen) -> None:
    """Choose the colours; each shows as the cursor reaches it, Escape takes it back."""
    app = main.unspool_app
    before = app.theme
    choices = [MenuLine("", name, name, "current" if name == before else "") for name in app.theme_names()]

    def preview(name: str) -> None:
        app.theme = name

    def chosen(name: str | None) -> None:
        app.theme = name if name is not None else before
        if name is not None:
            app.tab_screens.remember_theme(name)

    main.open(Menu("Theme", choices, at=before, preview=preview), chosen)


def show_log(main: HistoryScreen) -> None:
    """Show what the app told, and what is wrong with the source."""
    told, verdict = main.messages.all(), main.scene.history.verdict
    main.open(ReaderScreen("Messages", lambda width: log_rows(told, verdict, width), at_end=True))


def reread(main: HistoryScreen) -> None:
    """Look for new entries now."""
    before = main.view.total
    main.follower.look(asked=True)
    main.flash(f"looking for new entries after #{before - 1}" if before else "looking for entries")


def escape(main: HistoryScreen) -> None:
    """Leave what is innermost: a running search, playing, the card of a first run, zoom, reading the source, the search, the filter."""
    view = main.view
    if main.flash_text is not None:
        main.flash_text = None
        main.repaint()
    if view.search.running:
        main.worker.cancel(QuestionKind.SEARCH)
        main.work.end(QuestionKind.SEARCH)
        main.apply(replace(view, search=replace(view.search, running=False)))
        looked_at = f"{view.search.looked_at:,} of {view.count:,} entries"
        main.flash(f"stopped after {looked_at}; what was found so far is partial", "warning")
        results.stop_filling(main)
    elif main.work.stop():
        results.stop_filling(main)
    elif view.focus is Pane.RESULTS and not view.zoomed:
        results.leave(main)
    elif view.playing:
        navigation.stop_playing(main)
    elif main.card is not None:
        main.unspool_app.tab_screens.close_card()
    elif view.zoomed:
        main.apply(moves.toggle_zoom(view))
    elif not main.scene.history.progress.is_finished:
        main.scene.history.cancel_reading()
        main.flash("reading stopped; what has arrived stays", "warning")
    elif view.search.text:
        search.stop_search(main)
    elif view.filter.text:
        search.start_filter(main, "")


def leave(main: HistoryScreen) -> None:
    """Leave; the place is remembered."""
    main.app.exit()


CONTROLS: Final[Mapping[str, Callable[[HistoryScreen], None]]] = {
    "palette": palette,
    "help": show_help,
    "theme": theme,
    "log": show_log,
    "line.open": open_line,
    "open": open_row,
    "reread": reread,
    "escape": escape,
    "quit": leave,
}
