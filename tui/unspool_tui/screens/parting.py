"""Where two sources part: the same question as `unspool compare A B`, asked of two tabs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from unspool_tui import questions
from unspool_tui.present.line import BLANK, Row
from unspool_tui.present.parting_lines import parting_heading, parting_row, parting_summary
from unspool_tui.screens.page import Page, Tell
from unspool_tui.view import moves

if TYPE_CHECKING:
    from unspool.query.divergence_facts import Divergence
    from unspool_tui.screens.main import MainScreen
    from unspool_tui.tabs import Tabs


class PartingScreen(Page):
    """The first entries at which this tab's history and another's differ, and the values that do."""

    TITLE_OF_LIST = "What differs there"
    KEYS = (("Enter", "go there"), ("o", "go there in the other tab"))

    def __init__(self, main: MainScreen, tabs: Tabs, other: int) -> None:
        super().__init__(main)
        self._tabs = tabs
        self._other = other
        self._names = (tabs.name(tabs.front), tabs.name(other))
        self._found: Divergence | None = None

    def on_mount(self) -> None:
        """Begin to compare."""
        super().on_mount()
        first, second = self.main_screen.scene.history, self._tabs.all[self._other].history
        withdrawn, total = self.main_screen.desk.withdrawn, self.main_screen.view.total

        def compare(tell: Tell) -> Divergence | None:
            return None if second is None else questions.part(first, second, lambda n: tell(n, total), withdrawn)

        self.work(compare, self._take)

    def _take(self, found: Divergence | None) -> None:
        self._found = found

    def count(self) -> int:
        """See `Page.count`."""
        return 0 if self._found is None else len(self._found.differences)

    def row(self, index: int, width: int) -> Row:
        """See `Page.row`."""
        return BLANK if self._found is None else parting_row(self._found.differences[index], width, self.pen.glyphs)

    def heading(self, width: int) -> Row:
        """See `Page.heading`."""
        return parting_heading(self._names, width)

    def told(self, width: int) -> list[Row]:
        """Return how the two relate."""
        if self._found is None:
            return [Row(((" not compared: Escape goes back", "dim"),))]
        return parting_summary(self._found, self._names, width, self.pen.glyphs)

    def letter(self, character: str) -> bool:
        """Go to where the other history parts."""
        if character != "o":
            return False
        seq = None if self._found is None else self._found.second.seq
        tab = self._tabs.all[self._other]
        self.dismiss(None)
        if seq is not None and tab.main is None:
            tab.at = seq
        elif seq is not None and tab.main is not None:
            tab.main.apply(moves.jump_to(tab.main.view, seq))
        self.unspool_app.front.show(self._other)
        return True

    def choose(self) -> None:
        """Go to where this history parts."""
        if self._found is not None and self._found.first.seq is not None:
            self.main_screen.apply(moves.jump_to(self.main_screen.view, self._found.first.seq))
            self.dismiss(None)
