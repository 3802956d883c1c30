"""Numbers of a history manager, all measured (row N-54)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from unspool.chain.cache import CacheStats
from unspool.history.manager_nodes import Node


@dataclass(frozen=True, slots=True)
class StandardStats:
    """What any history tells.

    Attributes:
        total: entries kept.
        full_count: entries stored whole.
        delta_count: entries stored as deltas.
        position: place of the current entry; None in an empty history.
        can_undo: whether there is an entry to undo to.
        can_redo: whether there is an entry to redo to.
        evicted: entries that left because of `max_history`, ever.
    """

    total: int
    full_count: int
    delta_count: int
    position: int | None
    can_undo: bool
    can_redo: bool
    evicted: int


@dataclass(frozen=True, slots=True)
class DeltaStats:
    """What storing deltas does.

    Attributes:
        is_enabled: whether deltas are stored.
        chains: full snapshots with the deltas that stand on them.
        longest_chain: most deltas on one full snapshot, along one line.
        stored_bytes: bytes of what is kept, before byte compression.
        kept_bytes: the same after it.
        full_bytes: bytes all entries would take as full snapshots, before byte compression.
        average_delta_size: mean bytes of a delta, before byte compression; 0 without any.
        cache: how the cache of rebuilt states did.
    """

    is_enabled: bool
    chains: int
    longest_chain: int
    stored_bytes: int
    kept_bytes: int
    full_bytes: int
    average_delta_size: float
    cache: CacheStats


@dataclass(frozen=True, slots=True)
class ManagerStats:
    """Numbers of a history manager.

    Attributes:
        standard: what any history tells.
        delta: what storing deltas does.
        memory_efficiency: stored bytes over the bytes of full snapshots; 1 where there are no deltas.
    """

    standard: StandardStats
    delta: DeltaStats
    memory_efficiency: float


def delta_stats(nodes: Iterable[Node], cache: CacheStats, *, is_enabled: bool) -> DeltaStats:
    """Measure what is kept."""
    kept = list(nodes)
    deltas = [node for node in kept if not node.record.is_full]
    delta_bytes = sum(node.record.packed_bytes for node in deltas)
    return DeltaStats(
        is_enabled=is_enabled,
        chains=len(kept) - len(deltas),
        longest_chain=max((node.run for node in kept), default=0),
        stored_bytes=sum(node.record.packed_bytes for node in kept),
        kept_bytes=sum(len(node.record.data) for node in kept),
        full_bytes=sum(node.full_bytes for node in kept),
        average_delta_size=delta_bytes / len(deltas) if deltas else 0.0,
        cache=cache,
    )


def manager_stats(
    delta: DeltaStats, total: int, position: int | None, evicted: int, *, can_undo: bool, can_redo: bool
) -> ManagerStats:
    """Put the numbers of a history together."""
    deltas = total - delta.chains
    standard = StandardStats(total, delta.chains, deltas, position, can_undo, can_redo, evicted)
    return ManagerStats(standard, delta, delta.stored_bytes / delta.full_bytes if deltas else 1.0)
