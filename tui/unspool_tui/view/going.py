"""What a person types to go somewhere: `838`, `+5`, `-5`, `12:04:32`, `50%`, a date."""

from __future__ import annotations

import datetime as dt
import re
from bisect import bisect_left
from collections.abc import Sequence
from typing import Final

from unspool.errors import UnspoolError

_NUMBER: Final = re.compile(r"#?(\d+)\Z")
_OFFSET: Final = re.compile(r"([+-]\d+)\Z")
_PERCENT: Final = re.compile(r"(\d+(?:\.\d+)?)\s*%\Z")
_CLOCK: Final = re.compile(r"(?:(\d{4}-\d{2}-\d{2})[T ])?(\d{1,2}):(\d{2})(?::(\d{2})(?:[.,](\d{1,9}))?)?\Z")
_DATE: Final = re.compile(r"(\d{4}-\d{2}-\d{2})\Z")
SHAPES: Final = "838, +5, -5, 12:04:32, 2026-03-01 12:04, 50%, first, last"


class NoSuchPlace(UnspoolError, ValueError):
    """Text that names no place in the history; the message says what would."""


def looks_like_place(text: str) -> bool:
    """Say whether text names a place rather than an action."""
    text = text.strip()
    shapes = (_NUMBER, _OFFSET, _PERCENT, _CLOCK, _DATE)
    return text in ("first", "last") or any(shape.match(text) for shape in shapes)


def find_place(text: str, *, head: int, times: Sequence[int], total: int, zone: dt.tzinfo | None = None) -> int:
    """Return the entry that typed text means.

    Args:
        text: a number, an offset from the head, a share of the history, or a clock time (the day of the head unless
            a date is given); a time means the first entry at or after it.
        head: the entry the offset and the day are taken from.
        times: nanoseconds since the epoch, one an entry, ascending.
        total: how many entries there are.
        zone: time zone that clock times are meant in; None is the machine's.

    Raises:
        NoSuchPlace: the text names no place, or one beyond the history.
    """
    text = text.strip()
    if not total:
        raise NoSuchPlace("the history is still empty: there is nowhere to go yet")
    if text in ("first", "last"):
        return 0 if text == "first" else total - 1
    if match := _NUMBER.match(text):
        return _existing(int(match[1]) if len(match[1]) < 19 else total, total)
    if match := _OFFSET.match(text):
        return max(0, min(head + int(match[1][:19]), total - 1))
    if match := _PERCENT.match(text):
        return round(min(float(match[1]), 100.0) / 100 * (total - 1))
    if _CLOCK.match(text) or _DATE.match(text):
        wanted = _moment(text, times[max(0, min(head, total - 1))], zone)
        return min(bisect_left(times, wanted, 0, total), total - 1)
    raise NoSuchPlace(f"{text[:40]!r} is no place in the history: try {SHAPES}")


def _existing(seq: int, total: int) -> int:
    if seq >= total:
        raise NoSuchPlace(f"there is no entry {seq}: the history has entries 0 to {total - 1}")
    return seq


def _moment(text: str, day_of_ns: int, zone: dt.tzinfo | None) -> int:
    date, clock = _DATE.match(text), _CLOCK.match(text)
    try:
        if date is not None:
            moment = dt.datetime.fromisoformat(date[1]).replace(tzinfo=zone)
        elif clock is not None:
            day = dt.datetime.fromtimestamp(day_of_ns // 10**9, tz=zone)
            if clock[1]:
                day = dt.datetime.fromisoformat(clock[1]).replace(tzinfo=zone)
            moment = day.replace(hour=int(clock[2]), minute=int(clock[3]), second=int(clock[4] or 0), microsecond=0)
    except (ValueError, OverflowError):
        raise NoSuchPlace(f"{text[:40]!r} is no time of day: write 12:04:32 or 2026-03-01 12:04:32") from None
    fraction = (clock[5] or "") if clock is not None else ""
    return int(moment.timestamp()) * 10**9 + int(fraction.ljust(9, "0"))
