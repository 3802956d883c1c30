"""Rebuilding states: from the cache, or over the cheapest way from a state that is known.

`SnapshotReconstructor` is the one that the screen, the questions and the document systems rebuild through; what they
rebuild is a `StateLine`. `RecordLine` is the line of a store: one decoded run at a time, stepping either way. Chains of
snapshots and the history manager rebuild along lines whose deltas can be applied and inverted.
"""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final, Generic, Protocol, TypeVar

from msgspec import Struct, field

from unspool.codec.records import (
    PackedRecords,
    RecordCodec,
    apply_record,
    replay,
    replay_atom,
    replay_delta,
    stands_apart,
)
from unspool.errors import CorruptHistory, UnspoolError
from unspool.model.cache import DEFAULT_MAX_BYTES, DEFAULT_MAX_ENTRIES, BoundedCache, CacheStats
from unspool.model.wire import EncodedState
from unspool.store.protocol import RecordRun, Store

StateT = TypeVar("StateT")

_TIMES_KEPT: Final = 512


class StateLine(Protocol[StateT]):
    """States in a row, some stored whole and the others as deltas on the one before; a position names one of them."""

    def find(self, cache: BoundedCache[Any, Any], at: int) -> StateT | None:
        """Return the state at a position from the cache, or None; counts as a hit or a miss."""

    def rebuild(self, cache: BoundedCache[Any, Any], at: int) -> tuple[StateT, int]:
        """Return the state at a position that is not in the cache, and the bytes it adds there."""

    def keep(self, cache: BoundedCache[Any, Any], at: int, state: StateT, size: int, *, prefetched: bool) -> None:
        """Put the state at a position into the cache."""


