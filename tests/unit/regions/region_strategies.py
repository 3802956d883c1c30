"""Random deltas on few tiles, items and ticks, so that they meet; and the seed's own examples."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from hypothesis import strategies as st

from unspool.regions import (
    BuildingDelta,
    CustomDelta,
    DeltaAction,
    Fate,
    ItemDelta,
    NPCDelta,
    NPCState,
    Position,
    RegionAddress,
    RegionDelta,
    TerrainDelta,
)

FIXTURES = Path(__file__).parents[3] / "fixtures" / "seeds"
ADDRESS = RegionAddress(7, 23)
PLATFORM_ADDRESS = RegionAddress(7, 22)
"""In the demo world even regions are landing platforms."""

TILES = [Position(10, 15), Position(12, 15), Position(50, 50)]
tiles = st.sampled_from(TILES)
fates = st.none() | st.sampled_from(
    [
        Fate.taken("p1"),
        Fate.destroyed("fire"),
        Fate.moved(TILES[1]),
        Fate.transformed("plank"),
        Fate.corrupted("c1"),
    ]
)
item_deltas = st.builds(
    ItemDelta,
    st.sampled_from(["chair", "ray_gun_mk2", "wood"]),
    st.integers(0, 3),
    st.sampled_from([None, {"durability": 87}, {"durability": 87.0}, {"customName": "x"}]),
    fates,
)
moves = st.builds(ItemDelta, st.sampled_from(["chair", "wood"]), st.integers(0, 3)).flatmap(
    lambda item: tiles.map(lambda tile: ItemDelta(item.item_id, item.quantity, None, Fate.moved(tile)))
)
storages = st.none() | st.fixed_dictionaries(
    {"storage": st.dictionaries(st.sampled_from(["wood", "iron"]), st.integers(0, 5))}
)
buildings = st.builds(
    BuildingDelta,
    st.sampled_from(["tent", "hut"]),
    st.integers(0, 3),
    custom_data=storages,
    owner=st.none() | st.just("p1"),
)
grounds = st.sampled_from(["grass", "dirt", "tilled_soil"])
terrains = st.builds(TerrainDelta, grounds, grounds, st.none() | st.just("hoe"))
npcs = st.builds(
    NPCDelta,
    st.sampled_from(["security_drone_12345", "security_drone_0"]),
    st.just("security_drone"),
    st.sampled_from(NPCState),
    st.none() | st.lists(item_deltas, max_size=2).map(tuple),
)


def _custom(fields: st.SearchStrategy[dict[str, object]]) -> st.SearchStrategy[CustomDelta]:
    return fields.map(CustomDelta)


_item_json = item_deltas.map(lambda item: item.to_json())
drops = _custom(
    st.fixed_dictionaries({}, optional={"drops": st.lists(_item_json, max_size=2), "toolUsed": st.just("axe")})
)
chests = _custom(
    st.fixed_dictionaries(
        {}, optional={"added": st.lists(_item_json, max_size=2), "removed": st.lists(_item_json, max_size=2)}
    )
    | st.fixed_dictionaries({"contents": st.dictionaries(st.sampled_from(["wood", "map"]), st.integers(0, 3))})
)
free = _custom(
    st.dictionaries(
        st.sampled_from(["text", "owner", "crop", "state", "open", "note", "size"]),
        st.none()
        | st.booleans()
        | st.integers()
        | st.text(max_size=4)
        | st.floats(allow_nan=False, allow_infinity=False),
        max_size=3,
    )
)

_PAYLOADS = {
    DeltaAction.ITEM_REMOVED: item_deltas,
    DeltaAction.ITEM_ADDED: item_deltas,
    DeltaAction.ITEM_MOVED: moves,
    DeltaAction.BUILDING_BUILT: buildings,
    DeltaAction.BUILDING_DESTROYED: buildings | st.just(CustomDelta()),
    DeltaAction.BUILDING_UPGRADED: buildings | free,
    DeltaAction.TERRAIN_MODIFIED: terrains,
    DeltaAction.TREE_FELLED: drops,
    DeltaAction.ROCK_MINED: drops,
    DeltaAction.NPC_KILLED: npcs,
    DeltaAction.NPC_RECRUITED: npcs,
    DeltaAction.CHEST_CONTENTS_CHANGED: chests,
}
_COMMON = [DeltaAction.ITEM_REMOVED, DeltaAction.ITEM_ADDED, DeltaAction.TERRAIN_MODIFIED]
"""What merges; drawn more often."""


def deltas_of(action: DeltaAction) -> st.SearchStrategy[RegionDelta]:
    """Random deltas of one action."""
    return st.builds(RegionDelta, st.integers(0, 12), st.just(action), tiles, _PAYLOADS.get(action, free))


any_delta = st.sampled_from([*DeltaAction, *_COMMON * 4]).flatmap(deltas_of)
delta_lists = st.lists(any_delta, max_size=25)

meeting_deltas = st.builds(
    RegionDelta,
    st.integers(0, 6),
    st.sampled_from([DeltaAction.ITEM_REMOVED, DeltaAction.ITEM_ADDED, DeltaAction.ITEM_MOVED]),
    st.sampled_from(TILES[:2]),
    st.builds(ItemDelta, st.just("wood"), st.integers(1, 3), disposition=st.just(Fate.moved(TILES[1]))),
).map(
    lambda delta: (
        delta
        if delta.action == DeltaAction.ITEM_MOVED
        else replace(delta, data=replace(delta.data, disposition=None))
    )
)
"""One item on two tiles: nearly every delta matters to the next."""
meeting_lists = st.lists(meeting_deltas, max_size=10)

RAY_GUN = RegionDelta(
    150_000,
    DeltaAction.ITEM_REMOVED,
    Position(10, 15),
    ItemDelta(
        "ray_gun_mk2",
        1,
        {"durability": 87, "enchantments": ["rapid_fire"], "customName": "Zephyr's Wrath"},
    ),
)
TENT = RegionDelta(
    150_500, DeltaAction.BUILDING_BUILT, Position(50, 50), BuildingDelta("tent", 0, "leather", "player_123")
)
TILLED = RegionDelta(
    151_000, DeltaAction.TERRAIN_MODIFIED, Position(45, 48), TerrainDelta("grass", "tilled_soil", "hoe")
)
DRONE = RegionDelta(
    152_000,
    DeltaAction.NPC_KILLED,
    Position(75, 80),
    NPCDelta(
        "security_drone_12345",
        "security_drone",
        NPCState.KILLED,
        (ItemDelta("scrap_metal", 3), ItemDelta("energy_cell", 1)),
    ),
)
SEED_EXAMPLES = (RAY_GUN, TENT, TILLED, DRONE)


class Ticks:
    """A clock that stands still until it is told."""

    def __init__(self, now: int = 0) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now


def removal(tick: int, item_id: str = "chair", quantity: int = 1, at: Position = TILES[1]) -> RegionDelta:
    """A player takes items."""
    return RegionDelta(tick, DeltaAction.ITEM_REMOVED, at, ItemDelta(item_id, quantity, None, Fate.taken("p1")))


def addition(tick: int, item_id: str = "chair", quantity: int = 1, at: Position = TILES[1]) -> RegionDelta:
    """A player puts items down."""
    return RegionDelta(tick, DeltaAction.ITEM_ADDED, at, ItemDelta(item_id, quantity))
