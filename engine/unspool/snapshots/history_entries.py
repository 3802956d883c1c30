"""The entries of a history manager: how they are kept, who follows whom, and the full state of each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal, TypeAlias

from unspool.codec.strategies import (
    DEFAULT_MAX_AGE_MS,
    DEFAULT_MAX_DELTAS,
    DEFAULT_MAX_SIZE,
    DELTA_OVERHEAD_BYTES,
    ChainLimits,
    ChainState,
    ChangesStrategy,
    FullSnapshotStrategy,
    strategy_from_name,
)
from unspool.delta.structural import Identity
from unspool.errors import ConfigError
from unspool.history.rebuild import DeltaLine, Route
from unspool.model.cache import DEFAULT_MAX_BYTES, DEFAULT_MAX_ENTRIES, BoundedCache
from unspool.model.limits import require_bool, require_choice, require_number
from unspool.model.values import Value
from unspool.snapshots.atoms import AtomEntry
from unspool.snapshots.chain_manager import (
    DEFAULT_FULL_SNAPSHOT_INTERVAL,
    CompressionStrategy,
    DeltaCompressionConfig,
    DeltaCompressionFactory,
    wall_clock,
)
from unspool.snapshots.changes import DETECTIONS, DeltaOptions, Detection, delta_between, with_sizes
from unspool.snapshots.packing import (
    COMPRESSION_LEVELS,
    CompressionLevel,
    PackedSnapshot,
    SnapshotWriter,
    atom_size,
    full_overhead,
    lay_on,
)
from unspool.snapshots.reconstructor import ENTRY_OVERHEAD, SnapshotReconstructor
from unspool.snapshots.snapshot import DeltaSnapshot, Milliseconds, Snapshot, SnapshotMetadata

StrategyLike: TypeAlias = (
    str | Mapping[str, Value] | DeltaCompressionConfig | CompressionStrategy | FullSnapshotStrategy
)
"""A strategy's name, its configuration, or the strategy itself."""
DEFAULT_MAX_HISTORY: Final = 50


@dataclass(frozen=True, slots=True)
class IncrementalSnapshotConfig:
    """How a history is kept; every option does what it says, or is refused when the manager is made.

    Attributes:
        enabled: store deltas; otherwise every entry is a full snapshot.
        full_snapshot_interval: every how many entries one is stored whole, unless `strategy` decides instead.
        max_delta_chain_length: most deltas between two full snapshots; None for no limit.
        max_delta_chain_age: milliseconds beyond which an entry is stored whole, measured from the full snapshot by
            the entries' timestamps or by the clock, whichever is longer; None for no limit.
        max_delta_chain_size: most bytes of deltas between two full snapshots; None for no limit.
        change_detection: `deep`, `shallow` or `reference`; see `unspool.delta.DeltaOptions`.
        reconstruct_on_demand: rebuild states when they are asked for; otherwise keep every state rebuilt in memory.
        cache_reconstructed: keep states that were rebuilt, most recently used first.
        max_cache_size: most states kept so.
        compression_level: `none` stores whole values as they are; `light` stores ops inside atoms where they are
            smaller, and zstd level 3; `aggressive` the same with zstd level 19.
        max_history: most entries kept; the oldest leave first. None for no limit.
        max_cache_bytes: most bytes of states kept rebuilt.
        strategy: when to store whole, in place of `full_snapshot_interval`; the limits above hold besides.
        on_write_after_undo: `fork` keeps the undone entries as another future; `truncate` drops them.
        prefetch: states to rebuild ahead in the direction of scrubbing.
        executor: where prefetching runs; a thread of our own when None.
        identity: identity keys of lists set by hand; see `unspool.delta.DeltaOptions`.
        strict: let 1 and 1.0, and 0.0 and -0.0, differ.
        clock: milliseconds since the Unix epoch.
    """

    enabled: bool = True
    full_snapshot_interval: int = DEFAULT_FULL_SNAPSHOT_INTERVAL
    max_delta_chain_length: int | None = DEFAULT_MAX_DELTAS
    max_delta_chain_age: Milliseconds | None = DEFAULT_MAX_AGE_MS
    max_delta_chain_size: int | None = DEFAULT_MAX_SIZE
    change_detection: Detection = "deep"
    reconstruct_on_demand: bool = True
    cache_reconstructed: bool = True
    max_cache_size: int = DEFAULT_MAX_ENTRIES
    compression_level: CompressionLevel = "light"
    max_history: int | None = DEFAULT_MAX_HISTORY
    max_cache_bytes: int = DEFAULT_MAX_BYTES
    strategy: StrategyLike | None = None
    on_write_after_undo: Literal["fork", "truncate"] = "fork"
    prefetch: int = 0
    executor: Executor | None = field(default=None, repr=False)
    identity: Identity | None = None
    strict: bool = False
    clock: Callable[[], Milliseconds] = field(default=wall_clock, repr=False)

    def __post_init__(self) -> None:
        for option in ("enabled", "reconstruct_on_demand", "cache_reconstructed", "strict"):
            require_bool(option, getattr(self, option))
        require_number("full_snapshot_interval", self.full_snapshot_interval, least=1)
        for option in ("max_cache_size", "max_cache_bytes", "prefetch"):
            require_number(option, getattr(self, option), least=0)
        for option, least in (("max_delta_chain_length", 1), ("max_delta_chain_size", 0), ("max_history", 1)):
            if getattr(self, option) is not None:
                require_number(option, getattr(self, option), least=least)
        if self.max_delta_chain_age is not None:
            require_number("max_delta_chain_age", self.max_delta_chain_age, least=0, whole=False)
        require_choice("change_detection", self.change_detection, DETECTIONS)
        require_choice("compression_level", self.compression_level, COMPRESSION_LEVELS)
        require_choice("on_write_after_undo", self.on_write_after_undo, ("fork", "truncate"))
        if self.prefetch and not (self.cache_reconstructed and self.max_cache_size):
            raise ConfigError("prefetch has nowhere to put states; set cache_reconstructed, or leave prefetch out")
        if self.strategy is not None:
            strategy_of(self.strategy)


