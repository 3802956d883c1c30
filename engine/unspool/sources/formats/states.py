"""Lines that are whole states, bare or in an envelope `{"timestamp", "action", "state"}`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import pairwise
from typing import Final

from unspool.model.entries import NO_META, EntryKind
from unspool.model.values import Value, strict_equal
from unspool.sources.detection import Probe, SourceShape
from unspool.sources.documents import looks_like_lines
from unspool.sources.entries import (
    TIME_FROM_FILE,
    TIME_KEYS,
    USUAL_TIME_KEYS,
    Reader,
    SourceEntry,
    as_state,
    find_time,
)
from unspool.sources.lines import ItemsReader, LinesReader
from unspool.sources.tagged_values import TAGGED, from_tagged

NOTE: Final = EntryKind.NOTE.value
ACTION_KEYS: Final = ("action", "label", "message", "event", "name", "type")
_ENVELOPE_KEYS: Final = frozenset(
    (*USUAL_TIME_KEYS, "_timestamp", "@t", "Timestamp", *ACTION_KEYS, "state", "id", "seq", "kind", "base_seq", "meta", "parent_seq", "parent_id", "part",
     "added", "modified", "deleted", "stored_bytes", "full_bytes", "author", "version",
     TAGGED)
)  # fmt: skip
_OWN_COUNTS: Final = frozenset(("seq", "kind", "base_seq", "added", "modified", "deleted", "stored_bytes", "full_bytes",
                                "parent_seq", TAGGED))  # fmt: skip
"""What `unspool export` and `unspool log --json` write besides, and what recording it again works out anew."""


def is_envelope(record: Value) -> bool:
    """Whether a record carries a state in an envelope, and is not itself a state with an atom named `state`."""
    if not isinstance(record, dict) or "state" not in record or not record.keys() <= _ENVELOPE_KEYS:
        return False
    return isinstance(record["state"], dict) or len(record) > 1


def action_label(action: Value) -> str:
    """Return an action as a label: text as it is, an object by its `type` or `name`."""
    if isinstance(action, dict):
        action = next((action[key] for key in ("type", "name", "action") if isinstance(action.get(key), str)), "")
    return action if isinstance(action, str) else "" if action is None else str(action)


def detect(probe: Probe) -> int:
    """Score a probe: lines of objects whose keys recur, or envelopes; one bare line only by the file's name."""
    records = probe.records
    if not records:
        return 0
    enveloped = sum(map(is_envelope, records))
    if probe.shape is SourceShape.LINES:
        return 60 if enveloped == len(records) else 30 if keys_recur(records) else 5
    if isinstance(probe.document, list):
        return 60 if enveloped == len(records) and len(probe.document) > 1 else 0
    if looks_like_lines(probe.path.name) and probe.sample.records:
        return 50
    has_time = isinstance(probe.document, dict) and bool(probe.document.keys() & set(TIME_KEYS))
    return 45 if enveloped and has_time and len(probe.sample.records) == 1 else 0


def keys_recur(records: tuple[Value, ...]) -> bool:
    """Whether each record shares at least half of its keys with the one before; lists and scalars do."""
    for before, after in pairwise(records):
        if isinstance(before, dict) and isinstance(after, dict):
            shared = len(before.keys() & after.keys())
            if 2 * shared < min(len(before), len(after)):
                return False
        elif type(before) is not type(after):
            return False
    return True


class StateRecords:
    """Reads each record as one whole state."""

    def __init__(self, *, has_envelope: bool) -> None:
        self._has_envelope = has_envelope
        self._before: Mapping[str, Value] = {}

    def read(self, record: Value, default_ns: int) -> Iterator[SourceEntry]:
        """Return the entry of one record."""
        if self._has_envelope and is_envelope(record):
            entry = enveloped_entry(record, default_ns)
            # What says that it is a note and brings another state is none.
            is_note = record.get("kind") == NOTE and strict_equal(entry.state, self._before)
            self._before = entry.state
            yield replace(entry, is_note=True) if is_note else entry
        else:
            yield _bare(record, default_ns)

    def finish(self) -> Iterable[SourceEntry]:
        """Nothing is held back."""
        return ()

    def notices(self) -> Iterable[tuple[str, bool]]:
        """Nothing to say about the whole."""
        return ()


