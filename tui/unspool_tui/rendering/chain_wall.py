"""The wall: every chain of a history as a strip, or as a column where there are many; what its shapes mean.

A strip is the full snapshot as a block, then its deltas as bars of their size, as far from it as they are younger. The
tower over it is as high as the chain is deep, with its limit as a line. Where chains are too many for strips each is a
column of the tower alone, and where they are too many for columns neighbours share one: the deepest and the worst show.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from statistics import median_low
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from unspool.model.entries import FULL
from unspool.query.chain_table import ChainFigures, ChainGroup, ChainHealth, ChainTable
from unspool_tui.rendering import format_units
from unspool_tui.rendering.line import Glyphs, Row, Span, Spans, on_grid, spans_width
from unspool_tui.view.overview import EntryColumns

if TYPE_CHECKING:
    from unspool.query.simulator import Alternative

_STRIPS: Final = ((5, 16), (3, 8), (2, 5), (1, 3))
"""Lines of a tower, and the least cells of a strip for which it is drawn that high."""
_COLUMNS: Final = (4, 3, 2, 1)
"""Lines of a tower without a strip under it."""
_SIZES_ASKED: Final = 2_000
"""Deltas whose sizes are looked at to find out how large they usually are."""
_FARTHEST: Final = 2.0
"""How many times their limit the towers can show; deeper ones end there."""


class WallLayout(Struct, frozen=True):
    """How the chains are laid out.

    Attributes:
        count: items, each a chain or several.
        group: chains of an item.
        slot: cells of an item.
        tower: lines of its tower.
        has_strip: whether its strip is drawn under it.
        per_band: items side by side.
    """

    count: int
    group: int
    slot: int
    tower: int
    has_strip: bool
    per_band: int

    @property
    def lines(self) -> int:
        """Lines of a band."""
        return self.tower + self.has_strip

    @property
    def bands(self) -> int:
        """How many bands there are."""
        return -(-self.count // self.per_band)

    def item_at(self, x: int, y: int) -> int | None:
        """Return the item at a place of the wall, None beside all of them."""
        column, band = x // self.slot, y // self.lines
        item = band * self.per_band + column
        return item if 0 <= column < self.per_band and y >= 0 and item < self.count else None


def lay_out(chains: int, width: int, height: int) -> WallLayout:
    """Return how chains fit a wall of that many cells and lines: as wide and as high as they can be."""
    width, height = max(1, width), max(1, height)
    for tower, least in _STRIPS:
        bands = min(height // (tower + 1), chains)
        if bands and width // -(-chains // bands) >= least:
            per_band = -(-chains // bands)
            return WallLayout(chains, 1, width // per_band, tower, True, per_band)
    for tower in _COLUMNS:
        bands = height // tower
        if bands and bands * width >= chains:
            slot = 2 if chains <= bands * (width // 2) else 1
            return WallLayout(chains, 1, slot, tower, False, width // slot)
    group = max(1, -(-chains // (width * height)))
    return WallLayout(-(-chains // group), group, 1, 1, False, width)


_BLOCKS: Final = {
    ChainHealth.UNKNOWN: "block.unknown",
    ChainHealth.SOUND: "block.sound",
    ChainHealth.NEAR: "block.near",
    ChainHealth.OVER: "block.over",
    ChainHealth.BROKEN: "block.broken",
}
STYLES: Final = {
    ChainHealth.UNKNOWN: "dim",
    ChainHealth.SOUND: "good",
    ChainHealth.NEAR: "heat",
    ChainHealth.OVER: "warning",
    ChainHealth.BROKEN: "error",
}
WORDS: Final = {
    ChainHealth.UNKNOWN: "not examined",
    ChainHealth.SOUND: "sound",
    ChainHealth.NEAR: "near its limit",
    ChainHealth.OVER: "over its limit",
    ChainHealth.BROKEN: "broken",
}


def sign(health: ChainHealth, glyphs: Glyphs) -> str:
    """Return the character of a verdict, which stands on the full snapshot of a chain."""
    return {
        ChainHealth.UNKNOWN: glyphs.full,
        ChainHealth.SOUND: glyphs.sound,
        ChainHealth.NEAR: glyphs.near,
        ChainHealth.OVER: glyphs.over,
        ChainHealth.BROKEN: glyphs.cross,
    }[health]


class Wall:
    """A laid out wall; drawn once, and then row by row with a cursor."""

    def __init__(
        self,
        table: ChainTable,
        columns: EntryColumns,
        layout: WallLayout,
        glyphs: Glyphs,
        part: range | None = None,
        other: Alternative | None = None,
    ) -> None:
        """Draw all items.

        Args:
            table: the chains.
            columns: the columns of the same history.
            layout: how they are laid out.
            glyphs: the characters.
            part: the chains that are shown; all of them where none are given.
            other: what another rule would come to, drawn over them; None for nothing.
        """
        self._other = other
        self.layout = layout
        self._table = table
        self._columns = columns
        self._glyphs = glyphs
        self.part = range(len(table)) if part is None else part
        groups = [table.group(*self.chains_of(item)) for item in range(layout.count)]
        limits = [group.deltas / group.share for group in groups if group.share]
        deepest = max((group.deltas for group in groups), default=0)
        limit = max(limits, default=0.0)
        self._scale = max(limit, min(deepest, limit * _FARTHEST) if limit else deepest, 1.0)
        if layout.has_strip and groups:
            self._reach = self._reaches(groups)
            first, last = table.bounds(self.part.start)[0], table.bounds(self.part.stop - 1)[1]
            self._largest = _usual_largest(columns, first, last)
        self._items = [self._item(number, group) for number, group in enumerate(groups)]

    def chains_of(self, item: int) -> tuple[int, int]:
        """Return the chains of an item, as the first and one past the last."""
        start = self.part.start + item * self.layout.group
        return start, min(start + self.layout.group, self.part.stop)

    def item_of(self, place: int) -> int:
        """Return the item that shows a chain."""
        return max(0, min((place - self.part.start) // self.layout.group, self.layout.count - 1))

    def rows(self, cursor: int, head: int, swept: int = -1) -> list[Row]:
        """Return the lines of the wall.

        Args:
            cursor: the item that is chosen.
            head: the chain in which the head is.
            swept: the chain that the doctor is at; -1 while it is not at work.
        """
        layout = self.layout
        under = self.item_of(swept) if swept in self.part else -1
        marked = self.item_of(head) if head in self.part else -1
        rows = []
        for band in range(layout.bands):
            items = range(band * layout.per_band, min((band + 1) * layout.per_band, layout.count))
            for line in range(layout.lines):
                spans: list[Span] = []
                for item in items:
                    drawn = self._items[item][line]
                    if item == marked and line == layout.lines - 1 and layout.slot > 1:
                        drawn = _with_mark(drawn, self._glyphs.head)
                    if item in (cursor, under):
                        drawn = self._lit(drawn, line, "head" if item == cursor else "chip.filter")
                    spans += drawn
                rows.append(Row(tuple(spans)))
        return rows

    def _lit(self, drawn: list[Span], line: int, style: str) -> list[Span]:
        """Return a line of an item that is pointed at; of a strip the block is lit, and all else has its colour."""
        if not self.layout.has_strip:
            return [(text, style) for text, _ in drawn]
        rest = "key" if style == "head" else "heat"
        if not line and style == "head":
            # Where there is no colour, the cursor is a row of marks over its chain.
            glyphs = self._glyphs
            return [
                (text.replace(glyphs.limit, glyphs.opened).replace(" ", glyphs.opened), rest) for text, _ in drawn
            ]
        return [(text, style if line == self.layout.tower and not at else rest) for at, (text, _) in enumerate(drawn)]

    def _reaches(self, groups: Sequence[ChainGroup]) -> list[int]:
        """Return how many cells each strip takes behind its block: more, the longer its chain took."""
        times, room = self._columns.timestamp_ns, max(1, self.layout.slot - 2)
        ages = [max(0, times[last] - times[first]) for first, last in map(self._table.bounds, self.part)]
        some = [age for age in ages if age] or [1]
        usual, most = max(1, median_low(some)), max(some)
        whole = math.log1p(most / usual)
        # One chain that lasted for months must not shrink all others to nothing.
        return [
            max(1, round(math.log1p(age / usual) / whole * room)) if group.deltas else int(group.has_forks)
            for age, group in zip(ages, groups, strict=True)
        ]

    def _item(self, number: int, group: ChainGroup) -> list[list[Span]]:
        layout, glyphs = self.layout, self._glyphs
        if not layout.has_strip:
            drawn = self._tower(group, [group.deltas], layout.slot - 1)
            flaw = glyphs.hole if group.has_holes else glyphs.fork if group.has_forks else ""
            if flaw and (layout.tower > 1 or group.health is not ChainHealth.BROKEN):
                drawn[-1] = [(flaw, drawn[-1][0][1]), *drawn[-1][1:]]
            return drawn
        reach = self._reach[number]
        rest = layout.slot - 1 - reach
        cells, depths = self._cells(group, reach)
        begins = self._other is None or self._other.begins(self._table.bounds(group.start)[0])
        strip: list[Span] = [
            (sign(group.health, glyphs), _BLOCKS[group.health] if begins else "border"),
            *cells,
            (" " * rest, "text"),
        ]
        return [*self._tower(group, [0, *depths], rest), strip]

    def _tower(self, group: ChainGroup, depths: Sequence[int], rest: int) -> list[list[Span]]:
        """Return the lines of a tower and of the room behind it, the highest first; it has a cell for each depth given."""
        glyphs, lines, style = self._glyphs, self.layout.tower, STYLES[group.health]
        steps = glyphs.bars if group.is_examined else glyphs.dotted
        limit = group.deltas / group.share / self._scale * lines if group.share else math.inf
        # The limit is a line through the cells that nothing else stands in.
        mark = lines - min(math.ceil(limit), lines) if limit <= lines + 1e-9 and lines > 1 else -1
        levels = [_level(depth, self._scale, lines, len(steps)) for depth in depths]
        top = max(levels)
        drawn: list[list[Span]] = []
        for line in range(lines):
            floor = (lines - 1 - line) * len(steps)
            empty = glyphs.limit if line == mark else " "
            is_top = floor < top <= floor + len(steps)
            sign_here = ""
            if group.health is ChainHealth.BROKEN:
                sign_here = glyphs.cross
            elif is_top and group.health in (ChainHealth.OVER, ChainHealth.NEAR):
                sign_here = sign(group.health, glyphs)
            cells = [
                (empty, "border") if level <= floor
                else (sign_here or steps[min(level - floor, len(steps)) - 1], style)
                for level in levels
            ]  # fmt: skip
            drawn.append([*_joined(cells), (empty * rest, "border")])
        return drawn

    def _cells(self, group: ChainGroup, reach: int) -> tuple[list[Span], list[int]]:
        """Return the cells behind a block and how deep the chain is at the end of each.

        A cell shows the largest delta of its moment, or the hole or fork that is in it.
        """
        table, columns, glyphs = self._table, self._columns, self._glyphs
        first, last = table.bounds(group.start)
        marks = dict.fromkeys(table.forks_in(first, last), (glyphs.fork, "accent"))
        marks |= dict.fromkeys(table.holes_in(first, last), (glyphs.hole, "error"))
        if self._other is not None:
            marks |= dict.fromkeys(self._other.between(first + 1, last), (glyphs.full, "base"))
        begins = first + (columns.kind[first] == FULL)
        start = begins
        style = STYLES[group.health]
        cells: list[Span] = []
        depths: list[int] = []
        for cell in range(reach):
            stop = last + 1 if cell == reach - 1 else _cell_end(columns, begins, last, cell + 1, reach)
            stop = max(start, stop)
            # A fork is most often stored whole: the cell beside its block tells it.
            flaw = next((marks[seq] for seq in sorted(marks) if (start if cell else first) <= seq < stop), None)
            if flaw is not None:
                cells.append(flaw)
            elif stop > start:
                share = math.sqrt(min(1.0, max(columns.stored[start:stop]) / self._largest))
                cells.append((glyphs.bars[round(share * (len(glyphs.bars) - 2))], style))
            else:
                cells.append((glyphs.bar_rest, "border"))
            depths.append(round((stop - begins) / max(1, last + 1 - begins) * group.deltas))
            start = stop
        return cells, depths


def _joined(cells: Sequence[Span]) -> list[Span]:
    spans: list[Span] = []
    for text, style in cells:
        if spans and spans[-1][1] == style:
            spans[-1] = (spans[-1][0] + text, style)
        else:
            spans.append((text, style))
    return spans


def _with_mark(spans: list[Span], mark: str) -> list[Span]:
    """Put a mark in the last cell, which is always empty."""
    text, style = spans[-1]
    return [*spans[:-1], (text[:-1], style), (mark, "accent")] if text else spans


def _level(deltas: int, scale: float, lines: int, steps: int) -> int:
    """Return how many steps high a tower is; the deepest leave a step free, so that bands stay apart."""
    most = lines * steps - (1 if steps > 4 else 0)
    return max(1, min(most, round(deltas / scale * most))) if deltas else 1


def _cell_end(columns: EntryColumns, start: int, last: int, cell: int, cells: int) -> int:
    """Return one past the last entry that belongs before a cell, by time; by number where time stands still or goes back."""
    times = columns.timestamp_ns
    begin, end = times[start], times[last]
    if end <= begin:
        return start + (last + 1 - start) * cell // cells
    return bisect_left(times, begin + (end - begin) * cell // cells, start, last + 1)


def _usual_largest(columns: EntryColumns, first: int, last: int) -> int:
    """Return a size that few deltas exceed, so that one huge one does not shrink all others to nothing."""
    stride = max(1, (last - first) // _SIZES_ASKED)
    sizes = sorted(columns.stored[seq] for seq in range(first, last + 1, stride) if columns.kind[seq] != FULL)
    return max(1, sizes[len(sizes) * 98 // 100]) if sizes else 1


def legend_rows(table: ChainTable, layout: WallLayout, width: int, glyphs: Glyphs) -> list[Row]:
    """Return what the shapes mean, with how many chains have each; what does not fit goes on in the next line."""
    counts = table.counts()
    samples = {ChainHealth.UNKNOWN: glyphs.dotted[2], ChainHealth.SOUND: glyphs.bars[5]}
    words: list[Spans] = []
    for health in (ChainHealth.UNKNOWN, ChainHealth.SOUND, ChainHealth.NEAR, ChainHealth.OVER, ChainHealth.BROKEN):
        told = WORDS[health].replace("its ", "")
        sample = (samples.get(health, ""), STYLES[health])
        style = "text" if counts[health] else "faint"
        words.append(((sign(health, glyphs), _BLOCKS[health]), sample, (f" {told} {counts[health]:,}", style)))
    words += [
        ((glyphs.hole, "error"), (" hole", "dim")),
        ((glyphs.fork, "accent"), (" fork", "dim")),
        ((glyphs.limit, "border"), (" limit", "dim")),
        (("height", "text"), (" depth", "dim")),
    ]
    if layout.has_strip:
        words += [(("length", "text"), (" age", "dim")), (("bars", "text"), (" delta sizes", "dim"))]
    if layout.slot > 1:
        words.append(((glyphs.head, "accent"), (" head", "dim")))
    return _wrapped(words, width)


def _wrapped(words: Sequence[Spans], width: int) -> list[Row]:
    rows: list[Row] = []
    line: list[Span] = [(" ", "text")]
    for word in words:
        if len(line) > 1 and spans_width(line) + spans_width(word) > width:
            rows.append(Row(tuple(line)))
            line = [(" ", "text")]
        line += [*word, ("  ", "text")]
    return [*rows, Row(tuple(line))]


def other_row(other: Alternative, width: int) -> Row:
    """Return in one line what another rule would come to."""
    strips = "as many strips"
    if other.more:
        strips = f"{format_units.count(abs(other.more), 'strip')} {'more' if other.more > 0 else 'fewer'}"
    said: list[Span] = [(" with ", "dim"), (on_grid(other.rule), "base"), (f": {strips}", "strong")]
    if not other.sampled:
        return Row((*said, (", not tried to the end: what it costs is not known", "warning")))
    took = format_units.duration(abs(other.rebuild_us) * 1e3)
    size = format_units.size(abs(other.file_bytes))
    said += [(", ", "dim"), _compared(took, other.rebuild_us), (" to rebuild, ", "dim")]
    said += [_compared(size, other.file_bytes), (" on disk", "dim")]
    tried = f"; tried on {other.sampled:,} of its entries"
    return Row((*said, (tried, "dim"))) if spans_width(said) + len(tried) <= width else Row(tuple(said))


def _compared(told: str, change: float) -> Span:
    return f"{told} {'more' if change > 0 else 'less'}", "warning" if change > 0 else "good"


def group_title(table: ChainTable, group: ChainGroup) -> str:
    """Return which entries and chains an item stands for."""
    first, last = table.bounds(group.start)[0], table.bounds(group.stop - 1)[1]
    many = group.stop - group.start
    chains = f"chain {group.start + 1:,}" if many == 1 else f"chains {group.start + 1:,}–{group.stop:,}"
    return f"{chains} of {len(table):,}: #{first:,}–{last:,}"


def figures_row(chain: ChainFigures) -> Row:
    """Return the figures of one chain in one line."""
    parts = [format_units.count(chain.deltas, "delta")]
    if chain.limits.deltas is not None:
        parts[0] += f" of {chain.limits.deltas:,} at most"
    size = f"{format_units.size(chain.full_bytes)} full + {format_units.size(chain.delta_bytes)} deltas"
    if chain.limits.bytes is not None:
        size += f" of {format_units.size(chain.limits.bytes)}"
    parts += [size, f"over {format_units.duration(chain.age_ns)}"]
    if not chain.has_base:
        parts.insert(0, "no full snapshot to stand on")
    parts += [
        format_units.count(number, noun) for number, noun in ((chain.holes, "hole"), (chain.forks, "fork")) if number
    ]
    return Row(((f" {', '.join(parts)}", "text"),))


def verdict_row(chain: ChainFigures, glyphs: Glyphs) -> Row:
    """Return what is known of a chain, and why."""
    told = WORDS[chain.health]
    if not chain.is_examined and chain.health is not ChainHealth.UNKNOWN:
        told += ", not examined"
    reason = f"  {on_grid(chain.reason[:300])}" if chain.reason else ""
    if chain.health is ChainHealth.NEAR:
        reason = "  the next full snapshot is due"
    return Row(((f" {sign(chain.health, glyphs)} {told}", STYLES[chain.health]), (reason, "dim")))


def group_rows(group: ChainGroup, glyphs: Glyphs) -> list[Row]:
    """Return what is known of several chains that share a place on the wall."""
    flaws = [word for word, is_there in (("holes", group.has_holes), ("forks", group.has_forks)) if is_there]
    figures = [f"the deepest has {format_units.count(group.deltas, 'delta')}", *flaws]
    if group.share:
        figures.insert(1, f"up to {group.share:.0%} of its limit")
    told = (
        WORDS[group.health]
        if group.is_examined or group.health is ChainHealth.UNKNOWN
        else f"{WORDS[group.health]}, not all examined"
    )
    return [
        Row(((f" {', '.join(figures)}", "text"),)),
        Row(((f" {sign(group.health, glyphs)} {told}", STYLES[group.health]), ("  Enter shows each of them", "dim"))),
    ]
