"""Which entries the history list shows: all of them, or those a filter lets through."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable


class Rows:
    """Row number to entry number and back, in O(log n), without one object an entry."""

    __slots__ = ("_kept", "_total")

    def __init__(self, total: int, kept: array[int] | None = None) -> None:
        """Make the rows of a history of `total` entries; `kept` holds the ascending numbers of those shown."""
        self._total = total
        self._kept = kept

    def __len__(self) -> int:
        return self._total if self._kept is None else len(self._kept)

    def __getitem__(self, row: int) -> int:
        return row if self._kept is None else self._kept[row]

    def position(self, seq: int) -> int:
        """Return the row of an entry, or the row it would be inserted at."""
        return seq if self._kept is None else bisect_left(self._kept, seq)

    def extend(self, seqs: Iterable[int], total: int) -> None:
        """Show more entries of a history that now has `total`."""
        self._total = total
        if self._kept is not None:
            self._kept.extend(seqs)

    @property
    def filtered(self) -> bool:
        """Only some entries are shown."""
        return self._kept is not None
