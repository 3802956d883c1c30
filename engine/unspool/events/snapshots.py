"""Snapshots of reduced state, and states at any moment."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from unspool.errors import UnsupportedValue
from unspool.events.appending import (
    MOMENT_COLUMN,
    PLACE_COLUMN,
    SpaceRow,
    check_payload,
    events_after,
    find_space,
    query_moment,
    rows_after,
)
from unspool.events.canonical import canonical_json, plain_json, sha256_hex
from unspool.events.database import Database, place_of, sequence_at
from unspool.events.records import (
    BrokenLink,
    DatabaseError,
    Event,
    Head,
    IntegrityReport,
    InvalidEvent,
    InvalidQuery,
    Snapshot,
    SnapshotFailed,
)
from unspool.events.rows import (
    EventLogConfig,
    JsonColumn,
    Moment,
    broken_link,
    event_of,
    moment,
    pack_hash,
    pack_id,
    unpack_id,
    unpack_text,
)
from unspool.model.values import Value

CHUNK_EVENTS = 500
"""So many events are held at once while replaying or verifying."""


@dataclass(frozen=True, slots=True)
class _Reduced:
    """A state, the last event in it, and the latest moment of all events in it (times may be out of order)."""

    state: Value
    sequence: int
    latest: Moment


def create_snapshot(database: Database, column: JsonColumn, space_id: str, config: EventLogConfig) -> Snapshot:
    """Reduce a space to its newest event and keep the state.

    Raises:
        SnapshotFailed: the space has no events, or none since its last snapshot, or the reducer failed.
    """
    with database.writing() as connection:
        space = find_space(database, space_id)
        if space is None:
            raise SnapshotFailed(f"space {space_id!r} has no events to snapshot; check the id", space_id=space_id)
        base = _usable(database, column, space, config, None)
        if base.sequence == space.head_sequence:
            raise SnapshotFailed(
                f"space {space_id!r} has no new events since its snapshot at {base.sequence}", space_id=space_id
            )
        reduced, last = _reduce(database, column, space, config, base, None)
        if last is None:
            raise SnapshotFailed(f"space {space_id!r} has lost its events; verify the log", space_id=space_id)
        text, state_hash = _state_text(reduced.state, space_id)
        snapshot_id = config.id_generator()
        connection.execute(
            "INSERT OR REPLACE INTO snapshots VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                place_of(space.space, reduced.sequence),
                pack_id(snapshot_id),
                last.timestamp,
                pack_hash(last.hash),
                reduced.latest,
                config.reducer_name,
                pack_hash(state_hash),
                len(text.encode()),
                column.pack(text),
            ),
        )
    state = column.unpack(text, "the snapshot")
    return Snapshot(snapshot_id, space_id, reduced.sequence, last.timestamp, state, state_hash)


def snapshot_is_due(database: Database, space_id: str, interval: int) -> bool:
    """Whether `interval` events have come since a space's last snapshot."""
    if interval == 0:
        return False
    with database.reading():
        space = find_space(database, space_id)
        if space is None:
            return False
        last = database.value(
            "SELECT max(place) FROM snapshots WHERE place > ? AND place < ?",
            (place_of(space.space, 0), place_of(space.space + 1, 0)),
        )
    return space.head_sequence - (sequence_at(last) if last else 0) >= interval


def list_snapshots(database: Database, column: JsonColumn, space_id: str) -> tuple[Snapshot, ...]:
    """Return all snapshots of a space, oldest first, whichever reducer made them."""
    with database.reading() as connection:
        space = find_space(database, space_id)
        if space is None:
            return ()
        rows = connection.execute(
            "SELECT place, id, timestamp, hash, state FROM snapshots WHERE place > ? AND place < ? ORDER BY place",
            (place_of(space.space, 0), place_of(space.space + 1, 0)),
        ).fetchall()
        return tuple(
            Snapshot(
                unpack_id(packed_id),
                space_id,
                sequence_at(place),
                timestamp,
                column.unpack(state, f"the snapshot at event {sequence_at(place)} of space {space_id!r}"),
                state_hash.hex(),
            )
            for place, packed_id, timestamp, state_hash, state in rows
        )


