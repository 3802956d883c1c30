"""Times as files write them, as nanoseconds since the Unix epoch."""

from __future__ import annotations

import datetime as dt
import decimal
import math
import re
from typing import Any, Final

from unspool.model.values import Value

NS_PER_SECOND: Final = 1_000_000_000
TIME_KEYS: Final = ("timestamp", "timestamp_ns", "time", "ts", "at", "createdAt", "created_at", "datetime", "date",
                    "@timestamp", "eventTime")  # fmt: skip
"""Keys a record may keep its time under, in the order they are looked for."""

# Digits before the point tell the unit: seconds have 10 from 2001 to 2286, and each smaller unit three more.
_UNITS: Final = ((10**11, NS_PER_SECOND), (10**14, 1_000_000), (10**17, 1_000))
_INT64: Final = 2**63 - 1
_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_NUMBER: Final = re.compile(r"[-+]?\d+(\.\d+)?", re.ASCII)
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
    # Eight digits alone are a date such as 20240131, not seconds of the year 1970.
    if _NUMBER.fullmatch(text) and len(text) < 40 and len(text) != 8:
        return _from_number(int(text) if text.lstrip("+-").isdigit() else decimal.Decimal(text))
    fraction = _FRACTION.search(text)
    digits = fraction[1] if fraction else ""
    whole = text if fraction is None else text[: fraction.start()] + text[fraction.end() :]
    try:
        moment = dt.datetime.fromisoformat(whole.replace(" UTC", "Z").replace(" Z", "Z"))
    except ValueError:
        return None
    return _from_moment(moment, int(digits[:9].ljust(9, "0") or 0) if digits else 0)


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
    return None


def find_time(record: dict[str, Value]) -> tuple[str, int] | None:
    """Return the key and time (ns) of the first time a record names, or None."""
    for key in TIME_KEYS:
        if key in record:
            ns = to_ns(record[key])
            if ns is not None:
                return key, ns
    return None


def iso_time(timestamp_ns: int) -> str:
    """Spell nanoseconds since the epoch as ISO 8601 in UTC with microseconds and Z."""
    moment = _EPOCH.replace(tzinfo=None) + dt.timedelta(microseconds=timestamp_ns // 1_000)
    return f"{moment.isoformat(timespec='microseconds')}Z"
