"""The event log: an append-only record of many spaces, each a chain of hashes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from unspool.events.appending import Order, append, by_space, by_time, by_type, find_space, page_request
from unspool.events.archive import DEFAULT_MAX_BYTES, export_space, import_spaces, unpack_archive
from unspool.events.database import DEFAULT_TIMEOUT, Database, place_of
from unspool.events.records import (
    CompactionReport,
    Event,
    EventDraft,
    EventPage,
    Head,
    ImportFailed,
    ImportReport,
    IntegrityReport,
    Snapshot,
    SnapshotFailed,
    StorageReport,
)
from unspool.events.replay import SourceState
from unspool.events.rows import DEFAULT_LIMIT, EventLogConfig, JsonColumn, storage_report, unpack_text
from unspool.events.snapshots import create_snapshot, list_snapshots, reconstruct_state, snapshot_is_due, verify
from unspool.model.cache import BoundedCache
from unspool.model.values import Value

MAX_CHARACTERS: Final = 16_000_000
MAX_STATES: Final = 256
"""Bounds of the sources that an open log keeps in memory."""


_KEPT_EVERY = 10
"""Of the source states kept for fast rebuilding, the newest and one in so many survive."""


def compact(database: Database, column: JsonColumn, space_id: str, config: EventLogConfig) -> CompactionReport:
    """Snapshot a space and rewrite the file as small as it gets. No event is deleted.

    Raises:
        SnapshotFailed: the space has no events, or none since its last snapshot.
    """
    before = database.file_bytes()
    earlier = list_snapshots(database, column, space_id)
    snapshot = create_snapshot(database, column, space_id, config)
    with database.writing() as connection:
        space = find_space(database, space_id)
        if space is not None:
            low, high = place_of(space.space, 0), place_of(space.space + 1, 0)
            places = [
                row[0]
                for row in connection.execute(
                    "SELECT place FROM source_states WHERE place > ? AND place < ? ORDER BY place DESC", (low, high)
                )
            ]
            connection.executemany(
                "DELETE FROM source_states WHERE place = ?",
                [(place,) for rank, place in enumerate(places) if rank % _KEPT_EVERY],
            )
    database.vacuum()
    covered = max((each.event_sequence_number for each in earlier), default=0)
    return CompactionReport(
        space_id, snapshot.event_sequence_number - covered, before - database.file_bytes(), snapshot.id
    )


class EventLog:
    """An event log in one SQLite file; a context manager, safe to use from threads and from several processes.

    Args:
        path: the file, made if it is not there; `:memory:` keeps nothing.
        config: settings, clock, id generator, reducer.
        read_only: never write; the file must exist.
        timeout: seconds to wait for another process that writes.

    Raises:
        DatabaseError: the file cannot be opened, or is no event log.
    """

    def __init__(
        self,
        path: str | Path = "event-log.db",
        config: EventLogConfig | None = None,
        *,
        read_only: bool = False,
        timeout: float = DEFAULT_TIMEOUT,
    ) -> None:
        self.config = config or EventLogConfig()
        self.database = Database(path, read_only=read_only, timeout=timeout)
        self.column = JsonColumn()
        # An event's hash covers its whole chain, so what is kept under it can never be out of date.
        self.source_memory: BoundedCache[str, SourceState] = BoundedCache(MAX_STATES, MAX_CHARACTERS)
        self.snapshot_failure: SnapshotFailed | None = None
        """Why the last automatic snapshot was not made; the event itself was written."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; closing twice is fine."""
        self.database.close()

    def write_event(
        self,
        type: str,  # noqa: A002 - named as the event's field is
        space_id: str,
        timestamp: str,
        payload: Mapping[str, Value],
        *,
        version: int = 1,
    ) -> Event:
        """Append one event to its space.

        Raises:
            InvalidEvent: a field is refused; `field` names it.
            IntegrityViolation: the chain is broken at its end.
            StorageFull: the budget or the disk has no room.
        """
        return self.write_events([EventDraft(type, space_id, timestamp, payload, version)])[0]

    def write_events(self, drafts: Iterable[EventDraft]) -> list[Event]:
        """Append events, all or none, in one transaction.

        Raises:
            InvalidEvent: as for `write_event`.
            IntegrityViolation: as for `write_event`.
            StorageFull: as for `write_event`.
        """
        listed = list(drafts)
        events = append(self.database, self.column, listed, self.config.id_generator, self.config.max_bytes)
        for space_id in dict.fromkeys(event.space_id for event in events):
            self.snapshot_if_due(space_id)
        return events

    def snapshot_if_due(self, space_id: str) -> None:
        """Make the automatic snapshot of a space if enough events have come; a failure is kept, not raised."""
        if snapshot_is_due(self.database, space_id, self.config.snapshot_interval):
            try:
                create_snapshot(self.database, self.column, space_id, self.config)
            except SnapshotFailed as failure:
                self.snapshot_failure = failure

    def spaces(self) -> tuple[str, ...]:
        """Return the ids of all spaces, oldest first."""
        with self.database.reading() as connection:
            return tuple(
                unpack_text(row[0]) for row in connection.execute("SELECT space_id FROM spaces ORDER BY space")
            )

    def head(self, space_id: str) -> Head | None:
        """Return where a space's chain ends; None for an unknown space."""
        space = find_space(self.database, space_id)
        return None if space is None else Head(space_id, space.head_sequence, space.head_hash)

    def query_by_space(
        self, space_id: str, *, limit: int = DEFAULT_LIMIT, cursor: str | None = None, order: Order = "asc"
    ) -> EventPage:
        """Return a page of a space's events, in the order of its chain.

        Args:
            space_id: the space; an unknown one has no events.
            limit: events a page, 1 to 1000; what is outside is moved to the nearer end.
            cursor: `next_cursor` of the page before.
            order: `asc` or `desc`.

        Raises:
            InvalidQuery: a bad cursor, limit or order.
        """
        page = page_request(limit, cursor, order, self.config.max_events_per_query)
        return by_space(self.database, self.column, space_id, page)

    def query_by_type(
        self,
        type: str,  # noqa: A002 - named as the event's field is
        *,
        limit: int = DEFAULT_LIMIT,
        cursor: str | None = None,
        order: Order = "asc",
    ) -> EventPage:
        """Return a page of the events of one type over all spaces, by number in their space (see `query_by_space`)."""
        page = page_request(limit, cursor, order, self.config.max_events_per_query)
        return by_type(self.database, self.column, type, page)

    def query_by_time(
        self, start: str, end: str, *, limit: int = DEFAULT_LIMIT, cursor: str | None = None, order: Order = "asc"
    ) -> EventPage:
        """Return a page of all spaces' events from `start` up to but without `end`, in time order.

        Raises:
            InvalidQuery: a timestamp is no ISO 8601 text, or as for `query_by_space`.
        """
        page = page_request(limit, cursor, order, self.config.max_events_per_query)
        return by_time(self.database, self.column, start, end, page)

    def create_snapshot(self, space_id: str) -> Snapshot:
        """Reduce a space to its newest event and keep the state.

        Raises:
            SnapshotFailed: there is nothing (new) to hold, or the reducer failed.
        """
        return create_snapshot(self.database, self.column, space_id, self.config)

    def snapshots(self, space_id: str) -> tuple[Snapshot, ...]:
        """Return a space's snapshots, oldest first."""
        return list_snapshots(self.database, self.column, space_id)

    def reconstruct_state(self, space_id: str, at_timestamp: str | None = None) -> Value:
        """Reduce a space's events, up to a moment (included) where one is given.

        Raises:
            InvalidQuery: the space is unknown, the timestamp is bad or before all its events.
        """
        return reconstruct_state(self.database, self.column, space_id, self.config, at_timestamp)

    def compact(self, space_id: str) -> CompactionReport:
        """Snapshot a space and shrink the file; no event is deleted.

        Raises:
            SnapshotFailed: there is nothing (new) to hold.
        """
        return compact(self.database, self.column, space_id, self.config)

    def get_storage_usage(self) -> StorageReport:
        """Count events, snapshots and bytes, in all and by space."""
        return storage_report(self.database)

    def verify_integrity(self, space_id: str | None = None, *, heads: Iterable[Head] = ()) -> IntegrityReport:
        """Recompute every hash and link of one space or all, and check the ends of the chains.

        Args:
            space_id: the space; None for all.
            heads: heads kept outside the log: each chain must still hold its own.
        """
        return verify(self.database, self.column, space_id, {head.space_id: head for head in heads})

    def export_archive(self, space_id: str, before_date: str | None = None) -> bytes:
        """Return a space's events before a date (all without one) as a `.rblogs` archive.

        Raises:
            InvalidQuery: the date is none, or cuts the chain.
            IntegrityViolation: the chain is broken.
        """
        return export_space(self.database, self.column, space_id, before_date)

    def import_archive(self, archive: bytes | str | Path, *, max_bytes: int = DEFAULT_MAX_BYTES) -> ImportReport:
        """Read a `.rblogs` archive into the log: all of it, or nothing.

        Args:
            archive: its bytes, or the path of its file.
            max_bytes: what its body may unpack to.

        Raises:
            ImportFailed: it is damaged, forged, too large, or contradicts the log.
        """
        name = str(archive) if isinstance(archive, str | Path) else "the archive"
        spaces = unpack_archive(read_archive(archive), name=name, max_bytes=max_bytes)
        report = import_spaces(self.database, self.column, spaces, name, self.config.max_bytes)
        for space_id in spaces:
            self.snapshot_if_due(space_id)
        return report


def read_archive(archive: bytes | str | Path) -> bytes:
    """Return an archive's bytes.

    Raises:
        ImportFailed: the file cannot be read.
    """
    if isinstance(archive, str | Path):
        try:
            return Path(archive).read_bytes()
        except OSError as error:
            raise ImportFailed(f"{archive}: {error.strerror}; check the path") from error
    return bytes(archive)
