"""What each of the 19 actions does to a region."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from region_strategies import ADDRESS, DRONE, RAY_GUN, SEED_EXAMPLES, TENT, TILLED, addition, delta_lists, removal

from support.examples import examples
from unspool.regions import (
    STANDARD_ACTIONS,
    ActionRule,
    BuildingDelta,
    CustomDelta,
    DeltaAction,
    DeltaConflict,
    Effect,
    Fate,
    InvalidRegionValue,
    ItemDelta,
    NPCDelta,
    NPCState,
    Payload,
    Position,
    Region,
    RegionDelta,
    TerrainDelta,
    UnknownAction,
    Write,
    apply_delta,
    apply_deltas,
    generate_region,
    unknown_region,
)
from unspool.regions.region import (
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

HERE = Position(20, 20)
THERE = Position(21, 20)


def region(**layers: object) -> Region:
    return Region(ADDRESS, "test", 1, "grass").with_layers(**layers)


def act(action: DeltaAction, data: Payload | dict[str, object], on: Region, *, tick: int = 5) -> Region:
    payload = CustomDelta(data) if isinstance(data, dict) else data
    return apply_delta(on, RegionDelta(tick, action, HERE, payload))


def platform() -> Region:
    return generate_region(ADDRESS, "ancient_landing_platform", 782934)


def test_r01_the_actions_are_the_seeds_nineteen_in_its_order() -> None:
    assert [str(action) for action in DeltaAction] == [
        "item_removed", "item_added", "item_moved", "building_built", "building_destroyed", "building_upgraded",
        "terrain_modified", "tree_felled", "rock_mined", "npc_killed", "npc_recruited", "door_state_changed",
        "chest_contents_changed", "farm_plot_created", "farm_plot_planted", "ownership_claimed", "sign_placed",
        "flag_placed", "custom_building",
    ]  # fmt: skip
    assert set(STANDARD_ACTIONS) == set(DeltaAction)


def test_r02_a_delta_is_tick_action_position_and_data() -> None:
    assert RAY_GUN.to_json() == {
        "tick": 150000,
        "action": "item_removed",
        "position": {"x": 10, "y": 15},
        "data": {
            "itemId": "ray_gun_mk2",
            "quantity": 1,
            "metadata": {"durability": 87, "enchantments": ["rapid_fire"], "customName": "Zephyr's Wrath"},
        },
    }
    assert RegionDelta.from_json(RAY_GUN.to_json()) == RAY_GUN


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tick": 1.5}, "tick must be a whole number"),
        ({"tick": True}, "tick must be a whole number"),
        ({"tick": -1}, "tick is -1"),
        ({"action": 3}, "action must be text"),
        ({"position": {"x": 1}}, "position.y is missing"),
        ({"position": {"x": 1, "y": 2, "z": 3}}, "unknown field 'z'"),
        ({"data": []}, "data must be an object"),
        ({"data": {"itemId": "chair"}}, "quantity is missing"),
        ({"data": {"itemId": "chair", "quantity": -1}}, "quantity is -1"),
        ({"data": {"itemId": "", "quantity": 1}}, "itemId must be text"),
        ({"data": {"itemId": "chair", "quantity": 1, "metadata": {"durability": "new"}}}, "metadata.durability"),
        ({"data": {"itemId": "chair", "quantity": 1, "metadata": 4}}, "metadata must be an object"),
    ],
)
def test_r02_r04_a_malformed_delta_is_refused_by_name(change: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidRegionValue, match=message):
        RegionDelta.from_json({**RAY_GUN.to_json(), **change})


def test_r04_item_metadata_is_kept_with_fields_of_the_games_own() -> None:
    raw = {"itemId": "bow", "quantity": 2, "metadata": {"durability": 1.5, "charm": [1, {"a": None}]}, "seen": None}
    assert ItemDelta.from_json(raw).to_json() == raw


def test_r05_building_storage_is_an_object() -> None:
    raw = {
        "buildingType": "mill",
        "rotation": 90,
        "customData": {"storage": {"wood": 5}, "production": {"plank": 0.5}, "level": 2},
    }
    building = BuildingDelta.from_json(raw)
    assert building.to_json() == raw
    built = act(DeltaAction.BUILDING_BUILT, building, region()).buildings[HERE]
    assert built.custom_data is not None
    assert dict(built.custom_data["storage"]) == {"wood": 5}


def test_r05_storage_that_holds_no_numbers_is_refused() -> None:
    with pytest.raises(InvalidRegionValue, match=r"customData\.storage\.wood"):
        BuildingDelta("mill", custom_data={"storage": {"wood": "many"}})


def test_r06_terrain_that_is_not_what_the_delta_says_is_a_conflict() -> None:
    swamp = region(terrain={HERE: "swamp"})
    delta = RegionDelta(5, DeltaAction.TERRAIN_MODIFIED, HERE, TerrainDelta("grass", "tilled_soil"))
    with pytest.raises(DeltaConflict, match="the ground there is swamp"):
        apply_delta(swamp, delta)
    applied = apply_deltas(swamp, [delta], strict=False)
    assert applied.region.terrain_at(HERE) == "tilled_soil"
    assert [str(conflict.delta.action) for conflict in applied.conflicts] == ["terrain_modified"]


def test_r06_terrain_of_an_unknown_base_is_taken_at_its_word() -> None:
    changed = act(DeltaAction.TERRAIN_MODIFIED, TerrainDelta("lava", "rock"), unknown_region())
    assert changed.terrain == {HERE: "rock"}


@pytest.mark.parametrize("state", ["dead", None, 4, "KILLED"])
def test_r07_an_npc_state_outside_the_three_is_refused(state: object) -> None:
    with pytest.raises(InvalidRegionValue, match="state"):
        NPCDelta.from_json({"npcId": "a", "npcType": "b", "state": state})


def test_r07_npcs_are_killed_recruited_and_dismissed() -> None:
    start = region(npcs={"ann": Npc("smith", 1, 2), "bob": Npc("guard", 3, 4)})
    killed = act(DeltaAction.NPC_KILLED, NPCDelta("bob", "guard", NPCState.KILLED, (ItemDelta("coin", 2),)), start)
    assert set(killed.npcs) == {"ann"}
    assert killed.departed["bob"].state == "killed"
    assert killed.quantity_at(HERE, "coin") == 2
    recruited = act(DeltaAction.NPC_RECRUITED, NPCDelta("ann", "smith", NPCState.RECRUITED), killed)
    assert not recruited.npcs
    dismissed = act(DeltaAction.NPC_RECRUITED, NPCDelta("ann", "smith", NPCState.DISMISSED), recruited)
    assert (dismissed.npcs["ann"].x, dismissed.npcs["ann"].y) == (20, 20)
    assert "ann" not in dismissed.departed


def test_r07_loot_that_was_taken_at_once_does_not_lie_on_the_ground() -> None:
    loot = (ItemDelta("coin", 2, disposition=Fate.taken("p1")), ItemDelta("cap", 1, disposition=Fate.moved(THERE)))
    after = act(DeltaAction.NPC_KILLED, NPCDelta("x", "guard", NPCState.KILLED, loot), unknown_region())
    assert after.items == {THERE: (ItemStack("cap", 1),)}


def test_r08_custom_data_is_kept_verbatim() -> None:
    raw = {"parts": [{"w": 1}, {"w": 1.0}, None, True], "näme": "", "deep": {"a": {"b": []}}}
    after = act(DeltaAction.CUSTOM_BUILDING, raw, region())
    assert after.structures[HERE].to_json() == {"details": raw}
    assert CustomDelta(raw).to_json() == raw


def test_r08_custom_data_cannot_change_under_the_delta() -> None:
    raw: dict[str, list[int]] = {"parts": [1]}
    delta = RegionDelta(1, DeltaAction.CUSTOM_BUILDING, HERE, CustomDelta(raw))
    raw["parts"].append(2)
    assert delta.data.to_json() == {"parts": [1]}
    assert hash(delta) == hash(RegionDelta(1, DeltaAction.CUSTOM_BUILDING, HERE, CustomDelta({"parts": [1]})))


def test_r08_custom_data_nested_ten_thousand_deep_is_refused_without_a_crash() -> None:
    deep: object = 1
    for _ in range(10_000):
        deep = {"a": deep}
    with pytest.raises(InvalidRegionValue, match="nested deeper than 100"):
        CustomDelta({"deep": deep})


def test_r10_the_worked_examples_do_what_the_seed_says() -> None:
    before = platform()
    after = apply_deltas(before, SEED_EXAMPLES).region
    assert before.quantity_at(RAY_GUN.position, "ray_gun_mk2") == 1
    assert after.quantity_at(RAY_GUN.position, "ray_gun_mk2") == 0
    assert after.buildings[TENT.position] == Building("tent", 0, "leather", "player_123")
    assert after.terrain_at(TILLED.position) == "tilled_soil"
    assert "security_drone_12345" not in after.npcs
    assert after.quantity_at(DRONE.position, "scrap_metal") >= 3
    assert after.quantity_at(DRONE.position, "energy_cell") >= 1


def test_r30_items_are_removed_added_and_moved() -> None:
    start = region(items={HERE: (ItemStack("chair", 3),)})
    fewer = act(DeltaAction.ITEM_REMOVED, ItemDelta("chair", 1), start)
    assert fewer.quantity_at(HERE, "chair") == 2
    more = act(DeltaAction.ITEM_ADDED, ItemDelta("lamp", 1), fewer)
    assert more.quantity_at(HERE, "lamp") == 1
    moved = act(DeltaAction.ITEM_MOVED, ItemDelta("chair", 2, disposition=Fate.moved(THERE)), more)
    assert moved.items == {HERE: (ItemStack("lamp", 1),), THERE: (ItemStack("chair", 2),)}


@pytest.mark.parametrize("field", ["newPosition", "to", "toPosition"])
def test_r30_an_item_may_say_in_a_field_where_it_was_moved(field: str) -> None:
    start = region(items={HERE: (ItemStack("chair", 1),)})
    item = ItemDelta("chair", 1, extra={field: {"x": 21, "y": 20}})
    assert act(DeltaAction.ITEM_MOVED, item, start).items == {THERE: (ItemStack("chair", 1),)}


def test_r30_a_move_that_does_not_say_where_to_is_a_conflict_and_loses_nothing() -> None:
    start = region(items={HERE: (ItemStack("chair", 1),)})
    applied = apply_deltas(start, [RegionDelta(1, DeltaAction.ITEM_MOVED, HERE, ItemDelta("chair", 1))], strict=False)
    assert applied.region == start
    assert "does not say where to" in applied.conflicts[0].reason


def test_r30_items_keep_their_metadata_when_moved_and_plain_ones_go_first() -> None:
    sharp = ItemStack("axe", 1, {"durability": 9})
    start = region(items={HERE: (ItemStack("axe", 1), sharp)})
    once = act(DeltaAction.ITEM_MOVED, ItemDelta("axe", 1, disposition=Fate.moved(THERE)), start)
    assert once.items_at(HERE) == (sharp,)
    named = act(DeltaAction.ITEM_REMOVED, ItemDelta("axe", 1, {"durability": 9}), start)
    assert named.items_at(HERE) == (ItemStack("axe", 1),)


def test_r30_taking_more_than_there_is_is_a_conflict() -> None:
    start = region(items={HERE: (ItemStack("chair", 1),)})
    with pytest.raises(DeltaConflict, match="takes 3 chair, but 1 of it is there"):
        act(DeltaAction.ITEM_REMOVED, ItemDelta("chair", 3), start)


def test_r30_buildings_are_built_upgraded_and_destroyed() -> None:
    built = act(DeltaAction.BUILDING_BUILT, BuildingDelta("hut", 90, owner="p1"), region())
    upgraded = act(DeltaAction.BUILDING_UPGRADED, BuildingDelta("house", 180), built)
    assert upgraded.buildings[HERE] == Building("house", 180, owner="p1")
    levelled = act(DeltaAction.BUILDING_UPGRADED, {"level": 3}, upgraded)
    assert levelled.buildings[HERE].details == {"level": 3}
    assert not act(DeltaAction.BUILDING_DESTROYED, {}, levelled).buildings


@pytest.mark.parametrize(
    ("action", "data"),
    [
        (DeltaAction.BUILDING_DESTROYED, {}),
        (DeltaAction.BUILDING_UPGRADED, {"level": 2}),
        (DeltaAction.TREE_FELLED, {}),
        (DeltaAction.ROCK_MINED, {}),
        (DeltaAction.FARM_PLOT_PLANTED, {"crop": "wheat"}),
        (DeltaAction.NPC_KILLED, NPCDelta("nobody", "ghost", NPCState.KILLED)),
        (DeltaAction.CHEST_CONTENTS_CHANGED, {"removed": [{"itemId": "gem", "quantity": 1}]}),
        (DeltaAction.CHEST_CONTENTS_CHANGED, {"removed": [{"itemId": "gem"}]}),
    ],
)
def test_r30_acting_on_what_is_not_there_is_a_conflict(
    action: DeltaAction, data: Payload | dict[str, object]
) -> None:
    with pytest.raises(DeltaConflict):
        act(action, data, region())


def test_r30_trees_and_rocks_leave_a_stump_and_a_hole_and_drop_things() -> None:
    start = region(trees={HERE: Tree("oak")}, rocks={HERE: Rock("iron_ore")})
    felled = act(DeltaAction.TREE_FELLED, {"drops": [{"itemId": "wood", "quantity": 4}], "tool": "axe"}, start)
    assert felled.trees[HERE] == Tree("oak", felled=True, details={"tool": "axe"})
    assert felled.quantity_at(HERE, "wood") == 4
    mined = act(DeltaAction.ROCK_MINED, {}, felled)
    assert mined.rocks[HERE] == Rock("iron_ore", mined=True)


@pytest.mark.parametrize(
    ("data", "state"),
    [({"state": "locked"}, "locked"), ({"open": True}, "open"), ({"isOpen": False}, "closed"), ({"x": 1}, "unknown")],
)
def test_r30_doors_take_the_state_they_are_given(data: dict[str, object], state: str) -> None:
    door: Door = act(DeltaAction.DOOR_STATE_CHANGED, data, region()).doors[HERE]
    assert door.state == state


@pytest.mark.parametrize(
    ("data", "contents"),
    [
        (
            {"added": [{"itemId": "gem", "quantity": 2}], "removed": [{"itemId": "map", "quantity": 1}]},
            {"gem": 2, "coin": 5},
        ),
        ({"contents": {"gem": 1}}, {"gem": 1}),
        ({"contents": [{"itemId": "gem", "quantity": 1}]}, {"gem": 1}),
        ({"itemId": "coin", "quantity": -2}, {"map": 1, "coin": 3}),
        ({"itemId": "coin", "quantity": 2}, {"map": 1, "coin": 7}),
    ],
)
def test_r30_chests_are_filled_and_emptied(data: dict[str, object], contents: dict[str, int]) -> None:
    start = region(chests={HERE: Chest((ItemStack("coin", 5), ItemStack("map", 1)))})
    chest = act(DeltaAction.CHEST_CONTENTS_CHANGED, data, start).chests[HERE]
    assert {stack.item_id: stack.quantity for stack in chest.contents} == contents


def test_r30_items_moved_out_of_a_chest_lie_where_their_fate_says() -> None:
    start = region(chests={HERE: Chest((ItemStack("coin", 5),))})
    item = ItemDelta("coin", 2, disposition=Fate.moved(THERE)).to_json()
    after = act(DeltaAction.CHEST_CONTENTS_CHANGED, {"removed": [item]}, start)
    assert after.quantity_at(THERE, "coin") == 2


def test_r30_plots_are_tilled_and_planted() -> None:
    tilled = act(DeltaAction.FARM_PLOT_CREATED, {"size": 2}, region())
    assert tilled.farm_plots[HERE] == FarmPlot(details={"size": 2})
    planted = act(DeltaAction.FARM_PLOT_PLANTED, {"crop": "wheat"}, tilled, tick=9)
    assert planted.farm_plots[HERE] == FarmPlot("wheat", 9, {"size": 2})


def test_r30_land_is_claimed_and_contested() -> None:
    mine = act(DeltaAction.OWNERSHIP_CLAIMED, {"playerId": "p1", "radius": 4}, region())
    assert mine.claims[HERE] == Claim("p1", 5, {"radius": 4})
    with pytest.raises(DeltaConflict, match="claims land of p1"):
        act(DeltaAction.OWNERSHIP_CLAIMED, {"playerId": "p2"}, mine)


def test_r30_signs_and_flags_are_placed() -> None:
    signed = act(DeltaAction.SIGN_PLACED, {"text": "Keep out", "color": "red"}, region())
    assert signed.signs[HERE] == Sign("Keep out", {"color": "red"})
    flagged = act(DeltaAction.FLAG_PLACED, {"flagType": "camp"}, signed)
    assert flagged.flags[HERE] == Flag("camp")


def test_r30_custom_buildings_stand_beside_buildings() -> None:
    both = act(
        DeltaAction.CUSTOM_BUILDING, {"blocks": 12}, act(DeltaAction.BUILDING_BUILT, BuildingDelta("hut"), region())
    )
    assert both.structures == {HERE: Structure({"blocks": 12})}
    assert set(both.buildings) == {HERE}


@given(delta_lists)
@settings(max_examples=examples(60), deadline=None)
def test_r30_applying_any_deltas_leaves_the_base_as_it_was(deltas: list[RegionDelta]) -> None:
    base = platform()
    apply_deltas(base, deltas, strict=False)
    assert base == platform()


@given(delta_lists)
@settings(max_examples=examples(60), deadline=None)
def test_r30_applying_all_at_once_equals_applying_one_by_one(deltas: list[RegionDelta]) -> None:
    in_order = sorted(deltas, key=lambda delta: delta.tick)
    stepwise = platform()
    for delta in in_order:
        stepwise = apply_delta(stepwise, delta, strict=False)
    assert apply_deltas(platform(), deltas, strict=False).region == stepwise


def test_an_unknown_base_lists_what_was_taken_from_it() -> None:
    after = apply_deltas(
        unknown_region(),
        [
            removal(1, quantity=2),
            removal(2),
            addition(3),
            RegionDelta(4, DeltaAction.BUILDING_DESTROYED, HERE, CustomDelta()),
        ],
    ).region
    assert dict(after.removed) == {"items/12,15": {"chair": 3}, "buildings/20,20": True}
    assert after.quantity_at(Position(12, 15), "chair") == 1


def test_a_delta_outside_the_region_is_a_conflict() -> None:
    small = Region(ADDRESS, "test", 1, "grass", width=10, height=10)
    with pytest.raises(DeltaConflict, match="outside the region"):
        act(DeltaAction.SIGN_PLACED, {"text": "x"}, small)


def test_a_game_adds_an_action_of_its_own() -> None:
    def cast_spell(_view: object, delta: RegionDelta) -> Effect:
        return Effect((Write("spells", delta.position, delta.data.to_json()),))

    table = STANDARD_ACTIONS.with_action(ActionRule("spell_cast", cast_spell))
    delta = RegionDelta(1, "spell_cast", HERE, CustomDelta({"name": "light"}))
    after = apply_delta(region(), delta, actions=table)
    assert after.layer("spells") == {HERE: {"name": "light"}}
    with pytest.raises(UnknownAction, match="spell_cast"):
        apply_delta(region(), delta)


def test_a_game_replaces_what_an_action_does() -> None:
    table = STANDARD_ACTIONS.with_action(ActionRule("sign_placed", lambda _view, _delta: Effect()))
    delta = RegionDelta(1, DeltaAction.SIGN_PLACED, HERE, CustomDelta({"text": "x"}))
    assert not apply_delta(region(), delta, actions=table).signs


def test_another_games_action_can_be_kept_without_knowing_it() -> None:
    delta = RegionDelta(1, "spell_cast", HERE, CustomDelta({"name": "light"}))
    after = apply_delta(region(), delta, actions=STANDARD_ACTIONS.keeping_unknown())
    assert dict(after.layer("custom")) == {"spell_cast/20,20": {"name": "light"}}
