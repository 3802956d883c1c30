"""`Shipper`: a thread that brings what lies in a spool to its server, whatever becomes of server and network."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Final

from unspool.codec.records import Record, RecordCodec, encode_full
from unspool.errors import (
    ConfigError,
    CorruptHistory,
    HistoryLocked,
    NewerSchema,
    StorageFailed,
    UnspoolError,
)
from unspool.model.entries import ChangeKind, EntryKind
from unspool.model.values import Value
from unspool.store.postgres import SPOOL_BYTES
from unspool.store.postgres.connection import BadAddress, Target, load_driver
from unspool.store.postgres.session import MOST_ROWS, EntryRefused, HistoryDeleted, Session
from unspool.store.postgres.spool import NOTE, Spool, SpoolFile, put_aside
from unspool.store.protocol import Draft

OPEN_S: Final = 2.0
"""Seconds that opening waits for the server at most."""
_LOCKED_S: Final = 1.0
"""Seconds for which the lock of a recorder that has just died may still be held."""
_GATHER_S: Final = 0.02
"""How long to gather entries before they are shipped."""
_FIRST_PAUSE_S: Final = 0.1
_LAST_PAUSE_S: Final = 5.0
_LOOK_S: Final = 0.2
"""Seconds between two tellings of how far it is."""
_LAST_TRIES: Final = 3
"""Attempts to ship that may fail while closing."""
_LOST: Final = 1000
_NEWS: Final = 20
_REFUSALS: Final = 3
"""How often an entry may be refused before it is put aside."""
_FOR_GOOD: Final = (NewerSchema, BadAddress, HistoryDeleted, ConfigError)
"""What trying again does not help with."""


@dataclass(frozen=True, slots=True)
class ServerState:
    """What a server had when it was first reached.

    Attributes:
        history_id: what tells the history from all others.
        count: entries of the history.
        waiting: entries that others left in the spool, which go before all new ones.
        state: the state at its last entry, as wire forms by atom; None where it does not read.
    """

    history_id: str
    count: int
    waiting: int
    state: Mapping[str, bytes] | None


class Shipper:
    """Brings what lies in a spool to the server, from a thread, for as long as it takes.

    Attributes:
        trouble: why nothing can be shipped now; None while all goes well.
        news: messages for people, a line each.
        skipped: entries that never arrive: dropped, damaged or refused.
        shipped: entries that the server took.
        is_done: the server has everything, and the spool is empty.
    """

    def __init__(self, target: Target, spool: Spool, *, gathers: bool = True) -> None:
        """Prepare; `start` starts the thread.

        Args:
            target: the history.
            spool: what is shipped; held by this process.
            gathers: wait a moment for further entries before shipping; nobody waits for each of them.
        """
        self._target = target
        self._spool = spool
        self._gather_s = _GATHER_S if gathers else 0.0
        self._session: Session | None = None
        self._history = 0
        self._wake, self._closing, self._cut = threading.Event(), threading.Event(), threading.Event()
        self._changed = threading.Condition()
        self._tries: Counter[tuple[str, int]] = Counter()
        self._doubt_stop = 0
        self._marks: dict[str, int] = {}
        self._found: ServerState | None = None
        self._is_open = self._has_ended = False
        self._failures = 0
        self._told: set[type[UnspoolError]] = set()
        self._lost: deque[int] = deque(maxlen=_LOST)
        self._thread = threading.Thread(target=self._work, name="unspool-shipper", daemon=True)
        self.trouble: UnspoolError | None = None
        self.news: deque[str] = deque(maxlen=_NEWS)
        self.skipped = self.shipped = 0
        self.is_done = False

    def start(self) -> None:
        """Begin to ship."""
        self._thread.start()

    def wake(self) -> None:
        """Say that there is something to ship."""
        if not self._wake.is_set():
            self._wake.set()

    def wait_for_contact(self) -> ServerState | None:
        """Return what the server had when it was first reached; None when it does not answer within a short time.

        Raises:
            HistoryLocked: another recorder writes to the history.
            NewerSchema, UnreadableSource: trying again would not help.
        """
        begun = monotonic()
        with self._changed:
            # The lock of a recorder that has just died may still be held for a moment.
            self._changed.wait_for(
                lambda: self._found or not isinstance(self.trouble, HistoryLocked | None), _LOCKED_S
            )
            if isinstance(self.trouble, HistoryLocked):
                raise self.trouble
            self._changed.wait_for(lambda: self._found or self.trouble, OPEN_S - (monotonic() - begun))
            if self.trouble is not None and self._cannot_help():
                raise self.trouble
            self._is_open = True
            return self._found

    def _cannot_help(self) -> bool:
        return isinstance(self.trouble, _FOR_GOOD)

    def wait_for(self, place: int, seconds: float) -> bool:
        """Wait until the server has the entry at a place of the spool's own lane; return whether it has."""
        lane = self._spool.lane
        with self._changed:
            self._changed.wait_for(lambda: self._marks.get(lane, 0) > place or self._cannot_help(), seconds)
            return self._marks.get(lane, 0) > place and place not in self._lost

    def finish(self, seconds: float) -> bool:
        """Ship what is left, wait for that no longer than a time, and return whether the thread has ended.

        `is_done` tells then whether the server has everything.
        """
        self._closing.set()
        self._wake.set()
        with self._changed:
            return self._changed.wait_for(lambda: self._has_ended, seconds)

    def cut(self) -> None:
        """End the thread whatever it waits for."""
        self._closing.set()
        self._wake.set()
        self._cut.set()
        session = self._session
        if session is not None:
            session.cut()
            self._thread.join(_FIRST_PAUSE_S)

    def left(self) -> int:
        """Return how many entries the server does not have yet, as far as is known here."""
        marks = self._marks
        segments = (one for one in self._spool.segments() if not one.is_dropped)
        return sum(max(one.stop - max(one.first, marks.get(one.lane, 0)), 0) for one in segments)

    def _work(self) -> None:
        pause = _FIRST_PAUSE_S
        failed_closing = 0
        while not self._cut.is_set():
            was_closing = self._closing.is_set()
            self._wake.clear()
            if self._ship_or_fail():
                if was_closing:
                    self._complete()
                    break
                pause = _FIRST_PAUSE_S
                self._wake.wait()
                self._closing.wait(self._gather_s)
                continue
            if self._cannot_help():
                break
            # Many recorders must not come back to a server that has just started at the same moment.
            failed_closing += was_closing
            if failed_closing == _LAST_TRIES:
                # Whoever closes is not held up for a server that is not there.
                break
            waits = self._cut if was_closing else self._closing
            waits.wait(pause * random.uniform(0.5, 1.5))  # noqa: S311 - no secret
            pause = _FIRST_PAUSE_S if self._closing.is_set() else min(pause * 2, _LAST_PAUSE_S)
        session, self._session = self._session, None
        if session is not None:
            session.close()
        with self._changed:
            self._has_ended = True
            self._changed.notify_all()

    def _ship_or_fail(self) -> bool:
        """Ship until nothing is left; return whether nothing is."""
        with suppress(UnspoolError):
            # A file that cannot be made now is made when it is needed, and one that cannot be folded stays large.
            self._spool.prepare()
            if self.trouble is not None:
                self._spool.fold()
        try:
            self._ship_all()
        except EntryRefused as error:
            self._failed(error)
        except UnspoolError as error:
            self._drop_session()
            self._failed(error)
        except Exception as error:  # noqa: BLE001 - a thread that ends in silence would strand all entries
            self._drop_session()
            self._failed(StorageFailed(f"{self._target.shown}: shipping failed: {type(error).__name__}: {error}"))
        else:
            return not self._cut.is_set()
        return False

    def _drop_session(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            session.close()

    def _failed(self, error: UnspoolError) -> None:
        with self._changed:
            self._failures += 1
            self.trouble = error
            self._changed.notify_all()
        # A server that restarts is back by itself before anybody could read of it.
        if self._is_open and (self._failures > 1 or self._cannot_help()):
            self.report_trouble()

    def report_trouble(self) -> None:
        """Add to the news why entries wait, once for each kind of trouble."""
        error = self.trouble
        if error is not None and type(error) not in self._told:
            self._told.add(type(error))
            self.news.append(f"{error}. Entries wait in {self._spool.folder} meanwhile, and recording goes on")

    def _complete(self) -> None:
        """Forget what the server has: first here, and then there how far it got."""
        session, lane = self._session, self._spool.lane
        self._spool.give_up()
        if session is not None:
            with suppress(UnspoolError):
                # What stays there is a line that nobody will ask for.
                session.forget(lane)
        self.is_done = True

    def _ship_all(self) -> None:
        """Ship until nothing is left.

        Raises:
            UnspoolError: the server is gone, or refuses.
        """
        session = self._session
        if session is None:
            session = self._session = Session(self._target, self._history)
            self._history = session.history
            if self._found is None:
                self._look_around(session)
        while not self._cut.is_set():
            segment = self._first_unshipped(session)
            self._reached(session)
            if segment is None:
                return
            self._ship_from(session, segment)
            self._reached(session)

    def _look_around(self, session: Session) -> None:
        """Learn what a recorder wants to know of the history before its first entry."""
        stale = [one for one in self._spool.segments() if one.lane != self._spool.lane]
        stops: dict[str, int] = {}
        for segment in stale:
            stops[segment.lane] = max(segment.stop, stops.get(segment.lane, 0))
        # What was dropped of them is numbered too.
        waiting = sum(max(stop - session.mark(lane).next, 0) for lane, stop in stops.items())
        state = None if waiting else session.state(session.count - 1)
        with self._changed:
            self._found = ServerState(session.history_id, session.count, waiting, state)

    def _reached(self, session: Session) -> None:
        with self._changed:
            self._marks = {lane: mark.next for lane, mark in session.marks.items()}
            self.trouble, self._failures = None, 0
            self._changed.notify_all()

    def _first_unshipped(self, session: Session) -> SpoolFile | None:
        """Return the first segment that the server does not have all of, and remove those before it."""
        lanes: list[str] = []
        found = None
        for segment in self._spool.segments():
            if segment.lane not in lanes:
                lanes.append(segment.lane)
            if segment.stop > session.mark(segment.lane).next:
                found = segment
                break
        for lane in lanes:
            self._spool.remove_shipped(lane, session.mark(lane).next)
            if lane != self._spool.lane and not any(one.lane == lane for one in self._spool.segments()):
                session.forget(lane)
        return found

    def _ship_from(self, session: Session, segment: SpoolFile) -> None:
        lane, place = segment.lane, session.mark(segment.lane).next
        if segment.is_dropped:
            self._skip(session, segment, segment.stop, "the spool was full")
        elif place < segment.first:
            self._skip(session, segment, segment.first, "shipped once, and gone from the server since")
        elif (lane, place) in self._tries and place < segment.stop:
            self._ship_doubtful(session, segment, place)
        else:
            try:
                self.shipped += session.ship(segment, place)
            except EntryRefused:
                # One of them is to blame: from here on each is shipped alone.
                self._tries[lane, place] = 0
                self._doubt_stop = place + MOST_ROWS
            except CorruptHistory as error:
                self._skip_damaged(session, segment, error)

    def _ship_doubtful(self, session: Session, segment: SpoolFile, place: int) -> None:
        """Ship one entry of a batch that was refused; after some refusals it is put aside.

        Raises:
            EntryRefused: it was refused once more.
        """
        key = (segment.lane, place)
        try:
            self.shipped += session.ship_one(segment, place)
        except EntryRefused as error:
            self._tries[key] += 1
            if self._tries[key] < _REFUSALS:
                raise
            kept = self._put_aside(segment, place, error)
            self.news.append(f"{error}. It is kept in {kept}, and those after it are shipped")
            if segment.lane == self._spool.lane:
                self._lost.append(place)
            self._skip(session, segment, place + 1, f"the server refused it, {kept.name} keeps it")
        except CorruptHistory as error:
            self._skip_damaged(session, segment, error)
        else:
            if place + 1 < self._doubt_stop:
                # The next one may be to blame, and is shipped alone as well; behind the one that is, batches go on.
                self._tries[segment.lane, place + 1] = 0
        del self._tries[key]

    def _put_aside(self, segment: SpoolFile, place: int, error: EntryRefused) -> Path:
        row = segment.rows(place)[0]
        state = segment.state(place)
        names = list(state)
        numbers = {name: number for number, name in enumerate(names)}
        meta: dict[str, Value] = dict(row.extra.get("meta") or {})
        meta.pop(NOTE, None)
        meta["unspool.refused"] = str(error)
        is_note = row.record.codec.is_note
        whole = encode_full(state, numbers.__getitem__)
        draft = Draft(
            kind=EntryKind.NOTE if is_note else EntryKind.FULL,
            record=Record(RecordCodec.NOTE_FULL if is_note else RecordCodec.NONE, whole),
            changed=[] if is_note else [(number, ChangeKind.ADDED) for number in range(len(names))],
            timestamp_ns=row.time_ns,
            action=row.action,
            full_bytes=row.full_bytes,
            meta=meta,
            entry_id=row.extra.get("id") or "",
        )
        return self._spool.keep_refused(segment.lane, place, draft, names)

    def _skip_damaged(self, session: Session, segment: SpoolFile, error: CorruptHistory) -> None:
        """Go on behind a file that does not read any more; it is kept under another name."""
        if segment.is_dropped:
            return
        stop = segment.stop
        with suppress(UnspoolError):
            segment.close()
        self._skip(session, segment, stop, f"its file in the spool is damaged ({error})")
        with suppress(OSError):
            put_aside(segment.path)

    def _skip(self, session: Session, segment: SpoolFile, stop: int, why: str) -> None:
        self.skipped += session.skip(segment.lane, stop, why, time.time_ns())


@dataclass(frozen=True, slots=True)
class Shipment:
    """What became of a spool.

    Attributes:
        folder: where it is, or was.
        name: the history's address as people may see it.
        shipped: entries that the server took.
        skipped: entries that never arrive; the history keeps them as gaps.
        left: entries that still wait.
        news: messages for people, a line each.
    """

    folder: Path
    name: str
    shipped: int
    skipped: int
    left: int
    news: tuple[str, ...]


def ship_spool(
    folder: Path, target: Target, seconds: float, progress: Callable[[int, int], None] | None = None
) -> Shipment:
    """Ship what recorders that ended left in a spool.

    Args:
        folder: the spool.
        target: its history.
        seconds: how long to try; a server that cannot be reached is given up at once.
        progress: called with how many entries were shipped, and how many there were.

    Raises:
        HistoryLocked: a recorder of this history runs on this machine; it ships by itself.
        StorageFailed: the folder cannot be used.
        MissingExtra: psycopg is not installed.
    """
    load_driver()
    spool = Spool(folder, target, SPOOL_BYTES, "default")
    shipper = Shipper(target, spool)
    total, end = shipper.left(), monotonic() + seconds
    shipper.start()
    try:
        while not shipper.finish(min(_LOOK_S, max(end - monotonic(), 0.0))) and monotonic() < end:
            if progress is not None:
                progress(total - shipper.left(), total)
    finally:
        shipper.cut()
        left = 0 if shipper.is_done else shipper.left()
        spool.close()
    if left:
        shipper.report_trouble()
    return Shipment(folder, target.shown, shipper.shipped, shipper.skipped, left, tuple(shipper.news))
