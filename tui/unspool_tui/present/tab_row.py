"""The line of tabs: one label a source, the one in front in brackets; what does not fit is counted at the edges."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from unspool_tui.present.glyphs import Glyphs
from unspool_tui.present.line import Row, Span, crop, on_grid, width_of

LONGEST: Final = 28
"""Cells of a name at most; what is longer is cut, and the cut shows."""
_SHORTEST: Final = 10
_EDGE: Final = 6
"""Cells kept at each edge for the count of tabs beyond it."""


class Label(Struct, frozen=True):
    """What the line says of a tab.

    Attributes:
        name: the source's name.
        new: entries that arrived since it was in front.
        opening: it is being opened.
        refused: it could not be opened.
    """

    name: str
    new: int = 0
    opening: bool = False
    refused: bool = False


class TabRow(Struct, frozen=True):
    """The line, and where each tab stands in it.

    Attributes:
        row: the line.
        places: first cell, one past the last, and the tab that a click there goes to.
    """

    row: Row
    places: tuple[tuple[int, int, int], ...]

    def tab_at(self, x: int) -> int | None:
        """Return the tab at a cell, or None where there is none."""
        return next((tab for start, stop, tab in self.places if start <= x < stop), None)


def tab_row(labels: Sequence[Label], front: int, width: int, glyphs: Glyphs) -> TabRow:
    """Return the line of tabs.

    Args:
        labels: all tabs.
        front: the one in front.
        width: cells there are.
        glyphs: characters to draw with.
    """
    room = max(_SHORTEST, min(LONGEST, width // max(1, min(len(labels), 6)) - 8))
    pieces = [_spans(number, label, number == front, room, glyphs) for number, label in enumerate(labels)]
    sizes = [sum(width_of(text) for text, _ in piece) for piece in pieces]
    first, last = _window(sizes, front, width)
    spans: list[Span] = []
    places: list[tuple[int, int, int]] = []
    cells = 0
    if first:
        text = f"<{first} "
        spans.append((text, "key"))
        places.append((0, len(text), first - 1))
        cells = len(text)
    for number in range(first, last + 1):
        spans += pieces[number]
        places.append((cells, cells + sizes[number], number))
        cells += sizes[number]
    beyond = len(labels) - 1 - last
    if beyond:
        text = f" {beyond}>"
        spans.append((text, "key"))
        places.append((cells, cells + len(text), last + 1))
    return TabRow(Row(tuple(spans), ground="bar"), tuple(places))


def _spans(number: int, label: Label, is_front: bool, room: int, glyphs: Glyphs) -> list[Span]:
    opened, closed = ("[", "]") if is_front else (" ", " ")
    name = crop(on_grid(label.name), room, glyphs.ellipsis)
    spans = [(f"{opened}{number + 1} ", "key"), (name, "strong" if is_front else "dim")]
    if label.refused:
        spans.append((f" {glyphs.cross}", "error"))
    elif label.opening:
        spans.append((f" {glyphs.ellipsis}", "faint"))
    elif label.new:
        spans.append((f" +{label.new:,}", "accent"))
    return [*spans, (closed, "key")]


def _window(sizes: Sequence[int], front: int, width: int) -> tuple[int, int]:
    """Return the first and last tab that are shown: those around the one in front, as many as fit."""
    if sum(sizes) <= width:
        return 0, len(sizes) - 1
    first = last = front
    left = width - 2 * _EDGE - sizes[front]
    while True:
        if last + 1 < len(sizes) and sizes[last + 1] <= left:
            last += 1
            left -= sizes[last]
        elif first > 0 and sizes[first - 1] <= left:
            first -= 1
            left -= sizes[first]
        else:
            return first, last
