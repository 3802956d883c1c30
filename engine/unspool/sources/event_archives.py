"""Event archives (`.rblogs`) and event-log databases (seed 004) as histories: one entry an event.

An archive is verified wholly before anything of it is shown, as its own importer does: it is complete, or refused. A
database is read as far as it goes. `--select space=ID` shows one space of several.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from unspool.errors import EventLogError, UnreadableSource
from unspool.events.archive import MAGIC, unpack_archive
from unspool.events.database import APPLICATION_ID
from unspool.events.histories import base_in_archive
from unspool.events.records import Event
from unspool.history.verdict import Cancelled, ChainFault
from unspool.sources.bytestream import CutShort, read_whole
from unspool.sources.chains import SeqOf
from unspool.sources.choices import Choice, several
from unspool.sources.entries import Progress, Reader, SourceEntry
from unspool.sources.event_chains import misfits
from unspool.sources.event_databases import EventLogReader, space_sizes
from unspool.sources.event_spaces import SpaceTeller, chosen_spaces, in_time_order
from unspool.sources.findings import Findings
from unspool.sources.probe import Probe, Shape
from unspool.sources.sqlite_files import ForeignDatabase

_SCORE: Final = 95


def detect(probe: Probe) -> int:
    """Score a probe: an archive by its first bytes, a database by the mark in its header."""
    if probe.shape is not Shape.SQLITE:
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
    if probe.shape is Shape.SQLITE:
        ForeignDatabase(probe.path).close()
        return EventLogReader(probe.path, chosen)
    return ArchiveReader(probe.path, _unpacked(probe), probe.status.st_mtime_ns, chosen)


def choices(probe: Probe) -> tuple[Choice, ...]:
    """Return the spaces that can be shown one by one."""
    if probe.shape is Shape.SQLITE:
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
