"""What a game plugs in: how its regions are made, and what its actions do."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from unspool.regions.address import Position, RegionAddress, hash_seed
from unspool.regions.checks import FrozenObject, InvalidRegionValue, Number
from unspool.regions.region import Chest, Door, ItemStack, Layer, Npc, Region, Rock, Thing, Tree
from unspool.regions.region_file import Base
from unspool.regions.table import STANDARD_ACTIONS, ActionTable

Generator = Callable[[RegionAddress, str, Number], Region]
"""Makes a region from its address, template and seed; the same ones always give the same region."""


def companion_seed(address: RegionAddress, template: str) -> int:
    """Return the seed of the companion document's rule (`hash_seed`)."""
    return hash_seed(address.megasegment, address.region, template)


@dataclass(frozen=True, slots=True)
class World:
    """A game's rules for regions.

    Attributes:
        generate: makes a region.
        select_template: which template a region is made from.
        seed_of: which seed a region is made with; the companion document's rule unless the game has its own.
        actions: what the actions do.
    """

    generate: Generator
    select_template: Callable[[RegionAddress], str]
    seed_of: Callable[[RegionAddress, str], Number] = companion_seed
    actions: ActionTable = STANDARD_ACTIONS

    def base_of(self, address: RegionAddress, template: str | None = None, seed: Number | None = None) -> Base:
        """Return what a region is generated from; a template or seed that the caller knows comes first."""
        chosen = self.select_template(address) if template is None else template
        return Base(chosen, self.seed_of(address, chosen) if seed is None else seed)

    def pristine(self, address: RegionAddress, base: Base) -> Region:
        """Return the region as generated."""
        return self.generate(address, base.template, base.seed)


_MASK: Final = (1 << 64) - 1
_CORNER: Final = 128
"""Generated things lie within this many tiles of the corner, so that regions stay small to look at."""
_MOST: Final = _CORNER * _CORNER // 2


def _numbers(seed: Number) -> Iterator[int]:
    """SplitMix64 (Steele, Lea, Flood 2014): the same stream on every machine and in every Python."""
    state = hash(seed) & _MASK
    while True:
        state = (state + 0x9E3779B97F4A7C15) & _MASK
        mixed = ((state ^ state >> 30) * 0xBF58476D1CE4E5B9) & _MASK
        mixed = ((mixed ^ mixed >> 27) * 0x94D049BB133111EB) & _MASK
        yield mixed ^ mixed >> 31


@dataclass(frozen=True, slots=True)
class RegionTemplate:
    """What a kind of region is made of.

    Attributes:
        ground: terrain of every tile.
        trees: how many trees.
        rocks: how many rocks.
        items: item types to strew, and how many stacks.
        npcs: NPC types, and how many.
        fixed: things that are always there, by layer.
    """

    ground: str
    trees: int = 0
    rocks: int = 0
    items: Mapping[str, int] = FrozenObject({})
    npcs: Mapping[str, int] = FrozenObject({})
    fixed: Mapping[str, Mapping[Any, Any]] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        most = max(self.trees, self.rocks, sum(self.items.values()))
        if most > _MOST:
            raise InvalidRegionValue(f"a template strews {most} things of one kind; at most {_MOST} find a place")


PLATFORM: Final = "ancient_landing_platform"
MEADOW: Final = "meadow"

TEMPLATES: Final[Mapping[str, RegionTemplate]] = {
    PLATFORM: RegionTemplate(
        "grass",
        trees=40,
        rocks=20,
        items={"scrap_metal": 12, "energy_cell": 4},
        npcs={"security_drone": 3},
        fixed={
            Layer.ITEMS: {
                Position(10, 15): (ItemStack("ray_gun_mk2", 1),),
                Position(12, 15): (ItemStack("chair", 1),),
            },
            Layer.NPCS: {"security_drone_12345": Npc("security_drone", 75, 80)},
            Layer.DOORS: {Position(30, 30): Door("closed")},
            Layer.CHESTS: {Position(31, 30): Chest((ItemStack("energy_cell", 5), ItemStack("map", 1)))},
        },
    ),
    MEADOW: RegionTemplate("grass", trees=60, rocks=10, items={"flower": 20}, npcs={"sheep": 6}),
}
"""The templates that come with this generator."""


def generate_region(
    address: RegionAddress,
    template: str,
    seed: Number,
    templates: Mapping[str, RegionTemplate] = TEMPLATES,
) -> Region:
    """Make a region: the same arguments always give the same region.

    Raises:
        InvalidRegionValue: there is no such template.
    """
    plan = templates.get(template)
    if plan is None:
        raise InvalidRegionValue(f"no template {template!r}; there are {', '.join(templates)}")
    numbers = _numbers(seed)
    layers: dict[str, dict[Any, Any]] = {name: dict(cells) for name, cells in plan.fixed.items()}
    _strew(layers.setdefault(Layer.TREES, {}), numbers, plan.trees, (Tree("oak"), Tree("pine"), Tree("birch")))
    _strew(layers.setdefault(Layer.ROCKS, {}), numbers, plan.rocks, (Rock("granite"), Rock("iron_ore")))
    items: dict[Any, Any] = layers.setdefault(Layer.ITEMS, {})
    for item_id, count in plan.items.items():
        for position in _places(items, numbers, count):
            items[position] = (ItemStack(item_id, 1 + next(numbers) % 5),)
    npcs: dict[Any, Any] = layers.setdefault(Layer.NPCS, {})
    for npc_type, count in plan.npcs.items():
        for index in range(count):
            npcs[f"{npc_type}_{index}"] = Npc(npc_type, next(numbers) % _CORNER, next(numbers) % _CORNER)
    return Region(address, template, seed, plan.ground, layers=layers)


def _places(taken: Mapping[Any, Any], numbers: Iterator[int], count: int) -> Iterator[Position]:
    while count:
        position = Position(next(numbers) % _CORNER, next(numbers) % _CORNER)
        if position not in taken:
            count -= 1
            yield position


def _strew(cells: dict[Any, Any], numbers: Iterator[int], count: int, kinds: tuple[Thing, ...]) -> None:
    for position in _places(cells, numbers, count):
        cells[position] = kinds[next(numbers) % len(kinds)]


def demo_world() -> World:
    """Return rules that use this generator: platforms in even regions, meadows in odd ones."""
    return World(generate_region, lambda address: MEADOW if address.region % 2 else PLATFORM)
