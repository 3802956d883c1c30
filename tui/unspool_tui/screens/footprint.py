"""Where the bytes of a history are: the same answer as `unspool bytes`, page by page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from unspool_tui import questions
from unspool_tui.present.footprint_lines import (
    footprint_heading,
    footprint_summary,
    share_row,
    spent_row,
)
from unspool_tui.present.line import BLANK, Row
from unspool_tui.screens.page import Page

if TYPE_CHECKING:
    from unspool.query.footprint_facts import Footprint
    from unspool_tui.screens.main import MainScreen

_LISTS = {"a": "atoms", "p": "paths", "w": "actions", "c": "codecs"}


class FootprintScreen(Page):
    """Atoms, kinds of paths, actions and codecs by the bytes that go to them, the largest first."""

    TITLE_OF_LIST = "Where the bytes are"
    KEYS = (("a", "atoms"), ("p", "paths"), ("w", "actions"), ("c", "codecs"))

    def __init__(self, main: MainScreen) -> None:
        super().__init__(main)
        self._found: Footprint | None = None
        self._list = "a"

    def on_mount(self) -> None:
        """Begin to count: that is what the page was opened for."""
        super().on_mount()
        history, withdrawn = self.main_screen.scene.history, self.main_screen.desk.withdrawn
        self.work(lambda tell: questions.bytes_of(history, tell, withdrawn), self._take)

    def _take(self, found: Footprint) -> None:
        self._found = found

    def count(self) -> int:
        """See `Page.count`."""
        return 0 if self._found is None else len(getattr(self._found, _LISTS[self._list]))

    def row(self, index: int, width: int) -> Row:
        """See `Page.row`."""
        found = self._found
        if found is None:
            return BLANK
        if self._list in "ap":
            shares = found.atoms if self._list == "a" else found.paths
            return share_row(shares[index], found.stored_bytes, width, self.pen.glyphs)
        spent = found.actions if self._list == "w" else found.codecs
        return spent_row(spent[index], found.stored_bytes, width, self.pen.glyphs)

    def heading(self, width: int) -> Row:
        """See `Page.heading`."""
        return footprint_heading(_LISTS[self._list], width, counts_changes=self._list in "ap")

    def told(self, width: int) -> list[Row]:
        """Return how much there is in all."""
        if self._found is None:
            return [Row(((" not counted to the end: Escape goes back", "dim"),))]
        return footprint_summary(self._found)

    def letter(self, character: str) -> bool:
        """Show another list."""
        if character not in _LISTS:
            return False
        self._list, self.cursor = character, 0
        self.paint()
        return True
