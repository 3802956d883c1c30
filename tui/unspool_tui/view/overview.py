"""What is drawn and asked of the whole history: the largest value per bin, the ledger of entries, kept up as they arrive."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import compress, pairwise
from typing import Protocol

from unspool.model.entries import FULL, NOTE

BLOCK = 512
"""Entries whose maximum is remembered together; a million entries make 2,000 blocks."""


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


class Overview:
    """Maxima over ranges of a growing column, without going over all entries again."""

    __slots__ = ("_bins", "_blocks", "_column", "_key", "first")

    def __init__(self, column: Sequence[int], first: int = 0) -> None:
        """Summarise a growing column of sizes; `first` is the first entry that counts, and may move."""
        self._column = column
        self.first = first
        self._blocks: list[int] = []
        self._key: tuple[int, int, int] = (-1, -1, -1)
        self._bins: tuple[int, ...] = ()

    def bins(self, width: int) -> tuple[int, ...]:
        """Return the largest value of each of `width` equal parts of the history (fewer when it is shorter)."""
        total, first = len(self._column), self.first
        if self._key != (first, total, width):
            self._extend(total)
            entries = total - first
            count = min(width, entries)
            edges = [first + part * entries // count for part in range(count)] + [total]
            self._bins = tuple(self._largest(start, stop) for start, stop in pairwise(edges))
            self._key = (first, total, width)
        return self._bins

    def _extend(self, total: int) -> None:
        column, blocks = self._column, self._blocks
        if len(blocks) > total // BLOCK:
            blocks.clear()
        if not blocks:
            blocks.extend([0] * (self.first // BLOCK))
        for start in range(len(blocks) * BLOCK, total - BLOCK + 1, BLOCK):
            blocks.append(max(column[start : start + BLOCK]))

    def _largest(self, start: int, stop: int) -> int:
        first_block, last_block = -(-start // BLOCK), stop // BLOCK
        if first_block >= last_block:
            return max(self._column[start:stop])
        middle = max(self._blocks[first_block:last_block])
        head = self._column[start : first_block * BLOCK]
        tail = self._column[last_block * BLOCK : stop]
        return max(middle, max(head, default=0), max(tail, default=0))


def bin_of(seq: int, total: int, width: int, first: int = 0) -> int:
    """Return the bin that an entry falls into; the inverse of the ranges in `Overview.bins`."""
    seq, total = max(seq - first, 0), total - first
    count = min(width, total)
    if count <= 0:
        return 0
    # The bin p covers [p*total//count, (p+1)*total//count).
    place = seq * count // total
    return place if (place + 1) * total // count > seq else place + 1


def entry_at(column: int, total: int, width: int, first: int = 0) -> int:
    """Return the entry that a click on a column of the overview means.

    The first column is the first entry and the last column the newest; between them the middle of the bin.
    """
    entries = total - first
    count = min(width, entries)
    if count <= 1:
        return max(first, total - 1) if column > 0 else first
    place = max(0, min(column, count - 1))
    if place == count - 1:
        return total - 1
    return first if place == 0 else first + (place * entries // count + (place + 1) * entries // count) // 2


def window_start(start: int, head: int, width: int, total: int, first: int = 0) -> int:
    """Return the first entry of the chain strip.

    The window moves by half its width when the head leaves it, so that most steps repaint two cells, not all.
    """
    if total - first <= width:
        return first
    if head < start or head >= start + width:
        start = head - width // 2
    return max(first, min(start, total - width))


_FULL, _NOTE = bytes((FULL,)), bytes((NOTE,))
_IS_FULL, _IS_NOTE, _IS_NO_NOTE = FULL.__eq__, NOTE.__eq__, NOTE.__ne__


class EntryLedger:
    """Sums and positions over the columns of a history."""

    __slots__ = (
        "_base", "_columns", "_kinds", "_longest", "_seen", "as_full", "first", "full_stored", "note_stored", "overview", "ready", "stored",
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
        self.overview = Overview(columns.stored, first)

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
            self.overview = Overview(columns.stored, self.first)
        self._kinds.extend(columns.kind[self._seen : total])
        self._add(self._seen, total, 1)
        self._seen = total

    def begin_at(self, first: int) -> None:
        """Count no entry before `first` any more: those were dropped."""
        if self.first < first:
            self._add(self.first, min(first, self._seen), -1)
            if self._seen < first:
                # Nothing of what was counted is kept.
                self._kinds.clear()
                self._base = self._seen = first
            self.first = self.overview.first = first
            self._longest = (-1, 0)

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
