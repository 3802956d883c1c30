"""What is kept of one region: its address, its base, and what players did."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple, Self

from unspool.model.values import MISSING, Value
from unspool.regions.address import (
    EMPTY,
    FrozenObject,
    InvalidRegionValue,
    Number,
    RegionAddress,
    freeze_extra,
    need_number,
    need_object,
    need_text,
    need_whole,
    present,
    rest_of,
    set_frozen,
    thaw,
)
from unspool.regions.payloads import STANDARD_ACTION
from unspool.regions.region import RegionDelta, in_tick_order, read_deltas

SNAPSHOT_TEMPLATE: Final = "snapshot"
"""The `baseTemplate` of a file whose base is a stored snapshot."""

VISIT_FIELDS: Final[Mapping[str, str]] = {
    "firstVisitTick": "first_visit_tick",
    "lastVisitTick": "last_visit_tick",
    "totalTimeSpent": "total_time_spent",
    "playerVisitCount": "player_visit_count",
}
"""The visit fields in JSON and in Python; the seed's JSON sample leaves them out."""

HEAD_FIELDS: Final = ("address", "baseTemplate", "baseSeed", *VISIT_FIELDS, "snapshot")
"""The fields that files of one player and of many have in common."""


class Base(NamedTuple):
    """What a region is generated from."""

    template: str
    seed: Number

    def __str__(self) -> str:
        return f"template {self.template!r}, seed {self.seed}"


@dataclass(frozen=True, slots=True)
class SnapshotReference:
    """Where the snapshot is that a file stands on, and what the region was generated from at first.

    The seed's files say only `"baseTemplate": "snapshot"`, so its loader took them for a mismatch and lost them.
    """

    key: str
    original: Base

    def to_json(self) -> dict[str, Value]:
        """Return the reference as an object."""
        return {"key": self.key, "baseTemplate": self.original.template, "baseSeed": self.original.seed}

    @classmethod
    def from_json(cls, raw: Value) -> Self:
        """Read a reference.

        Raises:
            InvalidRegionValue: a field is missing or of the wrong type.
        """
        fields = need_object("snapshot", raw)
        key, template = fields.get("key", MISSING), fields.get("baseTemplate", MISSING)
        need_text("snapshot.key", key)
        need_text("snapshot.baseTemplate", template)
        need_number("snapshot.baseSeed", fields.get("baseSeed", MISSING))
        return cls(key, Base(template, fields["baseSeed"]))


def check_head(file: Any) -> None:
    """Check the fields that all region files have.

    Raises:
        InvalidRegionValue: one of them does not have the shape it must have.
    """
    if not isinstance(file.address, RegionAddress):
        raise InvalidRegionValue("address must be a RegionAddress")
    need_text("baseTemplate", file.base_template)
    need_number("baseSeed", file.base_seed)
    for name, attribute in VISIT_FIELDS.items():
        if getattr(file, attribute) is not None:
            need_whole(name, getattr(file, attribute))


def read_head(fields: Mapping[str, Value], lists: tuple[str, ...]) -> dict[str, Any]:
    """Read the fields that all region files have, as arguments of their constructor.

    Args:
        fields: the file as an object.
        lists: the names of its lists of deltas.

    Raises:
        InvalidRegionValue: a field is missing or of the wrong type.
    """
    known = (*HEAD_FIELDS, *lists)
    extra = rest_of(fields, known)
    snapshot = fields.get("snapshot")
    stands_on_snapshot = fields.get("baseTemplate") == SNAPSHOT_TEMPLATE and isinstance(snapshot, Mapping)
    if "snapshot" in fields and not stands_on_snapshot:
        extra["snapshot"] = snapshot
    return {
        "address": RegionAddress.from_json(fields.get("address", MISSING)),
        "base_template": fields.get("baseTemplate", MISSING),
        "base_seed": fields.get("baseSeed", MISSING),
        **{attribute: fields.get(name) for name, attribute in VISIT_FIELDS.items()},
        "snapshot": SnapshotReference.from_json(snapshot) if stands_on_snapshot else None,
        "extra": extra or EMPTY,
    }


