"""The delta-aware history manager as a person uses it."""

from __future__ import annotations

import json
import random
import threading
from concurrent.futures import Executor, Future
from typing import Any

import pytest

from support.snapshots import counters_load, run_of, same, snap
from unspool.errors import ConfigError, DeltaError, EntryNotFound, UnreadableSource, UnsupportedValue
from unspool.snapshots.history_entries import IncrementalSnapshotConfig
from unspool.snapshots.history_manager import DeltaAwareHistoryManager, HistoryEvent
from unspool.snapshots.packing import packed_size
from unspool.snapshots.snapshot import AtomEntry, Snapshot

BALLAST = {"ballast": "b" * 2000}


def filled(count: int, **options: Any) -> tuple[DeltaAwareHistoryManager, list[Snapshot]]:
    """A history of small changes to states large enough for deltas."""
    run = run_of([{**BALLAST, "n": number} for number in range(count)])
    manager = DeltaAwareHistoryManager(**options)
    manager.add_all(run)
    return manager, run


def kinds(manager: DeltaAwareHistoryManager) -> str:
    return "".join("d" if manager.get_delta_chain(index).deltas else "F" for index in range(len(manager)))


class Inline(Executor):
    """Runs work where it is asked for."""

    def submit(self, fn, /, *args, **kwargs):  # type: ignore[no-untyped-def]
        future: Future[Any] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


def test_n50_ids_are_kept_and_states_are_full() -> None:
    manager, run = filled(25)
    assert [entry.id for entry in manager.get_all()] == [entry.id for entry in run]
    for index, entry in enumerate(run):
        assert same(manager.get_snapshot(index), entry)
        assert manager.get_snapshot(index).type == "full"
        assert same(manager.get_by_id(entry.id), entry)
        assert manager.get_snapshot(index).metadata == entry.metadata
    assert manager.get_by_id("nobody") is None


def test_n50_deltas_are_minimal_and_shrink_with_the_history() -> None:
    manager, _ = filled(9)
    deltas = manager.get_delta_snapshots()
    assert [list(delta.changes) for delta in deltas] == [["n"]] * 8
    manager.force_full_snapshot(3)
    assert len(manager.get_delta_snapshots()) == 7
    manager.clear()
    assert manager.get_delta_snapshots() == []
    assert len(manager) == 0


def test_n51_undo_redo_jump_and_current_give_full_states() -> None:
    manager, run = filled(15)
    assert not manager.can_redo()
    for entry in reversed(run[:-1]):
        assert same(manager.undo(), entry)
        assert same(manager.get_current(), entry)
    assert manager.undo() is None
    assert not manager.can_undo()
    for entry in run[1:]:
        assert same(manager.redo(), entry)
    assert manager.redo() is None
    assert same(manager.jump_to(4), run[4])
    assert same(manager[-1], run[-1])
    assert same(manager.jump_to(-1), run[-1])
    with pytest.raises(EntryNotFound, match="15"):
        manager.jump_to(15)
    assert same(manager.get_current(), run[-1])


def test_an_empty_history_has_nothing_to_go_to() -> None:
    manager = DeltaAwareHistoryManager()
    assert (manager.get_current(), manager.undo(), manager.redo(), manager.get_all()) == (None, None, None, [])
    assert manager.get_stats().memory_efficiency == 1
    with pytest.raises(EntryNotFound):
        manager.get_snapshot(0)


def test_n52_the_oldest_leave_and_what_stood_on_them_is_rebased() -> None:
    manager, run = filled(120, max_history=7)
    assert len(manager) == 7
    for index, entry in enumerate(run[-7:]):
        assert same(manager.get_snapshot(index), entry)
    assert kinds(manager)[0] == "F"
    assert manager.get_by_id("s112") is None
    assert manager.get_stats().standard.evicted == 113
    for _ in range(6):
        manager.undo()
    assert same(manager.get_current(), run[-7])
    assert not manager.can_undo()


def test_n52_the_default_is_50_and_0_is_refused() -> None:
    assert len(filled(60)[0]) == 50
    assert len(filled(60, max_history=None)[0]) == 60
    with pytest.raises(ConfigError, match="max_history"):
        DeltaAwareHistoryManager(max_history=0)


