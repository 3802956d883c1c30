"""A chain: a full snapshot and the deltas that follow it, as one frozen value."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from unspool.chain.strategy import ChainState
from unspool.delta.compute import stored_size
from unspool.delta.packing import packed_size
from unspool.model.snapshot_metadata import Milliseconds
from unspool.model.snapshots import DeltaSnapshot, Snapshot


@dataclass(frozen=True, slots=True)
class DeltaChain:
    """A full snapshot and the deltas that follow it.

    Attributes:
        base: the full snapshot.
        deltas: what follows, oldest first.
        created_at: when the chain was begun, in milliseconds by the clock of its owner.
        full_bytes: measured bytes of the base.
        delta_bytes: measured bytes of the deltas as stored.
        sealed: whether it was folded into a new base; it stays readable and takes no more deltas.
    """

    base: Snapshot
    deltas: tuple[DeltaSnapshot, ...] = ()
    created_at: Milliseconds = 0
    full_bytes: int = 0
    delta_bytes: int = 0
    sealed: bool = False

    @classmethod
    def of(
        cls, base: Snapshot, deltas: Iterable[DeltaSnapshot] = (), *, created_at: Milliseconds | None = None
    ) -> DeltaChain:
        """Measure and return a chain.

        Args:
            base: the full snapshot.
            deltas: what follows, oldest first.
            created_at: when it was begun; the base's own timestamp where nobody says.
        """
        kept = tuple(deltas)
        begun = base.metadata.timestamp if created_at is None else created_at
        return cls(base, kept, begun, packed_size(base), sum(map(stored_size, kept)))

    @property
    def id(self) -> str:
        """Id of the base: there is one chain for each."""
        return self.base.id

    @property
    def length(self) -> int:
        """Number of deltas."""
        return len(self.deltas)

    @property
    def tip_id(self) -> str:
        """Id of the snapshot the last delta leads to."""
        return self.deltas[-1].target_id if self.deltas else self.base.id

    @property
    def size(self) -> int:
        """Measured bytes of base and deltas."""
        return self.full_bytes + self.delta_bytes

    def age(self, now: Milliseconds) -> Milliseconds:
        """Milliseconds since the chain was begun, or between the timestamps of its ends where that is longer."""
        if not self.deltas:
            return now - self.created_at
        return max(now - self.created_at, self.deltas[-1].metadata.timestamp - self.base.metadata.timestamp)

    def state_for_strategy(self, now: Milliseconds) -> ChainState:
        """Return what a strategy may know of the chain, its last delta standing for the candidate's changes."""
        return ChainState(
            length=self.length,
            age_ms=self.age(now),
            delta_bytes=self.delta_bytes,
            full_bytes=self.full_bytes,
            changed_atoms=len(self.deltas[-1].changes) if self.deltas else 0,
        )
