"""Change streams of databases, Debezium's and MongoDB's: each change is an entry, each table an atom with its rows."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any, Final

import msgspec

from unspool.model.entries import NO_META
from unspool.model.json_text import to_json
from unspool.model.values import State, Value, strict_equal
from unspool.sources.detection import Probe, SourceShape
from unspool.sources.entries import (
    SCALAR,
    TIME_FROM_FILE,
    Known,
    Reader,
    SourceEntry,
    UnusableRecord,
    find_time,
    fits,
    to_ns,
    with_others,
)
from unspool.sources.lines import ItemsReader, LinesReader

_LABELS: Final = {"c": "create", "r": "read", "u": "update", "d": "delete", "t": "truncate"}
_KEYS: Final = ("id", "_id", "uuid", "uid", "key", "ID", "Id")
_UNAVAILABLE: Final = "__debezium_unavailable_value"
"""Stands for a value that the database did not write to its log, as it did not change."""
_WHOLE_TABLES: Final = {"drop", "dropDatabase", "rename", "invalidate"}


class DebeziumSource(msgspec.Struct):
    """Where a change of Debezium happened."""

    table: str | None = None
    collection: str | None = None
    db: str | None = None


class Debezium(msgspec.Struct):
    """The fields of a change that tell Debezium's apart."""

    op: str
    source: DebeziumSource
    before: Any = None
    after: Any = None


class Namespace(msgspec.Struct):
    """Where a change of MongoDB happened."""

    db: str
    coll: str | None = None


class MongoChange(msgspec.Struct):
    """The fields of a change that tell MongoDB's apart."""

    operationType: str  # noqa: N815 - as the file spells it
    ns: Namespace | None = None
    documentKey: dict[str, Any] | None = None  # noqa: N815
    fullDocument: dict[str, Any] | None = None  # noqa: N815


def _debezium(record: Value) -> dict[str, Value] | None:
    """Return the change in a record of Debezium, with or without its schema around it; None where it is none."""
    if isinstance(record, dict) and isinstance(record.get("payload"), dict):
        record = record["payload"]
    is_one = fits(record, Debezium) and ("before" in record or "after" in record)
    return record if is_one else None


def is_change(record: Value) -> bool:
    """Whether a record is a change of either kind."""
    return _debezium(record) is not None or _is_of_mongo(record)


def _is_of_mongo(record: Value) -> bool:
    return fits(record, MongoChange) and ("ns" in record or record["operationType"] == "invalidate")


def detect(probe: Probe) -> int:
    """Score a probe: all records are changes."""
    return 88 if probe.records and all(map(is_change, probe.records)) else 0


_OF_DEBEZIUM: Final[dict[str, Known]] = dict.fromkeys(
    ("before", "after", "source", "op", "ts_ms", "ts_us", "ts_ns", "transaction")
)
_OF_ENVELOPE: Final[Known] = {"schema": None, "payload": _OF_DEBEZIUM}
_NAMESPACE: Final[Known] = dict.fromkeys(("db", "coll"), SCALAR)
_TIMESTAMP: Final[Known] = {"$timestamp": {"t": SCALAR, "i": SCALAR}, "$date": None}
_OF_MONGO: Final[Known] = {
    **dict.fromkeys(("operationType", "wallTime", "txnNumber", "collectionUUID", "operationDescription"), None),
    **dict.fromkeys(("documentKey", "fullDocument", "fullDocumentBeforeChange", "lsid", "splitEvent"), None),
    "_id": {"_data": SCALAR, "_typeBits": None}, "clusterTime": _TIMESTAMP, "ns": _NAMESPACE, "to": _NAMESPACE,
    "updateDescription": {
        "updatedFields": None, "removedFields": [SCALAR], "disambiguatedPaths": None,
        "truncatedArrays": [{"field": SCALAR, "newSize": SCALAR}],
    },
}  # fmt: skip
"""What is known of a change, whether or not anything of it is shown."""


