"""A line of chains: one history whose chains were folded into each other, with its newest state at hand."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final

from unspool.chain.delta_chain import DeltaChain
from unspool.chain.walk import ChainWalk, follows
from unspool.delta.compute import changes_between, stored_size
from unspool.delta.incremental import without_values
from unspool.delta.options import DeltaOptions
from unspool.delta.packing import packed_size
from unspool.errors import UnspoolError
from unspool.model.snapshot_metadata import Milliseconds
from unspool.model.snapshots import DeltaSnapshot, Snapshot

_PLAIN: Final = DeltaOptions()


@dataclass(slots=True)
class TrackedChain:
    """A chain that is being written."""

    base: Snapshot
    created_at: Milliseconds
    full_bytes: int
    deltas: list[DeltaSnapshot] = field(default_factory=list)
    delta_bytes: int = 0
    is_sealed: bool = False

    def view(self) -> DeltaChain:
        """Return the chain as a frozen value."""
        return DeltaChain(
            self.base, tuple(self.deltas), self.created_at, self.full_bytes, self.delta_bytes, self.is_sealed
        )


class ChainLine:
    """One history: the chain that takes deltas, and the sealed ones before it."""

    __slots__ = ("chain", "parent", "tip", "walk")

    def __init__(self, base: Snapshot, now: Milliseconds, parent: ChainLine | None = None) -> None:
        """Begin at a full snapshot.

        Args:
            base: the full snapshot.
            now: the time, in milliseconds.
            parent: the line it forked from.
        """
        self.parent = parent
        self.walk = ChainWalk(base)
        self.tip = base
        self.chain = TrackedChain(base, now, packed_size(base))

    def stems_from(self, line: ChainLine) -> bool:
        """Say whether this is the given line, or forked from it."""
        ancestor: ChainLine | None = self
        while ancestor is not None and ancestor is not line:
            ancestor = ancestor.parent
        return ancestor is line

    def takes(self, base_id: str) -> bool:
        """Say whether a delta on this id goes to the end of the line."""
        return self.walk.stands_at(base_id) or self.walk.has_root(base_id)

    def append(self, delta: DeltaSnapshot) -> DeltaSnapshot:
        """Add a delta, and return it as it is kept.

        Raises:
            BaseMismatch, ContradictoryDelta: it does not fit; the line is as before.
        """
        before = self.tip
        names_end = self.walk.ends_at(delta)
        try:
            self.walk.step(delta)
        except UnspoolError:
            self.walk.stand_again(before)
            raise
        self.tip = self.walk.snapshot()
        newest = self.chain.deltas[-1] if self.chain.deltas else self.chain.base
        kept = delta
        if not names_end:
            # Told against the full snapshot: kept as the change since the state before, like all the others.
            changes = changes_between(before.state, self.tip.state, _PLAIN)
            facts = replace(kept.metadata, change_count=len(changes), base_timestamp=before.metadata.timestamp)
            kept = replace(kept, changes=changes, metadata=facts)
        if not follows(kept, newest):
            kept = replace(kept, base_snapshot_id=before.id)
        kept = without_values(kept)
        self.chain.deltas.append(kept)
        self.chain.delta_bytes += stored_size(kept)
        return kept

    def fold(self, identity: str, now: Milliseconds) -> TrackedChain:
        """Seal the chain and begin a new one at the newest state.

        Args:
            identity: id of the new base.
            now: when.

        Returns:
            The new chain.
        """
        self.chain.is_sealed = True
        self.tip = self.tip if self.tip.id == identity else replace(self.tip, id=identity)
        self.walk.add_root(self.tip)
        self.chain = TrackedChain(self.tip, now, packed_size(self.tip))
        return self.chain
