"""Strategies from configurations, and folding chains."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from support.snapshots import deltas_of, run_of, same
from unspool.errors import ConfigError, ContradictoryDelta
from unspool.snapshots import (
    AdaptiveStrategy,
    ChangesStrategy,
    CompressionStrategy,
    DeltaChain,
    DeltaCompressionConfig,
    DeltaCompressionFactory,
    SignificanceStrategy,
)
from unspool.snapshots.chains import chain_states


def chain_of(count: int, created_at: float = 0.0, **atoms: Any) -> DeltaChain:
    run = run_of([{**atoms, "n": number} for number in range(count + 1)])
    return DeltaChain.of(run[0], deltas_of(run), created_at=created_at)


def make(strategy: str, **options: Any) -> CompressionStrategy:
    return DeltaCompressionFactory.create({"strategy": strategy, "clock": lambda: 10_000, **options})


@pytest.mark.parametrize("strategy", ["time", "changes", "size"])
def test_n40_the_minimum_chain_length_is_5_unless_given(strategy: str) -> None:
    limits = {"time": {"max_age": 0}, "changes": {"max_deltas": 0}, "size": {"max_size": 0}}
    rule = make(strategy, **limits)
    assert not rule.should_compress(chain_of(4))
    assert rule.should_compress(chain_of(5))
    assert make(strategy, min_chain_length=2, **limits).should_compress(chain_of(2))


def test_n40_a_limit_of_zero_is_zero() -> None:
    assert make("changes", changes={"max_deltas": 0}, min_chain_length=1).should_compress(chain_of(1))


def test_n40_defaults_are_the_seeds() -> None:
    assert make("changes").rule == ChangesStrategy(20, 5)
    assert not make("changes").should_compress(chain_of(19))
    assert make("changes").should_compress(chain_of(20))
    assert make("significance").rule == SignificanceStrategy(10, 0)
    assert (make("time").name, make("size").name) == ("time:300000", "size:1048576")


def test_n40_configurations_read_in_the_seeds_spelling() -> None:
    rule = DeltaCompressionFactory.create({"strategy": "changes", "changes": {"maxDeltas": 3}, "minChainLength": 1})
    assert rule.rule == ChangesStrategy(3, 1)
    assert (
        DeltaCompressionFactory.create(DeltaCompressionConfig("changes", changes={"max_deltas": 3})).name
        == "changes:3"
    )


def test_n40_a_strategy_is_passed_through() -> None:
    rule = make("time")
    assert DeltaCompressionFactory.create(rule) is rule
    assert DeltaCompressionFactory.create(AdaptiveStrategy()).rule == AdaptiveStrategy()


@pytest.mark.parametrize(
    "config",
    [{"strategy": "sometimes"}, {"strategy": "time", "time": {"age": 3}}, {"strategy": "time", "time": {"max_age": -1}},
     {"strategy": "changes", "changes": {"max_deltas": "many"}}, {"strategy": "changes", "min_chain_length": -1},
     {"strategy": "none", "min_chain_length": 5}, {"strategy": "composite"}, {"stratgy": "time"}, {"enabled": "no"},
     {"strategy": "size", "size": 5}, 7],
)  # fmt: skip
def test_n40_a_configuration_that_cannot_be_honoured_is_refused(config: Any) -> None:
    with pytest.raises(ConfigError):
        DeltaCompressionFactory.create(config)


def test_n40_disabled_never_compresses() -> None:
    for strategy in ("changes", "significance"):
        rule = make(strategy, enabled=False)
        assert not rule.should_compress(chain_of(50, **{f"k{n}": n for n in range(20)}))


def test_n41_time_goes_by_the_age_of_the_chain() -> None:
    rule = make("time", time={"max_age": 8000}, min_chain_length=1)
    assert not rule.should_compress(chain_of(5, created_at=2000))
    assert rule.should_compress(chain_of(5, created_at=1999))
    assert rule.should_compress(chain_of(5, created_at=2000), now=10_001)


def test_n43_size_goes_by_the_measured_bytes_of_the_deltas() -> None:
    chain = chain_of(6)
    assert make("size", size={"max_size": chain.delta_bytes - 1}).should_compress(chain)
    assert not make("size", size={"max_size": chain.delta_bytes}).should_compress(chain)


@pytest.mark.parametrize("strategy", ["time", "changes", "size", "none", "adaptive"])
def test_n41_to_n43_compressing_folds_into_a_new_base_and_loses_no_state(strategy: str) -> None:
    chain = chain_of(12)
    result = make(strategy).compress(chain)
    states = chain_states(chain)
    assert same(result.chain.base, states[-1])
    assert result.chain.length == 0
    assert result.sealed is not None
    assert result.sealed.sealed
    assert chain_states(result.sealed) == states
    assert not make(strategy).should_compress(result.sealed)


def test_n44_a_significant_change_becomes_the_full_snapshot_and_the_rest_follows_it() -> None:
    states: list[dict[str, int]] = [{f"k{n}": 0 for n in range(20)}]
    for step in range(1, 9):
        width = 15 if step in (3, 6) else 1
        states.append({**states[-1], **{f"k{n}": step for n in range(width)}})
    run = run_of(states)
    chain = DeltaChain.of(run[0], deltas_of(run))
    rule = make("significance")
    assert rule.should_compress(chain)
    result = rule.compress(chain)
    assert (result.chain.id, result.chain.length) == ("s6", 2)
    assert result.sealed is not None
    rebuilt = chain_states(result.sealed)[:-1] + chain_states(result.chain)
    assert all(same(one, other) for one, other in zip(rebuilt, run, strict=True))
    assert not rule.should_compress(result.chain)
    again = rule.compress(result.chain)
    assert again.sealed is None
    assert again.chain == result.chain


def test_n45_none_never_compresses_by_itself() -> None:
    assert not make("none").should_compress(chain_of(300))
    assert not make("manual").should_compress(chain_of(300))


def test_n46_the_metadata_tell_real_lengths_and_bytes() -> None:
    chain = chain_of(12)
    result = make("changes").compress(chain)
    facts = result.metadata
    assert (facts.strategy, facts.timestamp) == ("changes:20", 10_000)
    assert (facts.length_before, facts.length_after) == (12, 0)
    assert (facts.bytes_before, facts.bytes_after) == (chain.size, result.chain.size)
    assert facts.memory_saved == chain.size - result.chain.size > 0


def test_a_composite_compresses_when_any_part_would() -> None:
    parts = [{"strategy": "changes", "changes": {"max_deltas": 7}}, {"strategy": "significance"}]
    rule = make("composite", composite=parts)
    assert not rule.should_compress(chain_of(6))
    assert rule.should_compress(chain_of(7))
    wide = run_of([{f"k{n}": step for n in range(12)} for step in range(2)])
    assert rule.should_compress(DeltaChain.of(wide[0], deltas_of(wide)))


def test_adaptive_compresses_when_deltas_outgrow_the_full_snapshot() -> None:
    rule = make("adaptive", adaptive={"max_cost": 1000, "max_growth": 1})
    assert rule.should_compress(chain_of(5))
    assert not rule.should_compress(chain_of(5, ballast="b" * 5000))


def test_a_broken_chain_is_not_compressed() -> None:
    chain = chain_of(5)
    skipped = replace(chain.deltas[2], base_snapshot_id=chain.deltas[0].target_id)
    with pytest.raises(ContradictoryDelta):
        make("changes").compress(DeltaChain.of(chain.base, [chain.deltas[0], skipped]))


def test_a_chain_measures_itself() -> None:
    chain = chain_of(4, created_at=500.0)
    assert (chain.id, chain.length, chain.tip_id) == ("s0", 4, "s4")
    assert chain.size == chain.full_bytes + chain.delta_bytes
    assert chain.age(10_500) == 10_000
    assert chain.age(600) == 4000
    empty = DeltaChain.of(chain.base)
    assert (empty.tip_id, empty.length, empty.delta_bytes) == ("s0", 0, 0)
