"""Timestamps: ISO 8601 texts, kept as written and compared as moments (E-16, E-53)."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

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
