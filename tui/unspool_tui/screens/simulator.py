"""The simulator: what each strategy and codec would have cost on this very history."""

from __future__ import annotations

from typing import TYPE_CHECKING

from unspool_tui import questions
from unspool_tui.clipboard import copy_text
from unspool_tui.present.line import Row
from unspool_tui.present.simulator_lines import advice_rows, candidate_row, scatter_rows, simulator_heading
from unspool_tui.screens.page import Page

if TYPE_CHECKING:
    from unspool.query.simulator import Simulation
    from unspool_tui.screens.main import MainScreen

_ROOM_FOR_SCATTER = 28
"""Lines of the terminal from which the scatter is drawn."""
_SCATTER_LINES = 9


class SimulatorScreen(Page):
    """Tries configurations and shows bytes against rebuild time."""

    TITLE_OF_LIST = "Configurations, smallest file first"
    KEYS = (("y", "copy the recommended line"), ("Y", "copy this row"), ("S", "simulate"))

    def __init__(self, main: MainScreen) -> None:
        super().__init__(main)
        self._found: Simulation | None = None

    def on_mount(self) -> None:
        """Begin at once: that is what the page was opened for."""
        super().on_mount()
        self.simulate()

    def count(self) -> int:
        """See `Page.count`."""
        return 0 if self._found is None else len(self._found.candidates)

    def row(self, index: int, width: int) -> Row:
        """See `Page.row`."""
        found = self._found
        if found is None:
            return Row()
        smallest = found.candidates[0].projected_bytes
        one = found.candidates[index]
        return candidate_row(one, smallest, width, self.pen.glyphs, recommended=one is found.recommended)

    def heading(self, width: int) -> Row:
        """See `Page.heading`."""
        return simulator_heading(width)

    def told(self, width: int) -> list[Row]:
        """Return the recommendation, and the scatter of bytes against rebuild time."""
        found = self._found
        if found is None:
            return [
                Row(((" stopped: ", "dim"), ("S", "key"), (" tries each strategy and codec on this history", "dim")))
            ]
        rows = advice_rows(found.line, found.reason, found.notes, width)
        if self.app.size.height >= _ROOM_FOR_SCATTER and len(found.candidates) > 1:
            chosen = found.candidates[self.cursor] if self.cursor < len(found.candidates) else None
            rows += scatter_rows(found.candidates, found.recommended, chosen, width, _SCATTER_LINES, self.pen.glyphs)
        return rows

    def letter(self, character: str) -> bool:
        """Simulate again, or copy a line."""
        found = self._found
        if character == "S":
            self.simulate()
        elif character == "y" and found is not None:
            self._copy(found.line)
        elif character == "Y" and found is not None and found.candidates:
            self._copy(found.candidates[self.cursor].line)
        else:
            return False
        return True

    def _copy(self, line: str) -> None:
        outcome = copy_text(self.app, line)
        self.main_screen.flash(f"{line} {outcome.said}", "good" if outcome.arrived else "warning")

    def simulate(self) -> None:
        """Try all configurations."""
        history, withdrawn = self.main_screen.scene.history, self.main_screen.desk.withdrawn
        self.work(lambda tell: questions.simulate_all(history, tell, withdrawn), self._simulated)

    def _simulated(self, found: Simulation) -> None:
        self._found = found
        best = found.recommended
        self.cursor = next((row for row, one in enumerate(found.candidates) if one is best), 0)
