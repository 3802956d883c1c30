"""What the reconstructor hands back."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from types import TracebackType

from unspool.errors import BrokenChain, DeltaError, EntryNotFound, UnspoolError
from unspool.model.cache import DEFAULT_MAX_BYTES, DEFAULT_MAX_ENTRIES, CacheStats, ReconstructionCache
from unspool.model.options import read_options, require_bool, require_number
from unspool.model.values import Value
from unspool.snapshots.calculator import DeltaLike, SnapshotLike, as_delta, as_snapshot, invert_delta
from unspool.snapshots.chains import ChainWalk, follows, snapshot_at
from unspool.snapshots.changes import Replay
from unspool.snapshots.prefetch import Prefetcher, ScrubPredictor
from unspool.snapshots.snapshot import DeltaSnapshot, Snapshot


@dataclass(frozen=True, slots=True)
class ReconstructionMetadata:
    """What a rebuild took.

    Attributes:
        reconstruction_time: milliseconds.
        deltas_applied: deltas laid on in this run: 0 after a cache hit, fewer than asked for after a nearer start.
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
        failed_at: index of the delta that could not be laid on.
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
        deltas: ids of the deltas on the way, in the order they are laid on.
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


@dataclass(frozen=True, slots=True)
class Route:
    """A way along a chain; positions count deltas, 0 being the full snapshot.

    Attributes:
        start: position of the known state.
        target: position asked for.
        cost: sum of the costs of the deltas on the way.
    """

    start: int
    target: int
    cost: float

    @property
    def is_forward(self) -> bool:
        """Whether deltas are applied as they are; otherwise they are turned round."""
        return self.start <= self.target

    @property
    def steps(self) -> int:
        """Number of deltas on the way."""
        return abs(self.target - self.start)

    def deltas(self) -> range:
        """Return the indices of the deltas on the way, in the order they are laid on."""
        return range(self.start, self.target) if self.is_forward else range(self.start - 1, self.target - 1, -1)


def shortest_route(
    target: int, known: Sequence[int], cost: Callable[[int], float], can_go_back: Callable[[int], bool]
) -> Route:
    """Find the cheapest way to a position.

    Args:
        target: the position asked for.
        known: positions of known states, ascending; the first must not lie behind the target.
        cost: cost of laying on the delta of an index.
        can_go_back: whether the delta of an index can be turned round.
    """
    place = bisect_left(known, target)
    if place < len(known) and known[place] == target:
        return Route(target, target, 0)
    before = known[place - 1]
    forward = Route(before, target, sum(map(cost, range(before, target))))
    if place == len(known):
        return forward
    spent = 0.0
    for index in range(known[place] - 1, target - 1, -1):
        spent += cost(index)
        if spent >= forward.cost or not can_go_back(index):
            return forward
    return Route(known[place], target, spent)


class FailedRebuild(Exception):
    """A delta that could not be laid on; never leaves the room: the reconstructor makes a result of it."""

    def __init__(self, index: int, reason: UnspoolError) -> None:
        super().__init__(index, reason)
        self.index = index
        self.reason = reason


def rebuild(base: Snapshot, chain: tuple[DeltaSnapshot, ...], route: Route, start: Snapshot) -> Snapshot:
    """Rebuild the state a route leads to.

    Args:
        base: the chain's full snapshot.
        chain: all its deltas.
        route: where from and where to.
        start: the state the route starts at.

    Raises:
        FailedRebuild: a delta does not fit.
    """
    if route.target == 0:
        return base
    if route.steps == 0:
        return start
    if not route.is_forward:
        return _back(chain, route, start)
    walk = ChainWalk(base)
    if route.start:
        walk.resume(chain[: route.start], start)
    for index in route.deltas():
        try:
            walk.step(chain[index])
        except UnspoolError as error:
            raise FailedRebuild(index, _placed(index, chain[index], error)) from error
    return walk.snapshot()


def _back(chain: tuple[DeltaSnapshot, ...], route: Route, start: Snapshot) -> Snapshot:
    replay = Replay(start.state)
    for index in route.deltas():
        try:
            replay.apply(invert_delta(chain[index]))
        except UnspoolError as error:
            raise FailedRebuild(index, _placed(index, chain[index], error)) from error
    return snapshot_at(chain[route.target - 1], replay)


def _placed(index: int, delta: DeltaSnapshot, error: UnspoolError) -> UnspoolError:
    message = f"delta {index} of the chain ({delta.id!r}) cannot be applied: {error}"
    return type(error)(message) if isinstance(error, DeltaError) else BrokenChain(message)


def can_go_back(base: Snapshot, chain: tuple[DeltaSnapshot, ...], index: int) -> bool:
    """Say whether a delta can be turned round: it plainly follows the one before and tells all old values."""
    delta = chain[index]
    if not follows(delta, chain[index - 1] if index else base):
        return False
    return all(change.packed_ops or change.old is None or change.old.encoded for change in delta.changes.values())


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


