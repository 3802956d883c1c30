"""Verification: recompute everything that the chain, the head pointer and the snapshots promise (E-40, E-41)."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from unspool.events.appending import SpaceRow, find_space
from unspool.events.canonical import canonical_json, sha256_hex
from unspool.events.database import Database, place_of, sequence_at
from unspool.events.errors import DatabaseError
from unspool.events.hashing import broken_link
from unspool.events.moments import Moment
from unspool.events.queries import MOMENT_COLUMN, PLACE_COLUMN, rows_after
from unspool.events.records import BrokenLink, Event, Head, IntegrityReport
from unspool.events.rows import JsonColumn, event_of, unpack_text
from unspool.events.snapshots import CHUNK_EVENTS


@dataclass(frozen=True, slots=True)
class _SpaceCheck:
    """What was found in one space."""

    total: int
    checked: int
    broken: BrokenLink | None


def verify(
    database: Database,
    column: JsonColumn,
    space_id: str | None,
    heads: Mapping[str, Head],
    timer: Callable[[], float] = time.perf_counter,
) -> IntegrityReport:
    """Check one space, or all: every hash, every link, every number, the head pointer, every snapshot.

    Args:
        database: the log.
        column: reads payloads.
        space_id: the space; None for all.
        heads: heads kept elsewhere, by space id: the chain must still hold each of them.
        timer: seconds, for the report's duration.
    """
    started = timer()
    total = checked = 0
    broken: BrokenLink | None = None
    with database.reading() as connection:
        ids = [unpack_text(row[0]) for row in connection.execute("SELECT space_id FROM spaces ORDER BY space")]
        wanted = [*ids, *(lost for lost in heads if lost not in ids)] if space_id is None else [space_id]
        for each in wanted:
            found = _check_space(database, column, each, heads.get(each))
            total += found.total
            checked += found.checked
            broken = broken or found.broken
        if broken is None and space_id is None:
            broken = _stray_events(database)
    return IntegrityReport(broken is None, total, checked, broken, (timer() - started) * 1000)


def _check_space(database: Database, column: JsonColumn, space_id: str, kept: Head | None) -> _SpaceCheck:
    space = find_space(database, space_id)
    if space is None:
        if kept is None:
            return _SpaceCheck(0, 0, None)
        return _SpaceCheck(0, 0, BrokenLink(space_id, 1, "", "the whole space is missing", kept.hash, None))
    total = int(
        database.value(
            "SELECT count(*) FROM events WHERE place > ? AND place < ?",
            (place_of(space.space, 0), place_of(space.space + 1, 0)),
        )
    )
    previous: Event | None = None
    latest: Moment = b""
    checked = 0
    number = 0
    while rows := rows_after(database, space.space, number, CHUNK_EVENTS):
        for row in rows:
            number = sequence_at(row[PLACE_COLUMN])
            checked += 1
            event, link = _read(row, column, previous)
            if event is not None and link is None:
                link = _missed_head(event, kept)
            if link is not None or event is None:
                return _SpaceCheck(total, checked, link)
            previous, latest = event, max(latest, row[MOMENT_COLUMN])
    broken = _cut_tail(space_id, space, previous, kept)
    if broken is None and latest != space.latest_moment:
        broken = BrokenLink(
            space_id, number, "", "the latest time of the space is not that of its events", None, None
        )
    return _SpaceCheck(total, checked, broken or _bad_snapshot(database, column, space_id, space))


def _read(row: tuple[Any, ...], column: JsonColumn, previous: Event | None) -> tuple[Event | None, BrokenLink | None]:
    """Read one event and say what is wrong with it, if anything is."""
    try:
        event = event_of(row, column)
    except DatabaseError as error:
        number = sequence_at(row[PLACE_COLUMN])
        return None, BrokenLink(unpack_text(row[0]), number, "", f"it cannot be read: {error}", None, None)
    return event, broken_link(event, previous)


def _missed_head(event: Event, kept: Head | None) -> BrokenLink | None:
    """Compare the event at a kept head's number with it: a chain rewritten from scratch is whole, but not the same."""
    if kept is None or event.sequence_number != kept.sequence_number or event.hash == kept.hash:
        return None
    return BrokenLink(
        event.space_id,
        event.sequence_number,
        event.id,
        "it is not the event whose hash was kept",
        kept.hash,
        event.hash,
    )


def _cut_tail(space_id: str, space: SpaceRow, last: Event | None, kept: Head | None) -> BrokenLink | None:
    ends_at = last.sequence_number if last else 0
    must_reach = max(space.head_sequence, kept.sequence_number if kept else 0)
    if ends_at != must_reach:
        reason = "events are missing at the end" if ends_at < must_reach else "events stand behind the end"
        return BrokenLink(space_id, min(ends_at, must_reach) + 1, "", reason, str(must_reach), str(ends_at))
    if last is not None and last.hash != space.head_hash:
        return BrokenLink(space_id, ends_at, last.id, "it is not what was written last", space.head_hash, last.hash)
    return None


def _bad_snapshot(database: Database, column: JsonColumn, space_id: str, space: SpaceRow) -> BrokenLink | None:
    with database.reading() as connection:
        rows = connection.execute(
            "SELECT snapshots.place, snapshots.hash, snapshots.state, events.hash IS snapshots.event_hash FROM snapshots"
            " LEFT JOIN events USING (place) WHERE place > ? AND place < ? ORDER BY place",
            (place_of(space.space, 0), place_of(space.space + 1, 0)),
        )
        for place, state_hash, packed, belongs in rows:
            number = sequence_at(place)
            try:
                state = column.unpack(packed, f"the snapshot at event {number} of space {space_id!r}")
                actual = sha256_hex(canonical_json(state))
            except DatabaseError as error:
                return BrokenLink(space_id, number, "", f"it cannot be read: {error}", None, None)
            if not belongs or actual != state_hash.hex():
                reason = "the snapshot here does not match its hash" if belongs else "the snapshot here has no event"
                return BrokenLink(space_id, number, "", reason, state_hash.hex(), actual)
    return None


def _stray_events(database: Database) -> BrokenLink | None:
    """Find events of a space that the log does not know."""
    with database.reading() as connection:
        row = connection.execute(
            "SELECT sequence FROM events WHERE space NOT IN (SELECT space FROM spaces) LIMIT 1"
        ).fetchone()
    return row and BrokenLink("", row[0], "", "it belongs to a space that is missing", None, None)
