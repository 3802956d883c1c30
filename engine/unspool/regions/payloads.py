"""What a delta carries: one payload for each kind of action, and the fate of the items it moves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Self

from unspool.model.values import MISSING, Value
from unspool.regions.address import (
    EMPTY,
    InvalidRegionValue,
    Number,
    Position,
    UnknownFate,
    describe,
    freeze_extra,
    freeze_object,
    need_list,
    need_number,
    need_object,
    need_text,
    need_text_or_none,
    need_whole,
    present,
    rest_of,
    set_frozen,
    thaw,
)


class DeltaAction(StrEnum):
    """The seed's actions; their order from 0 is their number in binary records."""

    ITEM_REMOVED = "item_removed"
    ITEM_ADDED = "item_added"
    ITEM_MOVED = "item_moved"
    BUILDING_BUILT = "building_built"
    BUILDING_DESTROYED = "building_destroyed"
    BUILDING_UPGRADED = "building_upgraded"
    TERRAIN_MODIFIED = "terrain_modified"
    TREE_FELLED = "tree_felled"
    ROCK_MINED = "rock_mined"
    NPC_KILLED = "npc_killed"
    NPC_RECRUITED = "npc_recruited"
    DOOR_STATE_CHANGED = "door_state_changed"
    CHEST_CONTENTS_CHANGED = "chest_contents_changed"
    FARM_PLOT_CREATED = "farm_plot_created"
    FARM_PLOT_PLANTED = "farm_plot_planted"
    OWNERSHIP_CLAIMED = "ownership_claimed"
    SIGN_PLACED = "sign_placed"
    FLAG_PLACED = "flag_placed"
    CUSTOM_BUILDING = "custom_building"

    @property
    def code(self) -> int:
        """The number of the action in binary records, from 0 in list order."""
        return ACTION_CODES[self]


ACTION_ORDER: Final = tuple(DeltaAction)
"""The action of each number."""
ACTION_CODES: Final[Mapping[str, int]] = {action: code for code, action in enumerate(ACTION_ORDER)}
"""The number of each action."""
STANDARD_ACTION: Final[Mapping[str, DeltaAction]] = {str(action): action for action in ACTION_ORDER}
"""The action of each name."""


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


@dataclass(frozen=True, slots=True)
class BuildingDelta:
    """A building as it stands after the action.

    Attributes:
        building_type: what it is.
        rotation: as the game counts it.
        variant: kind of the type.
        owner: player id.
        custom_data: `storage` and `production` (objects of name to number), and whatever else.
        extra: further fields, kept verbatim.
    """

    building_type: str
    rotation: Number = 0
    variant: str | None = None
    owner: str | None = None
    custom_data: Mapping[str, Value] | None = None
    extra: Mapping[str, Value] = EMPTY

    def __post_init__(self) -> None:
        need_text("buildingType", self.building_type)
        need_number("rotation", self.rotation)
        need_text_or_none("variant", self.variant)
        need_text_or_none("owner", self.owner)
        if self.custom_data is not None:
            set_frozen(self, "custom_data", _checked_custom_data(self.custom_data))
        if self.extra is not EMPTY:
            set_frozen(self, "extra", freeze_extra("building", self.extra, self._known()))

    def _known(self) -> dict[str, Value]:
        return present(
            buildingType=self.building_type,
            variant=self.variant,
            rotation=self.rotation,
            owner=self.owner,
            customData=thaw(self.custom_data),
        )

    @classmethod
    def from_json(cls, raw: Value) -> Self:
        """Read a building object.

        Raises:
            InvalidRegionValue: a field is missing or of the wrong type.
        """
        fields = need_object("building", raw)
        return cls(
            fields.get("buildingType", MISSING),
            fields.get("rotation", MISSING),
            fields.get("variant"),
            fields.get("owner"),
            fields.get("customData"),
            rest_of(fields, ("buildingType", "rotation", "variant", "owner", "customData")) or EMPTY,
        )

    def to_json(self) -> dict[str, Value]:
        """Return the building object."""
        return {**self._known(), **thaw(self.extra)}


def _checked_custom_data(raw: Mapping[str, Value]) -> Mapping[str, Value]:
    custom = freeze_object(raw, "customData")
    for field in ("storage", "production"):
        if custom.get(field) is not None:
            for name, amount in need_object(f"customData.{field}", custom[field]).items():
                need_number(f"customData.{field}.{name}", amount)
    return custom