class SnapshotReconstructor:
    """Rebuilds states of chains; errors come back in the result, never as exceptions (row N-33)."""

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
        self._states = KnownStates(kept, self.config.max_cache_bytes)
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
            target_index: how many deltas to lay on: 0 is the base, None all of them.
        """
        began = self.config.timer()
        try:
            root, chain, target = _read(base, deltas, target_index)
            result = self._reconstruct(root, chain, target, began)
        except FailedRebuild as failure:
            return self._failed(began, failure.reason, failure.index, applied=failure.index)
        except UnspoolError as error:
            return self._failed(began, error, None)
        self._prefetch(root, chain, target)
        return result

    def _failed(
        self, began: float, error: UnspoolError | None, index: int | None, applied: int = 0
    ) -> ReconstructionResult:
        facts = ReconstructionMetadata(self._since(began), applied, cache_hit=False)
        return ReconstructionResult(False, None, error, index, facts)

    def _since(self, began: float) -> float:
        return (self.config.timer() - began) * 1000

    def _reconstruct(
        self, base: Snapshot, chain: tuple[DeltaSnapshot, ...], target: int, began: float
    ) -> ReconstructionResult:
        cached = self._states.get(base, chain, target)
        if cached is not None:
            facts = ReconstructionMetadata(self._since(began), 0, True, target, cached.id)
            return ReconstructionResult(True, cached, None, None, facts)
        route, start = self._route(base, chain, target)
        try:
            snapshot = rebuild(base, chain, route, start)
        except FailedRebuild:
            if route.start == 0:
                raise
            # A state somebody put into the cache need not belong to this chain: only the base is beyond doubt.
            route, start = Route(0, target, 0), base
            snapshot = rebuild(base, chain, route, start)
        self._states.remember(base, chain, target, snapshot)
        facts = ReconstructionMetadata(self._since(began), route.steps, False, route.start, start.id)
        return ReconstructionResult(True, snapshot, None, None, facts)

    def _route(self, base: Snapshot, chain: tuple[DeltaSnapshot, ...], target: int) -> tuple[Route, Snapshot]:
        known = self._states.around(base, chain, target) if self.config.optimize_path else {0: base}
        route = shortest_route(
            target,
            sorted(known),
            cost=lambda index: max(chain[index].metadata.compressed_size, 1),
            can_go_back=lambda index: can_go_back(base, chain, index),
        )
        return route, known[route.start]

    def reconstruct_range(
        self,
        base: SnapshotLike | None,
        deltas: Sequence[DeltaLike],
        first: int = 0,
        last: int | None = None,
    ) -> list[ReconstructionResult]:
        """Rebuild the states after the first `first` to `last` deltas, each from the one before.

        Several chains at once are `unspool.snapshots.chains.states_of_chains`.

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
        root, chain, target = _read(base, deltas, target_index)
        route, start = self._route(root, chain, target)
        return ReconstructionPath(
            start_id=start.id,
            start_index=route.start,
            target_index=target,
            direction="none" if route.steps == 0 else "forward" if route.is_forward else "backward",
            deltas=tuple(chain[index].id for index in route.deltas()),
            cost=route.cost,
            from_cache=route.start != 0,
        )

    def _prefetch(self, base: Snapshot, chain: tuple[DeltaSnapshot, ...], target: int) -> None:
        self._predictor.observe(base.id, target)
        wanted = self._predictor.next_positions(self.config.prefetch, 1, len(chain))
        missing = [position for position in wanted if not self._states.has(base, chain, position)]
        if missing:
            self._prefetcher.want([self._warming(base, chain, position) for position in missing])

    def _warming(self, base: Snapshot, chain: tuple[DeltaSnapshot, ...], position: int) -> Callable[[], None]:
        def warm() -> None:
            route, start = self._route(base, chain, position)
            try:
                snapshot = rebuild(base, chain, route, start)
            except FailedRebuild:
                # Nobody asked for this state yet; who does is told then.
                return
            self._states.remember(base, chain, position, snapshot, prefetched=True)

        return warm

    def wait_for_prefetch(self, timeout: float | None = None) -> None:
        """Wait until the states predicted last are in the cache.

        Args:
            timeout: seconds to wait for each.
        """
        self._prefetcher.wait(timeout)

    def get_from_cache(self, snapshot_id: str) -> Snapshot | None:
        """Return a cached state by its id, or None."""
        return self._states.get_by_id(snapshot_id)

    def set_in_cache(self, snapshot_id: str, snapshot: Snapshot) -> None:
        """Put a state into the cache under an id; rebuilds may start from it from now on."""
        self._states.put(snapshot_id, snapshot)

    def get_cache_stats(self) -> CacheStats:
        """Return size, bounds and counts of the cache."""
        return self._states.cache.stats()

    def clear_cache(self) -> None:
        """Forget all cached states and counts."""
        self._states.cache.clear()

    def close(self) -> None:
        """End prefetching; reading goes on to work."""
        self._prefetcher.close()

    def __enter__(self) -> SnapshotReconstructor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self.close()


def _read(
    base: SnapshotLike | None, deltas: Sequence[DeltaLike], target_index: int | None
) -> tuple[Snapshot, tuple[DeltaSnapshot, ...], int]:
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
    return as_snapshot(base), chain, target
