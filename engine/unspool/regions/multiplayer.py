"""What all players see of a region, and what one player sees (rows R-54, R-55)."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Self

from unspool.model.values import MISSING, Value
from unspool.regions.address import RegionAddress
from unspool.regions.checks import EMPTY, FrozenObject, Number, need_object, need_text, set_frozen, thaw
from unspool.regions.deltas import RegionDelta, in_tick_order, read_deltas
from unspool.regions.payloads import STANDARD_ACTION
from unspool.regions.region_file import (
    Base,
    RegionDeltaFile,
    SnapshotReference,
    freeze_head,
    head_fields,
    original_base,
    read_head,
    undo_last,
)


@dataclass(frozen=True, slots=True)
class MultiplayerRegionDelta:
    """All changes of one region: shared ones that everyone sees, and personal ones by player.

    A player sees both lists merged by tick. At equal ticks shared deltas come before personal ones, and each list
    keeps its own order. The other attributes are those of `RegionDeltaFile`.

    Raises:
        InvalidRegionValue: a field does not have the shape it must have.
    """

    address: RegionAddress
    base_template: str
    base_seed: Number
    shared_deltas: tuple[RegionDelta, ...] = ()
    personal_deltas: Mapping[str, tuple[RegionDelta, ...]] = EMPTY
    first_visit_tick: int | None = None
    last_visit_tick: int | None = None
    total_time_spent: int | None = None
    player_visit_count: int | None = None
    snapshot: SnapshotReference | None = None
    extra: Mapping[str, Value] = EMPTY

    def __post_init__(self) -> None:
        freeze_head(self, ("sharedDeltas", "personalDeltas"))
        for player in self.personal_deltas:
            need_text("personalDeltas: player", player)
        personal = {player: tuple(deltas) for player, deltas in self.personal_deltas.items()}
        set_frozen(self, "shared_deltas", tuple(self.shared_deltas))
        set_frozen(self, "personal_deltas", FrozenObject(personal))

    @classmethod
    def from_json(cls, raw: Value, known_actions: Container[str] = STANDARD_ACTION) -> Self:
        """Read a multiplayer file as an object; `personalDeltas` is an object keyed by player.

        Raises:
            InvalidRegionValue: a field is missing or malformed; the message says which.
        """
        fields = need_object("region file", raw)
        head = read_head(fields, ("sharedDeltas", "personalDeltas"))
        shared = read_deltas(fields.get("sharedDeltas", MISSING), "sharedDeltas", known_actions)
        lists = need_object("personalDeltas", fields.get("personalDeltas", MISSING))
        personal = {
            player: read_deltas(deltas, f"personalDeltas.{player}", known_actions) for player, deltas in lists.items()
        }
        return cls(shared_deltas=shared, personal_deltas=personal, **head)

    def to_json(self) -> dict[str, Value]:
        """Return the file as an object."""
        return {
            **head_fields(self),
            "sharedDeltas": [delta.to_json() for delta in self.shared_deltas],
            "personalDeltas": {
                player: [delta.to_json() for delta in deltas] for player, deltas in self.personal_deltas.items()
            },
            **thaw(self.extra),
        }

    @classmethod
    def sharing(cls, file: RegionDeltaFile) -> Self:
        """Return the file of a single player as one of many, in which everyone sees all of it."""
        head = {name: getattr(file, name) for name in cls.__slots__ if name in RegionDeltaFile.__slots__}
        return cls(shared_deltas=file.deltas, **head)

    @property
    def original(self) -> Base:
        """What the region was generated from, also below a snapshot."""
        return original_base(self.base_template, self.base_seed, self.snapshot)

    @property
    def players(self) -> tuple[str, ...]:
        """Who has personal deltas."""
        return tuple(self.personal_deltas)

    def deltas_for(self, player: str | None = None) -> tuple[RegionDelta, ...]:
        """Return what a player sees, in the order it applies; without a player, what everyone sees."""
        personal = () if player is None else self.personal_deltas.get(player, ())
        return in_tick_order((*self.shared_deltas, *personal))

    def with_deltas(self, deltas: Iterable[RegionDelta], player: str | None = None) -> Self:
        """Return the file with more deltas: shared ones, or personal ones of a player."""
        if player is None:
            return replace(self, shared_deltas=(*self.shared_deltas, *deltas))
        mine = (*self.personal_deltas.get(player, ()), *deltas)
        return replace(self, personal_deltas={**self.personal_deltas, player: mine})

    def undo_last(self, count: int = 1, player: str | None = None) -> tuple[Self, tuple[RegionDelta, ...]]:
        """Take back the shared deltas that apply last, or a player's personal ones.

        Returns:
            The file without them, and they themselves, oldest first.

        Raises:
            InvalidRegionValue: there are fewer.
        """
        if player is None:
            kept, undone = undo_last(self.shared_deltas, count)
            return replace(self, shared_deltas=kept), undone
        kept, undone = undo_last(self.personal_deltas.get(player, ()), count)
        return replace(self, personal_deltas={**self.personal_deltas, player: kept}), undone
