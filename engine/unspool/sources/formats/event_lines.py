"""Records that are events: what happened, with no state to rebuild. Each is shown as one atom, `event`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from unspool.model.entries import NO_META
from unspool.model.values import Value
from unspool.sources.detection import Probe, SourceShape
from unspool.sources.entries import TIME_FROM_FILE, TIME_KEYS, Reader, SourceEntry, find_time
from unspool.sources.formats.states import action_label
from unspool.sources.lines import ItemsReader, LinesReader

EVENT_ATOM: Final = "event"
NAME_KEYS: Final = ("event", "eventType", "event_type", "action", "type", "name", "kind", "msg", "message")
_PAYLOAD_KEYS: Final = ("payload", "data", "attributes", "properties", "body", "params", "args", "detail", "context")


def is_event(record: Value) -> bool:
    """Whether a record names what happened and when, or what happened and with what payload."""
    if not isinstance(record, dict) or not any(isinstance(record.get(key), str) for key in NAME_KEYS):
        return False
    if isinstance(record.get("apiVersion"), str) and record.get("kind") != "Event":
        # An object of Kubernetes: its kind is what it is, and its data a part of its state.
        return False
    return any(key in record for key in (*_PAYLOAD_KEYS, *TIME_KEYS))


def detect(probe: Probe) -> int:
    """Score a probe: lines of objects that are events."""
    records = probe.records
    if probe.shape is not SourceShape.LINES or not records:
        return 0
    events = sum(map(is_event, records))
    with_payload = sum(isinstance(record, dict) and bool(record.keys() & set(_PAYLOAD_KEYS)) for record in records)
    if events == len(records) and with_payload * 2 >= len(records):
        return 40
    return 10 if all(isinstance(record, dict) for record in records) else 1


class EventRecords:
    """Reads each record as one event."""

    def read(self, record: Value, default_ns: int) -> Iterator[SourceEntry]:
        """Return the entry of one event; its name is the action, all of it is the value of the atom."""
        found = find_time(record) if isinstance(record, dict) else None
        label = ""
        if isinstance(record, dict):
            label = next((action_label(record[key]) for key in NAME_KEYS if record.get(key)), "")
        content = record
        if found is not None:
            content = {key: value for key, value in record.items() if key != found[0]}
        meta = NO_META if found else TIME_FROM_FILE
        yield SourceEntry({EVENT_ATOM: content}, found[1] if found else default_ns, label, meta)

    def finish(self) -> Iterable[SourceEntry]:
        """Nothing is held back."""
        return ()

    def notices(self) -> Iterable[tuple[str, bool]]:
        """Nothing to say about the whole."""
        return ()


def open_reader(probe: Probe) -> Reader:
    """Read a log of events."""
    if probe.shape is SourceShape.DOCUMENT and isinstance(probe.document, list):
        return ItemsReader(probe.path, probe.document, EventRecords(), mtime_ns=probe.status.st_mtime_ns)
    return LinesReader(probe.path, EventRecords(), probe.limits, follows=probe.follows)
