"""Region deltas under the seed's loads: P-R1 (1,000 item deltas), P-R2 (10,000 mixed), P-R3 (100 regions x 100).

Every load is read back and compared before a number is reported. Targets of the seed are in the row names.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace

from unspool.regions import (
    BuildingDelta,
    CustomDelta,
    DeltaAction,
    DeltaRecorder,
    FileForm,
    ItemDelta,
    NPCDelta,
    NPCState,
    Position,
    RegionAddress,
    RegionDelta,
    RegionDeltaFile,
    RegionStore,
    SqliteStorage,
    TerrainDelta,
    apply_deltas,
    decode_region,
    demo_world,
    encode_region,
    generate_region,
)

Row = tuple[str, float, str]

ADDRESS = RegionAddress(7, 22)
WORLD = demo_world()
BASE = WORLD.base_of(ADDRESS)
ITEMS = ("ray_gun_mk2", "chair", "scrap_metal", "energy_cell")
REPEATS = 7


def item_deltas(count: int, tick: int = 150_000) -> tuple[RegionDelta, ...]:
    """P-R1: item deltas as in the seed's sample file."""
    return tuple(
        RegionDelta(
            tick + number,
            DeltaAction.ITEM_ADDED,
            Position(number % 100, number // 100),
            ItemDelta(ITEMS[number % len(ITEMS)], 1),
        )
        for number in range(count)
    )


def mixed_deltas(count: int) -> tuple[RegionDelta, ...]:
    """P-R2: items, buildings, terrain, NPCs with loot, and signs."""
    payloads = (
        (DeltaAction.ITEM_ADDED, ItemDelta("chair", 1, {"durability": 87, "customName": "Zephyr's Wrath"})),
        (DeltaAction.BUILDING_BUILT, BuildingDelta("tent", 0, "leather", "player_123")),
        (DeltaAction.TERRAIN_MODIFIED, TerrainDelta("grass", "tilled_soil", "hoe")),
        (DeltaAction.SIGN_PLACED, CustomDelta({"text": "Keep out", "owner": "player_123"})),
        (DeltaAction.NPC_KILLED, NPCDelta("drone", "drone", NPCState.KILLED, (ItemDelta("scrap_metal", 3),))),
    )
    deltas = []
    for number in range(count):
        action, data = payloads[number % len(payloads)]
        if isinstance(data, NPCDelta):
            data = replace(data, npc_id=f"drone_{number}")
        deltas.append(RegionDelta(number, action, Position(number % 3_000, number % 5_000), data))
    return tuple(deltas)


def milliseconds(work: Callable[[], object]) -> float:
    """Return the median time of some work."""
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times) * 1000


def _one_region(name: str, deltas: tuple[RegionDelta, ...]) -> list[Row]:
    pristine = generate_region(ADDRESS, *BASE)
    file = RegionDeltaFile(ADDRESS, *BASE, deltas, 0, 1, 1, 1)
    binary, text = (encode_region(file, form) for form in (FileForm.BINARY, FileForm.JSON))
    assert decode_region(binary) == decode_region(text) == file
    count = len(deltas)
    apply = milliseconds(lambda: apply_deltas(pristine, deltas, strict=False))
    generate = milliseconds(lambda: generate_region(ADDRESS, *BASE))
    load = milliseconds(lambda: decode_region(binary))
    return [
        (f"{name}: load, binary (target 50 per 1,000)", load, "ms"),
        (f"{name}: load, JSON (target 50 per 1,000)", milliseconds(lambda: decode_region(text)), "ms"),
        (f"{name}: apply (target 100 per 1,000)", apply, "ms"),
        (f"{name}: region with deltas (target 500)", generate + load + apply, "ms"),
        (f"{name}: bytes per delta, binary (target 20)", len(binary) / count, "bytes"),
        (f"{name}: bytes per delta, JSON (target 150)", len(text) / count, "bytes"),
    ]


def _recording() -> list[Row]:
    with tempfile.TemporaryDirectory() as directory:
        recorder = DeltaRecorder(RegionStore(directory, WORLD), ADDRESS, lambda: 150_000)
        item = ItemDelta("chair", 1)
        count = 1000

        def record() -> None:
            for number in range(count):
                recorder.record_delta(DeltaAction.ITEM_ADDED, Position(number % 100, number // 100), item)
            recorder.undo_last(count)

        return [("P-R1: record one delta (target 0.1)", milliseconds(record) / count, "ms")]


def _many_regions() -> list[Row]:
    rows = []
    for form, target in ((FileForm.BINARY, 200_000), (FileForm.JSON, 1_500_000)):
        total = 0
        for region in range(100):
            file = RegionDeltaFile(RegionAddress(7, region), *BASE, item_deltas(100), 150_000, 155_000, 5_000, 2)
            total += len(encode_region(file, form))
        rows.append((f"P-R3: 100 regions x 100 deltas, {form} (target {target})", float(total), "bytes"))
    with tempfile.TemporaryDirectory() as directory:
        store = RegionStore(SqliteStorage(f"{directory}/world.sqlite"), WORLD)
        start = time.perf_counter()
        for region in range(100):
            address = RegionAddress(7, region)
            store.save_file(RegionDeltaFile(address, *WORLD.base_of(address), item_deltas(100)))
        saved = time.perf_counter()
        assert all(store.load(address).file is not None for address in store.addresses())
        loaded = time.perf_counter()
        store.close()
    rows.append(("P-R3: save 100 regions in one SQLite file", (saved - start) * 1000, "ms"))
    rows.append(("P-R3: generate and load 100 regions", (loaded - saved) * 1000, "ms"))
    return rows


def run() -> list[Row]:
    """Return every measurement: its name, its value, its unit."""
    one, many = item_deltas(1000), mixed_deltas(10_000)
    return [*_recording(), *_one_region("P-R1", one), *_one_region("P-R2", many), *_many_regions()]


def main() -> None:
    """Print the measurements as a table."""
    for name, value, unit in run():
        print(f"{name:60} {value:12,.3f} {unit}")


if __name__ == "__main__":
    main()
