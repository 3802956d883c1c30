"""The fixed loads of the seed's performance claims, for right results; benchmarks/regions_load.py takes the times."""

from __future__ import annotations

from pathlib import Path

from region_strategies import PLATFORM_ADDRESS, Ticks

from unspool.regions import DeltaRecorder, FileForm, ItemDelta, RegionDeltaFile, RegionStore, demo_world


def test_r60_r61_a_thousand_recorded_deltas_load_and_apply(tmp_path: Path) -> None:
    for form in FileForm:
        store = RegionStore(tmp_path / form, demo_world(), form=form, compress_on_save=False)
        clock = Ticks(150_000)
        with DeltaRecorder(store, PLATFORM_ADDRESS, clock) as recorder:
            for number in range(1000):
                clock.now += 1
                recorder.record_delta("item_added", (500 + number % 100, number // 100), ItemDelta("ray_gun_mk2", 1))
        loaded = RegionStore(tmp_path / form, demo_world()).load(PLATFORM_ADDRESS)
        assert isinstance(loaded.file, RegionDeltaFile)
        assert [delta.tick for delta in loaded.file.deltas] == list(range(150_001, 151_001))
        guns = [
            stack
            for position, stacks in loaded.region.items.items()
            for stack in stacks
            if stack.item_id == "ray_gun_mk2" and position.x >= 500
        ]
        assert len(guns) == 1000
        assert loaded.conflicts == ()


def test_r65_every_phase_works_together_in_one_session(tmp_path: Path) -> None:
    store = RegionStore(tmp_path, demo_world(), snapshot_threshold=2, conservation=True)
    clock = Ticks(10)
    taken = {"type": "taken", "playerId": "p1"}
    with DeltaRecorder(store, PLATFORM_ADDRESS, clock) as recorder:
        recorder.record_delta(
            "item_removed", (10, 15), {"itemId": "ray_gun_mk2", "quantity": 1, "disposition": taken}
        )
        recorder.record_delta("building_built", (50, 50), {"buildingType": "tent", "rotation": 0})
        clock.now = 20
        recorder.record_delta("sign_placed", (51, 50), {"text": "mine"})
    with DeltaRecorder(store, PLATFORM_ADDRESS, clock, player="b") as recorder:
        recorder.record_delta("flag_placed", (52, 50), {"flagType": "camp"}, personal=True)
    region = store.load(PLATFORM_ADDRESS, player="b").region
    assert (len(region.buildings), len(region.signs), len(region.flags)) == (1, 1, 1)
    assert not store.load(PLATFORM_ADDRESS).region.flags
    assert not store.region_at(PLATFORM_ADDRESS, 10).region.signs
    assert store.audit(PLATFORM_ADDRESS).is_balanced