def strategy_of(given: StrategyLike) -> FullSnapshotStrategy:
    """Return the strategy that is meant.

    Raises:
        ConfigError: none is; the message lists what is valid.
    """
    return strategy_from_name(given) if isinstance(given, str) else DeltaCompressionFactory.create(given)


@dataclass(slots=True, eq=False)
class HistoryNode:
    """One entry.

    Attributes:
        serial: counts up in the order of writing; never reused while the entry is kept.
        id: the caller's id.
        metadata: time, action, count.
        record: what is kept of it.
        full_bytes: bytes of its full snapshot before compressing.
        atom_bytes: the part of these that its atoms take.
        parent: the entry it follows; None for the first, and once that one was evicted.
        chain: what it stands on; shared by all entries on one full snapshot.
        depth: entries before it in its line, evicted ones too.
        bytes_before: bytes of all deltas in its line up to and including it.
        children: entries that follow it.
        redo: the child that redo goes to.
    """

    serial: int
    id: str
    metadata: SnapshotMetadata
    record: PackedSnapshot
    full_bytes: int
    atom_bytes: int
    parent: HistoryNode | None
    chain: ChainRoot
    depth: int
    bytes_before: int
    children: list[HistoryNode] = field(default_factory=list)
    redo: HistoryNode | None = None

    @property
    def run(self) -> int:
        """Deltas between its full snapshot and it, itself included; 0 for a full one."""
        return self.depth - self.chain.full.depth

    @property
    def run_bytes(self) -> int:
        """Bytes of these deltas."""
        return self.bytes_before - self.chain.full.bytes_before


@dataclass(slots=True, eq=False)
class ChainRoot:
    """The full snapshot a chain stands on.

    Attributes:
        taken_at: when it was stored, by the clock.
        full: the entry stored whole.
    """

    taken_at: Milliseconds
    full: HistoryNode = field(init=False)


