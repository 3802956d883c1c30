"""Writing entries: how often at most, one at a time, and so that nobody ever waits for a call that cannot end.

A recorder records at most so many calls a second, or takes a share of the time; calls that are passed over are counted.

No code of the app runs while a turn is taken, yet signal handlers, destructors and other threads run whenever they
like, and may record themselves. A call within a turn of its own thread is put in line and written when that turn
ends. So is one that waits longer than a write can take: it may hold what the turn is waiting for.
"""

from __future__ import annotations

import re
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Mapping
from time import perf_counter
from typing import Final, Generic, TypeVar
from weakref import WeakSet

import msgspec

from unspool.codec.records import Record, note_record, replay
from unspool.codec.state_codec import DeltaStrategy
from unspool.codec.strategies import FullSnapshotStrategy
from unspool.errors import ConfigError, EntryNotFound, EntryNotKept, NotesNotKept, StorageFailed
from unspool.history.diff import fork_base
from unspool.model.entries import PASSED_OVER, ChangeKind
from unspool.model.values import Value
from unspool.recorder.calling import EntryDetails, Form, LastSurroundings
from unspool.recorder.capture import (
    AtomForms,
    Capture,
    Captured,
    CaptureResult,
    DeltaWriter,
    RecordedChain,
    changes_between,
    full_record,
    strategy_name,
)
from unspool.recorder.encoding import RefusedEntry, StateLayout, shown
from unspool.store.file import FileStore
from unspool.store.keeping import MayBegin, by_bound, first_of
from unspool.store.protocol import Draft, Forwards, Sink
from unspool.store.recordings import KeepsSettings

Work = TypeVar("Work")

_LINE: Final = 64
"""Entries that may stand in line; each holds its whole state."""
_PATIENCE: Final = 2.0
"""Seconds that a call waits for its turn before it is put in line instead."""


class _Turn:
    """Held by the call whose turn it is, so that the turn is over when the call is, however that ended."""

    __slots__ = ("__weakref__",)


class Turns(Generic[Work]):
    """Gives turns to calls."""

    def __init__(self, write: Callable[[Work, bool], int | None], failed: Callable[[Exception | None], None]) -> None:
        """Begin with nobody in line.

        Args:
            write: does one call's work, under the turn; also told whether it stood in line, so that nobody can do it
                once more.
            failed: told, after the turn, of each error of work that stood in line, and with None of work for which
                there was no room in it.
        """
        self._write = write
        self._failed = failed
        # It lets a thread in again, so that a signal handler never waits for the call that it interrupts.
        self._lock = threading.RLock()
        # Each thread's turns, as a signal handler may begin one while another waits for the lock, and whether it holds.
        self._own = threading.local()
        self._line: deque[Work] = deque()
        self._dropped = 0
        self._errors: list[Exception] = []
        self._afterwards: Callable[[], None] | None = None

    def take(self, work: Work) -> int | None:
        """Do a call's work, or put it in line.

        Returns:
            What `write` returned; None where it was put in line.
        """
        if self._is_within():
            self._put_in_line(work)
            return None
        turn = self._begin()
        if not self._lock.acquire(timeout=_PATIENCE):
            self._put_in_line(work)
            del turn
            self._serve_line()
            return None
        try:
            result = self._write(work, False)
        finally:
            try:
                self._write_line()
            finally:
                del turn
                self._lock.release()
        self._serve_line()
        return result

    def _begin(self) -> _Turn:
        turn = _Turn()
        try:
            turns = self._own.turns
        except AttributeError:
            turns = self._own.turns = WeakSet()
        turns.add(turn)
        return turn

    def _is_within(self) -> bool:
        """Whether a turn of this thread is under way.

        Ctrl-C may end a call between any two of its lines, also right before it gives the lock back. Then the lock is this
        thread's though no turn is, and is given back here: who comes next must not stand in line for ever.
        """
        if not self._has_lock():
            return False
        if getattr(self._own, "turns", ()):
            return True
        while not getattr(self._own, "is_held", False) and self._has_lock():
            self._lock.release()
        return False

    def _has_lock(self) -> bool:
        found: bool = self._lock._is_owned()  # type: ignore[attr-defined]
        return found

    def hold(self, seconds: float) -> bool:
        """Give nobody a turn until `go_on`, if the one at hand ends in time; return whether."""
        # Said before and taken back after: a signal handler in between must not give the lock back.
        self._own.is_held = True
        self._own.is_held = is_held = self._lock.acquire(timeout=seconds)
        return is_held

    def go_on(self) -> None:
        """Give turns again."""
        self._lock.release()
        self._own.is_held = False

    def alone(self, work: Callable[[], None]) -> None:
        """Do something else under a turn; where this thread has one already, when that ends."""
        if self._is_within():
            self._afterwards = work
            return
        turn = self._begin()
        with self._lock:
            try:
                self._write_line()
                work()
            finally:
                del turn
        self._tell()

    def _put_in_line(self, work: Work) -> None:
        if len(self._line) < _LINE:
            self._line.append(work)
        else:
            self._dropped += 1

    def _write_line(self) -> None:
        while self._line:
            try:
                self._write(self._line.popleft(), True)
            except Exception as error:  # noqa: BLE001 - told after the turn, where code of the app may run
                self._errors.append(error)
        afterwards, self._afterwards = self._afterwards, None
        if afterwards is not None:
            try:
                afterwards()
            except Exception as error:  # noqa: BLE001 - as above
                self._errors.append(error)

    def _serve_line(self) -> None:
        """Write what came in line when nobody looked any more."""
        while self._line:
            if self._is_within():
                return
            turn = self._begin()
            if not self._lock.acquire(blocking=False):
                break
            try:
                self._write_line()
            finally:
                del turn
                self._lock.release()
        self._tell()

    def _tell(self) -> None:
        while self._errors:
            self._failed(self._errors.pop(0))
        while self._dropped:
            self._dropped -= 1
            self._failed(None)


