"""Rebuilding states from a store: one decoded run at a time, stepping either way, a bounded cache."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import Final

from unspool.codec.records import PackedRecords, RecordCodec, replay_delta
from unspool.codec.replay import apply_record, replay, replay_atom, stands_apart
from unspool.errors import CorruptHistory
from unspool.store.protocol import RecordRun, Store

_RUNS_KEPT: Final = 6
_TIMES_KEPT: Final = 512
_DICT_BYTES: Final = 100
"""What an atom takes in a state's dict, its bytes aside."""

EncodedState = dict[str, bytes]
"""A state as wire forms by atom."""


@dataclass(frozen=True, slots=True)
class CacheStats:
    """How the rebuild cache has served.

    Attributes:
        size: states held.
        max_size: states it may hold.
        hits: rebuilds answered from it.
        misses: rebuilds that had to replay.
        evictions: states dropped for room.
    """

    size: int
    max_size: int
    hits: int
    misses: int
    evictions: int


Undo = list[tuple[str, bytes | None]]
"""What one step back puts in place of what is there: atoms with their values, None for those that were not there."""


@dataclass(slots=True)
class _Cursor:
    """The last rebuilt place in a run, and how to step back from it.

    Attributes:
        run: the run.
        seq: the entry.
        state: the state there.
        size: bytes of that state, as of when the run was begun with.
        undo: how to step back, the last step last; as many steps as there is room for.
        undo_bytes: bytes of the values in them.
    """

    run: RecordRun
    seq: int
    state: EncodedState
    size: int
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


class Rebuilder:
    """Rebuilds states of one store. Safe to use from several threads."""

    def __init__(self, store: Store, *, max_states: int = 64, max_bytes: int = 64 << 20) -> None:
        """Make an empty cache over a store.

        Args:
            store: where the records are.
            max_states: states kept ready.
            max_bytes: bytes the kept states may take in all, atoms shared with a neighbour counted once, and the steps
                back from the last one of a run.
        """
        self._store = store
        self._max_states = max_states
        self._max_bytes = max_bytes
        self._lock = threading.RLock()
        self._states: OrderedDict[int, EncodedState] = OrderedDict()
        self._sizes: dict[int, int] = {}
        self._bytes = 0
        self._fresh_bytes = 0
        self._cursors: OrderedDict[int, _Cursor] = OrderedDict()
        self._spare = RecordRun(0, PackedRecords((), ()))
        self._hits = self._misses = self._evictions = 0
        self._times_ns: list[int] = []

    def state(self, seq: int) -> EncodedState:
        """Return the state at an entry, as wire forms by atom; shared with others, not to be changed.

        Raises:
            EntryNotFound: there is no such entry.
            CorruptHistory: it cannot be rebuilt; names the entry that is damaged.
        """
        with self._lock:
            known = self._states.get(seq)
            if known is not None:
                self._hits += 1
                self._states.move_to_end(seq)
                return known
            self._misses += 1
            started = time.perf_counter_ns()
            state = self._rebuild(seq)
            self._note_time(time.perf_counter_ns() - started)
            self._keep(seq, state)
            return state

    def atom(self, seq: int, atom: str) -> bytes | None:
        """Return one atom's wire form at an entry, or None where the state has no such atom.

        A far entry costs no more than this atom's own changes: nothing else of the state is rebuilt or kept.

        Raises:
            EntryNotFound, CorruptHistory: as `state`.
        """
        with self._lock:
            if seq in self._states:
                return self.state(seq).get(atom)
            cursor = self._find(seq)
            if cursor is not None and cursor.seq == seq:
                return cursor.state.get(atom)
            run = cursor.run if cursor is not None else self._spare_run(seq)
            if not stands_apart(run, seq):
                return self.state(seq).get(atom)
            number = self._store.atom_number(atom)
            try:
                return None if number is None else replay_atom(run, seq, number, atom)
            except CorruptHistory as error:
                raise type(error)(f"{self._store.name}: {error}", seq=error.seq) from None

    def _spare_run(self, seq: int) -> RecordRun:
        """Return the run that holds an entry, without replaying any of it; the last one is kept."""
        if not self._spare.first <= seq < self._spare.stop:
            self._spare = self._store.run(seq)
        return self._spare

    def _rebuild(self, seq: int) -> EncodedState:
        self._fresh_bytes = 0
        cursor = self._cursor(seq)
        while cursor.seq > seq and cursor.undo:
            # Nobody else may hold these values any more.
            self._fresh_bytes += cursor.step_back()
        if cursor.seq > seq:
            self._rewind(cursor, seq)
        if cursor.seq < seq:
            self._advance(cursor, seq)
        return cursor.state.copy()

    def _find(self, seq: int) -> _Cursor | None:
        for first, cursor in self._cursors.items():
            if first <= seq < cursor.run.stop:
                self._cursors.move_to_end(first)
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
        cursor = _Cursor(run, seq, state, size)
        self._fresh_bytes += size
        self._cursors[run.first] = cursor
        self._cursors.move_to_end(run.first)
        held = sum([one.size for one in self._cursors.values()])
        while len(self._cursors) > 1 and (len(self._cursors) > _RUNS_KEPT or held > self._max_bytes):
            held -= self._cursors.popitem(last=False)[1].size
        return cursor

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
            if records.codecs[place] not in (RecordCodec.DICT, RecordCodec.NOTE):
                cursor.state = apply_record(cursor.state, records[place], name, at)
                cursor.forget_steps()
                touched.update(cursor.state)
            else:
                undo: Undo = []
                try:
                    replay_delta(cursor.state, records.payloads[place], name, undo)
                except CorruptHistory as error:
                    # The half-changed state must not be built upon.
                    self._cursors.pop(first, None)
                    raise type(error)(f"{self._store.name}: entry {at}: {error}", seq=at) from None
                cursor.note(undo, self._max_bytes)
                touched.update([atom for atom, _ in undo])
            cursor.seq = at
        self._fresh_bytes += sum(len(cursor.state.get(atom, b"")) for atom in touched)

    def _keep(self, seq: int, state: EncodedState) -> None:
        # A step shares all atoms but the changed ones with its neighbour; only those are new bytes.
        size = _DICT_BYTES * len(state) + self._fresh_bytes
        self._states[seq] = state
        self._sizes[seq] = size
        self._bytes += size
        while self._states and (len(self._states) > self._max_states or self._bytes > self._max_bytes):
            dropped, _ = self._states.popitem(last=False)
            self._bytes -= self._sizes.pop(dropped)
            self._evictions += 1

    def _note_time(self, elapsed_ns: int) -> None:
        self._times_ns.append(elapsed_ns)
        if len(self._times_ns) > _TIMES_KEPT:
            del self._times_ns[: _TIMES_KEPT // 2]

    def cache_stats(self) -> CacheStats:
        """Return how the cache has served so far; waits for no rebuild, however long one takes."""
        return CacheStats(len(self._states), self._max_states, self._hits, self._misses, self._evictions)

    def rebuild_times_us(self) -> list[float]:
        """Return the times of the last rebuilds that were no cache hits, in microseconds; see `cache_stats`."""
        return [elapsed / 1000 for elapsed in self._times_ns.copy()]
