"""The hash that ties an event to the one before it."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final

import zstandard

from unspool.events.canonical import PROTO_KEY, canonical_json, has_lone_surrogate, join_surrogates, sha256_hex
from unspool.events.database import PAYLOAD_WORDS, Database, place_of
from unspool.events.errors import DatabaseError
from unspool.events.moments import moment
from unspool.events.records import BrokenLink, Event, EventType, SpaceStorage, StorageReport
from unspool.model.json_exact import parse_doubles
from unspool.model.values import Value

GAP: Final = "an event is missing or out of order"
"""What the reason of a broken link begins with where numbers do not follow each other."""


def event_hash(event: Event) -> str:
    """Hash an event: SHA-256 over the canonical form of all its fields but the hash itself."""
    return sha256_hex(
        canonical_json(
            {
                "id": event.id,
                "payload": event.payload,
                "previousHash": event.previous_hash,
                "sequenceNumber": event.sequence_number,
                "spaceId": event.space_id,
                "timestamp": event.timestamp,
                "type": event.type.value,
                "version": event.version,
            }
        )
    )


def sealed(event: Event) -> Event:
    """Return the event with its hash filled in."""
    return replace(event, hash=event_hash(event))


def broken_link(event: Event, previous: Event | None) -> BrokenLink | None:
    """Say what is wrong with an event as the follower of `previous` (None: as the first of its space)."""
    expected_number = previous.sequence_number + 1 if previous else 1
    if event.sequence_number != expected_number:
        reason = f"{GAP}: number {event.sequence_number} stands where {expected_number} is due"
        return _link(event, reason, previous.hash if previous else None, event.previous_hash)
    expected_hash = previous.hash if previous else None
    if event.previous_hash != expected_hash:
        return _link(event, "it does not follow the event before it", expected_hash, event.previous_hash)
    recomputed = event_hash(event)
    if event.hash != recomputed:
        return _link(event, "its content does not match its hash", recomputed, event.hash)
    if _holds_uncovered(event.payload):
        return _link(event, f"its payload has a key {PROTO_KEY!r}, whose content no hash covers", None, event.hash)
    return None


def _holds_uncovered(payload: Value) -> bool:
    """Whether a payload holds what the canonical form leaves out: anybody could have put it there afterwards."""
    pending = [payload]
    while pending:
        value = pending.pop()
        if isinstance(value, Mapping):
            if PROTO_KEY in value:
                return True
            pending.extend(value.values())
        elif isinstance(value, list | tuple):
            pending.extend(value)
    return False


def _link(event: Event, reason: str, expected: str | None, actual: str | None) -> BrokenLink:
    return BrokenLink(event.space_id, event.sequence_number, event.id, reason, expected, actual)


class StoragePressureLevel(StrEnum):
    """How full the budget is."""

    NORMAL = "NORMAL"
    COMPACT = "COMPACT"
    EXPORT_PROMPT = "EXPORT_PROMPT"
    AGGRESSIVE = "AGGRESSIVE"
    BLOCKED = "BLOCKED"


@dataclass(frozen=True, slots=True)
class StoragePressure:
    """A level, the part of the budget in use (at most 1), and what to do."""

    level: StoragePressureLevel
    usage_ratio: float
    recommendation: str


BLOCKED_RATIO: Final = 0.9
_LEVELS: Final = (
    (
        BLOCKED_RATIO,
        StoragePressureLevel.BLOCKED,
        "open no new space; export old ones to archives or raise the budget",
    ),
    (0.8, StoragePressureLevel.AGGRESSIVE, "export old spaces to archives now"),
    (0.7, StoragePressureLevel.EXPORT_PROMPT, "offer to export old spaces to archives"),
    (0.5, StoragePressureLevel.COMPACT, "compact spaces that are seldom read"),
    (0.0, StoragePressureLevel.NORMAL, "nothing to do"),
)


def get_storage_pressure(report: StorageReport, available_bytes: int) -> StoragePressure:
    """Weigh a report against a budget.

    Args:
        report: what the log holds; its `estimated_bytes` count.
        available_bytes: the budget; zero or less is no budget at all, and blocks.
    """
    if available_bytes <= 0:
        return StoragePressure(StoragePressureLevel.BLOCKED, 1.0, "there is no budget; give the log some room")
    ratio = min(report.estimated_bytes / available_bytes, 1.0)
    level, advice = next((level, advice) for floor, level, advice in _LEVELS if ratio >= floor)
    return StoragePressure(level, ratio, advice)


def used_bytes(database: Database) -> int:
    """Return the UTF-8 bytes of all events and snapshots as JSON."""
    with database.reading():
        return int(
            database.value(
                "SELECT (SELECT coalesce(sum(bytes), 0) FROM spaces) + (SELECT coalesce(sum(bytes), 0) FROM snapshots)"
            )
        )


def storage_report(database: Database) -> StorageReport:
    """Count what the log holds, in all and by space; bytes are counted, not guessed."""
    with database.reading() as connection:
        spaces = connection.execute(
            "SELECT space_id, (SELECT count(*) FROM events WHERE place > spaces.space * 4294967296"
            " AND place < (spaces.space + 1) * 4294967296), bytes FROM spaces ORDER BY space"
        ).fetchall()
        oldest = database.value("SELECT timestamp FROM events ORDER BY moment, place LIMIT 1")
        newest = database.value("SELECT timestamp FROM events ORDER BY moment DESC, place DESC LIMIT 1")
        return StorageReport(
            total_events=sum(row[1] for row in spaces),
            total_snapshots=database.value("SELECT count(*) FROM snapshots"),
            estimated_bytes=used_bytes(database),
            oldest_event=oldest,
            newest_event=newest,
            spaces=tuple(SpaceStorage(unpack_text(space_id), count, size) for space_id, count, size in spaces),
            file_bytes=database.file_bytes(),
        )


_UUID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\Z")
_HASH: Final = re.compile(r"[0-9a-f]{64}\Z")
_UUID_BYTES: Final = 16
_ODD_TEXT: Final = bytes(_UUID_BYTES)
_MIN_COMPRESSED: Final = 48
_MAX_CONTENT_BYTES: Final = 1 << 30
"""No row may claim to unpack into more: a damaged frame must not take all memory."""

Packed = str | bytes


def pack_text(text: str) -> Packed:
    """Pack any text, half characters included."""
    if has_lone_surrogate(text):
        return _ODD_TEXT + join_surrogates(text).encode("utf-8", "surrogatepass")
    return join_surrogates(text)


def unpack_text(packed: Packed) -> str:
    """Undo `pack_text`.

    Raises:
        DatabaseError: the column holds neither text nor bytes.
    """
    if not isinstance(packed, str | bytes):
        raise _damaged("an id", f"{packed!r} is no text")
    return packed if isinstance(packed, str) else packed[_UUID_BYTES:].decode("utf-8", "surrogatepass")


def pack_id(text: str) -> Packed:
    """Pack an id: a UUID as its bytes, other text as text."""
    return uuid.UUID(text).bytes if _UUID.match(text) else pack_text(text)


def unpack_id(packed: Packed) -> str:
    """Undo `pack_id`."""
    if isinstance(packed, bytes) and len(packed) == _UUID_BYTES:
        return str(uuid.UUID(bytes=packed))
    return unpack_text(packed)


def pack_hash(text: str) -> bytes:
    """Pack a hash of 64 lower-case hex digits.

    Raises:
        ValueError: it is no such text.
    """
    if not _HASH.match(text):
        raise ValueError(f"{text[:80]!r} is no SHA-256 in lower-case hex")
    return bytes.fromhex(text)


class JsonColumn:
    """Packs and unpacks JSON text. Not for use by two threads at once."""

    def __init__(self) -> None:
        words = zstandard.ZstdCompressionDict(PAYLOAD_WORDS, dict_type=zstandard.DICT_TYPE_RAWCONTENT)
        words.precompute_compress(level=9)
        self._compressor = zstandard.ZstdCompressor(level=9, dict_data=words, write_checksum=False)
        self._decompressor = zstandard.ZstdDecompressor(dict_data=words)

    def pack(self, text: str) -> Packed:
        """Return the text, or its zstd frame where that is smaller."""
        encoded = text.encode()
        if len(encoded) < _MIN_COMPRESSED:
            return text
        frame = self._compressor.compress(encoded)
        return frame if len(frame) < len(encoded) else text

    def unpack(self, packed: Packed, place: str) -> Value:
        """Read a column back.

        Raises:
            DatabaseError: the column is damaged; the message names `place`.
        """
        try:
            return parse_doubles(packed if isinstance(packed, str) else self._text(packed))
        except (zstandard.ZstdError, ValueError, TypeError, MemoryError) as error:
            raise _damaged(place, error) from error

    def _text(self, frame: bytes) -> str:
        if zstandard.frame_content_size(frame) > _MAX_CONTENT_BYTES:
            raise ValueError("it claims to be larger than any event")
        return self._decompressor.decompress(frame).decode()


def event_of(row: tuple[Any, ...], column: JsonColumn) -> Event:
    """Build an event from a row of the view `chain`.

    Raises:
        DatabaseError: the row cannot be an event, or contradicts its own place or time.
    """
    space_id, sequence, packed_id, event_type, timestamp, version, previous_hash, own_hash, payload, *_ = row
    place = f"event {sequence} of space {space_id!r}"
    try:
        fault = _misfiled(row)
        event = Event(
            id=unpack_id(packed_id),
            type=EventType(event_type),
            space_id=unpack_text(space_id),
            timestamp=timestamp,
            sequence_number=sequence,
            hash=own_hash.hex(),
            previous_hash=None if previous_hash is None else previous_hash.hex(),
            version=version,
            payload=column.unpack(payload, place),
        )
    except (ValueError, AttributeError, TypeError) as error:
        raise _damaged(place, error) from error
    if fault is not None:
        raise _damaged(place, fault)
    return event


def _misfiled(row: tuple[Any, ...]) -> str | None:
    """Whether a row stands where another belongs: reading goes on from place to place, and by time."""
    _, sequence, _, _, timestamp, _, _, _, _, place, space, filed, *_ = row
    if place != place_of(space, sequence):
        return "it stands at another event's place"
    return None if filed == moment(timestamp) else "it is filed under another time than its own"


def _damaged(place: str, reason: object) -> DatabaseError:
    return DatabaseError(
        f"{place} is damaged ({reason}); restore the log from a copy or an archive", operation="read"
    )
