"""The timeline above the panes: overview, chain strip and lanes, drawn and scrubbed."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from functools import lru_cache

from msgspec import Struct
from textual import events
from textual.message import Message

from unspool_tui.rendering.line import Glyphs, Row, Span, Spans, on_grid, pad
from unspool_tui.view.model import View
from unspool_tui.view.overview import EntryLedger, bin_of, entry_at, window_start
from unspool_tui.widgets.lines import LinesView

_ROOM_FOR_LABELS = 100
"""Width from which the lines are named."""
LABEL = 7
_STYLES = ("delta", "full", "note")


def margin(width: int) -> int:
    """Return the column at which the timeline itself begins."""
    return LABEL if width >= _ROOM_FOR_LABELS else 1


def span(width: int) -> int:
    """Return how many columns the timeline itself has."""
    return max(1, width - margin(width) - 1)


class Strip(Struct, frozen=True):
    """The part of the chain that is shown entry by entry.

    Attributes:
        start: its first entry.
        kinds: kind of each entry, as `Columns` of the engine numbers them.
    """

    start: int
    kinds: Sequence[int]


def overview_row(view: View, bins: Sequence[int], strip: Strip, width: int, glyphs: Glyphs) -> Row:
    """Return the bars: the largest entry of each bin, on a logarithmic scale, with head and search hits."""
    columns = span(width)
    heights = _heights(tuple(bins), glyphs.bars)
    head = bin_of(view.head, view.total, columns, view.first)
    first = bin_of(strip.start, view.total, columns, view.first)
    last = bin_of(max(0, strip.start + len(strip.kinds) - 1), view.total, columns, view.first)
    styles = ["bar"] * first + ["bar.window"] * (last + 1 - first) + ["bar"] * (len(heights) - last - 1)
    cells = list(heights)
    for column in _hit_bins(view, columns):
        cells[column], styles[column] = glyphs.hit, "hit"
    styles[head] = "bar.head"
    return Row((_label("bytes", width), *_runs(cells, styles)))


def _runs(cells: Sequence[str], styles: Sequence[str]) -> Spans:
    """Join neighbouring cells of one style."""
    spans: list[Span] = []
    start = 0
    for place in range(1, len(cells) + 1):
        if place == len(cells) or styles[place] != styles[start]:
            spans.append(("".join(cells[start:place]), styles[start]))
            start = place
    return tuple(spans)


@lru_cache(maxsize=4)
def _heights(bins: tuple[int, ...], bars: str) -> str:
    low, high = math.log1p(min(bins)), math.log1p(max(bins))
    steps = len(bars) - 1
    reach = high - low
    if reach <= 0:
        return bars[steps // 3] * len(bins)
    return "".join(bars[round((math.log1p(size) - low) / reach * steps)] for size in bins)


def _hit_bins(view: View, columns: int) -> frozenset[int]:
    found, hits = view.search.found, view.search.hits
    if not found:
        return frozenset()
    if found <= columns:
        return frozenset(bin_of(hits[index], view.total, columns, view.first) for index in range(found))
    # With more hits than columns, ask each bin whether a hit falls into it: no walk over a million hits.
    count = min(columns, view.count)
    marked = set()
    for place in range(count):
        start, stop = (view.first + edge * view.count // count for edge in (place, place + 1))
        index = bisect_left(hits, start, 0, found)
        if index < found and hits[index] < stop:
            marked.add(place)
    return frozenset(marked)


def chain_row(view: View, strip: Strip, width: int, glyphs: Glyphs) -> Row:
    """Return the strip around the head: full snapshots, deltas, notes, base, bookmarks, hits and the head itself."""
    signs = (glyphs.delta, glyphs.full, glyphs.note)
    cells = [signs[kind] for kind in strip.kinds]
    styles = [_STYLES[kind] for kind in strip.kinds]
    for seq, (glyph, style) in _marks(view, strip, glyphs).items():
        cells[seq - strip.start], styles[seq - strip.start] = glyph, style
    place = view.head - strip.start
    cells[place], styles[place] = glyphs.head, "head"
    return Row((_label("chain", width), *_runs(cells, styles)))


def _marks(view: View, strip: Strip, glyphs: Glyphs) -> dict[int, Span]:
    end = strip.start + len(strip.kinds)
    marks: dict[int, Span] = {}
    hits, found = view.search.hits, view.search.found
    for index in range(bisect_left(hits, strip.start, 0, found), found):
        if hits[index] >= end:
            break
        marks[hits[index]] = (glyphs.hit, "hit")
    for seq in view.bookmarks[bisect_left(view.bookmarks, strip.start) : bisect_left(view.bookmarks, end)]:
        marks[seq] = (glyphs.bookmark, "bookmark")
    if view.base is not None and strip.start <= view.base < end:
        marks[view.base] = (glyphs.base, "base")
    return marks


def lane_row(name: str, counts: Sequence[int], width: int, glyphs: Glyphs) -> Row:
    """Return the lane of one pinned atom: how often it changed in each bin."""
    most = max(counts, default=0)
    steps = len(glyphs.heat) - 1
    cells = "".join(glyphs.heat[min(steps, -(-count * steps // most)) if most else 0] for count in counts)
    label: Spans = (_label(name, width),)
    return Row((*label, (cells, "heat")))


def _label(text: str, width: int) -> Span:
    room = margin(width)
    return (f" {pad(on_grid(text[:60]), room - 2)} " if room > 1 else " "), "faint"


def waiting_row(text: str, width: int) -> Row:
    """Return a line that tells what is being waited for."""
    return Row((_label("", width), (text, "dim")))


_OVERVIEW_LINE = 0


class TimelineView(LinesView):
    """Where in history: all of it above, the entries around the head below, a lane a pinned atom under them."""

    DEFAULT_CSS = "TimelineView { height: 2; width: 1fr; }"

    class Scrubbed(Message):
        """The head shall go to an entry."""

        def __init__(self, seq: int, *, jump: bool) -> None:
            self.seq = seq
            self.jump = jump
            super().__init__()

        def can_replace(self, message: Message) -> bool:
            """Only the newest place of a drag matters."""
            return isinstance(message, TimelineView.Scrubbed) and not message.jump

    class Turned(Message):
        """The wheel turned over the timeline."""

        def __init__(self, by: int) -> None:
            self.by = by
            super().__init__()

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's own name for it
        super().__init__(id=id)
        self._start = 0
        self._room = 0
        self._total = self._first = 0
        self._dragged: int | None = None
        self.lanes = 0

    def show(self, view: View, ledger: EntryLedger, lanes: Sequence[tuple[str, Sequence[int]]]) -> None:
        """Show a view."""
        width, glyphs = self.columns, self.pen.glyphs
        self._total, self._first = view.total, view.first
        if not view.total:
            self.show_rows([waiting_row("waiting for the first entry", width)])
            return
        room = span(width)
        if room != self._room:
            self._room, self._start = room, view.head - room // 2
        self._start = window_start(self._start, view.head, room, view.total, view.first)
        strip = Strip(self._start, ledger.columns.kind[self._start : min(view.total, self._start + room)])
        rows: list[Row] = [
            overview_row(view, ledger.overview.bins(room), strip, width, glyphs)
            if ledger.ready
            else waiting_row(f"reading {view.count:,} entries", width),
            chain_row(view, strip, width, glyphs),
        ]
        rows.extend(lane_row(name, counts, width, glyphs) for name, counts in lanes)
        self.show_rows(rows)

    def entry_under(self, x: int, line: int) -> int | None:
        """Return the entry at a place of the timeline; places beside it mean its ends."""
        if not self._total:
            return None
        width = self.columns
        column = x - margin(width)
        if line == 1:
            return max(self._first, min(self._start + column, self._total - 1))
        return entry_at(column, self._total, span(width), self._first)

    def on_mouse_down(self, event: events.MouseDown) -> None:
        """Begin to scrub on the line that was hit."""
        seq = self.entry_under(event.x, event.y)
        if seq is None or event.button != 1:
            return
        event.stop()
        self._dragged = event.y
        self.capture_mouse()
        self.post_message(self.Scrubbed(seq, jump=True))

    def on_mouse_move(self, event: events.MouseMove) -> None:
        """Scrub while the button is held."""
        if self._dragged is None:
            return
        event.stop()
        seq = self.entry_under(event.x, self._dragged)
        if seq is not None:
            self.post_message(self.Scrubbed(seq, jump=False))

    def on_mouse_up(self, event: events.MouseUp) -> None:
        """End scrubbing."""
        if self._dragged is not None:
            self._dragged = None
            self.release_mouse()

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """Go forward with the wheel."""
        event.stop()
        self.post_message(self.Turned(10 if event.shift or event.ctrl else 1))

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """Go back with the wheel."""
        event.stop()
        self.post_message(self.Turned(-10 if event.shift or event.ctrl else -1))
