"""Visits: when, how long, how often (row R-21)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self

from unspool.regions.address import RegionAddress
from unspool.regions.deltas import RegionDelta
from unspool.regions.multiplayer import MultiplayerRegionDelta
from unspool.regions.region_file import Base, RegionDeltaFile

StoredFile = RegionDeltaFile | MultiplayerRegionDelta
"""What a store keeps of one region."""


@dataclass(frozen=True, slots=True)
class Visits:
    """One or more visits of one region.

    Attributes:
        first: tick of the first entry.
        last: tick of the last exit.
        spent: ticks inside, over all of them.
        count: how many.
    """

    first: int
    last: int
    spent: int
    count: int

    @classmethod
    def one(cls, entry: int, leave: int) -> Self:
        """Return a single visit; a clock that was set back in between spent no time."""
        leave = max(entry, leave)
        return cls(entry, leave, leave - entry, 1)

    def followed_by(self, later: Visits) -> Self:
        """Return these visits and later ones together."""
        return replace(
            self,
            first=min(self.first, later.first),
            last=max(self.last, later.last),
            spent=self.spent + later.spent,
            count=self.count + later.count,
        )


@dataclass(frozen=True, slots=True, eq=False)
class OpenVisit:
    """A visit that has begun and is not stored yet; each is itself only.

    Attributes:
        address: which region.
        base: what the region is generated from.
        entry: tick of the entry.
    """

    address: RegionAddress
    base: Base
    entry: int


def with_visits(file: StoredFile, visits: Visits) -> StoredFile:
    """Return a file that counts some visits more.

    A file that does not say when its region was first visited takes the earliest tick it knows of: its deltas prove
    that somebody was there.
    """
    known = [visits.first]
    if file.first_visit_tick is not None:
        known.append(file.first_visit_tick)
    else:
        known += (delta.tick for delta in file.deltas_for()[:1])
    return replace(
        file,
        first_visit_tick=min(known),
        last_visit_tick=max(visits.last, file.last_visit_tick or 0),
        total_time_spent=(file.total_time_spent or 0) + visits.spent,
        player_visit_count=(file.player_visit_count or 0) + visits.count,
    )


def with_recorded(
    file: StoredFile, shared: tuple[RegionDelta, ...], personal: Mapping[str, tuple[RegionDelta, ...]]
) -> StoredFile:
    """Return a file with what was recorded; it becomes one of many players when something personal is in it."""
    if personal and isinstance(file, RegionDeltaFile):
        file = MultiplayerRegionDelta.sharing(file)
    file = file.with_deltas(shared)
    if isinstance(file, MultiplayerRegionDelta):
        for player, deltas in personal.items():
            file = file.with_deltas(deltas, player)
    return file
