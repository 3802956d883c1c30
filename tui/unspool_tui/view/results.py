"""The list of results: rows that are added while somebody already reads them, and how far the looking has come."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable
from enum import StrEnum
from time import monotonic
from typing import Final, NamedTuple

from unspool.model.keys import Path


class ListKind(StrEnum):
    """What the results are of."""

    SEARCH = "search"
    QUESTION = "question"
    WRITES = "writes"
    CHECKS = "checks"
    BOOKMARKS = "bookmarks"
    NOTES = "notes"


class ResultRow(NamedTuple):
    """A row of the list.

    Attributes:
        seq: the entry.
        address: the value there; empty for the entry as such.
        mark: a word or sign in front, such as `+` or `holds`.
        before: the value before, as text.
        after: the value there, or what is said of the entry; None: it is looked up when the row is seen.
        who: why it happened; None: the entry's action.
    """

    seq: int
    address: Path = ()
    mark: str = ""
    before: str = ""
    after: str | None = None
    who: str | None = None


_FIRST_GUESS: Final = 0.5
"""Seconds after which enough was seen to say how long the rest will take."""


class ResultList:
    """Results in the order in which they are listed; a million of them take some tens of megabytes."""

    __slots__ = (
        "_addresses",
        "_clock",
        "_said",
        "_seqs",
        "_shared",
        "_started",
        "kind",
        "looked_at",
        "said",
        "title",
        "total",
    )

    def __init__(self, kind: ListKind, title: str, *, total: int = 0, clock: Callable[[], float] = monotonic) -> None:
        """Make an empty list.

        Args:
            kind: what its rows are of.
            title: what was asked, in a few words.
            total: entries that are looked at for it; 0 where that is not known.
            clock: seconds that pass.
        """
        self.kind = kind
        self.title = title
        self.total = total
        self.looked_at = 0
        self.said = ""
        self._clock = clock
        self._started = clock()
        self._seqs = array("q")
        self._addresses: list[Path] = []
        self._shared: dict[Path, Path] = {}
        self._said: dict[int, ResultRow] = {}

    def __len__(self) -> int:
        return len(self._seqs)

    def __getitem__(self, row: int) -> ResultRow:
        said = self._said.get(row)
        return said if said is not None else ResultRow(self._seqs[row], self._addresses[row])

    def add(self, result: ResultRow) -> None:
        """Add a row at the end."""
        if result[2:] != ResultRow(0)[2:]:
            self._said[len(self._seqs)] = result
        self._seqs.append(result.seq)
        # Hits mostly lie at the same few places.
        self._addresses.append(self._shared.setdefault(result.address, result.address))

    def row_of(self, seq: int) -> int | None:
        """Return the row of an entry in a list in the order of entries; None where it is in none."""
        row = bisect_left(self._seqs, seq)
        return row if row < len(self._seqs) and self._seqs[row] == seq else None

    def progress(self) -> str:
        """Return how far the looking has come, and how long the rest will take as far as that can be said."""
        if not self.total:
            return "looking"
        share = f"{min(99, self.looked_at * 100 // self.total)}% of {self.total:,} entries"
        left = seconds_left(self.looked_at, self.total, self._clock() - self._started)
        return f"{share}, {left}" if left else share


def seconds_left(done: int, total: int, seconds: float) -> str:
    """Return how long the rest of some work will take, in words; empty while nothing can be said.

    Args:
        done: how much is done.
        total: how much there is.
        seconds: how long that took.
    """
    if seconds < _FIRST_GUESS or not 0 < done < total:
        return ""
    left = seconds * (total - done) / done
    if left < 90:
        return f"about {max(1, round(left))} s left"
    return f"about {round(left / 60)} min left" if left < 5400 else f"about {left / 3600:.1f} h left"
