"""The selected number over the whole history; arrows choose a moment, Enter goes there."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct
from textual import on
from textual.app import ComposeResult

from unspool.errors import UnspoolError
from unspool.model.keys import Path, format_path
from unspool_tui.panes.detail import Decoded, SharedState
from unspool_tui.rendering import format_units
from unspool_tui.rendering.line import Glyphs, PaneFrame, Row, Span, on_grid
from unspool_tui.screens.modal import Modal
from unspool_tui.view import moves
from unspool_tui.view.axis import entry_axis, number_of
from unspool_tui.view.outline import value_at
from unspool_tui.widgets.panel import Framed, Listed
from unspool_tui.worker import QuestionKind, Reply

if TYPE_CHECKING:
    from unspool.history.history import History
    from unspool_tui.screens.protocols import HistoryScreen

MOST_POINTS = 1_000
"""Entries looked at; of an atom written more often, evenly chosen ones."""

Point = tuple[int, float | None]
"""An entry and the number that stood there from then on."""


class PlotScreen(Modal[None]):
    """Draws a number over time."""

    def __init__(self, main: HistoryScreen, address: Path) -> None:
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
        main.ask(QuestionKind.TASK, lambda: numbers(main.scene.history, main.scene.decoded, address), self._take)

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
        head = entry_axis(0, view.total, width).cell_of(view.head)
        cursor = head if self._cursor is None else max(0, min(self._cursor, width - 1))
        self._shown = cursor
        columns = spread(self._points, view.total, width)
        rows = plot_rows(Plot(columns, cursor, head), framed.page, self.pen.glyphs)
        seq = last_of(cursor, view.total, width)
        value = columns[cursor] if cursor < len(columns) else None
        told = "nothing" if value is None else f"{value:.10g}"
        time = format_units.clock(self._main.scene.ledger.columns.timestamp_ns[seq], self._main.scene.look.zone)
        frame = PaneFrame(
            0,
            on_grid(format_path(self._address[-8:])[:120]),
            more=() if self._done else ((self.pen.glyphs.ellipsis, "warning"),),
            left=((f"#{seq} {time}  ", "dim"), (told, "accent")),
            right=(
                (f"{self.show_key('left')} {self.show_key('right')} choose  Enter goes there  Esc leaves", "faint"),
            ),
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


def numbers(history: History, decoded: Decoded, address: Path) -> Iterator[list[Point]]:
    """Yield the entries that may have changed a number, with the number, a few at a time."""
    writes = list(history.writes(str(address[0])))
    stride = max(1, len(writes) // MOST_POINTS)
    for start in range(0, len(writes), stride * 16):
        yield [(seq, _number(history, decoded, address, seq)) for seq in writes[start : start + stride * 16 : stride]]


def _number(history: History, decoded: Decoded, address: Path, seq: int) -> float | None:
    try:
        value = value_at(SharedState(history.view(seq), decoded), address)
    except UnspoolError:
        return None
    return number_of(value)


def last_of(column: int, total: int, width: int) -> int:
    """Return the entry of a column whose number is shown: its last."""
    axis = entry_axis(0, total, width)
    return max(0, axis.edges[min(column, axis.cells - 1) + 1] - 1)


def spread(points: list[Point], total: int, width: int) -> list[float | None]:
    """Return the number that stood at each column: the last one set in it, else the one before."""
    axis = entry_axis(0, total, width)
    columns: list[float | None] = [None] * axis.cells
    filled = [False] * len(columns)
    for seq, value in points:
        place = axis.cell_of(seq)
        columns[place], filled[place] = value, True
    standing: float | None = None
    for place, value in enumerate(columns):
        standing = value if filled[place] else standing
        columns[place] = standing
    return columns


AXIS = 12
"""Cells of the numbers at the left."""


class Plot(Struct, frozen=True):
    """What is drawn.

    Attributes:
        columns: the value at each column; None where there was none.
        cursor: the chosen column.
        head: the column of the head.
    """

    columns: Sequence[float | None]
    cursor: int
    head: int


def plot_rows(plot: Plot, height: int, glyphs: Glyphs) -> list[Row]:
    """Return the rows of a plot, highest values first."""
    known = [value for value in plot.columns if value is not None and math.isfinite(value)]
    if not known:
        return [Row(((" no number stood here at any time", "dim"),))]
    low, high = min(known), max(known)
    steps = len(glyphs.bars)
    rows, labels = [], _labels(height, low, high, whole=all(value == int(value) for value in known))
    for line in range(height):
        floor = (height - 1 - line) * steps
        cells = [_cell(value, low, high, floor, height * steps, glyphs) for value in plot.columns]
        label = labels.get(line, "")
        rows.append(Row(((f"{label:>{AXIS - 2}} ", "faint"), (glyphs.vertical, "border"), *_styled(cells, plot))))
    return rows


def _cell(value: float | None, low: float, high: float, floor: int, levels: int, glyphs: Glyphs) -> str:
    if value is None or not math.isfinite(value):
        return " "
    level = 1 + round(_share(value, low, high) * (levels - 1)) if high > low else levels // 2
    if level <= floor:
        return " "
    return glyphs.bars[min(level - floor, len(glyphs.bars)) - 1]


def _share(value: float, low: float, high: float) -> float:
    span = high - low
    # The span of the largest numbers is none that a float can hold; half of it is.
    return (value - low) / span if math.isfinite(span) else (value / 2 - low / 2) / (high / 2 - low / 2)


def _styled(cells: Sequence[str], plot: Plot) -> list[Span]:
    spans: list[Span] = []
    for place, cell in enumerate(cells):
        style = "bar.head" if place == plot.cursor else "accent" if place == plot.head else "bar.window"
        if spans and spans[-1][1] == style:
            spans[-1] = (spans[-1][0] + cell, style)
        else:
            spans.append((cell, style))
    return spans


def _labels(height: int, low: float, high: float, *, whole: bool) -> dict[int, str]:
    """Return the numbers beside the lines: at the top, at the bottom and in the middle, where that is another one."""
    middle = low / 2 + high / 2
    values = {height - 1: low, 0: high}
    if height > 2 and low < (middle := float(round(middle)) if whole else middle) < high:
        values[height // 2] = middle
    return {line: _told(value, whole=whole) for line, value in values.items()}


def _told(value: float, *, whole: bool) -> str:
    text = f"{int(value):,}" if whole else f"{value:.6g}"
    return text if len(text) <= AXIS - 2 else f"{value:.4g}"
