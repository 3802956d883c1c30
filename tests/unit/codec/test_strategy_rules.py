"""The full-or-delta rules as pure decisions over a `ChainState`."""

from __future__ import annotations

import pytest

from unspool.codec.strategies import (
    AdaptiveStrategy,
    ChainState,
    ChangesStrategy,
    CompositeStrategy,
    FullSnapshotStrategy,
    ManualStrategy,
    SignificanceStrategy,
    SizeStrategy,
    TimeStrategy,
    strategy_from_name,
)
from unspool.errors import ConfigError


def test_n41_time_wants_a_full_only_beyond_the_limit() -> None:
    rule = TimeStrategy(1000)
    assert not rule.wants_full(ChainState(length=9, age_ms=1000))
    assert rule.wants_full(ChainState(length=9, age_ms=1001))


def test_n42_changes_wants_a_full_at_the_limit() -> None:
    rule = ChangesStrategy(7)
    assert not rule.wants_full(ChainState(length=6))
    assert rule.wants_full(ChainState(length=7))


def test_n43_size_wants_a_full_only_beyond_the_limit_counting_the_candidate() -> None:
    rule = SizeStrategy(100)
    assert not rule.wants_full(ChainState(length=9, delta_bytes=60, candidate_bytes=40))
    assert rule.wants_full(ChainState(length=9, delta_bytes=60, candidate_bytes=41))


def test_n44_significance_wants_a_full_at_the_significant_entry_itself() -> None:
    rule = SignificanceStrategy()
    assert not rule.wants_full(ChainState(changed_atoms=10))
    assert rule.wants_full(ChainState(changed_atoms=11))


def test_n40_short_chains_are_left_alone_by_default() -> None:
    for rule in (TimeStrategy(0), ChangesStrategy(0), SizeStrategy(0)):
        state = ChainState(length=4, age_ms=10, delta_bytes=10)
        assert not rule.wants_full(state)
        assert rule.wants_full(ChainState(length=5, age_ms=10, delta_bytes=10))


def test_n45_manual_and_none_never_want_a_full() -> None:
    huge = ChainState(length=10**6, age_ms=1e12, delta_bytes=10**12, changed_atoms=10**6)
    assert not ManualStrategy().wants_full(huge)
    assert not strategy_from_name("none").wants_full(huge)


def test_adaptive_bounds_the_cost_of_a_rebuild() -> None:
    rule = AdaptiveStrategy(max_cost=2.0, max_growth=10.0)
    assert not rule.wants_full(ChainState(length=1, full_bytes=100_000, delta_bytes=50))
    assert rule.wants_full(ChainState(length=1, full_bytes=100_000, rebuild_cost=2.1))
    lengths = [
        n for n in range(2000) if rule.wants_full(ChainState(length=n, full_bytes=100_000, delta_bytes=100 * n))
    ]
    assert lengths
    assert lengths == list(range(lengths[0], 2000))


def test_adaptive_wants_a_full_when_deltas_outgrow_it() -> None:
    rule = AdaptiveStrategy(max_cost=100.0, max_growth=1.0)
    assert not rule.wants_full(ChainState(length=1, full_bytes=1000, delta_bytes=600, candidate_bytes=400))
    assert rule.wants_full(ChainState(length=1, full_bytes=1000, delta_bytes=600, candidate_bytes=401))


def test_composite_is_due_when_any_part_is() -> None:
    rule = CompositeStrategy((ChangesStrategy(20, 0), SignificanceStrategy(3)))
    assert not rule.wants_full(ChainState(length=19, changed_atoms=3))
    assert rule.wants_full(ChainState(length=20))
    assert rule.wants_full(ChainState(length=1, changed_atoms=4))


@pytest.mark.parametrize(
    "text",
    ["auto", "adaptive:3", "changes:20", "time:300000", "time:0.5", "size:1048576", "significance:10", "manual",
     "none", "composite:changes:20,time:300000,manual"],
)  # fmt: skip
def test_a_strategy_name_reads_back_as_itself(text: str) -> None:
    rule = strategy_from_name(text)
    assert isinstance(rule, FullSnapshotStrategy)
    assert strategy_from_name(rule.name) == rule


def test_a_limit_given_by_name_is_meant_as_it_stands() -> None:
    assert strategy_from_name("changes:2").wants_full(ChainState(length=2))
    assert strategy_from_name("changes").wants_full(ChainState(length=20))


@pytest.mark.parametrize(
    "text",
    ["", "never", "changes:", "changes:x", "changes:-1", "changes:1.5", "time:nan", "size:inf", "manual:3",
     "composite:", "composite", "adaptive:1", "composite:changes:3,nonsense"],
)  # fmt: skip
def test_an_unknown_strategy_is_refused_with_what_is_valid(text: str) -> None:
    with pytest.raises(ConfigError):
        strategy_from_name(text)
