"""Finding the source of a space at a moment: from memory, from a kept state, or by replay from genesis or fork.

A space is a history too: for each event what is known of it, and the state it leads to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import zstandard

from unspool.events.appending import SpaceRow, events_after, find_space
from unspool.events.archive import DEFAULT_MAX_BYTES, unpack_archive
from unspool.events.database import place_of
from unspool.events.log import EventLog, read_archive
from unspool.events.records import BeforeGenesis, DatabaseError, Event, EventType, InvalidEvent, InvalidQuery
from unspool.events.replay import (
    SOURCE_KEY,
    ReplayManner,
    SourceForm,
    SourceState,
    evolved_state,
    genesis_state,
    state_hash,
)
from unspool.events.rows import Moment, event_of, moment, pack_hash
from unspool.events.snapshots import CHUNK_EVENTS
from unspool.model.json_exact import container_of_doubles
from unspool.model.values import State, Value

MAX_BASE_CHARACTERS: Final = 1_000_000
"""A longer genesis is no dictionary for what came of it: loading it would take longer than it saves."""

_MAX_STATE_BYTES: Final = 1 << 30


def pack_state(text: str, base: str | None) -> bytes:
    """Compress a source; against the source it came from, only what differs takes room."""
    return zstandard.ZstdCompressor(dict_data=_dictionary(base)).compress(text.encode("utf-8", "surrogatepass"))


def unpack_state(content: bytes, base: str | None) -> str | None:
    """Undo `pack_state`; None where the bytes are damaged, or the base is another."""
    try:
        if zstandard.frame_content_size(content) > _MAX_STATE_BYTES:
            return None
        packed = zstandard.ZstdDecompressor(dict_data=_dictionary(base)).decompress(content)
        return packed.decode("utf-8", "surrogatepass")
    except (zstandard.ZstdError, ValueError, TypeError):
        return None


def _dictionary(base: str | None) -> zstandard.ZstdCompressionDict | None:
    if base is None:
        return None
    return zstandard.ZstdCompressionDict(
        base.encode("utf-8", "surrogatepass"), dict_type=zstandard.DICT_TYPE_RAWCONTENT
    )


SOURCE_TYPES: Final = frozenset({EventType.SPACE_CREATED, EventType.SPACE_EVOLVED, EventType.SPACE_FORKED})
"""The events that make a source what it is; others may stand between them."""
_TIP_INTERVAL: Final = 10
"""So many diffs are replayed at most to find a newest source; of the states kept for that only the last one stays."""
_TIP_CHARACTERS: Final = 16_384
"""A shorter source is replayed as fast as it is unpacked, so the room is saved."""


@dataclass(frozen=True, slots=True)
class _Leg:
    """A stretch of one space's chain to replay: the events after `start` up to `last`."""

    space: SpaceRow
    start: int
    last: int


@dataclass(frozen=True, slots=True)
class _Replayed:
    """A source, and how it was found: diffs replayed, the event behind it, that event's space."""

    state: SourceState
    replayed: int
    event: Event | None
    space: int


def find_state(log: EventLog, space_id: str, until: Moment | None, manner: ReplayManner) -> SourceState:
    """Rebuild a space's source at its head, or at a moment.

    At a moment it is the source before the first diff that is later; a diff out of time order behind it cannot count,
    since it stands on that one.

    Raises:
        InvalidEvent: there is no genesis to start from, forks go in a circle, or a diff does not fit.
        InvalidEvent: the moment is before the genesis.
    """
    with log.database.reading():
        found = _find(log, space_id, until, manner)
    interval = log.config.snapshot_interval
    if found.event is not None and interval and found.replayed >= interval and not log.database.read_only:
        _keep_quietly(log, found.space, found.event, found.state)
    return found.state


def remember(log: EventLog, space: SpaceRow, event: Event, state: SourceState) -> None:
    """Keep the source at a diff just written: in memory, and every few diffs in the database."""
    log.source_memory.put(event.hash, state, len(state.text))
    interval = log.config.snapshot_interval
    is_tip = state.diffs % _TIP_INTERVAL == 0 and len(state.text) >= _TIP_CHARACTERS
    if interval and (is_tip or state.diffs % interval == 0):
        _keep(log, space.space, event, state, wait=True)


