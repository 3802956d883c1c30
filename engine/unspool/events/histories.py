"""Spaces as histories: for each event what is known of it, and the state it leads to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from unspool.events.appending import find_space
from unspool.events.archive import DEFAULT_MAX_BYTES, unpack_archive
from unspool.events.log import EventLog, read_archive
from unspool.events.queries import events_after
from unspool.events.records import Event, EventType, InvalidEvent, InvalidQuery
from unspool.events.replay import SOURCE_KEY, SourceForm, SourceState, evolved_state, genesis_state
from unspool.events.rows import Moment, moment
from unspool.events.snapshots import CHUNK_EVENTS
from unspool.events.source_states import SOURCE_TYPES, find_state, fork_origin
from unspool.model.json_exact import container_of_doubles
from unspool.model.values import State, Value

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
