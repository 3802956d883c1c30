"""Running facts about a growing history: totals, full snapshots, the overview; each entry is looked at once."""

from __future__ import annotations

from itertools import compress

from unspool.model.entries import FULL, NOTE
from unspool_tui.view.history_port import Columns
from unspool_tui.view.overview import Overview

_FULL, _NOTE = bytes((FULL,)), bytes((NOTE,))
_IS_FULL, _IS_NOTE, _IS_NO_NOTE = FULL.__eq__, NOTE.__eq__, NOTE.__ne__


class Ledger:
    """Sums and positions over the columns of a history."""

    __slots__ = (
        "_columns", "_kinds", "_longest", "_seen", "as_full", "full_stored", "note_stored", "overview", "ready", "stored",
    )  # fmt: skip

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
        self.note_stored = 0
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
            self._seen = self.stored = self.as_full = self.full_stored = self.note_stored = 0
            self.overview = Overview(columns.stored)
        kinds, stored = columns.kind[self._seen : total], columns.stored[self._seen : total]
        self._kinds.extend(kinds)
        self.stored += sum(stored)
        self.full_stored += sum(compress(stored, map(_IS_FULL, kinds)))
        self.note_stored += sum(compress(stored, map(_IS_NOTE, kinds)))
        self.as_full += sum(compress(columns.full_bytes[self._seen : total], map(_IS_NO_NOTE, kinds)))
        self._seen = total

    @property
    def delta_bytes(self) -> int:
        """Bytes stored of deltas."""
        return self.stored - self.full_stored - self.note_stored

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
        start = max(self._kinds.rfind(_FULL, 0, seq + 1), 0)
        return seq - start - self._kinds.count(_NOTE, start, seq + 1)

    def full_count(self) -> int:
        """Return how many full snapshots there are."""
        return self._kinds.count(_FULL)

    def note_count(self) -> int:
        """Return how many notes there are."""
        return self._kinds.count(_NOTE)

    def longest(self) -> int:
        """Return the most deltas that follow one full snapshot."""
        if self._longest[0] != self._seen:
            parts = self._kinds.replace(_NOTE, b"").split(_FULL)
            self._longest = (self._seen, max((len(part) for part in parts), default=0))
        return self._longest[1]

    def chains(self) -> list[tuple[int, int, int]]:
        """Return each chain as its full snapshot, its last entry, and the number of deltas in it."""
        starts = []
        place = self._kinds.find(_FULL)
        while place >= 0:
            starts.append(place)
            place = self._kinds.find(_FULL, place + 1)
        ends = [*starts[1:], self._seen]
        notes = self._kinds.count
        return [
            (start, end - 1, end - 1 - start - notes(_NOTE, start, end))
            for start, end in zip(starts, ends, strict=True)
        ]
