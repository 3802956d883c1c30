"""The nexus-state export list 1.0, in full snapshots, with typed JSON where plain JSON would lose a type."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from itertools import count
from typing import Final

from unspool.history.history import History
from unspool.model.entries import Entry
from unspool.model.json_text import to_json
from unspool.model.tags import Tagged
from unspool.model.values import Value
from unspool.sources.exports.options import ExportOptions, StateTexts, entries_of, milliseconds
from unspool.sources.tagged_values import Part, list_part, object_part, rewritten

_EXACT_INTEGERS: Final = range(-(2**53) + 1, 2**53)
"""Integers that JavaScript keeps."""
_LONGEST_INTEGER: Final = 4000
"""Digits (in bits, roughly) up to which an integer is spelled out."""
_COLLECTIONS: Final = {"Map": "entries", "Set": "values"}
_RECORDS: Final = frozenset(("RegExp", "Error", "Function"))
_RESERVED: Final = "__"
_ESCAPE: Final = "__esc_"


def lines(history: History, options: ExportOptions) -> Iterator[str]:
    """Yield the lines of an export list."""
    total, origin = len(history), history.first
    names: dict[str, None] = {}
    yield '{"version":"1.0","snapshots":['
    typed = _Typed()
    texts = StateTexts(typed.member)
    for entry in entries_of(history, total):
        view = options.holes.view(history, entry.seq)
        names.update(dict.fromkeys(view))
        state, _ = texts.text(view)
        if any(name.startswith(_RESERVED) for name in view):
            state = f"{to_json(typed.head())[:-1]},{state[1:]}"
        facts = to_json(typed.written(_facts(entry, len(view))))
        yield f'{facts[:-1]},"state":{state}}}{"," if entry.seq < total - 1 else ""}'
    first, last = (milliseconds(history[seq].timestamp_ns) for seq in (origin, total - 1)) if total else (0, 0)
    summary = {"snapshotCount": total - origin, "timeRange": {"from": first, "to": last}, "atomNames": list(names)}
    yield f'],"exportedAt":{to_json(last)},"metadata":{to_json(summary)}}}'


def _facts(entry: Entry, atoms: int) -> dict[str, Value]:
    metadata = {"timestamp": milliseconds(entry.timestamp_ns), "action": entry.action, "atomCount": atoms}
    meta = {"meta": dict(entry.meta)} if entry.meta else {}
    return {"id": entry.id, "type": "full", "baseSnapshotId": None, "metadata": {**metadata, **meta}}


class _Typed:
    """Writes what plain JSON cannot keep as typed JSON does; ids are unique in the document."""

    def __init__(self) -> None:
        self._ids = count(1)

    def head(self) -> dict[str, Value]:
        """Return what tells an object whose keys are escaped from a plain one."""
        return {"__id": f"obj_{next(self._ids)}", "__type": "Object"}

    def member(self, atom: str, value: Value) -> tuple[str, bool]:
        """Write an atom as a member of a snapshot's state."""
        name = f"{_ESCAPE}{atom}" if atom.startswith(_RESERVED) else atom
        content = to_json(self.written({"value": value, "type": "primitive", "name": atom}))
        return f"{to_json(name)}:{content}", False

    def written(self, value: Value) -> Value:
        """Return a value as JSON with typed markers where they are needed."""
        return rewritten(value, self._part)

    def _part(self, value: Value) -> Part | Value:
        match value:
            case dict() if all(type(key) is str for key in value):
                return self._object(value)
            case list():
                return list_part(value)
            case bool():
                return value
            case int() if value not in _EXACT_INTEGERS and value.bit_length() < _LONGEST_INTEGER:
                return {"__type": "BigInt", "value": str(value)}
            case dt.datetime() if not value.fold:
                return {"__type": "Date", "value": value.isoformat()}
            case Tagged():
                return self._tagged(value)
        return value

    def _object(self, value: dict[str, Value]) -> Part:
        keys = list(value)
        if not any(key.startswith(_RESERVED) for key in keys):
            return object_part(keys, iter(value.values()))
        escaped = [f"{_ESCAPE}{key}" if key.startswith(_RESERVED) else key for key in keys]
        head = self.head()
        return Part(iter(value.values()), lambda done: {**head, **dict(zip(escaped, done, strict=True))})

    def _tagged(self, value: Tagged) -> Part | Value:
        type_name, content = value.type_name, value.value
        collection = _COLLECTIONS.get(type_name)
        if collection is not None and isinstance(content, list):
            return Part(iter(content), lambda done: {"__type": type_name, collection: done})
        if type_name in _RECORDS and isinstance(content, dict) and all(type(key) is str for key in content):
            return {"__type": type_name, **content}
        return value