def _find(log: EventLog, space_id: str, until: Moment | None, manner: ReplayManner) -> _Replayed:
    legs: list[_Leg] = []
    seen: set[str] = set()
    base: SourceState | None = None
    while base is None:
        if space_id in seen:
            raise InvalidEvent(f"space {space_id!r} is forked from itself, over others", field="sourceSpaceId")
        seen.add(space_id)
        space, last = _last_counted(log, space_id, until)
        base, start = _kept(log, space, last, manner)
        if base is None:
            first = _first_source_event(log, space_id, space, last, manner)
            start = first.sequence_number
            if first.type is EventType.SPACE_CREATED:
                base = genesis_state(first)
            else:
                space_id, until = fork_origin(first)
        legs.append(_Leg(space, start, last))
    replayed = 0
    event: Event | None = None
    for leg in reversed(legs):
        if leg is not legs[-1]:
            base = replace(base, sequence=leg.start)
        base, count, event = _replay(log, base, leg, manner)
        replayed += count
        if manner != "original":
            log.source_memory.put(_hash_at(log, leg.space, leg.last), base, len(base.text))
    return _Replayed(base, replayed, event, legs[0].space.space)


def _last_counted(log: EventLog, space_id: str, until: Moment | None) -> tuple[SpaceRow, int]:
    """Return a space and the number of its last event that counts at a moment."""
    space = find_space(log.database, space_id)
    if space is None:
        raise InvalidEvent(f"space {space_id!r} has no events; write its genesis first", field="spaceId")
    if until is None or until >= space.latest_moment:
        return space, space.head_sequence
    later = log.database.value(
        "SELECT sequence FROM events WHERE place > ? AND place < ? AND moment > ?"
        " AND +type IN ('space_created', 'space_evolved', 'space_forked') ORDER BY place LIMIT 1",
        (place_of(space.space, 0), place_of(space.space + 1, 0), until),
    )
    last = space.head_sequence if later is None else later - 1
    if last == 0:
        raise BeforeGenesis(
            f"space {space_id!r} has no genesis at that moment yet; ask for a later one", field="spaceId"
        )
    return space, last


def _kept(log: EventLog, space: SpaceRow, last: int, manner: ReplayManner) -> tuple[SourceState | None, int]:
    """Find the newest kept state up to an event, and the event it is at."""
    if manner == "original":
        return None, 0
    remembered = log.source_memory.get(_hash_at(log, space, last))
    if remembered is not None and not (manner == "exact" and remembered.damaged):
        return remembered, last
    with log.database.reading() as connection:
        rows = connection.execute(
            "SELECT chain.*, diffs, form, base, content FROM source_states JOIN chain USING (place)"
            " WHERE source_states.place > ? AND source_states.place <= ? AND source_states.event_hash = chain.hash"
            " ORDER BY source_states.place DESC",
            (place_of(space.space, 0), place_of(space.space, last)),
        )
        for row in rows:
            *columns, diffs, form, base, content = row
            event = event_of(tuple(columns), log.column)
            state = _checked(event, diffs, form, unpack_state(content, _source_at(log, base)))
            if state is not None:
                return state, state.sequence
    return None, 0


def _checked(event: Event, diffs: int, form: str, text: str | None) -> SourceState | None:
    """Believe a kept state only if it is the source whose hash its event declares."""
    if text is None or form not in list(SourceForm):
        return None
    state = SourceState(text, SourceForm(form), str(event.payload.get("sourceHash")), diffs, event.sequence_number)
    try:
        return state if state_hash(state) == state.source_hash else None
    except ValueError:
        return None


def _source_at(log: EventLog, place: int | None) -> str | None:
    """Return the source in a genesis; None where there is none, or it is too long to serve as a dictionary."""
    with log.database.reading() as connection:
        row = connection.execute("SELECT * FROM chain WHERE place = ?", (place,)).fetchone()
    source = event_of(row, log.column).payload.get(SOURCE_KEY) if row is not None else None
    return source if isinstance(source, str) and len(source) <= MAX_BASE_CHARACTERS else None


def _first_source_event(log: EventLog, space_id: str, space: SpaceRow, last: int, manner: ReplayManner) -> Event:
    """Return the event a source starts from: the first one, or for the original's archives the first that can be."""
    starts = (EventType.SPACE_CREATED, EventType.SPACE_FORKED)
    first: Event | None = None
    number = 0
    while first is None and (chunk := events_after(log.database, log.column, space.space, number, CHUNK_EVENTS)):
        counted = [event for event in chunk if event.sequence_number <= last]
        number = chunk[-1].sequence_number
        first = next((event for event in counted if event.type in starts), None)
        if manner == "exact" or not counted:
            break
    if first is None or (manner == "exact" and first.sequence_number != 1):
        raise InvalidEvent(
            f"space {space_id!r} does not begin with a genesis (space_created or space_forked): there is no source",
            field="spaceId",
        )
    return first


