"""Chains by base: limits, folding, validating, reading back, numbers."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from support.snapshots import atom_states, deltas_of, run_of, same, snap
from unspool.errors import BrokenChain, ConfigError, ContradictoryDelta, EntryNotFound, UnspoolError
from unspool.snapshots import ChainManagerConfig, DeltaChain, DeltaChainManager
from unspool.snapshots.packing import packed_size
from unspool.snapshots.snapshot import AtomEntry, DeltaSnapshot, Snapshot

MANUAL = {"full_snapshot_strategy": "manual"}


def filled(count: int, **options: Any) -> tuple[DeltaChainManager, list[Snapshot], list[DeltaSnapshot]]:
    run = run_of([{"ballast": "b" * 300, "n": number} for number in range(count + 1)])
    deltas = deltas_of(run)
    manager = DeltaChainManager(**options)
    manager.add_base(run[0])
    for delta in deltas:
        manager.add_delta(delta)
    return manager, run, deltas


def test_n20_a_chain_stands_on_a_real_base() -> None:
    manager, run, _ = filled(5)
    chain = manager.get_chain("s0")
    assert chain is not None
    assert chain.base == run[0]
    assert chain.length == 5
    assert manager.get_all_chains() == [chain]
    assert manager.get_active_chain_count() == 1
    assert manager.get_chain("nobody") is None
    manager.clear()
    assert (manager.get_all_chains(), manager.get_active_chain_count()) == ([], 0)
    assert manager.get_stats().cache_misses == 0


def test_n20_a_delta_without_a_base_is_an_error() -> None:
    _, _, deltas = filled(2)
    manager = DeltaChainManager()
    with pytest.raises(BrokenChain, match=r"'s0'.*add_base"):
        manager.add_delta(deltas[0])
    assert manager.get_all_chains() == []


def test_n20_the_base_may_come_with_the_delta() -> None:
    _, run, deltas = filled(2)
    manager = DeltaChainManager()
    manager.add_delta(deltas[0].to_dict(), base=run[0].to_dict())
    manager.add_delta(deltas[1])
    assert same(manager.reconstruct("s0"), run[2])


def test_n20_there_is_one_chain_a_base() -> None:
    manager, run, deltas = filled(1)
    other = snap("t0", x=1)
    manager.add_base(other)
    manager.add_base(run[0])
    (delta,) = deltas_of([other, snap("t1", x=2)])
    manager.add_delta(delta)
    assert [(chain.id, chain.length) for chain in manager.get_all_chains()] == [("s0", 1), ("t0", 1)]
    with pytest.raises(ContradictoryDelta, match="another content"):
        manager.add_base(snap("s0", x=99))
    with pytest.raises(ContradictoryDelta, match="already"):
        manager.add_delta(deltas[0])


def test_n21_a_chain_that_reaches_its_length_becomes_a_new_base_by_itself() -> None:
    manager, run, deltas = filled(11, max_delta_chain_length=4)
    chains = manager.get_all_chains()
    assert [(chain.id, chain.length, chain.sealed) for chain in chains] == [
        ("s0", 4, True),
        ("s4", 4, True),
        ("s8", 3, False),
    ]
    assert manager.get_active_chain_count() == 1
    for number, delta in enumerate(deltas, start=1):
        assert same(manager.reconstruct("s0", delta.id), run[number])
        assert same(manager.reconstruct("s0", f"s{number}"), run[number])


def test_n21_a_chain_over_its_age_or_size_becomes_a_new_base_too() -> None:
    now = 0
    run = run_of([{"n": number} for number in range(7)])
    run = [dataclasses.replace(entry, metadata=dataclasses.replace(entry.metadata, timestamp=0)) for entry in run]
    manager = DeltaChainManager(max_delta_chain_age=100, clock=lambda: now, **MANUAL)
    manager.add_base(run[0])
    for delta in deltas_of(run):
        now += 40
        manager.add_delta(delta)
    assert [chain.length for chain in manager.get_all_chains()] == [3, 3, 0]
    sized, _, _ = filled(9, max_delta_chain_size=250, **MANUAL)
    assert all(chain.length <= 4 for chain in sized.get_all_chains())
    assert len(sized.get_all_chains()) > 2


@pytest.mark.parametrize(
    ("strategy", "bases"),
    [("changes", ["s0", "s3", "s6", "s9"]), ("changes:5", ["s0", "s5"]), ("manual", ["s0"]), ("none", ["s0"]),
     ({"strategy": "changes", "changes": {"max_deltas": 4}, "min_chain_length": 1}, ["s0", "s4", "s8"]),
     ("significance:0", [f"s{number}" for number in range(10)])],
)  # fmt: skip
def test_n27_every_strategy_works(strategy: Any, bases: list[str]) -> None:
    manager, run, _ = filled(9, full_snapshot_interval=3, full_snapshot_strategy=strategy)
    assert [chain.id for chain in manager.get_all_chains()] == bases
    for number in range(10):
        assert same(manager.reconstruct("s0", f"s{number}"), run[number])


def test_n27_time_and_size_as_strategies_go_by_the_limits() -> None:
    by_time, _, _ = filled(9, full_snapshot_strategy="time", max_delta_chain_age=3500)
    assert [chain.id for chain in by_time.get_all_chains()] == ["s0", "s4", "s8"]
    by_size, _, _ = filled(9, full_snapshot_strategy="size", max_delta_chain_size=250)
    assert len(by_size.get_all_chains()) > 2


def test_n27_defaults_are_the_seeds() -> None:
    config = ChainManagerConfig()
    assert (config.full_snapshot_interval, config.max_delta_chain_length) == (10, 20)
    assert (config.max_delta_chain_age, config.max_delta_chain_size) == (300_000, 1_048_576)
    assert config.full_snapshot_strategy == "changes"
    manager, _, _ = filled(25)
    assert [chain.length for chain in manager.get_all_chains()] == [10, 10, 5]
    by_length, _, _ = filled(25, **MANUAL)
    assert [chain.length for chain in by_length.get_all_chains()] == [20, 5]


@pytest.mark.parametrize(
    "options",
    [{"full_snapshot_interval": 0}, {"max_delta_chain_length": 0}, {"max_delta_chain_age": "old"},
     {"max_delta_chain_size": -1}, {"full_snapshot_strategy": "weekly"}, {"full_snapshot_strategy": 5},
     {"max_cache_size": None}, {"max_chain": 3}],
)  # fmt: skip
def test_n27_an_option_that_cannot_be_honoured_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        DeltaChainManager(options)


def test_n22_adding_rolls_over_at_the_limit_and_validating_complains_beyond_it() -> None:
    manager, _, _ = filled(4, max_delta_chain_length=4)
    sealed = manager.get_chain("s0")
    assert sealed is not None
    assert sealed.sealed
    _, run, deltas = filled(5)
    at_limit, beyond = DeltaChain.of(run[0], deltas[:4]), DeltaChain.of(run[0], deltas)
    now = run[0].metadata.timestamp
    strict = DeltaChainManager(max_delta_chain_length=4, clock=lambda: now)
    kept = strict.validate_chain(at_limit)
    assert (kept.is_valid, kept.reason, kept.action) == (True, None, "keep")
    full = strict.validate_chain(beyond)
    assert (full.is_valid, full.action) == (False, "create_base")
    assert "5 deltas" in (full.reason or "")


def test_n22_length_is_checked_before_age_and_age_before_size() -> None:
    _, run, deltas = filled(5)
    chain = DeltaChain.of(run[0], deltas)
    options: dict[str, Any] = {"max_delta_chain_length": 1, "max_delta_chain_age": 0, "max_delta_chain_size": 0}
    reasons = []
    for lifted in ("max_delta_chain_length", "max_delta_chain_age", "max_delta_chain_size"):
        reasons.append(DeltaChainManager(options).validate_chain(chain).reason or "")
        options[lifted] = None
    assert [reason.split()[1] for reason in reasons] == ["chain", "chain", "deltas"]
    assert "deltas" in reasons[0]
    assert "ms old" in reasons[1]
    assert DeltaChainManager(options).validate_chain(chain).is_valid


def test_n22_a_chain_that_cannot_be_replayed_must_be_reconstructed() -> None:
    _, run, deltas = filled(5)
    missing = DeltaChain.of(run[0], [*deltas[:2], *deltas[3:]])
    found = DeltaChainManager().validate_chain(missing)
    assert (found.is_valid, found.action, found.broken_at) == (False, "reconstruct", 2)
    assert deltas[3].id in (found.reason or "")


def test_n22_a_chain_may_be_named_by_its_base() -> None:
    manager, _, _ = filled(5)
    assert manager.validate_chain("s0").is_valid
    with pytest.raises(EntryNotFound):
        manager.validate_chain("nobody")


def test_n23_reconstructing_gives_a_state() -> None:
    manager, run, deltas = filled(8)
    assert same(manager.reconstruct("s0", deltas[2].id), run[3])
    assert same(manager.reconstruct("s0"), run[8])
    assert same(manager.reconstruct("s0", "s0"), run[0])
    for unknown in (("nobody", None), ("s0", "nobody")):
        with pytest.raises(EntryNotFound):
            manager.reconstruct(*unknown)


def test_n23_what_stands_on_another_base_is_not_found() -> None:
    manager, _, _ = filled(3)
    manager.add_base(snap("t0", x=1))
    with pytest.raises(EntryNotFound):
        manager.reconstruct("t0", "s2")


def test_n24_a_new_base_is_returned_and_kept_and_earlier_states_stay_readable() -> None:
    manager, run, _ = filled(6)
    chain = manager.get_chain("s0")
    assert chain is not None
    new = manager.create_new_base_snapshot(chain)
    assert same(new, run[6])
    assert manager.get_chain("s6") == DeltaChain.of(new, created_at=manager.get_chain("s6").created_at)  # type: ignore[union-attr]
    for number in range(7):
        assert same(manager.reconstruct("s0", f"s{number}"), run[number])
    assert manager.create_new_base_snapshot("s0") == new
    assert manager.create_new_base_snapshot("s6") == new
    assert manager.get_stats().delta_count == 6
    (later,) = deltas_of([new, Snapshot.of("s7", {"n": 7})])
    manager.add_delta(later)
    assert same(manager.reconstruct("s0"), Snapshot.of("x", {"n": 7}))
    with pytest.raises(EntryNotFound):
        manager.create_new_base_snapshot("nobody")


def test_n25_numbers_are_measured() -> None:
    now = 5000
    manager, run, deltas = filled(12, clock=lambda: now, **MANUAL)
    stats = manager.get_stats()
    assert (stats.active_chains, stats.sealed_chains) == (1, 0)
    assert (stats.delta_count, stats.total_deltas_in_chains, stats.full_snapshot_count) == (12, 12, 1)
    chain = manager.get_chain("s0")
    assert chain is not None
    assert stats.memory_usage == packed_size(run[0]) + sum(packed_size(delta) for delta in chain.deltas) == chain.size
    assert stats.average_delta_size == chain.delta_bytes / 12
    assert (stats.last_full_snapshot, stats.last_delta) == (5000, 5000)
    assert deltas[0].id in {delta.id for delta in chain.deltas}
    manager.create_new_base_snapshot("s0")
    after = manager.get_stats()
    assert (after.delta_count, after.total_deltas_in_chains, after.full_snapshot_count) == (12, 12, 2)
    assert (after.active_chains, after.sealed_chains) == (1, 1)


def test_n25_hits_and_misses_count_rebuilds() -> None:
    manager, _, _ = filled(5)
    manager.reconstruct("s0", "s3")
    manager.reconstruct("s0", "s3")
    stats = manager.get_stats()
    assert (stats.cache_hits, stats.cache_misses) == (1, 1)


def test_n26_the_compression_ratio_is_measured() -> None:
    manager, run, _ = filled(8)
    full = sum(packed_size(entry) for entry in run[1:])
    chain = manager.get_chain("s0")
    assert chain is not None
    assert manager.get_stats().average_compression_ratio == pytest.approx(chain.delta_bytes / full)
    empty = DeltaChainManager().get_stats()
    assert (empty.average_compression_ratio, empty.average_delta_size, empty.last_delta) == (1.0, 0.0, None)


def test_n02_deltas_may_name_the_previous_delta_the_previous_snapshot_or_the_root() -> None:
    run = run_of([{"n": number, "m": number // 3, "ballast": "b" * 90} for number in range(9)])
    for named in foreign_spellings(run):
        manager = DeltaChainManager(max_delta_chain_length=4)
        manager.add_base(run[0])
        for delta in named:
            manager.add_delta(delta)
        for number, delta in enumerate(named, start=1):
            assert same(manager.reconstruct("s0", delta.id), run[number])
        assert all(manager.validate_chain(chain).is_valid for chain in manager.get_all_chains())


def foreign_spellings(run: list[Snapshot]) -> list[list[DeltaSnapshot]]:
    """Deltas of one run as the original's versions wrote them: without telling the snapshot they lead to."""
    plain = [dataclasses.replace(delta, snapshot_id=None) for delta in deltas_of(run)]
    by_delta = [
        dataclasses.replace(delta, base_snapshot_id=plain[index - 1].id if index else run[0].id)
        for index, delta in enumerate(plain)
    ]
    by_root = [dataclasses.replace(delta, base_snapshot_id=run[0].id) for delta in plain]
    silent = [
        dataclasses.replace(delta, metadata=dataclasses.replace(delta.metadata, base_timestamp=None))
        for delta in by_root
    ]
    since_root = [
        dataclasses.replace(deltas_of([run[0], entry])[0], snapshot_id=None, id=f"since-{entry.id}")
        for entry in run[1:]
    ]
    return [plain, by_delta, by_root, silent, since_root]


