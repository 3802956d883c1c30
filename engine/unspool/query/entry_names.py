"""How people name entries: by number, offset, share, time, action or bookmark, and ranges of them.

One grammar for the command line, the prompts of the app and MCP::

    94  #94         an entry by its number        latest  last  first   the ends of the history
    -1              from the end (command line)   +5  -5              from the head (app)
    latest~3  94~1  entries before another        50%                 a share of the history
    12:00:18        the first entry at or after a time of the head's day; 2026-03-01 12:04 and 2026-03-01 too
    2026-03-01T12:04:32Z                          a time with its zone
    mark:2          the second bookmark           :/tea  tea          the newest entry whose action holds a text
    90..94  94..  ..94                            a range, both ends included
"""

from __future__ import annotations

import datetime as dt
import re
from bisect import bisect_left
from collections.abc import Sequence
from typing import Final

from unspool.errors import EntryNotFound, UnspoolError
from unspool.history.history import History
from unspool.query.errors import near_name

_NUMBER: Final = re.compile(r"#?(\d+)\Z")
_OFFSET: Final = re.compile(r"([+-]\d+)\Z")
_PERCENT: Final = re.compile(r"(\d+(?:\.\d+)?)\s*%\Z")
_CLOCK: Final = re.compile(r"(?:(\d{4}-\d{2}-\d{2})[T ])?(\d{1,2}):(\d{2})(?::(\d{2})(?:[.,](\d{1,9}))?)?\Z")
_DATE: Final = re.compile(r"(\d{4}-\d{2}-\d{2})\Z")
_ZONED: Final = re.compile(r"\d{4}-\d{2}-\d{2}[T ]\d{1,2}:\d{2}.*(?:[zZ]|[+-]\d{2}:?\d{2})\Z")
_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_BEFORE: Final = re.compile(r"(.+?)~(\d{1,18})?\Z", re.DOTALL)
_MARK: Final = re.compile(r"mark:(\d{1,9})\Z")
_NEWEST: Final = ("latest", "last", "newest")
_OLDEST: Final = ("first", "oldest")
SHAPES: Final = "838, +5, -5, 12:04:32, 2026-03-01 12:04, 50%, latest~3, first, last"
NAMES: Final = "a number, -1, latest, 94~1, a time such as 12:00:18, mark:1, or words of its action"
"""The names that the command line takes, for messages."""
_MOST_ACTIONS: Final = 200_000
"""Entries whose actions are looked at for one of a like name."""


class NoSuchPlace(UnspoolError, ValueError):
    """Text that names no place in the history; the message says what would."""


def looks_like_place(text: str) -> bool:
    """Whether text names a place by number, time or word rather than by an action."""
    text = text.strip()
    before = _BEFORE.match(text)
    shapes = (_NUMBER, _OFFSET, _PERCENT, _CLOCK, _DATE, _ZONED, _MARK)
    return (
        text in _NEWEST
        or text in _OLDEST
        or any(shape.match(text) for shape in shapes)
        or (before is not None and looks_like_place(before[1]))
    )


def find_place(
    text: str,
    *,
    head: int,
    times: Sequence[int],
    total: int,
    zone: dt.tzinfo | None = None,
    first: int = 0,
    bookmarks: Sequence[int] = (),
) -> int:
    """Return the entry that typed text means.

    Args:
        text: a number, an offset from the head, a share of the history, a clock time (the day of the head unless
            a date is given), a bookmark, or one of these with `~N` for so many entries before; a time means the first
            entry at or after it.
        head: the entry the offset and the day are taken from.
        times: nanoseconds since the epoch, one an entry, ascending.
        total: one past the newest entry.
        zone: time zone that clock times are meant in; None is the machine's.
        first: the oldest entry.
        bookmarks: marked entries, ascending.

    Raises:
        NoSuchPlace: the text names no place, or one beyond the history.
    """
    text = text.strip()
    if not total:
        raise NoSuchPlace("the history is still empty: there is nowhere to go yet")
    if text in _OLDEST or text in _NEWEST:
        return first if text in _OLDEST else total - 1
    if match := _NUMBER.match(text):
        return _existing(int(match[1]) if len(match[1]) < 19 else total, first, total)
    if match := _OFFSET.match(text):
        return max(first, min(head + int(match[1][:19]), total - 1))
    if match := _PERCENT.match(text):
        return first + round(min(float(match[1]), 100.0) / 100 * (total - first - 1))
    if match := _MARK.match(text):
        return _bookmark(int(match[1]), bookmarks)
    if _CLOCK.match(text) or _DATE.match(text) or _ZONED.match(text):
        wanted = _moment(text, times[max(first, min(head, total - 1))], zone)
        seq = bisect_left(times, wanted, first, total)
        if seq == total:
            raise NoSuchPlace(f"no entry is at or after {text[:40]}; the newest, entry {total - 1}, is before it")
        return seq
    if (match := _BEFORE.match(text)) and looks_like_place(match[1]):
        place = find_place(match[1], head=head, times=times, total=total, zone=zone, first=first, bookmarks=bookmarks)
        return _existing(place - int(match[2] or 1), first, total)
    raise NoSuchPlace(f"{text[:40]!r} is no place in the history: try {SHAPES}")


