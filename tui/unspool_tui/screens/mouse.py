"""What the mouse does to the panels of the main screen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from unspool_tui.view import live, moves
from unspool_tui.view.model import Pane
from unspool_tui.widgets.panel import Panel

if TYPE_CHECKING:
    from unspool_tui.screens.main import MainScreen

WHEEL_ROWS: Final = 3
"""Rows that one notch of the wheel scrolls."""


def click(main: MainScreen, pane: Pane, row: int, *, twice: bool) -> None:
    """Focus a panel and select the row that was hit; a second click opens it. `row` is -1 beside the rows."""
    from unspool_tui.controls import moving

    view = moves.focus(main.view, pane)
    main.apply(view if row < 0 else moving.at(main, view, pane, row))
    if twice and row >= 0:
        main.do("open")


def wheel(main: MainScreen, panel: Panel, by: int) -> None:
    """Scroll a panel; head and cursor stay where they are."""
    view = main.view
    if panel.pane is Pane.HISTORY and view.follow and by < 0:
        # Looking back pauses, or the next entry would pull the list away.
        view = live.toggle_follow(view)
    last = max(0, panel.count - panel.page)
    main.painter.hand.scroll(panel.pane, view, min(last, panel.top + by * WHEEL_ROWS))
    main.view = view
    main.repaint()
