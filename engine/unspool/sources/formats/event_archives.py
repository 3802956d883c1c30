"""The events of one space or of many as entries: each event with its data, and the state its space is in after it.

With one space its state is the state. With several the state is that of all of them, and atoms are named `space atom`.
Source files that are watched get such events too: each save becomes one in an event log.
"""

from __future__ import annotations

import heapq
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Final

from unspool.errors import EventLogError, UnreadableSource
from unspool.events.appending import find_space, rows_after
from unspool.events.archive import MAGIC, unpack_archive
from unspool.events.database import APPLICATION_ID, TABLES
from unspool.events.diff_storage import record_file
from unspool.events.log import EventLog
from unspool.events.records import BrokenLink, Event, EventType, Head, InvalidEvent
from unspool.events.replay import SOURCE_KEY, SourceState
from unspool.events.rows import GAP, broken_link, event_of, moment
from unspool.events.source_states import (
    EventMetadata,
    ForkBase,
    base_in_archive,
    base_in_log,
    event_metadata,
    next_source,
    shown_state,
)
from unspool.history.verdict import ChainFault, Progress
from unspool.model.limits import Cancelled
from unspool.model.values import State, Value
from unspool.sources.bytestream import CutShort, read_whole
from unspool.sources.detection import Choice, Probe, SourceShape, several
from unspool.sources.entries import TIME_FROM_FILE, Findings, Reader, SeqOf, SourceEntry, to_ns
from unspool.sources.sqlite_files import (
    BUSY_S,
    ForeignDatabase,
    columns_of,
    report_log,
    report_other_tables,
    side_files,
)
from unspool.sources.watch import FileWatcher

_NAMED: Final = 5
"""Spaces that a message names; the rest are counted."""
_AS_THE_ORIGINAL: Final = (
    "its hash fits only a list that was turned into an object, as the original did; it is shown that way"
)


def place_of(path: Path, event: Event) -> str:
    """Say where an event is, for messages."""
    return f"{path}: event {event.sequence_number} of space {event.space_id!r}"


def chosen_spaces(path: Path, spaces: Iterable[str], chosen: str | None) -> tuple[str, ...]:
    """Return the spaces to tell: the one that was chosen, or all.

    Raises:
        UnreadableSource: there is no such space; the message names those there are.
    """
    names = tuple(spaces)
    if chosen is None:
        return names
    if chosen in names:
        return (chosen,)
    listed = ", ".join(map(repr, names[:_NAMED])) or "none"
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    raise UnreadableSource(f"{path}: no space {chosen!r}; it has {listed}{more}")


def in_time_order(chains: Iterable[Iterable[Event]]) -> Iterator[Event]:
    """Merge spaces by the time of their events.

    Each space keeps the order of its chain: an event that claims to be older than the one before it follows it at once.
    """

    def timed(chain: Iterable[Event], number: int) -> Iterator[tuple[bytes, int, Event]]:
        latest = b""
        for event in chain:
            # An event without any time belongs where its chain has it.
            with suppress(ValueError):
                latest = max(latest, moment(event.timestamp))
            yield latest, number, event

    streams = [timed(chain, number) for number, chain in enumerate(chains)]
    for _, _, event in heapq.merge(*streams, key=lambda item: item[:2]):
        yield event