def _existing(seq: int, first: int, total: int) -> int:
    if not first <= seq < total:
        dropped = "; those before were dropped as `keep` asked" if seq < first else ""
        raise NoSuchPlace(
            f"there is no entry {seq}: the history has entries {first} to {total - 1}{dropped if first else ''}"
        )
    return seq


def _bookmark(number: int, bookmarks: Sequence[int]) -> int:
    if not 1 <= number <= len(bookmarks):
        there = f"it has {len(bookmarks)}" if bookmarks else "it has none; `b` in the app sets one"
        raise NoSuchPlace(f"there is no bookmark {number} in this history: {there}")
    return bookmarks[number - 1]


def _moment(text: str, day_of_ns: int, zone: dt.tzinfo | None) -> int:
    if _ZONED.match(text):
        try:
            zoned = dt.datetime.fromisoformat(text)
        except ValueError:
            raise NoSuchPlace(f"{text[:40]!r} is no time: write 2026-03-01T12:04:32Z") from None
        since = zoned - _EPOCH
        return ((since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds) * 1_000
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


def names_time(text: str) -> bool:
    """Whether a word names a time."""
    text = text.strip()
    return any(shape.match(text) for shape in (_CLOCK, _DATE, _ZONED))


def time_named(text: str, day_of_ns: int, zone: dt.tzinfo | None = dt.UTC) -> int:
    """Return the time, in nanoseconds since the epoch, that a word means.

    Args:
        text: a time for which `names_time` is true.
        day_of_ns: the day that a time without a date is of, as any time of it.
        zone: the zone of a time that names none.

    Raises:
        NoSuchPlace: there is no such time.
    """
    return _moment(text.strip(), day_of_ns, zone)


def entry_named(history: History, text: str | int, *, bookmarks: Sequence[int] = ()) -> int:
    """Return the entry that a word of the command line means.

    Args:
        history: where it is looked for; it must have been read as far as the answer shall reach.
        text: see the module; negative numbers count from the end, clock times are UTC as every listing prints them.
        bookmarks: marked entries, ascending.

    Raises:
        EntryNotFound: there is no such entry; the message names what there is.
    """
    if isinstance(text, int):
        return history.resolve(text)
    word = text.strip()
    if _OFFSET.match(word) and len(word) < 20:
        return history.resolve(int(word))
    if (match := _NUMBER.match(word)) and len(match[1]) < 19:
        return history.resolve(int(match[1]))
    if not len(history):
        return history.resolve(-1)
    if looks_like_place(word):
        times = history.columns().timestamp_ns
        total = min(len(times), len(history))
        try:
            return find_place(
                word, head=total - 1, times=times, total=total, zone=dt.UTC, first=history.first, bookmarks=bookmarks
            )
        except NoSuchPlace as error:
            raise EntryNotFound(f"{history.source_name}: {error}") from None
    return _by_action(history, word.removeprefix(":/"))


def _by_action(history: History, text: str) -> int:
    """Return the newest entry whose action holds a text; letter case counts where the text has some."""
    find = str.lower if text == text.lower() else str
    newest = len(history) - 1
    if text:
        for seq in range(newest, history.first - 1, -1):
            if text in find(history.action(seq)):
                return seq
    seen = {history.action(seq) for seq in range(newest, max(history.first, newest - _MOST_ACTIONS) - 1, -1)}
    near = near_name(text, sorted(seen - {""})[:10_000])
    meant = f"; did you mean {near[:80]!r}?" if near else f"; write {NAMES}"
    raise EntryNotFound(f"{history.source_name}: no entry is called {text[:80]!r}, and no action holds it{meant}")


def is_range(text: str) -> bool:
    """Whether a word names a range of entries."""
    return ".." in text


def range_named(history: History, text: str, *, bookmarks: Sequence[int] = ()) -> tuple[int, int]:
    """Return the first and the last entry of a range such as `90..94`, `94..` or `..94`.

    Raises:
        EntryNotFound: one of its ends is no entry, or the range is the wrong way round.
    """
    start, _, stop = text.partition("..")
    first = entry_named(history, start, bookmarks=bookmarks) if start.strip() else history.first
    last = entry_named(history, stop, bookmarks=bookmarks) if stop.strip() else history.resolve(-1)
    if first > last:
        raise EntryNotFound(
            f"{text!r} ends before it begins: entry {first} is after entry {last}; write {last}..{first}"
        )
    return first, last
