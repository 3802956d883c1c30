"""Event-log databases, read as far as they go and followed while they grow."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from unspool.errors import EventLogError, UnreadableSource
from unspool.events.appending import find_space
from unspool.events.database import TABLES
from unspool.events.hashing import broken_link
from unspool.events.histories import base_in_log
from unspool.events.log import EventLog
from unspool.events.queries import rows_after
from unspool.events.records import Event, Head
from unspool.events.rows import event_of
from unspool.history.verdict import Cancelled, ChainFault
from unspool.sources.chains import SeqOf
from unspool.sources.entries import Progress, SourceEntry
from unspool.sources.event_chains import broken_links, misfits
from unspool.sources.event_spaces import SpaceTeller, chosen_spaces, in_time_order, place_of
from unspool.sources.findings import Findings
from unspool.sources.sqlite_files import BUSY_S, columns_of, side_files, tell_of_log, tell_of_other_tables

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
        tell_of_log(path, self.findings)
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
                tell_of_other_tables(connection, path, columns_of(connection), _own_tables(), self.findings)
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
        """Compare an event with its hash and its predecessor; the first break of a chain is told."""
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
                # One that does not read is told where the chain is verified.
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
