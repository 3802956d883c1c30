"""Recording a visit and storing it on the way out."""

from __future__ import annotations

from pathlib import Path

import pytest
from region_strategies import PLATFORM_ADDRESS, TILES, Ticks

from unspool.regions import (
    STANDARD_ACTIONS,
    ActionRule,
    BuildingDelta,
    DeltaAction,
    DeltaRecorder,
    DirectoryStorage,
    Effect,
    Fate,
    FateRequired,
    InvalidRegionValue,
    ItemDelta,
    MultiplayerRegionDelta,
    NotInRegion,
    OutOfRange,
    RegionDeltaFile,
    RegionStorageError,
    RegionStore,
    UnknownAction,
    World,
    demo_world,
    generate_region,
)

TENT = BuildingDelta("tent", 0)


class FailingStorage(DirectoryStorage):
    """A disk that is full while `is_full` is set."""

    is_full = False

    def write(self, key: str, data: bytes) -> None:
        if self.is_full:
            raise RegionStorageError(f"{self.place(key)}: no space left")
        super().write(key, data)


@pytest.fixture
def clock() -> Ticks:
    return Ticks(150_000)


@pytest.fixture
def store(tmp_path: Path) -> RegionStore:
    return RegionStore(tmp_path, demo_world())


def test_r22_recording_appends_and_saving_clears(store: RegionStore, clock: Ticks) -> None:
    recorder = DeltaRecorder(store, PLATFORM_ADDRESS, clock)
    clock.now = 150_010
    delta = recorder.record_delta("item_removed", (10, 15), {"itemId": "ray_gun_mk2", "quantity": 1})
    assert (delta.tick, delta.action, delta.data) == (150_010, DeltaAction.ITEM_REMOVED, ItemDelta("ray_gun_mk2", 1))
    assert recorder.pending == (delta,)
    file = recorder.save_on_region_exit()
    assert isinstance(file, RegionDeltaFile)
    assert file.deltas == (delta,)
    assert recorder.pending == ()
    recorder.enter(PLATFORM_ADDRESS)
    second = recorder.record_delta(DeltaAction.BUILDING_BUILT, TILES[2], TENT)
    file = recorder.save_on_region_exit()
    assert isinstance(file, RegionDeltaFile)
    assert file.deltas == (delta, second)


def test_r21_visits_count_from_entry_and_add_up(store: RegionStore, clock: Ticks) -> None:
    recorder = DeltaRecorder(store, PLATFORM_ADDRESS, clock)
    clock.now = 150_100
    recorder.record_delta("building_built", TILES[2], TENT)
    clock.now = 152_000
    recorder.save_on_region_exit()
    clock.now = 153_000
    recorder.enter(PLATFORM_ADDRESS)
    clock.now = 155_000
    file = recorder.save_on_region_exit()
    assert file is not None
    assert (file.first_visit_tick, file.last_visit_tick) == (150_000, 155_000)
    assert (file.total_time_spent, file.player_visit_count) == (4_000, 2)


def test_r21_visits_before_the_first_change_are_counted_once_there_is_one(store: RegionStore, clock: Ticks) -> None:
    recorder = DeltaRecorder(store, PLATFORM_ADDRESS, clock)
    clock.now = 150_500
    assert recorder.save_on_region_exit() is None
    clock.now = 160_000
    recorder.enter(PLATFORM_ADDRESS)
    recorder.record_delta("building_built", TILES[2], TENT)
    clock.now = 160_100
    file = recorder.save_on_region_exit()
    assert file is not None
    assert (file.first_visit_tick, file.total_time_spent, file.player_visit_count) == (150_000, 600, 2)


def test_r21_a_clock_that_was_set_back_spends_no_time(store: RegionStore, clock: Ticks) -> None:
    recorder = DeltaRecorder(store, PLATFORM_ADDRESS, clock)
    recorder.record_delta("building_built", TILES[2], TENT)
    clock.now = 100
    file = recorder.save_on_region_exit()
    assert file is not None
    assert (file.last_visit_tick, file.total_time_spent) == (150_000, 0)


def test_r21_a_file_without_visit_fields_is_first_visited_at_its_earliest_delta(
    store: RegionStore, clock: Ticks
) -> None:
    base = store.world.base_of(PLATFORM_ADDRESS)
    with DeltaRecorder(store, PLATFORM_ADDRESS, Ticks(5)) as recorder:
        tent = recorder.record_delta("building_built", TILES[2], TENT)
        recorder.discard()
    store.save_file(RegionDeltaFile(PLATFORM_ADDRESS, base.template, base.seed, (tent,)))
    file = DeltaRecorder(store, PLATFORM_ADDRESS, clock).save_on_region_exit()
    assert file is not None
    assert (file.first_visit_tick, file.player_visit_count) == (5, 1)


