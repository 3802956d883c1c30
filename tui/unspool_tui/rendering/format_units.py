"""Sizes, counts, times and durations for people."""

from __future__ import annotations

import datetime as dt
from functools import lru_cache
from typing import Final

_UNITS: Final = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
_SECOND: Final = 10**9
_SPANS: Final = (("d", 24 * 3600e9), ("h", 3600e9), ("min", 60e9), ("s", 1e9), ("ms", 1e6), ("µs", 1e3))


def size(count: int) -> str:
    """Return a byte count such as `412 B`, `48.0 KiB`, `41.2 MiB`."""
    value = float(count)
    for unit in _UNITS:
        if abs(value) < 1000 or unit == _UNITS[-1]:
            return f"{count} B" if unit == "B" else f"{value:.1f} {unit}" if value < 100 else f"{value:.0f} {unit}"
        value /= 1024
    raise AssertionError("unreachable: the last unit always returns")


def ratio(whole: int, part: int) -> str:
    """Return how many times smaller a part is than the whole: `9.4x`."""
    if not part:
        return "–"
    times = whole / part
    return f"{times:.1f}x" if times < 100 else f"{times:,.0f}x"


def smaller(whole: int, part: int) -> str:
    """Return how much smaller than the whole a part is, or how much larger: `9.4x smaller`, `1.2x larger`; empty where one is nothing."""
    if not part or not whole:
        return ""
    return f"{ratio(whole, part)} smaller" if whole >= part else f"{ratio(part, whole)} larger"


def clock(timestamp_ns: int, zone: dt.tzinfo | None) -> str:
    """Return the time of day with milliseconds: `12:04:31.120`."""
    seconds, rest = divmod(timestamp_ns, _SECOND)
    return f"{_time_of_day(seconds, zone)}.{rest // 1_000_000:03}"


@lru_cache(maxsize=256)
def _time_of_day(seconds: int, zone: dt.tzinfo | None) -> str:
    # Where the zone is the machine's own, the system reads its file again for each moment.
    moment = dt.datetime.fromtimestamp(seconds, tz=zone)
    return f"{moment.hour:02}:{moment.minute:02}:{moment.second:02}"


def day_and_clock(timestamp_ns: int, zone: dt.tzinfo | None) -> str:
    """Return month, day and time of day, for histories that go over days: `03-01 12:04:31`."""
    return dt.datetime.fromtimestamp(timestamp_ns // _SECOND, tz=zone).strftime("%m-%d %H:%M:%S")


def short_clock(timestamp_ns: int, before_ns: int | None, zone: dt.tzinfo | None) -> str:
    """Return in five cells when a row of a list was, as a ruler does: the largest part that differs from the row before.

    `:31.1` within a minute, `12:04` where there is no row before or another minute begins, `03-01` where another day
    does, ` 2026` where another year does.

    Args:
        timestamp_ns: when it was.
        before_ns: when the row before was; None where there is none.
        zone: time zone of the clock.
    """
    seconds, rest = divmod(timestamp_ns, _SECOND)
    minute = _minute(seconds, zone)
    if before_ns is None:
        return minute[2]
    for part, before in zip(minute, _minute(before_ns // _SECOND, zone), strict=True):
        if part != before:
            return part
    return f":{seconds % 60:02}.{rest // 100_000_000}"


@lru_cache(maxsize=256)
def _minute(seconds: int, zone: dt.tzinfo | None) -> tuple[str, str, str]:
    moment = dt.datetime.fromtimestamp(seconds, tz=zone)
    return f"{moment.year:>5}", f"{moment.month:02}-{moment.day:02}", f"{moment.hour:02}:{moment.minute:02}"


_MOMENTS: Final = (
    (1000 * 24 * 3600, "%Y-%m"),
    (5 * 24 * 3600, "%Y-%m-%d"),
    (20 * 3600, "%m-%d %H:%M"),
    (20 * 60, "%H:%M"),
    (20, "%H:%M:%S"),
)
"""How moments are told on an axis over so many seconds and more."""


def moment(timestamp_ns: int, zone: dt.tzinfo | None, span_ns: int) -> str:
    """Return a moment in as few characters as tell it apart from others within a span of time."""
    form = next((form for seconds, form in _MOMENTS if span_ns >= seconds * _SECOND), "")
    if not form:
        return clock(timestamp_ns, zone)
    return dt.datetime.fromtimestamp(timestamp_ns // _SECOND, tz=zone).strftime(form)


def day(timestamp_ns: int, zone: dt.tzinfo | None) -> str:
    """Return the date: `2026-03-01`."""
    return dt.datetime.fromtimestamp(timestamp_ns // _SECOND, tz=zone).strftime("%Y-%m-%d")


def duration(nanoseconds: float) -> str:
    """Return a span of time in its largest unit: `1.9 ms`, `3.2 s`, `4 min`, `2 d`."""
    sign, value = "-" if nanoseconds < 0 else "", abs(nanoseconds)
    for unit, length in _SPANS:
        if value >= length:
            amount = value / length
            exact = unit in ("µs", "ms", "s") and amount < 10
            return f"{sign}{amount:.1f} {unit}" if exact else f"{sign}{amount:.0f} {unit}"
    return f"{sign}{value:.0f} ns"


def count(number: int, noun: str) -> str:
    """Return a count with its noun: `1 change`, `3 changes`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
