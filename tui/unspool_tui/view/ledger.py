"""Running facts about a growing history: totals, full snapshots, the overview; each entry is looked at once."""

from __future__ import annotations

from itertools import compress

from unspool_tui.view.history_port import Columns
from unspool_tui.view.overview import Overview

_FULL = b"\x01"
_IS_FULL = (1).__eq__


class Ledger:
    """Sums and positions over the columns of a history."""

    __slots__ = ("_columns", "_kinds", "_longest", "_seen", "as_full", "full_stored", "overview", "ready", "stored")

    def __init__(self, columns: Columns) -> None:
        """Start with nothing seen; `catch_up` does the rest, and until then the ledger is not ready."""
        self.ready = False
        self._columns = columns
        self._kinds = bytearray()
        self._seen = 0
        self._longest = (-1, 0)
        self.stored = 0
        self.as_full = 0
        self.full_stored = 0
        self.overview = Overview(columns.stored)

    @property
    def columns(self) -> Columns:
        """The arrays that the ledger sums up."""
        return self._columns

    def catch_up(self, total: int) -> None:
        """Take note of the entries up to `total`; a shorter history is counted anew."""
        self.ready = True
        columns = self._columns
        if total < self._seen:
            self._kinds.clear()
            self._seen = self.stored = self.as_full = self.full_stored = 0
            self.overview = Overview(columns.stored)
        kinds, stored = columns.kind[self._seen : total], columns.stored[self._seen : total]
        self._kinds.extend(kinds)
        self.stored += sum(stored)
        self.full_stored += sum(compress(stored, map(_IS_FULL, kinds)))
        self.as_full += sum(columns.full_bytes[self._seen : total])
        self._seen = total

    @property
    def delta_bytes(self) -> int:
        """Bytes stored of entries that are no full snapshots."""
        return self.stored - self.full_stored

    def previous_full(self, seq: int) -> int | None:
        """Return the nearest full snapshot before an entry."""
        found = self._kinds.rfind(_FULL, 0, max(0, seq))
        return found if found >= 0 else None

    def next_full(self, seq: int) -> int | None:
        """Return the nearest full snapshot after an entry."""
        found = self._kinds.find(_FULL, seq + 1)
        return found if found >= 0 else None

    def depth(self, seq: int) -> int:
        """Return how many deltas lie between an entry and the full snapshot it stands on."""
        start = self._kinds.rfind(_FULL, 0, seq + 1)
        return seq - start if start >= 0 else seq

    def full_count(self) -> int:
        """Return how many full snapshots there are."""
        return self._kinds.count(_FULL)

    def longest(self) -> int:
        """Return the most deltas that follow one full snapshot."""
        if self._longest[0] != self._seen:
            parts = self._kinds.split(_FULL)
            self._longest = (self._seen, max((len(part) for part in parts), default=0))
        return self._longest[1]

    def chains(self) -> list[tuple[int, int]]:
        """Return each chain as its full snapshot and the number of entries in it."""
        starts = []
        place = self._kinds.find(_FULL)
        while place >= 0:
            starts.append(place)
            place = self._kinds.find(_FULL, place + 1)
        ends = [*starts[1:], self._seen]
        return [(start, end - start) for start, end in zip(starts, ends, strict=True)]
