"""A region, the things in it, and the deltas recorded of it: when, what, where, and with what. In no game's terms."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final, Protocol, Self, cast

import msgspec

from unspool.model.values import MISSING, Value
from unspool.regions.address import (
    EMPTY,
    REGION_HEIGHT,
    REGION_WIDTH,
    U32_MAX,
    FrozenObject,
    InvalidRegionValue,
    Number,
    Position,
    RegionAddress,
    UnknownAction,
    canonical,
    freeze,
    freeze_extra,
    need_list,
    need_object,
    need_text,
    need_whole,
    rest_of,
    set_frozen,
    thaw,
)
from unspool.regions.payloads import STANDARD_ACTION, ItemDelta, Payload, payload_for


class Thing(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """Anything that a region holds; the fields with a default are left out of JSON when they have it."""

    def __post_init__(self) -> None:
        # What comes from JSON or from a careless caller must not change under a frozen region.
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if type(value) is dict or type(value) is list:
                msgspec.structs.force_setattr(self, name, freeze(value, name))

    def to_json(self) -> dict[str, Value]:
        """Return the thing as a plain object."""
        plain: dict[str, Value] = thaw(msgspec.to_builtins(self, enc_hook=_plain))
        return plain


def _plain(value: object) -> dict[str, Value]:
    if isinstance(value, FrozenObject):
        return dict(value)
    raise NotImplementedError


class ItemStack(Thing, frozen=True):
    """Equal items on one tile; stacks that differ only in metadata lie side by side."""

    item_id: str
    quantity: int
    metadata: Mapping[str, Any] | None = None

    @property
    def key(self) -> tuple[str, str]:
        """The order of the stacks of a tile: plain ones first."""
        return (self.item_id, "" if self.metadata is None else canonical(self.metadata))

    @classmethod
    def of(cls, item: ItemDelta) -> ItemStack:
        """The stack that an item delta speaks of."""
        return cls(item.item_id, item.quantity, item.metadata)


class Building(Thing, frozen=True):
    """A building; `custom_data` may hold `storage` and `production`."""

    building_type: str
    rotation: Number = 0
    variant: str | None = None
    owner: str | None = None
    custom_data: Mapping[str, Any] | None = None
    details: Mapping[str, Any] = EMPTY


class Npc(Thing, frozen=True):
    """An NPC: `present`, or what became of it."""

    npc_type: str
    x: int
    y: int
    state: str = "present"
    details: Mapping[str, Any] = EMPTY


class Door(Thing, frozen=True):
    """A door and its state, such as open, closed or locked."""

    state: str
    details: Mapping[str, Any] = EMPTY


class Chest(Thing, frozen=True):
    """A chest and its stacks, in the order of their keys."""

    contents: tuple[ItemStack, ...] = ()
    details: Mapping[str, Any] = EMPTY


class FarmPlot(Thing, frozen=True):
    """Tilled soil, and what was planted on it and when."""

    crop: str | None = None
    planted_tick: int | None = None
    details: Mapping[str, Any] = EMPTY


class Tree(Thing, frozen=True):
    """A tree, or the stump of one."""

    tree_type: str = ""
    felled: bool = False
    details: Mapping[str, Any] = EMPTY


class Rock(Thing, frozen=True):
    """A rock or ore, or the hole it left."""

    rock_type: str = ""
    mined: bool = False
    details: Mapping[str, Any] = EMPTY


class Claim(Thing, frozen=True):
    """Territory somebody claimed."""

    owner: str
    tick: int
    details: Mapping[str, Any] = EMPTY


class Sign(Thing, frozen=True):
    """A sign and what it says."""

    text: str
    details: Mapping[str, Any] = EMPTY


class Flag(Thing, frozen=True):
    """A flag or marker."""

    flag_type: str = ""
    details: Mapping[str, Any] = EMPTY


class Structure(Thing, frozen=True):
    """Something a player built that no building type names; only the game knows what it is."""

    details: Mapping[str, Any] = EMPTY


Key = Position | str
"""What finds a thing in a layer: its tile, or its id."""


class Layer(StrEnum):
    """The layers every region has; a game may add its own under other names, holding plain JSON values."""

    TERRAIN = "terrain"
    ITEMS = "items"
    BUILDINGS = "buildings"
    STRUCTURES = "structures"
    NPCS = "npcs"
    DEPARTED = "departed"
    DOORS = "doors"
    CHESTS = "chests"
    FARM_PLOTS = "farm_plots"
    TREES = "trees"
    ROCKS = "rocks"
    CLAIMS = "claims"
    SIGNS = "signs"
    FLAGS = "flags"
    REMOVED = "removed"
    CUSTOM = "custom"


_EMPTY_LAYER: Final[Mapping[Any, Any]] = MappingProxyType({})


class RegionView(Protocol):
    """What a reducer may ask of a region, whether it is finished or being built."""

    @property
    def base_known(self) -> bool:
        """Whether the region was generated; if not, only what deltas said is known."""

    def get(self, layer: str, key: Key) -> Any:
        """Return what a layer holds at a key, or None."""

    def terrain_at(self, position: Position) -> str:
        """Return the ground at a tile; empty where it is not known."""

    def contains(self, position: Position) -> bool:
        """Whether a tile lies inside the region."""


@dataclass(frozen=True, slots=True)
class Region:
    """A region at one moment.

    Attributes:
        address: where it is; None for records that do not say.
        template: what it was generated from.
        seed: what it was generated with.
        ground: the terrain of every tile that the terrain layer does not name; empty if not known.
        width: tiles from west to east.
        height: tiles from north to south.
        base_known: False if no generator was at hand, so that only what deltas say is known. Things that a delta
            takes from such a region are listed in the `removed` layer instead of being missed.
        layers: layer name to key to thing.
    """

    address: RegionAddress | None = None
    template: str = ""
    seed: Number = 0
    ground: str = ""
    width: int = REGION_WIDTH
    height: int = REGION_HEIGHT
    base_known: bool = True
    layers: Mapping[str, Mapping[Key, Any]] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        # Empty layers are left out, so that a layer that was emptied equals one that never was.
        kept = {str(name): MappingProxyType(dict(layer)) for name, layer in self.layers.items() if layer}
        object.__setattr__(self, "layers", MappingProxyType(kept))

    def get(self, layer: str, key: Key) -> Any:
        """Return what a layer holds at a key, or None."""
        return self.layers.get(layer, _EMPTY_LAYER).get(key)

    def terrain_at(self, position: Position) -> str:
        """Return the ground at a tile; empty where it is not known."""
        return cast(str, self.layers.get(Layer.TERRAIN, _EMPTY_LAYER).get(position, self.ground))

    def contains(self, position: Position) -> bool:
        """Whether a tile lies inside the region."""
        return position.x < self.width and position.y < self.height

    def with_layers(self, **layers: Mapping[Any, Any]) -> Self:
        """Return the region with whole layers replaced: `region.with_layers(trees={Position(1, 2): Tree("oak")})`."""
        return replace(self, layers={**self.layers, **layers})

    def layer(self, name: str) -> Mapping[Any, Any]:
        """Return one layer, possibly empty."""
        return self.layers.get(name, _EMPTY_LAYER)

    @property
    def terrain(self) -> Mapping[Position, str]:
        """Tiles whose ground differs from `ground`, or was worked on."""
        return self.layer(Layer.TERRAIN)

    @property
    def items(self) -> Mapping[Position, tuple[ItemStack, ...]]:
        """What lies on each tile."""
        return self.layer(Layer.ITEMS)

    @property
    def buildings(self) -> Mapping[Position, Building]:
        """Buildings by tile."""
        return self.layer(Layer.BUILDINGS)

    @property
    def structures(self) -> Mapping[Position, Structure]:
        """Custom buildings by tile."""
        return self.layer(Layer.STRUCTURES)

    @property
    def npcs(self) -> Mapping[str, Npc]:
        """NPCs who are here, by id."""
        return self.layer(Layer.NPCS)

    @property
    def departed(self) -> Mapping[str, Npc]:
        """NPCs who were killed or left with a player, by id."""
        return self.layer(Layer.DEPARTED)

    @property
    def doors(self) -> Mapping[Position, Door]:
        """Doors whose state is known."""
        return self.layer(Layer.DOORS)

    @property
    def chests(self) -> Mapping[Position, Chest]:
        """Chests by tile."""
        return self.layer(Layer.CHESTS)

    @property
    def farm_plots(self) -> Mapping[Position, FarmPlot]:
        """Farm plots by tile."""
        return self.layer(Layer.FARM_PLOTS)

    @property
    def trees(self) -> Mapping[Position, Tree]:
        """Trees and stumps by tile."""
        return self.layer(Layer.TREES)

    @property
    def rocks(self) -> Mapping[Position, Rock]:
        """Rocks, and the holes mined ones left."""
        return self.layer(Layer.ROCKS)

    @property
    def claims(self) -> Mapping[Position, Claim]:
        """Claimed territory by the tile it was claimed at."""
        return self.layer(Layer.CLAIMS)

    @property
    def signs(self) -> Mapping[Position, Sign]:
        """Signs by tile."""
        return self.layer(Layer.SIGNS)

    @property
    def flags(self) -> Mapping[Position, Flag]:
        """Flags by tile."""
        return self.layer(Layer.FLAGS)

    @property
    def removed(self) -> Mapping[str, Value]:
        """What was taken from a region whose base is not known, by layer and key."""
        return self.layer(Layer.REMOVED)

    def items_at(self, position: Position) -> tuple[ItemStack, ...]:
        """Return the stacks on a tile."""
        return self.items.get(position, ())

    def quantity_at(self, position: Position, item_id: str) -> int:
        """Return how many items of a type lie on a tile, whatever their metadata."""
        return sum(stack.quantity for stack in self.items_at(position) if stack.item_id == item_id)


def unknown_region(address: RegionAddress | None = None, template: str = "", seed: Number = 0) -> Region:
    """Return the region to apply deltas to where no generator is at hand: nothing about it is known."""
    return Region(address=address, template=template, seed=seed, base_known=False)


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