class SpaceTeller:
    """Turns events into entries, one after the other."""

    def __init__(
        self, path: Path, findings: Findings, fork_base: ForkBase, mtime_ns: Callable[[], int], *, is_single: bool
    ) -> None:
        """Begin with nothing told.

        Args:
            path: the source, for messages.
            findings: where problems go.
            fork_base: finds the source that a fork starts from.
            mtime_ns: the time for events whose own time is none that can be kept.
            is_single: all events are of one space.
        """
        self._path = path
        self._findings = findings
        self._fork_base = fork_base
        self._mtime_ns = mtime_ns
        self._is_single = is_single
        self._sources: dict[str, SourceState | None] = {}
        self._atoms: dict[str, list[str]] = {}
        self._state: State = {}

    def become_many(self) -> None:
        """More spaces appeared: from here on atoms carry their space's name."""
        if not self._is_single:
            return
        self._is_single = False
        for space, names in self._atoms.items():
            shown = {name: self._state.pop(name) for name in names}
            self._show(space, shown)

    def entry(self, event: Event) -> SourceEntry:
        """Return the entry of an event; a diff that does not fit leaves its space as it was, and is reported."""
        before = self._sources.get(event.space_id)
        source = before
        try:
            source = next_source(before, event, self._fork_base)
        except EventLogError as error:
            self._findings.loss(place_of(self._path, event), f"{error}; the source is shown as it was before")
        if source is not None and source.damaged and (before is None or not before.damaged):
            self._findings.notice(place_of(self._path, event), _AS_THE_ORIGINAL)
        self._sources[event.space_id] = source
        self._show(event.space_id, shown_state(event, source))
        facts = event_metadata(event, source)
        timestamp_ns = to_ns(event.timestamp)
        meta = _meta(event, facts, has_source=source is not None)
        if timestamp_ns is None:
            meta.update(TIME_FROM_FILE)
        at = self._mtime_ns() if timestamp_ns is None else timestamp_ns
        return SourceEntry(dict(self._state), at, facts.label, meta, event.id)

    def _show(self, space: str, shown: State) -> None:
        """Put a space's state in the place of the one it had."""
        if self._is_single:
            self._atoms = {space: list(shown)}
            self._state = dict(shown)
            return
        for name in self._atoms.get(space, ()):
            self._state.pop(name, None)
        names = self._atoms[space] = []
        for name, value in shown.items():
            full = f"{space} {name}"
            # "a" with "b c" and "a b" with "c" would be one atom.
            while full in self._state:
                full += "'"
            names.append(full)
            self._state[full] = value


def _meta(event: Event, facts: EventMetadata, *, has_source: bool) -> dict[str, Value]:
    meta: dict[str, Value] = {
        "space": facts.space_id,
        "sequence": facts.sequence_number,
        "type": facts.type.value,
        "hash": facts.hash,
    }
    if facts.version != 1:
        meta["version"] = facts.version
    if facts.damaged:
        meta["damaged"] = True
    if has_source:
        # Without a source the payload is the state; the source of a genesis is the state too.
        meta["payload"] = {key: value for key, value in event.payload.items() if key != SOURCE_KEY}
    return meta


PlaceOf = Callable[[str, int], str]
"""Returns where an event is, given its space and number."""
SeqAt = Callable[[str, int], int | None]
"""Gives the entry of the first event of a space from a number on that made one."""
_BEGINNINGS = (EventType.SPACE_CREATED, EventType.SPACE_FORKED)


def broken_links(
    log: EventLog, spaces: Iterable[str], place_of: PlaceOf, seq_at: SeqAt, total: int, cancelled: Cancelled
) -> Iterator[ChainFault]:
    """Verify the chain of each space as `unspool events verify` does, and yield the first break of each.

    Args:
        log: the log.
        spaces: the spaces to verify.
        place_of: says where an event is.
        seq_at: gives the entry of the first readable event of a space from a number on; None behind the last.
        total: entries that were read.
        cancelled: called to find out whether to stop.
    """
    for space_id in spaces:
        if cancelled():
            return
        link = log.verify_integrity(space_id).first_broken_link
        if link is None:
            continue
        first = seq_at(space_id, link.sequence_number)
        place = place_of(space_id, link.sequence_number)
        is_unreadable = link.reason.startswith("it cannot be read")
        if is_unreadable or _is_gap(link):
            code = "malformed-record" if is_unreadable else "missing-entries"
            yield ChainFault(code, place, _message_of(link), total if first is None else first, is_lost=True)
            if first is not None:
                text = "something before them in their chain is lost, so none of these states is certain"
                yield ChainFault("severed-base", place, text, first, total - 1)
        else:
            last = None if first is None else total - 1
            text = f"{link.reason}; it and what follows are not certain"
            yield ChainFault("hash-chain-broken", place, text, first, last)