def test_a_delta_that_does_not_fit_is_refused_and_the_chain_is_as_before() -> None:
    manager, run, deltas = filled(4)
    wrong = dataclasses.replace(deltas[1], id="wrong", base_snapshot_id="s4", snapshot_id="w")
    with pytest.raises(ContradictoryDelta, match="'wrong'"):
        manager.add_delta(wrong)
    assert manager.get_stats().delta_count == 4
    assert same(manager.reconstruct("s0"), run[4])
    (right,) = deltas_of([run[4], Snapshot.of("s5", {"n": 5})])
    manager.add_delta(right)
    assert same(manager.reconstruct("s0"), Snapshot.of("x", {"n": 5}))


def test_a_delta_on_a_middle_state_begins_a_chain_of_its_own() -> None:
    manager, run, deltas = filled(6)
    (side,) = deltas_of([run[3], Snapshot.of("side", {"n": "side"}, timestamp=99)])
    manager.add_delta(side)
    assert [(chain.id, chain.length) for chain in manager.get_all_chains()] == [("s0", 6), ("s3", 1)]
    assert same(manager.reconstruct("s3"), Snapshot.of("x", {"n": "side"}))
    assert same(manager.reconstruct("s0", "side"), Snapshot.of("x", {"n": "side"}))
    assert same(manager.reconstruct("s0"), run[6])
    assert same(manager.reconstruct("s0", deltas[2].id), run[3])