def test_r22_a_visit_without_changes_to_an_untouched_region_writes_nothing(
    store: RegionStore, clock: Ticks, tmp_path: Path
) -> None:
    assert DeltaRecorder(store, PLATFORM_ADDRESS, clock).save_on_region_exit() is None
    assert list(tmp_path.iterdir()) == []


def test_r22_pending_deltas_survive_a_failed_write(tmp_path: Path, clock: Ticks) -> None:
    storage = FailingStorage(tmp_path)
    store = RegionStore(storage, demo_world())
    recorder = DeltaRecorder(store, PLATFORM_ADDRESS, clock)
    delta = recorder.record_delta("building_built", TILES[2], TENT)
    storage.is_full = True
    clock.now += 10
    with pytest.raises(RegionStorageError):
        recorder.save_on_region_exit()
    assert recorder.pending == (delta,)
    storage.is_full = False
    clock.now += 10
    file = recorder.save_on_region_exit()
    assert isinstance(file, RegionDeltaFile)
    assert file.deltas == (delta,)
    assert (file.player_visit_count, file.total_time_spent) == (1, 20)


def test_r22_exit_compresses(store: RegionStore, clock: Ticks) -> None:
    recorder = DeltaRecorder(store, PLATFORM_ADDRESS, clock)
    for _ in range(5):
        recorder.record_delta("item_added", TILES[0], ItemDelta("chair", 1))
    file = recorder.save_on_region_exit()
    assert isinstance(file, RegionDeltaFile)
    assert [delta.data for delta in file.deltas] == [ItemDelta("chair", 5)]


def test_r22_exit_checks_the_snapshot_threshold(tmp_path: Path, clock: Ticks) -> None:
    store = RegionStore(tmp_path, demo_world(), snapshot_threshold=3)
    recorder = DeltaRecorder(store, PLATFORM_ADDRESS, clock)
    for x in range(4):
        recorder.record_delta("building_built", (x, 1), TENT)
    file = recorder.save_on_region_exit()
    assert isinstance(file, RegionDeltaFile)
    assert (file.base_template, file.deltas) == ("snapshot", ())


@pytest.mark.parametrize(
    ("action", "position", "data", "error"),
    [
        ("item_removed", (1, 1), {"itemId": "chair"}, InvalidRegionValue),
        ("item_moved", (1, 1), {"itemId": "chair", "quantity": 1}, InvalidRegionValue),
        ("chest_contents_changed", (1, 1), {"added": [{"itemId": 1}]}, InvalidRegionValue),
        ("item_deleted", (1, 1), {}, UnknownAction),
        ("sign_placed", (32_000, 1), {"text": "x"}, OutOfRange),
        ("sign_placed", (1, 6_400), {"text": "x"}, OutOfRange),
        ("sign_placed", (1, 65_536), {"text": "x"}, OutOfRange),
        ("sign_placed", "1,1", {"text": "x"}, InvalidRegionValue),
    ],
)
def test_r23_what_could_not_be_applied_is_refused_when_it_is_recorded(
    store: RegionStore,
    clock: Ticks,
    action: str,
    position: tuple[int, int],
    data: dict[str, object],
    error: type[Exception],
) -> None:
    recorder = DeltaRecorder(store, PLATFORM_ADDRESS, clock)
    with pytest.raises(error):
        recorder.record_delta(action, position, data)
    assert recorder.pending == ()


def test_r57_conservation_mode_refuses_items_without_a_fate(tmp_path: Path, clock: Ticks) -> None:
    store = RegionStore(tmp_path, demo_world(), conservation=True)
    recorder = DeltaRecorder(store, PLATFORM_ADDRESS, clock)
    with pytest.raises(FateRequired, match="taken, destroyed, moved, transformed, corrupted"):
        recorder.record_delta("item_removed", (10, 15), ItemDelta("ray_gun_mk2", 1))
    recorder.record_delta("item_removed", (10, 15), ItemDelta("ray_gun_mk2", 1, disposition=Fate.taken("p1")))
    recorder.record_delta("item_added", (10, 15), ItemDelta("lamp", 1))


def test_r58_the_last_pending_changes_are_undone(store: RegionStore, clock: Ticks) -> None:
    recorder = DeltaRecorder(store, PLATFORM_ADDRESS, clock)
    first, second, third = (recorder.record_delta("building_built", (x, 1), TENT) for x in range(3))
    assert recorder.undo_last(2) == (second, third)
    assert recorder.pending == (first,)
    with pytest.raises(InvalidRegionValue, match="1 are pending"):
        recorder.undo_last(2)