def _is_gap(link: BrokenLink) -> bool:
    expected, actual = link.expected or "", link.actual or ""
    if link.reason.startswith(GAP):
        return True
    # Numbers are reported as numbers, hashes as 64 digits.
    return expected.isdigit() and actual.isdigit() and len(expected) < 64


def _message_of(link: BrokenLink) -> str:
    if not _is_gap(link):
        return link.reason
    if link.reason.startswith(GAP):
        # The first event of a space follows none.
        return (
            f"the genesis of the space is missing{link.reason.removeprefix(GAP)}"
            if link.expected is None
            else link.reason
        )
    return f"{link.reason} (expected number {link.expected}, found {link.actual})"


def misfits(
    events: Iterable[Event], fork_base: ForkBase, place_of: PlaceOf, seq_of: SeqOf, total: int, cancelled: Cancelled
) -> Iterator[ChainFault]:
    """Replay the events of one space and yield diffs that do not apply, and a genesis that is not there."""
    source: SourceState | None = None
    is_first, is_severed = True, False
    for event in events:
        if cancelled():
            return
        place, first = place_of(event.space_id, event.sequence_number), seq_of(event.id)
        if is_first and event.type is EventType.SPACE_EVOLVED and not event.payload.get("source"):
            is_severed = True
            text = "the space has no genesis: what its diffs change is not in the log"
            yield ChainFault("severed-base", place, text, first, total - 1)
        is_first = False
        try:
            before, source = source, next_source(source, event, fork_base)
        except EventLogError as error:
            text = f"{error}; the source is shown as it was before, up to the end"
            yield ChainFault("malformed-record", place, text, first, total - 1)
            continue
        is_unknown_fork = event.type is EventType.SPACE_FORKED and before is None and source is None
        if is_unknown_fork and not is_severed and "source" not in event.payload:
            is_severed = True
            text = "the space it was forked from, or the moment of the fork, is not in the log"
            yield ChainFault("fork-without-parent", place, text, first, total - 1)


_CHUNK: Final = 64
"""Events read at once: with many spaces one chunk of each is held while they are merged by time."""
_SEQUENCE: Final = 1
"""The column of the view `chain` that numbers events."""


@dataclass(slots=True)
class _Chain:
    """How far a space has been read."""

    number: int = 0
    last: Event | None = None
    is_broken: bool = False