def test_what_a_caller_does_to_what_it_was_given_does_not_reach_the_chain() -> None:
    items = [{"id": number} for number in range(50)]
    one, other = snap("a", items=items), snap("b", items=[*items, {"id": 50}])
    manager = DeltaChainManager()
    manager.add_delta(deltas_of([one, other])[0], base=one)
    items.clear()
    chain = manager.get_chain("a")
    assert chain is not None
    chain.deltas[0].changes["items"].ops[0].new["id"] = "spoilt"
    manager.reconstruct("a").state["items"].value.clear()
    assert same(manager.reconstruct("a"), other)


@given(
    st.lists(atom_states, min_size=1, max_size=12),
    st.integers(1, 5),
    st.sampled_from(["changes", "manual", "adaptive", "significance:1", "composite:changes:3,size:200"]),
)
def test_every_state_ever_added_reads_back(states: list[dict[str, AtomEntry]], length: int, strategy: str) -> None:
    run = [Snapshot.of(f"s{n}", state, timestamp=n) for n, state in enumerate(states)]
    manager = DeltaChainManager(max_delta_chain_length=length, full_snapshot_strategy=strategy, max_cache_size=3)
    manager.add_base(run[0])
    for delta in deltas_of(run, strict=True):
        manager.add_delta(delta)
    for entry in run:
        assert same(manager.reconstruct("s0", entry.id), entry)
    chains = manager.get_all_chains()
    assert sum(chain.length for chain in chains) == len(run) - 1
    assert all(chain.length <= length for chain in chains)
    assert manager.get_stats().memory_usage == sum(chain.size for chain in chains)


