"""The `.rblogs` archive: events of one space or more as bytes.

`RBLOG`, a version byte, the number of events (u32, big-endian), a zlib stream of a JSON list, and 64 hex digits of
SHA-256 over the list's bytes. Compressors differ, so equal archives may differ in bytes: compare bodies.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from unspool.events.appending import (
    checked_end,
    event_json,
    events_after,
    find_space,
    insert,
    is_version,
    query_moment,
)
from unspool.events.canonical import plain_json
from unspool.events.database import Database, place_of
from unspool.events.records import (
    Event,
    EventType,
    ImportFailed,
    ImportReport,
    IntegrityViolation,
    InvalidEvent,
    InvalidQuery,
)
from unspool.events.rows import HASH_TEXT, JsonColumn, broken_link, moment
from unspool.events.snapshots import CHUNK_EVENTS
from unspool.model.json_exact import parse_doubles
from unspool.model.values import Value

MAGIC: Final = b"RBLOG"
FORMAT_VERSION: Final = 1
DEFAULT_MAX_BYTES: Final = 256 * 1024 * 1024
"""An archive's body may unpack to so much; more is refused before it is held."""

_HEADER: Final = struct.Struct(">5sBI")
_FOOTER_BYTES: Final = 64
_CHUNK_BYTES: Final = 1 << 20
_NO_ID: Final = "unknown"
_FIELDS: Final = frozenset(
    ("id", "type", "spaceId", "timestamp", "sequenceNumber", "hash", "previousHash", "version", "payload")
)


def pack_archive(events: Sequence[Event]) -> bytes:
    """Write events as an archive, in the order given."""
    body = f"[{','.join(event_json(event, plain_json(event.payload)) for event in events)}]".encode()
    footer = hashlib.sha256(body).hexdigest().encode()
    return _HEADER.pack(MAGIC, FORMAT_VERSION, len(events)) + zlib.compress(body) + footer


def archive_body(data: bytes, *, name: str = "the archive", max_bytes: int = DEFAULT_MAX_BYTES) -> bytes:
    """Check an archive's frame and return its uncompressed JSON.

    Raises:
        ImportFailed: size, magic, version, stream or footer are wrong, or the body is larger than `max_bytes`.
    """
    count = _declared_count(data, name)
    body = _inflate(data[_HEADER.size : -_FOOTER_BYTES], name, max_bytes)
    expected, actual = data[-_FOOTER_BYTES:], hashlib.sha256(body).hexdigest().encode()
    if expected != actual:
        raise ImportFailed(
            f"{name}: its content does not match its checksum ({count} events declared); fetch it again"
        )
    return body


def unpack_archive(
    data: bytes, *, name: str = "the archive", max_bytes: int = DEFAULT_MAX_BYTES
) -> dict[str, list[Event]]:
    """Read an archive and verify it wholly: frame, shapes, every hash, every link.

    Returns:
        Events by space, in the order of their chains; spaces in the order of their first event.

    Raises:
        ImportFailed: anything is wrong; the message names the archive, the event and the reason.
    """
    body = archive_body(data, name=name, max_bytes=max_bytes)
    try:
        raw = parse_doubles(body.decode())
    except ValueError as error:
        raise ImportFailed(f"{name}: its body is {error}; export it again") from error
    if not isinstance(raw, list):
        raise ImportFailed(f"{name}: its body is no JSON list; export it again")
    count = _declared_count(data, name)
    if len(raw) != count:
        raise ImportFailed(f"{name}: it declares {count} events and holds {len(raw)}; export it again")
    spaces = _by_space(_event(value, number, name) for number, value in enumerate(raw, start=1))
    for space_id, events in spaces.items():
        events.sort(key=lambda event: event.sequence_number)
        _check_chain(space_id, events, name)
    return spaces


def _declared_count(data: bytes, name: str) -> int:
    if len(data) < _HEADER.size + _FOOTER_BYTES:
        raise ImportFailed(f"{name}: {len(data)} bytes are too few for an archive; fetch it again")
    magic, version, count = _HEADER.unpack_from(data)
    if magic != MAGIC:
        raise ImportFailed(
            f"{name}: it is no event archive (it starts with {magic!r}, not {MAGIC!r}); `unspool events export` writes one"
        )
    if version != FORMAT_VERSION:
        raise ImportFailed(f"{name}: archive version {version} is unknown; only {FORMAT_VERSION} can be read")
    return int(count)


