"""The timeline: the whole history as bars, and the entries around the head as a strip."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from functools import lru_cache

from msgspec import Struct

from unspool_tui.present.glyphs import Glyphs
from unspool_tui.present.line import Row, Span, Spans, on_grid, pad
from unspool_tui.view.model import View
from unspool_tui.view.overview import bin_of

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
