"""Shared and personal changes."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from region_strategies import ADDRESS, RAY_GUN, TENT, addition, delta_lists, removal

from support.examples import examples
from unspool.regions import (
    InvalidRegionValue,
    MultiplayerRegionDelta,
    RegionDelta,
    RegionDeltaFile,
    apply_deltas,
    generate_region,
)


def test_r54_a_takes_the_gun_and_b_builds_the_tent() -> None:
    file = MultiplayerRegionDelta(ADDRESS, "ancient_landing_platform", 782934, (TENT,), {"a": (RAY_GUN,)})
    base = generate_region(ADDRESS, "ancient_landing_platform", 782934)
    for player, guns in (("a", 0), ("b", 1), (None, 1)):
        seen = apply_deltas(base, file.deltas_for(player)).region
        assert seen.quantity_at(RAY_GUN.position, "ray_gun_mk2") == guns
        assert TENT.position in seen.buildings


def test_r54_lists_merge_by_tick_and_shared_comes_first_at_equal_ticks() -> None:
    shared = (addition(5, "s1"), addition(5, "s2"), addition(9, "s3"))
    mine = (addition(7, "m1"), addition(5, "m2"), addition(5, "m3"))
    file = MultiplayerRegionDelta(ADDRESS, "t", 1, shared, {"a": mine})
    order = [delta.data.to_json()["itemId"] for delta in file.deltas_for("a")]
    assert order == ["s1", "s2", "m2", "m3", "m1", "s3"]


@given(delta_lists, delta_lists)
@settings(max_examples=examples(50), deadline=None)
def test_r54_merging_loses_nothing_and_keeps_each_lists_order(
    shared: list[RegionDelta], mine: list[RegionDelta]
) -> None:
    file = MultiplayerRegionDelta(ADDRESS, "t", 1, tuple(shared), {"a": tuple(mine)})
    merged = file.deltas_for("a")
    assert len(merged) == len(shared) + len(mine)
    assert [delta.tick for delta in merged] == sorted(delta.tick for delta in merged)
    assert file.deltas_for("b") == tuple(sorted(shared, key=lambda delta: delta.tick))


def test_r54_a_file_of_one_player_becomes_one_of_many_with_nothing_lost() -> None:
    single = RegionDeltaFile(ADDRESS, "t", 1, (TENT,), 1, 2, 3, 4, extra={"note": "x"})
    shared = MultiplayerRegionDelta.sharing(single).with_deltas([removal(1)], "a")
    assert shared.shared_deltas == (TENT,)
    assert shared.personal_deltas["a"] == (removal(1),)
    assert (shared.first_visit_tick, shared.player_visit_count, shared.extra) == (1, 4, {"note": "x"})


def test_r55_a_player_without_a_name_is_refused() -> None:
    with pytest.raises(InvalidRegionValue, match="player"):
        MultiplayerRegionDelta(ADDRESS, "t", 1, (), {"": (TENT,)})
