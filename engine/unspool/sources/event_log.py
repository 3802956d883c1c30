"""Event logs and their `.rblogs` archives (seed 004): one entry an event, the source it leads to as the state.

A log of one space shows that space's state. With several the state is that of the whole log, and atoms are named
`space atom`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

from unspool.errors import EventLogError, UnreadableSource
from unspool.events.appending import find_space
from unspool.events.archive import unpack_archive
from unspool.events.histories import base_in_archive, base_in_log, event_metadata, next_source, shown_state
from unspool.events.log import EventLog, read_archive
from unspool.events.queries import events_after
from unspool.events.records import Event
from unspool.events.replay import SourceState
from unspool.events.schema import APPLICATION_ID
from unspool.model.values import State, Value
from unspool.sources.entries import TIME_FROM_FILE, Progress, Reader, SourceEntry
from unspool.sources.findings import Findings
from unspool.sources.probe import Probe, Shape
from unspool.sources.sqlite_files import open_database, side_files
from unspool.sources.timestamps import to_ns

_ARCHIVE_MAGIC: Final = b"RBLOG"
_BATCH: Final = 500

ForkBase = Callable[[Event], SourceState | None]


class _Spaces:
    """Turns events into entries, space by space; remembers where each space stands."""

    def __init__(self, path: Path, findings: Findings, fork_base: ForkBase) -> None:
        self._path = path
        self._findings = findings
        self._fork_base = fork_base
        self._sources: dict[str, SourceState | None] = {}
        self._state: State = {}
        self._stuck: set[str] = set()
        self.is_single = True

    def entries(self, events: Iterable[Event]) -> Iterator[SourceEntry]:
        """Yield an entry for each event; a space whose diff does not fit is told and left alone from there on."""
        for event in events:
            if event.space_id in self._stuck:
                continue
            place = f"{self._path}: event {event.sequence_number} of space {event.space_id}"
            try:
                source = next_source(self._sources.get(event.space_id), event, self._fork_base)
            except EventLogError as error:
                self._stuck.add(event.space_id)
                self._findings.loss(place, f"{error}; the rest of this space was left out")
                continue
            if (
                source is not None
                and source.damaged
                and not getattr(self._sources.get(event.space_id), "damaged", False)
            ):
                self._findings.notice(
                    place, "a list on the way was replaced by an object, as the original did; rebuilt in its manner"
                )
            self._sources[event.space_id] = source
            self._show(event, shown_state(event, source))
            yield self._entry(event, source)

    def _show(self, event: Event, shown: State) -> None:
        if self.is_single:
            self._state = shown
            return
        prefix = f"{event.space_id} "
        kept = {name: value for name, value in self._state.items() if not name.startswith(prefix)}
        self._state = {**kept, **{prefix + name: value for name, value in shown.items()}}

    def _entry(self, event: Event, source: SourceState | None) -> SourceEntry:
        facts = event_metadata(event, source)
        meta: dict[str, Value] = {"space": facts.space_id, "sequence": facts.sequence_number, "hash": facts.hash}
        timestamp_ns = to_ns(facts.timestamp)
        if timestamp_ns is None:
            meta.update(TIME_FROM_FILE)
        at = self._path.stat().st_mtime_ns if timestamp_ns is None else timestamp_ns
        return SourceEntry(dict(self._state), at, facts.label, meta, facts.id)

    def become_many(self, first: str) -> None:
        """A second space appeared: from here on atoms carry their space's name."""
        if self.is_single:
            self.is_single = False
            self._state = {f"{first} {name}": value for name, value in self._state.items()}


