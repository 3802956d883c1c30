"""All chains of a history as flat columns: sizes, depth and limits at once, and what the doctor found as it goes along.

A chain is a full snapshot and the deltas that stand on it; notes between them stand on nothing and count for nothing.
The figures are those of the records as they were stored, so they stay the same whoever looks and whenever.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterable
from enum import IntEnum
from itertools import accumulate, compress
from operator import mul
from typing import TYPE_CHECKING, Final

import msgspec

from unspool.codec.strategies import ChainLimits, limits_of
from unspool.model.entries import DELTA, FULL, NOTE
from unspool.store.protocol import HOLE, Columns

if TYPE_CHECKING:
    from unspool.query.doctor.chains import ChainRow, ChainRules

NEAR: Final = 0.85
"""Share of its limit from which on a chain that still grows is near it."""
_IS_FULL: Final = bytes(int(kind == FULL) for kind in range(256))
_IS_NO_NOTE: Final = bytes(int(kind != NOTE) for kind in range(256))


class ChainHealth(IntEnum):
    """What is known of a chain, the worst last; of several chains the worst counts.

    A chain is sound only where the doctor examined it; whoever mixes sound chains with others that nobody examined has
    some that nobody examined.
    """

    SOUND = 0
    UNKNOWN = 1
    NEAR = 2
    OVER = 3
    BROKEN = 4


class ChainFigures(msgspec.Struct, frozen=True, gc=False):
    """One chain.

    Attributes:
        first: its full snapshot; its first entry where that is lost.
        last: its newest entry.
        deltas: entries that stand on the full snapshot.
        age_ns: nanoseconds from the first entry to the last.
        full_bytes: bytes of the full snapshot's record.
        delta_bytes: bytes of the records of the deltas.
        limits: where its rule ends it.
        share: the largest share of a limit that it takes; 0 where its rule has no limit.
        holes: entries that cannot be read.
        forks: entries that do not follow the one before them.
        health: what is known of it.
        is_examined: whether the doctor looked at all of it.
        has_base: whether it begins with a full snapshot.
        reason: what the doctor said; "" for nothing.
    """

    first: int
    last: int
    deltas: int
    age_ns: int
    full_bytes: int
    delta_bytes: int
    limits: ChainLimits
    share: float
    holes: int
    forks: int
    health: ChainHealth
    is_examined: bool
    has_base: bool
    reason: str


class ChainGroup(msgspec.Struct, frozen=True, gc=False):
    """Neighbouring chains as one: the deepest, the worst, and whether any of them has a hole or a fork.

    Attributes:
        start: the first chain.
        stop: one past the last chain.
        deltas: deltas of the deepest.
        share: the largest share of a limit.
        health: the worst that is known.
        is_examined: whether the doctor looked at all of them.
        has_holes: whether one has an entry that cannot be read.
        has_forks: whether one has an entry that does not follow the one before it.
    """

    start: int
    stop: int
    deltas: int
    share: float
    health: ChainHealth
    is_examined: bool
    has_holes: bool
    has_forks: bool


class ChainTable:
    """The chains of a growing history: 8 bytes an entry and 22 bytes a chain. Not safe to use from several threads."""

    def __init__(self, columns: Columns, rules: ChainRules, first: int = 0) -> None:
        """Start with no chain; `extend` takes in what is there.

        Args:
            columns: the columns of the history; they may grow.
            rules: what ends its chains.
            first: its first entry.
        """
        self._columns = columns
        self._rules = rules
        self.first = first
        self.total = first
        """One past the last entry that was taken in."""
        self._starts = array("q")
        self._deltas = array("q")
        self._shares = array("d")
        self._health = bytearray()
        self._examined = bytearray()
        self._bytes_before = array("q", (0,))
        self._reasons: dict[int, str] = {}
        self._notes, self._holes, self._forks = array("q"), array("q"), array("q")

    def __len__(self) -> int:
        return len(self._starts)

    @property
    def columns(self) -> Columns:
        """The columns that it was made from."""
        return self._columns

    @property
    def rule(self) -> str:
        """The rule that ends its chains, by name."""
        return self._rules.name

    @property
    def newest_rule(self) -> str:
        """The rule that ended the newest chain, by name."""
        return self._rules.rules[-1].name

    def extend(self, total: int) -> bool:
        """Take in the entries up to `total`; return whether any was new. A chain that grew is unexamined again."""
        if total <= self.total:
            return False
        columns, start = self._columns, self.total
        kinds, codecs = bytes(columns.kind[start:total]), bytes(columns.codec[start:total])
        found = list(compress(range(start, total), kinds.translate(_IS_FULL)))
        if not self._starts and DELTA in kinds[: found[0] - start if found else None]:
            # The full snapshot that these stand on is lost, or was dropped.
            found.insert(0, start)
        counted = map(mul, columns.stored[start:total], kinds.translate(_IS_NO_NOTE))
        sums = accumulate(counted, initial=self._bytes_before.pop())
        self._bytes_before.extend(sums)
        self._notes.extend(_where(kinds, NOTE, start))
        self._holes.extend(_where(codecs, HOLE, start))
        grown = len(self._starts) - 1 if self._starts and (not found or found[0] > start) else len(self._starts)
        self._starts.extend(found)
        self.total = total
        for values in (self._deltas, self._shares, self._health, self._examined):
            del values[grown:]
        self._measure(grown)
        return True

    def _measure(self, start: int) -> None:
        """Work out depth and share of the limit of the chains from one on."""
        added = len(self) - start
        self._examined.extend(bytes(added))
        for place in range(start, len(self)):
            first, last = self.bounds(place)
            deltas = (
                last - first
                if last == first or not self._notes
                else last - first - self._in(self._notes, first, last)
            )
            deltas += self._columns.kind[first] != FULL
            share = self._share(place, deltas) if deltas else 0.0
            self._deltas.append(deltas)
            self._shares.append(share)
            self._health.append(ChainHealth.OVER if share > 1.0 else ChainHealth.UNKNOWN)

    def _share(self, place: int, deltas: int) -> float:
        limits = self._limits_at(place)
        first, last = self.bounds(place)
        found = 0.0
        if limits.deltas is not None:
            found = deltas / max(limits.deltas, 1)
        if limits.bytes is not None:
            found = max(found, self._delta_bytes(first, last) / max(limits.bytes, 1))
        if limits.age_ms is not None:
            times = self._columns.timestamp_ns
            found = max(found, (times[last] - times[first]) / 1e6 / max(limits.age_ms, 1e-6))
        return found

    def _limits_at(self, place: int) -> ChainLimits:
        first = self._starts[place]
        return limits_of(self._rules.at(first), self._columns.full_bytes[first])

    def _delta_bytes(self, first: int, last: int) -> int:
        start = first + (self._columns.kind[first] == FULL) - self.first
        return self._bytes_before[last + 1 - self.first] - self._bytes_before[start]

    @staticmethod
    def _in(seqs: array[int], first: int, last: int) -> int:
        return bisect_right(seqs, last) - bisect_right(seqs, first - 1)

    def add_forks(self, seqs: Iterable[int]) -> None:
        """Take note of entries that do not follow the one before them, in order."""
        self._forks.extend(seq for seq in seqs if seq > self.first)

    def forks_in(self, first: int, last: int) -> list[int]:
        """Return the entries from one to another that do not follow the one before them, as far as they were reported."""
        return list(self._forks[bisect_right(self._forks, first - 1) : bisect_right(self._forks, last)])

    def holes_in(self, first: int, last: int) -> list[int]:
        """Return the entries from one to another that cannot be read."""
        return list(self._holes[bisect_right(self._holes, first - 1) : bisect_right(self._holes, last)])

    def place(self, seq: int) -> int:
        """Return the chain that an entry belongs to: 0 for those before the first one."""
        return max(0, bisect_right(self._starts, seq) - 1)

    def bounds(self, place: int) -> tuple[int, int]:
        """Return the first and the last entry of a chain."""
        stop = self._starts[place + 1] if place + 1 < len(self._starts) else self.total
        return self._starts[place], stop - 1

    def __getitem__(self, place: int) -> ChainFigures:
        """Return the figures of one chain."""
        first, last = self.bounds(place)
        has_base = self._columns.kind[first] == FULL
        times = self._columns.timestamp_ns
        return ChainFigures(
            first,
            last,
            self._deltas[place],
            times[last] - times[first],
            self._columns.stored[first] if has_base else 0,
            self._delta_bytes(first, last),
            self._limits_at(place),
            self._shares[place],
            self._in(self._holes, first, last),
            self._in(self._forks, first, last),
            self._health_at(place),
            bool(self._examined[place]),
            has_base,
            self._reasons.get(place, ""),
        )

    def _health_at(self, place: int) -> ChainHealth:
        known = ChainHealth(self._health[place])
        # A rule ends every chain at its limit; only one that still grows can come near it.
        is_near = known < ChainHealth.NEAR and place == len(self) - 1 and self._shares[place] >= NEAR
        return ChainHealth.NEAR if is_near else known

    def longest(self) -> int:
        """Return the most deltas that a chain has."""
        return max(self._deltas, default=0)

    def group(self, start: int, stop: int) -> ChainGroup:
        """Return neighbouring chains as one; there must be at least one."""
        first, last = self._starts[start], self.bounds(stop - 1)[1]
        worst = ChainHealth(max(self._health[start:stop]))
        return ChainGroup(
            start,
            stop,
            max(self._deltas[start:stop]),
            max(self._shares[start:stop]),
            max(worst, self._health_at(stop - 1)),
            0 not in self._examined[start:stop],
            self._in(self._holes, first, last) > 0,
            self._in(self._forks, first, last) > 0,
        )

    def counts(self) -> dict[ChainHealth, int]:
        """Return how many chains there are of each health."""
        found = {health: self._health.count(health) for health in ChainHealth}
        if len(self) and (newest := self._health_at(len(self) - 1)) is ChainHealth.NEAR:
            found[ChainHealth(self._health[-1])] -= 1
            found[newest] += 1
        return found

    def unexamined(self) -> int:
        """Return how many chains the doctor has not looked at as a whole."""
        return self._examined.count(0)

    def begin_examination(self) -> None:
        """Forget what was found of the chains: the doctor begins anew."""
        self._examined = bytearray(len(self))
        self._reasons.clear()
        self._health = bytearray(ChainHealth.OVER if share > 1.0 else ChainHealth.UNKNOWN for share in self._shares)

    def examined(self, row: ChainRow) -> None:
        """Take what the doctor says of a chain that it looked at as a whole."""
        if not self._starts or row.first >= self.total:
            return
        places = range(self.place(row.first), self.place(row.last) + 1)
        found = _HEALTH[str(row.verdict)]
        for place in places:
            first, last = self.bounds(place)
            # The doctor begins anew behind an entry that it cannot read: such a chain is examined with its last part.
            # One that grew meanwhile is not.
            if last <= row.last:
                self._examined[place] = 1
                if self._health[place] == ChainHealth.UNKNOWN:
                    self._health[place] = ChainHealth.SOUND
            if found is not ChainHealth.SOUND or row.first == first:
                self._note(place, found, row.reason)

    def doubted(self, first: int | None, last: int | None, meaning: str) -> None:
        """Take an error that was found of entries: their chains are broken."""
        if first is None or not self._starts or first >= self.total:
            return
        for place in range(self.place(first), self.place(first if last is None else last) + 1):
            self._note(place, ChainHealth.BROKEN, meaning)

    def _note(self, place: int, found: ChainHealth, reason: str) -> None:
        if found is ChainHealth.SOUND:
            self._reasons.setdefault(place, reason)
        elif found > self._health[place] or self._health[place] == found != ChainHealth.BROKEN:
            self._health[place] = found
            self._reasons[place] = reason


_HEALTH: Final = {"keep": ChainHealth.SOUND, "create base": ChainHealth.OVER, "broken": ChainHealth.BROKEN}


def _where(values: bytes, wanted: int, start: int) -> list[int]:
    """Return the entries whose value is the wanted one; `start` is the entry of the first value."""
    return [start + place for place, value in enumerate(values) if value == wanted] if wanted in values else []
