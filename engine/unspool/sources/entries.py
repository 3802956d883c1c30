"""What readers give: entries of a source with their times, what could not be read, and the examination of chains.

Faults are counted in full and listed as far as a person can use them; what a reader does not know is kept in the meta.
Times are read as files write them, and become nanoseconds since the Unix epoch.

A format with chains has a module of its own (`nexus`, `delta_records`, …) that says what is wrong with them. Where
records stand in a row, it is shown each record once, together with what reading it came to.
"""

from __future__ import annotations

import datetime as dt
import decimal
import math
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final, Protocol, runtime_checkable

import msgspec

from unspool.history.verdict import ChainFault, Progress
from unspool.model.entries import NO_META
from unspool.model.entries import iso_time as iso_time
from unspool.model.keys import Path as ValuePath
from unspool.model.keys import format_path
from unspool.model.limits import Cancelled, Limits, in_force
from unspool.model.values import State, Value

LISTED: Final = 200
"""Findings that are listed one by one; the rest are only counted."""


@dataclass(frozen=True, slots=True)
class SourceFinding:
    """One thing a person must know about what was read.

    Attributes:
        place: file, and line, byte offset, commit or row in it.
        message: what is wrong there and what was done about it.
        is_loss: something of the source is not in the history because of it.
    """

    place: str
    message: str
    is_loss: bool = True


@dataclass(slots=True)
class Findings:
    """The findings of one reader.

    `lasting` ones stay for good. A `pending` one stands for something that may still come right (a file caught
    half-written) and goes away when it does. A `growing` one counts something and is reported anew each time.
    """

    lasting: list[SourceFinding] = field(default_factory=list)
    pending: dict[str, SourceFinding] = field(default_factory=dict)
    count: int = 0
    has_loss: bool = False
    growing: dict[str, SourceFinding] = field(default_factory=dict)

    def growing_loss(self, key: str, place: str, message: str) -> None:
        """Remember a loss that becomes more and more; the newest message of a key stands for those before it."""
        self.has_loss = True
        self.growing[key] = SourceFinding(place, message)

    def loss(self, place: str, message: str) -> None:
        """Remember something that could not be read."""
        self._add(SourceFinding(place, message))

    def notice(self, place: str, message: str) -> None:
        """Remember something worth knowing that cost nothing."""
        self._add(SourceFinding(place, message, is_loss=False))

    def _add(self, finding: SourceFinding) -> None:
        self.count += 1
        self.has_loss = self.has_loss or finding.is_loss
        if len(self.lasting) < LISTED:
            self.lasting.append(finding)

    def wait_for(self, key: str, place: str, message: str) -> None:
        """Remember something that may still come right."""
        self.pending[key] = SourceFinding(place, message)

    def came_right(self, key: str) -> None:
        """Forget what was waited for."""
        self.pending.pop(key, None)

    @property
    def is_complete(self) -> bool:
        """Whether everything in the source is in the history."""
        return not self.has_loss and not self.pending

    @property
    def unlisted(self) -> int:
        """How many findings are counted but not listed."""
        return self.count - len(self.lasting)

    def listed(self) -> list[SourceFinding]:
        """Return the findings to show."""
        return [*self.lasting, *self.growing.values(), *self.pending.values()]


Known = Mapping[str, "Known"] | list["Known"] | None | tuple[()]
"""What a format knows of a part of its records: fields by name (`*` for any), items of a list, `SCALAR`, or None: all of it."""
_NOTHING: Final[tuple[Value, ...]] = (None, "", [], {}, False, 0)
SCALAR: Final = ()
"""A text, a number, true, false or null."""
OTHER: Final = "other"
"""In the meta of an entry: parts of its record that the format does not know, by their paths."""


def unknown_parts(record: Value, known: Known) -> dict[str, Value]:
    """Return the parts of a record that its format does not know, by their paths: kept in the meta, none is passed over.

    Args:
        record: the parsed record.
        known: what the format knows of it.
    """
    found: dict[str, Value] = {}
    pending: list[tuple[ValuePath, Value, Known]] = [((), record, known)]
    while pending:
        path, value, shape = pending.pop()
        if shape is None:
            continue
        if isinstance(shape, Mapping) and isinstance(value, dict):
            for key, part in value.items():
                if key in shape or "*" in shape:
                    inner = shape[key] if key in shape else shape["*"]
                    if inner is not None:
                        pending.append(((*path, key), part, inner))
                else:
                    found[format_path((*path, key), root="")] = part
        elif isinstance(shape, list) and isinstance(value, list):
            pending.extend(((*path, place), part, shape[0]) for place, part in enumerate(value))
        elif value not in _NOTHING and (shape != SCALAR or isinstance(value, dict | list)):
            found[format_path(path, root="")] = value
    return found


