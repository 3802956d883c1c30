"""The page of actions: each with how often it happened, as a histogram; Enter shows only its entries."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Final

from unspool_tui.panes.names import ActionCount, count_actions
from unspool_tui.rendering import format_units
from unspool_tui.rendering.line import BLANK, Row, crop, on_grid
from unspool_tui.screens.page import Page
from unspool_tui.view.model import seconds_left
from unspool_tui.view.overview import filter_of_action
from unspool_tui.worker import QuestionKind, Reply

if TYPE_CHECKING:
    from unspool_tui.screens.protocols import HistoryScreen

_COUNT_ROOM: Final = 9
_BAR_ROOM: Final = 24
_NARROW: Final = 72
"""Cells of a page below which bars are short, so that actions can be told apart by their names."""
UNNAMED: Final = "(no action)"


def _bar_room(width: int) -> int:
    return _BAR_ROOM if width >= _NARROW else _BAR_ROOM // 4


class ActionsPage(Page):
    """Lists the actions while they are counted, the most frequent first."""

    TITLE_OF_LIST = "Actions"
    KEYS = (("Enter", "show only these"), ("!", "hide these"), ("n", "newest"))

    def __init__(self, main: HistoryScreen, start_filter: Callable[[str], None], go: Callable[[int], None]) -> None:
        """Count the actions of a history.

        Args:
            main: the main screen.
            start_filter: shows only the entries that pass a filter.
            go: goes to an entry.
        """
        super().__init__(main)
        self._start_filter = start_filter
        self._go = go
        self._total = main.view.total
        self._started = monotonic()
        self._listed: list[tuple[str, ActionCount]] = []

    def on_mount(self) -> None:
        """Go on counting where the last count ended; what is counted already is there at once."""
        main, counts = self.main_screen, self.main_screen.scene.actions
        if counts.missing(main.view.first, self._total):
            history, start, stop = main.scene.history, counts.until, self._total
            main.ask(QuestionKind.ACTIONS, lambda: count_actions(history, start, stop), self._take)
        self._listed = counts.in_order()
        super().on_mount()

    def _take(self, reply: Reply) -> None:
        counts = self.main_screen.scene.actions
        if reply.value is not None:
            counts.learn(reply.value)
        at = self._listed[self.cursor][0] if self.cursor else None
        self._listed = counts.in_order()
        # The cursor stays on its action while others overtake it; nobody has chosen the first row yet.
        self.cursor = next((row for row, (name, _) in enumerate(self._listed) if name == at), 0)
        if self.is_current:
            self.paint()

    def count(self) -> int:
        """See `Page.count`."""
        return len(self._listed)

    def row(self, index: int, width: int) -> Row:
        """See `Page.row`."""
        if index >= len(self._listed):
            return BLANK
        action, counted = self._listed[index]
        most, glyphs, room = self._listed[0][1].count, self.pen.glyphs, _bar_room(width)
        filled = max(1, counted.count * room // most)
        named = on_grid(action[:200]) if action else UNNAMED
        left = (
            (f"{counted.count:>{_COUNT_ROOM},} ", "strong"),
            (glyphs.block * filled, "heat"),
            (" " * (room - filled + 1), "text"),
            (crop(named, max(10, width - _COUNT_ROOM - room - 20)), "text" if action else "faint"),
        )
        return Row(left, ((f" {self._share(counted.count)}  newest #{counted.newest:,} ", "dim"),))

    def _share(self, count: int) -> str:
        share = count * 100 / max(1, self.main_screen.scene.actions.until - self.main_screen.view.first)
        return f"{share:.0f}%" if share >= 1 else "<1%"

    def heading(self, width: int) -> Row:
        """See `Page.heading`."""
        return Row(((f" {'entries':>{_COUNT_ROOM}} {'':<{_bar_room(width)}} action", "faint"),), ground="bar")

    def told(self, width: int) -> list[Row]:
        """Return how many actions there are, and how far the count is."""
        counts, first = self.main_screen.scene.actions, self.main_screen.view.first
        done, total = counts.until - first, self._total - first
        words = f"{format_units.count(len(self._listed), 'action')} in {done:,} entries"
        more = f", {counts.others:,} entries of further ones" if counts.others else ""
        rest = ""
        if done < total:
            left = seconds_left(done, total, monotonic() - self._started)
            rest = f"; counting, {done * 100 // max(1, total)}%{f', {left}' if left else ''}"
        return [Row(((f" {words}{more}{rest}", "text"),))]

    def letter(self, character: str) -> bool:
        """Hide the entries of an action, or go to its newest one."""
        if character not in ("!", "n"):
            return False
        if self._listed:
            action, counted = self._listed[self.cursor]
            self.dismiss(None)
            if character == "n":
                self._go(counted.newest)
            else:
                self._start_filter(filter_of_action(action, inverted=True))
        return True

    def choose(self) -> None:
        """Show only the entries of the action under the cursor."""
        if self._listed:
            action, _ = self._listed[self.cursor]
            self.dismiss(None)
            self._start_filter(filter_of_action(action))