def fork_origin(fork: Event) -> tuple[str, Moment]:
    """Read a `space_forked` event: the space it was forked from, and the moment.

    Raises:
        InvalidEvent: the payload names no space, or no moment.
    """
    origin, timestamp = fork.payload.get("sourceSpaceId"), fork.payload.get("forkTimestamp")
    if not isinstance(origin, str) or not origin:
        raise InvalidEvent(f"the fork {fork.id} of space {fork.space_id!r} names no space", field="sourceSpaceId")
    try:
        return origin, moment(timestamp if isinstance(timestamp, str) else "")
    except ValueError as error:
        raise InvalidEvent(f"the fork {fork.id} of space {fork.space_id!r}: {error}", field="forkTimestamp") from None


def _replay(
    log: EventLog, state: SourceState, leg: _Leg, manner: ReplayManner
) -> tuple[SourceState, int, Event | None]:
    """Apply a leg's diffs; also return how many there were, and the last of them."""
    count = 0
    last: Event | None = None
    number = leg.start
    while number < leg.last:
        chunk = events_after(log.database, log.column, leg.space.space, number, min(CHUNK_EVENTS, leg.last - number))
        if not chunk:
            break
        for event in chunk:
            number = event.sequence_number
            if event.type is EventType.SPACE_EVOLVED:
                state = evolved_state(state, event, manner)
                count, last = count + 1, event
            elif event.type is EventType.SPACE_CREATED and manner == "exact":
                raise InvalidEvent(
                    f"event {number} ({event.id}) of space {event.space_id!r} is a second genesis", field="spaceId"
                )
    return state, count, last


def _hash_at(log: EventLog, space: SpaceRow, sequence: int) -> str:
    if sequence == space.head_sequence:
        return space.head_hash
    stored = log.database.value("SELECT hash FROM events WHERE place = ?", (place_of(space.space, sequence),))
    return "" if stored is None else str(stored.hex())


def _keep_quietly(log: EventLog, space: int, event: Event, state: SourceState) -> None:
    """Keep a state found by a long replay, unless another process is writing: then the next reader may."""
    try:
        _keep(log, space, event, state, wait=False)
    except DatabaseError:
        return


def _keep(log: EventLog, space: int, event: Event, state: SourceState, *, wait: bool) -> None:
    if state.damaged:
        return
    with log.database.writing(wait=wait) as connection:
        connection.execute(
            "DELETE FROM source_states WHERE place > ? AND place < ? AND diffs % ? <> 0",
            (place_of(space, 0), place_of(space + 1, 0), log.config.snapshot_interval),
        )
        base = _source_at(log, place_of(space, 1))
        connection.execute(
            "INSERT OR REPLACE INTO source_states VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                place_of(space, event.sequence_number),
                pack_hash(event.hash),
                pack_hash(state.source_hash),
                state.diffs,
                state.form.value,
                None if base is None else place_of(space, 1),
                pack_state(state.text, base),
            ),
        )


_SHOWN_PATHS = 3

ForkBase = Callable[[Event], SourceState | None]
"""Finds the source that a fork starts from; None where it is out of reach."""


@dataclass(frozen=True, slots=True)
class EventMetadata:
    """An event without its payload.

    Attributes:
        id: the event's id.
        type: its type.
        space_id: its space.
        timestamp: its time, as written.
        sequence_number: its number in the space.
        hash: its hash.
        version: its payload's schema version.
        label: type and, for a diff, the first paths it changes: why the state is what it is.
        damaged: the source up to here could only be rebuilt as the original would have.
    """

    id: str
    type: EventType
    space_id: str
    timestamp: str
    sequence_number: int
    hash: str
    version: int
    label: str
    damaged: bool = False


def source_history(log: EventLog, space_id: str) -> Iterator[tuple[EventMetadata, State]]:
    """Tell a space of a log as a history.

    Yields:
        Each event and the state after it. A source space's state is its source: the top-level keys of a JSON object,
        or `source` alone for other text. Any other space's state is the payload of its last event.

    Raises:
        InvalidQuery: the space is unknown.
        InvalidEvent: a diff does not fit; what came before has been yielded.
    """
    space = find_space(log.database, space_id)
    if space is None:
        raise InvalidQuery(f"space {space_id!r} has no events; check the id", field="spaceId")
    return _told(_events(log, space.space), lambda fork: base_in_log(log, fork))


def archive_history(
    path: str | Path, space_id: str | None = None, *, max_bytes: int = DEFAULT_MAX_BYTES
) -> Iterator[tuple[EventMetadata, State]]:
    """Tell an archive as a history, one space after the other (see `source_history`).

    Args:
        path: the `.rblogs` file.
        space_id: only this space.
        max_bytes: what the archive's body may unpack to.

    Raises:
        ImportFailed: the archive is damaged or forged.
        InvalidQuery: it has no such space.
        InvalidEvent: a diff does not fit; what came before has been yielded.
    """
    spaces = unpack_archive(read_archive(path), name=str(path), max_bytes=max_bytes)
    if space_id is not None and space_id not in spaces:
        raise InvalidQuery(
            f"{path}: it has no space {space_id!r}; it has {', '.join(map(repr, spaces))}", field="spaceId"
        )
    return _told_all(spaces, spaces if space_id is None else [space_id])


