"""Writing entries of a history manager: whole or as a delta, evicting, truncating, storing anew."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from unspool.chain.strategy import ChainState, ChangesStrategy, FullSnapshotStrategy
from unspool.delta.compute import delta_between, with_sizes
from unspool.delta.options import DeltaOptions
from unspool.delta.packing import atom_size, full_overhead
from unspool.history.config import IncrementalSnapshotConfig, strategy_of
from unspool.history.manager_nodes import ChainRoot, Node, Timeline, stand_on
from unspool.history.manager_records import Record, RecordWriter
from unspool.history.manager_states import States
from unspool.model.atoms import AtomEntry
from unspool.model.snapshots import DeltaSnapshot, Snapshot

_NO_ORIGINS: Final = "deep"

_TINY: Final = 1024
"""Bytes of a state up to which a delta need not be smaller."""
_FEW: Final = 3
"""Atoms up to which changing all of them is an ordinary small change."""


class EntryStore:
    """The entries of one history, each whole or as a delta on its parent."""

    def __init__(self, config: IncrementalSnapshotConfig) -> None:
        """Set up an empty history."""
        self.config = config
        self.timeline = Timeline()
        self.writer = RecordWriter(config.compression_level)
        self.states = States(config, self.writer)
        self.evicted = 0
        # Every Nth entry whole means a run of N - 1 deltas between two of them.
        by_interval = ChangesStrategy(config.full_snapshot_interval - 1, min_chain_length=0)
        self.rule: FullSnapshotStrategy = by_interval if config.strategy is None else strategy_of(config.strategy)
        self._options = DeltaOptions(
            change_detection=config.change_detection,
            skip_empty=False,
            strict=config.strict,
            incremental=config.compression_level != "none",
            identity=config.identity,
        )

    def clear(self) -> None:
        """Forget all entries and counts."""
        self.timeline = Timeline()
        self.states.clear()
        self.evicted = 0

    def append(self, snapshot: Snapshot, parent: Node | None, before: Snapshot | None) -> tuple[Node, Snapshot]:
        """Write an entry behind all others.

        Args:
            snapshot: what to write.
            parent: the entry it follows.
            before: the state of that entry.

        Returns:
            The entry, and its state as it will be read back.
        """
        if parent is not None and before is not None and self.config.enabled:
            delta = delta_between(before, snapshot, self._options, measured=False)
            assert delta is not None, "an empty delta was asked for"
            packed = self.writer.packed(delta)
            atom_bytes = parent.atom_bytes + _growth(delta, before, snapshot)
            full_bytes = atom_bytes + full_overhead(snapshot)
            if self._pays(delta, snapshot, len(packed), full_bytes) and not self._is_due(
                parent, snapshot, delta, len(packed)
            ):
                record = self.writer.record(packed, is_full=False)
                return self._add(self._as_read_back(before, snapshot, delta), parent, record, full_bytes, atom_bytes)
        full = self.writer.packed(snapshot)
        record = self.writer.record(full, is_full=True)
        return self._add(snapshot, parent, record, len(full), len(full) - full_overhead(snapshot))

    @staticmethod
    def _pays(delta: DeltaSnapshot, snapshot: Snapshot, delta_bytes: int, full_bytes: int) -> bool:
        if delta_bytes < full_bytes:
            return True
        # A tiny state stays a delta unless much of it is wholly new: its few bytes say what changed.
        is_partial = len(delta.changes) < len(snapshot.state) or len(snapshot.state) <= _FEW
        return is_partial and full_bytes <= _TINY

    def _add(
        self, snapshot: Snapshot, parent: Node | None, record: Record, full_bytes: int, atom_bytes: int
    ) -> tuple[Node, Snapshot]:
        depth = parent.depth + 1 if parent else 0
        bytes_before = parent.bytes_before if parent else 0
        if record.is_full or parent is None:
            chain = ChainRoot(self.config.clock())
        else:
            chain = parent.chain
            bytes_before += record.packed_bytes
        node = Node(
            serial=self.timeline.next_serial,
            id=snapshot.id,
            metadata=replace(snapshot.metadata, atom_count=len(snapshot.state)),
            record=record,
            full_bytes=full_bytes,
            atom_bytes=atom_bytes,
            parent=parent,
            chain=chain,
            depth=depth,
            bytes_before=bytes_before,
        )
        if record.is_full:
            chain.full = node
        self.timeline.append(node)
        self.states.added(node, snapshot)
        return node, snapshot

    def _is_due(self, parent: Node, snapshot: Snapshot, delta: DeltaSnapshot, delta_bytes: int) -> bool:
        config, full = self.config, parent.chain.full
        by_clock = config.clock() - parent.chain.taken_at
        age = max(by_clock, snapshot.metadata.timestamp - full.metadata.timestamp)
        state = ChainState(parent.run, age, parent.run_bytes, full.full_bytes, len(delta.changes), delta_bytes)
        return (
            (config.max_delta_chain_length is not None and state.length >= config.max_delta_chain_length)
            or (config.max_delta_chain_age is not None and age > config.max_delta_chain_age)
            or (
                config.max_delta_chain_size is not None
                and state.delta_bytes + delta_bytes > config.max_delta_chain_size
            )
            or self.rule.wants_full(state)
        )

    def _as_read_back(self, before: Snapshot, snapshot: Snapshot, delta: DeltaSnapshot) -> Snapshot:
        """Return what base and delta make: atoms that were found unchanged are those of the base."""
        state = {}
        for name, entry in snapshot.state.items():
            kept = entry if name in delta.changes else before.state[name]
            if self._options.detection == _NO_ORIGINS:
                state[name] = kept.with_encoded(kept.encoded) if kept is entry else kept
            else:
                state[name] = AtomEntry.from_encoded(kept.encoded, kept.type, kept.name, kept.atom_id, entry.origin)
        return Snapshot(snapshot.id, state, snapshot.metadata)

    def make_full(self, node: Node) -> bool:
        """Store an entry whole, so that nothing before it is needed; say whether it was a delta."""
        if node.record.is_full:
            return False
        self._rewrite(node)
        stand_on(node, ChainRoot(self.config.clock()))
        return True

    def make_all_full(self) -> int:
        """Store every entry whole; return how many were deltas."""
        deltas = [node for node in self.timeline if not node.record.is_full]
        for node in deltas:
            self._rewrite(node)
            node.chain = ChainRoot(self.config.clock())
            node.chain.full = node
        return len(deltas)

    def _rewrite(self, node: Node) -> None:
        node.record = self.writer.record(self.writer.packed(self.states.once(node)), is_full=True)

    def evict(self) -> int:
        """Let the oldest entries leave until `max_history` holds; return how many did."""
        limit = self.config.max_history
        count = 0
        while limit is not None and len(self.timeline) > limit:
            oldest = self.timeline.at(0)
            assert oldest is not None
            for child in oldest.children:
                self._rebase(child, oldest)
            self.states.forget(self.timeline.drop_oldest())
            count += 1
        self.evicted += count
        return count

    def _rebase(self, child: Node, oldest: Node) -> None:
        if child.record.is_full:
            return
        if len(oldest.children) > 1:
            self.make_full(child)
            return
        # All that stood on the oldest entry stands on this one now: one step, however long the chain.
        self._rewrite(child)
        child.chain.full = child

    def truncate_after(self, node: Node) -> int:
        """Drop all entries written after one; return how many there were."""
        dropped = self.timeline.drop_after(node)
        for gone in dropped:
            self.states.forget(gone)
        return len(dropped)

    def delta_of(self, node: Node) -> DeltaSnapshot:
        """Return an entry stored as a delta, its sizes told."""
        return with_sizes(self.writer.delta(node.record), node.record.packed_bytes, node.full_bytes)


def _growth(delta: DeltaSnapshot, before: Snapshot, after: Snapshot) -> int:
    """Return by how many bytes a packed state grows over a delta."""
    gone = sum(atom_size(name, before.state[name]) for name, change in delta.changes.items() if change.old)
    come = sum(atom_size(name, after.state[name]) for name, change in delta.changes.items() if change.new)
    return come - gone
