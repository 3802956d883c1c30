"""What can go wrong in an event log, under the seven codes of seed 004."""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar

from unspool.errors import EventLogError


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
