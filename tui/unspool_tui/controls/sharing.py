"""Taking something along: the yank menu, the selection, export."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from unspool.errors import UnspoolError
from unspool_tui.clipboard import copy_text
from unspool_tui.present import humane
from unspool_tui.yanking import YANKS, yank_text

if TYPE_CHECKING:
    from unspool_tui.screens.main import MainScreen


def yank(main: MainScreen) -> None:
    """Ask what to copy, and copy it."""
    from unspool_tui.screens.menu import Choice, Menu

    choices = [Choice(kind.key, kind.label, kind.name, kind.why_not(main.view)) for kind in YANKS]

    def chosen(name: str | None) -> None:
        if name is not None:
            yank_kind(main, name)

    main.open(Menu("Copy", choices), chosen)


def yank_kind(main: MainScreen, name: str) -> None:
    """Copy one kind of thing and say what went where."""
    kind = next(kind for kind in YANKS if kind.name == name)
    reason = kind.why_not(main.view)
    if reason:
        main.flash(f"{kind.label}: {reason}", "warning")
        return
    try:
        text = yank_text(kind, main.scene.history, main.view, main.scene.current(main.view))
    except UnspoolError as error:
        main.flash(str(error), "error")
        return
    outcome = copy_text(main.app, text)
    size = humane.size(len(text.encode("utf-8", "surrogatepass")))
    main.flash(f"{kind.label}: {size} {outcome.said}", "good" if outcome.arrived else "warning")


def copy_selected(main: MainScreen) -> None:
    """Copy the selected value; without one, say how to leave and how to copy."""
    if main.view.selected:
        yank_kind(main, "value")
    else:
        main.flash(f"nothing is selected to copy; {main.keymap.shown('quit')} leaves unspool", "warning")


def export(main: MainScreen) -> None:
    """Ask what to write and where to."""
    from unspool_tui.screens.exporting import ask_export

    ask_export(main)


CONTROLS: Final[Mapping[str, Callable[[MainScreen], None]]] = {
    "yank": yank,
    "copy": copy_selected,
    "export": export,
}
