"""Events, reports about them, and the errors of a log: the values that callers of this room handle.

Errors carry the seven codes of seed 004.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from unspool.errors import EventLogError
from unspool.model.values import Value


class EventLogErrorCode(StrEnum):
    """The seed's error codes, as its results spell them."""

    INTEGRITY_VIOLATION = "INTEGRITY_VIOLATION"
    STORAGE_FULL = "STORAGE_FULL"
    INVALID_QUERY = "INVALID_QUERY"
    INVALID_EVENT = "INVALID_EVENT"
    SNAPSHOT_FAILED = "SNAPSHOT_FAILED"
    IMPORT_FAILED = "IMPORT_FAILED"
    DATABASE_ERROR = "DATABASE_ERROR"


class IntegrityViolation(EventLogError):
    """A link of a hash chain is broken: something was changed, removed or put in after writing."""

    code: ClassVar[EventLogErrorCode] = EventLogErrorCode.INTEGRITY_VIOLATION

    def __init__(self, message: str, *, event_id: str, expected: str | None, actual: str | None) -> None:
        super().__init__(message)
        self.event_id = event_id
        self.expected = expected
        self.actual = actual


class StorageFull(EventLogError):
    """The log's budget, or the disk, has no room for what was to be written."""

    code: ClassVar[EventLogErrorCode] = EventLogErrorCode.STORAGE_FULL

    def __init__(self, message: str, *, used_bytes: int, max_bytes: int) -> None:
        super().__init__(message)
        self.used_bytes = used_bytes
        self.max_bytes = max_bytes


class _FieldError(EventLogError):
    """An error that one named field caused; `field` is spelled as on the wire (`spaceId`)."""

    def __init__(self, message: str, *, field: str) -> None:
        super().__init__(message)
        self.field = field


class InvalidQuery(_FieldError):
    """A question that cannot be asked: a bad cursor, a bad date, an unknown space."""

    code: ClassVar[EventLogErrorCode] = EventLogErrorCode.INVALID_QUERY


class InvalidEvent(_FieldError):
    """An event, or a diff in one, that the log refuses or cannot replay."""

    code: ClassVar[EventLogErrorCode] = EventLogErrorCode.INVALID_EVENT


class BeforeGenesis(InvalidEvent):
    """A source is asked for at a moment at which its space had none yet."""


class SnapshotFailed(EventLogError):
    """A snapshot could not be made: nothing (new) to hold, or the reducer failed."""

    code: ClassVar[EventLogErrorCode] = EventLogErrorCode.SNAPSHOT_FAILED

    def __init__(self, message: str, *, space_id: str) -> None:
        super().__init__(message)
        self.space_id = space_id


class ImportFailed(EventLogError):
    """An archive that was refused; nothing of it was imported."""

    code: ClassVar[EventLogErrorCode] = EventLogErrorCode.IMPORT_FAILED

    def __init__(self, message: str, *, event_id: str | None = None) -> None:
        super().__init__(message)
        self.event_id = event_id


class DatabaseError(EventLogError):
    """The log's file cannot be opened, locked, read or written."""

    code: ClassVar[EventLogErrorCode] = EventLogErrorCode.DATABASE_ERROR

    def __init__(self, message: str, *, operation: str) -> None:
        super().__init__(message)
        self.operation = operation


class EventType(StrEnum):
    """The eleven kinds of event."""

    SPACE_CREATED = "space_created"
    SPACE_EVOLVED = "space_evolved"
    SPACE_FORKED = "space_forked"
    SPACE_DELETED = "space_deleted"
    STATE_CHANGED = "state_changed"
    ACTION_INVOKED = "action_invoked"
    INTENT_SUBMITTED = "intent_submitted"
    INTENT_QUEUED = "intent_queued"
    INTENT_RESOLVED = "intent_resolved"
    USER_FEEDBACK = "user_feedback"
    SYSTEM_EVENT = "system_event"


