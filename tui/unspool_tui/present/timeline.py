"""The timeline: the whole history as bars, and the entries around the head as a strip."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

from unspool_tui.present.glyphs import Glyphs
from unspool_tui.present.line import Row, Span, Spans
from unspool_tui.view.model import View
from unspool_tui.view.overview import bin_of

_ROOM_FOR_LABELS = 100
"""Width from which the lines are named."""
LABEL = 7


def margin(width: int) -> int:
    """Return the column at which the timeline itself begins."""
    return LABEL if width >= _ROOM_FOR_LABELS else 1


def span(width: int) -> int:
    """Return how many columns the timeline itself has."""
    return max(1, width - margin(width) - 1)


@dataclass(frozen=True, slots=True)
class Strip:
    """The part of the chain that is shown entry by entry.

    Attributes:
        start: its first entry.
        kinds: kind of each entry, 1 for full.
    """

    start: int
    kinds: Sequence[int]


def overview_row(view: View, bins: Sequence[int], strip: Strip, width: int, glyphs: Glyphs) -> Row:
    """Return the bars: the largest entry of each bin, on a logarithmic scale, with head and search hits."""
    columns = span(width)
    heights = _heights(bins, glyphs)
    head = bin_of(view.head, view.total, columns) if view.total else -1
    first = bin_of(strip.start, view.total, columns) if view.total else -1
    last = bin_of(max(0, strip.start + len(strip.kinds) - 1), view.total, columns) if view.total else -1
    hits = _hit_bins(view, columns)
    spans: list[Span] = [_label("bytes", width)]
    for column, bar in enumerate(heights):
        if column in hits:
            spans.append((glyphs.hit, "bar.head" if column == head else "hit"))
        elif column == head:
            spans.append((bar, "bar.head"))
        else:
            spans.append((bar, "bar.window" if first <= column <= last else "bar"))
    return Row(tuple(spans))


def _heights(bins: Sequence[int], glyphs: Glyphs) -> str:
    if not bins:
        return ""
    low, high = math.log1p(min(bins)), math.log1p(max(bins))
    steps = len(glyphs.bars) - 1
    reach = high - low
    if reach <= 0:
        return glyphs.bars[steps // 3] * len(bins)
    return "".join(glyphs.bars[round((math.log1p(size) - low) / reach * steps)] for size in bins)


def _hit_bins(view: View, columns: int) -> frozenset[int]:
    found, hits = view.search.found, view.search.hits
    if not found:
        return frozenset()
    if found <= columns:
        return frozenset(bin_of(hits[index], view.total, columns) for index in range(found))
    # With more hits than columns, ask each bin whether a hit falls into it: no walk over a million hits.
    count = min(columns, view.total)
    marked = set()
    for place in range(count):
        start, stop = place * view.total // count, (place + 1) * view.total // count
        index = bisect_left(hits, start, 0, found)
        if index < found and hits[index] < stop:
            marked.add(place)
    return frozenset(marked)


def chain_row(view: View, strip: Strip, width: int, glyphs: Glyphs) -> Row:
    """Return the strip around the head: full snapshots, deltas, base, bookmarks, hits and the head itself."""
    spans: list[Span] = [_label("chain", width)]
    marks = _marks(view, strip, glyphs)
    for offset, kind in enumerate(strip.kinds):
        seq = strip.start + offset
        if seq == view.head:
            spans.append((marks.get(seq, (glyphs.head, ""))[0], "head"))
        elif seq in marks:
            spans.append(marks[seq])
        else:
            spans.append((glyphs.full, "full") if kind == 1 else (glyphs.delta, "delta"))
    return Row(tuple(spans))


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
    return (f" {text[: room - 2]:<{room - 2}} " if room > 1 else " "), "faint"


def empty_row(width: int) -> Row:
    """Return the line under the header while there is no entry yet."""
    return Row((_label("", width), ("waiting for the first entry", "dim")))
