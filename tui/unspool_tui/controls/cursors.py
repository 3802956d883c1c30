"""The cursor of each pane: which row it is on, and the view after it moved to another."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from unspool_tui.scene.changes_pane import address_of
from unspool_tui.view import moves
from unspool_tui.view.model import Pane, View

if TYPE_CHECKING:
    from unspool_tui.screens.main import MainScreen


def count(main: MainScreen, pane: Pane) -> int:
    """Return how many rows a pane has."""
    match pane:
        case Pane.HISTORY:
            return len(main.rows)
        case Pane.CHANGES:
            return len(main.scene.changes.items)
        case Pane.INSPECT:
            return main.scene.inspect.count()
    return main.panels[pane].count


def row(main: MainScreen, pane: Pane) -> int:
    """Return the row a pane's cursor is on; the first where it is on none."""
    match pane:
        case Pane.HISTORY:
            return min(main.rows.position(main.view.head), max(0, len(main.rows) - 1))
        case Pane.CHANGES:
            return main.scene.changes.cursor(main.view) or 0
        case Pane.INSPECT:
            return main.scene.inspect.cursor(main.view) or 0
    return main.panels[pane].top


def at(main: MainScreen, view: View, pane: Pane, place: int) -> View:
    """Return the view with a pane's cursor on a row."""
    last = count(main, pane) - 1
    if last < 0:
        return view
    place = max(0, min(place, last))
    match pane:
        case Pane.HISTORY:
            return moves.move_to(view, main.rows[place])
        case Pane.CHANGES:
            address = address_of(main.scene.changes.items, place)
            return replace(view, change_row=place, selected=address or view.selected)
        case Pane.INSPECT:
            node = main.scene.inspect.node(place)
            return replace(view, inspect_row=place, selected=node.address if node is not None else view.selected)
    return view
