"""One change of an atom: added, modified or deleted (seed 000, rows N-03 to N-06, N-09)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from unspool.errors import ContradictoryDelta
from unspool.model.atoms import AtomEntry
from unspool.model.entries import ChangeKind, Op
from unspool.model.op_wire import op_from_dict, op_to_dict, pack_ops, unpack_ops
from unspool.model.paths import Path, parse_pointer, to_pointer
from unspool.model.values import Value
from unspool.model.wire import encode


@dataclass(frozen=True, slots=True)
class AtomChange:
    """One atom added, modified or deleted.

    A modification is told by its old and new value, by ops that lead from one to the other, or by both; stored
    deltas keep only the smaller form. With ops alone, `old_value` and `new_value` are `MISSING`.

    Attributes:
        atom_name: key of the atom in the state.
        kind: what happened to it.
        old: the entry before; None for an addition.
        new: the entry after; None for a deletion.
        packed_ops: the ops inside the atom, packed; empty when none are told.
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
        """The value before; None for an addition, `MISSING` where only ops are told."""
        return None if self.old is None else self.old.value

    @property
    def new_value(self) -> Value:
        """The value after; None for a deletion, `MISSING` where only ops are told."""
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
        if not isinstance(data, Mapping) or data.get("changeType") not in _KINDS:
            raise ContradictoryDelta(f"the change of atom {atom!r} is none of {', '.join(_KINDS)}")
        kind = _KINDS[data["changeType"]]
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
_KINDS: Final = {kind.value: kind for kind in ChangeKind}


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