def test_a_recorder_knows_whether_it_is_in_a_region(store: RegionStore, clock: Ticks) -> None:
    recorder = DeltaRecorder(store, PLATFORM_ADDRESS, clock)
    recorder.record_delta("building_built", (1, 1), TENT)
    with pytest.raises(NotInRegion, match="1 unsaved changes"):
        recorder.enter(PLATFORM_ADDRESS)
    recorder.discard()
    with pytest.raises(NotInRegion):
        recorder.record_delta("building_built", (1, 1), TENT)
    with pytest.raises(NotInRegion):
        recorder.save_on_region_exit()


def test_a_block_that_fails_still_stores_what_the_player_did(store: RegionStore, clock: Ticks) -> None:
    with pytest.raises(ZeroDivisionError), DeltaRecorder(store, PLATFORM_ADDRESS, clock) as recorder:
        recorder.record_delta("building_built", (1, 1), TENT)
        1 / 0  # noqa: B018
    assert store.read_file(PLATFORM_ADDRESS) is not None


def test_r54_a_personal_delta_turns_the_file_into_one_of_many_players(store: RegionStore, clock: Ticks) -> None:
    with DeltaRecorder(store, PLATFORM_ADDRESS, clock) as recorder:
        recorder.record_delta("building_built", TILES[2], TENT)
    with DeltaRecorder(store, PLATFORM_ADDRESS, clock, player="a") as recorder:
        recorder.record_delta("item_removed", TILES[0], ItemDelta("ray_gun_mk2", 1), personal=True)
    file = store.read_file(PLATFORM_ADDRESS)
    assert isinstance(file, MultiplayerRegionDelta)
    assert (len(file.shared_deltas), file.players, file.player_visit_count) == (1, ("a",), 2)
    for player, guns in (("a", 0), ("b", 1), (None, 1)):
        region = store.load(PLATFORM_ADDRESS, player=player).region
        assert region.quantity_at(TILES[0], "ray_gun_mk2") == guns
        assert TILES[2] in region.buildings


def test_r54_a_personal_delta_needs_a_player(store: RegionStore, clock: Ticks) -> None:
    with pytest.raises(InvalidRegionValue, match="needs a player"):
        DeltaRecorder(store, PLATFORM_ADDRESS, clock).record_delta(
            "sign_placed", (1, 1), {"text": "x"}, personal=True
        )


def test_a_games_own_action_is_recorded(tmp_path: Path, clock: Ticks) -> None:
    table = STANDARD_ACTIONS.with_action(ActionRule("spell_cast", lambda _view, _delta: Effect()))
    world = World(generate_region, lambda _address: "meadow", lambda _address, _template: 4, table)
    with DeltaRecorder(RegionStore(tmp_path, world), PLATFORM_ADDRESS, clock) as recorder:
        recorder.record_delta("spell_cast", (1, 1), {"name": "light"})
    file = RegionStore(tmp_path, world).read_file(PLATFORM_ADDRESS)
    assert isinstance(file, RegionDeltaFile)
    assert (file.base_template, file.base_seed, file.deltas[0].action) == ("meadow", 4, "spell_cast")


def test_r50_what_others_may_still_store_between_is_not_merged_over(store: RegionStore) -> None:
    mine, other = Ticks(0), Ticks(0)
    one = DeltaRecorder(store, PLATFORM_ADDRESS, mine)
    two = DeltaRecorder(store, PLATFORM_ADDRESS, other)
    for mine.now in (1, 3):
        one.record_delta("item_added", TILES[0], ItemDelta("gem", 1))
    other.now = 2
    two.record_delta("item_removed", TILES[0], ItemDelta("gem", 1))
    one.save_on_region_exit()
    two.save_on_region_exit()
    loaded = store.load(PLATFORM_ADDRESS)
    assert loaded.conflicts == ()
    assert loaded.region.quantity_at(TILES[0], "gem") == 1


def test_r51_what_others_may_still_store_between_is_not_folded(tmp_path: Path) -> None:
    store = RegionStore(tmp_path, demo_world(), snapshot_threshold=1)
    mine, other = Ticks(0), Ticks(2)
    one = DeltaRecorder(store, PLATFORM_ADDRESS, mine)
    two = DeltaRecorder(store, PLATFORM_ADDRESS, other)
    for mine.now in (1, 2, 3):
        one.record_delta("sign_placed", (mine.now, 1), {"text": str(mine.now)})
    file = one.save_on_region_exit()
    assert isinstance(file, RegionDeltaFile)
    assert [delta.tick for delta in file.deltas] == [2, 3]
    two.discard()
    assert len(store.load(PLATFORM_ADDRESS).region.signs) == 3
