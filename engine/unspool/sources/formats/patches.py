"""JSON Patches (RFC 6902) and those of Immer as entries: each is applied to a document, which is never changed in place."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Final, Literal

import msgspec

from unspool.delta.apply import apply_ops
from unspool.errors import PathSyntaxError
from unspool.model.entries import NO_META, Op, OpKind
from unspool.model.json_exact import TooMuch
from unspool.model.keys import Path, Step, format_path
from unspool.model.limits import Limits, in_force
from unspool.model.paths import pointer_steps
from unspool.model.values import Value, json_equal
from unspool.sources.detection import Probe, SourceShape
from unspool.sources.entries import (
    TIME_FROM_FILE,
    USUAL_TIME_KEYS,
    Known,
    Reader,
    SourceEntry,
    UnusableRecord,
    as_state,
    find_time,
    fits,
    with_others,
)
from unspool.sources.formats.states import ACTION_KEYS, NOTE, action_label, is_envelope, state_of
from unspool.sources.lines import ItemsReader, LinesReader
from unspool.sources.tagged_values import NOTHING, TAGGED, Size, from_tagged, unfolded_size

_INDEX: Final = re.compile(r"0|[1-9][0-9]*", re.ASCII)
_LENGTH: Final = "length"


def _steps(pointer: Value) -> list[str]:
    if isinstance(pointer, list):
        # Immer's own form: the keys and indexes themselves.
        return [str(step) for step in pointer]
    if not isinstance(pointer, str):
        raise UnusableRecord(f"{pointer!r} is no JSON Pointer")
    try:
        return pointer_steps(pointer)
    except PathSyntaxError:
        raise UnusableRecord(f"{pointer!r} is no JSON Pointer") from None


def _index(step: str, length: int, pointer: str, *, may_append: bool) -> int:
    if may_append and step == "-":
        return length
    if not _INDEX.fullmatch(step) or len(step) > 18 or int(step) >= length + may_append:
        raise UnusableRecord(f"{pointer} does not exist: the list there has {length} items")
    return int(step)


def _child(container: Value, step: str, pointer: str) -> Value:
    if isinstance(container, dict):
        if step not in container:
            raise UnusableRecord(f"{pointer} does not exist; is the state the log starts from missing?")
        return container[step]
    if isinstance(container, list):
        return container[_index(step, len(container), pointer, may_append=False)]
    raise UnusableRecord(f"{pointer} does not exist: there is no object or list on the way")


def value_at(document: Value, pointer: Value) -> Value:
    """Return what stands at a JSON Pointer.

    Raises:
        UnusableRecord: there is nothing, or the pointer is none.
    """
    for step in _steps(pointer):
        document = _child(document, step, pointer)
    return document


def _path_of(document: Value, steps: list[str], pointer: str, *, may_append: bool = False) -> tuple[Path, bool]:
    """Return the steps of a pointer as the document has them, and whether something is there that a new value replaces.

    Args:
        document: the whole.
        steps: of the pointer; at least one.
        pointer: for messages.
        may_append: the last step may name a key that is not there yet, or the place in a list to insert at.
    """
    path: list[Step] = []
    for step in steps[:-1]:
        child = _child(document, step, pointer)
        path.append(int(step) if isinstance(document, list) else step)
        document = child
    last = steps[-1]
    if may_append and isinstance(document, dict):
        return (*path, last), last in document
    if may_append and isinstance(document, list):
        return (*path, _index(last, len(document), pointer, may_append=True)), False
    _child(document, last, pointer)
    return (*path, int(last) if isinstance(document, list) else last), True


def _put(document: Value, pointer: Value, value: Value, *, replaces: bool) -> Value:
    steps = _steps(pointer)
    if not steps:
        return value
    path, is_there = _path_of(document, steps, pointer, may_append=not replaces)
    return apply_ops(document, (Op(OpKind.REPLACE if is_there else OpKind.ADD, path, new=value),))


def _remove(document: Value, pointer: Value) -> Value:
    steps = _steps(pointer)
    if not steps:
        return {}
    path, _ = _path_of(document, steps, pointer)
    return apply_ops(document, (Op(OpKind.REMOVE, path),))


def _shortened(document: Value, path: list[Value], length: Value) -> tuple[Value] | None:
    """Return the document with a list cut to a length, as Immer writes it; None where no list stands there."""
    items = value_at(document, path[:-1])
    if not isinstance(items, list):
        return None
    if type(length) is not int or not 0 <= length <= len(items):
        raise UnusableRecord(f"a list of {len(items)} items cannot be cut to the length {length!r}")
    return (_put(document, path[:-1], items[:length], replaces=True),)


def state_before(inverse: list[dict[str, Value]]) -> dict[str, Value]:
    """Return what the inverse of some operations shows of an otherwise unknown object: the values that they bring back."""
    known: dict[str, Value] = {}
    for operation in inverse:
        steps = _steps(operation["path"])
        if operation["op"] not in ("add", "replace") or not steps or "value" not in operation:
            continue
        holder = known
        for step in steps[:-1]:
            inner = holder.setdefault(step, {})
            if not isinstance(inner, dict):
                break
            holder = inner
        else:
            holder[steps[-1]] = operation["value"]
    return known


def apply_operation(document: Value, operation: dict[str, Value]) -> Value:
    """Apply one operation and return the new document.

    Raises:
        UnusableRecord: the operation does not fit the document, or a test failed.
    """
    kind, path = operation.get("op"), operation.get("path")
    if kind == "replace" and isinstance(path, list) and path and path[-1] == _LENGTH:
        shortened = _shortened(document, path, operation.get("value"))
        if shortened is not None:
            return shortened[0]
    if kind in ("add", "replace", "test") and "value" not in operation:
        raise UnusableRecord(f"a {kind} operation without a value")
    if kind == "add" or kind == "replace":
        return _put(document, path, operation["value"], replaces=kind == "replace")
    if kind == "remove":
        return _remove(document, path)
    if kind == "test":
        if not json_equal(value_at(document, path), operation["value"]):
            raise UnusableRecord(f"the test at {path!r} fails")
        return document
    origin = operation.get("from")
    value = value_at(document, origin)
    if kind == "move":
        if isinstance(path, str) and isinstance(origin, str) and path.startswith(f"{origin}/"):
            raise UnusableRecord(f"{origin!r} cannot be moved into itself")
        document = _remove(document, origin)
    elif kind != "copy":
        raise UnusableRecord(f"{kind!r} is no JSON Patch operation")
    return _put(document, path, value, replaces=False)


_INVERSE: Final = "inversePatches"
_LIST_KEYS: Final = ("patch", "patches", "ops", "operations", "changes")
_KNOWN_OF_OPERATION: Final[Known] = dict.fromkeys(("op", "path", "from", "value", "oldValue"))
_AROUND: Final = frozenset((*USUAL_TIME_KEYS, "action", "label", _INVERSE))
"""What stands beside a list of patches and tells that the record holds no state."""


class Operation(msgspec.Struct):
    """The fields that every operation has: of JSON Patch, whose path is a pointer, or of Immer, whose path is a list."""

    op: Literal["add", "remove", "replace", "move", "copy", "test"]
    path: str | list[str | int]


def is_operation(record: Value) -> bool:
    """Whether a record is one JSON Patch operation."""
    return fits(record, Operation)


def operations_of(record: Value) -> list[Value] | None:
    """Return the operations a record holds, or None where it is no patch."""
    if is_operation(record):
        return [record]
    is_envelope_of_none = False
    if isinstance(record, dict):
        key = next((key for key in _LIST_KEYS if isinstance(record.get(key), list)), None)
        # A list may be empty where its name or what stands beside it tells what it is: a moment in which nothing changed.
        others = record.keys() - {key}
        is_envelope_of_none = key == _LIST_KEYS[0] or (bool(others) and others <= _AROUND)
        record = None if key is None else record[key]
    if isinstance(record, list) and (record or is_envelope_of_none) and all(map(is_operation, record)):
        return record
    return None


def _resembles_operation(record: Value) -> bool:
    """Whether a record is an operation of some dialect, known here or not; such a one is no state that patches start from."""
    return isinstance(record, dict) and isinstance(record.get("op"), str) and "path" in record


def detect(probe: Probe) -> int:
    """Score a probe: all records are patches, the first perhaps the state they start from."""
    records = probe.records
    if records and all(map(_resembles_operation, records)):
        return 80
    patches = sum(operations_of(record) is not None for record in records)
    if (
        not patches
        or len(records) - patches > 1
        or (patches < len(records) and operations_of(records[0]) is not None)
    ):
        return 0
    is_log = probe.shape is SourceShape.LINES or isinstance(probe.document, list)
    return 80 if is_log else 40


class PatchedDocument:
    """A document that patches are applied to. Copies within it share their parts, and count in full."""

    def __init__(self, value: Value, limits: Limits | None = None, copied: Size = NOTHING) -> None:
        """Begin with a document.

        Args:
            value: the document; never changed.
            limits: bounds of what copies may come to; those of the process when None.
            copied: what the parts that were copied within it come to, since its size was last worked out.
        """
        self.value = value
        self._limits = limits or in_force()
        self._copied = copied

    def after(self, operations: list[Value]) -> PatchedDocument:
        """Return the document after operations.

        Raises:
            UnusableRecord: one does not fit, or the copies would be larger than a state may be.
        """
        value, copied = self.value, self._copied
        for operation in operations:
            if operation["op"] == "copy":
                copied = copied.plus(unfolded_size(value_at(value, operation.get("from"))))
            value = apply_operation(value, operation)
            if operation["op"] == "copy":
                copied = self._checked(copied, value)
        return PatchedDocument(value, self._limits, copied)

    def _checked(self, copied: Size, document: Value) -> Size:
        try:
            copied.check(self._limits, "its copies")
        except TooMuch:
            # Much of what was ever copied may be gone again, so only now the whole is worth looking at.
            copied = unfolded_size(document)
            try:
                copied.check(self._limits, "its copies")
            except TooMuch as error:
                raise UnusableRecord(str(error)) from None
        return copied


class PatchRecords:
    """Applies patches to a state that starts empty, or with the first record that is no patch."""

    def __init__(self, limits: Limits | None = None) -> None:
        self._limits = limits or in_force()
        self._document = PatchedDocument({}, self._limits)
        self._is_first = True
        self._contradictions = 0

    def read(self, record: Value, default_ns: int) -> Iterator[SourceEntry]:
        """Return the entry of one patch, or of the state that patches start from.

        Raises:
            UnusableRecord: the record is no patch, or does not fit the state; the state stays as it was.
        """
        operations = operations_of(record)
        if operations is not None and isinstance(record, dict) and record.get(TAGGED) is True:
            operations = [
                {**item, "value": from_tagged(item["value"])} if "value" in item else item for item in operations
            ]
        is_first, self._is_first = self._is_first, False
        if operations is None:
            if not is_first or _resembles_operation(record):
                raise UnusableRecord("not a JSON Patch")
            self._document = PatchedDocument(state_of(record) if is_envelope(record) else record, self._limits)
        else:
            inverse = record.get(_INVERSE) if is_first and isinstance(record, dict) else None
            if self._document.value == {} and isinstance(inverse, list) and all(map(is_operation, inverse)):
                yield self._before(record, inverse, default_ns)
            self._document = self._applied(operations)
        yield self._entry(record, operations, default_ns)

    def _before(self, record: dict[str, Value], inverse: list[Value], default_ns: int) -> SourceEntry:
        """Return the entry of what the inverse of the first patches shows of the state before: the values they bring back."""
        self._document = PatchedDocument(state_before(inverse), self._limits)
        entry = self._entry(record, None, default_ns)
        return replace(entry, action="", meta={**entry.meta, "known": "what the inverse patches tell"}, entry_id=None)

    def _applied(self, operations: list[Value]) -> PatchedDocument:
        document = self._document
        for operation in operations:
            self._contradictions += self._contradicts(document.value, operation)
            document = document.after([operation])
        return document

    @staticmethod
    def _contradicts(document: Value, operation: dict[str, Value]) -> bool:
        """Compare a reversible patch's `oldValue` with what stands there; a missing patch shows here first."""
        if "oldValue" not in operation or operation["op"] not in ("replace", "remove"):
            return False
        try:
            apply_operation(document, {"op": "test", "path": operation["path"], "value": operation["oldValue"]})
        except UnusableRecord:
            return True
        return False

    def _entry(self, record: Value, operations: list[Value] | None, default_ns: int) -> SourceEntry:
        facts = record if isinstance(record, dict) else {}
        found = find_time(facts)
        label = next((action_label(facts[key]) for key in ACTION_KEYS if key in facts), "")
        if not label and operations:
            more = f" +{len(operations) - 1}" if operations[1:] else ""
            place = operations[0]["path"]
            label = f"{operations[0]['op']} {format_path(tuple(place), root='') if isinstance(place, list) else place}{more}"
        meta = dict(facts["meta"]) if isinstance(facts.get("meta"), dict) else {}
        if found is None:
            meta.update(TIME_FROM_FILE)
        meta.update(self._others(facts, operations))
        entry_id = facts.get("id") if operations is None or not is_operation(record) else None
        return SourceEntry(
            as_state(self._document.value),
            found[1] if found else default_ns,
            label,
            meta or NO_META,
            entry_id if isinstance(entry_id, str) else None,
            is_note=facts.get("kind") == NOTE and not (self._document.value if operations is None else operations),
        )

    @staticmethod
    def _others(facts: dict[str, Value], operations: list[Value] | None) -> Mapping[str, Value]:
        """Return what stands beside the patches, and in them, that no patch knows."""
        if operations is None:
            return {}
        if is_operation(facts):
            return with_others(NO_META, facts, _KNOWN_OF_OPERATION)
        held = next((key for key in _LIST_KEYS if isinstance(facts.get(key), list)), None)
        if held is None:
            return with_others(NO_META, operations, [_KNOWN_OF_OPERATION])
        found = find_time(facts)
        known = {*ACTION_KEYS, "meta", "id", "kind", TAGGED, _INVERSE, "seq", *((found[0],) if found else ())}
        return with_others(NO_META, facts, {**dict.fromkeys(known), held: [_KNOWN_OF_OPERATION]})

    def finish(self) -> Iterable[SourceEntry]:
        """Nothing is held back."""
        return ()

    def notices(self) -> Iterable[tuple[str, bool]]:
        """Report that patches are missing, where reversible ones contradict the state."""
        if self._contradictions:
            yield (
                "some patches name an old value that is not what stood there: patches before them are missing",
                True,
            )


def open_reader(probe: Probe) -> Reader:
    """Read a log of patches."""
    if probe.shape is SourceShape.DOCUMENT and isinstance(probe.document, list):
        records = probe.document
        # A list of single operations may be one patch, but as a log each step of it can be looked at.
        return ItemsReader(
            probe.path, records, PatchRecords(probe.limits), mtime_ns=probe.status.st_mtime_ns, place="patch"
        )
    return LinesReader(probe.path, PatchRecords(probe.limits), probe.limits, follows=probe.follows)