class EntryTimeline:
    """The entries kept, by place in writing order and by id."""

    def __init__(self) -> None:
        self._nodes: dict[int, HistoryNode] = {}
        self._by_id: dict[str, HistoryNode] = {}
        self._first = 0
        self._next = 0

    def __len__(self) -> int:
        return len(self._nodes)

    def __iter__(self) -> Iterator[HistoryNode]:
        return iter(tuple(self._nodes.values()))

    def at(self, index: int) -> HistoryNode | None:
        """Return the entry at a place; negative places count from the end."""
        return self._nodes.get(index + (self._next if index < 0 else self._first))

    def get(self, identity: str) -> HistoryNode | None:
        """Return the entry of an id."""
        return self._by_id.get(identity)

    def index(self, node: HistoryNode) -> int:
        """Return the place of an entry."""
        return node.serial - self._first

    def of_serial(self, serial: int) -> HistoryNode | None:
        """Return the entry of a serial."""
        return self._nodes.get(serial)

    @property
    def first_serial(self) -> int:
        """The serial of the oldest entry kept."""
        return self._first

    @property
    def next_serial(self) -> int:
        """The serial of the next entry."""
        return self._next

    def append(self, node: HistoryNode) -> None:
        """Add an entry behind all others."""
        self._nodes[node.serial] = node
        self._by_id[node.id] = node
        self._next = node.serial + 1
        if node.parent is not None:
            node.parent.children.append(node)
            node.parent.redo = node

    def drop_oldest(self) -> HistoryNode:
        """Take out the first entry, and cut its children loose."""
        node = self._nodes.pop(self._first)
        del self._by_id[node.id]
        self._first += 1
        for child in node.children:
            child.parent = None
        return node

    def drop_after(self, node: HistoryNode) -> list[HistoryNode]:
        """Take out all entries written after one, and return them."""
        dropped = [self._nodes.pop(serial) for serial in range(node.serial + 1, self._next)]
        for gone in dropped:
            del self._by_id[gone.id]
        node.children.clear()
        node.redo = None
        self._next = node.serial + 1
        return dropped


def stand_on(node: HistoryNode, chain: ChainRoot) -> None:
    """Let an entry and the deltas that follow it stand on another full snapshot: the entry itself."""
    chain.full = node
    pending = [node]
    while pending:
        current = pending.pop()
        current.chain = chain
        pending.extend(child for child in current.children if not child.record.is_full)


class EntryLine(DeltaLine[Snapshot]):
    """The entries before and behind one entry; position 0 is that entry, -n the nth it follows, n the nth redo goes to."""

    def __init__(self, states: States, node: HistoryNode) -> None:
        """Begin at an entry."""
        self._states = states
        self._nodes: dict[int, HistoryNode | None] = {0: node}

    def _node(self, at: int) -> HistoryNode | None:
        nodes = self._nodes
        if at in nodes:
            return nodes[at]
        near = at + 1 if at < 0 else at - 1
        # Ways are searched step by step, so the nearer one is nearly always there.
        nearer = nodes[near] if near in nodes else self._node(near)
        node = nodes[at] = None if nearer is None else nearer.parent if at < 0 else nearer.redo
        return node

    def _kept(self, at: int) -> HistoryNode:
        node = self._nodes.get(at) or self._node(at)
        assert node is not None, "a delta always has its parent kept"
        return node

    def find(self, cache: BoundedCache[Any, Any], at: int) -> Snapshot | None:
        """See `StateLine`."""
        # What is pinned is never asked for by way of the cache.
        return cache.get(self._kept(at).serial)

    def keep(self, cache: BoundedCache[Any, Any], at: int, state: Snapshot, size: int, *, prefetched: bool) -> None:
        """See `StateLine`."""
        cache.put(self._kept(at).serial, state, size, prefetched=prefetched)

    def look(self, cache: BoundedCache[Any, Any], at: int) -> tuple[bool, bool, float]:
        """See `DeltaLine`."""
        node = self._nodes.get(at) or self._node(at)
        if node is None:
            return False, False, 0
        record, serial = node.record, node.serial
        is_at_hand = serial in cache or self._states.pinned(serial) is not None
        cost = record.packed_bytes
        return (False, is_at_hand, cost) if record.is_full else (True, is_at_hand, cost + DELTA_OVERHEAD_BYTES)

    def may_be_at_hand(self, cache: BoundedCache[Any, Any], at: int) -> bool:
        """See `DeltaLine`."""
        return len(cache) > 0 or self._states.may_be_pinned_in(self._kept(at).chain)

    def from_whole(self, cache: BoundedCache[Any, Any], at: int) -> Route:
        """See `DeltaLine`; a chain knows how long it is, so that nothing is looked for."""
        node = self._kept(at)
        cost = node.chain.full.record.packed_bytes + node.run_bytes + node.run * DELTA_OVERHEAD_BYTES
        return Route(at - node.run, at, cost, is_whole=True)

    def may_be_ahead(self, cache: BoundedCache[Any, Any], at: int) -> bool:
        """See `DeltaLine`."""
        return len(cache) > 0 or self._states.may_be_pinned_after(self._kept(at).serial)

    def at_hand(self, cache: BoundedCache[Any, Any], at: int) -> Snapshot | None:
        """See `DeltaLine`."""
        serial = self._kept(at).serial
        return self._states.pinned(serial) or cache.peek(serial)

    def size(self, at: int, state: Snapshot) -> int:
        """See `DeltaLine`."""
        return self._kept(at).full_bytes + ENTRY_OVERHEAD * len(state.state)

    def follow(self, route: Route, start: Snapshot | None) -> Snapshot:
        """See `DeltaLine`."""
        node, bytes_of = self._kept(route.target), self._states.writer.bytes_of
        if route.is_forward:
            last_first, before = [], node
            for _ in range(route.steps):
                last_first.append(bytes_of(before.record))
                assert before.parent is not None, "a delta always has its parent kept"
                before = before.parent
        else:
            before = self._kept(route.start)
            last_first = [bytes_of(self._kept(at).record) for at in reversed(route.deltas())]
        begin = self._states.writer.state(before.record) if start is None else start.state
        return Snapshot(node.id, lay_on(begin, last_first, forward=route.is_forward), node.metadata)