_AHEAD: Final = 2.0
"""Calls that may come at once under `max_hz`: a loop of that very rate comes a little early as often as late."""
_DEBT_S: Final = 0.25
"""Seconds that recording may be ahead of its share, so that a few calls in a row are not torn apart."""
_SHARE: Final = re.compile(r"\s*(\d+(?:\.\d+)?)\s*%\s*\Z")


def share_of(budget: str | float) -> float:
    """Return a budget, `"5%"` or `0.05`, as a share of the time.

    Raises:
        ConfigError: it is none.
    """
    match = _SHARE.match(budget) if isinstance(budget, str) else None
    share = float(match[1]) / 100 if match else budget
    if isinstance(share, str | bool) or not isinstance(share, int | float) or not 0 < share <= 1:
        told = budget if isinstance(budget, str) else shown(budget)
        raise ConfigError(f'budget is {told}; give the share of the time that recording may take, as in "5%"')
    return float(share)


class Pace:
    """Decides which calls are recorded, and counts the others.

    Attributes:
        passed: one item for each call passed over that no entry counts yet. A list, since adding to it and taking
            from its beginning lose nothing whatever other threads and signal handlers do meanwhile.
    """

    def __init__(
        self, max_hz: float | None, budget: str | float | None, clock: Callable[[], float] = perf_counter
    ) -> None:
        """Prepare.

        Args:
            max_hz: calls a second; None for no such bound.
            budget: see `share_of`; None for no such bound.
            clock: gives seconds.

        Raises:
            ConfigError: one of them means nothing.
        """
        if max_hz is not None and (isinstance(max_hz, bool | str) or not max_hz > 0):
            raise ConfigError(f"max_hz is {shown(max_hz)}; give the number of calls a second, above 0")
        self._max_hz = max_hz
        self._share = None if budget is None else share_of(budget)
        self._clock = clock
        self._at = self._paid_at = clock()
        self._tokens = _AHEAD
        self._debt_s = 0.0
        self._told = 0
        self._pending: dict[str, Value] = {}
        self.passed: list[None] = []

    @property
    def is_bounded(self) -> bool:
        """Whether there is any bound."""
        return self._max_hz is not None or self._share is not None

    @property
    def total(self) -> int:
        """Calls passed over so far."""
        return self._told + len(self.passed)

    @property
    def has_put_off(self) -> bool:
        """Whether atoms wait for the next entry."""
        return bool(self._pending)

    def pass_over(self) -> None:
        """Count a call that is not recorded."""
        self.passed.append(None)

    def admits(self) -> bool:
        """Whether a call that comes now is recorded; one that is not is counted."""
        if self._is_due():
            return True
        self.pass_over()
        return False

    def _is_due(self) -> bool:
        now = self._clock()
        if self._share is not None:
            self._debt_s = max(self._debt_s - (now - self._paid_at), 0.0)
            self._paid_at = now
            if self._debt_s > _DEBT_S:
                return False
        if self._max_hz is not None:
            self._tokens = min(self._tokens + (now - self._at) * self._max_hz, _AHEAD)
            self._at = now
            if self._tokens < 1:
                return False
            self._tokens -= 1
        return True

    def spend(self, call: Callable[[], int | None]) -> int | None:
        """Make a call that is recorded, and take its time off the budget."""
        if self._share is None:
            return call()
        began = self._clock()
        try:
            return call()
        finally:
            self._debt_s += (self._clock() - began) / self._share

    def told(self, count: int) -> None:
        """Take note that an entry counts so many calls passed over."""
        del self.passed[:count]
        self._told += count

    def put_off(self, atoms: Mapping[str, Value]) -> None:
        """Keep atoms that an `update` which was passed over named: the next entry takes them as they are then."""
        self._pending = {**self._pending, **atoms}

    def taken(self) -> dict[str, Value]:
        """Return the atoms put off, and forget them."""
        pending, self._pending = self._pending, {}
        return pending