def head_fields(file: Any) -> dict[str, Value]:
    """Return the fields that all region files have and this one says."""
    visits = {name: getattr(file, attribute) for name, attribute in VISIT_FIELDS.items()}
    return present(
        address=file.address.to_json(),
        baseTemplate=file.base_template,
        baseSeed=file.base_seed,
        **visits,
        snapshot=None if file.snapshot is None else file.snapshot.to_json(),
    )


def freeze_head(file: Any, lists: tuple[str, ...]) -> None:
    """Check the fields that all region files have, and freeze the extra ones.

    Raises:
        InvalidRegionValue: one of them does not have the shape it must have.
    """
    check_head(file)
    known = {**head_fields(file), **dict.fromkeys(lists)}
    set_frozen(file, "extra", freeze_extra("file", file.extra, known))


def original_base(template: str, seed: Number, snapshot: SnapshotReference | None) -> Base:
    """Return what a file's region was generated from, also below a snapshot."""
    return Base(template, seed) if snapshot is None else snapshot.original


@dataclass(frozen=True, slots=True)
class RegionDeltaFile:
    """All changes of one region, as one player sees it.

    Attributes:
        address: which region.
        base_template: what it was generated from, or `snapshot`.
        base_seed: what it was generated with.
        deltas: what players did, in file order.
        first_visit_tick: tick of the first entry; None where the file does not say, as with the next three.
        last_visit_tick: tick of the last exit.
        total_time_spent: ticks inside, over all visits.
        player_visit_count: how many visits.
        snapshot: the snapshot the deltas stand on, if any.
        extra: further fields, kept verbatim.

    Raises:
        InvalidRegionValue: a field does not have the shape it must have.
    """

    address: RegionAddress
    base_template: str
    base_seed: Number
    deltas: tuple[RegionDelta, ...] = ()
    first_visit_tick: int | None = None
    last_visit_tick: int | None = None
    total_time_spent: int | None = None
    player_visit_count: int | None = None
    snapshot: SnapshotReference | None = None
    extra: Mapping[str, Value] = EMPTY

    def __post_init__(self) -> None:
        freeze_head(self, ("deltas",))
        set_frozen(self, "deltas", tuple(self.deltas))

    @classmethod
    def from_json(cls, raw: Value, known_actions: Container[str] = STANDARD_ACTION) -> Self:
        """Read a region file as an object.

        Raises:
            InvalidRegionValue: a field is missing or malformed; the message says which.
        """
        fields = need_object("region file", raw)
        head = read_head(fields, ("deltas",))
        return cls(deltas=read_deltas(fields.get("deltas", MISSING), "deltas", known_actions), **head)

    def to_json(self) -> dict[str, Value]:
        """Return the file as an object."""
        deltas = [delta.to_json() for delta in self.deltas]
        return {**head_fields(self), "deltas": deltas, **thaw(self.extra)}

    @property
    def original(self) -> Base:
        """What the region was generated from, also below a snapshot."""
        return original_base(self.base_template, self.base_seed, self.snapshot)

    def with_deltas(self, deltas: Iterable[RegionDelta]) -> Self:
        """Return the file with more deltas at its end."""
        return replace(self, deltas=(*self.deltas, *deltas))

    def deltas_for(self, _player: str | None = None) -> tuple[RegionDelta, ...]:
        """Return the deltas in the order they apply; every player sees the same ones."""
        return in_tick_order(self.deltas)

    def undo_last(self, count: int = 1) -> tuple[Self, tuple[RegionDelta, ...]]:
        """Take back the deltas that apply last.

        Returns:
            The file without them, and they themselves, oldest first.

        Raises:
            InvalidRegionValue: there are fewer.
        """
        kept, undone = undo_last(self.deltas, count)
        return replace(self, deltas=kept), undone


