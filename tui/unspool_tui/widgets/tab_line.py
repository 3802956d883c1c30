"""The line of tabs above the main screen; a click on a label goes there."""

from __future__ import annotations

from textual import events
from textual.message import Message

from unspool_tui.present.tab_row import TabRow
from unspool_tui.widgets.lines import Lines


class TabChosen(Message):
    """A tab was clicked."""

    def __init__(self, tab: int) -> None:
        self.tab = tab
        super().__init__()


class TabLine(Lines):
    """Shows the tabs and says which one was clicked."""

    DEFAULT_CSS = "TabLine { height: 1; width: 1fr; }"

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's own name for it
        super().__init__(id=id)
        self._shown: TabRow | None = None

    def show(self, line: TabRow) -> None:
        """Show a line of tabs."""
        self._shown = line
        self.show_rows([line.row])

    def on_click(self, event: events.Click) -> None:
        """Tell which tab was clicked."""
        tab = None if self._shown is None else self._shown.tab_at(event.x)
        if tab is not None:
            self.post_message(TabChosen(tab))
