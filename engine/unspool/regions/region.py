"""A region as it is at one moment: unchangeable layers of what is where."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final, Protocol, Self, cast

from unspool.model.values import Value
from unspool.regions.address import REGION_HEIGHT, REGION_WIDTH, Position, RegionAddress
from unspool.regions.checks import Number
from unspool.regions.things import (
    Building,
    Chest,
    Claim,
    Door,
    FarmPlot,
    Flag,
    ItemStack,
    Npc,
    Rock,
    Sign,
    Structure,
    Tree,
)

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
        """Say whether a tile lies inside the region."""


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
        """Say whether a tile lies inside the region."""
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
