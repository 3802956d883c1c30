"""Times as files write them, as nanoseconds since the Unix epoch."""

from __future__ import annotations

import datetime as dt
import decimal
import email.utils
import math
import re
import zoneinfo
from typing import Any, Final

from unspool.model.entries import iso_time as iso_time
from unspool.model.values import Value

NS_PER_SECOND: Final = 1_000_000_000
USUAL_TIME_KEYS: Final = ("timestamp", "timestamp_ns", "time", "ts", "at", "createdAt", "created_at", "datetime", "date",
                          "@timestamp", "eventTime")  # fmt: skip
"""Keys that are believed whatever time they name."""
TIME_KEYS: Final = (*USUAL_TIME_KEYS, "_timestamp", "@t", "__REALTIME_TIMESTAMP", "_SOURCE_REALTIME_TIMESTAMP", "asctime",
                    "timeUnixNano", "observedTimeUnixNano", "timestampMs", "ts_ms", "clusterTime", "occurredAt", "loggedAt",
                    "updated_at", "modified_at", "lastModified")  # fmt: skip
"""Keys a record may keep its time under, in the order they are looked for; letter case, `_`, `-` and `@` do not matter."""
_OF_MAKING: Final = frozenset(("createdAt", "created_at", "at", "date", "datetime", "eventTime", "timestamp_ns"))
"""Of a bare state these tell when something was made, or anything, and not when the state was so."""
PLAUSIBLE_NS: Final = range(946_684_800 * NS_PER_SECOND, 4_102_444_800 * NS_PER_SECOND)
"""The years 2000 to 2099: a number of another size under an unusual name is no time of day."""
_OF_STATES: Final = 3
"""The first of them may name the time of a bare state."""
_HOLDERS: Final = ("metadata", "meta", "header", "event", "log", "headers", "payload", "data", "source")
"""Objects inside a record that may name its time where the record itself does not."""

# Digits before the point tell the unit: seconds have 10 from 2001 to 2286, and each smaller unit three more.
_UNITS: Final = ((10**11, NS_PER_SECOND), (10**14, 1_000_000), (10**17, 1_000))
_INT64: Final = 2**63 - 1
_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_NUMBER: Final = re.compile(r"[-+]?\d+(\.\d+)?", re.ASCII)
_NAMED_ZONES: Final = {"UTC": 0, "GMT": 0, "EST": -5, "EDT": -4, "CST": -6, "CDT": -5, "MST": -7, "MDT": -6, "PST": -8, "PDT": -7,
                       "CET": 1, "CEST": 2, "EET": 2, "EEST": 3, "WET": 0, "WEST": 1, "BST": 1, "JST": 9, "MSK": 3}  # fmt: skip
"""Hours ahead of UTC of names that mean one zone in most files."""
_ZONE: Final = re.compile(r"\s*(?:\[([A-Za-z_+/-]{1,40})\]|\b([A-Z]{3,4}))$", re.ASCII)
_SLASHES: Final = re.compile(r"^(\d{4})/(\d{1,2})/(\d{1,2})(?=\D|$)", re.ASCII)
_SPELLINGS: Final = ("%a %b %d %H:%M:%S %Y", "%d/%b/%Y:%H:%M:%S %z", "%d %b %Y %H:%M:%S", "%b %d %Y %H:%M:%S")
"""Of C, of web servers, and of people."""
_OF_MAIL: Final = re.compile(r"(?:[A-Z][a-z]{2},\s+)?\d{1,2}\s+[A-Z][a-z]{2}\s+\d{4}\s+\d{1,2}:\d{2}", re.ASCII)
_HAS_CLOCK: Final = re.compile(r"\d:\d{2}:\d{2}", re.ASCII)
_LONGEST: Final = 80
_FRACTION: Final = re.compile(r"(?<=:\d\d)[.,](\d+)", re.ASCII)


def _from_number(number: int | float | decimal.Decimal) -> int | None:
    if isinstance(number, float) and not math.isfinite(number):
        return None
    size: Any = abs(number)
    factor = next((factor for limit, factor in _UNITS if size < limit), 1)
    if isinstance(number, int):
        ns = number * factor
    else:
        # By way of decimals 1.1 seconds are 1,100,000,000 ns and not 1,100,000,000.00000009.
        ns = int(decimal.Decimal(repr(number) if isinstance(number, float) else number) * factor)
    return ns if -_INT64 <= ns <= _INT64 else None


def _from_text(text: str) -> int | None:
    text = text.strip()
    if not text or len(text) > _LONGEST:
        return None
    # Eight digits alone are a date such as 20240131, not seconds of the year 1970.
    if _NUMBER.fullmatch(text) and len(text) < 40 and len(text) != 8:
        return _from_number(int(text) if text.lstrip("+-").isdigit() else decimal.Decimal(text))
    fraction = _FRACTION.search(text)
    digits = fraction[1] if fraction else ""
    whole = text if fraction is None else text[: fraction.start()] + text[fraction.end() :]
    moment = _moment(whole)
    if moment is None:
        return None
    return _from_moment(moment, int(digits[:9].ljust(9, "0") or 0) if digits else 0)


