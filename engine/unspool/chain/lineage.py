"""Cached states that know which chain they belong to.

Ids alone do not make a state the right one: chains may share ids, and one delta in the middle may have been
exchanged. So a cached state remembers its base and deltas, and serves only a chain that starts with the same ones.
States put in by hand are trusted by their id.
"""

from __future__ import annotations

from dataclasses import dataclass

from unspool.chain.cache import ReconstructionCache
from unspool.model.snapshots import DeltaSnapshot, Snapshot

_ENTRY_OVERHEAD = 64
"""Bytes an atom of a cached state costs beyond its name and value."""


@dataclass(frozen=True, slots=True)
class CachedState:
    """A state, and the chain it was rebuilt from; a base of None means it was put in by hand."""

    snapshot: Snapshot
    base: Snapshot | None = None
    chain: tuple[DeltaSnapshot, ...] = ()
    position: int = 0

    def belongs_to(self, base: Snapshot, chain: tuple[DeltaSnapshot, ...], position: int) -> bool:
        """Say whether it is the state at a position of a chain."""
        if self.base is None:
            return True
        if self.position != position or (self.base is not base and self.base != base):
            return False
        # Comparing tuples looks at identity first, so this is cheap for the very same deltas.
        return self.chain is chain or self.chain[:position] == chain[:position]


class KnownStates:
    """The states a reconstructor can start from."""

    def __init__(self, max_entries: int, max_bytes: int) -> None:
        """Set the bounds of the cache."""
        self.cache: ReconstructionCache[str, CachedState] = ReconstructionCache(max_entries, max_bytes)

    def get(self, base: Snapshot, chain: tuple[DeltaSnapshot, ...], position: int) -> Snapshot | None:
        """Return the cached state at a position; counts as a hit or a miss."""
        if position == 0:
            return None
        key = chain[position - 1].target_id
        found = self.cache.get(key, lambda state: state.belongs_to(base, chain, position))
        return None if found is None else found.snapshot

    def has(self, base: Snapshot, chain: tuple[DeltaSnapshot, ...], position: int) -> bool:
        """Say whether a state is cached, without using it."""
        found = self.cache.peek(chain[position - 1].target_id)
        return found is not None and found.belongs_to(base, chain, position)

    def around(self, base: Snapshot, chain: tuple[DeltaSnapshot, ...], target: int) -> dict[int, Snapshot]:
        """Return the nearest known states at or before a position, and behind it, by position."""
        candidates = {state.position: state for _, state in self.cache.items() if state.base is not None}
        candidates |= self._by_hand(chain)
        known = {0: base}
        for positions in (
            sorted((p for p in candidates if 0 < p <= min(target, len(chain))), reverse=True),
            sorted(p for p in candidates if target < p <= len(chain)),
        ):
            for position in positions:
                if candidates[position].belongs_to(base, chain, position):
                    known[position] = candidates[position].snapshot
                    break
        return known

    def _by_hand(self, chain: tuple[DeltaSnapshot, ...]) -> dict[int, CachedState]:
        trusted = {key: state for key, state in self.cache.items() if state.base is None}
        if not trusted:
            return {}
        return {
            place: trusted[delta.target_id]
            for place, delta in enumerate(chain, start=1)
            if delta.target_id in trusted
        }

    def remember(
        self,
        base: Snapshot,
        chain: tuple[DeltaSnapshot, ...],
        position: int,
        snapshot: Snapshot,
        *,
        prefetched: bool = False,
    ) -> None:
        """Keep a rebuilt state."""
        if position:
            state = CachedState(snapshot, base, chain, position)
            self.cache.put(chain[position - 1].target_id, state, state_bytes(snapshot), prefetched=prefetched)

    def put(self, snapshot_id: str, snapshot: Snapshot) -> None:
        """Keep a state given by hand."""
        self.cache.put(snapshot_id, CachedState(snapshot), state_bytes(snapshot))

    def get_by_id(self, snapshot_id: str) -> Snapshot | None:
        """Return a cached state by its id; counts as a hit or a miss."""
        found = self.cache.get(snapshot_id)
        return None if found is None else found.snapshot


def state_bytes(snapshot: Snapshot) -> int:
    """Return about how many bytes a state takes in memory."""
    return sum(len(name) + len(entry.encoded) + _ENTRY_OVERHEAD for name, entry in snapshot.state.items())