def archive_spaces(path: str | Path, *, max_bytes: int = DEFAULT_MAX_BYTES) -> tuple[str, ...]:
    """Return the ids of the spaces in an archive.

    Raises:
        ImportFailed: the archive is damaged or forged.
    """
    return tuple(unpack_archive(read_archive(path), name=str(path), max_bytes=max_bytes))


def _told_all(spaces: Mapping[str, Iterable[Event]], wanted: Iterable[str]) -> Iterator[tuple[EventMetadata, State]]:
    for space_id in wanted:
        yield from _told(spaces[space_id], lambda fork: base_in_archive(spaces, fork))


def _told(events: Iterable[Event], fork_base: ForkBase) -> Iterator[tuple[EventMetadata, State]]:
    source: SourceState | None = None
    for event in events:
        source = next_source(source, event, fork_base)
        yield event_metadata(event, source), shown_state(event, source)


def next_source(source: SourceState | None, event: Event, fork_base: ForkBase) -> SourceState | None:
    """Return the source after an event; None as long as a space has none.

    Raises:
        InvalidEvent: the event's diff does not fit; the source stays as it was.
    """
    if source is not None:
        return evolved_state(source, event, "either") if event.type is EventType.SPACE_EVOLVED else source
    if event.type is EventType.SPACE_CREATED and isinstance(event.payload.get(SOURCE_KEY), str):
        return genesis_state(event)
    return fork_base(event) if event.type is EventType.SPACE_FORKED else None


def shown_state(event: Event, source: SourceState | None) -> State:
    """Return what a space looks like after an event: its source if it has one, else the event's payload."""
    if source is None:
        return dict(event.payload)
    document: Value = container_of_doubles(source.text) if source.form is SourceForm.DOCUMENT else None
    return document if isinstance(document, dict) else {SOURCE_KEY: source.text}


def event_metadata(event: Event, source: SourceState | None) -> EventMetadata:
    """Return an event without its payload."""
    return EventMetadata(
        event.id,
        event.type,
        event.space_id,
        event.timestamp,
        event.sequence_number,
        event.hash,
        event.version,
        _label(event),
        source is not None and source.damaged,
    )


def _label(event: Event) -> str:
    operations = event.payload.get("astDiff")
    if event.type is not EventType.SPACE_EVOLVED or not isinstance(operations, list):
        return event.type.value
    paths = [str(operation.get("path", "")) for operation in operations if isinstance(operation, Mapping)]
    names = list(dict.fromkeys(paths))
    more = f" +{len(names) - _SHOWN_PATHS}" if len(names) > _SHOWN_PATHS else ""
    return f"{event.type.value} {', '.join(names[:_SHOWN_PATHS])}{more}".rstrip()


def _events(log: EventLog, space: int) -> Iterator[Event]:
    """Yield a space's events chunk by chunk: no transaction stays open while a reader takes its time."""
    number = 0
    while chunk := events_after(log.database, log.column, space, number, CHUNK_EVENTS):
        yield from chunk
        number = chunk[-1].sequence_number


def base_in_log(log: EventLog, fork: Event) -> SourceState | None:
    """Find the source that a fork in a log starts from; None where it is out of reach."""
    try:
        return find_state(log, *fork_origin(fork), "either")
    except (InvalidEvent, InvalidQuery):
        return None


def base_in_archive(spaces: Mapping[str, Iterable[Event]], fork: Event) -> SourceState | None:
    """Find the source that a fork in an archive starts from; None where it is out of reach.

    Forks are followed back to a genesis; then diffs are replayed forwards, up to the moment of each fork.
    """
    origins: list[tuple[str, Moment]] = []
    current: Event | None = fork
    while current is not None and current.type is EventType.SPACE_FORKED:
        try:
            origin, until = fork_origin(current)
        except InvalidEvent:
            return None
        if origin not in spaces or origin in (known for known, _ in origins):
            return None
        origins.append((origin, until))
        current = next(iter(spaces[origin]), None)
    source: SourceState | None = None
    for origin, until in reversed(origins):
        source = _source_until(spaces[origin], until, source)
    return source


def _source_until(events: Iterable[Event], until: Moment, base: SourceState | None) -> SourceState | None:
    """Replay a space up to its first source event that is later than a moment; `base` is what its own fork has."""
    source: SourceState | None = None
    for event in events:
        if event.type in SOURCE_TYPES and moment(event.timestamp) > until:
            break
        source = next_source(source, event, lambda _: base)
    return source
