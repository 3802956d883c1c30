"""Atoms of a snapshot, their changes, and the ops inside them, as bytes and as JSON."""

from __future__ import annotations

import reprlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any, Final, TypeAlias

from unspool.errors import ContradictoryDelta, CorruptHistory, PathSyntaxError, UnsupportedValue
from unspool.model.encoding import encode
from unspool.model.entries import ChangeKind, Op, OpKind
from unspool.model.keys import Path, Step, format_path, key_of, to_pointer
from unspool.model.paths import parse_path, parse_pointer, step_of
from unspool.model.values import MISSING, State, Value
from unspool.model.wire import decode

_CODES: Final = {OpKind.ADD: 0, OpKind.REMOVE: 1, OpKind.REPLACE: 2, OpKind.MOVE: 3, OpKind.SPLICE: 4}
_KINDS: Final = {code: kind for kind, code in _CODES.items()}


def pack_ops(ops: Iterable[Op]) -> bytes:
    """Return ops as one wire form; equal ops give equal bytes.

    Raises:
        UnsupportedValue: an op holds a value that has no wire form.
    """
    return encode([_row(op) for op in ops])


def _row(op: Op) -> list[Value]:
    row: list[Value] = [_CODES[op.kind], list(map(key_of, op.path))]
    match op.kind:
        case OpKind.ADD:
            row.append(op.new)
        case OpKind.REMOVE:
            row.append(op.old)
        case OpKind.REPLACE:
            row += (op.old, op.new)
        case OpKind.MOVE:
            row.append(list(map(key_of, op.source)))
        case OpKind.SPLICE:
            row += (op.index, op.old, op.new)
    if op.key:
        row.append(op.key)
    return row


_WIDTHS: Final = {OpKind.ADD: 3, OpKind.REMOVE: 3, OpKind.REPLACE: 4, OpKind.MOVE: 3, OpKind.SPLICE: 5}


def unpack_ops(data: bytes) -> tuple[Op, ...]:
    """Rebuild ops from `pack_ops`; every call returns values that nobody else holds.

    Raises:
        CorruptHistory: the bytes are no ops.
    """
    rows = decode(data)
    try:
        return tuple(_op(row) for row in rows)
    except (TypeError, ValueError, KeyError, IndexError) as error:
        raise CorruptHistory(f"stored ops do not decode ({error})") from None


def _op(row: list[Value]) -> Op:
    kind, path, rest = _KINDS[row[0]], _path(row[1]), row[2:]
    key = row[-1] if len(row) > _WIDTHS[kind] else ""
    match kind:
        case OpKind.ADD:
            return Op(kind, path, new=rest[0], key=key)
        case OpKind.REMOVE:
            return Op(kind, path, old=rest[0], key=key)
        case OpKind.REPLACE:
            return Op(kind, path, old=rest[0], new=rest[1], key=key)
        case OpKind.MOVE:
            return Op(kind, path, source=_path(rest[0]), key=key)
        case OpKind.SPLICE:
            return Op(kind, path, index=rest[0], old=rest[1], new=rest[2], key=key)


def _path(steps: list[Value]) -> Path:
    return tuple(map(step_of, steps))


def op_to_dict(op: Op) -> dict[str, Value]:
    """Return an op as a JSON object; paths are RFC 6901 pointers."""
    data: dict[str, Value] = {"op": op.kind.value, "path": to_pointer(op.path)}
    if op.kind is OpKind.MOVE:
        data["from"] = to_pointer(op.source)
    if op.kind is OpKind.SPLICE:
        data["index"] = op.index
    if op.old is not MISSING:
        data["old"] = op.old
    if op.new is not MISSING:
        data["new"] = op.new
    # A pointer cannot distinguish the key "0" from the index 0, and has neither negative keys nor those of other types.
    if any(parse_pointer(to_pointer(path)) != path for path in (op.path, op.source)):
        if any(not isinstance(step, str) and not _is_index(step) for step in (*op.path, *op.source)):
            data["paths"] = [format_path(op.path), format_path(op.source)]
        else:
            data["steps"] = [list(op.path), list(op.source)]
    return data


def _is_index(step: Step) -> bool:
    return isinstance(step, int) and abs(step) < _LARGEST_INDEX


