"""A number over history, drawn with blocks: the value that stood at each moment."""

from __future__ import annotations

import math
from collections.abc import Sequence

from msgspec import Struct

from unspool_tui.present.glyphs import Glyphs
from unspool_tui.present.line import Row, Span

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
    rows = []
    for line in range(height):
        floor = (height - 1 - line) * steps
        cells = [_cell(value, low, high, floor, height * steps, glyphs) for value in plot.columns]
        label = _label(line, height, low, high)
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


def _label(line: int, height: int, low: float, high: float) -> str:
    if line == 0:
        return f"{high:.6g}"
    if line == height - 1:
        return f"{low:.6g}"
    return f"{low / 2 + high / 2:.6g}" if line == height // 2 and high > low else ""