def undo_last(deltas: tuple[RegionDelta, ...], count: int) -> tuple[tuple[RegionDelta, ...], tuple[RegionDelta, ...]]:
    """Split off the deltas that apply last: by tick, and by their place among equal ticks.

    Returns:
        The others in their file order, and the undone, oldest first.

    Raises:
        InvalidRegionValue: there are fewer than `count`.
    """
    need_whole("count", count)
    if count > len(deltas):
        raise InvalidRegionValue(
            f"cannot undo {count} deltas: there are {len(deltas)}; what a snapshot holds is undone by replaying "
            "to an earlier tick (RegionStore.region_at)"
        )
    order = sorted(range(len(deltas)), key=lambda index: deltas[index].tick)
    undone = order[len(deltas) - count :]
    gone = set(undone)
    kept = tuple(delta for index, delta in enumerate(deltas) if index not in gone)
    return kept, tuple(deltas[index] for index in undone)


COMPONENT_SCHEMA: Final = "https://aivillage.dev/schemas/component/region_delta/v1"
COMPONENT_TYPE: Final = "region_delta"
COMPONENT_VERSION: Final = 1

_HEAD: Final = {"$schema": COMPONENT_SCHEMA, "$version": COMPONENT_VERSION, "type": COMPONENT_TYPE}
_DATA_FIELDS: Final = ("deltas", "baseTemplate", "baseSeed")


@dataclass(frozen=True, slots=True)
class RegionDeltaComponent:
    """Region deltas inside a save game: the base and the deltas, with no address of their own.

    Attributes:
        base_template: what the region was generated from.
        base_seed: what it was generated with.
        deltas: what players did, in file order.
        data_extra: further fields of the data, kept verbatim.
        extra: further fields of the component, kept verbatim.
    """

    base_template: str
    base_seed: Number
    deltas: tuple[RegionDelta, ...] = ()
    data_extra: Mapping[str, Value] = EMPTY
    extra: Mapping[str, Value] = EMPTY

    def __post_init__(self) -> None:
        need_text("data.baseTemplate", self.base_template)
        need_number("data.baseSeed", self.base_seed)
        set_frozen(self, "deltas", tuple(self.deltas))
        set_frozen(self, "data_extra", freeze_extra("data", self.data_extra, dict.fromkeys(_DATA_FIELDS)))
        set_frozen(self, "extra", freeze_extra("component", self.extra, {**_HEAD, "data": None}))

    @classmethod
    def from_json(cls, raw: Value, known_actions: Container[str] = STANDARD_ACTION) -> Self:
        """Read a component.

        Raises:
            InvalidRegionValue: it is another component, another version, or malformed.
        """
        fields = need_object("component", raw)
        for name, value in _HEAD.items():
            if name in fields and fields[name] != value:
                raise InvalidRegionValue(f"{name} is {fields[name]!r}; this reads {value!r} only")
        data = need_object("data", fields.get("data", MISSING))
        return cls(
            data.get("baseTemplate", MISSING),
            data.get("baseSeed", MISSING),
            read_deltas(data.get("deltas", MISSING), "data.deltas", known_actions),
            rest_of(data, _DATA_FIELDS),
            rest_of(fields, (*_HEAD, "data")),
        )

    def to_json(self) -> dict[str, Value]:
        """Return the component as an object."""
        data = {
            "deltas": [delta.to_json() for delta in self.deltas],
            "baseTemplate": self.base_template,
            "baseSeed": self.base_seed,
            **thaw(self.data_extra),
        }
        return {**_HEAD, "data": data, **thaw(self.extra)}

    def deltas_for(self, _player: str | None = None) -> tuple[RegionDelta, ...]:
        """Return the deltas in the order they apply."""
        return in_tick_order(self.deltas)

    def at(self, address: RegionAddress) -> RegionDeltaFile:
        """Return a region file with these deltas, for an address that the caller knows."""
        return RegionDeltaFile(address, self.base_template, self.base_seed, self.deltas, extra=self.data_extra)


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
