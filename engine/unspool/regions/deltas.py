"""One recorded change: when, what, where, and with what."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Self

from unspool.model.values import MISSING, Value
from unspool.regions.address import Position
from unspool.regions.checks import (
    EMPTY,
    U32_MAX,
    InvalidRegionValue,
    UnknownAction,
    freeze_extra,
    need_list,
    need_object,
    need_text,
    need_whole,
    rest_of,
    set_frozen,
    thaw,
)
from unspool.regions.payloads import STANDARD_ACTION, Payload, payload_for
from unspool.regions.region import Key, RegionView

_FIELDS: Final = ("tick", "action", "position", "data")


@dataclass(frozen=True, slots=True)
class RegionDelta:
    """One change a player made to a region.

    Attributes:
        tick: when; fits u32.
        action: one of `DeltaAction`, or the name of an action of the game's own.
        position: where.
        data: with what; a plain mapping is turned into the payload type of the action.
        extra: further fields of the delta, kept verbatim.

    Raises:
        InvalidRegionValue: a field does not have the shape it must have; the message names it.
    """

    tick: int
    action: str
    position: Position
    data: Payload
    extra: Mapping[str, Value] = EMPTY

    def __post_init__(self) -> None:
        need_whole("tick", self.tick, 0, U32_MAX)
        need_text("action", self.action)
        if not isinstance(self.position, Position):
            raise InvalidRegionValue("position must be a Position; Position(10, 15)")
        set_frozen(self, "action", STANDARD_ACTION.get(self.action, self.action))
        set_frozen(self, "data", payload_for(self.action, self.data))
        if self.extra is not EMPTY:
            set_frozen(self, "extra", freeze_extra("delta", self.extra, dict.fromkeys(_FIELDS)))

    @classmethod
    def from_json(cls, raw: Value) -> Self:
        """Read a delta object; the action may be any text here, readers check it against their table.

        Raises:
            InvalidRegionValue: a field is missing or of the wrong type.
        """
        fields = need_object("delta", raw)
        position = Position.from_json(fields.get("position", MISSING))
        data = need_object("data", fields.get("data", MISSING))
        rest = rest_of(fields, _FIELDS) if len(fields) > len(_FIELDS) else EMPTY
        return cls(fields.get("tick", MISSING), fields.get("action", MISSING), position, data, rest)  # type: ignore[arg-type]

    def to_json(self) -> dict[str, Value]:
        """Return the delta object."""
        return {
            "tick": self.tick,
            "action": str(self.action),
            "position": self.position.to_json(),
            "data": self.data.to_json(),
            **thaw(self.extra),
        }

    def __str__(self) -> str:
        return f"{self.action} at {self.position}, tick {self.tick}"


def read_deltas(raw: Value, name: str, known_actions: Container[str] = STANDARD_ACTION) -> tuple[RegionDelta, ...]:
    """Read a list of delta objects; one bad delta refuses the list.

    Args:
        raw: the list.
        name: what it is called in messages.
        known_actions: the actions that may occur.

    Raises:
        UnknownAction: an action is not known; the message says where and what to do.
        InvalidRegionValue: a delta does not have the shape of its action.
    """
    deltas = []
    for index, item in enumerate(need_list(name, raw)):
        try:
            delta = RegionDelta.from_json(item)
        except InvalidRegionValue as error:
            raise type(error)(f"{name}[{index}]: {error}") from None
        if delta.action not in known_actions:
            raise UnknownAction(
                f"{name}[{index}]: unknown action {delta.action!r}; correct it, or read with an ActionTable "
                "that has it (ActionTable.with_action)"
            )
        deltas.append(delta)
    return tuple(deltas)


def in_tick_order(deltas: Iterable[RegionDelta]) -> tuple[RegionDelta, ...]:
    """Return deltas as they apply: by tick; equal ticks keep the order they are given in."""
    return tuple(sorted(deltas, key=lambda delta: delta.tick))


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
    """Items that came into the region or left it."""

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