class ChangeRecords:
    """Folds changes into tables: rows by their key, in the order they came."""

    def __init__(self) -> None:
        self._tables: dict[str, dict[Hashable, dict[str, Value]]] = {}
        self._unseen = 0
        self._contradicted = 0

    def read(self, record: Value, default_ns: int) -> Iterator[SourceEntry]:
        """Return the entry of one change.

        Raises:
            UnusableRecord: it is none, or of a kind that is not known.
        """
        change = _debezium(record)
        if change is not None:
            meta: Mapping[str, Value] = {"source": change["source"]}
            label = self._apply_debezium(change)
            moment = to_ns(change.get("ts_ms"))
        elif _is_of_mongo(record):
            label, meta = self._apply_mongo(record), {}
            found = find_time(record)
            moment = None if found is None else found[1]
        else:
            raise UnusableRecord("no change of Debezium or MongoDB")
        if moment is None:
            meta = {**meta, **TIME_FROM_FILE}
        known = _OF_MONGO if change is None else _OF_DEBEZIUM if change is record else _OF_ENVELOPE
        meta = with_others(meta, record, known)
        yield SourceEntry(self._state(), default_ns if moment is None else moment, label, meta or NO_META)

    def _state(self) -> State:
        return {name: list(rows.values()) for name, rows in self._tables.items()}

    def _apply_debezium(self, change: dict[str, Value]) -> str:
        kind, source = change["op"], change["source"]
        label = _LABELS.get(kind)
        if label is None:
            raise UnusableRecord(f"a change of the kind {kind!r}, which is not known")
        name = (
            ".".join(part for part in (source.get("db"), source.get("table") or source.get("collection")) if part)
            or "rows"
        )
        before, after = change.get("before"), change.get("after")
        rows = self._tables.setdefault(name, {})
        if kind == "t":
            rows.clear()
            return f"{label} {name}"
        row: Value = before if kind == "d" else after
        if not isinstance(row, dict):
            raise UnusableRecord(f"a change of the kind {kind!r} without the row it is about")
        old = _key_of(before if isinstance(before, dict) else row)
        self._contradicted += isinstance(before, dict) and old in rows and _contradicts(rows[old], before)
        if kind in ("u", "d") and old not in rows:
            self._unseen += 1
        if kind == "d":
            rows.pop(old, None)
        else:
            self._put(rows, old, _key_of(row), row)
        return f"{label} {name}"

    @staticmethod
    def _put(rows: dict[Hashable, dict[str, Value]], old: Hashable, new: Hashable, row: dict[str, Value]) -> None:
        if old != new:
            rows.pop(old, None)
        rows[new] = row

    def _apply_mongo(self, change: dict[str, Value]) -> str:
        kind = change["operationType"]
        place = change.get("ns") or {}
        name = ".".join(part for part in (place.get("db"), place.get("coll")) if part)
        if kind in _WHOLE_TABLES:
            self._apply_to_whole(kind, name, change)
            return f"{kind} {name}".rstrip()
        rows = self._tables.setdefault(name, {})
        document = change.get("fullDocument")
        key = _hashable(change.get("documentKey") or document)
        if kind in ("insert", "replace", "update") and isinstance(document, dict):
            rows[key] = document
        elif kind == "update":
            self._unseen += key not in rows
            start = rows.get(key, dict(change.get("documentKey") or {}))
            rows[key] = _updated(start, change.get("updateDescription"))
        elif kind == "delete":
            self._unseen += key not in rows
            rows.pop(key, None)
        else:
            raise UnusableRecord(f"a change of the kind {kind!r}, which is not known")
        return f"{kind} {name}"

    def _apply_to_whole(self, kind: str, name: str, change: dict[str, Value]) -> None:
        if kind == "drop":
            self._tables.pop(name, None)
        elif kind == "dropDatabase":
            for known in [known for known in self._tables if known.startswith(f"{name}.")]:
                del self._tables[known]
        elif kind == "rename" and fits(change.get("to"), Namespace) and name in self._tables:
            target = change["to"]
            self._tables[f"{target['db']}.{target.get('coll')}"] = self._tables.pop(name)

    def finish(self) -> Iterable[SourceEntry]:
        """Nothing is held back."""
        return ()

    def notices(self) -> Iterable[tuple[str, bool]]:
        """Report rows that were there before the stream begins."""
        if self._unseen:
            yield (
                "some rows were changed that the stream never showed: it begins in the middle, and others may be missing",
                True,
            )
        if self._contradicted:
            yield (
                f"{self._contradicted} changes tell of the row before them what is not what stood there: changes are missing, or came twice",
                True,
            )


