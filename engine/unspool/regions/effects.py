"""What one delta does to a region, as values: writes, conflicts, and the movements of items."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from unspool.regions.deltas import RegionDelta
from unspool.regions.region import Key, RegionView


@dataclass(frozen=True, slots=True)
class Write:
    """One cell of one layer gets a new value; None empties it."""

    layer: str
    key: Key
    value: Any


class MovementKind(StrEnum):
    """How items cross the border of what a region holds; `unstated` is leaving without a fate."""

    ARRIVED = "arrived"
    TAKEN = "taken"
    DESTROYED = "destroyed"
    TRANSFORMED = "transformed"
    CORRUPTED = "corrupted"
    UNSTATED = "unstated"


@dataclass(frozen=True, slots=True)
class Movement:
    """Items that came into the region or left it (rows R-56, R-57)."""

    item_id: str
    quantity: int
    kind: MovementKind


@dataclass(frozen=True, slots=True)
class Effect:
    """All that one delta does.

    Attributes:
        writes: what changes, in order.
        conflicts: in words, where the region was not as the delta says; the writes still make the delta hold,
            because what a player did outranks what was generated.
        movements: items that came or left.
    """

    writes: tuple[Write, ...] = ()
    conflicts: tuple[str, ...] = ()
    movements: tuple[Movement, ...] = ()


Reducer = Callable[[RegionView, RegionDelta], Effect]
"""A pure function: what a delta does to a region, seen but not touched."""


@dataclass(frozen=True, slots=True)
class Conflict:
    """A place where a delta and its region disagree."""

    delta: RegionDelta
    reason: str

    def __str__(self) -> str:
        return f"{self.delta}: {self.reason}"