_LARGEST_INDEX: Final = 2**53
"""Integers from which on other readers of JSON may round."""


def op_from_dict(data: Mapping[str, Value]) -> Op:
    """Read an op from its JSON object.

    Raises:
        ContradictoryDelta: the object is no op.
    """
    try:
        steps, paths = data.get("steps"), data.get("paths")
        if paths:
            path, source = parse_path(paths[0]), parse_path(paths[1])
        elif steps:
            path, source = tuple(steps[0]), tuple(steps[1])
        else:
            path, source = parse_pointer(data["path"]), parse_pointer(data.get("from", ""))
        old, new = data.get("old", MISSING), data.get("new", MISSING)
        return Op(OpKind(data["op"]), path, old=old, new=new, source=source, index=data.get("index", 0))
    except (KeyError, ValueError, TypeError, IndexError, AttributeError, PathSyntaxError) as error:
        raise ContradictoryDelta(f"{dict(data)!r} is no op of a delta ({error})") from None


PRIMITIVE: Final = "primitive"
"""The kind of an atom that is given none (the seed knows primitive, computed and writable)."""

_BRIEF: Final = reprlib.Repr()
_new_entry: Final = tuple.__new__


def _field(place: int, meaning: str) -> Any:
    return property(itemgetter(place), doc=meaning)


class AtomEntry(tuple[Value, ...]):
    """What an atom was at one moment.

    A tuple underneath: a state of a thousand atoms is a thousand of these, made anew at every read.
    """

    __slots__ = ()

    def __new__(
        cls,
        value: Value,
        type: str = PRIMITIVE,  # noqa: A002 (the seed's name)
        name: str | None = None,
        atom_id: str | None = None,
    ) -> AtomEntry:
        """Capture a value.

        Args:
            value: the value; it is encoded at once.
            type: primitive, computed, writable, or the app's own word.
            name: display name, if it has one.
            atom_id: id of the atom in its app, if it has one.

        Raises:
            UnsupportedValue: the value has no wire form, or contains itself.
        """
        return _new_entry(cls, (encode(value), type or PRIMITIVE, name, atom_id, value))

    @classmethod
    def from_encoded(
        cls,
        encoded: bytes,
        kind: str = PRIMITIVE,
        name: str | None = None,
        atom_id: str | None = None,
        origin: Value = MISSING,
    ) -> AtomEntry:
        """Return an entry for a value that is in wire form already."""
        return _new_entry(cls, (encoded, kind, name, atom_id, origin))

    encoded: bytes = _field(0, "Wire form of the value; empty where a change gives the value by ops instead.")
    type: str = _field(1, 'Kind of the atom; "" where a foreign delta does not tell it.')
    name: str | None = _field(2, "Display name, if it has one.")
    atom_id: str | None = _field(3, "Id of the atom in its app, if it has one.")
    origin: Value = _field(
        4, "The very object it was captured from, for detection by reference; `MISSING` once stored."
    )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AtomEntry) and self[:4] == other[:4]

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash(self[:4])

    def __repr__(self) -> str:
        told = [_BRIEF.repr(self.value)]
        told += [
            f"{fact}={value!r}"
            for fact, value in (("type", self.type), ("name", self.name), ("atom_id", self.atom_id))
            if value not in (PRIMITIVE, None)
        ]
        return f"AtomEntry({', '.join(told)})"

    def __reduce__(self) -> tuple[Value, ...]:
        return AtomEntry.from_encoded, tuple(self[:4])

    @property
    def value(self) -> Value:
        """The value, decoded anew at each read; `MISSING` when the entry carries none."""
        return decode(self.encoded) if self.encoded else MISSING

    def with_encoded(self, encoded: bytes) -> AtomEntry:
        """Return the same entry with another value, or none for empty bytes."""
        return AtomEntry.from_encoded(encoded, self.type, self.name, self.atom_id)

    def has_facts_of(self, other: AtomEntry) -> bool:
        """Whether kind, display name and id are those of another entry."""
        return self[1:4] == other[1:4]

    def to_dict(self) -> dict[str, Value]:
        """Return the entry as a JSON object of the seed's shape."""
        data = {"value": self.value, "type": self.type or PRIMITIVE}
        if self.name is not None:
            data["name"] = self.name
        if self.atom_id is not None:
            data["atomId"] = self.atom_id
        return data

    @classmethod
    def from_dict(cls, data: Value, atom: str) -> AtomEntry:
        """Read an entry of the seed's shape.

        Args:
            data: object with `value`, and optionally `type`, `name`, `atomId`.
            atom: name of the atom, for messages.

        Raises:
            UnsupportedValue: it is no such object, or its value has no wire form.
        """
        if isinstance(data, AtomEntry):
            return data
        if not isinstance(data, Mapping):
            raise UnsupportedValue(
                f"atom {atom!r} is a {type(data).__name__}, not an entry; "
                "write {'value': ...}, or use Snapshot.of for plain values"
            )
        return cls(data.get("value"), data.get("type") or PRIMITIVE, data.get("name"), data.get("atomId"))


