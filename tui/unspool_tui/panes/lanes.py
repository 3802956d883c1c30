"""What the lanes of the timeline show, worked out in the worker for the lanes and cells in sight, and remembered."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import islice, pairwise
from typing import TYPE_CHECKING, Final

from unspool.errors import UnspoolError
from unspool.model.entries import NOTE, Entry
from unspool.model.values import Value
from unspool_tui.panes.history import always
from unspool_tui.view.axis import (
    Axis,
    CellFigures,
    Lane,
    LaneKind,
    LaneRow,
    Ranking,
    lanes_of,
    most_changed,
    named_parts,
    number_of,
    ranked,
)
from unspool_tui.view.overview import EntryLedger

if TYPE_CHECKING:
    from unspool.history.history import History
    from unspool_tui.view.model import View

RANKED_AT_ONCE: Final = 2_000
"""Entries up to which atoms are ranked before the first frame; longer histories have the worker do it."""
_SAMPLE: Final = 64
"""Entries that are asked which atoms they changed together."""
_CHUNK: Final = 4096
"""Writes that are looked at before the worker may turn to other things."""
_CELLS_KEPT: Final = 4_000
"""Cells of all lanes that are remembered, at about 300 bytes each."""
_AXES_KEPT: Final = 3
"""Axes whose cells are remembered even where those are more: that of the whole, and those one zooms to and from."""
_ERRORS_KEPT: Final = 100_000
_META_READ: Final = 50_000
"""Entries up to which the meta of all of them is read for errors; of longer histories, that of notes only."""
_PROBES: Final = 3
"""Values of an atom that are looked at before it is taken to be no number."""
_GRAVE: Final = frozenset(("error", "critical", "fatal", "alert", "emergency"))

Range = tuple[int, int]


class LaneBook:
    """Figures of lanes by range of entries; entries never change, so a figure of a range holds for ever."""

    def __init__(self, history: History) -> None:
        self._history = history
        self.may_ask: Callable[[], bool] = always
        self.ranking = Ranking()
        self._cells: dict[Lane, dict[Range, CellFigures]] = {}
        self._kept = 0
        self._newest: dict[Lane, Range] = {}
        """By lane, the cell that ended with the newest entry when it was counted: it goes on where more entries arrive."""
        self._probed: dict[Lane, int] = {}
        """How many values of an atom were no number; -1 where one was."""
        self._errors = array("q")
        self._meta_read = 0
        self._version = 0
        """Grows with all that is learned, so that what was made of it before is known to be old."""
        self._made: tuple[tuple[object, ...], list[LaneRow], bool] | None = None

    def forget(self) -> None:
        """Work all out anew: the history was cut or replaced."""
        self._cells.clear()
        self._newest.clear()
        self._probed.clear()
        self._errors = array("q")
        self._kept = self._meta_read = 0
        self._version += 1
        self.ranking = Ranking()

    def lanes(self, view: View, ledger: EntryLedger, most: int) -> tuple[Lane, ...]:
        """Return the lanes of a view, from above; as many as there is room for."""
        if self._is_due(view.total) and view.count <= RANKED_AT_ONCE and self.may_ask():
            self.ranking = ranked(self._activity(), self._changed_together(view.total), view.total)
        has_notes = bool(ledger.ready and ledger.note_count()) or bool(self._errors)
        return lanes_of(view, self.ranking, notes=has_notes, most=most)

    @property
    def kept(self) -> int:
        """How many cells of all lanes are remembered."""
        return self._kept

    @property
    def unranked(self) -> bool:
        """Whether it is not known yet which atoms change most."""
        return not self.ranking.total

    def _is_due(self, total: int) -> bool:
        return total >= 2 * self.ranking.total and total > self.ranking.total

    def _activity(self) -> Mapping[str, int]:
        try:
            return self._history.activity()
        except UnspoolError:
            # What is damaged is told where the entry itself is looked at.
            return {}

    def _changed_together(self, total: int) -> Iterator[list[str]]:
        """Yield the atoms that some entries changed; asked for only where names speak of parts."""
        first = self._history.first
        for seq in range(first, total, max(1, (total - first) // _SAMPLE)):
            with suppress(UnspoolError):
                yield [atom for atom, _ in self._history.changed_atoms(seq)]

    def rows(self, lanes: Sequence[Lane], axis: Axis, ledger: EntryLedger) -> list[LaneRow]:
        """Return what is known of lanes along an axis; the same list while nothing more is."""
        return self._look(lanes, axis, ledger)[0]

    def lacks(self, lanes: Sequence[Lane], axis: Axis, ledger: EntryLedger, total: int) -> bool:
        """Whether something about lanes is still to be worked out."""
        return self._is_due(total) or self._meta_read < total or self._look(lanes, axis, ledger)[1]

    def _look(self, lanes: Sequence[Lane], axis: Axis, ledger: EntryLedger) -> tuple[list[LaneRow], bool]:
        key = (lanes, axis, self._version)
        if self._made is None or any(
            one is not other and one != other for one, other in zip(self._made[0], key, strict=True)
        ):
            missing = any(self._missing(lane, axis) for lane in lanes if lane.kind is not LaneKind.NOTES)
            self._made = key, self._rows(lanes, axis, ledger), missing
        return self._made[1:]

    def _rows(self, lanes: Sequence[Lane], axis: Axis, ledger: EntryLedger) -> list[LaneRow]:
        ranges = list(pairwise(axis.edges))
        found = []
        for lane in lanes:
            if lane.kind is LaneKind.NOTES:
                notes = [CellFigures(ledger.facts(*part).notes if part[0] < part[1] else 0) for part in ranges]
                found.append(LaneRow(lane, notes, self._errors_in(axis)))
            else:
                known = self._cells.get(lane, {})
                found.append(
                    LaneRow(lane, [_NOTHING if low >= high else known.get((low, high)) for low, high in ranges])
                )
        return found

    def _errors_in(self, axis: Axis) -> frozenset[int]:
        low, high = bisect_left(self._errors, axis.start), bisect_left(self._errors, axis.stop)
        return frozenset(axis.cell_of(seq) for seq in self._errors[low:high])

    def _missing(self, lane: Lane, axis: Axis) -> list[int]:
        """Return the cells of a lane whose figures, or whose number, are not known."""
        known = self._cells.get(lane, {})
        numbers = lane.kind is LaneKind.ATOM and self._probed.get(lane, 0) < _PROBES
        missing = []
        for cell, part in enumerate(pairwise(axis.edges)):
            figures = known.get(part)
            # Where nothing was written the number before still stands, and only the first cell has none before.
            unvalued = numbers and figures is not None and not figures.valued and (figures.writes > 0 or cell == 0)
            if part[0] < part[1] and (figures is None or unvalued):
                missing.append(cell)
        return missing

    def work_out(self, lanes: Sequence[Lane], axis: Axis, ledger: EntryLedger, total: int) -> Iterator[bool | None]:
        """Work out what is missing, in the worker; yield True where there is more to see, None in between."""
        if self._is_due(total):
            changes = self._activity()
            yield None
            together = []
            for changed in self._changed_together(total) if named_parts(most_changed(changes)) else ():
                together.append(changed)
                yield None
            self.ranking = ranked(changes, together, total)
            yield True
        if self._kept > max(_CELLS_KEPT, _AXES_KEPT * len(lanes) * axis.cells):
            self._keep_only(axis)
        wanted = [lane for lane in lanes if lane.kind is not LaneKind.NOTES]
        for lane in wanted:
            yield from self._count(lane, axis, total)
        for lane in wanted:
            if lane.kind is LaneKind.ATOM:
                yield from self._value(lane, axis)
        yield from self._read_meta(ledger, total)
        yield True

    def _keep_only(self, axis: Axis) -> None:
        """Forget the cells that an axis does not show."""
        shown = set(pairwise(axis.edges))
        self._cells = {
            lane: {part: figures for part, figures in known.items() if part in shown}
            for lane, known in self._cells.items()
        }
        self._kept = sum(map(len, self._cells.values()))
        self._version += 1

    def _count(self, lane: Lane, axis: Axis, total: int) -> Iterator[bool | None]:
        """Count the writes of the cells that are not known."""
        known = self._cells.setdefault(lane, {})
        edges = axis.edges
        missing = [
            cell for cell in range(axis.cells) if edges[cell] < edges[cell + 1] and _range(axis, cell) not in known
        ]
        for low, high in _runs(missing):
            counts, lasts = [0] * (high - low), [-1] * (high - low)
            start, begun = edges[low], self._begun(lane, _range(axis, low))
            before = None if begun is None else known.get(begun)
            if begun is not None and before is not None:
                start, counts[0], lasts[0] = begun[1], before.writes, before.last
            for atom in lane.atoms:
                writes = self._history.writes(atom, start, edges[high])
                try:
                    while chunk := list(islice(writes, _CHUNK)):
                        _share_out(chunk, edges, low, high, counts, lasts)
                        yield None
                except UnspoolError:
                    # Damage is told where the entries themselves are looked at; the lane shows what could be read.
                    continue
            for cell in range(low, high):
                if edges[cell] < edges[cell + 1]:
                    known[_range(axis, cell)] = CellFigures(counts[cell - low], lasts[cell - low])
                    self._kept += 1
            if begun is not None and before is not None:
                if before.last == lasts[0]:
                    # The number at its end is the same, too.
                    known[_range(axis, low)] = before
                self._kept -= known.pop(begun, None) is not None
            if edges[high] == total:
                self._newest[lane] = _range(axis, high - 1)
            self._version += 1
            yield True

    def _begun(self, lane: Lane, part: Range) -> Range | None:
        """Return the cell that was counted when fewer entries were there, which another one begins with."""
        newest = self._newest.get(lane)
        return newest if newest is not None and newest[0] == part[0] and newest[1] < part[1] else None

    def _value(self, lane: Lane, axis: Axis) -> Iterator[bool | None]:
        """Find the number at the end of each cell, first of few cells all over the axis, then of those in between."""
        known = self._cells.setdefault(lane, {})
        missing = self._missing(lane, axis)
        step = 1 << max(0, axis.cells.bit_length() - 2)
        done: set[int] = set()
        while step:
            for cell in missing:
                if cell in done or (cell % step and step > 1):
                    continue
                if self._probed.get(lane, 0) >= _PROBES:
                    self._version += 1
                    return
                done.add(cell)
                part = _range(axis, cell)
                figures = known.get(part)
                if figures is not None:
                    known[part] = self._valued(lane, figures, part)
                    yield None
            self._version += 1
            yield True
            step //= 2

    def _valued(self, lane: Lane, figures: CellFigures, part: Range) -> CellFigures:
        last, atom = figures.last if figures.last >= 0 else None, lane.name
        value: Value = None
        try:
            if last is None:
                last = self._history.previous_write(atom, part[0])
            if last is not None:
                value = self._history.value(last, atom)
        except (KeyError, UnspoolError):
            # It was deleted there, or cannot be read; both show as no number.
            value = None
        number = number_of(value)
        if number is not None:
            self._probed[lane] = -1
        elif value is not None and self._probed.get(lane, 0) >= 0:
            self._probed[lane] = self._probed.get(lane, 0) + 1
        return CellFigures(figures.writes, figures.last, True, number)

    def _read_meta(self, ledger: EntryLedger, total: int) -> Iterator[None]:
        """Find errors among the entries that are new: their meta, or what they say, names them."""
        history, kinds = self._history, ledger.columns.kind
        only_notes = total - history.first > _META_READ
        start = max(self._meta_read, history.first)
        while start < total:
            stop = min(total, start + 256)
            entries: Sequence[Entry] = ()
            if not only_notes or NOTE in kinds[start:stop]:
                with suppress(UnspoolError):
                    # Damage is told where the entries themselves are looked at.
                    entries = history[start:stop]
            found = [entry.seq for entry in entries if is_error(entry.meta)]
            if found:
                self._errors.extend(found)
                self._version += 1
            self._meta_read = start = stop
            if len(self._errors) > _ERRORS_KEPT:
                del self._errors[: -_ERRORS_KEPT // 2]
            yield None

    def entry_for(self, lane: Lane, axis: Axis, column: int) -> int:
        """Return the entry that a click on a lane means: the last write in the cell, else that of any line."""
        known = self._cells.get(lane, {}).get(_range(axis, axis.cell_at(column)))
        return axis.entry_at(column) if known is None or known.last < 0 else known.last


_NOTHING: Final = CellFigures(0, valued=True)


def _range(axis: Axis, cell: int) -> Range:
    return axis.edges[cell], axis.edges[cell + 1]


def _runs(cells: Sequence[int]) -> Iterator[Range]:
    """Yield neighbouring cells as the first of them and one past the last."""
    start = 0
    for place in range(1, len(cells) + 1):
        if place == len(cells) or cells[place] != cells[place - 1] + 1:
            yield cells[start], cells[place - 1] + 1
            start = place


def _share_out(
    chunk: Sequence[int], edges: Sequence[int], low: int, high: int, counts: list[int], lasts: list[int]
) -> None:
    """Add ascending writes to the counts of the cells from `low` to `high - 1`."""
    place = 0
    for cell in range(max(low, bisect_left(edges, chunk[0] + 1) - 1), high):
        end = bisect_left(chunk, edges[cell + 1], place)
        if end > place:
            counts[cell - low] += end - place
            lasts[cell - low] = max(lasts[cell - low], chunk[end - 1])
            place = end
        if place == len(chunk):
            return


def is_error(meta: Mapping[str, object]) -> bool:
    """Whether the meta of an entry tells of an error: an exception, a call that raised, a note of a grave level."""
    level = meta.get("level")
    return "exception" in meta or "raised" in meta or (isinstance(level, str) and level.lower() in _GRAVE)
