"""Regions at rest: untouched, mismatched, damaged; in a directory and in SQLite."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from region_strategies import ADDRESS, PLATFORM_ADDRESS, SEED_EXAMPLES, TENT, any_delta, delta_lists, removal

from support.examples import examples
from unspool.errors import RegionError
from unspool.regions import (
    DirectoryStorage,
    FileForm,
    InvalidRegionValue,
    ItemDelta,
    MultiplayerRegionDelta,
    Position,
    RegionDelta,
    RegionDeltaFile,
    RegionFileError,
    RegionStorage,
    RegionStorageError,
    RegionStore,
    RegionTemplate,
    RegionWarning,
    SqliteStorage,
    apply_deltas,
    decode_region,
    demo_world,
    encode_region,
    generate_region,
    hash_seed,
    region_state,
)

Open = Callable[[], RegionStorage]


@pytest.fixture(params=["directory", "sqlite"])
def open_storage(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    if request.param == "sqlite":
        return lambda: SqliteStorage(tmp_path / "world.sqlite")
    return lambda: DirectoryStorage(tmp_path / "world")


def file_of(*deltas: RegionDelta, seed: float | None = None) -> RegionDeltaFile:
    base = demo_world().base_of(PLATFORM_ADDRESS)
    return RegionDeltaFile(PLATFORM_ADDRESS, base.template, base.seed if seed is None else seed, deltas)


def test_r03_an_untouched_region_is_generated_and_nothing_is_stored(open_storage: Open) -> None:
    with RegionStore(open_storage(), demo_world()) as store:
        loaded = store.load(PLATFORM_ADDRESS)
        assert loaded.region == generate_region(PLATFORM_ADDRESS, *demo_world().base_of(PLATFORM_ADDRESS))
        assert (loaded.file, loaded.conflicts, loaded.notices) == (None, (), ())
        assert store.addresses() == ()


def test_r03_r70_a_region_is_its_generated_base_plus_its_deltas(open_storage: Open) -> None:
    with RegionStore(open_storage(), demo_world()) as store:
        pristine = store.load(PLATFORM_ADDRESS).region
        store.save_file(file_of(*SEED_EXAMPLES))
        assert store.load(PLATFORM_ADDRESS).region == apply_deltas(pristine, SEED_EXAMPLES).region


def test_r32_a_region_without_a_file_is_pristine(tmp_path: Path) -> None:
    store = RegionStore(tmp_path, demo_world())
    store.save_file(file_of(TENT))
    assert not store.load(ADDRESS).region.buildings


def test_r64_r70_changes_persist_across_sessions(open_storage: Open) -> None:
    with RegionStore(open_storage(), demo_world()) as store:
        store.save_file(file_of(*SEED_EXAMPLES))
        before = region_state(store.load(PLATFORM_ADDRESS).region)
    with RegionStore(open_storage(), demo_world()) as store:
        assert store.addresses() == (PLATFORM_ADDRESS,)
        assert region_state(store.load(PLATFORM_ADDRESS).region) == before


@pytest.mark.parametrize("form", FileForm)
def test_a_store_reads_every_form_whatever_it_writes(form: FileForm, tmp_path: Path) -> None:
    RegionStore(tmp_path, demo_world(), form=form).save_file(file_of(TENT))
    assert RegionStore(tmp_path, demo_world()).read_file(PLATFORM_ADDRESS) == file_of(TENT)


def test_r33_a_file_of_another_base_is_kept_aside_and_the_region_is_pristine(open_storage: Open) -> None:
    with RegionStore(open_storage(), demo_world()) as store:
        store.save_file(file_of(TENT))
        with pytest.warns(RegionWarning, match=r"seed 5.*restore\('7-22-0-0-0\.aside-1'\)"):
            loaded = store.load(PLATFORM_ADDRESS, seed=5)
        assert loaded.file is None
        assert not loaded.region.buildings
        assert len(loaded.notices) == 1
        assert store.files_aside(PLATFORM_ADDRESS) == ("7-22-0-0-0.aside-1",)


def test_r33_new_changes_after_a_mismatch_load_again_and_never_touch_the_old_file(open_storage: Open) -> None:
    with RegionStore(open_storage(), demo_world()) as store:
        for seed in (5, 6, 7):
            store.save_file(file_of(removal(seed), seed=seed))
            with pytest.warns(RegionWarning):
                store.load(PLATFORM_ADDRESS)
        store.save_file(file_of(TENT))
        assert TENT.position in store.load(PLATFORM_ADDRESS).region.buildings
        assert len(store.files_aside(PLATFORM_ADDRESS)) == 3


def test_r33_a_file_kept_aside_can_be_used_again(open_storage: Open) -> None:
    with RegionStore(open_storage(), demo_world()) as store:
        store.save_file(file_of(TENT))
        with pytest.warns(RegionWarning):
            store.load(PLATFORM_ADDRESS, seed=5)
        store.save_file(file_of(removal(1), seed=5))
        assert store.restore("7-22-0-0-0.aside-1") == PLATFORM_ADDRESS
        assert store.read_file(PLATFORM_ADDRESS) == file_of(TENT)
        assert store.files_aside(PLATFORM_ADDRESS) == ("7-22-0-0-0.aside-2",)
        with pytest.raises(RegionFileError, match="aside-9"):
            store.restore("7-22-0-0-0.aside-9")


def test_r33_the_seed_in_a_file_is_compared_and_not_recomputed(tmp_path: Path) -> None:
    store = RegionStore(tmp_path, demo_world())
    store.save_file(RegionDeltaFile(ADDRESS, "ancient_landing_platform", 782934, (TENT,)))
    loaded = store.load(ADDRESS, template="ancient_landing_platform", seed=782934)
    assert TENT.position in loaded.region.buildings
    assert hash_seed(7, 23, "ancient_landing_platform") != 782934


def test_r34_the_caller_supplies_template_and_seed_or_the_world_does(tmp_path: Path) -> None:
    store = RegionStore(tmp_path, demo_world())
    assert store.load(ADDRESS).region.template == "meadow"
    assert store.load(ADDRESS).region.seed == hash_seed(7, 23, "meadow")
    assert store.load(ADDRESS, template="ancient_landing_platform", seed=1).region.seed == 1


def test_changes_that_do_not_fit_hold_and_are_reported(tmp_path: Path) -> None:
    store = RegionStore(tmp_path, demo_world())
    store.save_file(file_of(removal(1, "throne"), TENT))
    loaded = store.load(PLATFORM_ADDRESS)
    assert TENT.position in loaded.region.buildings
    assert [conflict.delta.tick for conflict in loaded.conflicts] == [1]


def test_a_damaged_file_is_refused_whole_and_left_in_place(tmp_path: Path) -> None:
    store = RegionStore(tmp_path, demo_world())
    store.save_file(file_of(TENT))
    path = tmp_path / "7-22-0-0-0.region"
    damaged = path.read_bytes()[:-20]
    path.write_bytes(damaged)
    with pytest.raises(RegionFileError, match=r"7-22-0-0-0\.region: damaged or cut off"):
        store.load(PLATFORM_ADDRESS)
    assert path.read_bytes() == damaged


def test_other_files_in_the_directory_are_no_regions(tmp_path: Path) -> None:
    (tmp_path / "notes.region").write_bytes(b"x")
    (tmp_path / "readme.txt").write_bytes(b"x")
    (tmp_path / ".7-22-0-0-0.region.abc.unfinished").write_bytes(b"x")
    assert RegionStore(tmp_path, demo_world()).addresses() == ()


def test_storage_renames_only_what_is_there_and_never_onto_something(open_storage: Open) -> None:
    storage = open_storage()
    storage.write("a", b"1")
    storage.write("b", b"2")
    with pytest.raises(RegionStorageError):
        storage.rename("a", "b")
    with pytest.raises(RegionStorageError):
        storage.rename("none", "c")
    storage.rename("a", "c")
    assert [(key, storage.read(key)) for key in storage.list_keys()] == [("b", b"2"), ("c", b"1")]
    storage.close()


@pytest.mark.parametrize("key", ["", "../a", "a/b", ".a"])
def test_a_key_cannot_leave_its_directory(key: str, tmp_path: Path) -> None:
    with pytest.raises(RegionStorageError, match="no key of a region"):
        DirectoryStorage(tmp_path).write(key, b"")


def test_a_place_that_cannot_be_a_store_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"not a database, but long enough to look at" * 50)
    with pytest.raises(RegionStorageError, match="file"):
        DirectoryStorage(tmp_path / "file")
    with pytest.raises(RegionStorageError, match="file"):
        SqliteStorage(tmp_path / "file")


@given(delta_lists)
@settings(max_examples=examples(30), deadline=None)
def test_r70_saved_deltas_load_to_the_region_before_saving(
    tmp_path_factory: pytest.TempPathFactory, deltas: list[RegionDelta]
) -> None:
    store = RegionStore(tmp_path_factory.mktemp("world"), demo_world())
    base = store.load(PLATFORM_ADDRESS).region
    store.save_file(file_of(*deltas))
    expected = region_state(apply_deltas(base, deltas, strict=False).region)
    assert region_state(store.load(PLATFORM_ADDRESS).region) == expected


def test_r70_generation_is_deterministic_and_differs_by_seed() -> None:
    one, same, other = (generate_region(ADDRESS, "meadow", seed) for seed in (1, 1, 2))
    assert one == same
    assert one.trees != other.trees


def test_r70_generation_gives_the_same_region_on_every_machine() -> None:
    region = generate_region(ADDRESS, "meadow", 1)
    assert str(next(iter(region.trees))) == "65,103"


def test_an_unknown_template_and_one_that_cannot_fit_are_refused() -> None:
    with pytest.raises(InvalidRegionValue, match="no template 'x'; there are"):
        generate_region(ADDRESS, "x", 1)
    with pytest.raises(InvalidRegionValue, match="at most"):
        RegionTemplate("grass", trees=20_000)


@pytest.mark.slow
def test_r70_ten_thousand_mixed_deltas_load_to_the_right_region(tmp_path: Path) -> None:
    cycle = [removal(0, "flower"), *SEED_EXAMPLES]
    deltas = [
        RegionDelta(
            number,
            cycle[number % 5].action,
            type(TENT.position)(number % 3_000, number % 5_000),
            cycle[number % 5].data,
        )
        for number in range(10_000)
    ]
    store = RegionStore(tmp_path, demo_world(), compress_on_save=False)
    file = store.save_file(file_of(*deltas))
    assert (file.base_template, file.to_json()["deltas"]) == ("snapshot", [])
    region = store.load(PLATFORM_ADDRESS).region
    pristine = generate_region(PLATFORM_ADDRESS, *demo_world().base_of(PLATFORM_ADDRESS))
    assert region == apply_deltas(pristine, deltas, strict=False).region
    assert len(region.buildings) == len({delta.position for delta in deltas if delta.action == TENT.action})


@given(any_delta)
@settings(max_examples=examples(30), deadline=None)
def test_every_error_of_this_room_is_a_region_error(delta: RegionDelta) -> None:
    data = delta.to_json()
    data["tick"] = "late"
    with pytest.raises(RegionError):
        RegionDelta.from_json(data)


def quantity(tick: int) -> RegionDelta:
    return RegionDelta(tick, "item_removed", Position(3, 4), ItemDelta("chair", 1))


def test_moments_that_saving_merged_are_told_of_and_not_made_up(open_storage: Open) -> None:
    with RegionStore(open_storage(), demo_world()) as store:
        saved = store.save_file(file_of(*(quantity(tick) for tick in (10, 20, 30)), TENT))
        assert dict(saved.extra["mergedDeltas"]) == {"until": 30, "count": 2}
        with pytest.warns(RegionWarning, match="2 deltas up to tick 30 were merged"):
            store.region_at(PLATFORM_ADDRESS, 15)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            store.region_at(PLATFORM_ADDRESS, 30)
        with pytest.warns(RegionWarning, match="one delta may stand for several"):
            store.undo_last(PLATFORM_ADDRESS)
        again = store.save_file(store.read_file(PLATFORM_ADDRESS).with_deltas([quantity(40)]))  # type: ignore[union-attr]
        assert again.extra["mergedDeltas"]["count"] >= 2
    with RegionStore(open_storage(), demo_world(), compress_on_save=False) as store:
        store.save_file(file_of(*(quantity(tick) for tick in (10, 20, 30))))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert len(store.read_file(PLATFORM_ADDRESS).deltas) == 3  # type: ignore[union-attr]
            store.region_at(PLATFORM_ADDRESS, 15)


def test_a_file_in_the_place_of_another_region_is_refused_and_overwrites_nothing(open_storage: Open) -> None:
    storage = open_storage()
    with RegionStore(storage, demo_world()) as store:
        store.save_file(file_of(TENT))
        other = replace(PLATFORM_ADDRESS, region=PLATFORM_ADDRESS.region + 1)
        written = storage.read(PLATFORM_ADDRESS.slug)
        assert written is not None
        storage.write(other.slug, written)
        with pytest.raises(RegionFileError, match="holds the region"):
            store.load(other)
        assert storage.read(PLATFORM_ADDRESS.slug) == written


@pytest.mark.parametrize("form", list(FileForm))
def test_fields_of_multiplayer_files_that_nobody_knows_are_written_again(form: FileForm) -> None:
    file = MultiplayerRegionDelta.sharing(file_of(TENT)).with_deltas([quantity(5)], "ann")
    file = replace(file, extra={"weather": "rain", "mods": [{"id": 1}]})
    assert decode_region(encode_region(file, form)) == file
