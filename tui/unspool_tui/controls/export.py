"""Taking something along: the menu of what to copy, the selection, export."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from unspool.errors import UnspoolError
from unspool_tui.copy_values import COPY_KINDS, COPY_VALUE, CopyKind, copy_text
from unspool_tui.rendering import format_units
from unspool_tui.screens.menu import Menu, MenuLine
from unspool_tui.screens.protocols import HistoryScreen


def ask_copy(main: HistoryScreen) -> None:
    """Ask what to copy, and copy it."""
    known = {kind.key: kind for kind in COPY_KINDS}
    choices = [MenuLine(kind.key, kind.label, kind.key, kind.why_not(main.view)) for kind in COPY_KINDS]

    def chosen(key: str | None) -> None:
        if key is not None:
            copy_kind(main, known[key])

    main.open(Menu("Copy", choices), chosen)


def copy_kind(main: HistoryScreen, kind: CopyKind) -> None:
    """Copy one kind of thing and say what went where."""
    reason = kind.why_not(main.view)
    if reason:
        main.flash(f"{kind.label}: {reason}", "warning")
        return
    try:
        text = kind.text(main.scene.history, main.view, main.scene.current(main.view))
    except UnspoolError as error:
        main.flash(str(error), "error")
        return
    outcome = copy_text(main.app, text)
    size = format_units.size(len(text.encode("utf-8", "surrogatepass")))
    main.flash(f"{kind.label}: {size} {outcome.said}", "good" if outcome.arrived else "warning")


def copy_selected(main: HistoryScreen) -> None:
    """Copy the selected value; without one, say how to leave and how to copy."""
    if main.view.selected:
        copy_kind(main, COPY_VALUE)
    else:
        main.flash(f"nothing is selected to copy; {main.keymap.shown('quit')} leaves unspool", "warning")


def export(main: HistoryScreen) -> None:
    """Ask what to write and where to."""
    from unspool_tui.screens.exporting import ask_export  # loaded when it is first opened

    ask_export(main)


CONTROLS: Final[Mapping[str, Callable[[HistoryScreen], None]]] = {
    "yank": ask_copy,
    "copy": copy_selected,
    "export": export,
}