def with_others(meta: Mapping[str, Value], record: Value, known: Known) -> Mapping[str, Value]:
    """Return the meta of an entry with what its format does not know of its record."""
    others = unknown_parts(record, known)
    return {**meta, OTHER: others} if others else meta


GIT_PREFIX: Final = "git:"
MERGE_PREFIX: Final = "merge:"
STANDARD_INPUT: Final = "-"
VALUE_ATOM: Final = "value"
"""The atom that holds a state which is no JSON object."""
_TEXT_ONLY: Final = frozenset((str,))
TIME_FROM_FILE: Final[Mapping[str, Value]] = {"time_from": "file"}
"""The meta of an entry whose record names no time: it carries the file's modification time instead."""


@dataclass(frozen=True, slots=True)
class Reading:
    """How a foreign source is to be read.

    Attributes:
        format: name of the format; None to detect it.
        follow: the source may grow, and is kept up with.
        poll: look for changes every so many seconds instead of waiting for events.
        folds: how channels that a file stores as writes are folded, by channel (LangGraph).
        limits: bounds of reading.
        stdin: read instead of standard input.
        select: which part of a file that holds several is wanted: a player, a space, a byte order.
        time: where each record has its time; () to look for it under the usual names.
        progress: told how much of how much has been read, as often as an entry comes.
    """

    format: str | None = None
    follow: bool = True
    poll: float | None = None
    folds: Mapping[str, str] = field(default_factory=dict)
    limits: Limits = field(default_factory=in_force)
    stdin: IO[bytes] | None = None
    select: Mapping[str, str] = field(default_factory=dict)
    time: ValuePath = ()
    progress: Callable[[int, int], None] | None = None


class UnusableRecord(Exception):
    """One record of a source cannot be used; the message says why. The reader counts it and goes on."""


@dataclass(frozen=True, slots=True)
class SourceEntry:
    """One entry of a foreign history.

    Attributes:
        state: the whole state, atoms by name; it is recorded before the reader goes on, so it may be changed afterwards.
            Of an entry `is_part`, the atoms that it sets, and `MISSING` for those that it takes away.
        timestamp_ns: nanoseconds since the Unix epoch.
        action: why it happened; may be empty.
        meta: facts the source gives besides.
        entry_id: the source's own id, where it has one.
        parent_id: the source's id of the entry this one follows, where that is not simply the one before.
        part: the atoms that follow that entry, where the state merges several parts and only one went back; None: all.
        is_full: store the whole state, as the source did.
        is_note: it is a note, and the state is that of the entry before it.
        is_part: all atoms that the state does not name are as they were.
    """

    state: Mapping[str, Value]
    timestamp_ns: int
    action: str = ""
    meta: Mapping[str, Value] = field(default_factory=lambda: NO_META)
    entry_id: str | None = None
    parent_id: str | None = None
    part: Collection[str] | None = None
    is_full: bool = False
    is_note: bool = False
    is_part: bool = False


class Reader(Protocol):
    """Reads a foreign history, and reads on when it has grown."""

    findings: Findings

    @property
    def watch_paths(self) -> tuple[Path, ...]:
        """Files whose change means that there may be more."""

    def read(self) -> Iterator[SourceEntry]:
        """Yield the entries that are new since the last call."""

    def progress(self) -> Progress:
        """Say how far reading has come."""

    def close(self) -> None:
        """Let go of files, threads and processes."""


class Interpreter(Protocol):
    """Turns the records of one format (lines of a file, items of a list) into entries, in order."""

    def read(self, record: Value, default_ns: int) -> Iterable[SourceEntry]:
        """Return the entries one record makes.

        Args:
            record: the parsed record.
            default_ns: the time to use where the record names none.

        Raises:
            UnusableRecord: the record makes no sense here; nothing of it was taken over.
        """

    def finish(self) -> Iterable[SourceEntry]:
        """Return entries held back until now; called when all that is there has been read."""

    def notices(self) -> Iterable[tuple[str, bool]]:
        """Return what must be said about the whole, as (message, is_loss); asked after each reading."""


