"""Events in the log: appended, each joining the chain of hashes, and read by space, type and time in pages."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from unspool.errors import UnsupportedValue
from unspool.events.canonical import MAX_EXACT_INTEGER, PROTO_KEY, join_surrogates, plain_json
from unspool.events.database import Database, place_of
from unspool.events.records import (
    DatabaseError,
    Event,
    EventDraft,
    EventPage,
    EventType,
    IntegrityViolation,
    InvalidEvent,
    InvalidQuery,
    StorageFull,
)
from unspool.events.rows import (
    BLOCKED_RATIO,
    JsonColumn,
    Moment,
    Packed,
    broken_link,
    event_of,
    moment,
    pack_hash,
    pack_id,
    pack_text,
    sealed,
    used_bytes,
)
from unspool.model.json_exact import parse_doubles
from unspool.model.keys import Path, format_path
from unspool.model.values import Value

MAX_VERSION: Final = MAX_EXACT_INTEGER
_SHOWN_STEPS: Final = 8
"""Only so many last steps of a path are kept: a document may be 10,000 levels deep."""


def checked_type(value: object) -> EventType:
    """Read an event type.

    Raises:
        InvalidEvent: it is none of the eleven.
    """
    try:
        return EventType(str(value))
    except ValueError:
        known = ", ".join(EventType)
        raise InvalidEvent(f"{value!r} is no event type; use one of {known}", field="type") from None


def check_draft(draft: EventDraft) -> None:
    """Refuse what could not be stored and verified as given.

    Raises:
        InvalidEvent: naming the field as the wire spells it, and the place inside a payload.
    """
    if not isinstance(draft.space_id, str) or not draft.space_id.strip():
        raise InvalidEvent("an event needs a spaceId: text that is not blank", field="spaceId")
    checked_type(draft.type)
    check_timestamp(draft.timestamp, field="timestamp")
    if not is_version(draft.version):
        raise InvalidEvent(f"version {draft.version!r} must be an integer from 1", field="version")
    check_payload(draft.payload)


def check_timestamp(timestamp: object, *, field: str) -> None:
    """Refuse what is no ISO 8601 timestamp.

    Raises:
        InvalidEvent: naming `field`.
    """
    if not isinstance(timestamp, str):
        raise InvalidEvent(f"{field} {timestamp!r} must be ISO 8601 text", field=field)
    try:
        moment(timestamp)
    except ValueError as error:
        raise InvalidEvent(f"{field} {error}", field=field) from None


def is_version(version: object) -> bool:
    """Whether a version is a positive integer (1.5, booleans and text are not)."""
    return isinstance(version, int) and not isinstance(version, bool) and 1 <= version <= MAX_VERSION


def check_payload(payload: object) -> None:
    """Refuse a payload that is no JSON object, or holds what would read back as something else.

    Raises:
        InvalidEvent: naming the place, e.g. `payload.items[3]`.
    """
    if not isinstance(payload, Mapping):
        raise InvalidEvent(f"the payload is {_kind(payload)}; it must be a JSON object", field="payload")
    pending: list[tuple[Value, Path]] = [(payload, ())]
    seen: set[int] = set()
    while pending:
        value, path = pending.pop()
        if not isinstance(value, Mapping | list | tuple):
            _check_leaf(value, path)
        elif id(value) not in seen:
            # A part met before is checked already; writing the canonical form finds out whether it holds itself.
            seen.add(id(value))
            for step, child in value.items() if isinstance(value, Mapping) else enumerate(value):
                if isinstance(value, Mapping):
                    _check_key(step, path)
                pending.append((child, (*path[-_SHOWN_STEPS:], step)))


def _check_key(key: object, path: Path) -> None:
    if not isinstance(key, str):
        raise _refused(path, f"has the key {key!r}, which is no text")
    if key == PROTO_KEY:
        raise _refused(path, f"has the key {PROTO_KEY!r}, which no hash can cover; rename it")


def _check_leaf(value: Value, path: Path) -> None:
    if isinstance(value, str | bool) or value is None:
        return
    if isinstance(value, float):
        if not math.isfinite(value):
            raise _refused(path, f"is {value}, which JSON lacks; write null or text")
        return
    if not isinstance(value, int):
        raise _refused(path, f"is {_kind(value)}, which JSON lacks")
    if abs(value) > MAX_EXACT_INTEGER and not _is_exact_double(value):
        raise _refused(path, f"is {str(value)[:40]}, which no double holds exactly; write it as text")


def _is_exact_double(value: int) -> bool:
    try:
        return int(float(value)) == value
    except OverflowError:
        return False


def _kind(value: object) -> str:
    return "null" if value is None else f"of type {type(value).__name__}"


def _refused(path: Path, reason: str) -> InvalidEvent:
    return InvalidEvent(f"{format_path(path, root='payload')} {reason}", field="payload")


@dataclass(frozen=True, slots=True)
class SpaceRow:
    """A space as the log keeps it: its number, and the head pointer that shows a cut tail."""

    space: int
    head_sequence: int
    head_hash: str
    latest_moment: Moment


def find_space(database: Database, space_id: str) -> SpaceRow | None:
    """Look up a space; None where the log has no event of it."""
    with database.reading() as connection:
        row = connection.execute(
            "SELECT space, head_sequence, head_hash, latest_moment FROM spaces WHERE space_id = ?",
            (pack_text(space_id),),
        ).fetchone()
    if row is None:
        return None
    if (
        not (isinstance(row[0], int) and isinstance(row[1], int))
        or not isinstance(row[2], bytes)
        or not isinstance(row[3], bytes)
    ):
        raise DatabaseError(
            f"{database.path}: space {space_id!r} is damaged; restore the log from a copy or an archive",
            operation="read",
        )
    return SpaceRow(row[0], row[1], row[2].hex(), row[3])


def append(
    database: Database,
    column: JsonColumn,
    drafts: Sequence[EventDraft],
    new_id: Callable[[], str],
    max_bytes: int | None,
) -> list[Event]:
    """Write events, all or none: numbered, chained and hashed in the order given.

    Raises:
        InvalidEvent: a draft is refused, or the id generator made an id that is taken.
        IntegrityViolation: the chain that is to be continued is broken at its end.
        StorageFull: the budget has no room.
    """
    for draft in drafts:
        check_draft(draft)
    written: list[Event] = []
    with database.writing():
        ends: dict[str, Event | None] = {}
        for draft in drafts:
            if draft.space_id not in ends:
                ends[draft.space_id] = checked_end(database, column, draft.space_id)
            event = _next_event(draft, ends[draft.space_id], new_id())
            insert(database, column, event, max_bytes)
            ends[draft.space_id] = event
            written.append(event)
    return written


def checked_end(database: Database, column: JsonColumn, space_id: str) -> Event | None:
    """Return the last event of a space after checking it against the head pointer and its own hash.

    Raises:
        IntegrityViolation: the end of the chain is not what was written.
    """
    space = find_space(database, space_id)
    if space is None:
        return None
    with database.reading() as connection:
        rows = connection.execute(
            "SELECT * FROM chain WHERE place > ? AND place < ? ORDER BY place DESC LIMIT 2",
            (place_of(space.space, 0), place_of(space.space + 1, 0)),
        ).fetchall()
        events = [event_of(row, column) for row in rows]
    last = events[0] if events else None
    if last is None or (last.sequence_number, last.hash) != (space.head_sequence, space.head_hash):
        raise IntegrityViolation(
            f"{database.path}: the end of space {space_id!r} is not what was written last;"
            " verify the log and restore it from a copy or an archive",
            event_id=last.id if last else "",
            expected=space.head_hash,
            actual=last.hash if last else None,
        )
    link = broken_link(last, events[1] if len(events) > 1 else None)
    if link is not None:
        raise IntegrityViolation(
            f"{database.path}: event {link.sequence_number} of space {space_id!r}: {link.reason};"
            " restore the log from a copy or an archive",
            event_id=link.event_id,
            expected=link.expected,
            actual=link.actual,
        )
    return last


def insert(database: Database, column: JsonColumn, event: Event, max_bytes: int | None) -> None:
    """Store a finished event and move its space's head to it, in one transaction.

    Raises:
        InvalidEvent: the id is taken.
        StorageFull: the budget has no room.
    """
    text = plain_json(event.payload)
    size = len(event_json(event, text).encode())
    own_moment = moment(event.timestamp)
    with database.writing() as connection:
        found = find_space(database, event.space_id)
        _check_budget(database, size, max_bytes, is_new_space=found is None)
        space = found or _open_space(database, event.space_id)
        if database.value("SELECT 1 FROM events WHERE id = ?", (pack_id(event.id),)):
            raise InvalidEvent(
                f"the id {event.id!r} is taken; make the id generator give each event its own", field="id"
            )
        connection.execute(
            "INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            _row(event, space.space, own_moment, column.pack(text)),
        )
        connection.execute(
            "UPDATE spaces SET head_sequence = ?, head_hash = ?, latest_moment = ?, bytes = bytes + ? WHERE space = ?",
            (
                event.sequence_number,
                pack_hash(event.hash),
                max(own_moment, space.latest_moment),
                size,
                space.space,
            ),
        )


def _open_space(database: Database, space_id: str) -> SpaceRow:
    with database.writing() as connection:
        cursor = connection.execute(
            "INSERT INTO spaces (space_id, head_sequence, head_hash, latest_moment, bytes) VALUES (?, 0, x'', x'', 0)",
            (pack_text(space_id),),
        )
    return SpaceRow(cursor.lastrowid or 0, 0, "", b"")


def _row(event: Event, space: int, own_moment: Moment, payload: Packed) -> tuple[object, ...]:
    return (
        place_of(space, event.sequence_number),
        space,
        event.sequence_number,
        pack_id(event.id),
        event.type.value,
        event.timestamp,
        own_moment,
        event.version,
        None if event.previous_hash is None else pack_hash(event.previous_hash),
        pack_hash(event.hash),
        payload,
    )


def event_json(event: Event, payload_text: str) -> str:
    """Spell an event as archives do: these fields, in this order, without blanks."""
    fields = plain_json(
        {
            "id": event.id,
            "type": event.type.value,
            "spaceId": event.space_id,
            "timestamp": event.timestamp,
            "sequenceNumber": event.sequence_number,
            "hash": event.hash,
            "previousHash": event.previous_hash,
            "version": event.version,
        }
    )
    return f'{fields[:-1]},"payload":{payload_text}}}'


def _next_event(draft: EventDraft, last: Event | None, event_id: str) -> Event:
    if not isinstance(event_id, str) or not event_id:
        raise InvalidEvent(f"the id generator made {event_id!r}; an id is text that is not empty", field="id")
    try:
        payload = parse_doubles(plain_json(draft.payload))
    except UnsupportedValue as error:
        raise InvalidEvent(f"payload: {error}", field="payload") from error
    return sealed(
        Event(
            id=join_surrogates(event_id),
            type=EventType(draft.type),
            space_id=join_surrogates(draft.space_id),
            timestamp=draft.timestamp,
            sequence_number=last.sequence_number + 1 if last else 1,
            hash="",
            previous_hash=last.hash if last else None,
            version=draft.version,
            payload=payload,
        )
    )


def _check_budget(database: Database, size: int, max_bytes: int | None, *, is_new_space: bool) -> None:
    if max_bytes is None:
        return
    used = used_bytes(database)
    if used + size > max_bytes:
        raise StorageFull(
            f"{database.path}: {size} bytes more than the {used} in use exceed the budget of {max_bytes};"
            " export old spaces and start a new log, or raise max_bytes",
            used_bytes=used,
            max_bytes=max_bytes,
        )
    if is_new_space and used >= max_bytes * BLOCKED_RATIO:
        raise StorageFull(
            f"{database.path}: {used} of {max_bytes} bytes are in use; no new space is opened from 90 % on;"
            " export old spaces and start a new log, or raise max_bytes",
            used_bytes=used,
            max_bytes=max_bytes,
        )


Order = Literal["asc", "desc"]
PLACE_COLUMN, _SPACE, MOMENT_COLUMN = 9, 10, 11
"""Columns of the view `chain` that order a page."""
_BEYOND = 2**62
"""More than any sequence number."""


@dataclass(frozen=True, slots=True)
class PageRequest:
    """How much of an answer is wanted, from where on, in which order."""

    limit: int
    cursor: str | None
    order: Order


def page_request(limit: object, cursor: object, order: object, max_limit: int) -> PageRequest:
    """Check the options of a query; a limit outside 1..max_limit is moved to the nearer end, as the seed does.

    Raises:
        InvalidQuery: the limit is no integer, the order is unknown, the cursor is no text.
    """
    if not isinstance(limit, int) or isinstance(limit, bool):
        raise InvalidQuery(f"limit {limit!r} must be an integer from 1 to {max_limit}", field="limit")
    if order not in ("asc", "desc"):
        raise InvalidQuery(f"order {order!r} must be 'asc' or 'desc'", field="order")
    if cursor is not None and not isinstance(cursor, str):
        raise InvalidQuery(f"cursor {cursor!r} must be the text of a next_cursor", field="cursor")
    return PageRequest(min(max(1, limit), max_limit), cursor, "asc" if order == "asc" else "desc")


def by_space(database: Database, column: JsonColumn, space_id: str, page: PageRequest) -> EventPage:
    """Return events of one space in the order of its chain."""
    question = ("space", page.order, space_id)
    with database.reading() as connection:
        space = find_space(database, space_id)
        if space is None:
            _start(question, page)
            return EventPage((), None, 0)
        low, high = place_of(space.space, 0), place_of(space.space + 1, 0)
        _, place = _start(question, page) or ("", low if page.order == "asc" else high)
        if page.order == "asc":
            rows = connection.execute(
                "SELECT * FROM chain WHERE place > ? AND place < ? ORDER BY place LIMIT ?",
                (max(place, low), high, page.limit + 1),
            ).fetchall()
        else:
            rows = connection.execute(
                "SELECT * FROM chain WHERE place > ? AND place < ? ORDER BY place DESC LIMIT ?",
                (low, min(place, high), page.limit + 1),
            ).fetchall()
        return _page(rows, column, page, space.head_sequence, [("", row[PLACE_COLUMN]) for row in rows], question)


def by_type(database: Database, column: JsonColumn, event_type: str, page: PageRequest) -> EventPage:
    """Return events of one type over all spaces, by their number in their space, then by space.

    Raises:
        InvalidQuery: there is no such type.
    """
    try:
        name = checked_type(event_type).value
    except InvalidEvent as error:
        raise InvalidQuery(str(error), field="type") from None
    question = ("type", page.order, name)
    place = _start(question, page)
    after = (min(int(place[0] or "0", 16), _BEYOND), place[1]) if place else None
    with database.reading() as connection:
        total = database.value("SELECT count(*) FROM events WHERE type = ?", (name,))
        if page.order == "asc":
            rows = connection.execute(
                "SELECT * FROM chain WHERE type = ? AND (sequence, space) > (?, ?) ORDER BY sequence, space LIMIT ?",
                (name, *(after or (-1, 0)), page.limit + 1),
            ).fetchall()
        else:
            rows = connection.execute(
                "SELECT * FROM chain WHERE type = ? AND (sequence, space) < (?, ?)"
                " ORDER BY sequence DESC, space DESC LIMIT ?",
                (name, *(after or (_BEYOND, 0)), page.limit + 1),
            ).fetchall()
        return _page(rows, column, page, total, [(f"{row[1]:08x}", row[_SPACE]) for row in rows], question)


def by_time(database: Database, column: JsonColumn, start: str, end: str, page: PageRequest) -> EventPage:
    """Return events of all spaces from `start` (included) to `end` (not included), in time order.

    Raises:
        InvalidQuery: a timestamp is no ISO 8601 text; `field` says which.
    """
    low, high = query_moment(start, "from"), query_moment(end, "to")
    question = ("time", page.order, low.hex(), high.hex())
    place = _start(question, page)
    after = (bytes.fromhex(place[0]), place[1]) if place else None
    with database.reading() as connection:
        total = database.value("SELECT count(*) FROM events WHERE moment >= ? AND moment < ?", (low, high))
        if page.order == "asc":
            rows = connection.execute(
                "SELECT * FROM chain WHERE moment >= ? AND moment < ? AND (moment, place) > (?, ?)"
                " ORDER BY moment, place LIMIT ?",
                (low, high, *(after or (b"", 0)), page.limit + 1),
            ).fetchall()
        else:
            rows = connection.execute(
                "SELECT * FROM chain WHERE moment >= ? AND moment < ? AND (moment, place) < (?, ?)"
                " ORDER BY moment DESC, place DESC LIMIT ?",
                (low, high, *(after or (high, 0)), page.limit + 1),
            ).fetchall()
        return _page(
            rows, column, page, total, [(row[MOMENT_COLUMN].hex(), row[PLACE_COLUMN]) for row in rows], question
        )


def query_moment(timestamp: object, field: str) -> Moment:
    """Read the timestamp of a question.

    Raises:
        InvalidQuery: it is no ISO 8601 text; `field` names the parameter.
    """
    try:
        return moment(timestamp if isinstance(timestamp, str) else repr(timestamp))
    except ValueError as error:
        raise InvalidQuery(f"{field}: {error}", field=field) from None


def _start(question: tuple[str, ...], page: PageRequest) -> Place | None:
    return None if page.cursor is None else decode_cursor(question, page.cursor)


def _page(
    rows: Sequence[tuple[Any, ...]],
    column: JsonColumn,
    page: PageRequest,
    total: int,
    places: Sequence[Place],
    question: tuple[str, ...],
) -> EventPage:
    """Cut the one row too many, which shows that there is a next page."""
    items = tuple(event_of(row, column) for row in rows[: page.limit])
    more = len(rows) > page.limit
    if not more:
        return EventPage(items, None, total)
    return EventPage(items, encode_cursor(question, places[page.limit - 1], items[-1]), total)


def events_after(database: Database, column: JsonColumn, space: int, sequence: int, limit: int) -> list[Event]:
    """Return up to `limit` events of a space that follow a sequence number, in the order of the chain."""
    with database.reading():
        return [event_of(row, column) for row in rows_after(database, space, sequence, limit)]


def rows_after(database: Database, space: int, sequence: int, limit: int) -> list[tuple[Any, ...]]:
    """Return rows of the view `chain` as `events_after` returns events."""
    with database.reading() as connection:
        return connection.execute(
            "SELECT * FROM chain WHERE place > ? AND place < ? ORDER BY place LIMIT ?",
            (place_of(space, sequence), place_of(space + 1, 0), limit),
        ).fetchall()


Place = tuple[str, int]
"""The last event on a page: its sort key as hex (a sequence number or a moment; empty where the place is all), its place."""

_MAX_PLACE: Final = 2**63
_KEY: Final = re.compile(r"(?:[0-9a-f]{2}){0,40}\Z")


def encode_cursor(question: tuple[str, ...], place: Place, last: Event) -> str:
    """Spell where a page ended, as the seed does by number and id, together with what was asked and how it is ordered."""
    ended = {
        "seq": last.sequence_number,
        "id": last.id,
        "query": _digest(question),
        "key": place[0],
        "place": place[1],
    }
    text = json.dumps(ended, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode()


def decode_cursor(question: tuple[str, ...], cursor: str) -> Place:
    """Read a cursor back.

    Raises:
        InvalidQuery: it is no cursor, or belongs to another question.
    """
    try:
        ended = json.loads(base64.b64decode(cursor.encode("ascii"), altchars=b"-_", validate=True))
        digest, key, place = ended["query"], ended["key"], ended["place"]
        is_whole = _KEY.match(key) is not None and type(place) is int and abs(place) < _MAX_PLACE
    except (binascii.Error, ValueError, TypeError, LookupError, RecursionError):
        is_whole = False
    if not is_whole:
        raise InvalidQuery(f"{cursor[:80]!r} is no cursor; pass next_cursor of the page before", field="cursor")
    if digest != _digest(question):
        raise InvalidQuery("the cursor belongs to another query; start that query anew", field="cursor")
    return key, place


def _digest(question: tuple[str, ...]) -> str:
    """Tell questions apart; any text will do, half characters included."""
    return hashlib.sha256(json.dumps(question).encode()).hexdigest()[:12]
