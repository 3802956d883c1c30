"""The lines of the timeline: axis, bars of changes, ticks of full snapshots, lanes; and where head and range are marked in them."""

from __future__ import annotations

import datetime as dt
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final

from msgspec import Struct

from unspool_tui.rendering import format_units
from unspool_tui.rendering.line import UNICODE, Glyphs, Row, Span, Spans, characters_within, on_grid, pad, width_of
from unspool_tui.view.axis import Axis, Lane, LaneKind, LaneRow
from unspool_tui.view.model import View
from unspool_tui.view.overview import EntryLedger

_DEPTHS: Final = 4
"""Colours of the chain depth."""
_LABEL_GAP: Final = 3
"""Columns of line between two labels of the axis, at least."""
TINT: Final = "@range"
"""Behind the name of a style: on the ground of what lies between base and head."""


class Line(Struct, frozen=True):
    """A line before head and range are marked in it; it stays while what it tells does.

    Attributes:
        name: what is written before it.
        spans: its columns, each character of one cell.
        head: the character that marks the head; empty leaves the one that is there.
        words: the style of words that give way to the head as a whole; empty where there are none.
    """

    name: str
    spans: Spans
    head: str = ""
    words: str = ""


class Ground(Struct, frozen=True):
    """What all lines of the timeline are drawn on.

    Attributes:
        axis: the cells.
        head: the columns of the head; empty where it is not in sight.
        tinted: the columns between base and head; empty where there is no base.
        glyphs: the characters.
        label: the column at which the cells begin.
        focused: the timeline takes movement keys.
    """

    axis: Axis
    head: range
    tinted: range
    glyphs: Glyphs
    label: int
    focused: bool = False

    def row(self, line: Line, label: str = "faint") -> Row:
        """Return a line with head and range marked.

        Args:
            line: the line.
            label: the style of its name.
        """
        room = self.label
        named = f" {pad(on_grid(line.name[:60]), room - 2)} " if room > 1 else " "
        if self.focused:
            named = f"{self.glyphs.cursor}{named[1:]}"
            label = "key" if label == "faint" else label
        return Row(((named, label), *self._marked(line)))

    def _marked(self, line: Line) -> Iterator[Span]:
        head, tinted, glyphs = self.head, self.tinted, self.glyphs
        cuts = sorted({head.start, head.stop, tinted.start, tinted.stop})
        start = 0
        for text, style in line.spans:
            stop = start + len(text)
            if style == line.words and start < head.stop and head.start < stop:
                # Half of a time beside the head would be read as another time.
                text, style = glyphs.rail * len(text), "border"
            edges = [start, *(cut for cut in cuts if start < cut < stop), stop]
            for low, high in pairwise(edges):
                piece = text[low - start : high - start]
                if low in head:
                    # A cell that is all ink would hide the ground that marks the head.
                    if line.head and low == head.start:
                        # What stands there goes on beside the head where its column has the room.
                        piece = line.head + (piece[:1] + piece[2:] if len(piece) > 1 else "")
                    yield piece.replace(glyphs.block, glyphs.bars[-2]) if glyphs is UNICODE else piece, "bar.head"
                else:
                    yield piece, f"{style}{TINT}" if low in tinted else style
            start = stop


def ground_of(view: View, axis: Axis, glyphs: Glyphs, label: int) -> Ground:
    """Return what the lines of a view are drawn on."""
    place = axis.cell_of(view.head) * axis.scale
    head = range(place, place + axis.scale) if axis.holds(view.head) else range(0)
    tinted = range(0)
    if view.base is not None and view.base != view.head:
        low, high = sorted((view.base, view.head))
        if low < axis.stop and high >= axis.start:
            tinted = range(axis.cell_of(low) * axis.scale, (axis.cell_of(high) + 1) * axis.scale)
    return Ground(axis, head, tinted, glyphs, label, view.timeline_focused)


def _spread(axis: Axis, cells: Sequence[str]) -> str:
    """Return a character a column of what there is a cell; neighbours stay apart where there is room."""
    scale = axis.scale
    if scale == 1:
        return "".join(cells)
    return "".join(cell * (scale - 1) + (" " if scale > 2 else cell) for cell in cells)


