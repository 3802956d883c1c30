"""One atom of a snapshot, captured in wire form (seed 000, rows N-08, N-10 to N-12).

Its value is taken apart when the entry is made: what an app does to its own objects afterwards does not reach it,
and every read hands out a value that nobody else holds.
"""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from operator import itemgetter
from typing import Any, Final, TypeAlias

from unspool.errors import UnsupportedValue
from unspool.model.values import MISSING, State, Value
from unspool.model.wire import decode, encode

PRIMITIVE: Final = "primitive"
"""The kind of an atom that is told none (the seed knows primitive, computed and writable)."""

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

    encoded: bytes = _field(0, "Wire form of the value; empty where a change tells the value by ops instead.")
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
        """Say whether kind, display name and id are those of another entry."""
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
    return AtomEntry.from_encoded(row) if isinstance(row, bytes) else AtomEntry.from_encoded(*row)


_PLAIN_FACTS: Final = (PRIMITIVE, None, None)
_PLAIN_END: Final = (*_PLAIN_FACTS, MISSING)


def values_of(state: Mapping[str, AtomEntry]) -> State:
    """Return the values of a state by atom name, decoded in one go."""
    count = len(state)
    header = bytes((0x90 | count,)) if count < 16 else b"\xdd" + count.to_bytes(4)
    values = decode(header + b"".join([entry[0] for entry in state.values()]))
    return dict(zip(state, values, strict=True))
