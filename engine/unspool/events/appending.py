"""Appending events: what the log takes and what it refuses, and the chain of hashes that an event joins."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from unspool.errors import UnsupportedValue
from unspool.events.canonical import MAX_EXACT_INTEGER, PROTO_KEY, join_surrogates, plain_json
from unspool.events.database import Database, place_of
from unspool.events.records import (
    DatabaseError,
    Event,
    EventDraft,
    EventType,
    IntegrityViolation,
    InvalidEvent,
    StorageFull,
)
from unspool.events.rows import (
    BLOCKED_RATIO,
    JsonColumn,
    Moment,
    Packed,
    broken_link,
    event_of,
    moment,
    pack_hash,
    pack_id,
    pack_text,
    sealed,
    used_bytes,
)
from unspool.model.json_exact import parse_doubles
from unspool.model.keys import Path, format_path
from unspool.model.values import Value

MAX_VERSION: Final = MAX_EXACT_INTEGER
_SHOWN_STEPS: Final = 8
"""Only so many last steps of a path are kept: a document may be 10,000 levels deep."""


def checked_type(value: object) -> EventType:
    """Read an event type.

    Raises:
        InvalidEvent: it is none of the eleven.
    """
    try:
        return EventType(str(value))
    except ValueError:
        known = ", ".join(EventType)
        raise InvalidEvent(f"{value!r} is no event type; use one of {known}", field="type") from None


def check_draft(draft: EventDraft) -> None:
    """Refuse what could not be stored and verified as given.

    Raises:
        InvalidEvent: naming the field as the wire spells it, and the place inside a payload.
    """
    if not isinstance(draft.space_id, str) or not draft.space_id.strip():
        raise InvalidEvent("an event needs a spaceId: text that is not blank", field="spaceId")
    checked_type(draft.type)
    check_timestamp(draft.timestamp, field="timestamp")
    if not is_version(draft.version):
        raise InvalidEvent(f"version {draft.version!r} must be an integer from 1", field="version")
    check_payload(draft.payload)


def check_timestamp(timestamp: object, *, field: str) -> None:
    """Refuse what is no ISO 8601 timestamp.

    Raises:
        InvalidEvent: naming `field`.
    """
    if not isinstance(timestamp, str):
        raise InvalidEvent(f"{field} {timestamp!r} must be ISO 8601 text", field=field)
    try:
        moment(timestamp)
    except ValueError as error:
        raise InvalidEvent(f"{field} {error}", field=field) from None


def is_version(version: object) -> bool:
    """Whether a version is a positive integer (1.5, booleans and text are not)."""
    return isinstance(version, int) and not isinstance(version, bool) and 1 <= version <= MAX_VERSION


def check_payload(payload: object) -> None:
    """Refuse a payload that is no JSON object, or holds what would read back as something else.

    Raises:
        InvalidEvent: naming the place, e.g. `payload.items[3]`.
    """
    if not isinstance(payload, Mapping):
        raise InvalidEvent(f"the payload is {_kind(payload)}; it must be a JSON object", field="payload")
    pending: list[tuple[Value, Path]] = [(payload, ())]
    seen: set[int] = set()
    while pending:
        value, path = pending.pop()
        if not isinstance(value, Mapping | list | tuple):
            _check_leaf(value, path)
        elif id(value) not in seen:
            # A part met before is checked already; writing the canonical form finds out whether it holds itself.
            seen.add(id(value))
            for step, child in value.items() if isinstance(value, Mapping) else enumerate(value):
                if isinstance(value, Mapping):
                    _check_key(step, path)
                pending.append((child, (*path[-_SHOWN_STEPS:], step)))


def _check_key(key: object, path: Path) -> None:
    if not isinstance(key, str):
        raise _refused(path, f"has the key {key!r}, which is no text")
    if key == PROTO_KEY:
        raise _refused(path, f"has the key {PROTO_KEY!r}, which no hash can cover; rename it")


def _check_leaf(value: Value, path: Path) -> None:
    if isinstance(value, str | bool) or value is None:
        return
    if isinstance(value, float):
        if not math.isfinite(value):
            raise _refused(path, f"is {value}, which JSON lacks; write null or text")
        return
    if not isinstance(value, int):
        raise _refused(path, f"is {_kind(value)}, which JSON lacks")
    if abs(value) > MAX_EXACT_INTEGER and not _is_exact_double(value):
        raise _refused(path, f"is {str(value)[:40]}, which no double holds exactly; write it as text")


def _is_exact_double(value: int) -> bool:
    try:
        return int(float(value)) == value
    except OverflowError:
        return False


def _kind(value: object) -> str:
    return "null" if value is None else f"of type {type(value).__name__}"


def _refused(path: Path, reason: str) -> InvalidEvent:
    return InvalidEvent(f"{format_path(path, root='payload')} {reason}", field="payload")


@dataclass(frozen=True, slots=True)
class SpaceRow:
    """A space as the log keeps it: its number, and the head pointer that shows a cut tail."""

    space: int
    head_sequence: int
    head_hash: str
    latest_moment: Moment


def find_space(database: Database, space_id: str) -> SpaceRow | None:
    """Look up a space; None where the log has no event of it."""
    with database.reading() as connection:
        row = connection.execute(
            "SELECT space, head_sequence, head_hash, latest_moment FROM spaces WHERE space_id = ?",
            (pack_text(space_id),),
        ).fetchone()
    if row is None:
        return None
    if (
        not (isinstance(row[0], int) and isinstance(row[1], int))
        or not isinstance(row[2], bytes)
        or not isinstance(row[3], bytes)
    ):
        raise DatabaseError(
            f"{database.path}: space {space_id!r} is damaged; restore the log from a copy or an archive",
            operation="read",
        )
    return SpaceRow(row[0], row[1], row[2].hex(), row[3])


def append(
    database: Database,
    column: JsonColumn,
    drafts: Sequence[EventDraft],
    new_id: Callable[[], str],
    max_bytes: int | None,
) -> list[Event]:
    """Write events, all or none: numbered, chained and hashed in the order given.

    Raises:
        InvalidEvent: a draft is refused, or the id generator made an id that is taken.
        IntegrityViolation: the chain that is to be continued is broken at its end.
        StorageFull: the budget has no room.
    """
    for draft in drafts:
        check_draft(draft)
    written: list[Event] = []
    with database.writing():
        ends: dict[str, Event | None] = {}
        for draft in drafts:
            if draft.space_id not in ends:
                ends[draft.space_id] = checked_end(database, column, draft.space_id)
            event = _next_event(draft, ends[draft.space_id], new_id())
            insert(database, column, event, max_bytes)
            ends[draft.space_id] = event
            written.append(event)
    return written


def checked_end(database: Database, column: JsonColumn, space_id: str) -> Event | None:
    """Return the last event of a space after checking it against the head pointer and its own hash.

    Raises:
        IntegrityViolation: the end of the chain is not what was written.
    """
    space = find_space(database, space_id)
    if space is None:
        return None
    with database.reading() as connection:
        rows = connection.execute(
            "SELECT * FROM chain WHERE place > ? AND place < ? ORDER BY place DESC LIMIT 2",
            (place_of(space.space, 0), place_of(space.space + 1, 0)),
        ).fetchall()
        events = [event_of(row, column) for row in rows]
    last = events[0] if events else None
    if last is None or (last.sequence_number, last.hash) != (space.head_sequence, space.head_hash):
        raise IntegrityViolation(
            f"{database.path}: the end of space {space_id!r} is not what was written last;"
            " verify the log and restore it from a copy or an archive",
            event_id=last.id if last else "",
            expected=space.head_hash,
            actual=last.hash if last else None,
        )
    link = broken_link(last, events[1] if len(events) > 1 else None)
    if link is not None:
        raise IntegrityViolation(
            f"{database.path}: event {link.sequence_number} of space {space_id!r}: {link.reason};"
            " restore the log from a copy or an archive",
            event_id=link.event_id,
            expected=link.expected,
            actual=link.actual,
        )
    return last


def insert(database: Database, column: JsonColumn, event: Event, max_bytes: int | None) -> None:
    """Store a finished event and move its space's head to it, in one transaction.

    Raises:
        InvalidEvent: the id is taken.
        StorageFull: the budget has no room.
    """
    text = plain_json(event.payload)
    size = len(event_json(event, text).encode())
    own_moment = moment(event.timestamp)
    with database.writing() as connection:
        found = find_space(database, event.space_id)
        _check_budget(database, size, max_bytes, is_new_space=found is None)
        space = found or _open_space(database, event.space_id)
        if database.value("SELECT 1 FROM events WHERE id = ?", (pack_id(event.id),)):
            raise InvalidEvent(
                f"the id {event.id!r} is taken; make the id generator give each event its own", field="id"
            )
        connection.execute(
            "INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            _row(event, space.space, own_moment, column.pack(text)),
        )
        connection.execute(
            "UPDATE spaces SET head_sequence = ?, head_hash = ?, latest_moment = ?, bytes = bytes + ? WHERE space = ?",
            (
                event.sequence_number,
                pack_hash(event.hash),
                max(own_moment, space.latest_moment),
                size,
                space.space,
            ),
        )


def _open_space(database: Database, space_id: str) -> SpaceRow:
    with database.writing() as connection:
        cursor = connection.execute(
            "INSERT INTO spaces (space_id, head_sequence, head_hash, latest_moment, bytes) VALUES (?, 0, x'', x'', 0)",
            (pack_text(space_id),),
        )
    return SpaceRow(cursor.lastrowid or 0, 0, "", b"")


def _row(event: Event, space: int, own_moment: Moment, payload: Packed) -> tuple[object, ...]:
    return (
        place_of(space, event.sequence_number),
        space,
        event.sequence_number,
        pack_id(event.id),
        event.type.value,
        event.timestamp,
        own_moment,
        event.version,
        None if event.previous_hash is None else pack_hash(event.previous_hash),
        pack_hash(event.hash),
        payload,
    )


def event_json(event: Event, payload_text: str) -> str:
    """Spell an event as archives do: these fields, in this order, without blanks."""
    fields = plain_json(
        {
            "id": event.id,
            "type": event.type.value,
            "spaceId": event.space_id,
            "timestamp": event.timestamp,
            "sequenceNumber": event.sequence_number,
            "hash": event.hash,
            "previousHash": event.previous_hash,
            "version": event.version,
        }
    )
    return f'{fields[:-1]},"payload":{payload_text}}}'


def _next_event(draft: EventDraft, last: Event | None, event_id: str) -> Event:
    if not isinstance(event_id, str) or not event_id:
        raise InvalidEvent(f"the id generator made {event_id!r}; an id is text that is not empty", field="id")
    try:
        payload = parse_doubles(plain_json(draft.payload))
    except UnsupportedValue as error:
        raise InvalidEvent(f"payload: {error}", field="payload") from error
    return sealed(
        Event(
            id=join_surrogates(event_id),
            type=EventType(draft.type),
            space_id=join_surrogates(draft.space_id),
            timestamp=draft.timestamp,
            sequence_number=last.sequence_number + 1 if last else 1,
            hash="",
            previous_hash=last.hash if last else None,
            version=draft.version,
            payload=payload,
        )
    )


def _check_budget(database: Database, size: int, max_bytes: int | None, *, is_new_space: bool) -> None:
    if max_bytes is None:
        return
    used = used_bytes(database)
    if used + size > max_bytes:
        raise StorageFull(
            f"{database.path}: {size} bytes more than the {used} in use exceed the budget of {max_bytes};"
            " export old spaces and start a new log, or raise max_bytes",
            used_bytes=used,
            max_bytes=max_bytes,
        )
    if is_new_space and used >= max_bytes * BLOCKED_RATIO:
        raise StorageFull(
            f"{database.path}: {used} of {max_bytes} bytes are in use; no new space is opened from 90 % on;"
            " export old spaces and start a new log, or raise max_bytes",
            used_bytes=used,
            max_bytes=max_bytes,
        )
