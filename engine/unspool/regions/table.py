"""The rules that a game plugs in: its table of actions, and its world, which generates regions.

An action has a payload, a reducer and a way of merging.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Final, Self, cast

from unspool.regions.address import (
    FrozenObject,
    InvalidRegionValue,
    Number,
    Position,
    RegionAddress,
    UnknownAction,
    canonical,
    freeze,
    hash_seed,
)
from unspool.regions.payloads import DeltaAction, ItemDelta, NPCDelta, TerrainDelta, read_items
from unspool.regions.reducers import (
    DROPS,
    building_built,
    building_destroyed,
    building_upgraded,
    chest_contents_changed,
    custom_building,
    destination,
    door_state_changed,
    farm_plot_created,
    farm_plot_planted,
    fields_of,
    flag_placed,
    item_added,
    item_moved,
    item_removed,
    npc_killed,
    npc_recruited,
    ownership_claimed,
    rock_mined,
    sign_placed,
    terrain_modified,
    tree_felled,
)
from unspool.regions.region import (
    Chest,
    Door,
    Effect,
    ItemStack,
    Layer,
    Npc,
    Reducer,
    Region,
    RegionDelta,
    RegionView,
    Rock,
    Thing,
    Tree,
    Write,
)
from unspool.regions.region_file import Base


def touches_layer(layer: Layer) -> Callable[[RegionDelta], tuple[Hashable, ...]]:
    """Return the touch rule of actions that read and write one tile of one layer."""

    def touches(delta: RegionDelta) -> tuple[Hashable, ...]:
        return ((layer, delta.position),)

    return touches


def items_touched(delta: RegionDelta) -> tuple[Hashable, ...]:
    """Return the touch rule of items on the ground: one type on the tile, and where it goes."""
    item = cast(ItemDelta, delta.data)
    here = (Layer.ITEMS, delta.position, item.item_id)
    target = _target(item)
    return (here,) if target is None else (here, (Layer.ITEMS, target, item.item_id))


def npc_touched(delta: RegionDelta) -> tuple[Hashable, ...]:
    """Return the touch rule of NPCs: the NPC, and where its loot falls."""
    npc = cast(NPCDelta, delta.data)
    return ((Layer.NPCS, npc.npc_id), *_landings(npc.loot or (), delta.position))


def touches_with_drops(layer: Layer, *lists: str) -> Callable[[RegionDelta], tuple[Hashable, ...]]:
    """Return the touch rule of one tile of one layer, and of the tiles where items in some lists come to lie."""

    def touches(delta: RegionDelta) -> tuple[Hashable, ...]:
        cells: list[Hashable] = [(layer, delta.position)]
        fields = fields_of(delta)
        try:
            for name in lists:
                cells += _landings(read_items(fields.get(name) or (), name), delta.position)
            if "itemId" in fields:
                cells += _landings((ItemDelta.from_json({**fields, "quantity": 0}),), delta.position)
        except InvalidRegionValue:
            # A delta that cannot be understood is never applied, so nothing but its own tile matters.
            pass
        return tuple(cells)

    return touches


def _landings(items: Iterable[ItemDelta], position: Position) -> list[Hashable]:
    landings: list[Hashable] = []
    for item in items:
        target = item.disposition.new_position if item.disposition is not None else None
        landings.append((Layer.ITEMS, target or position, item.item_id))
    return landings


def _target(item: ItemDelta) -> Position | None:
    try:
        return destination(item)
    except InvalidRegionValue:
        # Such a delta cannot be applied, so it touches no more than the tile it names.
        return None


def merge_items(earlier: RegionDelta, later: RegionDelta) -> RegionDelta | None:
    """Merge two removals, or two additions, of equal items with an equal fate: the quantities add up.

    Removals whose fate is `moved` stay apart: what is put down elsewhere could meet itself.
    """
    one, other = cast(ItemDelta, earlier.data), cast(ItemDelta, later.data)
    if _target(other) is not None or not _alike(replace(one, quantity=other.quantity), other):
        return None
    return replace(later, data=replace(other, quantity=one.quantity + other.quantity))


def merge_terrain(earlier: RegionDelta, later: RegionDelta) -> RegionDelta | None:
    """Merge two steps of one tile's ground, if the second starts where the first ended, with the same tool."""
    one, other = cast(TerrainDelta, earlier.data), cast(TerrainDelta, later.data)
    if one.to_type != other.from_type or one.tool != other.tool or one.extra or other.extra:
        return None
    return replace(later, data=replace(other, from_type=one.from_type))


def merge_last(_earlier: RegionDelta, later: RegionDelta) -> RegionDelta | None:
    """Let the later of two stand, where an action sets the whole of what it touches."""
    return later


def _alike(one: ItemDelta, other: ItemDelta) -> bool:
    # Compared as canonical JSON, where a durability of 87 and one of 87.0 differ.
    return one == other and canonical(one.to_json()) == canonical(other.to_json())


