"""Regions as states of atoms, to scrub through."""

from __future__ import annotations

import copy

import pytest
from hypothesis import given, settings
from region_strategies import ADDRESS, FIXTURES, RAY_GUN, SEED_EXAMPLES, TENT, delta_lists, removal

from support.examples import examples
from unspool.regions import (
    STANDARD_ACTIONS,
    CustomDelta,
    MultiplayerRegionDelta,
    Position,
    RegionDelta,
    RegionDeltaFile,
    RegionSnapshot,
    UnknownAction,
    apply_deltas,
    generate_region,
    read_region_file,
    region_history,
    region_state,
)
from unspool.regions.records import HeaderlessRecords

BASE = generate_region(ADDRESS, "ancient_landing_platform", 782934)


def test_a_region_is_an_atom_a_layer_of_plain_values() -> None:
    state = region_state(apply_deltas(BASE, SEED_EXAMPLES).region)
    assert state["buildings"] == {"50,50": {"buildingType": "tent", "variant": "leather", "owner": "player_123"}}
    assert state["terrain"] == {"45,48": "tilled_soil"}
    assert state["items"]["12,15"] == [{"itemId": "chair", "quantity": 1}]
    assert state["departed"]["security_drone_12345"]["state"] == "killed"
    assert state["region"]["seed"] == 782934
    assert state["region"]["address"] == ADDRESS.to_json()


def test_a_state_is_free_to_change() -> None:
    state = region_state(BASE)
    state["items"]["12,15"].append("x")
    assert region_state(BASE)["items"]["12,15"] == [{"itemId": "chair", "quantity": 1}]


def test_a_history_has_an_entry_for_each_delta() -> None:
    file = read_region_file(FIXTURES / "ringworld-7-23.json")
    assert isinstance(file, RegionDeltaFile)
    moments = list(region_history(file, base=BASE))
    assert [(moment.tick, moment.action) for moment in moments] == [
        (150000, "item_removed"),
        (150005, "item_removed"),
        (150500, "building_built"),
    ]
    assert moments[0].meta == {"position": {"x": 10, "y": 15}, "data": {"itemId": "ray_gun_mk2", "quantity": 1}}
    assert "10,15" not in moments[0].state["items"]
    assert "12,15" in moments[0].state["items"]
    assert "buildings" not in moments[1].state


def test_a_history_without_a_generator_shows_what_the_deltas_say() -> None:
    records = read_region_file(FIXTURES / "ringworld-deltas.le.bin")
    assert isinstance(records, HeaderlessRecords)
    last = list(region_history(records))[-1].state
    assert last["removed"] == {"items/10,15": {"ray_gun_mk2": 1}, "items/12,15": {"chair": 1}}
    assert set(last["buildings"]) == {"50,50"}
    assert last["region"]["baseKnown"] is False


def test_a_history_can_begin_with_its_base() -> None:
    moments = list(region_history(RegionDeltaFile(ADDRESS, "t", 1, (TENT,)), base=BASE, include_base=True))
    assert [moment.action for moment in moments] == ["generated", "building_built"]
    assert moments[0].state == region_state(BASE)


def test_a_history_tells_what_did_not_fit() -> None:
    file = RegionDeltaFile(ADDRESS, "t", 1, (removal(1, "throne"),))
    (moment,) = region_history(file, base=BASE)
    assert moment.meta["conflicts"] == ["takes 1 throne, but none of it is there"]


def test_a_history_of_many_players_is_one_players_view() -> None:
    file = MultiplayerRegionDelta(ADDRESS, "t", 1, (TENT,), {"a": (RAY_GUN,)})
    assert [moment.action for moment in region_history(file)] == ["building_built"]
    assert [moment.action for moment in region_history(file, player="a")] == ["item_removed", "building_built"]


def test_another_games_actions_can_be_scrubbed_too() -> None:
    file = RegionDeltaFile(
        ADDRESS, "t", 1, (RegionDelta(1, "spell_cast", Position(1, 1), CustomDelta({"a": 1}), {"id": 4}),)
    )
    with pytest.raises(UnknownAction):
        list(region_history(file))
    (moment,) = region_history(file, actions=STANDARD_ACTIONS.keeping_unknown())
    assert moment.state["custom"] == {"spell_cast/1,1": {"a": 1}}
    assert moment.meta["extra"] == {"id": 4}


@given(delta_lists)
@settings(max_examples=examples(60), deadline=None)
def test_every_moment_of_a_history_equals_the_region_replayed_to_it(deltas: list[RegionDelta]) -> None:
    file = RegionDeltaFile(ADDRESS, "t", 1, tuple(deltas))
    moments = [(moment, copy.deepcopy(moment.state)) for moment in region_history(file, base=BASE)]
    in_order = file.deltas_for()
    for count, (moment, as_yielded) in enumerate(moments, 1):
        expected = region_state(apply_deltas(BASE, in_order[:count], strict=False).region)
        assert moment.state == expected
        assert moment.state == as_yielded


def test_the_deltas_inside_a_snapshot_can_be_scrubbed() -> None:
    snapshot = RegionSnapshot(apply_deltas(BASE, SEED_EXAMPLES).region, SEED_EXAMPLES)
    assert [moment.tick for moment in region_history(snapshot, base=BASE)] == [150000, 150500, 151000, 152000]
    assert list(region_history(snapshot, base=BASE))[-1].state == region_state(snapshot.region)