EntryRow: TypeAlias = bytes | list[Value]
"""An entry as it is packed: its wire form alone where kind, name and id are plain, else all of them."""


def rows_of(state: Mapping[str, AtomEntry]) -> dict[str, EntryRow]:
    """Return the entries of a state as rows."""
    return {name: entry[0] if entry[1:4] == _PLAIN_FACTS else row_of(entry) for name, entry in state.items()}


def entries_of(rows: Mapping[str, EntryRow]) -> dict[str, AtomEntry]:
    """Return the entries of rows."""
    return {
        name: _new_entry(AtomEntry, (row, *_PLAIN_END)) if type(row) is bytes else entry_of(row)
        for name, row in rows.items()
    }


def row_of(entry: AtomEntry) -> EntryRow:
    """Return one entry as a row."""
    row = list(entry[:4])
    while row[-1] is None:
        row.pop()
    return entry.encoded if entry[1:4] == _PLAIN_FACTS else row


def entry_of(row: EntryRow) -> AtomEntry:
    """Return the entry of a row."""
    return _new_entry(AtomEntry, (row, *_PLAIN_END)) if type(row) is bytes else AtomEntry.from_encoded(*row)


_PLAIN_FACTS: Final = (PRIMITIVE, None, None)
_PLAIN_END: Final = (*_PLAIN_FACTS, MISSING)


def values_of(state: Mapping[str, AtomEntry]) -> State:
    """Return the values of a state by atom name, decoded in one go."""
    count = len(state)
    header = bytes((0x90 | count,)) if count < 16 else b"\xdd" + count.to_bytes(4)
    values = decode(header + b"".join([entry[0] for entry in state.values()]))
    return dict(zip(state, values, strict=True))