def fits(value: Value, shape: type[msgspec.Struct]) -> bool:
    """Whether a parsed object has the fields that a format asks of it, each of the right type; others may be there.

    Args:
        value: any value.
        shape: the fields; a field with a default may be missing.
    """
    if not isinstance(value, dict):
        return False
    try:
        msgspec.convert({name: value[name] for name in shape.__struct_fields__ if name in value}, shape)
    except (msgspec.ValidationError, UnicodeEncodeError):
        # A lone surrogate where one of several words is expected is none of them.
        return False
    return True


def as_state(value: Value) -> State:
    """Return a document as a state: an object's keys are its atoms, anything else becomes one atom."""
    if isinstance(value, dict) and {*map(type, value)} <= _TEXT_ONLY:
        return value
    return {VALUE_ATOM: value}


SeqOf = Callable[[str], int | None]
"""Gives the number of the entry that the source knows by an id; None where no entry came of it."""
NO_JSON: Final = "it is no JSON"


@runtime_checkable
class NamesItsSource(Protocol):
    """A reader that watches something else than the files and folders that its source consists of."""

    @property
    def source_paths(self) -> tuple[Path, ...]:
        """Those files and folders; empty where there are none, as on a server."""


@runtime_checkable
class ChainedReader(Protocol):
    """A reader that can look at its source's chains a second time."""

    def chain_faults(self, seq_of: SeqOf, total: int, cancelled: Cancelled) -> Iterator[ChainFault]:
        """Yield what is wrong with them.

        Args:
            seq_of: finds entries by the source's own ids.
            total: entries that were read.
            cancelled: called to find out whether to stop.
        """


@dataclass(frozen=True, slots=True)
class Read:
    """One record of a source, and what came of reading it.

    Attributes:
        place: where it stands.
        record: the record; None where it is no JSON.
        seq: number of the entry it made, or before which it would stand.
        made: entries it made.
        problem: why it made none; "" where it did.
    """

    place: str
    record: Value
    seq: int
    made: int
    problem: str = ""

    @property
    def spot(self) -> str:
        """The place without the file's name, for messages that name the file anyway."""
        # Items of a list stand as `FILE: record 3`, lines as `FILE:4 (byte 90)`.
        _, mark, spot = self.place.rpartition(": ")
        return spot if mark else f"line {self.place.rpartition(':')[2]}"

    def fault(self, code: str, message: str, *, last: int | None = None, severity: str | None = None) -> ChainFault:
        """Return something that is wrong with it."""
        return ChainFault(code, self.place, message, self.seq, last, bool(self.problem), severity)


class RecordExaminer(Protocol):
    """Looks at the records of one format in order."""

    def visit(self, read: Read) -> Iterator[ChainFault]:
        """Take the next record and yield what shows at it."""

    def finish(self, total: int) -> Iterator[ChainFault]:
        """Yield what shows only at the end, when so many entries were made."""


Chains = Callable[[], tuple[Interpreter, RecordExaminer]]
"""Makes an interpreter that reads a source a second time, and what looks at its chains meanwhile."""


def examine_records(
    records: Iterable[tuple[str, Value, str]], chains: Chains, cancelled: Cancelled
) -> Iterator[ChainFault]:
    """Read records a second time and yield what is wrong with their chains.

    Args:
        records: place, content and what is the matter with it; "" where it is JSON.
        chains: see `Chains`.
        cancelled: called to find out whether to stop.
    """
    interpreter, examiner = chains()
    seq = 0
    for place, record, problem in records:
        if cancelled():
            return
        made = 0
        if not problem:
            try:
                for _ in interpreter.read(record, 0):
                    made += 1
            except UnusableRecord as error:
                problem = str(error)
        yield from examiner.visit(Read(place, record, seq, made, problem))
        seq += made
    yield from examiner.finish(seq)


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
EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
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
    import zoneinfo  # few sources name a zone, and every command that reads any would wait for it

    try:
        return zoneinfo.ZoneInfo(match[1])
    except (ValueError, OSError, zoneinfo.ZoneInfoNotFoundError):
        return None


def _in_words(text: str) -> dt.datetime:
    if _OF_MAIL.match(text):
        import email.utils  # as `zoneinfo`: few sources spell times as mail does

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
    since = aware - EPOCH
    ns = (since.days * 86_400 + since.seconds) * NS_PER_SECOND + since.microseconds * 1_000 + extra_ns
    return ns if -_INT64 <= ns <= _INT64 else None


def to_ns(value: Value) -> int | None:
    """Read a time.

    Args:
        value: seconds, milliseconds, microseconds or nanoseconds since the epoch (distinguished by their size), as a
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