def reconstruct_state(
    database: Database, column: JsonColumn, space_id: str, config: EventLogConfig, at_timestamp: str | None
) -> Value:
    """Reduce a space's events, up to a moment (included) where one is given.

    Events count by their own time, wherever they stand in the chain; a snapshot is used only where nothing in it
    is later than the moment.

    Raises:
        InvalidQuery: the space has no events, none up to that moment, or the timestamp is none.
    """
    until = None if at_timestamp is None else query_moment(at_timestamp, "atTimestamp")
    with database.reading():
        space = find_space(database, space_id)
        if space is None:
            raise InvalidQuery(f"space {space_id!r} has no events; check the id", field="spaceId")
        base = _usable(database, column, space, config, until)
        reduced, last = _reduce(database, column, space, config, base, until)
    if last is None and base.sequence == 0:
        raise InvalidQuery(f"{at_timestamp} is before all events of space {space_id!r}", field="atTimestamp")
    return reduced.state


def _usable(
    database: Database, column: JsonColumn, space: SpaceRow, config: EventLogConfig, until: Moment | None
) -> _Reduced:
    """Find the newest snapshot of this reducer that holds nothing later than `until` and is what it was made as."""
    with database.reading() as connection:
        rows = connection.execute(
            "SELECT snapshots.place, snapshots.latest_moment, snapshots.hash, snapshots.state FROM snapshots"
            " JOIN events ON events.place = snapshots.place AND events.hash = snapshots.event_hash"
            " WHERE snapshots.place > ? AND snapshots.place < ? AND reducer = ? AND (? IS NULL OR latest_moment <= ?)"
            " ORDER BY snapshots.place DESC",
            (place_of(space.space, 0), place_of(space.space + 1, 0), config.reducer_name, until, until),
        )
        for place, latest, state_hash, packed in rows:
            state = column.unpack(packed, f"the snapshot at event {sequence_at(place)}")
            if sha256_hex(canonical_json(state)) == state_hash.hex():
                return _Reduced(state, sequence_at(place), latest)
    return _Reduced(None, 0, b"")


def _reduce(
    database: Database,
    column: JsonColumn,
    space: SpaceRow,
    config: EventLogConfig,
    base: _Reduced,
    until: Moment | None,
) -> tuple[_Reduced, Event | None]:
    """Fold the events after a base into its state; also return the last one that was folded in."""
    state, sequence, latest, last = base.state, base.sequence, base.latest, None
    while chunk := events_after(database, column, space.space, sequence, CHUNK_EVENTS):
        for event in chunk:
            own_moment = moment(event.timestamp)
            sequence = event.sequence_number
            if until is None or own_moment <= until:
                state = _folded(config, state, event)
                latest, last = max(latest, own_moment), event
    return _Reduced(state, sequence, latest), last


def _folded(config: EventLogConfig, state: Value, event: Event) -> Value:
    try:
        return config.state_reducer(state, event)
    except Exception as error:  # the reducer is the caller's own code and may raise anything; the cause is kept
        raise SnapshotFailed(
            f"the reducer {config.reducer_name} failed at event {event.sequence_number} of space"
            f" {event.space_id!r}: {type(error).__name__}: {error}",
            space_id=event.space_id,
        ) from error


def _state_text(state: Value, space_id: str) -> tuple[str, str]:
    try:
        check_payload({"state": state})
        return plain_json(state), sha256_hex(canonical_json(state))
    except (InvalidEvent, UnsupportedValue) as error:
        raise SnapshotFailed(
            f"the state of space {space_id!r} is no JSON: {error}; mend the reducer", space_id=space_id
        ) from error


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