def _inflate(stream: bytes, name: str, max_bytes: int) -> bytes:
    """Unpack a zlib stream piece by piece, so that a bomb is refused when it passes the limit, not after."""
    unpacker = zlib.decompressobj()
    parts: list[bytes] = []
    size = 0
    pending = stream
    try:
        while not unpacker.eof:
            part = unpacker.decompress(pending, _CHUNK_BYTES)
            pending = unpacker.unconsumed_tail
            if not part and not pending and not unpacker.eof:
                raise ImportFailed(f"{name}: its body ends too early; fetch it again")
            size += len(part)
            if size > max_bytes:
                raise ImportFailed(
                    f"{name}: its body unpacks to more than {max_bytes} bytes; raise max_bytes if you trust it"
                )
            parts.append(part)
    except zlib.error as error:
        raise ImportFailed(f"{name}: its body is damaged ({error}); fetch it again") from error
    if unpacker.unused_data:
        raise ImportFailed(f"{name}: {len(unpacker.unused_data)} bytes stand after its body; fetch it again")
    return b"".join(parts)


def _event(value: Value, number: int, name: str) -> Event:
    """Build an event from its JSON object, refusing any that is not whole."""
    shown = value.get("id", _NO_ID) if isinstance(value, Mapping) else _NO_ID
    reason = _shape_fault(value)
    if reason is None:
        return Event(
            id=value["id"],
            type=EventType(value["type"]),
            space_id=value["spaceId"],
            timestamp=value["timestamp"],
            sequence_number=int(value["sequenceNumber"]),
            hash=value["hash"],
            previous_hash=value["previousHash"],
            version=int(value["version"]),
            payload=value["payload"],
        )
    raise ImportFailed(
        f"{name}: event {number} ({str(shown)[:80]!r}): {reason}; nothing was imported", event_id=str(shown)
    )


def _shape_fault(value: Value) -> str | None:
    """Say what is wrong with an event's shape; None where nothing is."""
    if not isinstance(value, Mapping):
        return "it is no JSON object"
    if unknown := [key for key in value if key not in _FIELDS]:
        return f"it has the field {unknown[0][:80]!r}, which no event has"
    for field in ("id", "type", "spaceId", "timestamp", "hash"):
        if not isinstance(value.get(field), str) or not value[field]:
            return f"{field} must be text that is not empty"
    if not value["spaceId"].strip():
        return "spaceId must be text that is not blank"
    if value["type"] not in list(EventType):
        return f"{value['type']!r} is no event type"
    for field in ("sequenceNumber", "version"):
        if not is_version(_whole(value.get(field))):
            return f"{field} must be an integer from 1"
    if "previousHash" not in value:
        return "previousHash is missing"
    for field in ("hash", "previousHash"):
        if value[field] is not None and (not isinstance(value[field], str) or not HASH_TEXT.match(value[field])):
            return f"{field} is no SHA-256 in lower-case hex"
    if not isinstance(value.get("payload"), Mapping):
        return "payload must be a JSON object"
    try:
        moment(value["timestamp"])
    except ValueError as error:
        return str(error)
    return None


def _whole(number: Value) -> Value:
    """Take `1.0` for the integer that JavaScript takes it for."""
    return int(number) if isinstance(number, float) and number.is_integer() else number


def _by_space(events: Iterable[Event]) -> dict[str, list[Event]]:
    spaces: dict[str, list[Event]] = {}
    for event in events:
        spaces.setdefault(event.space_id, []).append(event)
    return spaces


def _check_chain(space_id: str, events: Sequence[Event], name: str) -> None:
    previous: Event | None = None
    for event in events:
        link = broken_link(event, previous)
        if link is not None:
            raise ImportFailed(
                f"{name}: event {link.sequence_number} of space {space_id!r}: {link.reason}; nothing was imported",
                event_id=event.id,
            )
        previous = event


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
