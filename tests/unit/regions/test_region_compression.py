"""Fewer deltas, same region."""

from __future__ import annotations

from collections.abc import Iterable

from hypothesis import given, settings
from hypothesis import strategies as st
from region_strategies import ADDRESS, TENT, TILES, addition, any_delta, delta_lists, meeting_lists, removal

from support.examples import examples
from unspool.regions import (
    STANDARD_ACTIONS,
    ActionRule,
    CustomDelta,
    DeltaAction,
    Effect,
    Fate,
    ItemDelta,
    MultiplayerRegionDelta,
    Position,
    Region,
    RegionDelta,
    TerrainDelta,
    apply_deltas,
    compress_deltas,
    generate_region,
    region_state,
    unknown_region,
)
from unspool.regions.region_files import compressed

BASES = [generate_region(ADDRESS, "ancient_landing_platform", 782934), unknown_region(ADDRESS)]
TILE = TILES[1]


def outcome(deltas: Iterable[RegionDelta], base: Region) -> str:
    """A region in words: repr tells a durability of 87 from one of 87.0, and the order of keys does not matter."""
    state = region_state(apply_deltas(base, deltas, strict=False).region)
    return repr([(name, sorted(cells.items(), key=str)) for name, cells in sorted(state.items())])


def dig(tick: int, old: str, new: str, tool: str | None = None) -> RegionDelta:
    return RegionDelta(tick, DeltaAction.TERRAIN_MODIFIED, TILE, TerrainDelta(old, new, tool))


@given(delta_lists | meeting_lists, st.sampled_from(BASES))
@settings(max_examples=examples(100), deadline=None)
def test_r50_compression_never_changes_the_resulting_region(deltas: list[RegionDelta], base: Region) -> None:
    assert outcome(compress_deltas(deltas), base) == outcome(deltas, base)


@given(delta_lists | meeting_lists, st.sampled_from(BASES), st.integers(0, 12))
@settings(max_examples=examples(100), deadline=None)
def test_r50_deltas_recorded_after_compression_meet_the_same_region(
    deltas: list[RegionDelta], base: Region, cut: int
) -> None:
    early = [delta for delta in deltas if delta.tick < cut]
    late = [delta for delta in deltas if delta.tick >= cut]
    assert outcome([*compress_deltas(early), *late], base) == outcome(deltas, base)


def test_r50_compress_on_save_keeps_buildings_and_terrain_at_the_place_of_two_removals() -> None:
    here = TENT.position
    deltas = [
        removal(1, at=here),
        TENT,
        RegionDelta(2, DeltaAction.TERRAIN_MODIFIED, here, TerrainDelta("grass", "dirt")),
        removal(3, at=here),
        removal(4, "lamp", at=here),
        removal(5, "lamp", at=here),
    ]
    kept = compress_deltas(deltas)
    assert sorted(str(delta.action) for delta in kept) == [
        "building_built",
        "item_removed",
        "item_removed",
        "terrain_modified",
    ]
    assert {(delta.data.item_id, delta.data.quantity) for delta in kept if isinstance(delta.data, ItemDelta)} == {
        ("chair", 2),
        ("lamp", 2),
    }


def test_r50_removals_with_another_fate_stay_apart() -> None:
    burnt = RegionDelta(2, DeltaAction.ITEM_REMOVED, TILE, ItemDelta("chair", 1, None, Fate.destroyed("fire")))
    assert len(compress_deltas([removal(1), burnt, removal(3)])) == 3


def test_r50_durabilities_87_and_87_point_0_stay_apart() -> None:
    def worn(tick: int, durability: float) -> RegionDelta:
        return RegionDelta(tick, DeltaAction.ITEM_ADDED, TILE, ItemDelta("axe", 1, {"durability": durability}))

    assert len(compress_deltas([worn(1, 87), worn(2, 87.0)])) == 2
    assert len(compress_deltas([worn(1, 87), worn(2, 87)])) == 1


def test_r50_order_at_a_place_is_kept() -> None:
    deltas = [addition(1), removal(2), addition(3), removal(4)]
    assert compress_deltas(deltas) == tuple(deltas)


def test_r50_steps_of_terrain_join_only_where_they_fit() -> None:
    assert compress_deltas([dig(1, "grass", "dirt"), dig(2, "dirt", "pit")]) == (dig(2, "grass", "pit"),)
    for second in (dig(2, "sand", "pit"), dig(2, "dirt", "pit", "spade")):
        assert len(compress_deltas([dig(1, "grass", "dirt"), second])) == 2


def test_r50_a_door_that_swings_leaves_its_last_state() -> None:
    swings = [
        RegionDelta(tick, DeltaAction.DOOR_STATE_CHANGED, TILE, CustomDelta({"open": tick % 2 == 0}))
        for tick in range(9)
    ]
    assert compress_deltas(swings) == (swings[-1],)


def test_r50_nothing_is_merged_across_an_action_only_the_game_understands() -> None:
    table = STANDARD_ACTIONS.with_action(ActionRule("spell_cast", lambda _view, _delta: Effect()))
    spell = RegionDelta(2, "spell_cast", Position(1, 1), CustomDelta())
    assert len(compress_deltas([removal(1), spell, removal(3)], actions=table)) == 3


def test_r50_deltas_with_fields_of_their_own_are_left_alone() -> None:
    marked = RegionDelta(1, DeltaAction.ITEM_REMOVED, TILE, removal(1).data, {"id": 1})
    assert len(compress_deltas([marked, removal(2)])) == 2


@given(delta_lists | meeting_lists, st.lists(any_delta, max_size=8) | meeting_lists)
@settings(max_examples=examples(100), deadline=None)
def test_r50_compressing_a_multiplayer_file_changes_nobodys_region(
    shared: list[RegionDelta], personal: list[RegionDelta]
) -> None:
    file = MultiplayerRegionDelta(ADDRESS, "t", 1, tuple(shared), {"a": tuple(personal)})
    small = compressed(file, STANDARD_ACTIONS)
    for player in ("a", None):
        assert outcome(small.deltas_for(player), BASES[0]) == outcome(file.deltas_for(player), BASES[0])


def test_r50_shared_changes_are_not_merged_across_a_personal_one() -> None:
    file = MultiplayerRegionDelta(ADDRESS, "t", 1, (addition(1), addition(3)), {"a": (removal(2, quantity=2),)})
    small = compressed(file, STANDARD_ACTIONS)
    assert isinstance(small, MultiplayerRegionDelta)
    assert small.shared_deltas == file.shared_deltas
    apart = MultiplayerRegionDelta(ADDRESS, "t", 1, (addition(1), addition(2)), {"a": (removal(3),)})
    merged = compressed(apart, STANDARD_ACTIONS)
    assert isinstance(merged, MultiplayerRegionDelta)
    assert merged.shared_deltas == (addition(2, quantity=2),)


def test_r50_a_personal_change_at_a_tick_follows_the_shared_ones_of_that_tick() -> None:
    file = MultiplayerRegionDelta(ADDRESS, "t", 1, (addition(2), addition(3)), {"a": (removal(2, quantity=2),)})
    small = compressed(file, STANDARD_ACTIONS)
    assert isinstance(small, MultiplayerRegionDelta)
    assert small.shared_deltas == file.shared_deltas
