"""Order, replay and undo."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from region_strategies import ADDRESS, PLATFORM_ADDRESS, TENT, addition, delta_lists, removal

from support.examples import examples
from unspool.regions import (
    CustomDelta,
    DeltaAction,
    InvalidRegionValue,
    MultiplayerRegionDelta,
    Position,
    RegionDelta,
    RegionDeltaFile,
    RegionFileError,
    RegionStore,
    apply_deltas,
    demo_world,
    generate_region,
    in_tick_order,
    replay_to,
)

BASE = generate_region(ADDRESS, "ancient_landing_platform", 782934)


def sign(tick: int, text: str) -> RegionDelta:
    return RegionDelta(tick, DeltaAction.SIGN_PLACED, Position(1, 1), CustomDelta({"text": text}))


def test_r31_deltas_apply_in_tick_order_whatever_their_order_in_the_file() -> None:
    region = apply_deltas(BASE, [sign(9, "last"), sign(1, "first"), sign(5, "middle")]).region
    assert region.signs[Position(1, 1)].text == "last"


def test_r31_equal_ticks_keep_file_order() -> None:
    deltas = [sign(5, text) for text in "abc"]
    assert in_tick_order([*deltas, sign(1, "x")])[1:] == tuple(deltas)
    assert apply_deltas(BASE, deltas).region.signs[Position(1, 1)].text == "c"


@given(delta_lists, st.integers(0, 12))
@settings(max_examples=examples(50), deadline=None)
def test_r58_replaying_to_a_tick_applies_that_tick_and_all_before(deltas: list[RegionDelta], tick: int) -> None:
    upto = [delta for delta in deltas if delta.tick <= tick]
    assert replay_to(BASE, deltas, tick, strict=False) == apply_deltas(BASE, upto, strict=False)


@given(delta_lists, st.data())
@settings(max_examples=examples(50), deadline=None)
def test_r58_undoing_the_last_deltas_gives_the_region_before_them(
    deltas: list[RegionDelta], data: st.DataObject
) -> None:
    count = data.draw(st.integers(0, len(deltas)))
    file, undone = RegionDeltaFile(ADDRESS, "t", 1, tuple(deltas)).undo_last(count)
    in_order = in_tick_order(deltas)
    assert undone == in_order[len(deltas) - count :]
    before = apply_deltas(BASE, in_order[: len(deltas) - count], strict=False)
    assert apply_deltas(BASE, file.deltas, strict=False) == before


def test_r58_undo_goes_by_tick_and_leaves_the_file_order_of_the_rest() -> None:
    file = RegionDeltaFile(ADDRESS, "t", 1, (sign(9, "late"), sign(3, "b"), sign(1, "a"), sign(3, "c")))
    rest, undone = file.undo_last(2)
    assert undone == (sign(3, "c"), sign(9, "late"))
    assert rest.deltas == (sign(3, "b"), sign(1, "a"))


@pytest.mark.parametrize("count", [-1, 2, True, 1.0])
def test_r58_undoing_more_than_there_is_is_refused(count: int) -> None:
    with pytest.raises(InvalidRegionValue):
        RegionDeltaFile(ADDRESS, "t", 1, (TENT,)).undo_last(count)


def test_r58_a_store_undoes_and_replays_what_it_holds(tmp_path: Path) -> None:
    base = demo_world().base_of(PLATFORM_ADDRESS)
    store = RegionStore(tmp_path, demo_world(), compress_on_save=False)
    store.save_file(RegionDeltaFile(PLATFORM_ADDRESS, *base, (addition(1), removal(2), TENT)))
    assert store.region_at(PLATFORM_ADDRESS, 1).region.quantity_at(Position(12, 15), "chair") == 2
    assert store.undo_last(PLATFORM_ADDRESS, 2) == (removal(2), TENT)
    region = store.load(PLATFORM_ADDRESS).region
    assert (region.quantity_at(Position(12, 15), "chair"), len(region.buildings)) == (2, 0)


def test_r58_undo_and_replay_of_nothing_are_refused(tmp_path: Path) -> None:
    store = RegionStore(tmp_path, demo_world())
    with pytest.raises(RegionFileError, match="nothing is stored"):
        store.region_at(PLATFORM_ADDRESS, 1)
    store.save_file(MultiplayerRegionDelta(PLATFORM_ADDRESS, "t", 1, (TENT,)))
    with pytest.raises(InvalidRegionValue, match="there are 1"):
        store.undo_last(PLATFORM_ADDRESS, 2)
    store.save_file(RegionDeltaFile(PLATFORM_ADDRESS, "t", 1, (TENT,)))
    with pytest.raises(InvalidRegionValue, match="'a' has no personal deltas"):
        store.undo_last(PLATFORM_ADDRESS, player="a")


def test_r58_a_players_own_changes_are_undone_apart_from_shared_ones(tmp_path: Path) -> None:
    store = RegionStore(tmp_path, demo_world())
    store.save_file(MultiplayerRegionDelta(PLATFORM_ADDRESS, "t", 1, (TENT,), {"a": (addition(1), removal(2))}))
    assert store.undo_last(PLATFORM_ADDRESS, player="a") == (removal(2),)
    assert store.undo_last(PLATFORM_ADDRESS) == (TENT,)
    file = store.read_file(PLATFORM_ADDRESS)
    assert isinstance(file, MultiplayerRegionDelta)
    assert (file.shared_deltas, dict(file.personal_deltas)) == ((), {"a": (addition(1),)})