def changes_line(axis: Axis, ledger: EntryLedger, glyphs: Glyphs) -> Line:
    """Return the bars: how many atoms the entries of each cell changed, as the share of the most of any."""
    bars = glyphs.bars
    counts = [ledger.facts(start, stop).changes if start < stop else 0 for start, stop in pairwise(axis.edges)]
    most = max(counts, default=0)
    cells = [bars[-(-count * len(bars) // most) - 1] if count else " " for count in counts]
    return Line("changes", ((_spread(axis, cells), "bar.window"),))


def tick_line(view: View, axis: Axis, ledger: EntryLedger, glyphs: Glyphs) -> Line:
    """Return the ticks: full snapshots, deltas and notes, in the colour of the chain's depth, and what is marked."""
    longest = ledger.longest()
    cells: list[str] = []
    styles: list[str] = []
    for start, stop in pairwise(axis.edges):
        glyph, style = _tick(ledger, start, stop, longest, glyphs)
        cells += [glyph, *" " * (axis.scale - 1)]
        styles += [style] * axis.scale
    for seq, (glyph, style) in _marks(view, axis, glyphs).items():
        column = axis.cell_of(seq) * axis.scale
        cells[column], styles[column] = glyph, style
    return Line("chain", _runs(cells, styles), glyphs.head)


def _tick(ledger: EntryLedger, start: int, stop: int, longest: int, glyphs: Glyphs) -> Span:
    if start >= stop:
        return " ", "delta"
    facts = ledger.facts(start, stop)
    if facts.fulls == stop - start:
        return glyphs.full if facts.fulls == 1 else glyphs.fulls, "full"
    if facts.notes == stop - start:
        return glyphs.note, "note"
    if facts.fulls == 1:
        return glyphs.full, "full"
    level = facts.depth * _DEPTHS // (longest + 1)
    return glyphs.fulls if facts.fulls else glyphs.delta, f"depth.{level}"


def _marks(view: View, axis: Axis, glyphs: Glyphs) -> dict[int, Span]:
    """Return by entry what is marked in sight; of a cell with many hits, one."""
    marks: dict[int, Span] = {}
    hits, found = view.search.hits, view.search.found
    if found:
        for start, stop in pairwise(axis.edges):
            # With more hits than columns, each cell is asked for one: no walk over a million hits.
            index = bisect_left(hits, start, 0, found)
            if index < found and hits[index] < stop:
                marks[hits[index]] = (glyphs.hit, "hit")
    written = view.notes.entries
    for seq in written[bisect_left(written, axis.start) : bisect_left(written, axis.stop)]:
        marks[seq] = (glyphs.written, "written")
    for seq in view.flips[bisect_left(view.flips, axis.start) : bisect_left(view.flips, axis.stop)]:
        marks[seq] = (glyphs.cross, "flip")
    for seq in view.bookmarks[bisect_left(view.bookmarks, axis.start) : bisect_left(view.bookmarks, axis.stop)]:
        marks[seq] = (glyphs.bookmark, "bookmark")
    if view.parting is not None and axis.holds(view.parting):
        marks[view.parting] = (glyphs.parting, "parting")
    if view.base is not None and axis.holds(view.base):
        marks[view.base] = (glyphs.base, "base")
    return marks


def axis_line(axis: Axis, times: Sequence[int], zone: dt.tzinfo | None, glyphs: Glyphs) -> Line:
    """Return the line of dates and clock times, gaps in words."""
    columns = axis.cells * axis.scale
    line = [glyphs.rail] * columns
    free = [True] * columns
    styles = ["border"] * columns

    def write(column: int, text: str, style: str, *, around: int = 0) -> bool:
        place = range(max(0, column - around), min(columns, column + len(text) + around))
        if column + len(text) > columns or not all(free[at] for at in place):
            return False
        for at, character in enumerate(text, column):
            line[at], styles[at] = character, style
        for at in place:
            free[at] = False
        return True

    for gap in axis.gaps:
        words = f" gap {format_units.duration(gap.length_ns)} "
        if gap.columns:
            dots = (gap.columns - len(words)) // 2
            text = f"{glyphs.delta * dots}{words}{glyphs.delta * dots}" if dots > 0 else glyphs.delta
            text = (text + glyphs.delta * gap.columns)[: gap.columns]
            write(gap.column, text, "faint")
        else:
            write(gap.column, f"{glyphs.gap}{words.strip()}", "faint", around=1)
    first, reach = times[axis.start], times[axis.stop - 1] - times[axis.start]
    column, told = 0, ""
    while column < columns:
        cell = axis.cell_at(column)
        text = ""
        if free[column] and axis.edges[cell] < axis.edges[cell + 1]:
            text = format_units.moment(times[axis.edges[cell]], zone, reach)
        if text not in ("", told) and write(column, text, "dim", around=1):
            told = text
            column += len(text) + _LABEL_GAP
        else:
            column += 1
    return Line(format_units.day(first, zone), _runs(line, styles), glyphs.head_above, "dim")


def told(
    ledger: EntryLedger, axis: Axis, column: int, zone: dt.tzinfo | None, glyphs: Glyphs, row: LaneRow | None = None
) -> str:
    """Return in a line what stands at a column: the entry that a click goes to, when it was and what it changed.

    Of a lane, the number there and how much it differs from that of the cell before.
    """
    cell = axis.cell_at(column)
    figures = None if row is None else row.cells[cell]
    seq = axis.entry_at(column) if figures is None or figures.last < 0 else figures.last
    columns = ledger.columns
    time = columns.timestamp_ns[seq]
    counts = ((glyphs.added, columns.added), (glyphs.modified, columns.modified), (glyphs.deleted, columns.deleted))
    changed = [f"{sign}{numbers[seq]}" for sign, numbers in counts if numbers[seq]]
    parts = [
        f"#{seq:,} {format_units.day(time, zone)} {format_units.clock(time, zone)}",
        " ".join(changed) or "=",
    ]
    entries = axis.edges[cell + 1] - axis.edges[cell]
    if entries > 1:
        parts.append(f"one of {entries:,}")
    parts += [_lane_told(row, cell)] if row is not None else []
    return f" {glyphs.delta} ".join(parts)


def _lane_told(row: LaneRow, cell: int) -> str:
    name = on_grid(row.lane.name[:40])
    numbers = row.numbers()
    number, before = numbers[cell], numbers[cell - 1] if cell else None
    if number is None:
        figures = row.cells[cell]
        return f"{name} {'…' if figures is None else format_units.count(figures.writes, 'write')}"
    step = "" if before is None or before == number else f" ({number - before:+,.10g})"
    return f"{name} {number:,.10g}{step}"


def _runs(cells: Sequence[str], styles: Sequence[str]) -> Spans:
    """Join neighbouring cells of one style."""
    spans: list[Span] = []
    start = 0
    for place in range(1, len(cells) + 1):
        if place == len(cells) or styles[place] != styles[start]:
            spans.append(("".join(cells[start:place]), styles[start]))
            start = place
    return tuple(spans)


def lane_line(axis: Axis, row: LaneRow, glyphs: Glyphs) -> Line:
    """Return a lane: the value of a number over time, else how many entries of each cell changed it; notes and errors."""
    lane = row.lane
    if lane.kind is LaneKind.NOTES:
        marks = [glyphs.note if cell is not None and cell.writes else " " for cell in row.cells]
        for cell in row.errors:
            marks[cell] = glyphs.cross
        text = "".join(mark + " " * (axis.scale - 1) for mark in marks)
        return Line(lane.name, _runs(text, ["error" if mark == glyphs.cross else "note" for mark in text]))
    numbers = row.numbers() if lane.kind is LaneKind.ATOM else []
    if any(number is not None for number in numbers):
        text = _spread(axis, _spark(numbers, glyphs.bars))
        for gap in axis.gaps:
            text = text[: gap.column] + " " * gap.columns + text[gap.column + gap.columns :]
        return Line(lane.name, ((text, "lane.value"),))
    if None in row.cells and not any(cell is not None and cell.writes for cell in row.cells):
        return Line(lane.name, ((f"reading{glyphs.ellipsis}", "faint"),))
    counts = [0 if cell is None else cell.writes for cell in row.cells]
    text = _spread(axis, _heat(counts, glyphs.heat))
    return Line(lane.name, ((text, "lane.part" if lane.kind is LaneKind.PART else "heat"),))


def lane_label(lane: Lane, view: View) -> str:
    """Return the style of a lane's name: that of the selected atom stands out, and so do pinned ones."""
    if lane.kind is not LaneKind.ATOM:
        return "dim"
    if view.selected and lane.name == view.selected[0]:
        return "accent"
    return "strong" if lane.name in view.pinned else "dim"


def _spark(numbers: Sequence[float | None], bars: str) -> list[str]:
    """Return a bar a number, from the lowest to the highest of them."""
    known = [number for number in numbers if number is not None]
    low, high = min(known), max(known)
    # The span of the largest numbers is none that a float can hold; half of it is.
    reach = high / 2 - low / 2
    steps = len(bars) - 1
    if not reach:
        return [" " if number is None else bars[steps // 2] for number in numbers]
    return [
        " " if number is None else bars[min(steps, round((number / 2 - low / 2) / reach * steps))]
        for number in numbers
    ]


def _heat(counts: Sequence[int], heat: str) -> list[str]:
    most, steps = max(counts, default=0), len(heat) - 1
    return [heat[min(steps, -(-count * steps // most)) if most else 0] for count in counts]


def with_words(row: Row, words: str, around: int, width: int) -> Row:
    """Return a row with words laid over it, about around a column."""
    text = f" {words} "
    size = width_of(text)
    if size > width:
        return row
    place = max(0, min(around - size // 2, width - size))
    before, after = _split(row.left, place)
    return Row((*before, (text, "chip.filter"), *_split(after, size)[1]))


def _split(spans: Spans, at: int) -> tuple[Spans, Spans]:
    """Return what lies before a cell, and what from there on."""
    before: list[Span] = []
    after: list[Span] = []
    place = 0
    for text, style in spans:
        cut = characters_within(text, max(0, min(at - place, width_of(text))))
        before += [(text[:cut], style)] if cut else []
        after += [(text[cut:], style)] if cut < len(text) else []
        place += width_of(text)
    return tuple(before), tuple(after)
