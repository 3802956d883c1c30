"""Something to read: rows in a frame that scroll; Escape leaves."""

from __future__ import annotations

from collections.abc import Callable

from textual import on
from textual.app import ComposeResult

from unspool_tui.present.line import Frame, Row
from unspool_tui.screens.modal import Modal
from unspool_tui.widgets.panel import Framed, Listed


class Reader(Modal[None]):
    """Shows rows: help, the message log."""

    def __init__(self, title: str, make: Callable[[int], list[Row]], *, at_end: bool = False) -> None:
        """Make a reader.

        Args:
            title: what there is to read.
            make: returns the lines for a width, so that none is cut.
            at_end: begin with the last lines.
        """
        super().__init__()
        self._title = title
        self._make = make
        self._at_end = at_end
        self._lines: list[Row] = []
        self._width = 0
        self._top = 0

    def compose(self) -> ComposeResult:
        """Lay out the frame."""
        yield Framed(id="reader")

    def paint(self) -> None:
        """Show the rows from where the reader is."""
        framed = self.query_one(Framed)
        if framed.inner_width != self._width:
            self._width = framed.inner_width
            self._lines = self._make(self._width)
            if self._at_end:
                self._top = len(self._lines)
        self._top = max(0, min(self._top, len(self._lines) - framed.page))
        frame = Frame(0, self._title, right=(("Esc leaves", "faint"),), focused=True)
        framed.show(Listed(self._lines), frame, None, top=self._top)

    def press(self, key: str, character: str | None) -> bool:
        """Scroll or leave."""
        page = self.query_one(Framed).page
        steps = {
            "down": 1,
            "j": 1,
            "up": -1,
            "k": -1,
            "pagedown": page,
            "space": page,
            "pageup": -page,
            "ctrl+d": page // 2,
            "ctrl+u": -(page // 2),
            "home": -len(self._lines),
            "g": -len(self._lines),
            "end": len(self._lines),
        }
        if character == "G":
            self._scroll(len(self._lines))
        elif key in steps:
            self._scroll(steps[key])
        elif key in ("q", "f1", "enter") or character in ("?", "!"):
            self.leave()
        else:
            return False
        return True

    def _scroll(self, by: int) -> None:
        self._at_end = False
        self._top += by
        self.paint()

    @on(Framed.Wheeled)
    def _wheeled(self, message: Framed.Wheeled) -> None:
        self._scroll(3 * message.by)
