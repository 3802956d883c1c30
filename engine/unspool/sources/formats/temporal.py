"""Temporal workflow histories: events as actions, each event the value of the atom `event`."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Iterator
from typing import Final

from unspool.errors import UnreadableSource
from unspool.model.entries import NO_META
from unspool.model.json_exact import BrokenText, parse
from unspool.model.values import Value
from unspool.sources.detection import Probe, SourceShape
from unspool.sources.entries import TIME_FROM_FILE, Reader, SourceEntry, UnusableRecord, find_time
from unspool.sources.formats.event_lines import EVENT_ATOM
from unspool.sources.lines import ItemsReader, LinesReader, beside

_ATTRIBUTES: Final = re.compile(r"\w+EventAttributes")
_TYPE_PREFIX: Final = "EVENT_TYPE_"
_SHOUTED: Final = re.compile(r"[A-Z]+(_[A-Z]+)+")
_NULL_ENCODING: Final = "binary/null"
_PAYLOAD_METADATA: Final = frozenset(("encoding", "messageType"))
"""What says how a payload is written; whatever else stands beside it is kept with what it holds."""
_JSON_ENCODINGS: Final = ("json/plain", "json/protobuf")


def is_event(record: Value) -> bool:
    """Whether a record is a history event."""
    return isinstance(record, dict) and {"eventId", "eventTime", "eventType"} <= record.keys()


def _events(document: Value) -> list[Value] | None:
    if isinstance(document, dict):
        inner = document.get("history", document)
        document = inner.get("events") if isinstance(inner, dict) else None
    return document if isinstance(document, list) and document and is_event(document[0]) else None


def detect(probe: Probe) -> int:
    """Score a probe: a list of history events, bare, in an object, or one a line."""
    if probe.shape is SourceShape.LINES:
        return 90 if probe.records and all(map(is_event, probe.records)) else 0
    return 95 if _events(probe.document) is not None else 0


class TemporalEvents:
    """Reads each history event as an entry."""

    def read(self, record: Value, default_ns: int) -> Iterator[SourceEntry]:
        """Return the entry of one event.

        Raises:
            UnusableRecord: it is no history event.
        """
        if not is_event(record):
            raise UnusableRecord("no Temporal history event")
        found = find_time({"eventTime": record["eventTime"]})
        content: dict[str, Value] = {}
        for key, value in record.items():
            if key not in ("eventId", "eventTime"):
                content["attributes" if _ATTRIBUTES.fullmatch(key) else key] = _readable(value)
        label = _label(str(record["eventType"]))
        meta = NO_META if found else TIME_FROM_FILE
        yield SourceEntry(
            {EVENT_ATOM: content}, found[1] if found else default_ns, label, meta, str(record["eventId"])
        )

    def finish(self) -> Iterable[SourceEntry]:
        """Nothing is held back."""
        return ()

    def notices(self) -> Iterable[tuple[str, bool]]:
        """Nothing to say about the whole."""
        return ()


def _label(event_type: str) -> str:
    """Spell `EVENT_TYPE_TIMER_FIRED` and `TIMER_FIRED` as `TimerFired`, the way newer exports do."""
    if not event_type.startswith(_TYPE_PREFIX) and not _SHOUTED.fullmatch(event_type):
        return event_type
    return "".join(word.capitalize() for word in event_type.removeprefix(_TYPE_PREFIX).split("_"))


def _payload(value: dict[str, Value]) -> Value:
    """Decode one payload that is JSON in base64; anything else stays as it is."""
    metadata, data = value.get("metadata"), value.get("data")
    if not isinstance(metadata, dict) or not isinstance(metadata.get("encoding"), str):
        return value
    try:
        encoding = base64.b64decode(metadata["encoding"], validate=True).decode("ascii", "replace")
        if encoding == _NULL_ENCODING and not data and value.keys() <= {"metadata", "data"}:
            return None
        if isinstance(data, str) and encoding in _JSON_ENCODINGS:
            decoded = parse(base64.b64decode(data, validate=True)).value
            is_plain = len(value) == 2 and metadata.keys() <= _PAYLOAD_METADATA
            return decoded if is_plain else {**value, "metadata": {**metadata, "encoding": encoding}, "data": decoded}
    except (binascii.Error, ValueError, BrokenText):
        pass
    return value


def _readable(value: Value) -> Value:
    """Return attributes with their payloads decoded; iterative, the input is not changed."""
    holder: list[Value] = [value]
    pending: list[tuple[Value, str | int]] = [(holder, 0)]
    while pending:
        container, key = pending.pop()
        current = container[key]
        if isinstance(current, dict):
            decoded = _payload(current)
            if decoded is not current:
                container[key] = decoded
                continue
            copied: Value = dict(current)
            pending.extend((copied, name) for name in copied)
        elif isinstance(current, list):
            copied = list(current)
            pending.extend((copied, index) for index in range(len(copied)))
        else:
            continue
        container[key] = copied
    return holder[0]


def open_reader(probe: Probe) -> Reader:
    """Read a workflow history.

    Raises:
        UnreadableSource: the document holds no events.
    """
    if probe.shape is SourceShape.LINES:
        return LinesReader(probe.path, TemporalEvents(), probe.limits, follows=probe.follows)
    events = _events(probe.document)
    if events is None:
        raise UnreadableSource(f"{probe.path}: holds no Temporal history events; export the history as JSON")
    return ItemsReader(
        probe.path,
        events,
        TemporalEvents(),
        mtime_ns=probe.status.st_mtime_ns,
        place="event",
        beside=beside(probe.document, events),
    )
