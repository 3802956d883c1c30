"""Rebuilding states over the shortest route, with a cache."""

from __future__ import annotations

import dataclasses
import random
import threading
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.snapshots import atom_states, deltas_of, run_of, same, snap
from unspool.errors import BaseMismatch, ConfigError, ContradictoryDelta, EntryNotFound, UnreadableSource
from unspool.snapshots import DeltaChain, ReconstructorConfig, SnapshotReconstructor
from unspool.snapshots.chains import chain_states, pays, states_of_chains
from unspool.snapshots.packing import without_values
from unspool.snapshots.reconstructor import Prefetcher, ScrubPredictor
from unspool.snapshots.snapshot import AtomEntry, DeltaSnapshot, Snapshot


def chain(count: int, **atoms: Any) -> tuple[list[Snapshot], list[DeltaSnapshot]]:
    run = run_of([{"ballast": "b" * 99, **atoms, "n": number} for number in range(count + 1)])
    return run, deltas_of(run)


class Inline(Executor):
    def submit(self, fn, /, *args, **kwargs):  # type: ignore[no-untyped-def]
        future: Future[Any] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


@pytest.mark.parametrize("options", [{}, {"cache": False}, {"optimize_path": False}])
def test_n30_target_n_is_the_state_after_the_first_n_deltas(options: dict[str, Any]) -> None:
    run, deltas = chain(6)
    for target in range(7):
        result = SnapshotReconstructor(**options).reconstruct(run[0], deltas, target)
        assert result.success
        assert same(result.snapshot, run[target])
        assert result.snapshot is not None
        assert result.snapshot.id == run[target].id
        assert result.snapshot.metadata == run[target].metadata
        assert result.metadata.deltas_applied == target
    everything = SnapshotReconstructor(**options).reconstruct(run[0], deltas)
    assert same(everything.snapshot, run[6])


def test_n30_the_metadata_tell_time_and_hits() -> None:
    ticks = iter([1.0, 1.25, 2.0, 2.5])
    reconstructor = SnapshotReconstructor(timer=lambda: next(ticks))
    run, deltas = chain(4)
    first = reconstructor.reconstruct(run[0], deltas)
    assert (first.metadata.reconstruction_time, first.metadata.cache_hit) == (250, False)
    second = reconstructor.reconstruct(run[0], deltas)
    assert (second.metadata.reconstruction_time, second.metadata.cache_hit) == (500, True)
    assert second.metadata.deltas_applied == 0
    assert second.snapshot is first.snapshot


def test_n31_the_path_starts_at_the_nearest_known_state_in_either_direction() -> None:
    run, deltas = chain(20)
    reconstructor = SnapshotReconstructor()
    path = reconstructor.get_reconstruction_path(run[0], deltas, 15)
    assert (path.start_id, path.start_index, path.direction, path.from_cache) == ("s0", 0, "forward", False)
    assert path.deltas == tuple(delta.id for delta in deltas[:15])
    assert path.cost == sum(delta.metadata.compressed_size for delta in deltas[:15])
    reconstructor.reconstruct(run[0], deltas, 15)
    ahead = reconstructor.get_reconstruction_path(run[0], deltas, 17)
    assert (ahead.start_index, ahead.direction, ahead.from_cache) == (15, "forward", True)
    behind = reconstructor.get_reconstruction_path(run[0], deltas, 12)
    assert (behind.start_index, behind.direction) == (15, "backward")
    assert behind.deltas == tuple(delta.id for delta in reversed(deltas[12:15]))
    assert reconstructor.get_reconstruction_path(run[0], deltas, 3).start_index == 0
    here = reconstructor.get_reconstruction_path(run[0], deltas, 15)
    assert (here.direction, here.deltas) == ("none", ())
    result = reconstructor.reconstruct(run[0], deltas, 12)
    assert (result.metadata.deltas_applied, result.metadata.start_id) == (3, "s15")
    assert same(result.snapshot, run[12])
    assert result.snapshot is not None
    assert result.snapshot.metadata == run[12].metadata
    with pytest.raises(EntryNotFound):
        reconstructor.get_reconstruction_path(run[0], deltas, 21)


