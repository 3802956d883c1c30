"""Where an item went: a closed set of fates, none of which is "deleted" (row R-56)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Self

from unspool.model.values import MISSING, Value
from unspool.regions.address import Position
from unspool.regions.checks import freeze_extra, need_object, need_text, rest_of
from unspool.regions.errors import InvalidRegionValue, UnknownFate
from unspool.regions.frozen import EMPTY, describe, thaw


class FateKind(StrEnum):
    """What can become of an item."""

    TAKEN = "taken"
    DESTROYED = "destroyed"
    MOVED = "moved"
    TRANSFORMED = "transformed"
    CORRUPTED = "corrupted"


FATE_FIELDS: Final[Mapping[FateKind, str]] = {
    FateKind.TAKEN: "playerId",
    FateKind.DESTROYED: "reason",
    FateKind.MOVED: "newPosition",
    FateKind.TRANSFORMED: "resultItemId",
    FateKind.CORRUPTED: "corruptionId",
}
"""The one field that each fate must carry."""


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of an item, and the one fact that this fate requires.

    Attributes:
        kind: which of the five.
        detail: the player, reason, resulting item or corruption; a `Position` for `moved`.
        extra: further fields, kept verbatim.

    Raises:
        InvalidRegionValue: the required field is missing or of the wrong type.
    """

    kind: FateKind
    detail: str | Position
    extra: Mapping[str, Value] = EMPTY

    def __post_init__(self) -> None:
        field = FATE_FIELDS[FateKind(self.kind)]
        if self.kind is FateKind.MOVED:
            if not isinstance(self.detail, Position):
                raise InvalidRegionValue(f"disposition {self.kind} needs {field}, a position")
        else:
            need_text(f"disposition {self.kind}: {field}", self.detail)
        known = {"type": self.kind, field: self.detail}
        object.__setattr__(self, "extra", freeze_extra("disposition", self.extra, known))

    @classmethod
    def taken(cls, player_id: str) -> Self:
        """The item is in a player's inventory."""
        return cls(FateKind.TAKEN, player_id)

    @classmethod
    def destroyed(cls, reason: str) -> Self:
        """The item is gone, and this is why."""
        return cls(FateKind.DESTROYED, reason)

    @classmethod
    def moved(cls, new_position: Position) -> Self:
        """The item lies somewhere else in the region."""
        return cls(FateKind.MOVED, new_position)

    @classmethod
    def transformed(cls, result_item_id: str) -> Self:
        """The item was made into another."""
        return cls(FateKind.TRANSFORMED, result_item_id)

    @classmethod
    def corrupted(cls, corruption_id: str) -> Self:
        """The item is marked as corrupted."""
        return cls(FateKind.CORRUPTED, corruption_id)

    @property
    def new_position(self) -> Position | None:
        """Where a moved item lies now; None for every other fate."""
        return self.detail if isinstance(self.detail, Position) else None

    @classmethod
    def from_json(cls, raw: Value) -> Self:
        """Read a disposition object.

        Raises:
            UnknownFate: its type is outside the closed set.
            InvalidRegionValue: its required field is missing.
        """
        fields = need_object("disposition", raw)
        name = fields.get("type", MISSING)
        if not isinstance(name, str) or name not in set(FateKind):
            said = "no type" if name is MISSING else f"the type {describe(name)}"
            raise UnknownFate(f"disposition has {said}; every item has a fate: {', '.join(FateKind)}")
        kind = FateKind(name)
        field = FATE_FIELDS[kind]
        detail = fields.get(field, MISSING)
        if kind is FateKind.MOVED:
            detail = Position.from_json(detail, f"disposition moved: {field}")
        return cls(kind, detail, rest_of(fields, ("type", field)))

    def to_json(self) -> dict[str, Value]:
        """Return the disposition object."""
        detail = self.detail.to_json() if isinstance(self.detail, Position) else self.detail
        return {"type": str(self.kind), FATE_FIELDS[self.kind]: detail, **thaw(self.extra)}
