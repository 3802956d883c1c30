"""Counting what atoms and kinds of paths take, entry by entry."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from unspool.query.footprint_facts import Share

K = TypeVar("K")


@dataclass(slots=True)
class Tally:
    """What one atom or kind takes."""

    stored: float = 0.0
    changes: int = 0
    alone: int = 0
    rewritten: int = 0
    rewritten_bytes: float = 0.0

    def add(self, other: Tally) -> None:
        """Take over what another one counted."""
        self.stored += other.stored
        self.changes += other.changes
        self.alone += other.alone
        self.rewritten += other.rewritten
        self.rewritten_bytes += other.rewritten_bytes

    def share(self, name: str) -> Share:
        """Return the result."""
        stored, rewritten = round(self.stored), round(self.rewritten_bytes)
        return Share(name, stored, self.changes, self.alone, self.rewritten, rewritten)


class Tallies(Generic[K]):
    """Tallies by atom or kind."""

    def __init__(self) -> None:
        """Start with nothing."""
        self.by_key: defaultdict[K, Tally] = defaultdict(Tally)

    def changed(self, keys: set[K]) -> None:
        """Note what one entry changed."""
        for key in keys:
            self.by_key[key].changes += 1
        if len(keys) == 1:
            self.by_key[next(iter(keys))].alone += 1

    def spent(self, total: float, weights: Mapping[K, int], changed: Iterable[K]) -> None:
        """Share bytes out by weight; whatever is not among `changed` was written although it was as before."""
        whole = sum(weights.values())
        known = frozenset(changed)
        for key, weight in weights.items():
            share = total * weight / whole if whole else total / len(weights)
            tally = self.by_key[key]
            tally.stored += share
            if key not in known:
                tally.rewritten += 1
                tally.rewritten_bytes += share