class States:
    """Gives the full state of any entry."""

    def __init__(self, config: IncrementalSnapshotConfig, writer: SnapshotWriter) -> None:
        """Set up.

        Args:
            config: what is kept rebuilt.
            writer: reads records.
        """
        self.writer = writer
        self.reconstructor = SnapshotReconstructor(
            cache=config.cache_reconstructed,
            max_cache_size=config.max_cache_size,
            max_cache_bytes=config.max_cache_bytes,
            prefetch=config.prefetch,
            executor=config.executor,
        )
        self._pinned: dict[int, Snapshot] | None = None if config.reconstruct_on_demand else {}
        self._current: tuple[HistoryNode, Snapshot] | None = None

    def stand_at(self, node: HistoryNode, snapshot: Snapshot) -> None:
        """Remember the state of the entry the history stands at."""
        self._current = (node, snapshot)

    def added(self, node: HistoryNode, snapshot: Snapshot) -> None:
        """Note the state of a new entry; it is kept only where every state is."""
        if self._pinned is not None:
            bare = {name: entry.with_encoded(entry.encoded) for name, entry in snapshot.state.items()}
            self._pinned[node.serial] = Snapshot(node.id, bare, node.metadata)

    def forget(self, node: HistoryNode) -> None:
        """Drop what is known of an entry that left."""
        self.reconstructor.discard(node.serial)
        if self._pinned is not None:
            self._pinned.pop(node.serial, None)

    def clear(self) -> None:
        """Drop everything."""
        self.reconstructor.clear_cache()
        self._current = None
        if self._pinned is not None:
            self._pinned.clear()

    def pinned(self, serial: int) -> Snapshot | None:
        """Return a state that is kept outside the cache: the current one, or all of them."""
        current = self._current
        if current is not None and current[0].serial == serial:
            return current[1]
        return None if self._pinned is None else self._pinned.get(serial)

    def may_be_pinned_in(self, chain: ChainRoot) -> bool:
        """Whether the state of an entry that stands on a full snapshot may be kept outside the cache."""
        if self._pinned is not None:
            return True
        return self._current is not None and self._current[0].chain is chain

    def may_be_pinned_after(self, serial: int) -> bool:
        """Whether the state of a later entry may be kept outside the cache; entries that follow one are later."""
        return self._pinned is not None or (self._current is not None and self._current[0].serial > serial)

    def of(self, node: HistoryNode) -> Snapshot:
        """Return the full state of an entry."""
        serial = node.serial
        known = self.pinned(serial) or self.reconstructor.cached(serial)
        return self.reconstructor.rebuilt(EntryLine(self, node), 0) if known is None else known

    def once(self, node: HistoryNode) -> Snapshot:
        """Return the full state of an entry for storing it anew: neither kept nor counted."""
        return self.reconstructor.uncounted(EntryLine(self, node), 0)

    def warm(self, node: HistoryNode) -> None:
        """Rebuild a state ahead of its being asked for."""
        if self.pinned(node.serial) is None and not self.reconstructor.holds(node.serial):
            self.reconstructor.warm(EntryLine(self, node), 0)


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
        self.timeline = EntryTimeline()
        self.writer = SnapshotWriter(config.compression_level)
        self.states = States(config, self.writer)
        self.evicted = 0
        # Every Nth entry whole means a run of N - 1 deltas between two of them.
        by_interval = ChangesStrategy(config.full_snapshot_interval - 1, min_chain_length=0)
        self.rule: FullSnapshotStrategy = by_interval if config.strategy is None else strategy_of(config.strategy)
        self._limits = ChainLimits(
            config.max_delta_chain_length, config.max_delta_chain_size, config.max_delta_chain_age
        )
        self._options = DeltaOptions(
            change_detection=config.change_detection,
            skip_empty=False,
            strict=config.strict,
            incremental=config.compression_level != "none",
            identity=config.identity,
        )

    def clear(self) -> None:
        """Forget all entries and counts."""
        self.timeline = EntryTimeline()
        self.states.clear()
        self.evicted = 0

    def append(
        self, snapshot: Snapshot, parent: HistoryNode | None, before: Snapshot | None
    ) -> tuple[HistoryNode, Snapshot]:
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
        # A tiny state stays a delta unless much of it is wholly new: its few bytes name the changes.
        is_partial = len(delta.changes) < len(snapshot.state) or len(snapshot.state) <= _FEW
        return is_partial and full_bytes <= _TINY

    def _add(
        self, snapshot: Snapshot, parent: HistoryNode | None, record: PackedSnapshot, full_bytes: int, atom_bytes: int
    ) -> tuple[HistoryNode, Snapshot]:
        depth = parent.depth + 1 if parent else 0
        bytes_before = parent.bytes_before if parent else 0
        if record.is_full or parent is None:
            chain = ChainRoot(self.config.clock())
        else:
            chain = parent.chain
            bytes_before += record.packed_bytes
        node = HistoryNode(
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

    def _is_due(self, parent: HistoryNode, snapshot: Snapshot, delta: DeltaSnapshot, delta_bytes: int) -> bool:
        full = parent.chain.full
        by_clock = self.config.clock() - parent.chain.taken_at
        age = max(by_clock, snapshot.metadata.timestamp - full.metadata.timestamp)
        state = ChainState(parent.run, age, parent.run_bytes, full.full_bytes, len(delta.changes), delta_bytes)
        return self._limits.exceeded(state, at_length=True) is not None or self.rule.wants_full(state)

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

    def make_full(self, node: HistoryNode) -> bool:
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

    def _rewrite(self, node: HistoryNode) -> None:
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

    def _rebase(self, child: HistoryNode, oldest: HistoryNode) -> None:
        if child.record.is_full:
            return
        if len(oldest.children) > 1:
            self.make_full(child)
            return
        # All that stood on the oldest entry stands on this one now: one step, however long the chain.
        self._rewrite(child)
        child.chain.full = child

    def truncate_after(self, node: HistoryNode) -> int:
        """Drop all entries written after one; return how many there were."""
        dropped = self.timeline.drop_after(node)
        for gone in dropped:
            self.states.forget(gone)
        return len(dropped)

    def delta_of(self, node: HistoryNode) -> DeltaSnapshot:
        """Return an entry stored as a delta, its sizes told."""
        return with_sizes(self.writer.delta(node.record), node.record.packed_bytes, node.full_bytes)


def _growth(delta: DeltaSnapshot, before: Snapshot, after: Snapshot) -> int:
    """Return by how many bytes a packed state grows over a delta."""
    gone = sum(atom_size(name, before.state[name]) for name, change in delta.changes.items() if change.old)
    come = sum(atom_size(name, after.state[name]) for name, change in delta.changes.items() if change.new)
    return come - gone
