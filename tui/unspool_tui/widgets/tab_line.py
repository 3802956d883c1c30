"""The line of tabs above the main screen; a click on a label goes there."""

from __future__ import annotations

from collections.abc import Callable

from textual import events

from unspool_tui.present.tab_row import TabRow
from unspool_tui.widgets.lines import Lines


class TabLine(Lines):
    """Shows the tabs and says which one was clicked."""

    DEFAULT_CSS = "TabLine { height: 1; width: 1fr; }"

    def __init__(self, choose: Callable[[int], object], *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        """Show nothing yet; `choose` is called with the number of a tab that was clicked."""
        super().__init__(id=id)
        self._choose = choose
        self._shown: TabRow | None = None

    def show(self, line: TabRow) -> None:
        """Show a line of tabs."""
        self._shown = line
        self.show_rows([line.row])

    def on_click(self, event: events.Click) -> None:
        """Tell which tab was clicked."""
        tab = None if self._shown is None else self._shown.tab_at(event.x)
        if tab is not None:
            self._choose(tab)
