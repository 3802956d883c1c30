"""Timestamps, kept as written and compared as moments, and the options of a log."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from unspool.errors import ConfigError
from unspool.events.database import SCHEMA_VERSION
from unspool.events.records import Event
from unspool.model.values import Value

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
"""Tells the present moment as an ISO 8601 timestamp."""

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
        reducer_name: tells snapshots of one reducer from another's; by default the function's own full name.
        id_generator: makes ids of events and snapshots.
        clock: tells the time where a function is not given one.
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