def test_n32_the_cache_holds_targets_by_their_id() -> None:
    run, deltas = chain(5)
    reconstructor = SnapshotReconstructor()
    assert reconstructor.get_from_cache("s5") is None
    reconstructor.reconstruct(run[0], deltas)
    assert same(reconstructor.get_from_cache("s5"), run[5])
    assert reconstructor.get_from_cache("s0") is None
    stats = reconstructor.get_cache_stats()
    assert (stats.size, stats.max_size, stats.hits) == (1, 100, 1)
    reconstructor.clear_cache()
    assert reconstructor.get_cache_stats().size == 0


def test_n32_a_state_put_in_by_hand_is_started_from() -> None:
    run, deltas = chain(9)
    reconstructor = SnapshotReconstructor()
    reconstructor.set_in_cache("s7", run[7])
    result = reconstructor.reconstruct(run[0], deltas, 8)
    assert (result.metadata.start_index, result.metadata.deltas_applied) == (7, 1)
    assert same(result.snapshot, run[8])


def test_n32_a_wrong_state_put_in_by_hand_does_not_spoil_others() -> None:
    run, deltas = chain(9)
    reconstructor = SnapshotReconstructor()
    reconstructor.set_in_cache("s7", snap("s7", quite="different"))
    for target in (8, 6):
        assert same(reconstructor.reconstruct(run[0], deltas, target).snapshot, run[target])


def test_n32_a_cached_state_serves_only_the_chain_it_came_from() -> None:
    run, deltas = chain(5)
    reconstructor = SnapshotReconstructor()
    reconstructor.reconstruct(run[0], deltas)
    other_run, other_deltas = chain(5, more=1)
    assert same(reconstructor.reconstruct(other_run[0], other_deltas).snapshot, other_run[5])
    assert same(reconstructor.reconstruct(run[0], list(deltas)).snapshot, run[5])
    broken = [*deltas[:2], dataclasses.replace(deltas[3], base_snapshot_id="s2"), *deltas[3:]]
    assert not reconstructor.reconstruct(run[0], broken).success
    assert not reconstructor.reconstruct(run[0], [*deltas[:2], *deltas[3:]]).success


def test_n33_what_cannot_be_rebuilt_gives_a_result_and_no_exception() -> None:
    run, deltas = chain(5)
    reconstructor = SnapshotReconstructor()
    nothing = reconstructor.reconstruct(None, deltas)
    assert (nothing.success, nothing.snapshot) == (False, None)
    assert isinstance(nothing.error, EntryNotFound)
    for target in (-1, 6):
        outside = reconstructor.reconstruct(run[0], deltas, target)
        assert "0 to 5" in str(outside.error)
    wrong_base = reconstructor.reconstruct(snap("z"), deltas)
    assert isinstance(wrong_base.error, BaseMismatch)
    assert wrong_base.failed_at == 0
    assert "'s0'" in str(wrong_base.error)
    assert "'z'" in str(wrong_base.error)
    lost = {"id": "d", "type": "delta", "baseSnapshotId": "s0", "changes": {}, "metadata": {"changeCount": 3}}
    assert isinstance(reconstructor.reconstruct(run[0], [lost]).error, UnreadableSource)


def test_n33_a_broken_middle_delta_is_named_by_its_index_and_states_before_it_read() -> None:
    run, deltas = chain(8)
    change = deltas[4].changes["n"]
    wrong = dataclasses.replace(change, old=AtomEntry("wrong"))
    broken = [*deltas[:4], dataclasses.replace(deltas[4], changes={"n": wrong}), *deltas[5:]]
    reconstructor = SnapshotReconstructor()
    result = reconstructor.reconstruct(run[0], broken)
    assert result.failed_at == 4
    assert isinstance(result.error, ContradictoryDelta)
    assert "delta 4" in str(result.error)
    assert [item.success for item in reconstructor.reconstruct_range(run[0], broken)] == [True] * 5 + [False] * 4


@pytest.mark.parametrize("options", [{"cache": 1}, {"max_cache_size": -1}, {"optimize_path": "no"}, {"prefetch": 0.5},
                                     {"max_cache": 3}])  # fmt: skip
def test_n35_an_option_that_cannot_be_honoured_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        SnapshotReconstructor(options)
    assert ReconstructorConfig() == ReconstructorConfig(cache=True, max_cache_size=100, optimize_path=True)