def _contradicts(row: dict[str, Value], before: dict[str, Value]) -> bool:
    """Whether a change contradicts the row before it; it may name some of its fields only."""
    return any(
        value != _UNAVAILABLE and not (key in row and strict_equal(row[key], value)) for key, value in before.items()
    )


def _key_of(row: dict[str, Value]) -> Hashable:
    """Return what identifies a row: its usual key, else all of it."""
    names = [*(key for key in _KEYS if key in row), *(key for key in row if key.lower().endswith("id"))]
    return _hashable(row[names[0]] if names else row)


def _hashable(value: Value) -> Hashable:
    return value if isinstance(value, str) else to_json(value).encode("utf-8", "surrogatepass")


def _updated(row: dict[str, Value], description: Value) -> dict[str, Value]:
    """Return a document after an update of some of its fields, which are written as dotted paths."""
    told = description if isinstance(description, dict) else {}
    updated, removed, cut = (told.get(name) for name in ("updatedFields", "removedFields", "truncatedArrays"))
    row = dict(row)
    for item in cut if isinstance(cut, list) else ():
        if isinstance(item, dict) and isinstance(item.get("field"), str) and type(item.get("newSize")) is int:
            row = _at(row, _steps(item["field"]), partial(_cut, item["newSize"]))
    for path, value in updated.items() if isinstance(updated, dict) else ():
        row = _at(row, _steps(path), partial(_first, value))
    for path in removed if isinstance(removed, list) else ():
        if isinstance(path, str):
            row = _at(row, _steps(path), partial(_first, _GONE))
    return row


_GONE: Final = object()
_DEEPEST: Final = 200
"""Steps of a dotted path; MongoDB itself nests a hundred levels."""


def _steps(path: str) -> list[str]:
    steps = path.split(".")
    if len(steps) > _DEEPEST:
        raise UnusableRecord(f"a field {len(steps):,} levels deep")
    return steps


def _first(value: Value, _: Value) -> Value:
    return value


def _cut(size: int, old: Value) -> Value:
    return old[:size] if isinstance(old, list) else old


def _at(holder: Value, steps: list[str], change: Callable[[Value], Value]) -> Value:
    """Return a copy of a document with the value at a dotted path changed; what leads nowhere is made on the way."""
    step, rest = steps[0], steps[1:]
    if isinstance(holder, list) and step.isascii() and step.isdigit() and len(step) < 10 and int(step) < len(holder):
        items = list(holder)
        items[int(step)] = _at(items[int(step)], rest, change) if rest else change(items[int(step)])
        return items
    copied = dict(holder) if isinstance(holder, dict) else {}
    new = _at(copied.get(step), rest, change) if rest else change(copied.get(step))
    if new is _GONE:
        copied.pop(step, None)
    else:
        copied[step] = new
    return copied


def open_reader(probe: Probe) -> Reader:
    """Read a stream of changes: a list, or one a line."""
    if probe.shape is SourceShape.DOCUMENT:
        records = probe.document if isinstance(probe.document, list) else [probe.document]
        return ItemsReader(probe.path, records, ChangeRecords(), mtime_ns=probe.status.st_mtime_ns, place="change")
    return LinesReader(probe.path, ChangeRecords(), probe.limits, follows=probe.follows)
