"""Folding a chain's deltas into a new full snapshot when a strategy says so (rows N-40 to N-46).

Folding never drops a state: the old chain comes back sealed beside the new one, and both are readable.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from unspool.chain.delta_chain import DeltaChain
from unspool.chain.strategy import ChainState, FullSnapshotStrategy, SignificanceStrategy
from unspool.chain.walk import ChainWalk, replay_chain
from unspool.delta.compute import changes_between
from unspool.delta.options import DeltaOptions
from unspool.model.snapshot_metadata import Milliseconds
from unspool.model.snapshots import DeltaSnapshot, Snapshot


def wall_clock() -> Milliseconds:
    """Return the milliseconds since the Unix epoch."""
    return time.time_ns() // 1_000_000


@dataclass(frozen=True, slots=True)
class CompressionMetadata:
    """What a compression did.

    Attributes:
        strategy: name of the strategy.
        timestamp: when, in milliseconds.
        length_before: deltas in the chain before.
        length_after: deltas in the new chain.
        bytes_before: measured bytes of the chain before.
        bytes_after: measured bytes of the new chain.
    """

    strategy: str
    timestamp: Milliseconds
    length_before: int
    length_after: int
    bytes_before: int
    bytes_after: int

    @property
    def memory_saved(self) -> int:
        """Bytes the chain in use is smaller by; the sealed one is the owner's to keep or drop."""
        return self.bytes_before - self.bytes_after


@dataclass(frozen=True, slots=True)
class CompressionResult:
    """A chain after compression.

    Attributes:
        chain: the chain in use from now on: a new full snapshot and the deltas after it.
        sealed: what was folded into it, still readable; None when there was nothing to fold.
        metadata: what was done.
    """

    chain: DeltaChain
    sealed: DeltaChain | None
    metadata: CompressionMetadata


@dataclass(frozen=True, slots=True)
class CompressionStrategy:
    """A full-or-delta rule with the seed's face: `should_compress` and `compress`.

    Attributes:
        rule: when a full snapshot is due.
        enabled: whether it is ever due.
        clock: milliseconds since the Unix epoch.
    """

    rule: FullSnapshotStrategy
    enabled: bool = True
    clock: Callable[[], Milliseconds] = wall_clock

    @property
    def name(self) -> str:
        """The rule's name."""
        return self.rule.name

    def wants_full(self, state: ChainState) -> bool:
        """Say whether the candidate should be a full snapshot."""
        return self.enabled and self.rule.wants_full(state)

    def should_compress(self, chain: DeltaChain, now: Milliseconds | None = None) -> bool:
        """Say whether a chain is due to become a new base.

        Args:
            chain: the chain as it stands.
            now: the time to measure its age at; the clock's when None.
        """
        if chain.sealed or not chain.deltas:
            return False
        if isinstance(self.rule, SignificanceStrategy):
            return self.enabled and self._fold_at(chain) > 0
        return self.wants_full(chain.state_for_strategy(self.clock() if now is None else now))

    def compress(self, chain: DeltaChain) -> CompressionResult:
        """Fold the deltas of a chain into a new full snapshot.

        The significance strategy folds up to the last significant change and keeps the deltas after it; the others
        fold all. Whether it is due is not asked here.

        Raises:
            BaseMismatch, ContradictoryDelta: the chain is broken.
        """
        now = self.clock()
        cut = self._fold_at(chain)
        if cut == 0:
            unchanged = CompressionMetadata(self.name, now, chain.length, chain.length, chain.size, chain.size)
            return CompressionResult(chain, None, unchanged)
        folded = chain.deltas[:cut]
        base = replay_chain(chain.base, folded)
        after = DeltaChain.of(base, _standing_on(base, chain, cut), created_at=now)
        sealed = replace(DeltaChain.of(chain.base, folded, created_at=chain.created_at), sealed=True)
        metadata = CompressionMetadata(self.name, now, chain.length, after.length, chain.size, after.size)
        return CompressionResult(after, sealed, metadata)

    def _fold_at(self, chain: DeltaChain) -> int:
        if not isinstance(self.rule, SignificanceStrategy):
            return chain.length
        significant = (
            place
            for place, delta in enumerate(chain.deltas, start=1)
            if self.rule.wants_full(ChainState(length=place, changed_atoms=len(delta.changes)))
        )
        return max(significant, default=0)


def _standing_on(base: Snapshot, chain: DeltaChain, cut: int) -> tuple[DeltaSnapshot, ...]:
    """Return the deltas after a cut, each naming what it stands on in the chain of the new base.

    Those that name the old base, or what was folded, are told anew against the state before them.
    """
    walk, new = ChainWalk(chain.base), ChainWalk(base)
    for delta in chain.deltas[:cut]:
        walk.step(delta)
    kept = []
    before = base
    for delta in chain.deltas[cut:]:
        walk.step(delta)
        after = walk.snapshot()
        told = delta
        if not new.stands_at(delta.base_snapshot_id) or delta.base_snapshot_id == chain.base.id:
            changes = changes_between(before.state, after.state, DeltaOptions())
            facts = replace(delta.metadata, change_count=len(changes), base_timestamp=before.metadata.timestamp)
            told = replace(delta, base_snapshot_id=before.id, changes=changes, metadata=facts)
        new.step(told)
        kept.append(told)
        before = after
    return tuple(kept)