@dataclass(frozen=True, slots=True)
class CustomDelta:
    """A free object, kept verbatim: for every action the seed gives no shape."""

    fields: Mapping[str, Value] = EMPTY

    def __post_init__(self) -> None:
        set_frozen(self, "fields", freeze_object(self.fields, "data"))

    @classmethod
    def from_json(cls, raw: Value) -> Self:
        """Read a free object.

        Raises:
            InvalidRegionValue: it is no object, or holds what JSON cannot.
        """
        return cls(need_object("data", raw))

    def to_json(self) -> dict[str, Value]:
        """Return the object."""
        return {name: thaw(value) for name, value in self.fields.items()}


@dataclass(frozen=True, slots=True)
class ItemDelta:
    """Items of one type, and where they went.

    Attributes:
        item_id: item type.
        quantity: how many; a whole number, 0 or more.
        metadata: durability, enchantments, customName, and whatever else the game keeps.
        disposition: the fate of the items; may be absent except in conservation mode.
        extra: further fields, kept verbatim.
    """

    item_id: str
    quantity: int
    metadata: Mapping[str, Value] | None = None
    disposition: Fate | None = None
    extra: Mapping[str, Value] = EMPTY

    def __post_init__(self) -> None:
        need_text("itemId", self.item_id)
        need_whole("quantity", self.quantity)
        if self.metadata is not None:
            set_frozen(self, "metadata", _checked_metadata(self.metadata))
        if self.disposition is not None and not isinstance(self.disposition, Fate):
            set_frozen(self, "disposition", Fate.from_json(self.disposition))
        if self.extra is not EMPTY:
            set_frozen(self, "extra", freeze_extra("item", self.extra, self._known()))

    def _known(self) -> dict[str, Value]:
        fate = None if self.disposition is None else self.disposition.to_json()
        return present(itemId=self.item_id, quantity=self.quantity, metadata=thaw(self.metadata), disposition=fate)

    @classmethod
    def from_json(cls, raw: Value) -> Self:
        """Read an item object.

        Raises:
            InvalidRegionValue: a field is missing or of the wrong type.
        """
        fields = need_object("item", raw)
        return cls(
            fields.get("itemId", MISSING),
            fields.get("quantity", MISSING),
            fields.get("metadata"),
            fields.get("disposition"),
            rest_of(fields, ("itemId", "quantity", "metadata", "disposition")) or EMPTY,
        )

    def to_json(self) -> dict[str, Value]:
        """Return the item object."""
        return {**self._known(), **thaw(self.extra)}


def _checked_metadata(raw: Mapping[str, Value]) -> Mapping[str, Value]:
    metadata = freeze_object(raw, "metadata")
    if metadata.get("durability") is not None:
        need_number("metadata.durability", metadata["durability"])
    need_text_or_none("metadata.customName", metadata.get("customName"))
    if metadata.get("enchantments") is not None:
        for name in need_list("metadata.enchantments", metadata["enchantments"]):
            need_text("metadata.enchantments", name)
    return metadata


def read_items(raw: Value, name: str) -> tuple[ItemDelta, ...]:
    """Read a list of items (loot, drops, what went into a chest).

    Raises:
        InvalidRegionValue: it is no list, or an item is malformed; the message says which.
    """
    items = []
    for index, item in enumerate(need_list(name, raw)):
        try:
            items.append(item if isinstance(item, ItemDelta) else ItemDelta.from_json(item))
        except InvalidRegionValue as error:
            raise type(error)(f"{name}[{index}].{error}") from None
    return tuple(items)


class NPCState(StrEnum):
    """What became of an NPC."""

    KILLED = "killed"
    RECRUITED = "recruited"
    DISMISSED = "dismissed"


