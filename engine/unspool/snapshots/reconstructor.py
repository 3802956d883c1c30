"""Rebuilding the states of chains that are handed in, and rebuilding ahead in the direction of scrubbing.

The work is the core's `SnapshotReconstructor`: its cache, and its choice of the cheapest way from a known state. Here
it gets its options, the line that a full snapshot and its deltas are, and results in the place of exceptions.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final

from unspool.errors import BrokenChain, DeltaError, EntryNotFound, UnspoolError
from unspool.history import rebuild
from unspool.history.rebuild import DeltaLine, Route
from unspool.model.cache import DEFAULT_MAX_BYTES, DEFAULT_MAX_ENTRIES, BoundedCache
from unspool.model.limits import read_options, require_bool, require_number
from unspool.model.values import Value
from unspool.snapshots.calculator import DeltaLike, SnapshotLike, as_delta, as_snapshot, invert_delta
from unspool.snapshots.chains import ChainWalk, follows, snapshot_at
from unspool.snapshots.changes import Replay
from unspool.snapshots.snapshot import DeltaSnapshot, Snapshot


@dataclass(frozen=True, slots=True)
class ReconstructionMetadata:
    """What a rebuild took.

    Attributes:
        reconstruction_time: milliseconds.
        deltas_applied: deltas applied in this run: 0 after a cache hit, fewer than asked for after a nearer start.
        cache_hit: whether the state came straight from the cache.
        start_index: position the run started from; 0 is the full snapshot.
        start_id: id of the state there.
    """

    reconstruction_time: float
    deltas_applied: int
    cache_hit: bool
    start_index: int = 0
    start_id: str = ""


@dataclass(frozen=True, slots=True)
class ReconstructionResult:
    """A rebuilt state, or why there is none.

    Attributes:
        success: whether there is one.
        snapshot: the state, a full snapshot.
        error: why not.
        failed_at: index of the delta that could not be applied.
        metadata: what it took.
    """

    success: bool
    snapshot: Snapshot | None
    error: UnspoolError | None
    failed_at: int | None
    metadata: ReconstructionMetadata


@dataclass(frozen=True, slots=True)
class ReconstructionPath:
    """The way a rebuild would go.

    Attributes:
        start_id: id of the known state it starts from.
        start_index: its position; 0 is the full snapshot.
        target_index: the position asked for.
        direction: `forward`, `backward`, or `none` where the state itself is known.
        deltas: ids of the deltas on the way, in the order they are applied.
        cost: bytes of these deltas.
        from_cache: whether the start is a cached state.
    """

    start_id: str
    start_index: int
    target_index: int
    direction: str
    deltas: tuple[str, ...]
    cost: float
    from_cache: bool


ENTRY_OVERHEAD: Final = 64
"""Bytes an atom of a cached state costs beyond its name and value."""


def state_bytes(snapshot: Snapshot) -> int:
    """Return about how many bytes a state takes in memory."""
    state = snapshot.state
    return ENTRY_OVERHEAD * len(state) + sum(map(len, state)) + sum([len(entry.encoded) for entry in state.values()])


@dataclass(frozen=True, slots=True)
class CachedState:
    """A state, and the chain it was rebuilt from; a base of None means it was put in by hand.

    Ids alone do not make a state the right one: chains may share ids, and one delta in the middle may have been
    exchanged. So a cached state serves only a chain that starts with the same base and deltas; states put in by hand
    are trusted by their id.
    """

    snapshot: Snapshot
    base: Snapshot | None = None
    chain: tuple[DeltaSnapshot, ...] = ()
    position: int = 0

    def belongs_to(self, base: Snapshot, chain: tuple[DeltaSnapshot, ...], position: int) -> bool:
        """Whether it is the state at a position of a chain."""
        if self.base is None:
            return True
        if self.position != position or (self.base is not base and self.base != base):
            return False
        # Comparing tuples looks at identity first, so this is cheap for the very same deltas.
        return self.chain is chain or self.chain[:position] == chain[:position]


class GivenChain(DeltaLine[Snapshot]):
    """A full snapshot and the deltas that follow it; position 0 is the snapshot, n the state after n deltas.

    Attributes:
        failed_at: index of the delta that could not be applied.
        start_id: id of the state that the last rebuild started from.
    """

    def __init__(self, base: Snapshot, deltas: tuple[DeltaSnapshot, ...], *, from_cache: bool = True) -> None:
        """Take over a chain.

        Args:
            base: its full snapshot.
            deltas: what follows, oldest first.
            from_cache: whether a rebuild may start from a cached state.
        """
        self.base = base
        self.deltas = deltas
        self.failed_at: int | None = None
        self.start_id = ""
        self._from_cache = from_cache

    def _key(self, at: int) -> str:
        return self.deltas[at - 1].target_id

    def find(self, cache: BoundedCache[Any, Any], at: int) -> Snapshot | None:
        """See `StateLine`."""
        if at == 0:
            return None
        kept = cache.get(self._key(at), lambda state: state.belongs_to(self.base, self.deltas, at))
        return None if kept is None else kept.snapshot

    def keep(self, cache: BoundedCache[Any, Any], at: int, state: Snapshot, size: int, *, prefetched: bool) -> None:
        """See `StateLine`."""
        if at:
            cache.put(self._key(at), CachedState(state, self.base, self.deltas, at), size, prefetched=prefetched)

    def cached(self, cache: BoundedCache[Any, Any], at: int) -> Snapshot | None:
        """Return a cached state without using it."""
        kept = cache.peek(self._key(at))
        return None if kept is None or not kept.belongs_to(self.base, self.deltas, at) else kept.snapshot

    def look(self, cache: BoundedCache[Any, Any], at: int) -> tuple[bool, bool, float]:
        """See `DeltaLine`."""
        if not 1 <= at <= len(self.deltas):
            return False, False, 0
        is_at_hand = self._from_cache and self.cached(cache, at) is not None
        return True, is_at_hand, max(self.deltas[at - 1].metadata.compressed_size, 1)

    def at_hand(self, cache: BoundedCache[Any, Any], at: int) -> Snapshot | None:
        """See `DeltaLine`."""
        return self.cached(cache, at)

    def can_invert(self, at: int) -> bool:
        """Whether the delta plainly follows the one before and has all old values."""
        delta = self.deltas[at - 1]
        if not follows(delta, self.deltas[at - 2] if at > 1 else self.base):
            return False
        return all(change.packed_ops or change.old is None or change.old.encoded for change in delta.changes.values())

    def size(self, at: int, state: Snapshot) -> int:
        """See `DeltaLine`."""
        return state_bytes(state)

    def follow(self, route: Route, start: Snapshot | None) -> Snapshot:
        """See `DeltaLine`."""
        begin = self.base if start is None else start
        self.failed_at, self.start_id = None, begin.id
        if route.target == 0:
            return self.base
        if route.steps == 0:
            return begin
        if not route.is_forward:
            replay = Replay(begin.state)
            for at in route.deltas():
                self._checked(at, lambda delta: replay.apply(invert_delta(delta)))
            return snapshot_at(self.deltas[route.target - 1], replay)
        walk = ChainWalk(self.base)
        if route.start:
            walk.resume(self.deltas[: route.start], begin)
        for at in route.deltas():
            self._checked(at, walk.step)
        return walk.snapshot()

    def _checked(self, at: int, apply: Callable[[DeltaSnapshot], None]) -> None:
        delta = self.deltas[at - 1]
        try:
            apply(delta)
        except UnspoolError as error:
            self.failed_at = at - 1
            message = f"delta {at - 1} of the chain ({delta.id!r}) cannot be applied: {error}"
            raise (type(error)(message) if isinstance(error, DeltaError) else BrokenChain(message)) from error


_LONGEST_STEP: Final = 64
"""Positions between two reads beyond which they are jumps and tell no direction."""


class ScrubPredictor:
    """Remembers the last reads of one line of states and says which come next.

    Two reads within a short distance give a direction and a stride; the next states lie that way.
    """

    __slots__ = ("_last", "_line", "_stride")

    def __init__(self) -> None:
        self._line: Hashable = None
        self._last: int | None = None
        self._stride = 0

    def observe(self, line: Hashable, position: int) -> None:
        """Note a read.

        Args:
            line: what the position counts on, such as a chain's id; a read on another line starts afresh.
            position: the state read.
        """
        last = self._last if line == self._line else None
        step = 0 if last is None else position - last
        if step == 0 and last is not None:
            return
        self._stride = step if 0 < abs(step) <= _LONGEST_STEP else 0
        self._line, self._last = line, position

    def next_positions(self, count: int, first: int, last: int) -> tuple[int, ...]:
        """Return up to `count` positions that are likely read next, nearest first, within `first` to `last`."""
        if self._last is None or self._stride == 0:
            return ()
        guesses = range(self._last + self._stride, self._last + self._stride * (count + 1), self._stride)
        return tuple([guess for guess in guesses if first <= guess <= last])


class Prefetcher:
    """Runs warming jobs beside the caller, one at a time, newest wish first served.

    Jobs of an older wish that did not start yet are dropped: the person has moved on.
    """

    def __init__(self, executor: Executor | None = None) -> None:
        """Choose where jobs run.

        Args:
            executor: where; a thread of our own, started with the first job, when None.
        """
        self._executor = executor
        self._owns_executor = executor is None
        self._lock = threading.Lock()
        self._waiting: list[Future[None]] = []

    def want(self, jobs: list[Callable[[], None]]) -> None:
        """Ask for jobs to be run, and drop what was asked for before and has not started."""
        with self._lock:
            for future in self._waiting:
                future.cancel()
            if self._executor is None:
                self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="unspool-prefetch")
            self._waiting = [self._executor.submit(job) for job in jobs]

    def wait(self, timeout: float | None = None) -> None:
        """Wait until what was asked for last is done; an error in a job is raised here.

        Args:
            timeout: seconds to wait for each job.
        """
        with self._lock:
            waiting = list(self._waiting)
        for future in waiting:
            if not future.cancelled():
                future.result(timeout)

    def close(self) -> None:
        """Drop what has not started, and end our own thread."""
        with self._lock:
            for future in self._waiting:
                future.cancel()
            self._waiting = []
            if self._owns_executor and self._executor is not None:
                self._executor.shutdown(wait=True, cancel_futures=True)
                self._executor = None


@dataclass(frozen=True, slots=True)
class ReconstructorConfig:
    """How states are rebuilt.

    Attributes:
        cache: keep rebuilt states.
        max_cache_size: most states kept.
        max_cache_bytes: most bytes kept.
        optimize_path: start from the nearest cached state, forwards or backwards; otherwise from the full snapshot.
        prefetch: states to rebuild ahead in the direction of scrubbing; 0 for none.
        executor: where prefetching runs; a thread of our own when None.
        timer: seconds, for `reconstruction_time`.
    """

    cache: bool = True
    max_cache_size: int = DEFAULT_MAX_ENTRIES
    max_cache_bytes: int = DEFAULT_MAX_BYTES
    optimize_path: bool = True
    prefetch: int = 0
    executor: Executor | None = field(default=None, repr=False)
    timer: Callable[[], float] = field(default=time.perf_counter, repr=False)

    def __post_init__(self) -> None:
        require_bool("cache", self.cache)
        require_bool("optimize_path", self.optimize_path)
        for option in ("max_cache_size", "max_cache_bytes", "prefetch"):
            require_number(option, getattr(self, option), least=0)


class SnapshotReconstructor(rebuild.SnapshotReconstructor):
    """The core's reconstructor for chains that are handed in; errors come back in the result, never as exceptions."""

    def __init__(self, config: ReconstructorConfig | Mapping[str, Value] | None = None, **options: Value) -> None:
        """Set up.

        Args:
            config: see `ReconstructorConfig`.
            options: single options by name, such as `max_cache_size=50`.

        Raises:
            ConfigError: an option that does not exist or cannot be honoured.
        """
        self.config = read_options(ReconstructorConfig, config, options)
        kept = self.config.max_cache_size if self.config.cache else 0
        super().__init__(max_states=kept, max_bytes=self.config.max_cache_bytes)
        self._predictor = ScrubPredictor()
        self._prefetcher = Prefetcher(self.config.executor)

    def reconstruct(
        self, base: SnapshotLike | None, deltas: Sequence[DeltaLike], target_index: int | None = None
    ) -> ReconstructionResult:
        """Rebuild the state after the first `target_index` deltas.

        Args:
            base: the full snapshot the chain starts from.
            deltas: what follows, oldest first; each may name the snapshot before it, the delta before it, or the
                base.
            target_index: how many deltas to apply: 0 is the base, None all of them.
        """
        began = self.config.timer()
        chain: GivenChain | None = None
        try:
            chain, target = self._read(base, deltas, target_index)
            snapshot = self.state(chain, target)
        except UnspoolError as error:
            index = None if chain is None else chain.failed_at
            facts = ReconstructionMetadata(self._since(began), index or 0, cache_hit=False)
            return ReconstructionResult(False, None, error, index, facts)
        route = chain.taken
        if route is None:
            facts = ReconstructionMetadata(self._since(began), 0, True, target, snapshot.id)
        else:
            facts = ReconstructionMetadata(self._since(began), route.steps, False, route.start, chain.start_id)
        self._look_along(chain, target)
        return ReconstructionResult(True, snapshot, None, None, facts)

    def _since(self, began: float) -> float:
        return (self.config.timer() - began) * 1000

    def _read(
        self, base: SnapshotLike | None, deltas: Sequence[DeltaLike], target_index: int | None
    ) -> tuple[GivenChain, int]:
        """Check what a caller gave.

        Raises:
            EntryNotFound: no base, or a target that is not within the chain.
            UnreadableSource: a JSON object that is no snapshot or delta.
        """
        if base is None:
            raise EntryNotFound("there is no start snapshot; give the chain's base, a full one")
        chain = tuple(map(as_delta, deltas))
        target = len(chain) if target_index is None else target_index
        if not 0 <= target <= len(chain):
            raise EntryNotFound(f"target {target} is not within the chain; give 0 to {len(chain)}")
        return GivenChain(as_snapshot(base), chain, from_cache=self.config.optimize_path), target

    def reconstruct_range(
        self,
        base: SnapshotLike | None,
        deltas: Sequence[DeltaLike],
        first: int = 0,
        last: int | None = None,
    ) -> list[ReconstructionResult]:
        """Rebuild the states after the first `first` to `last` deltas, each from the one before.

        Several chains at once are `unspool.snapshots.states_of_chains`.

        Args:
            base: the full snapshot the chain starts from.
            deltas: what follows, oldest first.
            first: the first position; 0 is the base.
            last: the last position; None is the end of the chain.

        Returns:
            A result for each position; all from the first failing one on are failures.
        """
        chain = tuple(deltas)
        end = len(chain) if last is None else last
        return [self.reconstruct(base, chain, position) for position in range(first, end + 1)]

    def get_reconstruction_path(
        self, base: SnapshotLike, deltas: Sequence[DeltaLike], target_index: int | None = None
    ) -> ReconstructionPath:
        """Return the way `reconstruct` would go now: from the nearest of the base and the cached states.

        Raises:
            EntryNotFound: the target is not within the chain.
        """
        chain, target = self._read(base, deltas, target_index)
        route = chain.route(self._cache, target)
        start = None if route.is_whole else chain.at_hand(self._cache, route.start)
        return ReconstructionPath(
            start_id=chain.base.id if start is None else start.id,
            start_index=route.start,
            target_index=target,
            direction="none" if route.steps == 0 else "forward" if route.is_forward else "backward",
            deltas=tuple(chain.deltas[at - 1].id for at in route.deltas()),
            cost=route.cost,
            from_cache=not route.is_whole,
        )

    def _look_along(self, chain: GivenChain, target: int) -> None:
        def warm(at: int) -> None:
            if chain.cached(self._cache, at) is None:
                self.warm(GivenChain(chain.base, chain.deltas, from_cache=self.config.optimize_path), at)

        self.look_ahead(chain.base.id, target, (1, len(chain.deltas)), warm)

    def look_ahead(self, line: Hashable, position: int, within: tuple[int, int], warm: Callable[[int], None]) -> None:
        """Note a read, and have the positions that are likely read next warmed beside the caller.

        Args:
            line: what the position counts on.
            position: the position read.
            within: the first and the last position there is.
            warm: rebuilds the state at a position; whoever asks for one that cannot be rebuilt gets the error then.
        """
        self._predictor.observe(line, position)
        wanted = self._predictor.next_positions(self.config.prefetch, *within)
        if wanted:
            self._prefetcher.want([_quietly(warm, at) for at in wanted])

    def wait_for_prefetch(self, timeout: float | None = None) -> None:
        """Wait until the states predicted last are in the cache.

        Args:
            timeout: seconds to wait for each.
        """
        self._prefetcher.wait(timeout)

    def get_from_cache(self, snapshot_id: str) -> Snapshot | None:
        """Return a cached state by its id, or None; counts as a hit or a miss."""
        found = self._cache.get(snapshot_id)
        return None if found is None else found.snapshot

    def set_in_cache(self, snapshot_id: str, snapshot: Snapshot) -> None:
        """Put a state into the cache under an id; rebuilds may start from it from now on."""
        self._cache.put(snapshot_id, CachedState(snapshot), state_bytes(snapshot))

    def close(self) -> None:
        """End prefetching; reading goes on to work."""
        self._prefetcher.close()

    def __enter__(self) -> SnapshotReconstructor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self.close()


def _quietly(warm: Callable[[int], None], at: int) -> Callable[[], None]:
    def job() -> None:
        try:
            warm(at)
        except UnspoolError:
            # Nobody asked for this state yet; whoever does gets the error then.
            return

    return job