Touches = Callable[[RegionDelta], tuple[Hashable, ...]]
"""The cells that a delta reads or writes; deltas with no cell in common may change places."""
Merge = Callable[[RegionDelta, RegionDelta], RegionDelta | None]
"""One delta that does what an earlier and a later one do together, or None if there is none."""


@dataclass(frozen=True, slots=True)
class ActionRule:
    """What an action is and does.

    Attributes:
        name: as files spell it.
        reduce: what a delta of this action does to a region.
        touches: which cells it reads or writes; without it, compression moves nothing across such a delta.
        merge: how two of them become one; without it they are never merged.
    """

    name: str
    reduce: Reducer
    touches: Touches | None = None
    merge: Merge | None = None


@dataclass(frozen=True, slots=True)
class ActionTable:
    """The actions a game knows; a container of their names. Make another with `with_action`.

    Attributes:
        rules: name to rule.
        keeps_unknown: whether an action outside the table is kept, listed in the `custom` layer, and does
            nothing else; otherwise it is an error.
    """

    rules: Mapping[str, ActionRule] = field(hash=False)
    keeps_unknown: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "rules", MappingProxyType(dict(self.rules)))

    def __contains__(self, name: object) -> bool:
        return self.keeps_unknown or name in self.rules

    def __iter__(self) -> Iterator[str]:
        return iter(self.rules)

    def rule(self, name: str) -> ActionRule:
        """Return the rule of an action.

        Raises:
            UnknownAction: the table has none.
        """
        rule = self.rules.get(name)
        if rule is not None:
            return rule
        if self.keeps_unknown:
            return ActionRule(name, _keep)
        raise UnknownAction(f"unknown action {name!r}; add it to the table with ActionTable.with_action")

    def with_action(self, rule: ActionRule) -> Self:
        """Return a table with one action more, or with another rule for one it has."""
        return replace(self, rules={**self.rules, rule.name: rule})

    def keeping_unknown(self) -> Self:
        """Return a table that keeps actions it does not know: for looking at another game's files."""
        return replace(self, keeps_unknown=True)


def _keep(_view: RegionView, delta: RegionDelta) -> Effect:
    data = freeze(delta.data.to_json(), "data")
    return Effect((Write(Layer.CUSTOM, f"{delta.action}/{delta.position}", data),))


def _standard_rules() -> Iterator[ActionRule]:
    act = DeltaAction
    yield ActionRule(act.ITEM_REMOVED, item_removed, items_touched, merge_items)
    yield ActionRule(act.ITEM_ADDED, item_added, items_touched, merge_items)
    yield ActionRule(act.ITEM_MOVED, item_moved, items_touched)
    for action, build in (
        (act.BUILDING_BUILT, building_built),
        (act.BUILDING_DESTROYED, building_destroyed),
        (act.BUILDING_UPGRADED, building_upgraded),
    ):
        yield ActionRule(action, build, touches_layer(Layer.BUILDINGS))
    yield ActionRule(act.TERRAIN_MODIFIED, terrain_modified, touches_layer(Layer.TERRAIN), merge_terrain)
    yield ActionRule(act.TREE_FELLED, tree_felled, touches_with_drops(Layer.TREES, DROPS))
    yield ActionRule(act.ROCK_MINED, rock_mined, touches_with_drops(Layer.ROCKS, DROPS))
    yield ActionRule(act.NPC_KILLED, npc_killed, npc_touched)
    yield ActionRule(act.NPC_RECRUITED, npc_recruited, npc_touched)
    yield ActionRule(act.DOOR_STATE_CHANGED, door_state_changed, touches_layer(Layer.DOORS), merge_last)
    yield ActionRule(act.CHEST_CONTENTS_CHANGED, chest_contents_changed, touches_with_drops(Layer.CHESTS, "removed"))
    yield ActionRule(act.FARM_PLOT_CREATED, farm_plot_created, touches_layer(Layer.FARM_PLOTS))
    yield ActionRule(act.FARM_PLOT_PLANTED, farm_plot_planted, touches_layer(Layer.FARM_PLOTS))
    yield ActionRule(act.OWNERSHIP_CLAIMED, ownership_claimed, touches_layer(Layer.CLAIMS))
    yield ActionRule(act.SIGN_PLACED, sign_placed, touches_layer(Layer.SIGNS), merge_last)
    yield ActionRule(act.FLAG_PLACED, flag_placed, touches_layer(Layer.FLAGS), merge_last)
    yield ActionRule(act.CUSTOM_BUILDING, custom_building, touches_layer(Layer.STRUCTURES))


STANDARD_ACTIONS: Final = ActionTable({str(rule.name): rule for rule in _standard_rules()})
"""The seed's 19 actions."""


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