def _moment(text: str) -> dt.datetime | None:
    """Read a date and time in one of the spellings that files use, without fractions of seconds."""
    zone = _ZONE.search(text)
    known = None if zone is None else _zone_of(zone)
    bare = text if zone is None or known is None else text[: zone.start()]
    bare = _SLASHES.sub(lambda match: f"{match[1]}-{match[2]:0>2}-{match[3]:0>2}", bare)
    for read in (dt.datetime.fromisoformat, _in_words):
        try:
            moment = read(bare)
        except (ValueError, TypeError, IndexError, OverflowError):
            continue
        return moment.replace(tzinfo=known) if known is not None and moment.tzinfo is None else moment
    return None


def _zone_of(match: re.Match[str]) -> dt.tzinfo | None:
    if match[2] is not None:
        hours = _NAMED_ZONES.get(match[2])
        return None if hours is None else dt.timezone(dt.timedelta(hours=hours))
    try:
        return zoneinfo.ZoneInfo(match[1])
    except (ValueError, OSError, zoneinfo.ZoneInfoNotFoundError):
        return None


def _in_words(text: str) -> dt.datetime:
    if _OF_MAIL.match(text):
        return email.utils.parsedate_to_datetime(text)
    for spelling in _SPELLINGS if _HAS_CLOCK.search(text) else ():
        try:
            # A time without a zone is taken as UTC, later.
            return dt.datetime.strptime(text, spelling)
        except ValueError:
            continue
    raise ValueError(text)


def _from_moment(moment: dt.datetime, extra_ns: int = 0) -> int | None:
    # A time without a zone is taken as UTC; the machine's own zone would make one file mean two histories.
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=dt.UTC)
    since = aware - _EPOCH
    ns = (since.days * 86_400 + since.seconds) * NS_PER_SECOND + since.microseconds * 1_000 + extra_ns
    return ns if -_INT64 <= ns <= _INT64 else None


def to_ns(value: Value) -> int | None:
    """Read a time.

    Args:
        value: seconds, milliseconds, microseconds or nanoseconds since the epoch (told apart by their size), as a
            number or as text, or an ISO 8601 text (without a zone it is UTC), or a datetime.

    Returns:
        Nanoseconds since the Unix epoch, or None where the value is no time that 64 bits can hold.
    """
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int | float):
        return _from_number(value)
    if isinstance(value, str):
        return _from_text(value)
    if isinstance(value, dt.datetime):
        return _from_moment(value)
    if isinstance(value, decimal.Decimal):
        return _from_number(value) if value.is_finite() and abs(value) < _INT64 else None
    return _from_object(value) if isinstance(value, dict) else None


def _from_object(value: dict[str, Value]) -> int | None:
    """Read a time that takes an object: MongoDB's `$date`, `$timestamp` and `$numberLong`, protobuf's seconds and nanos."""
    for key in ("$date", "$numberLong"):
        if key in value and not isinstance(value[key], dict | bool):
            return to_ns(value[key])
    if isinstance(value.get("$date"), dict):
        return _from_object(value["$date"])
    moment = value.get("$timestamp")
    seconds = moment.get("t") if isinstance(moment, dict) else value.get("seconds") if "nanos" in value else None
    nanos = value.get("nanos", 0)
    if type(seconds) is not int or type(nanos) is not int or not 0 <= nanos < NS_PER_SECOND:
        return None
    ns = seconds * NS_PER_SECOND + nanos
    return ns if -_INT64 <= ns <= _INT64 else None


def find_time(record: dict[str, Value], *, of_state: bool = False) -> tuple[str, int] | None:
    """Return the key and time (ns) of the first time a record names, or None.

    Args:
        record: an object.
        of_state: it is a bare state, of which only what tells when it was so counts, and only where it is plausible.

    Returns:
        The key is "" where the time stands inside an object of the record, such as its metadata.
    """
    found = _time_in(record, of_state=of_state)
    if found is not None:
        return found
    for holder in _HOLDERS[: _OF_STATES if of_state else None]:
        inner = record.get(holder)
        inside = _time_in(inner, of_state=of_state) if isinstance(inner, dict) else None
        if inside is not None and inside[1] in PLAUSIBLE_NS:
            return "", inside[1]
    return None


def _time_in(record: dict[str, Value], *, of_state: bool) -> tuple[str, int] | None:
    named = [(place, key) for key in record if (place := _place_of(key)) is not None]
    for place, key in sorted(named, key=lambda item: item[0]):
        name = TIME_KEYS[place]
        is_believed = name in USUAL_TIME_KEYS and not of_state
        ns = None if of_state and name in _OF_MAKING else to_ns(record[key])
        if ns is not None and (is_believed or ns in PLAUSIBLE_NS):
            return key, ns
    return None


def _place_of(key: Value) -> int | None:
    if not isinstance(key, str) or len(key) > _LONGEST:
        return None
    place = _PLACES.get(key)
    return _PLAIN_PLACES.get(key.translate(_MARKS).lower()) if place is None else place


_MARKS: Final = str.maketrans("", "", "_-@")
_PLACES: Final = {key: place for place, key in enumerate(TIME_KEYS)}
_PLAIN_PLACES: Final = {key.translate(_MARKS).lower(): place for key, place in reversed(_PLACES.items())}
