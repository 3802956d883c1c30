"""The timeline above the panes: axis, bars of changes and the ticks of full snapshots, drawn and scrubbed."""

from __future__ import annotations

import datetime as dt
from bisect import bisect_left
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Final

from msgspec import Struct
from textual import events
from textual.message import Message

from unspool_tui.rendering import format_units
from unspool_tui.rendering.line import Glyphs, Row, Span, Spans, on_grid, pad
from unspool_tui.view.axis import Axis, Moments, entry_axis, long_gaps, shown_count, time_axis, window_start
from unspool_tui.view.lanes import Lane, LaneKind, LaneRow
from unspool_tui.view.model import View
from unspool_tui.view.overview import EntryLedger
from unspool_tui.widgets.lines import LinesView

_ROOM_FOR_LABELS: Final = 100
"""Width from which the lines are named."""
LABEL: Final = 12
_ROOM_FOR_LONG_LABELS: Final = 160
_LONG_LABEL: Final = 20
ROOM_FOR_PINNED: Final = 30
"""Lines of the terminal from which the axis is drawn, and lanes of pinned atoms."""
_ROOM_FOR_LANES: Final = 40
"""Lines from which there are lanes whatever is pinned."""
_WITHOUT_LANES: Final = 3
_FEW_LANES: Final = 2
_MOST_LANES: Final = 9
_MOST_GAPS: Final = 6
_GAP_COLUMNS: Final = 20
"""Columns that a gap takes on an axis of time where there is room for its words."""
_NARROW_GAP: Final = 5
_DEPTHS: Final = 4
"""Colours of the chain depth."""
_LABEL_GAP: Final = 3
"""Columns of line between two labels of the axis, at least."""
TINT: Final = "@range"
"""Behind the name of a style: on the ground of what lies between base and head."""


def margin(width: int, height: int = 2) -> int:
    """Return the column at which the timeline itself begins, where it has so many lines."""
    if width >= _ROOM_FOR_LONG_LABELS and height > _WITHOUT_LANES:
        return _LONG_LABEL
    return LABEL if width >= _ROOM_FOR_LABELS or height > _WITHOUT_LANES else 1


def span(width: int, height: int = 2) -> int:
    """Return how many columns the timeline itself has."""
    return max(1, width - margin(width, height) - 1)


def height_for(lines: int, lanes: int) -> int:
    """Return the lines of the timeline on a terminal of so many lines."""
    return 2 if lines < ROOM_FOR_PINNED else _WITHOUT_LANES + lanes


