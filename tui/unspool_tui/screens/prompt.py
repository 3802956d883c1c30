"""One line to type into, at the bottom, with a word of help above it; Escape leaves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.widgets import Input

from unspool.errors import UnspoolError
from unspool_tui.present.line import Row, on_grid
from unspool_tui.screens.modal import Modal
from unspool_tui.widgets.line_input import LineInput
from unspool_tui.widgets.lines import Lines

Check = Callable[[str], str]
"""Returns a hint for what is typed so far, or raises an UnspoolError that says what is wrong with it."""
Complete = Callable[[str], list[str]]
"""Returns what a line may go on with, each as the whole line."""
_OFFERED: Final = 30
"""Lines that are told while there are several; no screen has room for more."""


class Prompt(Modal[str]):
    """Asks for a line of text; what was typed before comes back with the arrow keys, and Tab completes."""

    AUTO_FOCUS = "Input"

    def __init__(
        self,
        sign: str,
        hint: str,
        *,
        text: str = "",
        check: Check | None = None,
        history: Sequence[str] = (),
        complete: Complete | None = None,
    ) -> None:
        """Make a prompt.

        Args:
            sign: what stands before the line, such as `/`.
            hint: help shown above it.
            text: what the line holds at first.
            check: looks at every change.
            history: lines typed before, newest last.
            complete: tells what Tab may go on with; None where there is nothing to complete.
        """
        super().__init__()
        self._sign = sign
        self._hint = hint
        self._text = text
        self._check = check
        self._before = list(history)
        self._place = len(self._before)
        self._complete = complete
        self._completed = ""
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
        # What Tab tells stays until something else is typed; word of earlier letters may come after it.
        if event.value == event.input.value != self._completed:
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
        """Bring back lines typed before, and complete what is typed."""
        if key == "tab" and self._complete is not None:
            self._go_on(self._complete)
            return True
        if key not in ("up", "down"):
            return False
        self._place = max(0, min(self._place + (1 if key == "down" else -1), len(self._before)))
        self._write_line(self._before[self._place] if self._place < len(self._before) else "")
        return True

    def _write_line(self, text: str) -> None:
        line = self.query_one("#line", Input)
        line.value = text
        line.cursor_position = len(line.value)

    def _go_on(self, complete: Complete) -> None:
        """Add all that the lines offered have in common, and tell them apart where there are several."""
        typed = self.query_one("#line", Input).value
        offered = complete(typed)
        if not offered:
            self._said = ("nothing there begins so", "warning")
        else:
            # What all have in common is what the first and the last in order have in common.
            first, last = min(offered), max(offered)
            shared = next((at for at in range(len(first)) if first[at] != last[at : at + 1]), len(first))
            self._completed = first[:shared] if len(offered) > 1 else ""
            self._write_line(first[:shared])
            step = max(typed.rfind(mark) for mark in " .") + 1
            more = f"  and {len(offered) - _OFFERED} more" if len(offered) > _OFFERED else ""
            told = "  ".join(line[step:] for line in offered[:_OFFERED]) + more
            self._said = (on_grid(told) if len(offered) > 1 else self._hint, "text")
        self.paint()
