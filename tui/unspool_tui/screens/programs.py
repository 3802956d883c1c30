"""The page of programs: those that are recorded, with how they are, and the Python processes that can be attached to."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final

from unspool_tui.live_programs import ATTACHABLE, ENDED, REFUSED, LiveProgram, live_programs
from unspool_tui.rendering.line import Row, on_grid, pad, wrap_words
from unspool_tui.screens.page import Page

if TYPE_CHECKING:
    from unspool_tui.screens.protocols import HistoryScreen

_HEALTH, _PID, _PYTHON = 18, 8, 6
_LOOK_S: Final = 2.0
"""Seconds between two looks at what runs."""
_MOST_LINES: Final = 3
_STYLES: Final = {"recording": "added", ATTACHABLE: "text", REFUSED: "faint", ENDED: "faint"}
_MEANINGS: Final = {
    "paused": "the program runs, and nothing is recorded until F",
    "behind": "it changes faster than it is recorded: entries stand for several changes",
    "capped": "a line changes it more often than is recorded: entries stand for several changes",
    "recording": "each change is recorded",
    ENDED: "nobody records into this any more",
}


class ProgramsPage(Page):
    """What runs, looked at again and again while the page is up."""

    TITLE_OF_LIST = "Programs"

    def __init__(
        self, main: HistoryScreen, choose: Callable[[LiveProgram], None], leave: Callable[[int], bool]
    ) -> None:
        """Make the page.

        Args:
            main: the main screen.
            choose: is given what Enter was pressed at, after the page is gone.
            leave: leaves a program that was attached to from here, and says whether it was.
        """
        super().__init__(main)
        self.KEYS = (("Enter", "open, or attach"), ("D", "detach"))
        self._choose_program = choose
        self._leave_program = leave
        self._programs: list[LiveProgram] | None = None
        self._told = ""
        self._is_left = threading.Event()

    def on_mount(self) -> None:
        """Begin to look."""
        super().on_mount()
        threading.Thread(target=self._look, name="unspool-programs", daemon=True).start()

    def on_unmount(self) -> None:
        """Look no more."""
        self._is_left.set()

    def _look(self) -> None:
        found: list[LiveProgram] = []
        while not self._is_left.is_set():
            found = live_programs(found)
            if not self._is_left.is_set():
                self.call_later(partial(self._take, found))
            self._is_left.wait(_LOOK_S)

    def _take(self, found: list[LiveProgram]) -> None:
        if self.over or found == self._programs:
            return
        at = self._selected
        self._programs = found
        keys = [program.key for program in found]
        self.cursor = keys.index(at.key) if at is not None and at.key in keys else min(self.cursor, len(found) - 1)
        self.cursor = max(self.cursor, 0)
        self.paint()

    @property
    def _selected(self) -> LiveProgram | None:
        programs = self._programs or []
        return programs[self.cursor] if self.cursor < len(programs) else None

    def count(self) -> int:
        """See `Page.count`."""
        return len(self._programs or ())

    def heading(self, width: int) -> Row:
        """See `Page.heading`."""
        text = f"  {'how it is':<{_HEALTH}} {'process':>{_PID}}  {'python':<{_PYTHON}} program"
        return Row(((text, "faint"),), ground="bar")

    def row(self, index: int, width: int) -> Row:
        """See `Page.row`."""
        program = (self._programs or [])[index]
        style = _STYLES.get(program.health, "warning")
        name = on_grid(program.name)
        right = () if program.file is None else ((f"{on_grid(program.file.name)} ", "dim"),)
        return Row(
            (
                (f" {pad(program.health, _HEALTH)} ", style),
                (f"{program.pid:>{_PID}}  ", "dim"),
                (f"{pad(on_grid(program.python), _PYTHON)} ", "dim"),
                (name, "faint" if program.health in (REFUSED, ENDED) else "text"),
            ),
            right,
        )

    def told(self, width: int) -> list[Row]:
        """Return what there is to say of the program under the cursor."""
        lines = [(self._told, "warning")] if self._told else [(text, "dim") for text in self._meaning()]
        return [
            Row(((f" {line}", style),))
            for text, style in lines
            for line in wrap_words(on_grid(text), width - 2, _MOST_LINES)
        ]

    def _meaning(self) -> list[str]:
        program = self._selected
        if self._programs is None:
            return ["looking what runs on this machine"]
        if program is None:
            return ["no other Python program runs, and nothing is recorded"]
        if program.file is None:
            return [program.name, program.refusal or "Enter asks what of it to record, and attaches"]
        able = f"; it can be asked to {', '.join(program.can)}" if program.can else ""
        return [str(program.file), f"{_MEANINGS.get(program.health, 'the program runs a past state')}{able}"]

    def letter(self, character: str) -> bool:
        """Leave a program that was attached to from here."""
        if character != "D":
            return False
        program = self._selected
        self._told = ""
        if program is not None:
            pid = program.pid if program.instance is None else program.instance.pid
            is_left = self._leave_program(pid)
            self._told = f"leaving process {pid}" if is_left else "this program was not attached to from here"
        self.paint()
        return True

    def move(self, by: int) -> None:
        """See `Page.move`."""
        self._told = ""
        super().move(by)

    def choose(self) -> None:
        """Open the recording, or attach; what cannot be attached to says why."""
        program = self._selected
        if program is None:
            return
        if program.health == REFUSED:
            self._told = program.refusal
            self.paint()
            return
        self.dismiss(None)
        self._choose_program(program)
