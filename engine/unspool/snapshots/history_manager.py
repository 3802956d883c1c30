"""The history manager of seed 000: a bounded history of full and delta snapshots with undo and redo.

Entries are whole or deltas, chosen by interval, limits and strategy; reading any of them gives a full state. Writing
after an undo begins another future and keeps the undone one, unless `on_write_after_undo="truncate"` is set.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, TypeAlias, overload

from unspool.errors import DeltaError, EntryNotFound
from unspool.model.cache import CacheStats
from unspool.model.limits import read_options
from unspool.model.values import Value
from unspool.snapshots.calculator import SnapshotLike, as_snapshot
from unspool.snapshots.chains import DeltaChain
from unspool.snapshots.history_entries import (
    EntryStore,
    HistoryNode,
    IncrementalSnapshotConfig,
    StrategyLike,
    strategy_of,
)
from unspool.snapshots.reconstructor import SnapshotReconstructor
from unspool.snapshots.snapshot import DeltaSnapshot, Snapshot

EventType: TypeAlias = Literal["add", "undo", "redo", "jump", "clear", "full"]


@dataclass(frozen=True, slots=True)
class HistoryEvent:
    """Something that happened to a history.

    Attributes:
        type: `add`, `undo`, `redo`, `jump`, `clear`, or `full` when entries were stored anew as full snapshots.
        index: place of the current entry after it; None in an empty history.
        snapshot_id: id of the current entry after it.
        is_full: whether that entry is stored whole.
        forked: whether an added entry began another future.
        evicted: entries that left because of `max_history`.
        truncated: entries that were dropped because of `on_write_after_undo="truncate"`.
    """

    type: EventType
    index: int | None
    snapshot_id: str | None
    is_full: bool = False
    forked: bool = False
    evicted: int = 0
    truncated: int = 0


Listener: TypeAlias = Callable[[HistoryEvent], object]


class Listeners:
    """The functions that are called with each event."""

    __slots__ = ("_listeners",)

    def __init__(self) -> None:
        self._listeners: list[Listener] = []

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Add a listener; the function returned takes it out again, as often as it is called."""
        self._listeners = [*self._listeners, listener]
        is_in = True

        def unsubscribe() -> None:
            nonlocal is_in
            if is_in:
                left = list(self._listeners)
                left.remove(listener)
                self._listeners = left
                is_in = False

        return unsubscribe

    def tell(self, event: HistoryEvent) -> None:
        """Call all listeners in the order they came.

        What happened has happened: an error in a listener is a warning, and neither keeps others from being told nor
        looks as if the history had failed.
        """
        for listener in self._listeners:
            try:
                listener(event)
            except Exception as error:  # noqa: BLE001 - a listener is the app's own code and may raise anything
                name = getattr(listener, "__qualname__", type(listener).__name__)
                message = f"the listener {name} raised {type(error).__name__}: {error}; the {event.type} stands"
                warnings.warn(message, RuntimeWarning, stacklevel=3)


@dataclass(frozen=True, slots=True)
class StandardStats:
    """What any history reports.

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
        standard: what any history reports.
        delta: what storing deltas does.
        memory_efficiency: stored bytes over the bytes of full snapshots; 1 where there are no deltas.
    """

    standard: StandardStats
    delta: DeltaStats
    memory_efficiency: float


def delta_stats(nodes: Iterable[HistoryNode], cache: CacheStats, *, is_enabled: bool) -> DeltaStats:
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
        self._store = EntryStore(self.config)
        self._reconstructor = self._store.states.reconstructor
        self._here: HistoryNode | None = None
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

    def _stand_at(self, node: HistoryNode, state: Snapshot) -> None:
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

    def _node(self, index: int) -> HistoryNode:
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
        """Whether there is an entry to undo to."""
        return self._here is not None and self._here.parent is not None

    def can_redo(self) -> bool:
        """Whether there is an entry to redo to."""
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

    def _go(self, node: HistoryNode, kind: EventType) -> tuple[Snapshot, HistoryEvent]:
        state = self._store.states.of(node)
        self._stand_at(node, state)
        timeline = self._store.timeline
        self._reconstructor.look_ahead(
            "history", node.serial, (timeline.first_serial, timeline.next_serial - 1), self._warm
        )
        return state, self._event(kind)

    def _warm(self, serial: int) -> None:
        with self._lock:
            # The entry may have left, and its place may be another's by now.
            node = self._store.timeline.of_serial(serial)
            if node is not None:
                self._store.states.warm(node)

    def wait_for_prefetch(self, timeout: float | None = None) -> None:
        """Wait until the states predicted last are in memory.

        Args:
            timeout: seconds to wait for each.
        """
        self._reconstructor.wait_for_prefetch(timeout)

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
        """Whether deltas are stored."""
        return self.config.enabled

    def get_delta_reconstructor(self) -> SnapshotReconstructor:
        """Return a reconstructor with this history's cache limits, for chains of `get_delta_chain`."""
        return self._reconstructor

    def get_delta_stats(self) -> DeltaStats:
        """Return what storing deltas does, measured."""
        with self._lock:
            store = self._store
            return delta_stats(store.timeline, self._reconstructor.get_cache_stats(), is_enabled=self.config.enabled)

    def get_stats(self) -> ManagerStats:
        """Return measured numbers."""
        with self._lock:
            delta = self.get_delta_stats()
            place = None if self._here is None else self._store.timeline.index(self._here)
            can_undo, can_redo = self.can_undo(), self.can_redo()
            return manager_stats(delta, len(self), place, self._store.evicted, can_undo=can_undo, can_redo=can_redo)

    def close(self) -> None:
        """End prefetching; the history stays usable."""
        self._reconstructor.close()

    def __enter__(self) -> DeltaAwareHistoryManager:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self.close()
