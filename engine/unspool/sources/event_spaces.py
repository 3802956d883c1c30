"""The events of one space or of many as entries: each event with its data, and the state its space is in after it.

With one space its state is the state. With several the state is that of all of them, and atoms are named `space atom`.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from unspool.errors import EventLogError, UnreadableSource
from unspool.events.histories import EventMetadata, ForkBase, event_metadata, next_source, shown_state
from unspool.events.moments import moment
from unspool.events.records import Event
from unspool.events.replay import SOURCE_KEY, SourceState
from unspool.model.values import State, Value
from unspool.sources.entries import TIME_FROM_FILE, SourceEntry
from unspool.sources.findings import Findings
from unspool.sources.timestamps import to_ns

_NAMED: Final = 5
"""Spaces that a message names; the rest are counted."""
_AS_THE_ORIGINAL: Final = (
    "its hash fits only a list that was turned into an object, as the original did; it is shown that way"
)


def place_of(path: Path, event: Event) -> str:
    """Say where an event is, for messages."""
    return f"{path}: event {event.sequence_number} of space {event.space_id!r}"


def chosen_spaces(path: Path, spaces: Iterable[str], chosen: str | None) -> tuple[str, ...]:
    """Return the spaces to tell: the one that was chosen, or all.

    Raises:
        UnreadableSource: there is no such space; the message names those there are.
    """
    names = tuple(spaces)
    if chosen is None:
        return names
    if chosen in names:
        return (chosen,)
    listed = ", ".join(map(repr, names[:_NAMED])) or "none"
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    raise UnreadableSource(f"{path}: no space {chosen!r}; it has {listed}{more}")


def in_time_order(chains: Iterable[Iterable[Event]]) -> Iterator[Event]:
    """Merge spaces by the time of their events.

    Each space keeps the order of its chain: an event that claims to be older than the one before it follows it at once.
    """

    def timed(chain: Iterable[Event], number: int) -> Iterator[tuple[bytes, int, Event]]:
        latest = b""
        for event in chain:
            # An event without any time belongs where its chain has it.
            with suppress(ValueError):
                latest = max(latest, moment(event.timestamp))
            yield latest, number, event

    streams = [timed(chain, number) for number, chain in enumerate(chains)]
    for _, _, event in heapq.merge(*streams, key=lambda item: item[:2]):
        yield event


class SpaceTeller:
    """Turns events into entries, one after the other."""

    def __init__(
        self, path: Path, findings: Findings, fork_base: ForkBase, mtime_ns: Callable[[], int], *, is_single: bool
    ) -> None:
        """Begin with nothing told.

        Args:
            path: the source, for messages.
            findings: where problems go.
            fork_base: finds the source that a fork starts from.
            mtime_ns: the time for events whose own time is none that can be kept.
            is_single: all events are of one space.
        """
        self._path = path
        self._findings = findings
        self._fork_base = fork_base
        self._mtime_ns = mtime_ns
        self._is_single = is_single
        self._sources: dict[str, SourceState | None] = {}
        self._atoms: dict[str, list[str]] = {}
        self._state: State = {}

    def become_many(self) -> None:
        """More spaces appeared: from here on atoms carry their space's name."""
        if not self._is_single:
            return
        self._is_single = False
        for space, names in self._atoms.items():
            shown = {name: self._state.pop(name) for name in names}
            self._show(space, shown)

    def entry(self, event: Event) -> SourceEntry:
        """Return the entry of an event; a diff that does not fit leaves its space as it was, and is told."""
        before = self._sources.get(event.space_id)
        source = before
        try:
            source = next_source(before, event, self._fork_base)
        except EventLogError as error:
            self._findings.loss(place_of(self._path, event), f"{error}; the source is shown as it was before")
        if source is not None and source.damaged and (before is None or not before.damaged):
            self._findings.notice(place_of(self._path, event), _AS_THE_ORIGINAL)
        self._sources[event.space_id] = source
        self._show(event.space_id, shown_state(event, source))
        facts = event_metadata(event, source)
        timestamp_ns = to_ns(event.timestamp)
        meta = _meta(event, facts, has_source=source is not None)
        if timestamp_ns is None:
            meta.update(TIME_FROM_FILE)
        at = self._mtime_ns() if timestamp_ns is None else timestamp_ns
        return SourceEntry(dict(self._state), at, facts.label, meta, event.id)

    def _show(self, space: str, shown: State) -> None:
        """Put a space's state in the place of the one it had."""
        if self._is_single:
            self._atoms = {space: list(shown)}
            self._state = dict(shown)
            return
        for name in self._atoms.get(space, ()):
            self._state.pop(name, None)
        names = self._atoms[space] = []
        for name, value in shown.items():
            full = f"{space} {name}"
            # "a" with "b c" and "a b" with "c" would be one atom.
            while full in self._state:
                full += "'"
            names.append(full)
            self._state[full] = value


def _meta(event: Event, facts: EventMetadata, *, has_source: bool) -> dict[str, Value]:
    meta: dict[str, Value] = {
        "space": facts.space_id,
        "sequence": facts.sequence_number,
        "type": facts.type.value,
        "hash": facts.hash,
    }
    if facts.version != 1:
        meta["version"] = facts.version
    if facts.damaged:
        meta["damaged"] = True
    if has_source:
        # Without a source the payload is the state; the source of a genesis is the state too.
        meta["payload"] = {key: value for key, value in event.payload.items() if key != SOURCE_KEY}
    return meta
