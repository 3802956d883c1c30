"""Nothing is deleted."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from region_strategies import ADDRESS, PLATFORM_ADDRESS, TILES, addition, delta_lists, removal

from support.examples import examples
from unspool.regions import (
    BuildingDelta,
    CustomDelta,
    DeltaAction,
    Fate,
    FateKind,
    FateRequired,
    InvalidRegionValue,
    ItemDelta,
    MovementKind,
    NPCDelta,
    NPCState,
    Position,
    RegionDelta,
    RegionDeltaFile,
    RegionStore,
    UnknownFate,
    audit,
    compress_deltas,
    demo_world,
    generate_region,
    require_fate,
    unknown_region,
)

TILE = Position(40, 40)
BASE = generate_region(ADDRESS, "ancient_landing_platform", 782934)


def act(
    tick: int, action: DeltaAction, data: ItemDelta | BuildingDelta | NPCDelta | dict[str, object]
) -> RegionDelta:
    return RegionDelta(tick, action, TILE, CustomDelta(data) if isinstance(data, dict) else data)


def leaves(tick: int, fate: Fate | None, quantity: int = 1) -> RegionDelta:
    return act(tick, DeltaAction.ITEM_REMOVED, ItemDelta("gem", quantity, None, fate))


@pytest.mark.parametrize(
    ("raw", "fate"),
    [
        ({"type": "taken", "playerId": "p1"}, Fate.taken("p1")),
        ({"type": "destroyed", "reason": "fire"}, Fate.destroyed("fire")),
        ({"type": "moved", "newPosition": {"x": 1, "y": 2}}, Fate.moved(Position(1, 2))),
        ({"type": "transformed", "resultItemId": "plank"}, Fate.transformed("plank")),
        ({"type": "corrupted", "corruptionId": "c1"}, Fate.corrupted("c1")),
    ],
)
def test_r56_the_five_fates_read_and_write(raw: dict[str, object], fate: Fate) -> None:
    assert Fate.from_json(raw) == fate
    assert fate.to_json() == raw
    assert Fate.from_json({**raw, "note": [1]}).to_json() == {**raw, "note": [1]}


@pytest.mark.parametrize("name", ["deleted", "lost", None, "", 5])
def test_r56_there_is_no_other_fate(name: object) -> None:
    with pytest.raises(UnknownFate, match="taken, destroyed, moved, transformed, corrupted"):
        Fate.from_json({"type": name, "playerId": "p1"})
    assert [str(kind) for kind in FateKind] == ["taken", "destroyed", "moved", "transformed", "corrupted"]


@pytest.mark.parametrize("kind", FateKind)
def test_r56_each_fate_requires_its_field(kind: FateKind) -> None:
    with pytest.raises(InvalidRegionValue, match=f"disposition {kind}"):
        Fate.from_json({"type": str(kind)})


def test_r57_metadata_and_fate_are_both_optional_on_reading() -> None:
    for extra in ({}, {"metadata": {"durability": 1}}, {"disposition": {"type": "taken", "playerId": "p"}}):
        raw = {"itemId": "gem", "quantity": 1, **extra}
        assert ItemDelta.from_json(raw).to_json() == raw


@pytest.mark.parametrize(
    "delta",
    [
        leaves(1, None),
        act(1, DeltaAction.ITEM_MOVED, ItemDelta("gem", 1, extra={"to": {"x": 1, "y": 1}})),
        act(1, DeltaAction.ITEM_MOVED, ItemDelta("gem", 1, disposition=Fate.taken("p"))),
        act(1, DeltaAction.CHEST_CONTENTS_CHANGED, {"removed": [{"itemId": "gem", "quantity": 1}]}),
        act(1, DeltaAction.CHEST_CONTENTS_CHANGED, {"itemId": "gem", "quantity": -1}),
        act(1, DeltaAction.CHEST_CONTENTS_CHANGED, {"contents": {}}),
    ],
)
def test_r57_conservation_mode_requires_a_fate_for_what_leaves_its_place(delta: RegionDelta) -> None:
    with pytest.raises(FateRequired):
        require_fate(delta)


@pytest.mark.parametrize(
    "delta",
    [
        leaves(1, Fate.destroyed("acid")),
        addition(1),
        act(1, DeltaAction.ITEM_MOVED, ItemDelta("gem", 1, disposition=Fate.moved(TILES[0]))),
        act(1, DeltaAction.CHEST_CONTENTS_CHANGED, {"added": [{"itemId": "gem", "quantity": 1}]}),
        act(1, DeltaAction.NPC_KILLED, NPCDelta("x", "y", NPCState.KILLED, (ItemDelta("gem", 1),))),
    ],
)
def test_r57_what_lies_where_the_delta_says_needs_no_fate(delta: RegionDelta) -> None:
    require_fate(delta)


def test_r56_the_books_balance_when_every_item_has_a_fate() -> None:
    deltas = [
        act(1, DeltaAction.ITEM_ADDED, ItemDelta("gem", 9)),
        leaves(2, Fate.taken("p1"), 2),
        leaves(3, Fate.destroyed("acid")),
        leaves(4, Fate.transformed("ring")),
        leaves(5, Fate.corrupted("c1")),
        leaves(6, Fate.moved(TILES[0])),
        act(7, DeltaAction.ITEM_MOVED, ItemDelta("gem", 1, disposition=Fate.moved(TILES[1]))),
    ]
    books = audit(BASE, deltas)
    gems = books.account("gem")
    assert books.is_balanced
    assert (gems.base, gems.arrived, gems.present, gems.missing) == (0, 9, 4, 0)
    assert {str(kind): count for kind, count in gems.fates.items()} == {
        "taken": 2,
        "destroyed": 1,
        "transformed": 1,
        "corrupted": 1,
    }


def test_r56_an_item_that_left_without_a_fate_is_named() -> None:
    books = audit(BASE, [act(1, DeltaAction.ITEM_ADDED, ItemDelta("gem", 3)), leaves(2, None)])
    assert not books.is_balanced
    assert [(account.item_id, account.unstated) for account in books.unaccounted] == [("gem", 1)]


def test_r56_matter_from_nothing_is_found() -> None:
    books = audit(BASE, [leaves(1, Fate.taken("p1"), 2)])
    assert [(account.item_id, account.missing) for account in books.unaccounted] == [("gem", -2)]


def test_r56_chests_storage_and_loot_are_in_the_books() -> None:
    taken = Fate.taken("p1").to_json()
    deltas = [
        act(1, DeltaAction.BUILDING_BUILT, BuildingDelta("mill", custom_data={"storage": {"wood": 5, "oil": 0.5}})),
        act(2, DeltaAction.BUILDING_UPGRADED, BuildingDelta("mill", custom_data={"storage": {"wood": 7}})),
        act(3, DeltaAction.BUILDING_DESTROYED, {}),
        act(4, DeltaAction.CHEST_CONTENTS_CHANGED, {"added": [{"itemId": "gem", "quantity": 3}]}),
        act(
            5,
            DeltaAction.CHEST_CONTENTS_CHANGED,
            {"removed": [{"itemId": "gem", "quantity": 1, "disposition": taken}]},
        ),
        RegionDelta(
            6,
            DeltaAction.NPC_KILLED,
            Position(75, 80),
            NPCDelta("security_drone_12345", "security_drone", NPCState.KILLED, (ItemDelta("gem", 2),)),
        ),
    ]
    books = audit(BASE, deltas)
    assert books.is_balanced
    assert books.account("wood").fates == {MovementKind.DESTROYED: 7}
    assert (books.account("gem").arrived, books.account("gem").present) == (5, 4)


def test_r56_contents_stated_as_a_whole_move_only_the_difference() -> None:
    deltas = [
        act(1, DeltaAction.CHEST_CONTENTS_CHANGED, {"contents": {"gem": 5}}),
        act(2, DeltaAction.CHEST_CONTENTS_CHANGED, {"contents": {"gem": 3}}),
    ]
    gems = audit(BASE, deltas).account("gem")
    assert (gems.arrived, gems.unstated, gems.missing) == (5, 2, 0)


def test_r56_an_audit_needs_the_generated_base() -> None:
    with pytest.raises(InvalidRegionValue, match="generated base"):
        audit(unknown_region(), [])


@given(delta_lists)
@settings(max_examples=examples(60), deadline=None)
def test_r50_r56_compression_leaves_the_books_as_they_are(deltas: list[RegionDelta]) -> None:
    assert audit(BASE, compress_deltas(deltas)) == audit(BASE, deltas)


def test_r56_r64_a_store_audits_a_region_from_its_first_delta_on(tmp_path: Path) -> None:
    base = demo_world().base_of(PLATFORM_ADDRESS)
    store = RegionStore(tmp_path, demo_world(), snapshot_threshold=1, compress_on_save=False)
    file = store.save_file(RegionDeltaFile(PLATFORM_ADDRESS, *base, (addition(1), removal(2))))
    assert isinstance(file, RegionDeltaFile)
    store.save_file(file.with_deltas([removal(3)]))
    chairs = store.audit(PLATFORM_ADDRESS).account("chair")
    assert (chairs.base, chairs.arrived, chairs.present, chairs.missing) == (1, 1, 0, 0)
    assert store.audit(PLATFORM_ADDRESS).is_balanced