def test_n35_options_switch_cache_and_path() -> None:
    run, deltas = chain(9)
    uncached = SnapshotReconstructor(cache=False)
    uncached.reconstruct(run[0], deltas)
    assert uncached.get_cache_stats().size == 0
    assert not uncached.reconstruct(run[0], deltas).metadata.cache_hit
    straight = SnapshotReconstructor({"optimizePath": False})
    straight.reconstruct(run[0], deltas, 8)
    assert straight.reconstruct(run[0], deltas, 9).metadata.deltas_applied == 9
    assert straight.reconstruct(run[0], deltas, 8).metadata.cache_hit


def test_n02_chains_replay_however_their_deltas_name_what_they_stand_on() -> None:
    run = run_of([{"n": number, "m": number // 3} for number in range(8)])
    plain = [dataclasses.replace(delta, snapshot_id=None) for delta in deltas_of(run)]
    by_root = [dataclasses.replace(delta, base_snapshot_id="s0") for delta in plain]
    by_delta = [plain[0]]
    for delta in plain[1:]:
        by_delta.append(dataclasses.replace(delta, base_snapshot_id=by_delta[-1].id))
    since_root = [deltas_of([run[0], entry])[0] for entry in run[1:]]
    for spelled in (plain, by_root, by_delta, since_root, list(map(without_values, plain))):
        reconstructor = SnapshotReconstructor()
        for target in (7, 3, 5, 1, 6, 2, 4, 0):
            assert same(reconstructor.reconstruct(run[0], spelled, target).snapshot, run[target])


def test_n02_a_base_timestamp_tells_what_a_delta_on_the_root_means() -> None:
    run = run_of([{"x": 1, "y": 0}, {"x": 2, "y": 0}, {"x": 1, "y": 5}])
    since_previous = [deltas_of(run)[0], dataclasses.replace(deltas_of(run)[1], base_snapshot_id="s0")]
    since_root = [deltas_of(run)[0], deltas_of([run[0], run[2]])[0]]
    for spelled in (since_previous, since_root):
        result = SnapshotReconstructor().reconstruct(run[0], spelled)
        assert result.snapshot is not None
        assert result.snapshot.to_state() == {"x": 1, "y": 5}


@given(
    st.lists(atom_states, min_size=1, max_size=9),
    st.lists(st.integers(0, 8), min_size=1, max_size=14),
    st.sampled_from([0, 1, 3, 100]),
    st.booleans(),
)
def test_n31_every_route_gives_the_same_state(
    states: list[dict[str, AtomEntry]], targets: list[int], cached: int, stored: bool
) -> None:
    run = [Snapshot.of(f"s{n}", state, timestamp=n) for n, state in enumerate(states)]
    deltas = deltas_of(run, strict=True)
    if stored:
        deltas = list(map(without_values, deltas))
    reconstructor = SnapshotReconstructor(max_cache_size=cached)
    for target in targets:
        if target < len(run):
            result = reconstructor.reconstruct(run[0], deltas, target)
            assert same(result.snapshot, run[target])
            assert reconstructor.get_cache_stats().size <= cached


def test_the_result_shares_nothing_writable_with_the_cache() -> None:
    run, deltas = chain(3, items=[1])
    reconstructor = SnapshotReconstructor()
    first = reconstructor.reconstruct(run[0], deltas).snapshot
    assert first is not None
    first.state["items"].value.append(2)
    first.to_state()["items"].append(3)
    again = reconstructor.reconstruct(run[0], deltas).snapshot
    assert again is not None
    assert again.state["items"].value == [1]


def test_n73_states_ahead_are_rebuilt_in_the_direction_of_scrubbing() -> None:
    run, deltas = chain(30)
    reconstructor = SnapshotReconstructor(prefetch=3, executor=Inline())
    for target in (20, 19):
        reconstructor.reconstruct(run[0], deltas, target)
    assert all(same(reconstructor.get_from_cache(f"s{target}"), run[target]) for target in (18, 17, 16))
    assert reconstructor.get_from_cache("s21") is None
    for target in range(18, 5, -1):
        result = reconstructor.reconstruct(run[0], deltas, target)
        assert result.metadata.cache_hit
        assert same(result.snapshot, run[target])
    assert reconstructor.get_cache_stats().prefetch_hits >= 13


def test_n73_prefetching_never_raises_and_runs_beside() -> None:
    run, deltas = chain(12)
    broken = [*deltas[:6], dataclasses.replace(deltas[6], changes=deltas[7].changes), *deltas[7:]]
    with SnapshotReconstructor(prefetch=4) as reconstructor:
        for target in (4, 5):
            assert reconstructor.reconstruct(run[0], broken, target).success
        reconstructor.wait_for_prefetch(timeout=30)
        assert reconstructor.get_cache_stats().prefetched == 1
        assert not reconstructor.reconstruct(run[0], broken, 8).success


def test_n73_the_predictor_follows_direction_and_stride() -> None:
    predictor = ScrubPredictor()
    assert predictor.next_positions(3, 0, 99) == ()
    predictor.observe("a", 10)
    assert predictor.next_positions(3, 0, 99) == ()
    predictor.observe("a", 11)
    assert predictor.next_positions(3, 0, 99) == (12, 13, 14)
    predictor.observe("a", 11)
    assert predictor.next_positions(3, 0, 99) == (12, 13, 14)
    predictor.observe("a", 9)
    assert predictor.next_positions(9, 0, 99) == (7, 5, 3, 1)
    predictor.observe("a", 90)
    assert predictor.next_positions(3, 0, 99) == ()
    predictor.observe("b", 91)
    assert predictor.next_positions(3, 0, 99) == ()
    predictor.observe("b", 92)
    assert predictor.next_positions(5, 0, 94) == (93, 94)
    assert predictor.next_positions(0, 0, 94) == ()


def test_n73_a_newer_wish_drops_what_has_not_started() -> None:
    gate, began, done = threading.Event(), threading.Event(), []

    def first() -> None:
        began.set()
        gate.wait(30)
        done.append("first")

    prefetcher = Prefetcher()
    prefetcher.want([first, lambda: done.append("stale")])
    assert began.wait(30)
    prefetcher.want([lambda: done.append("fresh")])
    gate.set()
    prefetcher.wait(30)
    assert done == ["first", "fresh"]
    prefetcher.close()
    prefetcher.close()


def ops_chain(name: str, count: int, items: int) -> DeltaChain:
    rows = [{"id": number, "title": f"row {number}", "open": True} for number in range(items)]
    states = []
    for step in range(count + 1):
        rows = [{**row, "open": False} if row["id"] == step else row for row in rows]
        states.append({"rows": rows})
    run = [Snapshot.of(f"{name}{number}", state) for number, state in enumerate(states)]
    return DeltaChain.of(run[0], map(without_values, deltas_of(run)))


def test_n72_chains_side_by_side_give_the_states_one_after_the_other_gives() -> None:
    chains = [ops_chain(name, 4, 30) for name in "abc"]
    expected = [chain_states(chain) for chain in chains]
    assert states_of_chains(chains) == expected
    with ThreadPoolExecutor(2) as threads:
        assert states_of_chains(chains, executor=threads) == expected
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as processes:
        assert states_of_chains(chains, executor=processes) == expected


def test_n72_worker_processes_are_used_only_where_they_pay() -> None:
    small = [ops_chain(name, 3, 10) for name in "ab"]
    assert not pays(small, 2)
    large = [dataclasses.replace(ops_chain("x", 1, 10), deltas=())] * 2
    assert not pays(large, 8)
    heavy = ops_chain("h", 20, 3000)
    assert pays([heavy] * 200, 4)
    assert not pays([heavy] * 200, 1)


def test_n72_a_broken_chain_says_so_wherever_it_is_walked() -> None:
    good = ops_chain("a", 4, 30)
    broken = dataclasses.replace(good, deltas=(good.deltas[1],))
    for executor in (None, Inline()):
        with pytest.raises((BaseMismatch, ContradictoryDelta)):
            states_of_chains([good, broken], executor=executor)


def test_a_long_chain_is_read_at_random() -> None:
    run, deltas = chain(300)
    reconstructor = SnapshotReconstructor(max_cache_size=10)
    for target in random.Random(4).sample(range(301), 60):
        assert same(reconstructor.reconstruct(run[0], deltas, target).snapshot, run[target])
