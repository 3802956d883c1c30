"""The causes behind a value: the same answer as `unspool why`; Enter goes to the entry and the value of a row."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from unspool.model.paths import Path, format_path
from unspool_tui import questions
from unspool_tui.present.line import BLANK, Row
from unspool_tui.present.why_lines import WhyRow, why_heading, why_rows, why_summary
from unspool_tui.screens.page import Page
from unspool_tui.view import moves

if TYPE_CHECKING:
    from unspool.query.why import Why
    from unspool_tui.screens.main import MainScreen


class WhyScreen(Page):
    """Follows the causes of a value back, and lists them with what is guessed of them."""

    KEYS = (("Enter", "go there"), ("Y", "why that"))

    def __init__(self, main: MainScreen, address: Path, head: int) -> None:
        """Ask for the value at an address as of an entry."""
        super().__init__(main)
        self._address = address
        self._head = head
        self._found: Why | None = None
        self._rows: list[WhyRow] = []

    def on_mount(self) -> None:
        """Begin at once: that is what the page was opened for."""
        super().on_mount()
        self._ask(self._address, self._head)

    def _ask(self, address: Path, head: int) -> None:
        history, withdrawn = self.main_screen.scene.history, self.main_screen.desk.withdrawn
        self._address, self._head = address, head
        self.work(lambda tell: questions.causes(history, address, head, tell, withdrawn), self._take)

    def _take(self, found: Why) -> None:
        self._found, self._rows, self.cursor = found, why_rows(found), 0

    def title_of_list(self) -> str:
        """See `Page.title_of_list`."""
        return f"Why {format_path(self._address, root='')[-60:]} at #{self._head:,}"

    def count(self) -> int:
        """See `Page.count`."""
        return len(self._rows)

    def row(self, index: int, width: int) -> Row:
        """See `Page.row`."""
        return self._rows[index].row if index < len(self._rows) else BLANK

    def heading(self, width: int) -> Row:
        """See `Page.heading`."""
        return why_heading()

    def told(self, width: int) -> list[Row]:
        """Return how many causes there are, and why they may not be all."""
        if self._found is None:
            return [Row(((" nothing was found: Escape goes back", "dim"),))]
        return why_summary(self._found)

    def letter(self, character: str) -> bool:
        """Ask for the causes of the value under the cursor, as of the entry that wrote it."""
        if character != "Y":
            return False
        if self._rows:
            chosen = self._rows[self.cursor]
            if chosen.seq is not None:
                self._ask(chosen.address, chosen.seq)
        return True

    def choose(self) -> None:
        """Go to the entry that wrote the value of a row, and select the value."""
        if self._rows and (chosen := self._rows[self.cursor]).seq is not None:
            main = self.main_screen
            main.apply(replace(moves.jump_to(main.view, chosen.seq), selected=chosen.address))
            self.dismiss(None)
