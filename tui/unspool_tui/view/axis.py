"""The timeline: which entries each cell of its axis stands for, by entry or by time, and which lanes it has.

The axis shows the whole history or a part of it.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import Enum
from heapq import nlargest, nsmallest
from itertools import accumulate, islice, pairwise
from operator import sub
from typing import Final

from msgspec import Struct

from unspool.model.values import Value
from unspool_tui.view.model import View

BLOCK: Final = 512
"""Entries whose times are summed up together; a million entries make 2,000 blocks."""
LEAST_SHOWN: Final = 8
"""Entries that the closest view of the axis shows."""
_RANGES_KEPT: Final = 64
_MOST_GAPS: Final = 8
_GAP_ROOM: Final = 12
"""Columns for each gap that is cut out, at least: more gaps than that would leave nothing of the rest."""
_GAP_SHARE: Final = 8
"""A gap is cut out when it is longer than this part of the time that is shown."""
_GAP_TIMES: Final = 4
"""And this many times longer than entries are usually apart."""

Jump = tuple[int, int]
"""How many nanoseconds passed, and the entry that ended them."""


class TimeGap(Struct, frozen=True):
    """A time in which nothing was recorded.

    Attributes:
        column: the first column of the gap; on an axis by entry, the column of the entry that ends it.
        columns: the columns it takes; 0 on an axis by entry.
        length_ns: how long it is.
    """

    column: int
    columns: int
    length_ns: int


class Axis(Struct, frozen=True):
    """Cells from left to right, and the entries that each stands for.

    Attributes:
        edges: the first entry of each cell, and one past the last entry of all. A cell whose edge is that of the next
            holds no entry.
        scale: columns that a cell takes.
        gaps: the longest times without entries.
        by_time: cells are equal parts of time; else equal numbers of entries.
    """

    edges: tuple[int, ...]
    scale: int = 1
    gaps: tuple[TimeGap, ...] = ()
    by_time: bool = False

    @property
    def cells(self) -> int:
        """How many cells there are."""
        return len(self.edges) - 1

    @property
    def start(self) -> int:
        """The first entry shown."""
        return self.edges[0]

    @property
    def stop(self) -> int:
        """One past the last entry shown."""
        return self.edges[-1]

    def holds(self, seq: int) -> bool:
        """Whether an entry is shown."""
        return self.start <= seq < self.stop

    def cell_of(self, seq: int) -> int:
        """Return the cell of an entry; of one that is not shown, the cell on that side."""
        return max(0, min(bisect_right(self.edges, seq) - 1, self.cells - 1))

    def cell_at(self, column: int) -> int:
        """Return the cell at a column; columns beside the axis mean its ends."""
        return max(0, min(column // self.scale, self.cells - 1))

    def beside(self, seq: int, by: int) -> int:
        """Return the entry that the next cell with entries stands for, before (`-1`) or after (`+1`) that of an entry.

        Beyond the ends it is the entry next to what is shown, and the timeline moves on.
        """
        cell = self.cell_of(seq)
        if by > 0:
            stop = self.edges[cell + 1]
            return stop if stop >= self.stop else self._within(self.cell_of(stop))
        start = self.edges[cell]
        return start - 1 if start <= self.start else self._within(self.cell_of(start - 1))

    def _within(self, cell: int) -> int:
        return self.entry_at(cell * self.scale)

    def entry_at(self, column: int) -> int:
        """Return the entry that a click on a column means.

        The first column is the first entry and the last column the newest; between them the middle of the cell. Where a
        cell holds no entry, it is the one before.
        """
        cell = self.cell_at(column)
        start, stop = self.edges[cell], self.edges[cell + 1]
        if cell == self.cells - 1 and column > 0:
            return stop - 1
        if cell == 0:
            return start
        return max(self.start, (start + stop) // 2 if start < stop else start - 1)


class Moments:
    """Times of a growing column, for finding entries by time without going over all of them.

    Times may go backwards: an entry stands at the latest time of all up to it, so that the order of entries is the order
    on the axis.
    """

    __slots__ = ("_base", "_block", "_column", "_first", "_jumps", "_latest", "_longest", "_sorted")

    def __init__(self, column: Sequence[int], first: int = 0, block: int = BLOCK) -> None:
        """Read a column of times.

        Args:
            column: nanoseconds since the epoch; it may grow.
            first: the first entry that counts.
            block: entries that are summed up together.
        """
        self._block = block
        self._column = column
        self._first = first
        self._base = first // self._block
        self._latest: list[int] = []
        self._jumps: list[int] = []
        self._sorted: list[bool] = []
        self._longest: dict[tuple[int, int, int], tuple[Jump, ...]] = {}

    def catch_up(self, total: int) -> None:
        """Sum up the blocks that are complete; a shorter column is summed up anew."""
        done = self._base + len(self._latest)
        if done > total // self._block:
            for kept in (self._latest, self._jumps, self._sorted):
                kept.clear()
            self._longest.clear()
            done = self._base
        for block in range(done, total // self._block):
            times = self._column[max(block * self._block, self._first) : (block + 1) * self._block]
            before = self._latest[-1] if self._latest else times[0]
            steps = (times[0] - before, *map(sub, times[1:], times))
            self._sorted.append(min(steps) >= 0)
            if min(steps) < 0:
                latest = list(accumulate(times, max, initial=before))
                steps = tuple(map(sub, latest[1:], latest))
            self._jumps.append(max(steps))
            self._latest.append(before + sum(steps))

    def _running(self, start: int, stop: int) -> Iterator[int]:
        """Return the latest times of the entries of a block, or of the rest behind the last whole block."""
        at = start // self._block - self._base
        times = self._column[max(start, self._first) : stop]
        if at <= 0 or not self._latest:
            return accumulate(times, max)
        running = accumulate(times, max, initial=self._latest[min(at, len(self._latest)) - 1])
        next(running)
        return running

    def latest(self, seq: int) -> int:
        """Return the latest time of all entries up to one."""
        blocks, rest = divmod(seq + 1, self._block)
        known = min(blocks - self._base, len(self._latest))
        if known <= 0:
            return max(self._column[self._first : seq + 1])
        if not rest and known == blocks - self._base:
            return self._latest[known - 1]
        return max(self._latest[known - 1], max(self._column[(self._base + known) * self._block : seq + 1]))

    def first_at(self, time: int, stop: int) -> int:
        """Return the first entry that stands at or after a time; `stop` where none before that does."""
        place = bisect_left(self._latest, time)
        start = max((self._base + place) * self._block, self._first)
        if place < len(self._latest):
            end = (self._base + place + 1) * self._block
            if self._sorted[place]:
                return min(stop, bisect_left(self._column, time, start, end))
            return min(stop, next(seq for seq in range(start, end) if self._column[seq] >= time))
        rest = self._column[start:stop]
        return next((start + at for at, found in enumerate(rest) if found >= time), stop)

    def jumps(self, start: int, stop: int, most: int) -> list[Jump]:
        """Return the longest times between two neighbours of a range, longest first."""
        size = self._block
        first_block, last_block = -(-start // size), min(stop // size, self._base + len(self._latest))
        if first_block >= last_block:
            return nlargest(most, self._between(start + 1, stop))
        longest = self._in_blocks(first_block, last_block, most)
        found = set(longest)
        # One of the longest may lead into the first block, so that of those beside them only longer ones count.
        least = longest[most][0] if len(longest) > most else 1
        ends = ((start + 1, first_block * size), (last_block * size, stop))
        found.update(jump for low, high in ends for jump in self._between(max(low, start + 1), high, least))
        # What leads into the first block is no time between two of the range where that begins it.
        return nlargest(most, (jump for jump in found if jump[1] > start))

    def _in_blocks(self, first: int, last: int, most: int) -> tuple[Jump, ...]:
        """Return the longest jumps within whole blocks; those stay as they are, so they are remembered."""
        key = (first, last, most)
        known = self._longest.get(key)
        if known is None:
            if len(self._longest) >= _RANGES_KEPT:
                self._longest.clear()
            base = self._base
            blocks = nlargest(most + 1, range(first, last), key=lambda block: self._jumps[block - base])
            found = {jump for block in blocks for jump in self._in_block(block, most)}
            # One more than asked for: the longest may lead into the first block.
            known = self._longest[key] = tuple(nlargest(most + 1, found))
        return known

    def _in_block(self, block: int, most: int) -> tuple[Jump, ...]:
        """Return the longest jumps of a whole block: while a history grows, mostly those of the same few are wanted."""
        key = (block, block + 1, most)
        known = self._longest.get(key)
        if known is None:
            low, high = max(block * self._block, self._first + 1), (block + 1) * self._block
            known = self._longest[key] = tuple(nlargest(most + 1, self._between(low, high)))
        return known

    def _between(self, start: int, stop: int, least: int = 1) -> Iterator[Jump]:
        """Yield how long after the entry before each entry of a range stands, where that is no less than `least`."""
        while start < stop:
            edge = min(stop, (start // self._block + 1) * self._block)
            times = self._column[start:edge]
            steps = [times[0] - self.latest(start - 1), *map(sub, times[1:], times)]
            if min(steps) < 0:
                skip = start - max(start // self._block * self._block, self._first)
                running = islice(self._running(start // self._block * self._block, edge), skip, None)
                latest = [self.latest(start - 1), *running]
                steps = list(map(sub, latest[1:], latest))
            if max(steps) >= least:
                yield from ((step, start + at) for at, step in enumerate(steps) if step >= least)
            start = edge


def roomy(count: int) -> int:
    """Round a growing number up a little, so that what is laid out by it stays where it is for a while."""
    if count <= 2 * LEAST_SHOWN:
        return count
    quantum = 1 << max(0, count.bit_length() - 6)
    return -(-count // quantum) * quantum


def shown_count(count: int, zoom: int) -> int:
    """Return how many of `count` entries are shown at a zoom: half as many with each step."""
    return max(min(count, LEAST_SHOWN), count >> zoom)


def deepest_zoom(count: int) -> int:
    """Return the last zoom that shows fewer entries than the one before."""
    zoom = 0
    while shown_count(count, zoom + 1) < shown_count(count, zoom):
        zoom += 1
    return zoom


def window_start(start: int, head: int, shown: int, total: int, first: int = 0) -> int:
    """Return the first entry of the part that is shown.

    It moves by half of what is shown when the head leaves it, so that most steps repaint two columns, not all.
    """
    if total - first <= shown:
        return first
    if head < start or head >= start + shown:
        start = head - shown // 2
    return max(first, min(start, total - shown))


_WIDEST_ENTRY: Final = 8
"""Columns that one entry takes at most: wider, the first entries of a history would be slabs."""


def entry_axis(start: int, stop: int, columns: int, jumps: Sequence[Jump] = ()) -> Axis:
    """Return an axis on which every cell stands for the same number of entries.

    Args:
        start: the first entry shown.
        stop: one past the last.
        columns: the columns there are.
        jumps: the longest times between two entries; see `Moments.jumps`.
    """
    count = stop - start
    room = roomy(count)
    cells = max(1, min(columns, room))
    edges = [start + place * room // cells for place in range(cells)]
    edges = [*edges[: bisect_left(edges, stop)], stop]
    axis = Axis(tuple(edges), max(1, min(_WIDEST_ENTRY, columns // cells)))
    gaps = [TimeGap(axis.cell_of(seq) * axis.scale, 0, length) for length, seq in jumps]
    return Axis(axis.edges, axis.scale, tuple(sorted(gaps, key=lambda gap: gap.column)))


class _Piece(Struct):
    """Entries between two gaps that are cut out."""

    start: int
    stop: int
    begin_ns: int
    end_ns: int


def time_axis(moments: Moments, start: int, stop: int, columns: int, gap_columns: int) -> Axis:
    """Return an axis on which every cell stands for the same time, gaps cut out; by entry where all have one time.

    Args:
        moments: the times.
        start: the first entry shown.
        stop: one past the last.
        columns: the columns there are.
        gap_columns: the columns that a gap is drawn with.
    """
    cuts = _cuts(moments, start, stop, min(_MOST_GAPS, columns // max(_GAP_ROOM, 2 * gap_columns)))
    pieces = list(_pieces(moments, start, stop, cuts))
    spans = [piece.end_ns - piece.begin_ns for piece in pieces]
    if not sum(spans):
        return entry_axis(start, stop, columns)
    # What is behind the newest entry is room for those to come.
    spans[-1] = roomy(spans[-1])
    widths = _shared(spans, columns - gap_columns * len(cuts))
    edges: list[int] = []
    gaps: list[TimeGap] = []
    for piece, span, width in zip(pieces, spans, widths, strict=True):
        if edges:
            gaps.append(TimeGap(len(edges), gap_columns, cuts[len(gaps)][0]))
            # Empty cells begin with the entry that follows them.
            edges += [piece.start] * gap_columns
        edges.append(piece.start)
        for place in range(1, width):
            begin = piece.begin_ns - (-span * place // width)
            edges.append(max(piece.start, min(moments.first_at(begin, piece.stop), piece.stop)))
    return Axis((*edges, stop), gaps=tuple(gaps), by_time=True)


def _cuts(moments: Moments, start: int, stop: int, most: int) -> list[Jump]:
    """Return the gaps that are cut out, in order: those that would leave little room for all else."""
    return sorted(long_gaps(moments, start, stop, most), key=lambda jump: jump[1])


def long_gaps(moments: Moments, start: int, stop: int, most: int) -> list[Jump]:
    """Return the times without entries that stand out from the others of a range, longest first."""
    if most < 1 or stop - start < 3:
        return []
    rest = moments.latest(stop - 1) - moments.latest(start)
    left = stop - start - 1
    found: list[Jump] = []
    for length, seq in moments.jumps(start, stop, most):
        left -= 1
        stands_out = length * _GAP_SHARE > rest and left and length * left > _GAP_TIMES * (rest - length)
        if not stands_out or rest == length:
            break
        rest -= length
        found.append((length, seq))
    return found


def _pieces(moments: Moments, start: int, stop: int, cuts: Sequence[Jump]) -> Iterator[_Piece]:
    for low, high in pairwise((start, *(seq for _, seq in cuts), stop)):
        yield _Piece(low, high, moments.latest(low), moments.latest(high - 1))


def _shared(spans: Sequence[int], columns: int) -> list[int]:
    """Return how many columns each span of time gets: at least one, the others by length."""
    free, whole = columns - len(spans), sum(spans)
    edges = [0, *accumulate(spans)]
    return [1 + free * high // whole - free * low // whole for low, high in pairwise(edges)]


MOST_RANKED: Final = 64
"""Atoms that are kept in the order of their activity; no screen has room for more lanes."""


class LaneKind(Enum):
    """What a lane is about."""

    ATOM = "atom"
    PART = "part"
    NOTES = "notes"


class Lane(Struct, frozen=True):
    """A lane.

    Attributes:
        kind: what it is about.
        name: the atom, or the part; `notes` for the lane of notes.
        atoms: the atoms whose writes it counts.
    """

    kind: LaneKind
    name: str
    atoms: tuple[str, ...] = ()


NOTES: Final = Lane(LaneKind.NOTES, "notes")
"""Notes and log lines, and errors among them."""


def atom_lane(atom: str) -> Lane:
    """Return the lane of an atom."""
    return Lane(LaneKind.ATOM, atom, (atom,))


class CellFigures(Struct, frozen=True, gc=False):
    """What a lane knows of the entries of a cell.

    Attributes:
        writes: how many of them wrote an atom of it; of the lane of notes, how many are notes.
        last: the last one that did; -1 for none.
        valued: `value` was worked out.
        value: the number that stood at the end of the cell; None where that was no number, or nothing was written.
    """

    writes: int
    last: int = -1
    valued: bool = False
    value: float | None = None


class LaneRow(Struct, frozen=True):
    """A lane along an axis.

    Attributes:
        lane: which one.
        cells: by cell; None where it is not known yet.
        errors: cells with errors among their notes.
    """

    lane: Lane
    cells: Sequence[CellFigures | None]
    errors: frozenset[int] = frozenset()

    def numbers(self) -> list[float | None]:
        """Return the number that stood at the end of each cell, as far as it is known; all None where it is no number."""
        standing: float | None = None
        found: list[float | None] = []
        for cell in self.cells:
            if cell is not None and cell.valued and (cell.writes or cell.value is not None):
                standing = cell.value
            found.append(standing)
        return found


class Ranking(Struct, frozen=True):
    """The atoms of a history, those that change most first.

    Attributes:
        atoms: up to `MOST_RANKED` of them.
        parts: the atoms of each part, by its name; empty where the history has none.
        total: one past the newest entry when they were ranked.
    """

    atoms: tuple[str, ...] = ()
    parts: Mapping[str, tuple[str, ...]] = {}
    total: int = 0


def ranked(changes: Mapping[str, int], together: Iterable[Sequence[str]], total: int) -> Ranking:
    """Rank atoms.

    Args:
        changes: how often each atom changed.
        together: atoms that changed in one entry, of some entries.
        total: one past the newest entry.
    """
    atoms = most_changed(changes)
    return Ranking(tuple(atoms), parts_of(atoms, together), total)


def most_changed(changes: Mapping[str, int]) -> list[str]:
    """Return the atoms that are ranked, those that change most first."""
    return nsmallest(MOST_RANKED, changes, key=lambda atom: (-changes[atom], atom))


def part_of(atom: str) -> str:
    """Return the part that an atom would be of: what stands before the first blank of its name."""
    part, blank, rest = atom.partition(" ")
    return part if blank and rest else ""


def parts_of(atoms: Sequence[str], together: Iterable[Sequence[str]]) -> dict[str, tuple[str, ...]]:
    """Return the atoms of each part of a history of several: recordings merged into one, threads, players.

    Their readers put the part before the name of an atom, and no entry changes two parts. Names that merely hold blanks
    are told apart by that.
    """
    parts = named_parts(atoms)
    if not parts or any(len({part_of(atom) for atom in changed}) > 1 for changed in together):
        return {}
    return parts


def named_parts(atoms: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return the atoms of each part that their names speak of; empty where they speak of none."""
    parts: dict[str, list[str]] = {}
    for atom in atoms:
        parts.setdefault(part_of(atom), []).append(atom)
    if len(parts) < 2 or "" in parts or len(parts) == len(atoms):
        return {}
    return {name: tuple(held) for name, held in parts.items()}


def lanes_of(view: View, ranking: Ranking, *, notes: bool, most: int) -> tuple[Lane, ...]:
    """Return the lanes that are shown, from above.

    Pinned atoms come first, then notes, then parts, then atoms by their activity; an atom of a part that is hidden has no
    lane, unless it is pinned.

    Args:
        view: says what is pinned and hidden.
        ranking: the atoms.
        notes: there are notes or errors.
        most: lanes there is room for.
    """
    lanes = [atom_lane(atom) for atom in view.pinned]
    lanes += [NOTES] * notes
    shown = [part for part in ranking.parts if part not in view.hidden_parts]
    lanes += [Lane(LaneKind.PART, part, ranking.parts[part]) for part in shown]
    pinned = set(view.pinned)
    for atom in ranking.atoms:
        if atom not in pinned and not (ranking.parts and part_of(atom) in view.hidden_parts):
            lanes.append(atom_lane(atom))
    return tuple(lanes[:most])


def number_of(value: Value) -> float | None:
    """Return a value as a number that can be drawn; None for all that is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None
