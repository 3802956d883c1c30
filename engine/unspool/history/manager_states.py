"""Full states of entries: from memory where they are known, else over the cheapest way through the tree."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from unspool.chain.cache import CacheStats, ReconstructionCache
from unspool.chain.lineage import state_bytes
from unspool.chain.strategy import DELTA_OVERHEAD_BYTES
from unspool.delta.net import lay_on
from unspool.history.config import IncrementalSnapshotConfig
from unspool.history.manager_nodes import Node
from unspool.history.manager_records import RecordWriter
from unspool.model.snapshots import Snapshot

_STEP: Final = DELTA_OVERHEAD_BYTES


class States:
    """Gives the full state of any entry."""

    def __init__(self, config: IncrementalSnapshotConfig, writer: RecordWriter) -> None:
        """Set up.

        Args:
            config: what is kept rebuilt.
            writer: reads records.
        """
        kept = config.max_cache_size if config.cache_reconstructed else 0
        self._cache: ReconstructionCache[int, Snapshot] = ReconstructionCache(kept, config.max_cache_bytes)
        self._pinned: dict[int, Snapshot] | None = None if config.reconstruct_on_demand else {}
        self._writer = writer
        self._current: tuple[int, Snapshot] | None = None

    def stand_at(self, node: Node, snapshot: Snapshot) -> None:
        """Remember the state of the entry the history stands at."""
        self._current = (node.serial, snapshot)

    def added(self, node: Node, snapshot: Snapshot) -> None:
        """Note the state of a new entry; it is kept only where every state is."""
        if self._pinned is not None:
            bare = {name: entry.with_encoded(entry.encoded) for name, entry in snapshot.state.items()}
            self._pinned[node.serial] = Snapshot(node.id, bare, node.metadata)

    def forget(self, node: Node) -> None:
        """Drop what is known of an entry that left."""
        self._cache.discard(node.serial)
        if self._pinned is not None:
            self._pinned.pop(node.serial, None)

    def clear(self) -> None:
        """Drop everything."""
        self._cache.clear()
        self._current = None
        if self._pinned is not None:
            self._pinned.clear()

    def is_known(self, node: Node) -> bool:
        """Say whether a state needs no rebuilding."""
        return self._known(node) is not None

    def stats(self) -> CacheStats:
        """Return how the cache did."""
        return self._cache.stats()

    def of(self, node: Node) -> Snapshot:
        """Return the full state of an entry."""
        at_hand = self._at_hand(node)
        if at_hand is not None:
            return at_hand
        cached = self._cache.get(node.serial)
        if cached is None:
            cached = self._rebuilt(node)
            if self._cache.max_size:
                self._cache.put(node.serial, cached, state_bytes(cached))
        return cached

    def once(self, node: Node) -> Snapshot:
        """Return the full state of an entry for storing it anew: neither kept nor counted."""
        return self._known(node) or self._rebuilt(node)

    def warm(self, node: Node) -> None:
        """Rebuild a state ahead of its being asked for."""
        if not self.is_known(node):
            snapshot = self._rebuilt(node)
            self._cache.put(node.serial, snapshot, state_bytes(snapshot), prefetched=True)

    def _at_hand(self, node: Node) -> Snapshot | None:
        if self._current is not None and self._current[0] == node.serial:
            return self._current[1]
        return None if self._pinned is None else self._pinned.get(node.serial)

    def _known(self, node: Node) -> Snapshot | None:
        at_hand = self._at_hand(node)
        return self._cache.peek(node.serial) if at_hand is None and node.serial in self._cache else at_hand

    def _rebuilt(self, node: Node) -> Snapshot:
        way: list[Node] = []
        cost = 0
        here = node
        known = self._known(here)
        while known is None and not here.record.is_full:
            way.append(here)
            cost += here.record.packed_bytes + _STEP
            assert here.parent is not None, "a delta always has its parent kept"
            here = here.parent
            known = self._known(here)
        if known is None:
            cost += here.record.packed_bytes
        back = self._way_back(node, cost)
        if back is None:
            start = known or self._writer.full(here.record)
            state = lay_on(start.state, self._packed(way), forward=True)
        else:
            ahead = self._known(back[-1])
            assert ahead is not None, "the way back ends at a known state"
            state = lay_on(ahead.state, self._packed(back), forward=False)
        return Snapshot(node.id, state, node.metadata)

    def _packed(self, way: list[Node]) -> Iterator[bytes]:
        return (self._writer.bytes_of(step.record) for step in way)

    def _way_back(self, node: Node, limit: int) -> list[Node] | None:
        """Find a known state ahead from which turning deltas round is cheaper than `limit`."""
        way: list[Node] = []
        cost, here = 0, node
        while here.redo is not None and not here.redo.record.is_full:
            here = here.redo
            cost += here.record.packed_bytes + _STEP
            if cost >= limit:
                return None
            way.append(here)
            if self._known(here) is not None:
                return way
        return None
