"""What is drawn and asked of the whole history: the ledger of entries and the sums over ranges of them, kept up as they arrive."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from itertools import compress
from typing import Protocol

from msgspec import Struct

from unspool.model.entries import FULL, NOTE
from unspool_tui.view.axis import Moments

BLOCK = 64
"""Entries whose changes are summed up together; a million entries make 16,000 blocks."""


class EntryColumns(Protocol):
    """Arrays with one item an entry: those of a history, or those of its first pages while it is still being opened."""

    @property
    def timestamp_ns(self) -> Sequence[int]: ...

    @property
    def kind(self) -> Sequence[int]: ...

    @property
    def added(self) -> Sequence[int]: ...

    @property
    def modified(self) -> Sequence[int]: ...

    @property
    def deleted(self) -> Sequence[int]: ...

    @property
    def stored(self) -> Sequence[int]: ...

    @property
    def full_bytes(self) -> Sequence[int]: ...


class ChangeSums:
    """How many atoms the entries of any range changed, without going over all of them."""

    __slots__ = ("_before", "_columns", "_first")

    def __init__(self, columns: EntryColumns, first: int = 0) -> None:
        """Sum up growing columns, of which `first` is the first entry that counts."""
        self._columns = columns
        self._first = first // BLOCK * BLOCK
        self._before = array("Q", (0,))

    def catch_up(self, total: int) -> None:
        """Sum up the blocks that are complete."""
        for start in range(self._first + (len(self._before) - 1) * BLOCK, total - BLOCK + 1, BLOCK):
            self._before.append(self._before[-1] + self._counted(start, start + BLOCK))

    def between(self, start: int, stop: int) -> int:
        """Return the sum over the entries from `start` to `stop - 1`."""
        return self._up_to(stop) - self._up_to(start) if start < stop else 0

    def _up_to(self, seq: int) -> int:
        block = min((seq - self._first) // BLOCK, len(self._before) - 1)
        return self._before[block] + self._counted(self._first + block * BLOCK, seq)

    def _counted(self, start: int, stop: int) -> int:
        columns = self._columns
        return sum(columns.added[start:stop]) + sum(columns.modified[start:stop]) + sum(columns.deleted[start:stop])


_FULL, _NOTE = bytes((FULL,)), bytes((NOTE,))
_IS_FULL, _IS_NOTE, _IS_NO_NOTE = FULL.__eq__, NOTE.__eq__, NOTE.__ne__


class RangeFacts(Struct, frozen=True):
    """What is drawn of a range of entries.

    Attributes:
        changes: atoms that they added, modified or deleted, each counted once an entry.
        fulls: full snapshots among them.
        notes: notes among them.
        depth: the most deltas between one of them and its full snapshot.
    """

    changes: int
    fulls: int
    notes: int
    depth: int


_RANGES_KEPT = 4096


class EntryLedger:
    """Sums and positions over the columns of a history."""

    __slots__ = (
        "_base", "_columns", "_kinds", "_longest", "_ranges", "_seen", "as_full", "changes", "first", "full_stored", "moments", "note_stored", "ready",
        "stored",
    )  # fmt: skip

    def __init__(self, columns: EntryColumns, first: int = 0) -> None:
        """Start with nothing seen; `catch_up` does the rest, and until then the ledger is not ready.

        Args:
            columns: the arrays that are summed up.
            first: the oldest entry; what the columns hold before it does not count.
        """
        self.ready = False
        self.first = first
        self._columns = columns
        self._base = self._seen = first
        """The entry that `_kinds` begins with, and one past the one that it ends with."""
        self._kinds = bytearray()
        self._longest = (-1, 0)
        self.stored = 0
        self.as_full = 0
        self.full_stored = 0
        self.note_stored = 0
        self.changes = ChangeSums(columns, first)
        self.moments = Moments(columns.timestamp_ns, first)
        self._ranges: dict[tuple[int, int], RangeFacts] = {}

    @property
    def columns(self) -> EntryColumns:
        """The arrays that the ledger sums up."""
        return self._columns

    def catch_up(self, total: int) -> None:
        """Take note of the entries up to `total`; a shorter history is counted anew."""
        self.ready = True
        columns = self._columns
        if total < self._seen:
            self._kinds.clear()
            self.stored = self.as_full = self.full_stored = self.note_stored = 0
            self._base = self._seen = self.first
            self.changes = ChangeSums(columns, self.first)
            self.moments = Moments(columns.timestamp_ns, self.first)
            self._ranges.clear()
        self._kinds.extend(columns.kind[self._seen : total])
        self._add(self._seen, total, 1)
        self._seen = total
        self.changes.catch_up(total)
        self.moments.catch_up(total)

    def begin_at(self, first: int) -> None:
        """Count no entry before `first` any more: those were dropped."""
        if self.first < first:
            self._add(self.first, min(first, self._seen), -1)
            if self._seen < first:
                # Nothing of what was counted is kept.
                self._kinds.clear()
                self._base = self._seen = first
                self.changes = ChangeSums(self._columns, first)
                self.moments = Moments(self._columns.timestamp_ns, first)
            self.first = first
            self._longest = (-1, 0)
            self._ranges.clear()

    def _add(self, start: int, stop: int, sign: int) -> None:
        """Count the entries from `start` to `stop - 1`, or take them out again."""
        columns = self._columns
        kinds, stored = columns.kind[start:stop], columns.stored[start:stop]
        self.stored += sign * sum(stored)
        self.full_stored += sign * sum(compress(stored, map(_IS_FULL, kinds)))
        self.note_stored += sign * sum(compress(stored, map(_IS_NOTE, kinds)))
        self.as_full += sign * sum(compress(columns.full_bytes[start:stop], map(_IS_NO_NOTE, kinds)))

    @property
    def delta_bytes(self) -> int:
        """Bytes stored of deltas."""
        return self.stored - self.full_stored - self.note_stored

    def previous_full(self, seq: int) -> int | None:
        """Return the nearest full snapshot before an entry."""
        found = self._kinds.rfind(_FULL, self.first - self._base, max(0, seq - self._base))
        return found + self._base if found >= 0 else None

    def next_full(self, seq: int) -> int | None:
        """Return the nearest full snapshot after an entry."""
        found = self._kinds.find(_FULL, max(0, seq + 1 - self._base))
        return found + self._base if found >= 0 else None

    def depth(self, seq: int) -> int:
        """Return how many deltas lie between an entry and the full snapshot it stands on."""
        first, place = self.first - self._base, seq - self._base
        start = max(self._kinds.rfind(_FULL, first, place + 1), first)
        return place - start - self._kinds.count(_NOTE, start, place + 1)

    def facts(self, start: int, stop: int) -> RangeFacts:
        """Return what is drawn of the entries from `start` to `stop - 1`."""
        found = self._ranges.get((start, stop))
        if found is None:
            if len(self._ranges) >= _RANGES_KEPT:
                self._ranges.clear()
            low, high = start - self._base, stop - self._base
            fulls, notes = self._kinds.count(_FULL, low, high), self._kinds.count(_NOTE, low, high)
            found = RangeFacts(self.changes.between(start, stop), fulls, notes, self.deepest(start, stop))
            self._ranges[start, stop] = found
        return found

    def deepest(self, start: int, stop: int) -> int:
        """Return the most deltas that lie between one of the entries from `start` to `stop - 1` and its full snapshot."""
        base = self._base
        next_full = self._kinds.find(_FULL, start - base, stop - base)
        if next_full < 0:
            return self.depth(stop - 1)
        last_full = self._kinds.rfind(_FULL, start - base, stop - base)
        parts = self._kinds[next_full:last_full].replace(_NOTE, b"").split(_FULL)
        before = self.depth(base + next_full - 1) if base + next_full > start else 0
        return max(before, self.depth(stop - 1), *map(len, parts))

    def full_count(self) -> int:
        """Return how many full snapshots there are."""
        return self._kinds.count(_FULL, self.first - self._base)

    def note_count(self) -> int:
        """Return how many notes there are."""
        return self._kinds.count(_NOTE, self.first - self._base)

    def longest(self) -> int:
        """Return the most deltas that follow one full snapshot."""
        if self._longest[0] != self._seen:
            parts = self._kinds[self.first - self._base :].replace(_NOTE, b"").split(_FULL)
            self._longest = (self._seen, max((len(part) for part in parts), default=0))
        return self._longest[1]
