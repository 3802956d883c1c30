"""The bounded cache: least recently used first out, bounded twice."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from support.examples import examples
from unspool.errors import ConfigError
from unspool.model.cache import BoundedCache


def keys(cache: BoundedCache[str, int]) -> str:
    return "".join(key for key, _ in cache.items())


def test_n32_what_was_not_used_for_longest_leaves_first() -> None:
    cache: BoundedCache[str, int] = BoundedCache(3)
    for key in "abc":
        cache.put(key, 1, 1)
    assert cache.get("a") == 1
    cache.put("d", 1, 1)
    assert keys(cache) == "cad"
    assert cache.peek("c") == 1
    cache.put("e", 1, 1)
    assert keys(cache) == "ade"
    assert cache.stats().evictions == 2


def test_n32_overwriting_at_capacity_evicts_nobody() -> None:
    cache: BoundedCache[str, int] = BoundedCache(2)
    cache.put("a", 1, 1)
    cache.put("b", 1, 1)
    cache.put("a", 2, 1)
    assert (cache.peek("a"), cache.peek("b"), cache.stats().evictions) == (2, 1, 0)


def test_n32_bytes_are_bounded_too() -> None:
    cache: BoundedCache[str, int] = BoundedCache(100, max_bytes=10)
    cache.put("a", 1, 4)
    cache.put("b", 1, 4)
    cache.put("c", 1, 4)
    assert keys(cache) == "bc"
    cache.put("huge", 1, 11)
    assert keys(cache) == "bc"
    cache.put("b", 1, 11)
    assert keys(cache) == "c"
    assert cache.stats().bytes == 4


def test_a_cache_of_size_zero_keeps_nothing() -> None:
    cache: BoundedCache[str, int] = BoundedCache(0)
    cache.put("a", 1, 0)
    assert (len(cache), cache.get("a"), "a" in cache) == (0, None, False)


def test_an_entry_that_is_not_the_one_meant_counts_as_missing() -> None:
    cache: BoundedCache[str, int] = BoundedCache()
    cache.put("a", 1, 1)
    assert cache.get("a", lambda value: value == 2) is None
    assert cache.get("a", lambda value: value == 1) == 1
    stats = cache.stats()
    assert (stats.hits, stats.misses, stats.hit_rate) == (1, 1, 0.5)


def test_prefetched_entries_are_told_apart_until_they_are_used() -> None:
    cache: BoundedCache[str, int] = BoundedCache()
    assert cache.stats().hit_rate == 0
    cache.put("a", 1, 1, prefetched=True)
    for _ in range(3):
        cache.get("a")
    assert (cache.stats().prefetched, cache.stats().prefetch_hits, cache.stats().hits) == (1, 1, 3)
    cache.clear()
    assert cache.stats().hits == 0


@pytest.mark.parametrize(("size", "limit"), [(-1, 1), (1, -1), (1.5, 1), (None, 1), (True, 1)])
def test_bounds_that_are_no_bounds_are_refused(size: Any, limit: Any) -> None:
    with pytest.raises(ConfigError):
        BoundedCache(size, limit)


class CacheMachine(RuleBasedStateMachine):
    @initialize(entries=st.integers(0, 4), limit=st.integers(0, 30))
    def begin(self, entries: int, limit: int) -> None:
        self.cache: BoundedCache[int, int] = BoundedCache(entries, limit)
        self.model: OrderedDict[int, tuple[int, int]] = OrderedDict()

    @rule(key=st.integers(0, 6), value=st.integers(), size=st.integers(0, 12))
    def put(self, key: int, value: int, size: int) -> None:
        self.cache.put(key, value, size)
        self.model.pop(key, None)
        if size <= self.cache.max_bytes and self.cache.max_size:
            self.model[key] = (value, size)
        while len(self.model) > self.cache.max_size or sum(s for _, s in self.model.values()) > self.cache.max_bytes:
            self.model.popitem(last=False)

    @rule(key=st.integers(0, 6))
    def get(self, key: int) -> None:
        expected = self.model.get(key)
        assert self.cache.get(key) == (expected[0] if expected else None)
        if expected:
            self.model.move_to_end(key)

    @rule(key=st.integers(0, 6))
    def discard(self, key: int) -> None:
        self.cache.discard(key)
        self.model.pop(key, None)

    @invariant()
    def the_cache_is_the_model(self) -> None:
        if hasattr(self, "cache"):
            assert self.cache.items() == [(key, value) for key, (value, _) in self.model.items()]
            assert self.cache.stats().bytes == sum(size for _, size in self.model.values())


TestCacheMachine = CacheMachine.TestCase
TestCacheMachine.settings = settings(max_examples=examples(50), stateful_step_count=30)
