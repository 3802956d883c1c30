"""Long work that the main screen has asked for: what it is, how far it has come, how it is stopped."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from unspool_tui.desk import Kind

if TYPE_CHECKING:
    from unspool_tui.screens.main import MainScreen


class Work:
    """Keeps one piece of work of each kind in sight, and files that wait to be written."""

    def __init__(self, main: MainScreen) -> None:
        self._main = main
        self._running: dict[Kind, str] = {}
        self._writes: list[Callable[[], None]] = []

    def begin(self, kind: Kind, told: str) -> None:
        """Take note of new work, long where it is told; work of its kind that was under way is given up for it."""
        before = self._running.pop(kind, "")
        if before:
            self._main.flash(f"stopped: {before}", "warning")
        if told:
            self._running[kind] = told
            self.show(told)

    def show(self, text: str) -> None:
        """Show how far something has come, until it is done or something else is told."""
        self._main.flash_text = (f"{text}  (Esc stops)", "dim")
        self._main.repaint()

    def end(self, kind: Kind) -> None:
        """Take note that something is done."""
        told, shown = self._running.pop(kind, ""), self._main.flash_text
        if told and shown is not None and shown[0].startswith(told):
            self._main.flash_text = None
            self._main.repaint()

    def stop(self) -> bool:
        """Stop what takes long, the newest first; say whether there was any."""
        if not self._running:
            return False
        kind, told = self._running.popitem()
        self._main.desk.cancel(kind)
        if kind is Kind.EXPORT:
            self._writes.clear()
        self._main.flash(f"stopped: {told}", "warning")
        return True

    def write(self, start: Callable[[], None]) -> None:
        """Begin to write a file, after those that are still being written."""
        self._writes.append(start)
        if Kind.EXPORT not in self._running:
            self.write_next()

    def write_next(self) -> None:
        """Begin with the next file that waits."""
        if self._writes:
            self._writes.pop(0)()