def _own_tables() -> dict[str, set[str]]:
    """Return the tables of an event log, each with its columns."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(TABLES)
        return columns_of(connection)


class EventLogReader:
    """Reads the events of a log's database, and later those that were written since."""

    def __init__(self, path: Path, chosen: str | None) -> None:
        """Open the log.

        Raises:
            UnreadableSource: it cannot be opened, or a space was chosen that there is not.
        """
        self.findings = Findings()
        self.watch_paths = side_files(path)
        report_log(path, self.findings)
        self._path = path
        self._chosen = chosen
        self._chains: dict[str, _Chain] = {}
        self._version: object = None
        self._done = 0
        self._is_finished = False
        try:
            self._log = EventLog(path, read_only=True, timeout=BUSY_S)
        except EventLogError as error:
            raise UnreadableSource(str(error)) from None
        try:
            is_single = len(self._wanted()) < 2
            with self._log.database.reading() as connection:
                report_other_tables(connection, path, columns_of(connection), _own_tables(), self.findings)
        except EventLogError as error:
            self._log.close()
            raise UnreadableSource(str(error)) from None
        except UnreadableSource:
            self._log.close()
            raise
        self._teller = SpaceTeller(
            path,
            self.findings,
            lambda fork: base_in_log(self._log, fork),
            lambda: path.stat().st_mtime_ns,
            is_single=is_single,
        )

    def _wanted(self) -> tuple[str, ...]:
        return chosen_spaces(self._path, self._log.spaces(), self._chosen)

    def read(self) -> Iterator[SourceEntry]:
        """Yield an entry for each event since the last call."""
        try:
            version = self._log.database.version()
            if version == self._version:
                return
            self._is_finished = False
            wanted = self._wanted()
            heads = [head for space_id in wanted if (head := self._log.head(space_id)) is not None]
            if len(wanted) > 1:
                self._teller.become_many()
            for event in in_time_order([self._events(space_id) for space_id in wanted]):
                self._done += 1
                yield self._teller.entry(event)
            for head in heads:
                self._check_end(head)
            self._version = version
        except EventLogError as error:
            self.findings.loss(str(self._path), f"{error}; reading stopped there")
        self._is_finished = True

    def _events(self, space_id: str) -> Iterator[Event]:
        """Yield a space's events that are new; a damaged one costs itself and nothing else."""
        space = find_space(self._log.database, space_id)
        if space is None:
            return
        chain = self._chains.setdefault(space_id, _Chain())
        while rows := rows_after(self._log.database, space.space, chain.number, _CHUNK):
            for row in rows:
                chain.number = row[_SEQUENCE]
                event = self._event(row, space_id)
                if event is not None:
                    self._check_link(event, chain)
                    chain.last = event
                    yield event

    def _event(self, row: tuple[Any, ...], space_id: str) -> Event | None:
        try:
            return event_of(row, self._log.column)
        except (EventLogError, TypeError) as error:
            self.findings.loss(self._place_of(space_id, row[_SEQUENCE]), f"{error}; it was left out")
            return None

    def _check_link(self, event: Event, chain: _Chain) -> None:
        """Compare an event with its hash and its predecessor; the first break of a chain is reported."""
        link = None if chain.is_broken else broken_link(event, chain.last)
        if link is not None:
            chain.is_broken = True
            message = f"{link.reason}; it and what follows are shown as they are; `unspool events verify` tells more"
            self.findings.loss(place_of(self._path, event), message)

    def _check_end(self, head: Head) -> None:
        """Compare where a chain ends with where the log says it does."""
        chain = self._chains[head.space_id]
        if chain.is_broken or chain.number > head.sequence_number:
            return
        if chain.number < head.sequence_number:
            problem = f"events {chain.number + 1} to {head.sequence_number} are missing at its end"
        elif chain.last is not None and chain.last.hash != head.hash:
            problem = "its last event is not the one that was written last"
        else:
            return
        chain.is_broken = True
        number = min(chain.number + 1, head.sequence_number)
        self.findings.loss(self._place_of(head.space_id, number), f"{problem}; restore the log from a copy")

    def chain_faults(self, seq_of: SeqOf, total: int, cancelled: Cancelled) -> Iterator[ChainFault]:
        """See `ChainedReader.chain_faults`."""
        wanted = self._wanted()

        def seq_at(space_id: str, number: int) -> int | None:
            later = (seq_of(event.id) for event in self._readable_events(space_id, number - 1))
            return next((seq for seq in later if seq is not None), None)

        yield from broken_links(self._log, wanted, self._place_of, seq_at, total, cancelled)
        for space_id in wanted:
            events = self._readable_events(space_id)
            yield from misfits(
                events, lambda fork: base_in_log(self._log, fork), self._place_of, seq_of, total, cancelled
            )

    def _readable_events(self, space_id: str, number: int = 0) -> Iterator[Event]:
        """Yield the events of a space behind a number, as far as they read."""
        space = find_space(self._log.database, space_id)
        while space is not None and (rows := rows_after(self._log.database, space.space, number, _CHUNK)):
            for row in rows:
                number = row[_SEQUENCE]
                # One that does not read is reported where the chain is verified.
                with suppress(EventLogError, TypeError):
                    yield event_of(row, self._log.column)

    def _place_of(self, space_id: str, number: int) -> str:
        return f"{self._path}: event {number} of space {space_id!r}"

    def progress(self) -> Progress:
        """Say how many events were read."""
        return Progress(self._done, self._done, self._is_finished)

    def close(self) -> None:
        """Close the log."""
        self._log.close()


