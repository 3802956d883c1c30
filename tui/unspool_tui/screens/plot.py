"""The selected number over the whole history; arrows choose a moment, Enter goes there."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from textual import on
from textual.app import ComposeResult

from unspool.errors import UnspoolError
from unspool.model.paths import Path, format_path
from unspool_tui.desk import Kind, Reply
from unspool_tui.present import humane
from unspool_tui.present.frame import Frame
from unspool_tui.present.grid import on_grid
from unspool_tui.present.plot_lines import AXIS, Plot, plot_rows
from unspool_tui.scene.states import Decoded, SharedState
from unspool_tui.screens.modal import Modal
from unspool_tui.view import moves
from unspool_tui.view.history_port import HistoryPort
from unspool_tui.view.outline import value_at
from unspool_tui.view.overview import bin_of
from unspool_tui.widgets.panel import Framed, Listed

if TYPE_CHECKING:
    from unspool_tui.screens.main import MainScreen

MOST_POINTS = 1_000
"""Entries looked at; of an atom written more often, evenly chosen ones."""

Point = tuple[int, float | None]
"""An entry and the number that stood there from then on."""


class PlotScreen(Modal[None]):
    """Draws a number over time."""

    def __init__(self, main: MainScreen, address: Path) -> None:
        super().__init__()
        self._main = main
        self._address = address
        self._points: list[Point] = []
        self._cursor: int | None = None
        self._shown = 0
        self._done = False

    def compose(self) -> ComposeResult:
        """Lay out the frame."""
        yield Framed(id="plot")

    def on_mount(self) -> None:
        """Ask for the numbers."""
        super().on_mount()
        main, address = self._main, self._address
        main.ask(Kind.TASK, lambda: numbers(main.scene.history, main.scene.decoded, address), self._take)

    def _take(self, reply: Reply) -> None:
        if reply.value is not None:
            self._points.extend(reply.value)
        self._done = reply.done
        if self.is_current:
            self.paint()

    def paint(self) -> None:
        """Draw what is known so far."""
        framed, view = self.query_one(Framed), self._main.view
        width = max(1, framed.inner_width - AXIS - 1)
        head = bin_of(view.head, view.total, width)
        cursor = head if self._cursor is None else max(0, min(self._cursor, width - 1))
        self._shown = cursor
        columns = spread(self._points, view.total, width)
        rows = plot_rows(Plot(columns, cursor, head), framed.page, self.pen.glyphs)
        seq = last_of(cursor, view.total, width)
        value = columns[cursor] if cursor < len(columns) else None
        told = "nothing" if value is None else f"{value:.10g}"
        time = humane.clock(self._main.scene.ledger.columns.timestamp_ns[seq], self._main.scene.look.zone)
        frame = Frame(
            0,
            on_grid(format_path(self._address[-8:])[:120]),
            more=() if self._done else ((self.pen.glyphs.ellipsis, "warning"),),
            left=((f"#{seq} {time}  ", "dim"), (told, "accent")),
            right=(("← → choose  Enter goes there  Esc leaves", "faint"),),
            focused=True,
        )
        framed.show(Listed(rows), frame, None)

    def press(self, key: str, character: str | None) -> bool:
        """Choose a moment, or go there."""
        steps = {
            "right": 1,
            "l": 1,
            "left": -1,
            "h": -1,
            "shift+right": 10,
            "shift+left": -10,
            "home": -9999,
            "end": 9999,
        }
        if key in steps:
            self._cursor = max(0, self._shown + steps[key])
            self.paint()
        elif key == "enter":
            width = max(1, self.query_one(Framed).inner_width - AXIS - 1)
            seq = last_of(self._shown, self._main.view.total, width)
            self._main.apply(moves.jump_to(self._main.view, seq))
            self.leave()
        elif key == "q":
            self.leave()
        else:
            return False
        return True

    @on(Framed.Wheeled)
    def _wheeled(self, message: Framed.Wheeled) -> None:
        self._cursor = max(0, self._shown + message.by)
        self.paint()


def numbers(history: HistoryPort, decoded: Decoded, address: Path) -> Iterator[list[Point]]:
    """Yield the entries that may have changed a number, with the number, a few at a time."""
    writes = list(history.writes(str(address[0])))
    stride = max(1, len(writes) // MOST_POINTS)
    for start in range(0, len(writes), stride * 16):
        yield [(seq, _number(history, decoded, address, seq)) for seq in writes[start : start + stride * 16 : stride]]


def _number(history: HistoryPort, decoded: Decoded, address: Path, seq: int) -> float | None:
    try:
        value = value_at(SharedState(history.view(seq), decoded), address)
    except UnspoolError:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def last_of(column: int, total: int, width: int) -> int:
    """Return the entry of a column whose number is shown: its last."""
    count = max(1, min(width, total))
    return max(0, (min(column, count - 1) + 1) * total // count - 1)


def spread(points: list[Point], total: int, width: int) -> list[float | None]:
    """Return the number that stood at each column: the last one set in it, else the one before."""
    columns: list[float | None] = [None] * min(width, total)
    filled = [False] * len(columns)
    for seq, value in points:
        place = bin_of(seq, total, width)
        columns[place], filled[place] = value, True
    standing: float | None = None
    for place, value in enumerate(columns):
        standing = value if filled[place] else standing
        columns[place] = standing
    return columns
