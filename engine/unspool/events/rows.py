"""Events as a log keeps them: rows, the hash that ties each to the one before it, and timestamps.

Timestamps are kept as written and compared as moments. The options of a log are here too.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

import zstandard

from unspool.errors import ConfigError
from unspool.events.canonical import PROTO_KEY, canonical_json, has_lone_surrogate, join_surrogates, sha256_hex
from unspool.events.database import PAYLOAD_WORDS, SCHEMA_VERSION, Database, place_of
from unspool.events.records import BrokenLink, DatabaseError, Event, EventType, SpaceStorage, StorageReport
from unspool.model.json_exact import parse_doubles
from unspool.model.values import Value, walk

Moment = bytes
"""A moment as bytes that sort in time order: microseconds since the epoch, then any finer digits."""

_ISO: Final = re.compile(
    r"""(?P<year>[0-9]{4}|[+-][0-9]{6})(?:-(?P<month>[0-9]{2})(?:-(?P<day>[0-9]{2}))?)?
        (?:[Tt ](?P<hour>[0-9]{2}):(?P<minute>[0-9]{2})(?::(?P<second>[0-9]{2})(?:[.,](?P<fraction>[0-9]{1,30}))?)?
        (?P<zone>[Zz]|[+-][0-9]{2}:?[0-9]{2})?)?\Z""",
    re.VERBOSE | re.ASCII,
)
_MONTH_DAYS: Final = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_EPOCH_DAY: Final = 719_468
"""Days from 0000-03-01 to 1970-01-01."""
_BIAS: Final = 2**63


def moment(timestamp: str) -> Moment:
    """Read an ISO 8601 timestamp as a moment.

    Takes what ECMAScript's date format takes (years of four digits or a sign and six; a date alone; minutes,
    seconds or fractions; `Z` or an offset), with fractions of any length. Without an offset it is UTC.

    Raises:
        ValueError: the text is no such date, or names a day or time that does not exist.
    """
    match = _ISO.match(timestamp)
    if match is None or match["year"] == "-000000":
        raise ValueError(f"{timestamp!r} is no ISO 8601 timestamp; write e.g. 2025-01-31T12:00:00.000Z")
    year, month, day = int(match["year"]), int(match["month"] or 1), int(match["day"] or 1)
    hour, minute, second = (int(match[part] or 0) for part in ("hour", "minute", "second"))
    if not (1 <= month <= 12 and 1 <= day <= _days_in(year, month)):
        raise ValueError(f"{timestamp!r} names a day that does not exist")
    fraction = (match["fraction"] or "").rstrip("0")
    is_day_end = hour == 24 and not (minute or second or fraction)
    if (hour > 23 and not is_day_end) or minute > 59 or second > 59:
        raise ValueError(f"{timestamp!r} names a time of day that does not exist")
    seconds = ((_day_number(year, month, day) * 24 + hour) * 60 + minute) * 60 + second - _offset(match["zone"])
    microseconds = seconds * 1_000_000 + int(fraction[:6].ljust(6, "0"))
    return (microseconds + _BIAS).to_bytes(8, "big") + fraction[6:].encode()


def utc_now() -> str:
    """Spell the present moment as an ISO 8601 timestamp with milliseconds, as the original's callers did."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _offset(zone: str | None) -> int:
    """Seconds that a zone is ahead of UTC."""
    if zone is None or zone in "Zz":
        return 0
    hours, minutes = int(zone[1:3]), int(zone[-2:])
    if hours > 23 or minutes > 59:
        raise ValueError(f"{zone!r} is no offset from UTC")
    return (hours * 60 + minutes) * (60 if zone[0] == "+" else -60)


def _days_in(year: int, month: int) -> int:
    is_leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    return 29 if month == 2 and is_leap else _MONTH_DAYS[month - 1]


def _day_number(year: int, month: int, day: int) -> int:
    """Days since 1970-01-01 in the proleptic Gregorian calendar; years start in March so that leap days end them."""
    shifted = year - (month <= 2)
    era, year_of_era = divmod(shifted, 400)
    day_of_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    return era * 146_097 + year_of_era * 365 + year_of_era // 4 - year_of_era // 100 + day_of_year - _EPOCH_DAY


StateReducer = Callable[[Value, Event], Value]
"""Folds one event into a state; the first call gets None. It must not change the state it is given."""
Clock = Callable[[], str]
"""Returns the present moment as an ISO 8601 timestamp."""

DEFAULT_LIMIT: Final = 100
MAX_LIMIT: Final = 1000
DEFAULT_SNAPSHOT_INTERVAL: Final = 100
HASH_ALGORITHM: Final = "SHA-256"


def last_write_wins(_state: Value, event: Event) -> Value:
    """Reduce a space to the payload of its last event (the seed's default)."""
    return dict(event.payload)


def new_uuid() -> str:
    """Make a UUID v4."""
    return str(uuid.uuid4())


@dataclass(frozen=True, slots=True)
class EventLogConfig:
    """How a log behaves.

    Attributes:
        max_events_per_query: the largest page; bigger limits are cut down to it.
        snapshot_interval: a snapshot is made by itself after so many new events of a space; 0 for never.
        state_reducer: folds events into states.
        reducer_name: keeps snapshots of reducers apart; by default the function's own full name.
        id_generator: makes ids of events and snapshots.
        clock: gives the time where a function is not given one.
        max_bytes: budget for `estimated_bytes`; None for none. From 90 % on no new space is opened, at 100 %
            nothing is written.
        schema_version: of the database; this program knows one.
        hash_algorithm: SHA-256 is the only one there is.

    Raises:
        ConfigError: a setting that cannot be honoured.
    """

    max_events_per_query: int = MAX_LIMIT
    snapshot_interval: int = DEFAULT_SNAPSHOT_INTERVAL
    state_reducer: StateReducer = last_write_wins
    reducer_name: str = ""
    id_generator: Callable[[], str] = new_uuid
    clock: Clock = utc_now
    max_bytes: int | None = None
    schema_version: int = SCHEMA_VERSION
    hash_algorithm: str = HASH_ALGORITHM

    def __post_init__(self) -> None:
        if self.max_events_per_query < 1:
            raise ConfigError(f"max_events_per_query {self.max_events_per_query} must be at least 1")
        if self.snapshot_interval < 0:
            raise ConfigError(f"snapshot_interval {self.snapshot_interval} must be 0 (never) or more")
        if self.schema_version != SCHEMA_VERSION:
            raise ConfigError(f"schema_version {self.schema_version} is unknown; only {SCHEMA_VERSION} exists")
        if self.hash_algorithm != HASH_ALGORITHM:
            raise ConfigError(f"hash_algorithm {self.hash_algorithm!r} is unknown; only {HASH_ALGORITHM} exists")
        if not self.reducer_name:
            name = f"{self.state_reducer.__module__}.{getattr(self.state_reducer, '__qualname__', 'reducer')}"
            object.__setattr__(self, "reducer_name", name)


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
    return any(isinstance(value, Mapping) and PROTO_KEY in value for value in walk(payload))


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
HASH_TEXT: Final = re.compile(r"[0-9a-f]{64}\Z")
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
    if not HASH_TEXT.match(text):
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
