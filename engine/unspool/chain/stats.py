"""Numbers of a chain manager, all measured or counted (rows N-25 and N-26)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from unspool.chain.cache import CacheStats
from unspool.chain.line import TrackedChain
from unspool.delta.compute import stored_size
from unspool.model.snapshot_metadata import Milliseconds
from unspool.model.snapshots import DeltaSnapshot


@dataclass(frozen=True, slots=True)
class ChainStats:
    """How much there is and what it takes.

    Attributes:
        active_chains: chains that take deltas.
        sealed_chains: chains that were folded and stay readable.
        memory_usage: measured bytes of all bases and deltas.
        delta_count: deltas ever added.
        full_snapshot_count: full snapshots ever kept.
        total_deltas_in_chains: deltas in all chains now.
        cache_hits: rebuilds answered from the cache.
        cache_misses: rebuilds that had to replay.
        average_delta_size: mean measured bytes of a delta; 0 without any.
        average_compression_ratio: bytes of all deltas over bytes of the full snapshots they stand for; 1 without any.
        last_full_snapshot: when the last full snapshot came, in milliseconds; None before the first.
        last_delta: when the last delta came, in milliseconds; None before the first.
    """

    active_chains: int
    sealed_chains: int
    memory_usage: int
    delta_count: int
    full_snapshot_count: int
    total_deltas_in_chains: int
    cache_hits: int
    cache_misses: int
    average_delta_size: float
    average_compression_ratio: float
    last_full_snapshot: Milliseconds | None
    last_delta: Milliseconds | None


class DeltaTally:
    """Counts what went into a manager."""

    __slots__ = ("_deltas", "_fulls", "_last_delta", "_last_full", "_original_bytes", "_stored_bytes")

    def __init__(self) -> None:
        self._deltas = self._fulls = self._stored_bytes = self._original_bytes = 0
        self._last_delta: Milliseconds | None = None
        self._last_full: Milliseconds | None = None

    def count_full(self, now: Milliseconds) -> None:
        """Count a full snapshot."""
        self._fulls += 1
        self._last_full = now

    def count_delta(self, delta: DeltaSnapshot, full_bytes: int, now: Milliseconds) -> None:
        """Count a delta.

        Args:
            delta: the delta as kept.
            full_bytes: measured bytes of the full snapshot it leads to.
            now: when.
        """
        self._deltas += 1
        self._last_delta = now
        self._stored_bytes += stored_size(delta)
        self._original_bytes += full_bytes

    def stats(self, chains: Iterable[TrackedChain], cache: CacheStats) -> ChainStats:
        """Return the numbers over these chains."""
        kept = list(chains)
        sealed = sum(chain.is_sealed for chain in kept)
        return ChainStats(
            active_chains=len(kept) - sealed,
            sealed_chains=sealed,
            memory_usage=sum(chain.full_bytes + chain.delta_bytes for chain in kept),
            delta_count=self._deltas,
            full_snapshot_count=self._fulls,
            total_deltas_in_chains=sum(len(chain.deltas) for chain in kept),
            cache_hits=cache.hits,
            cache_misses=cache.misses,
            average_delta_size=self._stored_bytes / self._deltas if self._deltas else 0.0,
            average_compression_ratio=self._stored_bytes / self._original_bytes if self._original_bytes else 1.0,
            last_full_snapshot=self._last_full,
            last_delta=self._last_delta,
        )