def space_sizes(path: Path) -> list[tuple[str, int]]:
    """Return the spaces of a log, oldest first, each with the number of its events.

    Raises:
        UnreadableSource: the log cannot be opened or read.
    """
    try:
        log = EventLog(path, read_only=True, timeout=BUSY_S)
        try:
            heads = [log.head(space_id) for space_id in log.spaces()]
        finally:
            log.close()
    except EventLogError as error:
        raise UnreadableSource(str(error)) from None
    return [(head.space_id, head.sequence_number) for head in heads if head is not None]


_SCORE: Final = 95


def detect(probe: Probe) -> int:
    """Score a probe: an archive by its first bytes, a database by the mark in its header."""
    if probe.shape is not SourceShape.SQLITE:
        return _SCORE if probe.plain_head.startswith(MAGIC) else 0
    connection = ForeignDatabase(probe.path)
    try:
        # The header's bytes may be older than the log beside them, so SQLite is asked.
        mark = connection.execute("PRAGMA application_id").fetchone()
        return _SCORE if mark == (APPLICATION_ID,) else 0
    except sqlite3.Error:
        return 0
    finally:
        connection.close()


class ArchiveReader:
    """Reads the events of an archive. It does not grow, so it is not followed."""

    def __init__(self, path: Path, spaces: Mapping[str, list[Event]], mtime_ns: int, chosen: str | None) -> None:
        """Prepare to read.

        Raises:
            UnreadableSource: a space was chosen that there is not.
        """
        self.findings = Findings()
        self.watch_paths: tuple[Path, ...] = ()
        wanted = chosen_spaces(path, spaces, chosen)
        self._path = path
        self._chains = [spaces[space_id] for space_id in wanted]
        self._fork_base = lambda fork: base_in_archive(spaces, fork)
        self._teller = SpaceTeller(
            path,
            self.findings,
            self._fork_base,
            lambda: mtime_ns,
            is_single=len(wanted) < 2,
        )
        self._done = 0
        self._is_finished = False

    def read(self) -> Iterator[SourceEntry]:
        """Yield all entries on the first call, and nothing after."""
        if self._is_finished:
            return
        self._is_finished = True
        for event in in_time_order(self._chains):
            self._done += 1
            yield self._teller.entry(event)

    def chain_faults(self, seq_of: SeqOf, total: int, cancelled: Cancelled) -> Iterator[ChainFault]:
        """See `ChainedReader.chain_faults`; hashes, links and numbers were verified before anything was read."""

        def place_of(space_id: str, number: int) -> str:
            return f"{self._path}: event {number} of space {space_id!r}"

        for chain in self._chains:
            yield from misfits(chain, self._fork_base, place_of, seq_of, total, cancelled)

    def progress(self) -> Progress:
        """Say how many events were read."""
        total = sum(map(len, self._chains))
        return Progress(self._done, total, self._done == total)

    def close(self) -> None:
        """Nothing is held open."""


def open_reader(probe: Probe) -> Reader:
    """Read an archive or an event-log database.

    Raises:
        UnreadableSource: the archive is damaged or forged, the database cannot be opened, or the chosen space is not there.
    """
    chosen = probe.select.get("space")
    if probe.shape is SourceShape.SQLITE:
        ForeignDatabase(probe.path).close()
        return EventLogReader(probe.path, chosen)
    return ArchiveReader(probe.path, _unpacked(probe), probe.status.st_mtime_ns, chosen)


def choices(probe: Probe) -> tuple[Choice, ...]:
    """Return the spaces that can be shown one by one."""
    if probe.shape is SourceShape.SQLITE:
        return several("space", space_sizes(probe.path))
    return several("space", ((name, len(events)) for name, events in _unpacked(probe).items()))


def _unpacked(probe: Probe) -> Mapping[str, list[Event]]:
    try:
        data = read_whole(probe.path, probe.limits)
        return unpack_archive(data, name=str(probe.path), max_bytes=probe.limits.document_bytes)
    except CutShort:
        raise UnreadableSource(f"{probe.path}: its compressed data ends early; copy the archive again") from None
    except EventLogError as error:
        raise UnreadableSource(str(error)) from None


