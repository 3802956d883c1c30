"""Folding a long file into a snapshot, and building on it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from region_strategies import PLATFORM_ADDRESS, TENT, any_delta, delta_lists, removal

from support.examples import examples
from unspool.regions import (
    FileForm,
    InvalidRegionValue,
    Layer,
    MultiplayerRegionDelta,
    Position,
    RegionDelta,
    RegionDeltaFile,
    RegionSnapshot,
    RegionStore,
    RegionWarning,
    SnapshotMissing,
    apply_deltas,
    decode_region,
    demo_world,
    encode_region,
    generate_region,
)
from unspool.regions.region_files import SNAPSHOT_THRESHOLD

BASE = demo_world().base_of(PLATFORM_ADDRESS)


def tents(count: int, start: int = 0) -> list[RegionDelta]:
    return [
        RegionDelta(start + number, TENT.action, Position(start + number, 7), TENT.data) for number in range(count)
    ]


def file_of(*deltas: RegionDelta) -> RegionDeltaFile:
    return RegionDeltaFile(PLATFORM_ADDRESS, BASE.template, BASE.seed, deltas)


def test_r51_a_thousand_deltas_stay_and_one_more_is_folded(tmp_path: Path) -> None:
    assert SNAPSHOT_THRESHOLD == 1000
    store = RegionStore(tmp_path, demo_world())
    assert store.save_file(file_of(*tents(1000))).base_template == BASE.template
    file = store.save_file(file_of(*tents(1001)))
    assert isinstance(file, RegionDeltaFile)
    assert (file.base_template, file.deltas) == ("snapshot", ())


def test_r51_a_snapshotted_region_loads_with_all_its_changes(tmp_path: Path) -> None:
    store = RegionStore(tmp_path, demo_world(), snapshot_threshold=3)
    store.save_file(file_of(*tents(4)))
    loaded = RegionStore(tmp_path, demo_world()).load(PLATFORM_ADDRESS)
    assert len(loaded.region.buildings) == 4
    assert loaded.notices == ()


def test_r51_a_second_snapshot_builds_on_the_first(tmp_path: Path) -> None:
    store = RegionStore(tmp_path, demo_world(), snapshot_threshold=3)
    for start in (0, 10, 20):
        file = store.read_file(PLATFORM_ADDRESS) or file_of()
        assert isinstance(file, RegionDeltaFile)
        store.save_file(file.with_deltas(tents(4, start)))
    assert len(store.load(PLATFORM_ADDRESS).region.buildings) == 12
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["7-22-0-0-0.region", *(f"7-22-0-0-0.snapshot-{number}.region" for number in (1, 2, 3))]


def test_r51_deltas_after_a_snapshot_stand_on_it(tmp_path: Path) -> None:
    store = RegionStore(tmp_path, demo_world(), snapshot_threshold=3)
    file = store.save_file(file_of(*tents(4)))
    assert isinstance(file, RegionDeltaFile)
    store.save_file(file.with_deltas(tents(1, 50)))
    assert len(store.load(PLATFORM_ADDRESS).region.buildings) == 5


def test_r51_equal_ticks_are_folded_in_file_order(tmp_path: Path) -> None:
    store = RegionStore(tmp_path, demo_world(), snapshot_threshold=1, compress_on_save=False)
    signs = [
        RegionDelta.from_json({**TENT.to_json(), "action": "sign_placed", "tick": 5, "data": {"text": text}})
        for text in "abc"
    ]
    late = RegionDelta.from_json({**signs[0].to_json(), "tick": 4, "data": {"text": "early"}})
    store.save_file(file_of(*signs, late))
    assert store.load(PLATFORM_ADDRESS).region.signs[TENT.position].text == "c"


def test_r33_r51_a_snapshotted_region_still_checks_its_original_base(tmp_path: Path) -> None:
    store = RegionStore(tmp_path, demo_world(), snapshot_threshold=3)
    store.save_file(file_of(*tents(4)))
    with pytest.warns(RegionWarning, match="aside"):
        assert not store.load(PLATFORM_ADDRESS, seed=5).region.buildings


def test_r51_a_file_that_names_no_snapshot_is_kept_aside(tmp_path: Path) -> None:
    store = RegionStore(tmp_path, demo_world())
    store.save_file(RegionDeltaFile(PLATFORM_ADDRESS, "snapshot", BASE.seed, (TENT,)))
    with pytest.warns(RegionWarning, match="a snapshot that it does not name"):
        store.load(PLATFORM_ADDRESS)
    assert len(store.files_aside(PLATFORM_ADDRESS)) == 1


def test_r51_a_missing_snapshot_is_named_and_nothing_is_guessed(tmp_path: Path) -> None:
    store = RegionStore(tmp_path, demo_world(), snapshot_threshold=3)
    store.save_file(file_of(*tents(4)))
    (tmp_path / "7-22-0-0-0.snapshot-1.region").unlink()
    with pytest.raises(SnapshotMissing, match="snapshot-1"):
        store.load(PLATFORM_ADDRESS)


def test_r51_the_moments_before_a_snapshot_can_still_be_replayed(tmp_path: Path) -> None:
    store = RegionStore(tmp_path, demo_world(), snapshot_threshold=3)
    file = store.save_file(file_of(*tents(4)))
    assert isinstance(file, RegionDeltaFile)
    store.save_file(file.with_deltas(tents(5, 10)))
    for tick, standing in ((0, 1), (2, 3), (9, 4), (12, 7), (99, 9)):
        assert len(store.region_at(PLATFORM_ADDRESS, tick).region.buildings) == standing


@given(delta_lists)
@settings(max_examples=examples(40), deadline=None)
def test_r52_a_snapshot_of_any_region_survives_both_forms(deltas: list[RegionDelta]) -> None:
    pristine = generate_region(PLATFORM_ADDRESS, *BASE)
    region = apply_deltas(pristine, deltas, strict=False).region.with_layers(
        **{Layer.CUSTOM: {"a": (1, 1.0, True)}, "spells": {Position(1, 2): "light", "1,2": "dark"}}
    )
    snapshot = RegionSnapshot(region, tuple(deltas), "before")
    for form in FileForm:
        again = decode_region(encode_region(snapshot, form))
        assert again == snapshot
        assert isinstance(again, RegionSnapshot)
        assert repr(again.to_json()) == repr(snapshot.to_json())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"layers": {"items": [[{"x": 1, "y": 1}, 3]]}}, "items at 1,1"),
        ({"layers": {"items": [[{"x": 1, "y": 1}]]}}, "no pair"),
        ({"seed": None}, "seed must be"),
        ({"width": -1}, "width is -1"),
        ({"previous": 3}, "previous must be text"),
        ({"folded": None}, "folded must be a list"),
    ],
)
def test_r52_a_malformed_snapshot_is_refused(change: dict[str, object], message: str) -> None:
    raw = RegionSnapshot(generate_region(PLATFORM_ADDRESS, *BASE), ()).to_json()
    with pytest.raises(InvalidRegionValue, match=message):
        RegionSnapshot.from_json({**raw, **change})


@given(delta_lists, delta_lists)
@settings(max_examples=examples(40), deadline=None)
def test_r51_folding_a_multiplayer_file_changes_nobodys_region(
    tmp_path_factory: pytest.TempPathFactory, shared: list[RegionDelta], personal: list[RegionDelta]
) -> None:
    store = RegionStore(tmp_path_factory.mktemp("world"), demo_world(), snapshot_threshold=2)
    file = MultiplayerRegionDelta(PLATFORM_ADDRESS, BASE.template, BASE.seed, tuple(shared), {"a": tuple(personal)})
    pristine = generate_region(PLATFORM_ADDRESS, *BASE)
    store.save_file(file)
    for player in ("a", "b"):
        expected = apply_deltas(pristine, file.deltas_for(player), strict=False).region
        assert store.load(PLATFORM_ADDRESS, player=player).region == expected


@given(delta_lists, any_delta)
@settings(max_examples=examples(40), deadline=None)
def test_r51_snapshots_at_any_threshold_give_the_region_without_snapshots(
    tmp_path_factory: pytest.TempPathFactory, deltas: list[RegionDelta], last: RegionDelta
) -> None:
    in_order = sorted([*deltas, last], key=lambda delta: delta.tick)
    store = RegionStore(tmp_path_factory.mktemp("world"), demo_world(), snapshot_threshold=2)
    for delta in in_order:
        file = store.read_file(PLATFORM_ADDRESS) or file_of()
        assert isinstance(file, RegionDeltaFile)
        store.save_file(file.with_deltas([delta]))
    expected = apply_deltas(generate_region(PLATFORM_ADDRESS, *BASE), in_order, strict=False).region
    assert store.load(PLATFORM_ADDRESS).region == expected


def test_r51_removals_before_and_after_a_snapshot_add_up(tmp_path: Path) -> None:
    store = RegionStore(tmp_path, demo_world(), snapshot_threshold=1)
    deltas = [removal(1, "ray_gun_mk2", at=Position(10, 15)), removal(2)]
    file = store.save_file(file_of(*deltas))
    assert isinstance(file, RegionDeltaFile)
    store.save_file(file.with_deltas([removal(3, "map")]))
    assert [conflict.delta.tick for conflict in store.load(PLATFORM_ADDRESS).conflicts] == [3]