def lane_room(lines: int, pinned: int) -> int:
    """Return how many lanes there is room for on a terminal of so many lines, where so many atoms are pinned."""
    if lines < ROOM_FOR_PINNED:
        return 0
    return min(_FEW_LANES, pinned) if lines < _ROOM_FOR_LANES else min(_MOST_LANES, lines // 5 - _WITHOUT_LANES)


class Ground(Struct, frozen=True):
    """What all lines of the timeline are drawn on.

    Attributes:
        axis: the cells.
        width: cells of a line, label included.
        head: the column of the head; None where it is not in sight.
        tinted: the columns between base and head; empty where there is no base.
        glyphs: the characters.
        label: the column at which the cells begin.
        focused: the timeline takes movement keys.
    """

    axis: Axis
    width: int
    head: int | None
    tinted: range
    glyphs: Glyphs
    label: int
    focused: bool = False

    @property
    def columns(self) -> int:
        """Columns that the cells take."""
        return self.axis.cells * self.axis.scale

    def row(self, name: str, cells: Sequence[str], styles: Sequence[str], label: str = "faint") -> Row:
        """Return a line of one character and one style a column, with head and range marked.

        Args:
            name: what is written before it.
            cells: the characters.
            styles: their styles.
            label: the style of the name.
        """
        looks, glyphs = list(styles), self.glyphs
        for column in self.tinted:
            looks[column] += TINT
        if self.head is not None:
            for column in range(self.head, min(len(looks), self.head + self.axis.scale)):
                looks[column] = "bar.head"
                if cells[column] == glyphs.block:
                    # A cell that is all ink would hide the ground that marks the head.
                    cells = (*cells[:column], glyphs.bars[-2], *cells[column + 1 :])
        if label == "faint" and self.focused:
            label = "key"
        room = self.label
        named = f" {pad(on_grid(name[:60]), room - 2)} " if room > 1 else self.glyphs.cursor if self.focused else " "
        return Row(((named, label), *_runs(cells, looks)))

    def spread(self, cells: Sequence[str]) -> str:
        """Return a character a column of what there is a cell; neighbours stay apart where there is room."""
        scale = self.axis.scale
        if scale == 1:
            return "".join(cells)
        return "".join(cell * (scale - 1) + (" " if scale > 2 else cell) for cell in cells)


def ground_of(view: View, axis: Axis, width: int, glyphs: Glyphs, label: int = LABEL) -> Ground:
    """Return what the lines of a view are drawn on."""
    head = axis.cell_of(view.head) * axis.scale if axis.holds(view.head) else None
    tinted = range(0)
    if view.base is not None and view.base != view.head:
        low, high = sorted((view.base, view.head))
        if low < axis.stop and high >= axis.start:
            tinted = range(axis.cell_of(low) * axis.scale, (axis.cell_of(high) + 1) * axis.scale)
    return Ground(axis, width, head, tinted, glyphs, label, view.timeline_focused)


def changes_row(ground: Ground, ledger: EntryLedger) -> Row:
    """Return the bars: how many atoms the entries of each cell changed, as the share of the most of any."""
    edges, bars = ground.axis.edges, ground.glyphs.bars
    counts = [ledger.facts(start, stop).changes if start < stop else 0 for start, stop in pairwise(edges)]
    most = max(counts, default=0)
    cells = [bars[-(-count * len(bars) // most) - 1] if count else " " for count in counts]
    text = ground.spread(cells)
    return ground.row("changes", text, ["bar.window"] * len(text))


def tick_row(view: View, ground: Ground, ledger: EntryLedger) -> Row:
    """Return the ticks: full snapshots, deltas and notes, in the colour of the chain's depth, and what is marked."""
    axis, longest = ground.axis, ledger.longest()
    cells: list[str] = []
    styles: list[str] = []
    for start, stop in pairwise(axis.edges):
        glyph, style = _tick(ledger, start, stop, longest, ground.glyphs)
        cells += [glyph, *" " * (axis.scale - 1)]
        styles += [style] * axis.scale
    for seq, (glyph, style) in _marks(view, axis, ground.glyphs).items():
        column = axis.cell_of(seq) * axis.scale
        cells[column], styles[column] = glyph, style
    if ground.head is not None:
        cells[ground.head] = ground.glyphs.head
    return ground.row("chain", cells, styles)


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


Line = tuple[str, str, list[str]]
"""The name of a line, and its characters and styles by column, before head and range are marked in it."""


def axis_line(ground: Ground, times: Sequence[int], zone: dt.tzinfo | None) -> Line:
    """Return the line of dates and clock times, gaps in words."""
    axis, glyphs = ground.axis, ground.glyphs
    line = [glyphs.rail] * ground.columns
    free = [True] * ground.columns
    styles = ["border"] * ground.columns

    def write(column: int, text: str, style: str, *, around: int = 0) -> bool:
        place = range(max(0, column - around), min(ground.columns, column + len(text) + around))
        if column + len(text) > ground.columns or not all(free[at] for at in place):
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
    column = 0
    while column < ground.columns:
        cell = axis.cell_at(column)
        text = ""
        if free[column] and axis.edges[cell] < axis.edges[cell + 1]:
            text = format_units.moment(times[axis.edges[cell]], zone, reach)
        column += len(text) + _LABEL_GAP if text and write(column, text, "dim", around=1) else 1
    return format_units.day(first, zone), "".join(line), styles


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


def lane_row(ground: Ground, row: LaneRow, view: View) -> Row:
    """Return a lane: the value of a number over time, else how many entries of each cell changed it; notes and errors."""
    lane, glyphs = row.lane, ground.glyphs
    selected = bool(view.selected) and lane.kind is LaneKind.ATOM and lane.name == view.selected[0]
    label = "accent" if selected else "strong" if lane.name in view.pinned and lane.kind is LaneKind.ATOM else "dim"
    if lane.kind is LaneKind.NOTES:
        marks = [glyphs.note if cell is not None and cell.writes else " " for cell in row.cells]
        for cell in row.errors:
            marks[cell] = glyphs.cross
        text = "".join(mark + " " * (ground.axis.scale - 1) for mark in marks)
        return ground.row(lane.name, text, ["error" if mark == glyphs.cross else "note" for mark in text], label)
    numbers = row.numbers() if lane.kind is LaneKind.ATOM else []
    if any(number is not None for number in numbers):
        text = ground.spread(_spark(numbers, glyphs.bars))
        for gap in ground.axis.gaps:
            text = text[: gap.column] + " " * gap.columns + text[gap.column + gap.columns :]
        return ground.row(lane.name, text, ["lane.value"] * len(text), label)
    counts = [0 if cell is None else cell.writes for cell in row.cells]
    text = ground.spread(_heat(counts, glyphs.heat))
    return ground.row(lane.name, text, ["lane.part" if lane.kind is LaneKind.PART else "heat"] * len(text), label)


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


def waiting_row(text: str, width: int) -> Row:
    """Return a line that tells what is being waited for."""
    return Row(((" " * margin(width), "text"), (text, "dim")))


class TimelineView(LinesView):
    """Where in history: the axis, what changed along it, and how it is stored."""

    DEFAULT_CSS = "TimelineView { height: 2; width: 1fr; }"

    class Scrubbed(Message):
        """The head shall go to an entry."""

        def __init__(self, seq: int, *, jump: bool, lane: tuple[Lane, Axis, int] | None = None) -> None:
            """Tell where to go.

            Args:
                seq: the entry.
                jump: it is no part of a drag.
                lane: the lane that was hit, on which axis and at which column; the entry is then the one that changed it.
            """
            self.seq = seq
            self.jump = jump
            self.lane = lane
            super().__init__()

        def can_replace(self, message: Message) -> bool:
            """Only the newest place of a drag matters."""
            return isinstance(message, TimelineView.Scrubbed) and not message.jump

    class Turned(Message):
        """The wheel turned over the timeline."""

        def __init__(self, by: int) -> None:
            self.by = by
            super().__init__()

    class Zoomed(Message):
        """The wheel turned over the timeline to show more or less of it."""

        def __init__(self, by: int) -> None:
            self.by = by
            super().__init__()

    class Pointed(Message):
        """The mouse came to another place of the timeline, or left it."""

        def can_replace(self, message: Message) -> bool:
            """Only where it is now matters."""
            return isinstance(message, TimelineView.Pointed)

    def __init__(self, height: int, *, id: str | None = None) -> None:  # noqa: A002 - Textual's own name for it
        """Take so many lines of the screen."""
        super().__init__(id=id)
        self.axis = entry_axis(0, 0, 1)
        self.height = 0
        self.take_lines(height)
        self._moments: Moments | None = None
        self._axis_row: tuple[Axis, Line] | None = None
        self._made: list[Row] = []
        self._made_of: tuple[object, ...] = ()
        self._made_on: tuple[object, ...] = ()
        self._start = 0
        self._shown = 0
        self._anchor: tuple[int, float] | None = None
        self._axis_of: tuple[int, ...] = ()
        self._dragged = False
        self._pointer: tuple[int, int] | None = None
        self.lanes: tuple[Lane, ...] = ()
        self._lane_rows: Sequence[LaneRow] = ()

    def take_lines(self, height: int) -> None:
        """Take so many lines of the screen."""
        if height != self.height:
            self.height = height
            self.styles.height = height

    def show(
        self,
        view: View,
        ledger: EntryLedger,
        zone: dt.tzinfo | None,
        lanes: tuple[Lane, ...],
        known: Callable[[Axis], Sequence[LaneRow]],
    ) -> None:
        """Show a view.

        Args:
            view: what is looked at.
            ledger: sums over the entries.
            zone: time zone of the axis.
            lanes: the lanes, from above.
            known: gives what is known of them along an axis.
        """
        width, glyphs = self.columns, self.pen.glyphs
        self.lanes, self._lane_rows = lanes, ()
        if not view.total:
            self.axis = entry_axis(0, 0, 1)
            self.show_rows([waiting_row("waiting for the first entry", width)])
            return
        if not ledger.ready:
            self.axis = entry_axis(view.first, view.total, span(width))
            self.show_rows([waiting_row(f"reading {view.count:,} entries", width)])
            return
        self._lay_out(view, ledger, span(width, self.height))
        ground = ground_of(view, self.axis, width, glyphs, margin(width, self.height))
        marked = (
            view.base,
            view.bookmarks,
            view.flips,
            view.notes.entries,
            view.search.found,
            view.total,
            self.height,
        )
        same = (self.axis, ledger, view.search.hits, glyphs)
        key = (ground.head, ground.tinted, width, marked)
        if key != self._made_of or any(one is not other for one, other in zip(same, self._made_on, strict=True)):
            # Most steps leave the head in its cell.
            self._made = [changes_row(ground, ledger), tick_row(view, ground, ledger)]
            if self.height >= _WITHOUT_LANES:
                self._made.insert(0, self._axis_line(ground, ledger, zone))
            self._made_of, self._made_on = key, same
        rows = list(self._made)
        if lanes:
            self._lane_rows = known(self.axis)
            rows += [lane_row(ground, row, view) for row in self._lane_rows]
        self.show_rows(self._with_pointer(rows, ledger, zone))

    def _axis_line(self, ground: Ground, ledger: EntryLedger, zone: dt.tzinfo | None) -> Row:
        """Return the line of dates; its words stay while the axis does."""
        if self._axis_row is None or self._axis_row[0] is not self.axis:
            self._axis_row = self.axis, axis_line(ground, ledger.columns.timestamp_ns, zone)
        name, cells, styles = self._axis_row[1]
        if ground.head is not None:
            cells = cells[: ground.head] + ground.glyphs.head_above + cells[ground.head + 1 :]
        return ground.row(name, cells, styles)

    def _lay_out(self, view: View, ledger: EntryLedger, columns: int) -> None:
        """Choose the part that is shown, and its cells."""
        shown = shown_count(view.count, view.timeline_zoom)
        if shown != self._shown:
            kept, share = self._anchor or (view.head, 0.5)
            self._shown, self._start = shown, max(view.first, min(kept - int(shown * share), view.total - shown))
        self._anchor = None
        self._start = window_start(self._start, view.head, shown, view.total, view.first)
        start, stop = self._start, self._start + shown
        key = (start, stop, columns, view.timeline_by_time)
        if key == self._axis_of and self._moments is ledger.moments:
            return
        self._axis_of, self._moments = key, ledger.moments
        if view.timeline_by_time:
            gap_columns = _GAP_COLUMNS if columns >= _ROOM_FOR_LABELS - LABEL - 1 else _NARROW_GAP
            self.axis = time_axis(ledger.moments, start, stop, columns, gap_columns)
        else:
            self.axis = entry_axis(start, stop, columns, long_gaps(ledger.moments, start, stop, _MOST_GAPS))

    def _with_pointer(self, rows: list[Row], ledger: EntryLedger, zone: dt.tzinfo | None) -> list[Row]:
        """Say on a line that the pointer is not on what is under it."""
        if self._pointer is None:
            return rows
        x, y = self._pointer
        column, width = x - margin(self.columns, self.height), self.columns
        lane = self._lane_rows[y - _WITHOUT_LANES] if 0 <= y - _WITHOUT_LANES < len(self._lane_rows) else None
        text = f" {told(ledger, self.axis, column, zone, self.pen.glyphs, lane)} "[:width]
        place = max(0, min(x - len(text) // 2, width - len(text)))
        line = 1 if y == 0 else 0
        under = rows[line].left
        rows[line] = Row((*_first_cells(under, place), (text, "chip.filter"), *_from_cell(under, place + len(text))))
        return rows

    def entry_under(self, x: int) -> int | None:
        """Return the entry at a column; columns beside the timeline mean its ends."""
        if not self.axis.stop:
            return None
        return self.axis.entry_at(x - margin(self.columns, self.height))

    def _lane_under(self, x: int, y: int) -> tuple[Lane, Axis, int] | None:
        place = y - _WITHOUT_LANES
        if not 0 <= place < len(self._lane_rows):
            return None
        return self._lane_rows[place].lane, self.axis, x - margin(self.columns, self.height)

    def on_mouse_down(self, event: events.MouseDown) -> None:
        """Begin to scrub."""
        seq = self.entry_under(event.x)
        if seq is None or event.button != 1:
            return
        event.stop()
        self._dragged = True
        self.capture_mouse()
        self.post_message(self.Scrubbed(seq, jump=True, lane=self._lane_under(event.x, event.y)))

    def on_mouse_move(self, event: events.MouseMove) -> None:
        """Scrub while the button is held, and tell what is under the pointer."""
        event.stop()
        seq = self.entry_under(event.x)
        if self._dragged and seq is not None:
            self.post_message(self.Scrubbed(seq, jump=False))
        self._point((event.x, event.y))

    def on_leave(self, event: events.Leave) -> None:
        """Tell nothing any more."""
        self._point(None)

    def _point(self, pointer: tuple[int, int] | None) -> None:
        if pointer != self._pointer:
            self._pointer = pointer
            self.post_message(self.Pointed())

    def on_mouse_up(self, event: events.MouseUp) -> None:
        """End scrubbing."""
        if self._dragged:
            self._dragged = False
            self.release_mouse()

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """Go forward with the wheel, or show more."""
        self._turn(event, 1)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """Go back with the wheel, or show less."""
        self._turn(event, -1)

    def _turn(self, event: events.MouseEvent, by: int) -> None:
        event.stop()
        if not event.ctrl:
            self.post_message(self.Turned(by * 10 if event.shift else by))
            return
        seq = self.entry_under(event.x)
        if seq is not None and self._shown:
            # What is under the pointer stays there.
            self._anchor = seq, (seq - self._start) / self._shown
            self.post_message(self.Zoomed(-by))


def _first_cells(spans: Spans, count: int) -> Spans:
    """Return the first cells of spans whose characters take one cell each."""
    kept: list[Span] = []
    for text, style in spans:
        if count <= 0:
            break
        kept.append((text[:count], style))
        count -= len(text)
    return tuple(kept)


def _from_cell(spans: Spans, start: int) -> Spans:
    """Return spans from a cell on."""
    kept: list[Span] = []
    for text, style in spans:
        if start < len(text):
            kept.append((text[max(0, start) :], style))
        start -= len(text)
    return tuple(kept)
