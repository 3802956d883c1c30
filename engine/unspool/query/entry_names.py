"""How people name entries, paths and lists: by number, offset, share, time, action or bookmark, and ranges of entries;
paths, completed while they are typed; and the lists that identity keys set by hand are for.

One grammar of entries for the command line, the prompts of the app and MCP::

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
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Final

from unspool.delta.identity import canonical_identity, key_paths, pattern_steps
from unspool.errors import CorruptHistory, EntryNotFound, PathSyntaxError, UnspoolError, near_name
from unspool.history.history import History, StateView
from unspool.model.keys import Path, Step, format_path
from unspool.model.paths import (
    PathPattern,
    child_of,
    content_of,
    parse_path,
    parts_of,
    places,
    spell_pattern,
    value_parts,
)
from unspool.model.values import Value

_LOOKED_AT: Final = 12
"""Entries in which a list is looked for: the newest, the first, and some between."""
_MOST_VALUES: Final = 20_000
"""Values of one state that are gone through to name the lists there are."""
_NAMED: Final = 4


def unmatched(history: History, identity: Mapping[str, str] | None) -> tuple[str, ...]:
    """Return a sentence for each identity key that identifies nothing: no such list, or no record with such a key.

    Args:
        history: where to look; an empty history has nothing to say yet.
        identity: keys by pattern of a list's path.

    Raises:
        PathSyntaxError: a pattern is no path.
    """
    wanted = {pattern: key for pattern, key in canonical_identity(identity).items() if key}
    if not wanted or not len(history):
        return ()
    return tuple(filter(None, (_told(history, pattern, key) for pattern, key in wanted.items())))


def _told(history: History, pattern: str, key: str) -> str:
    steps = pattern_steps(pattern)
    met_list = False
    missing = list(key_paths(key))
    fields: dict[str, None] = {}
    seqs = _spread(history.first, len(history))
    for seq in seqs:
        for items in _lists(history, seq, steps):
            met_list = True
            records = [item for item in items if isinstance(item, Mapping)]
            if any(key in record for record in records):
                return ""
            missing = [path for path in missing if not any(_has(record, path) for record in records)]
            if not missing:
                return ""
            fields.update(dict.fromkeys(str(name) for record in records[:_NAMED] for name in record))
    if met_list:
        known = f"they have {', '.join(list(fields)[:_NAMED])}" if fields else "it holds no records"
        # Of a key of several fields, one that is misspelt would leave records apart by the others alone.
        wanted = key if len(missing) == len(key_paths(key)) else format_path(missing[0], root="")
        return f"no record of {pattern}[*] has a key {wanted!r}; {known}"
    return f"there is no list at {pattern} in {_entries(len(seqs))}{_hint(history, pattern)}"


def _has(record: Mapping[str, Value], path: tuple[str, ...]) -> bool:
    """Whether a record has a field at a path inside it."""
    value: Value = record
    for step in path:
        value = value.get(step) if isinstance(value, Mapping) else None
    return value is not None


def _entries(count: int) -> str:
    return "the one entry looked at" if count == 1 else f"the {count} entries looked at"


def _spread(first: int, stop: int) -> list[int]:
    """Return the newest entry, the first, and some between."""
    places = {first + round(place * (stop - first - 1) / (_LOOKED_AT - 1)) for place in range(_LOOKED_AT)}
    return sorted(places, reverse=True)


def _lists(history: History, seq: int, steps: PathPattern) -> Iterator[list[Value]]:
    """Yield the lists that a pattern names in a state; one that cannot be read has none."""
    try:
        for _, value in places(steps, history.view(seq), value_parts, of_lists=True):
            items = content_of(value)
            if isinstance(items, list):
                yield items
    except CorruptHistory:
        return


def _hint(history: History, pattern: str) -> str:
    names = list(dict.fromkeys(islice(_all_lists(history), 200)))
    if not names:
        return "; the newest has no list of records at all"
    from difflib import get_close_matches  # only a name that is none needs it

    near = get_close_matches(pattern, names, n=1, cutoff=0.6)
    return f"; did you mean {near[0]}?" if near else f"; lists of records are at {', '.join(names[:_NAMED])}"


def _all_lists(history: History) -> Iterator[str]:
    """Yield the patterns of the lists of records in the newest state, outer ones first."""
    try:
        state = history.view(-1)
        pending: list[tuple[PathPattern, Value]] = [((name,), state[name]) for name in state]
    except CorruptHistory:
        return
    for place, (steps, value) in enumerate(pending):
        if place == _MOST_VALUES:
            return
        parts = value_parts(value)
        if isinstance(parts, list):
            records = [item for item in parts if isinstance(value_parts(item), dict)]
            if records:
                yield spell_pattern(steps)
            pending.extend(((*steps, None), item) for item in records[:_NAMED])
        elif parts is not None:
            inner = [(step, item) for step, item in parts.items() if value_parts(item) is not None]
            pending.extend(((*steps, None if isinstance(step, int) else step), item) for step, item in inner)


MOST: Final = 200
"""Paths that are offered at once."""
_LONGEST: Final = 2_000
"""Characters of what is typed beyond which nothing is offered."""
_MOST_CUTS: Final = 8
"""Places, from the end, at which the step being typed may begin: an odd key may hold dots and brackets of its own."""
_MOST_LOOKED_AT: Final = 20_000
"""Parts of one value that are held against what is typed."""
_NAME: Final = re.compile(r"[\w.\[\]-]*\Z")
_JMESPATH: Final = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*|\[\d+\])*\Z", re.ASCII)


def completions(state: StateView, typed: str) -> list[str]:
    """Return the paths that begin with what is typed and are at most one step longer, at most `MOST`.

    Args:
        state: the state the path leads into.
        typed: the beginning of a path as `format_path` spells it, with or without the leading `$`.

    Returns:
        Paths that `parse_path` reads, in the order of the state; none where the beginning leads nowhere, and for
        JSON Pointers.
    """
    if len(typed) > _LONGEST or typed.startswith("/"):
        return []
    root = "$" if typed.startswith("$") else ""
    body = typed.removeprefix("$")
    for cut in islice(_cuts(body), _MOST_CUTS):
        steps = _steps_at(state, body[:cut])
        if steps is None:
            continue
        lead = "$" if root or cut else ""
        spelled = (f"{root}{body[:cut]}{format_path((step,), root=lead).removeprefix('$')}" for step in steps)
        found = list(islice((path for path in spelled if path.startswith(typed)), MOST))
        if found:
            return found
    return []


def expression_completions(state: StateView, typed: str) -> list[str]:
    """Return what a JMESPath expression that ends in a path may go on with, as whole expressions, at most `MOST`.

    Args:
        state: the state the expression is asked about.
        typed: the expression so far.
    """
    match = _NAME.search(typed)
    name = match[0] if match is not None else ""
    before = typed[: len(typed) - len(name)]
    if before.count("'") % 2 or before.count("`") % 2 or before.count('"') % 2:
        return []
    return [before + path for path in completions(state, name) if _JMESPATH.match(path)]


def _cuts(body: str) -> Iterator[int]:
    """Yield the places at which the last step may begin, the last one first."""
    yield from (at for at in range(len(body) - 1, 0, -1) if body[at] in ".[")
    yield 0


def _steps_at(state: StateView, text: str) -> Iterable[Step] | None:
    """Return the steps below the value that a path leads to; None where it leads to none, or to a leaf."""
    try:
        path: Path = parse_path(text)
    except PathSyntaxError:
        return None
    if not path:
        return islice(state, _MOST_LOOKED_AT)
    atom, *steps = path
    name = str(atom)
    if name not in state:
        return None
    form = state.encoded(name)
    for step in steps:
        found = child_of(form, step)
        if found is None:
            return None
        form = found[1]
    parts = parts_of(form)
    return None if parts is None else islice(parts if isinstance(parts, dict) else range(len(parts)), _MOST_LOOKED_AT)


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
        return _existing(int(match[1]) if len(match[1]) < 19 else total, first, total, match[1])
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
        return _existing(place - int(match[2] or 1), first, total, text)
    raise NoSuchPlace(f"{text[:40]!r} is no place in the history: try {SHAPES}")


def _existing(seq: int, first: int, total: int, text: str) -> int:
    if not first <= seq < total:
        dropped = "; those before were dropped as `keep` asked" if seq < first else ""
        raise NoSuchPlace(
            f"there is no entry {text[:40]}: the history has entries {first} to {total - 1}{dropped if first else ''}"
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