def test_n52_rebasing_keeps_both_futures_of_a_fork() -> None:
    manager, run = filled(2, max_history=4)
    manager.undo()
    left = Snapshot.of("left", {**BALLAST, "n": 1, "side": "left"})
    manager.add(left)
    assert kinds(manager) == "Fdd"
    manager.add(Snapshot.of("left2", {**BALLAST, "n": 2, "side": "left"}))
    manager.add(Snapshot.of("left3", {**BALLAST, "n": 3, "side": "left"}))
    assert kinds(manager) == "FFdd"
    assert same(manager.get_by_id("s1"), run[1])
    assert same(manager.get_by_id("left"), left)


@pytest.mark.parametrize("interval", [1, 2, 5, 10])
def test_n53_every_nth_entry_is_whole(interval: int) -> None:
    manager, _ = filled(40, full_snapshot_interval=interval)
    assert kinds(manager) == ("F" + "d" * (interval - 1)) * (40 // interval)


def test_n54_statistics_are_measured() -> None:
    manager, run = filled(30)
    stats = manager.get_stats()
    assert (stats.standard.total, stats.standard.full_count, stats.standard.delta_count) == (30, 3, 27)
    assert (stats.standard.position, stats.standard.can_undo, stats.standard.can_redo) == (29, True, False)
    assert stats.delta.full_bytes > sum(len(json.dumps(entry.to_state())) for entry in run) * 0.9
    assert 0 < stats.memory_efficiency < 0.3
    assert stats.delta == manager.get_delta_stats()
    assert filled(30, enabled=False)[0].get_stats().memory_efficiency == 1


def test_n54_the_bytes_of_full_snapshots_are_those_of_packing_them() -> None:
    rng = random.Random(8)
    state: dict[str, Any] = dict(BALLAST)
    states = []
    for number in range(40):
        state = {**state, f"k{rng.randrange(30)}": AtomEntry("v" * rng.randrange(300), "computed", "Name")}
        state.pop(f"k{rng.randrange(30)}", None)
        states.append({**state, "n": number})
    manager = DeltaAwareHistoryManager()
    run = run_of(states)
    manager.add_all(run)
    assert manager.get_delta_stats().full_bytes == sum(map(packed_size, run))
    delta = manager.get_delta_snapshots()[0]
    assert delta.metadata.compressed_size > 0
    assert delta.metadata.original_size == packed_size(manager.get_by_id(delta.target_id) or run[0])


def test_n55_forcing_full_snapshots_keeps_every_entry_and_the_position() -> None:
    manager, run = filled(24)
    manager.jump_to(13)
    assert manager.force_full_snapshot() == 21
    assert kinds(manager) == "F" * 24
    assert same(manager.get_current(), run[13])
    assert manager.get_stats().standard.position == 13
    for index, entry in enumerate(run):
        assert same(manager.get_snapshot(index), entry)
    assert manager.force_full_snapshot() == 0


def test_n55_one_entry_can_be_forced_full() -> None:
    manager, run = filled(8)
    assert manager.force_full_snapshot(4) == 1
    assert kinds(manager) == "FdddFddd"
    assert manager.get_delta_chain(6).base.id == "s4"
    assert same(manager.get_snapshot(6), run[6])
    with pytest.raises(EntryNotFound):
        manager.force_full_snapshot(99)


def test_n56_listeners_hear_of_everything_until_they_leave() -> None:
    heard: list[tuple[str, int | None, str | None]] = []

    def listen(event: HistoryEvent) -> None:
        heard.append((event.type, event.index, event.snapshot_id))

    manager = DeltaAwareHistoryManager(max_history=3)
    leave = manager.subscribe(listen)
    manager.add_all(run_of([{**BALLAST, "n": n} for n in range(2)]))
    manager.undo()
    manager.redo()
    manager.jump_to(0)
    manager.force_full_snapshot()
    manager.clear()
    assert heard == [
        ("add", 0, "s0"),
        ("add", 1, "s1"),
        ("undo", 0, "s0"),
        ("redo", 1, "s1"),
        ("jump", 0, "s0"),
        ("full", 0, "s0"),
        ("clear", None, None),
    ]
    leave()
    leave()
    manager.add(snap("z"))
    assert len(heard) == 7


def test_n56_events_tell_of_forks_evictions_and_truncations() -> None:
    events: list[HistoryEvent] = []
    manager, _ = filled(3, max_history=3)
    manager.subscribe(events.append)
    manager.undo()
    manager.add(snap("fork"))
    assert (events[-1].forked, events[-1].evicted, events[-1].truncated) == (True, 1, 0)
    other, _ = filled(3, on_write_after_undo="truncate")
    other.subscribe(events.append)
    other.jump_to(0)
    other.add(snap("anew"))
    assert (events[-1].forked, events[-1].evicted, events[-1].truncated) == (False, 0, 2)


def test_a_listener_may_use_the_history() -> None:
    manager, run = filled(3)
    seen: list[Snapshot | None] = []
    manager.subscribe(lambda event: seen.append(manager.get_current()))
    manager.undo()
    assert same(seen[-1], run[1])


def test_writing_after_an_undo_forks_and_loses_nothing() -> None:
    manager, run = filled(5)
    manager.jump_to(1)
    other = Snapshot.of("other", {**BALLAST, "n": "other"})
    assert manager.add(other) == 5
    assert [entry.id for entry in manager.get_all()] == ["s0", "s1", "s2", "s3", "s4", "other"]
    assert same(manager.undo(), run[1])
    assert same(manager.redo(), other)
    assert same(manager.jump_to(4), run[4])
    manager.undo()
    manager.undo()
    assert same(manager.redo(), run[3])


def test_redo_leads_to_the_future_last_visited_from_any_entry_before_it() -> None:
    manager, run = filled(5)
    manager.jump_to(1)
    manager.add(Snapshot.of("other", {**BALLAST, "n": "other"}))
    for target in (4, 5, 3):
        manager.jump_to(target)
        manager.jump_to(0)
        visited = [manager.redo() for _ in range(2)]
        assert same(visited[0], run[1])
        assert visited[1] is not None
        assert visited[1].id == ("other" if target == 5 else "s2")


def test_writing_after_an_undo_truncates_when_asked_to() -> None:
    manager, run = filled(6, on_write_after_undo="truncate")
    for _ in range(4):
        manager.undo()
    manager.get_all()
    anew = Snapshot.of("anew", {**BALLAST, "n": "anew"})
    assert manager.add(anew) == 2
    manager.add(Snapshot.of("anew2", {**BALLAST, "n": "anew2"}))
    assert [entry.id for entry in manager.get_all()] == ["s0", "s1", "anew", "anew2"]
    manager.jump_to(0)
    assert same(manager.get_snapshot(2), anew)
    assert manager.get_by_id("s3") is None
    manager.add(run[3])


def test_n58_the_chain_of_an_entry_replays_to_it() -> None:
    manager, run = filled(17)
    chain = manager.get_delta_chain(14)
    assert (chain.id, chain.length) == ("s10", 4)
    result = manager.get_delta_reconstructor().reconstruct(chain.base, chain.deltas)
    assert same(result.snapshot, run[14])
    assert same(manager.reconstruct_to(3), run[3])
    assert same(manager.reconstruct_to("s3"), run[3])
    assert manager.get_stats().standard.position == 16
    with pytest.raises(EntryNotFound, match="nobody"):
        manager.reconstruct_to("nobody")


def test_n58_a_strategy_set_later_is_followed() -> None:
    manager, _ = filled(4)
    manager.set_delta_strategy("changes:2")
    manager.add_all(run_of([{**BALLAST, "n": n} for n in range(10)])[4:])
    assert kinds(manager) == "FdddFddFdd"
    manager.set_delta_strategy({"strategy": "changes", "changes": {"max_deltas": 1}, "min_chain_length": 0})
    manager.add(snap("x", **BALLAST, n=77))
    assert kinds(manager)[-1] == "F"
    with pytest.raises(ConfigError):
        manager.set_delta_strategy("sometimes")
    assert manager.is_delta_enabled()


def test_a_strategy_replaces_the_interval_and_the_limits_hold_besides() -> None:
    assert kinds(filled(30, strategy="manual")[0]) == "F" + "d" * 20 + "F" + "d" * 8
    assert kinds(filled(30, strategy="manual", max_delta_chain_length=None)[0]) == "F" + "d" * 29
    assert kinds(filled(9, max_delta_chain_length=3)[0]) == "FdddFdddF"
    sized = filled(30, strategy="manual", max_delta_chain_size=500)[0]
    assert 3 <= kinds(sized).count("F") <= 15


def test_a_chain_grows_old_by_the_clock_and_by_the_timestamps_of_its_entries() -> None:
    now = 0.0
    manager = DeltaAwareHistoryManager(max_delta_chain_age=1000, clock=lambda: now)
    for number in range(6):
        now += 400
        manager.add(Snapshot.of(f"a{number}", {**BALLAST, "n": number}))
    assert kinds(manager) == "FddFdd"
    assert kinds(filled(6, max_delta_chain_age=2500)[0]) == "FddFdd"


def test_significance_stores_the_significant_entry_itself_whole() -> None:
    quiet = {f"k{n}": "v" * 300 for n in range(20)}
    loud = {name: "w" * 200 if index < 6 else text for index, (name, text) in enumerate(quiet.items())}
    manager = DeltaAwareHistoryManager(strategy="significance:5")
    manager.add_all(run_of([quiet, {**quiet, "k0": "x"}, {**loud, "k9": "y"}, {**loud, "k9": "z"}]))
    assert kinds(manager) == "FdFd"


@pytest.mark.parametrize(
    "options",
    [{"enabled": 1}, {"full_snapshot_interval": 0}, {"full_snapshot_interval": 1.5}, {"max_delta_chain_length": 0},
     {"max_delta_chain_age": -1}, {"max_delta_chain_size": "1M"}, {"change_detection": "magic"},
     {"reconstruct_on_demand": None}, {"cache_reconstructed": "yes"}, {"max_cache_size": -1}, {"max_cache_size": True},
     {"compression_level": "brutal"}, {"on_write_after_undo": "ask"}, {"strategy": "never"}, {"prefetch": -1},
     {"prefetch": 2, "cache_reconstructed": False}, {"max_cache_bytes": 0.5}, {"fullSnapshotIntervall": 3}],
)  # fmt: skip
def test_n59_an_option_that_cannot_be_honoured_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        DeltaAwareHistoryManager(options)


def test_n59_the_defaults_are_the_seeds() -> None:
    config = IncrementalSnapshotConfig()
    assert config.enabled
    assert config.full_snapshot_interval == 10
    assert config.max_delta_chain_length == 20
    assert config.max_delta_chain_age == 300_000
    assert config.max_delta_chain_size == 1_048_576
    assert (config.change_detection, config.compression_level) == ("deep", "light")
    assert config.reconstruct_on_demand
    assert config.cache_reconstructed
    assert config.max_cache_size == 100


def test_n59_options_read_in_the_seeds_spelling() -> None:
    manager = DeltaAwareHistoryManager(
        {"fullSnapshotInterval": 3, "maxDeltaChainAge": None, "compressionLevel": "none"}
    )
    assert manager.config.full_snapshot_interval == 3
    assert manager.config.compression_level == "none"


def test_n59_reconstruct_on_demand_false_keeps_every_state_at_hand() -> None:
    lazy, _ = filled(12, cache_reconstructed=False)
    eager, run = filled(12, cache_reconstructed=False, reconstruct_on_demand=False)
    for manager in (lazy, eager):
        for index in range(11):
            assert same(manager.get_snapshot(index), run[index])
    assert lazy.get_delta_stats().cache.misses == 11
    assert eager.get_delta_stats().cache.misses == 0


def test_n59_cache_options_bound_what_is_kept_rebuilt() -> None:
    manager, _ = filled(12, max_cache_size=3)
    manager.get_all()
    assert manager.get_delta_stats().cache.size == 3
    assert filled(12, cache_reconstructed=False)[0].get_delta_stats().cache.max_size == 0
    tight, _ = filled(12, max_cache_bytes=5000)
    tight.get_all()
    cache = tight.get_delta_stats().cache
    assert 1 <= cache.size <= 2
    assert cache.bytes <= 5000


def test_n59_and_n71_compression_levels_trade_time_for_bytes() -> None:
    rng = random.Random(3)
    words = ["alpha", "beta", "gamma", "delta", "epsilon"]
    state: dict[str, Any] = {"log": []}
    states = []
    for number in range(60):
        state["log"] = [*state["log"], {"id": number, "text": " ".join(rng.choices(words, k=6))}]
        states.append(dict(state))
    kept = {}
    for level in ("none", "light", "aggressive"):
        manager = DeltaAwareHistoryManager(compression_level=level, max_history=None)
        manager.add_all(run_of(states))
        assert [entry.to_state() for entry in manager.get_all()] == states
        kept[level] = manager.get_delta_stats().kept_bytes
    assert kept["none"] > 3 * kept["light"] > 3 * kept["aggressive"]


def test_n59_reference_detection_reads_back_what_it_saw() -> None:
    cart = ["apple"] * 300
    manager = DeltaAwareHistoryManager(change_detection="reference", full_snapshot_interval=5)
    manager.add(Snapshot.of("a", {"cart": cart, "n": 0}))
    cart.append("pear")
    manager.add(Snapshot.of("b", {"cart": cart, "n": 1}))
    manager.add(Snapshot.of("c", {"cart": list(cart), "n": 1}))
    states = [entry.to_state() for entry in manager.get_all()]
    assert [len(state["cart"]) for state in states] == [300, 300, 301]
    assert [state["n"] for state in states] == [0, 1, 1]


def test_the_app_may_change_its_objects_after_adding() -> None:
    cart: list[str] = []
    manager = DeltaAwareHistoryManager()
    for number in range(15):
        cart.append(f"item {number}")
        manager.add(Snapshot.of(f"s{number}", {**BALLAST, "cart": cart}))
    cart.clear()
    manager.get_snapshot(4).state["cart"].value.clear()
    assert [len(entry.to_state()["cart"]) for entry in manager.get_all()] == list(range(1, 16))


def test_an_entry_without_changes_is_an_entry() -> None:
    manager = DeltaAwareHistoryManager()
    for number in range(4):
        manager.add(Snapshot.of(f"s{number}", BALLAST, timestamp=number, action=f"look {number}"))
    assert [entry.metadata.action for entry in manager.get_all()] == [f"look {number}" for number in range(4)]
    assert kinds(manager) == "Fddd"


def test_an_id_that_is_there_is_refused_and_nothing_changes() -> None:
    manager, run = filled(3)
    with pytest.raises(DeltaError, match="'s1'"):
        manager.add(snap("s1"))
    assert len(manager) == 3
    assert same(manager.get_current(), run[2])


def test_bad_snapshots_are_refused_and_nothing_changes() -> None:
    manager, run = filled(3)
    with pytest.raises(UnsupportedValue):
        manager.add({"id": "x", "state": {"n": {"value": object()}}})
    with pytest.raises(UnreadableSource):
        manager.add({"id": "x", "type": "delta"})
    with pytest.raises(UnsupportedValue):
        manager.add({"id": "x", "state": {3: {"value": 1}}})
    assert len(manager) == 3
    assert same(manager.get_current(), run[2])


def test_n75_a_list_of_full_snapshots_is_taken_over_as_it_is() -> None:
    run = run_of([{**BALLAST, "n": n} for n in range(30)])
    manager = DeltaAwareHistoryManager(max_history=None)
    assert manager.add_all(json.loads(json.dumps([entry.to_dict() for entry in run]))) == 30
    assert [entry.to_dict() for entry in manager.get_all()] == [entry.to_dict() for entry in run]


def test_n60_many_small_changes_take_at_least_70_percent_less() -> None:
    run = run_of(counters_load(300))
    as_json = sum(len(json.dumps(entry.to_dict(), separators=(",", ":"))) for entry in run)
    for level, least in (("none", 0.85), ("light", 0.90), ("aggressive", 0.90)):
        manager = DeltaAwareHistoryManager(max_history=None, compression_level=level)
        manager.add_all(run)
        stats = manager.get_stats()
        assert stats.delta.kept_bytes <= (1 - least) * as_json
        assert stats.memory_efficiency <= 0.3
    adaptive = DeltaAwareHistoryManager(max_history=None, strategy="adaptive", max_delta_chain_length=None)
    adaptive.add_all(run)
    assert adaptive.get_delta_stats().kept_bytes <= 0.1 * as_json


def test_n61_a_thousand_snapshots_of_10_kb_take_less_than_1_mb() -> None:
    run = run_of(counters_load(1000))
    manager = DeltaAwareHistoryManager(max_history=None)
    manager.add_all(run)
    delta = manager.get_delta_stats()
    assert delta.full_bytes > 9_000_000
    assert delta.kept_bytes < 1_000_000
    for index in random.Random(1).sample(range(1000), 60):
        assert same(manager.get_snapshot(index), run[index])


def test_n65_rare_large_changes_cost_no_more_than_full_storage() -> None:
    rng = random.Random(2)
    run = run_of([{f"k{n}": rng.randbytes(200).hex() for n in range(50)} for _ in range(60)])
    for level in ("none", "light", "aggressive"):
        with_deltas = DeltaAwareHistoryManager(max_history=None, compression_level=level)
        whole = DeltaAwareHistoryManager(max_history=None, compression_level=level, enabled=False)
        for manager in (with_deltas, whole):
            manager.add_all(run)
        assert with_deltas.get_delta_stats().kept_bytes <= 1.02 * whole.get_delta_stats().kept_bytes


def test_a_tiny_state_stays_a_delta_unless_it_is_wholly_new() -> None:
    def kinds_of(states: list[dict[str, Any]]) -> str:
        manager = DeltaAwareHistoryManager()
        manager.add_all(run_of(states))
        assert [entry.to_state() for entry in manager.get_all()] == states
        return kinds(manager)

    assert kinds_of([{"counter": n} for n in range(4)]) == "Fddd"
    assert kinds_of([{"n": n, "a": 0, "b": 0, "c": 0, "d": 0} for n in range(4)]) == "Fddd"
    assert kinds_of([dict.fromkeys("abcdef", n) for n in range(4)]) == "FFFF"


def test_n70_a_change_inside_a_large_atom_stores_only_that() -> None:
    items = [{"id": n, "title": f"item {n}", "done": False} for n in range(500)]
    states = []
    for number in range(9):
        items = [{**item, "done": True} if item["id"] == number * 7 else item for item in items]
        states.append({"items": items})
    manager = DeltaAwareHistoryManager(compression_level="light")
    manager.add_all(run_of(states))
    delta = manager.get_delta_stats()
    assert kinds(manager) == "Fdddddddd"
    assert delta.average_delta_size < 0.02 * delta.full_bytes / 9
    assert [entry.to_state() for entry in manager.get_all()] == states


def test_n73_states_ahead_are_ready_when_scrubbing() -> None:
    manager, run = filled(30, prefetch=3, executor=Inline())
    manager.undo()
    before = manager.get_delta_stats().cache
    assert before.prefetched == 0
    manager.undo()
    for index in range(26, 10, -1):
        assert same(manager.undo(), run[index])
    cache = manager.get_delta_stats().cache
    assert cache.prefetch_hits == 16
    assert cache.prefetched >= 16
    manager.close()


def test_n73_prefetching_runs_beside_and_ends_with_close() -> None:
    with filled(30, prefetch=2)[0] as manager:
        for _ in range(4):
            manager.undo()
        manager.wait_for_prefetch(timeout=30)
        assert manager.get_delta_stats().cache.prefetched >= 1
    assert manager.undo() is not None


def test_several_threads_may_read_and_write_at_once() -> None:
    manager, run = filled(40, max_history=None)
    errors: list[BaseException] = []

    def read() -> None:
        try:
            for index in range(40):
                assert same(manager.get_snapshot(index), run[index])
        except BaseException as error:
            errors.append(error)
            raise

    def write(name: str) -> None:
        for number in range(20):
            manager.add(Snapshot.of(f"{name}{number}", {**BALLAST, "n": number, "by": name}))

    threads = [threading.Thread(target=read), threading.Thread(target=read)]
    threads += [threading.Thread(target=write, args=(name,)) for name in "xy"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(manager) == 80
    by_id = {entry.id: entry.to_state() for entry in manager.get_all()}
    assert by_id["x7"] == {**BALLAST, "n": 7, "by": "x"}


def test_values_of_any_kind_and_depth_come_back() -> None:
    deep: Any = 1
    for _ in range(10_000):
        deep = [deep]
    odd = {"t": (1, {2}), "b": b"x", "big": 2**300, "inf": float("inf"), "deep": deep, **BALLAST}
    manager = DeltaAwareHistoryManager()
    manager.add(Snapshot.of("a", odd))
    manager.add(Snapshot.of("b", {**odd, "n": AtomEntry(1, "computed", "N")}))
    assert same(manager.undo(), Snapshot.of("a", odd))
    after = manager.redo()
    assert after is not None
    assert after.state["n"] == AtomEntry(1, "computed", "N")
