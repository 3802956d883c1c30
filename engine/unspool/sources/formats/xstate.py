"""XState inspection events: actors, their events and the snapshots that follow."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from unspool.model.entries import NO_META
from unspool.model.values import Value
from unspool.sources.detection import Probe, SourceShape
from unspool.sources.entries import TIME_FROM_FILE, Known, Reader, SourceEntry, UnusableRecord, find_time, with_others
from unspool.sources.formats.states import action_label
from unspool.sources.lines import ItemsReader, LinesReader

_PREFIX: Final = "@xstate."
_REPEATED: Final = frozenset(
    ("children", "machine", "_nodes", "_internalQueue", "systemId", "src", "id", "_systemId", "toJSON")
)
"""What a snapshot holds of other actors, which have atoms of their own, and of the machine, which never changes."""
_ALWAYS: Final = frozenset(("status", "value", "context", "output", "error"))
_NEVER: Final[tuple[Value, ...]] = (None, [], {}, "")
_OF_EVENT: Final[dict[str, Known]] = dict.fromkeys(
    ("type", "sessionId", "id", "rootId", "name", "event", "snapshot", "sourceId", "createdAt", "definition", "_version", "systemId",
     "actorRef", "_transitions", "logic", "src", "parentId")
)  # fmt: skip


def is_inspection(record: Value) -> bool:
    """Whether a record is an inspection event."""
    return isinstance(record, dict) and isinstance(record.get("type"), str) and record["type"].startswith(_PREFIX)


def detect(probe: Probe) -> int:
    """Score a probe: all records are inspection events."""
    return 90 if probe.records and all(map(is_inspection, probe.records)) else 0


class InspectionRecords:
    """Keeps one atom an actor: its snapshot. An event and the snapshot that answers it make one entry."""

    def __init__(self) -> None:
        self._actors: dict[str, Value] = {}
        self._names: dict[str, str] = {}
        self._waiting: dict[str, tuple[dict[str, Value], int]] = {}
        self._has_children = False

    def read(self, record: Value, default_ns: int) -> Iterator[SourceEntry]:
        """Return the entries of one inspection event.

        Raises:
            UnusableRecord: it is none, or names no session.
        """
        if not is_inspection(record):
            raise UnusableRecord("no XState inspection event")
        session = record.get("sessionId") or record.get("id") or record.get("rootId")
        if not isinstance(session, str | int):
            raise UnusableRecord("an inspection event without a session")
        session, kind = str(session), record["type"].removeprefix(_PREFIX)
        if kind == "event":
            # Two events in a row: the first one was answered by no snapshot, so it stands alone.
            yield from self._flush(session)
            self._waiting[session] = record, default_ns
            return
        pending = self._waiting.pop(session, None)
        if pending is not None and kind == "snapshot" and not self._answers(record, pending[0]):
            yield self._entry(*pending, _label(pending[0]))
        if kind == "actor" and isinstance(record.get("name"), str):
            self._names[session] = record["name"]
        if isinstance(record.get("snapshot"), dict):
            self._has_children = self._has_children or bool(record["snapshot"].get("children"))
            self._actors[self._atom(session)] = _plain(record["snapshot"])
        if pending is not None and kind == "snapshot" and self._answers(record, pending[0]):
            record = _joined(pending[0], record)
        label = _label(record) or (f"actor {self._names.get(session, session)}" if kind == "actor" else kind)
        yield self._entry(record, default_ns, label)

    @staticmethod
    def _answers(snapshot: dict[str, Value], event: dict[str, Value]) -> bool:
        return _label(snapshot) in ("", _label(event))

    def _atom(self, session: str) -> str:
        name = self._names.get(session)
        is_taken = name is not None and sum(other == name for other in self._names.values()) > 1
        return session if name is None else f"{name} ({session})" if is_taken else name

    def _flush(self, session: str) -> Iterator[SourceEntry]:
        pending = self._waiting.pop(session, None)
        if pending is not None:
            yield self._entry(*pending, _label(pending[0]))

    def _entry(self, record: dict[str, Value], default_ns: int, label: str) -> SourceEntry:
        found = find_time(record)
        meta: dict[str, Value] = {} if found else dict(TIME_FROM_FILE)
        if isinstance(record.get("event"), dict) and len(record["event"]) > 1:
            meta["event"] = {key: value for key, value in record["event"].items() if key != "type"}
        if isinstance(record.get("sourceId"), str):
            meta["source"] = record["sourceId"]
        known = _OF_EVENT if found is None else {**_OF_EVENT, found[0]: None}
        all_meta = with_others(meta, record, known)
        return SourceEntry(dict(self._actors), found[1] if found else default_ns, label, all_meta or NO_META)

    def finish(self) -> Iterable[SourceEntry]:
        """Return the events that no snapshot answered."""
        for session in list(self._waiting):
            yield from self._flush(session)

    def notices(self) -> Iterable[tuple[str, bool]]:
        """Report what snapshots repeat of other actors."""
        if self._has_children:
            yield "in no state, for they are actors of their own: the children that snapshots list", False


def _joined(event: dict[str, Value], snapshot: dict[str, Value]) -> dict[str, Value]:
    """Return a snapshot with what only the event says that it answers."""
    more = {key: value for key, value in event.items() if key not in _OF_EVENT and key not in snapshot}
    told, answered = event.get("event"), snapshot.get("event")
    if isinstance(told, dict) and isinstance(answered, dict):
        more["event"] = {**told, **answered}
    return {**snapshot, **more}


def _label(record: dict[str, Value]) -> str:
    return action_label(record.get("event"))


def _plain(snapshot: dict[str, Value]) -> Value:
    """Keep what describes the actor; children and references to the system repeat other actors."""
    kept = {
        key: value for key, value in snapshot.items()
        if key not in _REPEATED and (value not in _NEVER or key in _ALWAYS)
    }  # fmt: skip
    return kept or snapshot


def open_reader(probe: Probe) -> Reader:
    """Read a log or list of inspection events."""
    if probe.shape is SourceShape.DOCUMENT:
        document = probe.document if isinstance(probe.document, list) else [probe.document]
        return ItemsReader(
            probe.path, document, InspectionRecords(), mtime_ns=probe.status.st_mtime_ns, place="event"
        )
    return LinesReader(probe.path, InspectionRecords(), probe.limits, follows=probe.follows)
