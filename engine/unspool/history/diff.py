"""The changes between two entries, atom by atom; values and ops are worked out when they are looked at."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property

from msgspec import Struct

from unspool.delta.identity import Record, own_key, record_of, twice
from unspool.delta.structural import Identity, diff_encoded, same_value
from unspool.model.entries import ChangeKind, Op
from unspool.model.keys import Path
from unspool.model.paths import child_of, parts_of
from unspool.model.values import MISSING, Value
from unspool.model.wire import decode


class Change:
    """One atom added, modified or deleted.

    Attributes:
        atom: its name.
        kind: what happened to it.
        old_bytes: wire form before; None when it was added.
        new_bytes: wire form after; None when it was deleted.
    """

    def __init__(
        self, atom: str, old_bytes: bytes | None, new_bytes: bytes | None, identity: Identity | None = None
    ) -> None:
        """Describe the change from one wire form to another; one of them may be None."""
        self.atom = atom
        self.old_bytes = old_bytes
        self.new_bytes = new_bytes
        self._identity = identity
        self._keys: dict[Path, str] = {}

    def __repr__(self) -> str:
        return f"Change({self.atom!r}, {self.kind.value})"

    @property
    def kind(self) -> ChangeKind:
        """What happened to the atom."""
        if self.old_bytes is None:
            return ChangeKind.ADDED
        return ChangeKind.DELETED if self.new_bytes is None else ChangeKind.MODIFIED

    @cached_property
    def old(self) -> Value:
        """The value before; `MISSING` when the atom was added."""
        return MISSING if self.old_bytes is None else decode(self.old_bytes)

    @cached_property
    def new(self) -> Value:
        """The value after; `MISSING` when the atom was deleted."""
        return MISSING if self.new_bytes is None else decode(self.new_bytes)

    @cached_property
    def ops(self) -> tuple[Op, ...]:
        """The steps inside a modified atom; empty for an added or deleted one."""
        if self.old_bytes is None or self.new_bytes is None:
            return ()
        return diff_encoded(self.old_bytes, self.new_bytes, at=(self.atom,), identity=self._identity, keys=self._keys)

    @property
    def list_keys(self) -> Mapping[Path, str]:
        """The key by which the records of each list were distinguished, by the list's path; known once `ops` is."""
        return self._keys

    @cached_property
    def key_changes(self) -> tuple[KeyChange, ...]:
        """Lists among those that changed whose records were distinguished by another key before, the clearest of each side."""
        if self.old_bytes is None or self.new_bytes is None:
            return ()
        lists = dict.fromkeys(
            op.path[:depth] for op in self.ops for depth, step in enumerate(op.path) if isinstance(step, int)
        )
        found: list[KeyChange] = []
        for path in lists:
            before, after = _records_at(self.old_bytes, path), _records_at(self.new_bytes, path)
            if before is None or after is None:
                continue
            old, new = own_key(before), own_key(after)
            # Of a list of one record nothing is known; a key that is still unique was only passed over.
            if old != new and len(before) > 1 and len(after) > 1:
                found.append(KeyChange((self.atom, *path), old, new, twice(after, old) if old else ()))
        return tuple(found)


class KeyChange(Struct, frozen=True):
    """A list whose records are no longer distinguished by what told them apart.

    Attributes:
        path: where the list stands.
        old: the key that told its records apart before; "" for none.
        new: the one that does now; "" for none.
        twice: wire forms of the fields of the old key that stand there twice now; empty where none do.
    """

    path: Path
    old: str
    new: str
    twice: tuple[bytes, ...]


def _records_at(form: bytes, path: Path) -> list[Record] | None:
    """Return the records of the list at a path in an atom; None where no list of records is there."""
    for step in path:
        found = child_of(form, step)
        if found is None:
            return None
        form = found[1]
    parts = parts_of(form)
    if not isinstance(parts, list) or len(parts) > _MOST_RECORDS:
        return None
    records = [record_of(part) for part in parts]
    return None if not records or None in records else [record for record in records if record is not None]


_MOST_RECORDS = 20_000
"""Records of a list beyond which no identity key is reported."""


@dataclass(frozen=True, slots=True)
class Diff:
    """The changes from one entry to another.

    Attributes:
        from_seq: the entry looked from; -1 for the empty state before the first entry.
        to_seq: the entry looked at.
        changes: the atoms that differ: deleted ones first, then the others in the order of the state.
        unchanged: number of atoms that are the same.
    """

    from_seq: int
    to_seq: int
    changes: tuple[Change, ...]
    unchanged: int


def diff_states(
    from_seq: int,
    to_seq: int,
    old: Mapping[str, bytes],
    new: Mapping[str, bytes],
    identity: Identity | None = None,
) -> Diff:
    """Compare two states given as wire forms by atom."""
    changes = [Change(atom, value, None, identity) for atom, value in old.items() if atom not in new]
    for atom, value in new.items():
        known = old.get(atom)
        if known is None or (known != value and not same_value(known, value)):
            changes.append(Change(atom, known, value, identity))
    unchanged = len(old) + len(new) - len(set(old) | set(new)) - sum(c.kind is ChangeKind.MODIFIED for c in changes)
    return Diff(from_seq, to_seq, tuple(changes), unchanged)


def fork_base(
    before: Mapping[str, bytes], parent: Mapping[str, bytes], part: Collection[str] | None
) -> dict[str, bytes]:
    """Return the state that a fork is compared with: the parent's atoms of the part, all others as they were before.

    Args:
        before: the state of the entry recorded before the fork.
        parent: the state of the entry that the fork follows.
        part: the atoms that follow the parent; None for all of them.
    """
    if part is None:
        return dict(parent)
    base = {atom: value for atom, value in before.items() if atom not in part}
    base.update((atom, value) for atom, value in parent.items() if atom in part)
    return base