_TINY: Final = 1024


class OutOfDate(Exception):
    """A newer state than this one was written meanwhile."""


class StoreRefused(Exception):
    """The store failed; its error is the cause.

    Attributes:
        lost: how many entries are not stored.
    """

    def __init__(self, lost: int = 1) -> None:
        super().__init__(lost)
        self.lost = lost


class EntryWriter:
    """Writes the entries of one recording."""

    def __init__(
        self,
        store: Sink,
        capture: Capture,
        strategy: FullSnapshotStrategy,
        codec: DeltaStrategy,
        *,
        identity: Mapping[str, str] | None,
        skip_unchanged: bool,
        named: Callable[[Form], dict[str, Value]] | None = None,
        pace: Pace | None = None,
    ) -> None:
        """Go on where the store ends: its last state is what the first new one is compared with.

        Args:
            store: where entries go.
            capture: remembers the last state.
            strategy: when a full snapshot is stored.
            codec: how entries are written.
            identity: keys of lists to keep in the store; None leaves what it has.
            skip_unchanged: write nothing for a state that equals the one before.
            named: gives surroundings by name, where they are recorded.
            pace: counts the calls that were passed over, which the next entry with a state holds.

        Raises:
            UnspoolError: the store cannot be read or written.
        """
        self.store = store
        self._forwards = store if isinstance(store, Forwards) else None
        self._capture = capture
        self._strategy = strategy
        self._codec = codec
        self._deltas = DeltaWriter(codec, store.intern, takes_frames=store.takes_frames)
        self._skip_unchanged = skip_unchanged
        self._chain = RecordedChain()
        self._told = LastSurroundings(named)
        self._pace = pace or Pace(None, None)
        self._newest = -1
        self._batches = 0
        self._followed: int | None = None
        if isinstance(store, KeepsSettings):
            store.note_recording(strategy_name(strategy), codec.value)
            if identity is not None:
                store.note_identity(identity)
        self._catch_up()

    def _catch_up(self) -> None:
        """Compare the next state with the one that it follows; the next entry is full all the same."""
        if isinstance(self.store, FileStore | Forwards):
            self.store.settle()
        seq = self.followed
        self._build_on(replay(self.store.run(seq), seq, self.store.atom_name) if seq >= first_of(self.store) else {})

    def _build_on(self, state: Mapping[str, bytes]) -> None:
        self._capture.keep(CaptureResult([], StateLayout.of(state)))
        self._chain = RecordedChain()
        self._told.keep(None, None)
        self._is_settled = True

    @property
    def followed(self) -> int:
        """The entry that the next one follows, unless it says another itself; -1 before the first one."""
        return len(self.store) - 1 if self._followed is None else self._followed

    def follow(self, seq: int) -> None:
        """Have the next entry follow another one than the last: what it does not say is as it was there.

        States that were captured before are out of date.

        Raises:
            UnknownParent: there is no such entry.
            CorruptHistory: it cannot be read.
        """
        state = self.state_of(seq)
        self._followed = None if seq == len(self.store) - 1 else seq
        self._build_on(state)
        self._newest = self._capture.ticket()

    def write(self, captured: Captured, facts: EntryDetails, *, is_last_attempt: bool = True) -> int | None:
        """Write one entry.

        Returns:
            Its number, or None where an unchanged state is not wanted.

        Raises:
            OutOfDate: a state captured later was written already; never at the last attempt.
            RefusedEntry: it cannot be written; the next one can.
            StoreRefused: the store failed.
        """
        if captured.ticket < self._newest and not is_last_attempt:
            raise OutOfDate
        if not self._is_settled:
            self._catch_up()
        is_built_upon = facts.parent_seq is None
        if is_built_upon and self._followed is not None:
            facts = msgspec.structs.replace(facts, parent_seq=self._followed)
        result = self._capture.compare(captured)
        last, first = len(self.store) - 1, first_of(self.store)
        changes = result.changes
        forks = facts.parent_seq is not None and facts.parent_seq != last
        if 0 <= last < first:
            # What the first entry that is kept of a history changed is not known to a copy of it.
            changes = []
        elif forks and not is_built_upon and facts.parent_seq is not None:
            changes = self._changes_since(facts.parent_seq, facts.part, result)
        # What goes back to the very state of an earlier entry changes that of the last one.
        is_unchanged = not changes and not result.changes
        if (self._skip_unchanged or facts.only_changes) and is_unchanged and last >= 0 and not facts.full:
            return None
        moment = time.time_ns() if facts.timestamp_ns is None else facts.timestamp_ns
        is_full = facts.full or (forks and facts.part is None) or last + 1 == first or self._begins_anew
        record = self._record(result, moment, is_full)
        seq = self._append(result, record, changes, moment, facts)
        self._newest = max(self._newest, captured.ticket)
        return seq

    def begin_batch(self) -> None:
        """Have what is written stored together with what is written until `end_batch`, where the store can do that."""
        if isinstance(self.store, FileStore):
            self.store.begin_batch()
            self._batches += 1

    def end_batch(self) -> None:
        """Store what was written since `begin_batch`; batches may stand in each other.

        Raises:
            StoreRefused: the store failed: what was not stored yet is lost, and nothing is built upon it.
        """
        if isinstance(self.store, FileStore) and self._batches:
            self._batches -= 1
            self._store_together(self.store.end_batch)

    def store_batch(self) -> None:
        """Store what was written since `begin_batch`, and go on.

        Raises:
            StoreRefused: see `end_batch`.
        """
        if isinstance(self.store, FileStore) and self._batches:
            self._store_together(self.store.store_batch)

    def _store_together(self, store: Callable[[], None]) -> None:
        count = len(self.store)
        try:
            store()
        except StorageFailed as error:
            lost, was_settled = count - len(self.store), self._is_settled
            self._is_settled = False
            if lost or was_settled:
                raise StoreRefused(lost) from error
            # The call that met the refusal has told of it.

    def note(self, facts: EntryDetails) -> int:
        """Write a note: an entry whose state is that of the one before it, and which no chain is longer for.

        Returns:
            Its number.

        Raises:
            NotesNotKept: the store has no place for notes.
            StoreRefused: the store failed.
        """
        if not self._is_settled:
            self._catch_up()
        moment = time.time_ns() if facts.timestamp_ns is None else facts.timestamp_ns
        base = self._capture.base
        if self._followed is not None:
            facts = msgspec.structs.replace(facts, parent_seq=self._followed)
        is_first = len(self.store) == first_of(self.store)
        has_state = is_first or self._begins_anew or self._followed is not None
        record = note_record(base.to_dict() if has_state else None, self.store.intern)
        return self._store(record, [], moment, facts, base.size, lambda: None)

    def report_passed(self) -> None:
        """Write a note of the calls that were passed over since the last entry, if there are any: nothing else comes.

        Raises:
            NotesNotKept, StoreRefused: see `note`.
        """
        count = len(self._pace.passed)
        if count:
            calls = "1 call was" if count == 1 else f"{count:,} calls were"
            self.note(EntryDetails(f"{calls} passed over after this state", meta={PASSED_OVER: count}))
            self._pace.told(count)

    def _append(
        self, result: CaptureResult, record: Record, changes: list[AtomForms], moment: int, facts: EntryDetails
    ) -> int:
        size = result.base.size

        def build_on() -> None:
            self._capture.keep(result)
            self._chain.add(record, moment, size)

        return self._store(record, changes, moment, facts, size, build_on)

    def _store(
        self,
        record: Record,
        changes: list[AtomForms],
        moment: int,
        facts: EntryDetails,
        size: int,
        build_on: Callable[[], None],
    ) -> int:
        meta = facts.meta if facts.surroundings is None else self._told.added_to(facts.meta, facts.surroundings)
        passed = 0 if record.codec.is_note else len(self._pace.passed)
        if passed:
            meta = {**(meta or {}), PASSED_OVER: passed}
        draft = Draft(
            kind=record.codec.kind,
            record=record,
            changed=[(self.store.intern(change.atom), _kind(change)) for change in changes],
            timestamp_ns=moment,
            action=facts.action,
            full_bytes=size,
            meta=meta,
            entry_id=facts.entry_id,
            parent_seq=facts.parent_seq,
            part=facts.part if facts.parent_seq not in (None, len(self.store) - 1) else None,
        )
        count = len(self.store)
        # Ctrl-C may end this anywhere; what was stored is then read back before more is built upon it.
        self._is_settled = False
        try:
            seq = self.store.append(draft)
        except NotesNotKept:
            self._is_settled = True
            raise
        except Exception as error:  # a store may be of the app's own and raise anything; the cause is kept
            # Of a batch, what this was built upon is lost too.
            self._is_settled = not self._batches
            raise StoreRefused(max(count - len(self.store), 0) + 1) from error
        # Only what was stored may be built upon: after a failed write the next entry still fits its base.
        build_on()
        self._followed = None
        if passed:
            self._pace.told(passed)
        if self._told.is_on:
            self._told.keep(facts.surroundings, meta)
        self._is_settled = True
        return seq

    def _record(self, result: CaptureResult, moment: int, full: bool) -> Record:
        if full or not self._chain.begun:
            return full_record(self._codec, result.base, self.store.intern)
        record = self._deltas.record(self._capture.base, result)
        if record.codec.is_full:
            return record
        if self._is_pointless(record, result) or self._strategy.wants_full(
            self._chain.state(record, moment, len(result.changes))
        ):
            return full_record(self._codec, result.base, self.store.intern)
        return record

    def _is_pointless(self, record: Record, result: CaptureResult) -> bool:
        """Whether a delta would be no smaller than its state and tell no more either.

        A tiny state of which only a part changed stays a delta: its few bytes show the change.
        """
        size = result.base.size
        if self._codec is not DeltaStrategy.AUTO or len(record.payload) < size:
            return False
        return size > _TINY or len(result.changes) >= len(result.base)

    @property
    def _begins_anew(self) -> bool:
        """Whether the store builds nothing more on what it has."""
        return self._forwards is not None and self._forwards.begins_anew

    def _changes_since(self, parent: int, part: Collection[str] | None, result: CaptureResult) -> list[AtomForms]:
        """Return the changes since an earlier entry; where only a server has that, it is worked out there later."""
        if self._forwards is not None and 0 <= parent < len(self.store) and not self._forwards.holds(parent):
            return result.changes
        origin = self.state_of(parent)
        if part is not None:
            origin = fork_base(self._capture.base.to_dict(), origin, part)
        return changes_between(origin, result.base.to_dict())

    def state_of(self, seq: int) -> dict[str, bytes]:
        """Return the state at an entry, as wire forms by atom.

        Raises:
            UnknownParent: there is no such entry.
            CorruptHistory: it cannot be read.
        """
        first = first_of(self.store)
        if not first <= seq < len(self.store):
            dropped = (
                f", those before were dropped by {by_bound(self.store.bound)}"
                if isinstance(self.store, MayBegin) and first
                else ""
            )
            raise UnknownParent(
                f"there is no entry {seq}: {self.store.name} has entries {first} to {len(self.store) - 1}{dropped}"
            )
        try:
            return replay(self.store.run(seq), seq, self.store.atom_name)
        except EntryNotKept as error:
            # It was dropped since the call came.
            raise UnknownParent(f"entry {seq}: {error}") from None


class UnknownParent(RefusedEntry, EntryNotFound):
    """The entry that a state is said to follow is not there."""


def _kind(change: AtomForms) -> ChangeKind:
    if change.old is None:
        return ChangeKind.ADDED
    return ChangeKind.DELETED if change.new is None else ChangeKind.MODIFIED