@dataclass(frozen=True, slots=True)
class NPCDelta:
    """An NPC that was killed, recruited or dismissed.

    Attributes:
        npc_id: which one.
        npc_type: its type, for respawning.
        state: what became of it.
        loot: what was dropped; None where the file does not say.
        extra: further fields, kept verbatim.
    """

    npc_id: str
    npc_type: str
    state: NPCState
    loot: tuple[ItemDelta, ...] | None = None
    extra: Mapping[str, Value] = EMPTY

    def __post_init__(self) -> None:
        need_text("npcId", self.npc_id)
        need_text("npcType", self.npc_type)
        need_text("state", self.state)
        if self.state not in set(NPCState):
            raise InvalidRegionValue(f"state is {self.state!r}; it must be one of {', '.join(NPCState)}")
        set_frozen(self, "state", NPCState(self.state))
        if self.loot is not None:
            set_frozen(self, "loot", read_items(self.loot, "loot"))
        if self.extra is not EMPTY:
            set_frozen(self, "extra", freeze_extra("npc", self.extra, self._known()))

    def _known(self) -> dict[str, Value]:
        loot = None if self.loot is None else [item.to_json() for item in self.loot]
        return present(npcId=self.npc_id, npcType=self.npc_type, state=str(self.state), loot=loot)

    @classmethod
    def from_json(cls, raw: Value) -> Self:
        """Read an NPC object.

        Raises:
            InvalidRegionValue: a field is missing or of the wrong type.
        """
        fields = need_object("npc", raw)
        return cls(
            fields.get("npcId", MISSING),
            fields.get("npcType", MISSING),
            fields.get("state", MISSING),
            fields.get("loot"),
            rest_of(fields, ("npcId", "npcType", "state", "loot")) or EMPTY,
        )

    def to_json(self) -> dict[str, Value]:
        """Return the NPC object."""
        return {**self._known(), **thaw(self.extra)}


@dataclass(frozen=True, slots=True)
class TerrainDelta:
    """Ground that became other ground.

    Attributes:
        from_type: what was there; checked against the region.
        to_type: what is there now.
        tool: what was used.
        extra: further fields, kept verbatim.
    """

    from_type: str
    to_type: str
    tool: str | None = None
    extra: Mapping[str, Value] = EMPTY

    def __post_init__(self) -> None:
        need_text("fromType", self.from_type)
        need_text("toType", self.to_type)
        need_text_or_none("tool", self.tool)
        if self.extra is not EMPTY:
            set_frozen(self, "extra", freeze_extra("terrain", self.extra, self._known()))

    def _known(self) -> dict[str, Value]:
        return present(fromType=self.from_type, toType=self.to_type, tool=self.tool)

    @classmethod
    def from_json(cls, raw: Value) -> Self:
        """Read a terrain object.

        Raises:
            InvalidRegionValue: a field is missing or of the wrong type.
        """
        fields = need_object("terrain", raw)
        known = ("fromType", "toType", "tool")
        rest = rest_of(fields, known) or EMPTY
        return cls(fields.get("fromType", MISSING), fields.get("toType", MISSING), fields.get("tool"), rest)

    def to_json(self) -> dict[str, Value]:
        """Return the terrain object."""
        return {**self._known(), **thaw(self.extra)}


Payload = ItemDelta | BuildingDelta | TerrainDelta | NPCDelta | CustomDelta
"""What `RegionDelta.data` can be."""

_SHAPES: Final[Mapping[str, type[ItemDelta | BuildingDelta | TerrainDelta | NPCDelta]]] = {
    DeltaAction.ITEM_REMOVED: ItemDelta,
    DeltaAction.ITEM_ADDED: ItemDelta,
    DeltaAction.ITEM_MOVED: ItemDelta,
    DeltaAction.BUILDING_BUILT: BuildingDelta,
    DeltaAction.BUILDING_DESTROYED: BuildingDelta,
    DeltaAction.BUILDING_UPGRADED: BuildingDelta,
    DeltaAction.TERRAIN_MODIFIED: TerrainDelta,
    DeltaAction.NPC_KILLED: NPCDelta,
    DeltaAction.NPC_RECRUITED: NPCDelta,
}
_MAY_LEAVE_OUT_THE_BUILDING: Final = frozenset({DeltaAction.BUILDING_DESTROYED, DeltaAction.BUILDING_UPGRADED})


def payload_for(action: str, data: Payload | Mapping[str, Value] | None) -> Payload:
    """Return data as the payload type that its action has.

    `building_destroyed` and `building_upgraded` may leave the building out (the seed destroys by position alone);
    actions without a shape, and a game's own, carry a `CustomDelta`.

    Raises:
        InvalidRegionValue: the data does not have the shape of the action.
    """
    shape = _SHAPES.get(action, CustomDelta)
    if type(data) is shape:
        return data
    if data is None:
        raw: Mapping[str, Value] = EMPTY
    else:
        raw = data if isinstance(data, Mapping) else data.to_json()
    if action in _MAY_LEAVE_OUT_THE_BUILDING and "buildingType" not in raw:
        return CustomDelta.from_json(raw)
    return shape.from_json(raw)


__all__ = [
    "BuildingDelta",
    "CustomDelta",
    "ItemDelta",
    "NPCDelta",
    "NPCState",
    "Payload",
    "TerrainDelta",
    "payload_for",
    "read_items",
]
