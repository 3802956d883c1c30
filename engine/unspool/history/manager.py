"""The history manager of seed 000: a bounded history of full and delta snapshots with undo and redo (rows N-50 to N-58).

Entries are whole or deltas, chosen by interval, limits and strategy; reading any of them gives a full state. Writing
after an undo begins another future and keeps the undone one, unless `on_write_after_undo="truncate"` is set.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import overload

from unspool.chain.delta_chain import DeltaChain
from unspool.chain.reconstructor import SnapshotReconstructor
from unspool.delta.calculator import SnapshotLike, as_snapshot
from unspool.errors import DeltaError, EntryNotFound
from unspool.history.config import IncrementalSnapshotConfig, StrategyLike, strategy_of
from unspool.history.manager_events import EventType, HistoryEvent, Listener, Listeners
from unspool.history.manager_nodes import Node
from unspool.history.manager_scrubbing import Scrubbing
from unspool.history.manager_stats import DeltaStats, ManagerStats, delta_stats, manager_stats
from unspool.history.manager_store import EntryStore
from unspool.model.options import read_options
from unspool.model.snapshots import DeltaSnapshot, Snapshot
from unspool.model.values import Value


class DeltaAwareHistoryManager:
    """A history that stores deltas where they are smaller and hands out full states only.

    Safe to use from several threads; listeners are called by the thread that caused the event.
    """

    def __init__(
        self, config: IncrementalSnapshotConfig | Mapping[str, Value] | None = None, **options: Value
    ) -> None:
        """Begin an empty history.

        Args:
            config: see `IncrementalSnapshotConfig`.
            options: single options by name, such as `max_history=200`.

        Raises:
            ConfigError: an option that does not exist or cannot be honoured.
        """
        self.config = read_options(IncrementalSnapshotConfig, config, options)
        self._lock = threading.RLock()
        self._listeners = Listeners()
        self._reconstructor = SnapshotReconstructor(
            cache=self.config.cache_reconstructed,
            max_cache_size=self.config.max_cache_size,
            max_cache_bytes=self.config.max_cache_bytes,
        )
        self._store = EntryStore(self.config)
        self._scrubbing = Scrubbing(self._store, self.config, self._lock)
        self._here: Node | None = None
        self._state: Snapshot | None = None

    def __len__(self) -> int:
        return len(self._store.timeline)

    def add(self, snapshot: SnapshotLike) -> int:
        """Write an entry after the current one and go to it.

        Args:
            snapshot: a full snapshot; its id must not be in the history.

        Returns:
            Its place.

        Raises:
            DeltaError: an entry of this id is there already.
            UnsupportedValue: a value has no wire form.
        """
        new = as_snapshot(snapshot)
        with self._lock:
            timeline, here = self._store.timeline, self._here
            if timeline.get(new.id) is not None:
                raise DeltaError(
                    f"snapshot {new.id!r} is in the history already; give each snapshot an id of its own"
                )
            truncated = 0
            if here is not None and self.config.on_write_after_undo == "truncate":
                truncated = self._store.truncate_after(here)
            forked = here is not None and here.serial != timeline.next_serial - 1
            node, state = self._store.append(new, here, self._state)
            self._stand_at(node, state)
            evicted = self._store.evict()
            event = self._event("add", forked=forked, evicted=evicted, truncated=truncated)
        self._listeners.tell(event)
        return timeline.index(node)

    def add_all(self, snapshots: Iterable[SnapshotLike]) -> int:
        """Write full snapshots one after the other, as when moving from a list of them; return how many.

        Raises:
            DeltaError, UnsupportedValue: as `add`; those before stay written.
        """
        return sum(1 for snapshot in snapshots if self.add(snapshot) >= 0)

    def _stand_at(self, node: Node, state: Snapshot) -> None:
        self._here, self._state = node, state
        self._store.states.stand_at(node, state)

    def _event(self, kind: EventType, *, forked: bool = False, evicted: int = 0, truncated: int = 0) -> HistoryEvent:
        here = self._here
        if here is None:
            return HistoryEvent(kind, None, None)
        place = self._store.timeline.index(here)
        return HistoryEvent(kind, place, here.id, here.record.is_full, forked, evicted, truncated)

    def get_snapshot(self, index: int) -> Snapshot:
        """Return the full state of the entry at a place; negative places count from the end.

        Raises:
            EntryNotFound: there is no such place.
        """
        with self._lock:
            return self._store.states.of(self._node(index))

    @overload
    def __getitem__(self, index: int) -> Snapshot: ...
    @overload
    def __getitem__(self, index: slice) -> list[Snapshot]: ...
    def __getitem__(self, index: int | slice) -> Snapshot | list[Snapshot]:
        """Return the full state of an entry, or of several: `h[-1]`, `h[2:5]`."""
        if isinstance(index, slice):
            with self._lock:
                return [self.get_snapshot(place) for place in range(*index.indices(len(self)))]
        return self.get_snapshot(index)

    def _node(self, index: int) -> Node:
        if type(index) is not int:
            raise EntryNotFound(
                f"there is no entry {index!r}; entries are counted from 0, get_by_id finds one by its id"
            )
        node = self._store.timeline.at(index)
        if node is None:
            raise EntryNotFound(f"there is no entry {index}; the history has {len(self)}, counted from 0")
        return node

    def get_all(self) -> list[Snapshot]:
        """Return the full states of all entries, in the order they were written."""
        with self._lock:
            return [self._store.states.of(node) for node in self._store.timeline]

    def get_by_id(self, snapshot_id: str) -> Snapshot | None:
        """Return the full state of an entry by its id, or None."""
        with self._lock:
            node = self._store.timeline.get(snapshot_id)
            return None if node is None else self._store.states.of(node)

    def get_delta_snapshots(self) -> list[DeltaSnapshot]:
        """Return the entries that are deltas, as they are stored, in the order they were written."""
        with self._lock:
            return [self._store.delta_of(node) for node in self._store.timeline if not node.record.is_full]

    def get_current(self) -> Snapshot | None:
        """Return the full state of the current entry, or None in an empty history."""
        return self._state

    def can_undo(self) -> bool:
        """Say whether there is an entry to undo to."""
        return self._here is not None and self._here.parent is not None

    def can_redo(self) -> bool:
        """Say whether there is an entry to redo to."""
        return self._here is not None and self._here.redo is not None

    def undo(self) -> Snapshot | None:
        """Go to the entry the current one follows, and return its full state; None at the beginning."""
        with self._lock:
            here = self._here
            if here is None or here.parent is None:
                return None
            state, event = self._go(here.parent, "undo")
        self._listeners.tell(event)
        return state

    def redo(self) -> Snapshot | None:
        """Go to the entry that follows the current one, the last undone or written of several; None at the end."""
        with self._lock:
            if self._here is None or self._here.redo is None:
                return None
            state, event = self._go(self._here.redo, "redo")
        self._listeners.tell(event)
        return state

    def jump_to(self, index: int) -> Snapshot:
        """Go to the entry at a place, on any future, and return its full state.

        Raises:
            EntryNotFound: there is no such place.
        """
        with self._lock:
            node = self._node(index)
            # Redo from every entry before it leads here again.
            step = node
            while step.parent is not None:
                step.parent.redo = step
                step = step.parent
            state, event = self._go(node, "jump")
        self._listeners.tell(event)
        return state

    def _go(self, node: Node, kind: EventType) -> tuple[Snapshot, HistoryEvent]:
        state = self._store.states.of(node)
        self._stand_at(node, state)
        self._scrubbing.went_to(node)
        return state, self._event(kind)

    def wait_for_prefetch(self, timeout: float | None = None) -> None:
        """Wait until the states predicted last are in memory.

        Args:
            timeout: seconds to wait for each.
        """
        self._scrubbing.wait(timeout)

    def clear(self) -> None:
        """Forget all entries; options, strategy and listeners stay."""
        with self._lock:
            self._store.clear()
            self._here = self._state = None
        self._listeners.tell(HistoryEvent("clear", None, None))

    def force_full_snapshot(self, index: int | None = None) -> int:
        """Store entries whole that are deltas now; every entry and the position stay.

        Args:
            index: the entry; None for all.

        Returns:
            How many were deltas.

        Raises:
            EntryNotFound: there is no such place.
        """
        with self._lock:
            store = self._store
            changed = store.make_all_full() if index is None else int(store.make_full(self._node(index)))
            event = self._event("full")
        if changed:
            self._listeners.tell(event)
        return changed

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Have a function called with every `HistoryEvent`; the function returned ends that."""
        return self._listeners.subscribe(listener)

    def get_delta_chain(self, index: int = -1) -> DeltaChain:
        """Return the full snapshot an entry stands on and the deltas up to it.

        Raises:
            EntryNotFound: there is no such place.
        """
        with self._lock:
            node = self._node(index)
            deltas = []
            while not node.record.is_full:
                deltas.append(self._store.delta_of(node))
                assert node.parent is not None, "a delta always has its parent kept"
                node = node.parent
            base = self._store.writer.full(node.record)
            return DeltaChain.of(base, reversed(deltas), created_at=node.chain.taken_at)

    def reconstruct_to(self, target: int | str) -> Snapshot:
        """Return the full state of an entry by place or id, without going there.

        Raises:
            EntryNotFound: there is no such entry.
        """
        if isinstance(target, int):
            return self.get_snapshot(target)
        found = self.get_by_id(target)
        if found is None:
            raise EntryNotFound(f"no entry has the id {target!r}")
        return found

    def set_delta_strategy(self, strategy: StrategyLike) -> None:
        """Decide anew when entries are stored whole, from the next one on; the chain limits hold besides.

        Raises:
            ConfigError: it is no strategy.
        """
        rule = strategy_of(strategy)
        with self._lock:
            self._store.rule = rule

    def is_delta_enabled(self) -> bool:
        """Say whether deltas are stored."""
        return self.config.enabled

    def get_delta_reconstructor(self) -> SnapshotReconstructor:
        """Return a reconstructor with this history's cache limits, for chains of `get_delta_chain`."""
        return self._reconstructor

    def get_delta_stats(self) -> DeltaStats:
        """Return what storing deltas does, measured."""
        with self._lock:
            store = self._store
            return delta_stats(store.timeline, store.states.stats(), is_enabled=self.config.enabled)

    def get_stats(self) -> ManagerStats:
        """Return measured numbers."""
        with self._lock:
            delta = self.get_delta_stats()
            place = None if self._here is None else self._store.timeline.index(self._here)
            can_undo, can_redo = self.can_undo(), self.can_redo()
            return manager_stats(delta, len(self), place, self._store.evicted, can_undo=can_undo, can_redo=can_redo)

    def close(self) -> None:
        """End prefetching; the history stays usable."""
        self._scrubbing.close()
        self._reconstructor.close()

    def __enter__(self) -> DeltaAwareHistoryManager:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self.close()