_REST_S: Final = 0.01
"""How long a file must rest after a save."""
_EMPTY_S: Final = 0.05
"""How long an empty one must: editors that write in place empty it first."""
_LONGEST_S: Final = 2.0
"""How long is waited for a file that never rests."""

_Signature = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Save:
    """What came of looking at a file.

    Attributes:
        path: the file.
        event: the event that was written; None where there was a problem.
        problem: why the file could not be recorded; empty where it was.
    """

    path: Path
    event: Event | None
    problem: str = ""


class SourceSaves:
    """Records files into an event log, once or each time they are saved."""

    def __init__(
        self,
        log: EventLog,
        paths: Sequence[Path],
        *,
        poll: float | None = None,
        tell: Callable[[str], object] = lambda _trouble: None,
    ) -> None:
        """Prepare.

        Args:
            log: where events go; each file is a space, named by its path as given.
            paths: the files; one that is not there yet is waited for.
            poll: look every so many seconds instead of waiting for events (network drives).
            tell: called when `follow` has to look for changes although it was to wait for them, with the reason.

        Raises:
            ConfigError: `poll` is not a positive number.
        """
        self._log = log
        self._paths = tuple(dict.fromkeys(paths))
        # A queue of this kind may be put into from a signal handler; an Event set there could wait for itself.
        self._changes: SimpleQueue[None] = SimpleQueue()
        self._is_stopping = False
        self._tell = tell
        self._watcher = FileWatcher(self._paths, self._wake, poll=poll)
        self._seen: dict[Path, _Signature | None] = {}
        self._said: dict[Path, str] = {}
        self.passed_over = 0
        """Changes of files that were followed by another before they could be read: saves that the log may not have."""

    def record(self) -> Iterator[Save]:
        """Record what the files hold now; files that hold nothing new are passed over."""
        for path in self._paths:
            save = self._recorded(path)
            if save is not None:
                yield save

    def follow(self) -> Iterator[Save]:
        """Record the files now, and again whenever they are saved, until `stop` is called.

        Raises:
            EventLogError: the log cannot be written.
        """
        # The watcher begins first: a save between the first look and its start would be missed.
        with self._watcher:
            told = self._told_trouble("")
            yield from self.record()
            while not self._is_stopping:
                self._wait()
                told = self._told_trouble(told)
                for path in self._paths:
                    if not self._is_stopping and self._settled(path) != self._seen.get(path):
                        save = self._recorded(path)
                        if save is not None:
                            yield save

    def _told_trouble(self, told: str) -> str:
        trouble = self._watcher.trouble
        if trouble and trouble != told:
            self._tell(trouble)
        return trouble

    def stop(self) -> None:
        """End `follow`; may be called from another thread or a signal handler."""
        self._is_stopping = True
        self._wake()

    def _wake(self) -> None:
        self._changes.put(None)

    def _wait(self) -> None:
        """Wait for a change; several that came meanwhile count as one."""
        self._changes.get()
        while True:
            try:
                self._changes.get_nowait()
            except Empty:
                return

    def _recorded(self, path: Path) -> Save | None:
        # Looked at before it is read: a save in between is then seen as new.
        self._seen[path] = _signature(path)
        try:
            event = record_file(self._log, path)
        except (UnreadableSource, InvalidEvent) as error:
            problem = str(error)
            if self._said.get(path) == problem:
                return None
            self._said[path] = problem
            return Save(path, None, problem)
        self._said.pop(path, None)
        return None if event is None else Save(path, event)

    def _settled(self, path: Path) -> _Signature | None:
        """Wait until a file rests; return what it looks like then."""
        before = _signature(path)
        latest = time.monotonic() + _LONGEST_S
        while not self._is_stopping and before != self._seen.get(path) and time.monotonic() < latest:
            is_empty = before is None or not before[2]
            time.sleep(_EMPTY_S if is_empty else _REST_S)
            now = _signature(path)
            if now == before:
                break
            self.passed_over += not is_empty
            before = now
        return before


def _signature(path: Path) -> _Signature | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