def _bare(record: Value, default_ns: int) -> SourceEntry:
    found = find_time(record, of_state=True) if isinstance(record, dict) else None
    if found is None:
        return SourceEntry(as_state(record), default_ns, meta=TIME_FROM_FILE)
    return SourceEntry(as_state(_readable(record)), found[1])


def _readable(record: dict[str, Value]) -> dict[str, Value]:
    """Return a record of systemd's journal with its message as text: one that is no plain text is written as bytes."""
    message = record.get("MESSAGE")
    if "__REALTIME_TIMESTAMP" not in record or not isinstance(message, list) or not message:
        return record
    if not all(type(byte) is int and 0 <= byte < 256 for byte in message):
        return record
    return {**record, "MESSAGE": bytes(message).decode("utf-8", "surrogateescape")}


def state_of(record: dict[str, Value]) -> Value:
    """Return the state in an envelope; where the record says so, tags in it stand for values that JSON lacks.

    Raises:
        UnusableRecord: a tag does not hold what it must.
    """
    state = record["state"]
    if record.get(TAGGED) is not True or not isinstance(state, dict):
        return state
    return {atom: from_tagged(value) for atom, value in state.items()}


def enveloped_entry(record: dict[str, Value], default_ns: int) -> SourceEntry:
    """Return the entry of a record `{"timestamp", "action", "state", …}`; other keys become meta."""
    found = find_time(record)
    action_key = next((key for key in ACTION_KEYS if key in record), None)
    action = record[action_key] if action_key else ""
    meta = dict(record["meta"]) if isinstance(record.get("meta"), dict) else {}
    if isinstance(action, dict):
        meta["action"] = action
    used = {"state", "meta", "id", "parent_id", action_key, found[0] if found else None}
    part = _part_of(record)
    if part is not None:
        used.add("part")
    meta.update({key: value for key, value in record.items() if key not in used and key not in _OWN_COUNTS})
    if found is None:
        meta.update(TIME_FROM_FILE)
    entry_id, parent_id = record.get("id"), record.get("parent_id")
    return SourceEntry(
        as_state(state_of(record)),
        found[1] if found else default_ns,
        action_label(action),
        meta or NO_META,
        str(entry_id) if isinstance(entry_id, str | int) else None,
        str(parent_id) if isinstance(parent_id, str | int) else None,
        part,
        is_full=record.get("kind") == "full",
    )


def _part_of(record: dict[str, Value]) -> tuple[str, ...] | None:
    """Return the atoms that follow the record's parent where it names any, as an export of ours does."""
    part = record.get("part")
    return tuple(map(str, part)) if isinstance(part, list) and "parent_id" in record else None


def open_reader(probe: Probe) -> Reader:
    """Read a JSON Lines file of states, or a document that is a list of enveloped states."""
    records = probe.records
    interpreter = StateRecords(has_envelope=any(map(is_envelope, records)))
    if (
        probe.shape is SourceShape.DOCUMENT
        and isinstance(probe.document, list)
        and not looks_like_lines(probe.path.name)
    ):
        return ItemsReader(probe.path, probe.document, interpreter, mtime_ns=probe.status.st_mtime_ns)
    return LinesReader(probe.path, interpreter, probe.limits, follows=probe.follows)


def has_envelope(document: Value) -> bool:
    """Whether a document is a state in an envelope: besides `state`, an object, it must name a time."""
    return is_envelope(document) and isinstance(document["state"], dict) and find_time(document) is not None


def document_entry(document: Value, timestamp_ns: int, action: str = "", entry_id: str | None = None) -> SourceEntry:
    """Return the entry of one document; time and action of an envelope go before the ones given."""
    if not has_envelope(document):
        return SourceEntry(as_state(document), timestamp_ns, action, entry_id=entry_id)
    entry = enveloped_entry(document, timestamp_ns)
    return replace(entry, action=entry.action or action, entry_id=entry.entry_id or entry_id)


class DocumentRecords:
    """Reads each record as a whole document."""

    def read(self, record: Value, default_ns: int) -> Iterator[SourceEntry]:
        """Return the entry of one document."""
        yield document_entry(record, default_ns)

    def finish(self) -> Iterable[SourceEntry]:
        """Nothing is held back."""
        return ()

    def notices(self) -> Iterable[tuple[str, bool]]:
        """Nothing to say about the whole."""
        return ()