@dataclass(frozen=True, slots=True)
class EventDraft:
    """An event before the log gives it an id, a number and a place in the chain.

    Attributes:
        type: one of the eleven event types.
        space_id: the space it belongs to; any text that is not blank.
        timestamp: the caller's ISO 8601 time, kept as written.
        payload: a JSON object.
        version: schema version of the payload, from 1.
    """

    type: str
    space_id: str
    timestamp: str
    payload: Mapping[str, Value]
    version: int = 1


@dataclass(frozen=True, slots=True)
class Event:
    """One event as the log holds it.

    Attributes:
        id: unique in the log; a UUID v4 unless the log was given another generator.
        type: one of the eleven event types.
        space_id: the space it belongs to.
        timestamp: the caller's ISO 8601 time, as written.
        sequence_number: number within the space, from 1.
        hash: SHA-256 over the canonical form of all the other fields.
        previous_hash: hash of the event before it in the space; None for the first.
        version: schema version of the payload.
        payload: a JSON object.
    """

    id: str
    type: EventType
    space_id: str
    timestamp: str
    sequence_number: int
    hash: str
    previous_hash: str | None
    version: int
    payload: Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class EventPage:
    """One page of a query's answer.

    Attributes:
        items: the events.
        next_cursor: what asks for the next page; None on the last.
        total: how many events match, over all pages.
    """

    items: tuple[Event, ...]
    next_cursor: str | None
    total: int


@dataclass(frozen=True, slots=True)
class Head:
    """Where a space's chain ends; kept elsewhere, it proves later that no tail was cut off."""

    space_id: str
    sequence_number: int
    hash: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A space's reduced state at one event.

    Attributes:
        id: unique in the log.
        space_id: the space.
        event_sequence_number: the last event in the state.
        timestamp: the time of that event.
        state: what the reducer made of the events so far.
        hash: SHA-256 of the state's canonical form.
    """

    id: str
    space_id: str
    event_sequence_number: int
    timestamp: str
    state: Value
    hash: str


@dataclass(frozen=True, slots=True)
class BrokenLink:
    """Where a chain is broken first.

    Attributes:
        space_id: the space.
        sequence_number: the number at which it shows.
        event_id: the event there; empty where an event is missing.
        reason: what is wrong, in words.
        expected: what would be right (a hash, or a number of events).
        actual: what is there.
    """

    space_id: str
    sequence_number: int
    event_id: str
    reason: str
    expected: str | None
    actual: str | None


@dataclass(frozen=True, slots=True)
class IntegrityReport:
    """What a verification found. `duration` is in milliseconds."""

    valid: bool
    total_events: int
    checked_events: int
    first_broken_link: BrokenLink | None
    duration: float


@dataclass(frozen=True, slots=True)
class SpaceStorage:
    """What one space holds, in events and UTF-8 bytes of JSON."""

    space_id: str
    event_count: int
    estimated_bytes: int


@dataclass(frozen=True, slots=True)
class StorageReport:
    """What the log holds.

    Attributes:
        total_events: number of events.
        total_snapshots: number of snapshots.
        estimated_bytes: UTF-8 bytes of all events and snapshots as JSON.
        oldest_event: timestamp of the earliest event.
        newest_event: timestamp of the latest event.
        spaces: the same by space.
        file_bytes: what the database takes on disk.
    """

    total_events: int
    total_snapshots: int
    estimated_bytes: int
    oldest_event: str | None
    newest_event: str | None
    spaces: tuple[SpaceStorage, ...]
    file_bytes: int = 0


@dataclass(frozen=True, slots=True)
class CompactionReport:
    """What a compaction did; no event is ever deleted.

    Attributes:
        space_id: the space.
        events_compacted: events that the new snapshot covers and the one before did not.
        bytes_saved: by how much the database file shrank, measured; negative where the snapshot cost more.
        snapshot_id: the snapshot that was made.
    """

    space_id: str
    events_compacted: int
    bytes_saved: int
    snapshot_id: str


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What an import did: all of the archive is in the log now."""

    imported_events: int
    skipped_duplicates: int
