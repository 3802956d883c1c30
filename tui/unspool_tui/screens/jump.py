"""Going to a row by a letter that stands beside it."""

from __future__ import annotations

from string import ascii_letters
from typing import TYPE_CHECKING, Final

from textual.app import ComposeResult
from textual.await_complete import AwaitComplete

from unspool_tui.rendering.line import Row, on_grid
from unspool_tui.screens.modal import Modal
from unspool_tui.widgets.lines import LinesView
from unspool_tui.widgets.panel import Panel

if TYPE_CHECKING:
    from unspool_tui.screens.protocols import HistoryScreen

LETTERS: Final = "".join(letter for letter in ascii_letters if letter != "q")
"""Letters in the order in which rows get them; `q` leaves, as everywhere."""


def letters_of(top: int, page: int, count: int) -> dict[int, str]:
    """Return the letters of the rows in sight, by row; rows beyond the letters there are get none."""
    return dict(zip(range(top, min(top + page, count)), LETTERS, strict=False))


class RowLetters(Modal[int]):
    """Shows a letter beside each row of a panel, and returns the row whose letter is pressed."""

    def __init__(self, main: HistoryScreen, panel: Panel) -> None:
        super().__init__()
        self._main = main
        self._panel = panel
        self._rows = {letter: row for row, letter in letters_of(panel.top, panel.page, panel.count).items()}
        self._said = ("a letter goes to its row; Esc leaves", "dim")

    def compose(self) -> ComposeResult:
        """Lay out the line that tells what to press."""
        yield LinesView(id="hint")

    def on_mount(self) -> None:
        """Put the letters beside the rows."""
        super().on_mount()
        self._panel.letters = {row: letter for letter, row in self._rows.items()}
        self._main.repaint()

    def paint(self) -> None:
        """Tell what to press."""
        self.query_one("#hint", LinesView).show_rows([Row(((" ", "text"), self._said), ground="bar")])

    def press(self, key: str, character: str | None) -> bool:
        """Return the row of a letter; `q` leaves."""
        if character is not None and character in self._rows:
            self.dismiss(self._rows[character])
        elif character == "q":
            self.leave()
        else:
            self._said = (f"{on_grid(character or key)[:20]} stands beside no row; Esc leaves", "warning")
            self.paint()
        return True

    def dismiss(self, result: int | None = None) -> AwaitComplete:
        """Close, and take the letters away."""
        self._panel.letters = {}
        self._main.repaint()
        return super().dismiss(result)