class SnapshotReconstructor:
    """Rebuilds states of lines and keeps them, least recently used first out.

    Safe to use from several threads where its lines are: it has no state of its own but the cache and the times.
    """

    def __init__(self, *, max_states: int = DEFAULT_MAX_ENTRIES, max_bytes: int = DEFAULT_MAX_BYTES) -> None:
        """Make an empty cache.

        Args:
            max_states: most states kept; 0 keeps none.
            max_bytes: most bytes the kept states take in all, as their lines count them.

        Raises:
            ConfigError: a bound that is no whole number of at least 0.
        """
        self._cache: BoundedCache[Any, Any] = BoundedCache(max_states, max_bytes)
        self._times_ns: list[int] = []

    def state(self, line: StateLine[StateT], at: int) -> StateT:
        """Return the state at a position of a line; shared with others, not to be changed.

        Raises:
            EntryNotFound: the line has no such position.
            CorruptHistory, DeltaError: it cannot be rebuilt; the message names the entry that is damaged.
        """
        known = line.find(self._cache, at)
        return self.rebuilt(line, at) if known is None else known

    def cached(self, key: object) -> Any | None:
        """Return one cached state by what its line keeps it under, or None; counts as a hit or a miss."""
        return self._cache.get(key)

    def rebuilt(self, line: StateLine[StateT], at: int) -> StateT:
        """Rebuild a state that was looked for in the cache and is not there, and keep it; raises as `state`."""
        started = time.perf_counter_ns()
        state, size = line.rebuild(self._cache, at)
        self._note_time(time.perf_counter_ns() - started)
        line.keep(self._cache, at, state, size, prefetched=False)
        return state

    def peek(self, key: object) -> Any | None:
        """Return one cached state without counting that, by what its line keeps it under; None where it is not there."""
        return self._cache.peek(key)

    def holds(self, key: object) -> bool:
        """Whether a state is in the cache, by what its line keeps it under."""
        return key in self._cache

    def discard(self, key: object) -> None:
        """Forget one cached state, by what its line keeps it under."""
        self._cache.discard(key)

    def uncounted(self, line: StateLine[StateT], at: int) -> StateT:
        """Return a state that is not to be kept, such as one that is stored anew; raises as `state`."""
        return line.rebuild(self._cache, at)[0]

    def warm(self, line: StateLine[StateT], at: int) -> None:
        """Rebuild a state ahead of its being asked for; raises as `state`."""
        state, size = line.rebuild(self._cache, at)
        line.keep(self._cache, at, state, size, prefetched=True)

    def _note_time(self, elapsed_ns: int) -> None:
        self._times_ns.append(elapsed_ns)
        if len(self._times_ns) > _TIMES_KEPT:
            del self._times_ns[: _TIMES_KEPT // 2]

    def get_cache_stats(self) -> CacheStats:
        """Return size, bounds and counts of the cache; waits for no rebuild, however long one takes."""
        return self._cache.stats()

    def clear_cache(self) -> None:
        """Forget all cached states and counts."""
        self._cache.clear()

    def rebuild_times_us(self) -> list[float]:
        """Return the times of the last rebuilds that were no cache hits, in microseconds."""
        return [elapsed / 1000 for elapsed in self._times_ns.copy()]


_IS_ASIDE: ContextVar[bool] = ContextVar("is_aside", default=False)


@contextmanager
def aside() -> Iterator[None]:
    """Have work in this thread leave alone which states are held and how moves were served.

    Those are about somebody who looks at one state after the other; a search over all of them would count itself.
    """
    token = _IS_ASIDE.set(True)
    try:
        yield
    finally:
        _IS_ASIDE.reset(token)


def is_aside() -> bool:
    """Whether this thread works aside; see `aside`."""
    return _IS_ASIDE.get()


_RUNS_KEPT: Final = 6
_DICT_BYTES: Final = 100
"""What an atom takes in a state's dict, its bytes aside."""
_STEPS: Final = (RecordCodec.DICT, RecordCodec.NOTE)
"""Codecs of records that say what changed, atom by atom."""

Undo = list[tuple[str, bytes | None]]
"""What one step back puts in place of what is there: atoms with their values, None for those that were not there."""


class _Cursor(Struct):
    """The last rebuilt place in a run, and how to step back from it.

    Attributes:
        run: the run.
        first: number of its first entry.
        stop: one past its last one.
        seq: the entry.
        state: the state there.
        undo: how to step back, the last step last; as many steps as there is room for.
        undo_bytes: bytes of the values in them.
    """

    run: RecordRun
    first: int
    stop: int
    seq: int
    state: EncodedState
    undo: deque[Undo] = field(default_factory=deque)
    undo_bytes: int = 0

    def note(self, undo: Undo, most_bytes: int) -> None:
        """Note how to take the step back that was just made; the oldest ones give way where there is no room."""
        self.undo.append(undo)
        self.undo_bytes += _bytes_of(undo)
        while self.undo and self.undo_bytes > most_bytes:
            self.undo_bytes -= _bytes_of(self.undo.popleft())

    def step_back(self) -> int:
        """Go back to the entry before, and return how many bytes the values have that are there again."""
        undo = self.undo.pop()
        size = _bytes_of(undo)
        self.undo_bytes -= size
        for atom, value in reversed(undo):
            if value is None:
                del self.state[atom]
            else:
                self.state[atom] = value
        self.seq -= 1
        return size

    def forget_steps(self) -> None:
        """Keep no way back."""
        self.undo.clear()
        self.undo_bytes = 0


def _bytes_of(undo: Undo) -> int:
    return sum([len(value) for _, value in undo if value is not None])


class RecordLine:
    """The states of one store, by the numbers of its entries. Safe to use from several threads."""

    def __init__(self, store: Store, max_bytes: int = DEFAULT_MAX_BYTES) -> None:
        """Prepare; nothing is read yet.

        Args:
            store: where the records are.
            max_bytes: bytes that the steps back of a run, and the states that runs stand at, may take.
        """
        self._store = store
        self._max_bytes = max_bytes
        self._lock = threading.RLock()
        self._here: _Cursor | None = None
        self._cursors: BoundedCache[int, _Cursor] = BoundedCache(_RUNS_KEPT, max_bytes)
        self._spare = RecordRun(0, PackedRecords((), ()))
        self._spare_stop = 0
        self._fresh_bytes = 0

    def find(self, cache: BoundedCache[Any, Any], at: int) -> EncodedState | None:
        """See `StateLine`."""
        return cache.get(at)

    def keep(
        self, cache: BoundedCache[Any, Any], at: int, state: EncodedState, size: int, *, prefetched: bool
    ) -> None:
        """See `StateLine`."""
        cache.put(at, state, size, prefetched=prefetched)

    def rebuild(self, cache: BoundedCache[Any, Any], at: int) -> tuple[EncodedState, int]:
        """Return the state at an entry, as wire forms by atom, and the bytes it adds to its neighbours in the cache.

        Raises:
            EntryNotFound: there is no such entry.
            CorruptHistory: it cannot be rebuilt; names the entry that is damaged.
        """
        with self._lock:
            self._fresh_bytes = 0
            cursor = self._cursor(at)
            while cursor.seq > at and cursor.undo:
                # Nobody else may hold these values any more.
                self._fresh_bytes += cursor.step_back()
            if cursor.seq > at:
                self._rewind(cursor, at)
            if cursor.seq < at:
                self._advance(cursor, at)
            # A step shares all atoms but the changed ones with its neighbour; only those are new bytes.
            return cursor.state.copy(), _DICT_BYTES * len(cursor.state) + self._fresh_bytes

    def atom(self, reconstructor: SnapshotReconstructor, at: int, atom: str) -> bytes | None:
        """Return one atom's wire form at an entry, or None where the state has no such atom.

        A far entry costs no more than this atom's own changes: nothing else of the state is rebuilt or kept.

        Raises:
            EntryNotFound, CorruptHistory: as `rebuild`.
        """
        if not reconstructor.holds(at):
            with self._lock:
                cursor = self._find(at)
                if cursor is not None and cursor.seq == at:
                    return cursor.state.get(atom)
                run = cursor.run if cursor is not None else self._spare_run(at)
                if stands_apart(run, at):
                    number = self._store.atom_number(atom)
                    try:
                        return None if number is None else replay_atom(run, at, number, atom)
                    except CorruptHistory as error:
                        raise type(error)(f"{self._store.name}: {error}", seq=error.seq) from None
        return reconstructor.state(self, at).get(atom)

    def _spare_run(self, seq: int) -> RecordRun:
        """Return the run that holds an entry, without replaying any of it; the last one is kept."""
        if not self._spare.first <= seq < self._spare_stop:
            self._spare = self._store.run(seq)
            self._spare_stop = self._spare.stop
        return self._spare

    def _find(self, seq: int) -> _Cursor | None:
        here = self._here
        if here is not None and here.first <= seq < here.stop:
            return here
        for cursor in self._cursors.values() if len(self._cursors) else ():
            if cursor.first <= seq < cursor.stop:
                self._here = self._cursors.get(cursor.first)
                return cursor
        return None

    def _cursor(self, seq: int) -> _Cursor:
        known = self._find(seq)
        if known is not None:
            return known
        run = self._spare_run(seq)
        # How to step back is noted from here on; a far entry is most often looked at alone.
        state = self._replayed(run, seq)
        size = sum(map(len, state.values()))
        self._fresh_bytes += size
        self._here = _Cursor(run, run.first, self._spare_stop, seq, state)
        self._cursors.put(run.first, self._here, size)
        return self._here

    def _rewind(self, cursor: _Cursor, seq: int) -> None:
        """Put a cursor on the nearest full record at or before an entry."""
        place = max(0, cursor.run.records.full_at_or_before(seq - cursor.run.first))
        cursor.seq = cursor.run.first + place
        cursor.state = self._replayed(cursor.run, cursor.seq)
        cursor.forget_steps()
        self._fresh_bytes += sum(map(len, cursor.state.values()))

    def _replayed(self, run: RecordRun, seq: int) -> EncodedState:
        try:
            return replay(run, seq, self._store.atom_name)
        except CorruptHistory as error:
            name = self._store.name
            raise error if name in str(error) else type(error)(f"{name}: {error}", seq=error.seq) from None

    def _advance(self, cursor: _Cursor, seq: int) -> None:
        """Replay records until a cursor stands on an entry, noting how to step back."""
        first, records, name = cursor.run.first, cursor.run.records, self._store.atom_name
        touched: set[str] = set()
        for at in range(cursor.seq + 1, seq + 1):
            place = at - first
            if records.codecs[place] not in _STEPS:
                cursor.state = apply_record(cursor.state, records[place], name, at)
                cursor.forget_steps()
                touched.update(cursor.state)
            else:
                undo: Undo = []
                try:
                    replay_delta(cursor.state, records.payloads[place], name, undo)
                except CorruptHistory as error:
                    # The half-changed state must not be built upon.
                    self._cursors.discard(first)
                    self._here = None
                    raise type(error)(f"{self._store.name}: entry {at}: {error}", seq=at) from None
                cursor.note(undo, self._max_bytes)
                touched.update([atom for atom, _ in undo])
            cursor.seq = at
        self._fresh_bytes += sum(len(cursor.state.get(atom, b"")) for atom in touched)


class Route(Struct, frozen=True):
    """A way along a line, from a state that is known to the one asked for.

    Attributes:
        start: position of the known state.
        target: position asked for.
        cost: sum of the costs of the deltas on the way, and of reading the start where it is stored whole.
        is_whole: whether the start is stored whole; otherwise it was rebuilt before.
    """

    start: int
    target: int
    cost: float
    is_whole: bool

    @property
    def is_forward(self) -> bool:
        """Whether deltas are applied as they are; otherwise they are inverted."""
        return self.start <= self.target

    @property
    def steps(self) -> int:
        """Number of deltas on the way."""
        return abs(self.target - self.start)

    def deltas(self) -> range:
        """Return the positions whose deltas are on the way, in the order these are applied."""
        if self.is_forward:
            return range(self.start + 1, self.target + 1)
        return range(self.start, self.target, -1)


class DeltaLine(ABC, Generic[StateT]):
    """A line whose deltas can be applied and inverted, so that any state that was rebuilt before may be started from.

    Attributes:
        taken: the way the last rebuild went; None before the first.
    """

    taken: Route | None = None

    @abstractmethod
    def look(self, cache: BoundedCache[Any, Any], at: int) -> tuple[bool, bool, float]:
        """Look at a position without using the cache.

        Returns:
            Whether its state is stored as a delta on the one before (not so where it is whole or there is none);
            whether the state was rebuilt before and is at hand; and the bytes of the delta, or of the whole state
            where reading that costs anything.
        """

    @abstractmethod
    def at_hand(self, cache: BoundedCache[Any, Any], at: int) -> StateT | None:
        """Return a state that was rebuilt before, or None; nothing is counted."""

    def may_be_at_hand(self, cache: BoundedCache[Any, Any], at: int) -> bool:
        """Whether any state on the way to a position may be at hand; False saves looking for one."""
        return True

    def may_be_ahead(self, cache: BoundedCache[Any, Any], at: int) -> bool:
        """Whether a state behind a position may be at hand; False saves looking there."""
        return True

    def can_invert(self, at: int) -> bool:
        """Whether the delta of a position can be inverted."""
        return True

    @abstractmethod
    def follow(self, route: Route, start: StateT | None) -> StateT:
        """Return the state that a route leads to; `start` is None where the route starts at a whole state."""

    @abstractmethod
    def size(self, at: int, state: StateT) -> int:
        """Return about how many bytes the state at a position takes in memory."""

    def route(self, cache: BoundedCache[Any, Any], at: int) -> Route:
        """Return the cheapest way to a position from the nearest known state before it or behind it.

        Both sides are searched in turn, the cheaper one first, so that a step either way looks at few positions.
        """
        if not self.may_be_at_hand(cache, at):
            return self.from_whole(cache, at)
        back: Route | None = None
        start, spent = at, 0.0
        ahead, saved, is_open = at, 0.0, self.may_be_ahead(cache, at)
        while True:
            forward: Route | None = None
            is_delta, is_at_hand, cost = self.look(cache, start)
            if is_at_hand:
                forward = Route(start, at, spent, is_whole=False)
            elif not is_delta:
                forward = Route(start, at, spent + cost, is_whole=True)
            else:
                spent += cost
                start -= 1
            # Going forward costs at least this much.
            least = spent if forward is None else forward.cost
            while is_open and saved < least:
                ahead += 1
                is_delta, is_at_hand, cost = self.look(cache, ahead)
                saved += cost
                is_open = is_delta and not is_at_hand
                if is_delta and is_at_hand and all(map(self.can_invert, range(at + 1, ahead + 1))):
                    back = Route(ahead, at, saved, is_whole=False)
            if back is not None and back.cost < least:
                return back
            if forward is not None:
                return forward

    def from_whole(self, cache: BoundedCache[Any, Any], at: int) -> Route:
        """Return the way to a position from the whole state before it, whatever is at hand."""
        start, spent = at, 0.0
        while True:
            is_delta, _, cost = self.look(cache, start)
            spent += cost
            if not is_delta:
                return Route(start, at, spent, is_whole=True)
            start -= 1

    def rebuild(self, cache: BoundedCache[Any, Any], at: int) -> tuple[StateT, int]:
        """See `StateLine`."""
        route = self.route(cache, at)
        start = None if route.is_whole else self.at_hand(cache, route.start)
        try:
            if start is None and not route.is_whole:
                # It left the cache meanwhile.
                route = self.from_whole(cache, at)
            state = self.follow(route, start)
        except UnspoolError:
            if route.is_whole:
                raise
            # A state that somebody put into the cache need not belong to this line: only a whole one is beyond doubt.
            route = self.from_whole(cache, at)
            state = self.follow(route, None)
        self.taken = route
        return state, self.size(at, state)


def cold_rebuild_us(store: Store, seq: int) -> float:
    """Return how long the state at an entry takes to rebuild with nothing held of any state, in microseconds.

    The better of two runs counts: what another program did to one of them is no cost of the history.

    Raises:
        EntryNotFound, CorruptHistory: as `RecordLine.rebuild`.
    """
    return min(_rebuilt_in_us(store, seq), _rebuilt_in_us(store, seq))


def _rebuilt_in_us(store: Store, seq: int) -> float:
    cold, records = SnapshotReconstructor(), RecordLine(store)
    started = time.perf_counter_ns()
    cold.state(records, seq)
    return (time.perf_counter_ns() - started) / 1000