@dataclass(frozen=True, slots=True)
class AtomChange:
    """One atom added, modified or deleted.

    A modification is given by its old and new value, by ops that lead from one to the other, or by both; stored
    deltas keep only the smaller form. With ops alone, `old_value` and `new_value` are `MISSING`.

    Attributes:
        atom_name: key of the atom in the state.
        kind: what happened to it.
        old: the entry before; None for an addition.
        new: the entry after; None for a deletion.
        packed_ops: the ops inside the atom, packed; empty when none are given.
        paths: where inside the atom something changed, if that was asked for.
    """

    atom_name: str
    kind: ChangeKind
    old: AtomEntry | None = None
    new: AtomEntry | None = None
    packed_ops: bytes = field(default=b"", repr=False)
    paths: tuple[Path, ...] = ()

    def __post_init__(self) -> None:
        told = (self.old is not None, self.new is not None)
        if told != _SIDES[self.kind]:
            raise ContradictoryDelta(
                f"the change of atom {self.atom_name!r} is called {self.kind} but tells "
                f"{'an' if told[0] else 'no'} old and {'a' if told[1] else 'no'} new entry"
            )
        if self.new is not None and not self.new.encoded and not self.packed_ops:
            raise ContradictoryDelta(f"the change of atom {self.atom_name!r} tells neither a new value nor ops")

    @property
    def change_type(self) -> str:
        """The kind by its seed name."""
        return self.kind.value

    @property
    def old_value(self) -> Value:
        """The value before; None for an addition, `MISSING` where only ops are given."""
        return None if self.old is None else self.old.value

    @property
    def new_value(self) -> Value:
        """The value after; None for a deletion, `MISSING` where only ops are given."""
        return None if self.new is None else self.new.value

    @property
    def atom_id(self) -> str | None:
        """Id of the atom in its app, if it has one."""
        entry = self.new or self.old
        return entry.atom_id if entry is not None else None

    @property
    def ops(self) -> tuple[Op, ...]:
        """The steps inside the atom, unpacked anew at each read."""
        return unpack_ops(self.packed_ops) if self.packed_ops else ()

    @property
    def is_incremental(self) -> bool:
        """Whether only ops tell what happened to the value."""
        return bool(self.packed_ops) and self.new is not None and not self.new.encoded

    def to_dict(self) -> dict[str, Value]:
        """Return the change as a JSON object of the seed's shape, with what the seed leaves out added beside it."""
        # An atom without an id of its own is known by its name; that it has none stands beside it.
        shown_id = self.atom_name if self.atom_id is None else self.atom_id
        data: dict[str, Value] = {"atomId": shown_id, "atomName": self.atom_name}
        if self.is_incremental:
            data["ops"] = [op_to_dict(op) for op in self.ops]
        else:
            data |= {"oldValue": self.old_value, "newValue": self.new_value}
            if self.old is not None and not self.old.encoded:
                del data["oldValue"]
        data["changeType"] = self.change_type
        if self.paths:
            data["path"] = [to_pointer(path) for path in self.paths]
        for side, entry in (("old", self.old), ("new", self.new)):
            if entry is not None:
                data |= _facts(side, entry, shown_id)
        return data

    @classmethod
    def from_dict(cls, data: Value, atom: str) -> AtomChange:
        """Read a change of the seed's shape.

        Raises:
            ContradictoryDelta: it is no change, or one that contradicts itself.
        """
        if isinstance(data, AtomChange):
            return data
        if not isinstance(data, Mapping) or data.get("changeType") not in _KINDS_ATOM_CHANGES:
            raise ContradictoryDelta(f"the change of atom {atom!r} is none of {', '.join(_KINDS_ATOM_CHANGES)}")
        kind = _KINDS_ATOM_CHANGES[data["changeType"]]
        ops = pack_ops(map(op_from_dict, data["ops"])) if data.get("ops") else b""
        has_old, has_new = _SIDES[kind]
        old = _side(data, "old", ops) if has_old else None
        new = _side(data, "new", ops) if has_new else None
        return cls(atom, kind, old, new, ops, _paths(data.get("path")))


_SIDES: Final = {
    ChangeKind.ADDED: (False, True),
    ChangeKind.MODIFIED: (True, True),
    ChangeKind.DELETED: (True, False),
}
_KINDS_ATOM_CHANGES: Final = {kind.value: kind for kind in ChangeKind}


def _facts(side: str, entry: AtomEntry, atom_id: str) -> dict[str, Value]:
    data: dict[str, Value] = {}
    if entry.type:
        data[f"{side}Type"] = entry.type
    if entry.name is not None:
        data[f"{side}Name"] = entry.name
    if entry.atom_id != atom_id:
        data[f"{side}AtomId"] = entry.atom_id
    return data


def _side(data: Mapping[str, Value], side: str, ops: bytes) -> AtomEntry:
    key = f"{side}Value"
    # JavaScript leaves an undefined value out of JSON; as a new value it can only be read as null.
    told = key in data or (side == "new" and not ops)
    encoded = encode(data.get(key)) if told else b""
    atom_id = data.get(f"{side}AtomId", data.get("atomId"))
    return AtomEntry.from_encoded(encoded, data.get(f"{side}Type", ""), data.get(f"{side}Name"), atom_id)


def _paths(given: Value) -> tuple[Path, ...]:
    steps = [step for step in given if isinstance(step, str)] if isinstance(given, list | tuple) else []
    if any(step == "" or step.startswith("/") for step in steps):
        return tuple(parse_pointer(step) for step in steps if step == "" or step.startswith("/"))
    # The originals wrote one path as a bare list of keys.
    return (tuple(steps),) if steps else ()