class ArchiveReader:
    """Reads an archive, which is all there."""

    def __init__(self, path: Path, spaces: dict[str, list[Event]], wanted: str | None = None) -> None:
        self.findings = Findings()
        self.watch_paths: tuple[Path, ...] = ()
        self._spaces = spaces if wanted is None else {wanted: spaces[wanted]}
        # A fork may start from a space that is not asked for, so its base is looked for in all of them.
        self._told = _Spaces(path, self.findings, lambda fork: base_in_archive(spaces, fork))
        self._told.is_single = len(self._spaces) < 2
        self._done = 0
        self._is_finished = False

    def read(self) -> Iterator[SourceEntry]:
        """Yield an entry for each event on the first call, and nothing after."""
        if self._is_finished:
            return
        self._is_finished = True
        for events in self._spaces.values():
            for entry in self._told.entries(events):
                self._done += 1
                yield entry

    def progress(self) -> Progress:
        """Say how many events were read."""
        return Progress(self._done, sum(map(len, self._spaces.values())), self._is_finished)

    def close(self) -> None:
        """Nothing is held open."""


class LogReader:
    """Reads an event log's database, and later the events that were written since."""

    def __init__(self, path: Path, wanted: str | None = None) -> None:
        """Open the log.

        Args:
            path: its database.
            wanted: only this space.

        Raises:
            UnreadableSource: it cannot be opened, or has no such space.
        """
        self.findings = Findings()
        self.watch_paths = side_files(path)
        try:
            self._log = EventLog(path, read_only=True)
        except EventLogError as error:
            raise UnreadableSource(str(error)) from None
        self._path = path
        self._wanted = wanted
        if wanted is not None and find_space(self._log.database, wanted) is None:
            self._log.close()
            raise UnreadableSource(_no_such_space(path, wanted))
        self._told = _Spaces(path, self.findings, lambda fork: base_in_log(self._log, fork))
        self._read_to: dict[str, int] = {}
        self._done = 0
        self._is_finished = False

    def read(self) -> Iterator[SourceEntry]:
        """Yield an entry for each event since the last call."""
        self._is_finished = False
        try:
            names = self._log.spaces() if self._wanted is None else (self._wanted,)
            if len(names) > 1:
                self._told.become_many(names[0])
            for name in names:
                for entry in self._told.entries(self._new_events(name)):
                    self._done += 1
                    yield entry
        except EventLogError as error:
            self.findings.loss(str(self._path), f"{error}; reading stopped there")
        self._is_finished = True

    def _new_events(self, name: str) -> Iterator[Event]:
        space = find_space(self._log.database, name)
        number = self._read_to.get(name, 0)
        while space is not None and (
            events := events_after(self._log.database, self._log.column, space.space, number, _BATCH)
        ):
            number = self._read_to[name] = events[-1].sequence_number
            yield from events

    def progress(self) -> Progress:
        """Say how many events were read."""
        return Progress(self._done, self._done, self._is_finished)

    def close(self) -> None:
        """Close the log."""
        self._log.close()


def detect(probe: Probe) -> int:
    """Score a probe: an archive or a database by its first bytes."""
    if probe.shape is Shape.SQLITE:
        # The header on disk may lag behind a log that is being written, so SQLite is asked.
        with closing(open_database(probe.path)) as connection:
            return 95 if connection.execute("PRAGMA application_id").fetchone()[0] == APPLICATION_ID else 0
    return 95 if probe.head.startswith(_ARCHIVE_MAGIC) else 0


def open_reader(probe: Probe) -> Reader:
    """Read an archive or a log's database.

    Raises:
        UnreadableSource: it is damaged or forged.
    """
    wanted = probe.select.get("space")
    if probe.shape is Shape.SQLITE:
        return LogReader(probe.path, wanted)
    try:
        spaces = unpack_archive(read_archive(probe.path), name=str(probe.path), max_bytes=probe.limits.document_bytes)
    except EventLogError as error:
        raise UnreadableSource(str(error)) from None
    if wanted is not None and wanted not in spaces:
        raise UnreadableSource(_no_such_space(probe.path, wanted))
    return ArchiveReader(probe.path, {name: list(events) for name, events in spaces.items()}, wanted)


def _no_such_space(path: Path, wanted: str) -> str:
    return f"{path}: holds no space {wanted!r}; leave --select space= out to see all of them"