@given(st.lists(atom_states, min_size=3, max_size=6), st.data())
def test_a_damaged_chain_is_never_read_as_something_else(states: list[dict[str, AtomEntry]], data: Any) -> None:
    run = [Snapshot.of(f"s{n}", state, timestamp=n) for n, state in enumerate(states)]
    deltas = deltas_of(run, strict=True)
    lost = data.draw(st.integers(0, len(deltas) - 2))
    manager = DeltaChainManager()
    manager.add_base(run[0])
    for delta in deltas[:lost]:
        manager.add_delta(delta)
    with pytest.raises(UnspoolError):
        manager.add_delta(deltas[lost + 1])
    assert same(manager.reconstruct("s0"), run[lost])


@given(
    st.lists(st.tuples(st.integers(0, 10**6), atom_states), min_size=1, max_size=12),
    st.integers(1, 4),
    st.booleans(),
)
@example([(0, {}), (0, dict.fromkeys("abcde", AtomEntry(None))), (1, {})], 1, False)
def test_every_state_reads_back_whatever_state_its_delta_stands_on(
    steps: list[tuple[int, dict[str, AtomEntry]]], length: int, timed: bool
) -> None:
    known = [Snapshot.of("s0", {"n": AtomEntry(0)}, timestamp=0)]
    manager = DeltaChainManager(max_delta_chain_length=length, full_snapshot_strategy="manual")
    manager.add_base(known[0])
    for number, (choice, state) in enumerate(steps, start=1):
        base = known[choice % len(known)]
        target = Snapshot.of(f"s{number}", state, timestamp=number if timed else 0)
        (delta,) = deltas_of([base, target], strict=True)
        manager.add_delta(delta)
        known.append(target)
    for entry in known:
        assert same(manager.reconstruct("s0", entry.id), entry)
    assert all(manager.validate_chain(chain).action != "reconstruct" for chain in manager.get_all_chains())
