"""Events by space, by type, by time, in pages."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from unspool.events.appending import checked_type, find_space
from unspool.events.database import Database, place_of
from unspool.events.records import Event, EventPage, InvalidEvent, InvalidQuery
from unspool.events.rows import JsonColumn, Moment, event_of, moment

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
