"""Archives out of a log and into it (E-71..E-75)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from unspool.events.appending import checked_end, find_space, insert
from unspool.events.archive import pack_archive
from unspool.events.database import Database
from unspool.events.errors import ImportFailed, IntegrityViolation, InvalidEvent, InvalidQuery
from unspool.events.hashing import broken_link
from unspool.events.moments import moment
from unspool.events.queries import events_after, query_moment
from unspool.events.records import Event, ImportReport
from unspool.events.rows import JsonColumn
from unspool.events.schema import place_of
from unspool.events.snapshots import CHUNK_EVENTS


def export_space(database: Database, column: JsonColumn, space_id: str, before_date: str | None) -> bytes:
    """Write the events of a space as an archive, after recomputing every hash.

    Args:
        database: the log.
        column: reads payloads.
        space_id: the space; an unknown one gives an archive without events.
        before_date: only events before this moment; None for all.

    Raises:
        InvalidQuery: the date is none, or cuts the chain where events are out of time order.
        IntegrityViolation: the chain is broken.
    """
    until = None if before_date is None else query_moment(before_date, "beforeDate")
    with database.reading():
        space = find_space(database, space_id)
        if space is None:
            return pack_archive(())
        checked_end(database, column, space_id)
        events: list[Event] = []
        skipped: Event | None = None
        previous: Event | None = None
        while chunk := events_after(
            database, column, space.space, previous.sequence_number if previous else 0, CHUNK_EVENTS
        ):
            for event in chunk:
                _check_link(database, event, previous)
                previous = event
                if until is not None and moment(event.timestamp) >= until:
                    skipped = skipped or event
                elif skipped is not None:
                    raise _gap(space_id, event, skipped)
                else:
                    events.append(event)
    return pack_archive(events)


def import_spaces(
    database: Database,
    column: JsonColumn,
    spaces: Mapping[str, Sequence[Event]],
    name: str,
    max_bytes: int | None,
) -> ImportReport:
    """Put verified events into the log, all or none; events that are there already are skipped.

    Args:
        database: the log.
        column: writes payloads.
        spaces: events by space, each a chain from its first event on, as `unpack_archive` gives them.
        name: the archive, for messages.
        max_bytes: the log's budget.

    Raises:
        ImportFailed: an event contradicts the log: another one has its number, or its id.
    """
    imported = skipped = 0
    with database.writing():
        for space_id, events in spaces.items():
            end = checked_end(database, column, space_id)
            known = end.sequence_number if end else 0
            for event in events:
                if event.sequence_number <= known:
                    _check_same(database, event, name)
                    skipped += 1
                    continue
                try:
                    insert(database, column, event, max_bytes)
                except InvalidEvent as error:
                    raise ImportFailed(f"{name}: {error}; nothing was imported", event_id=event.id) from error
                imported += 1
    return ImportReport(imported, skipped)


def _check_same(database: Database, event: Event, name: str) -> None:
    """Refuse an event whose number another event has in the log."""
    space = find_space(database, event.space_id)
    if space is None:
        return
    stored = database.value(
        "SELECT hash FROM events WHERE place = ?", (place_of(space.space, event.sequence_number),)
    )
    if stored is None or stored.hex() != event.hash:
        raise ImportFailed(
            f"{name}: event {event.sequence_number} of space {event.space_id!r} is not the one in the log: the two"
            " histories part there; import into a new log",
            event_id=event.id,
        )


def _check_link(database: Database, event: Event, previous: Event | None) -> None:
    link = broken_link(event, previous)
    if link is not None:
        raise IntegrityViolation(
            f"{database.path}: event {link.sequence_number} of space {event.space_id!r}: {link.reason};"
            " nothing was exported, restore the log from a copy",
            event_id=link.event_id,
            expected=link.expected,
            actual=link.actual,
        )


def _gap(space_id: str, event: Event, skipped: Event) -> InvalidQuery:
    return InvalidQuery(
        f"beforeDate: event {event.sequence_number} of space {space_id!r} is before that date, but follows event"
        f" {skipped.sequence_number} ({skipped.timestamp}), which is not; a chain cannot skip, so choose another date",
        field="beforeDate",
    )
