"""Rebuilding states from a full snapshot and its deltas, over the shortest route, with a cache (rows N-30 to N-35)."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from types import TracebackType

from unspool.chain.cache import DEFAULT_MAX_BYTES, DEFAULT_MAX_ENTRIES, CacheStats
from unspool.chain.lineage import KnownStates
from unspool.chain.predict import Prefetcher, ScrubPredictor
from unspool.chain.rebuild import FailedRebuild, can_go_back, rebuild
from unspool.chain.results import ReconstructionMetadata, ReconstructionPath, ReconstructionResult
from unspool.chain.route import Route, shortest_route
from unspool.delta.calculator import DeltaLike, SnapshotLike, as_delta, as_snapshot
from unspool.errors import EntryNotFound, UnspoolError
from unspool.model.options import read_options, require_bool, require_number
from unspool.model.snapshots import DeltaSnapshot, Snapshot
from unspool.model.values import Value


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

        Several chains at once are `unspool.chain.parallel.states_of_chains`.

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
