"""One line to type into, at the bottom, with a word of help above it; Escape leaves."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.widgets import Input

from unspool.errors import UnspoolError
from unspool_tui.present.grid import on_grid
from unspool_tui.present.line import Row
from unspool_tui.screens.modal import Modal
from unspool_tui.widgets.line_input import LineInput
from unspool_tui.widgets.lines import Lines

Check = Callable[[str], str]
"""Returns a hint for what is typed so far, or raises an UnspoolError that says what is wrong with it."""


class Prompt(Modal[str]):
    """Asks for a line of text; what was typed before comes back with the arrow keys."""

    AUTO_FOCUS = "Input"

    def __init__(
        self, sign: str, hint: str, *, text: str = "", check: Check | None = None, history: Sequence[str] = ()
    ) -> None:
        """Make a prompt.

        Args:
            sign: what stands before the line, such as `/`.
            hint: help shown above it.
            text: what the line holds at first.
            check: looks at every change.
            history: lines typed before, newest last.
        """
        super().__init__()
        self._sign = sign
        self._hint = hint
        self._text = text
        self._check = check
        self._before = list(history)
        self._place = len(self._before)
        self._said: tuple[str, str] = (hint, "dim")

    def compose(self) -> ComposeResult:
        """Lay out the hint and the line."""
        yield Lines(id="hint")
        with Horizontal(id="prompt"):
            yield Lines(id="sign")
            yield LineInput(self._text, id="line", select_on_focus=False)

    def paint(self) -> None:
        """Show the sign and the hint."""
        self.query_one("#hint", Lines).show_rows([Row(((" ", "text"), self._said), ground="bar")])
        self.query_one("#sign", Lines).show_rows([Row(((f" {self._sign} ", "key"),), ground="bar")])

    @on(Input.Changed)
    def _changed(self, event: Input.Changed) -> None:
        self._look(event.value)

    def _look(self, text: str) -> bool:
        """Tell what the text would do; say whether it is valid."""
        valid = True
        try:
            said = self._check(text) if self._check is not None and text.strip() else ""
            self._said = (on_grid(said) or self._hint, "text" if said else "dim")
        except UnspoolError as error:
            self._said = (on_grid(str(error)), "warning")
            valid = False
        self.paint()
        return valid

    def enter(self, text: str) -> None:
        """Close with the line, if it is valid."""
        if self._look(text):
            self.dismiss(text)

    def press(self, key: str, character: str | None) -> bool:
        """Bring back lines typed before."""
        if key not in ("up", "down"):
            return False
        self._place = max(0, min(self._place + (1 if key == "down" else -1), len(self._before)))
        line = self.query_one("#line", Input)
        line.value = self._before[self._place] if self._place < len(self._before) else ""
        line.cursor_position = len(line.value)
        return True
