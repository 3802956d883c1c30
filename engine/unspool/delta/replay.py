"""Laying deltas on a state, one after the other.

Atoms told by ops stay decoded between deltas: a run of small changes to one large atom decodes it once, and encodes
it when its state is asked for.
"""

from __future__ import annotations

from collections.abc import Mapping

from unspool.delta.detect import same_value
from unspool.delta.incremental import apply_checked
from unspool.delta.ops import apply_ops
from unspool.errors import ContradictoryDelta
from unspool.model.atom_changes import AtomChange
from unspool.model.atoms import PRIMITIVE, AtomEntry
from unspool.model.entries import ChangeKind
from unspool.model.snapshots import DeltaSnapshot
from unspool.model.values import Value
from unspool.model.wire import encode


class Replay:
    """A state under way; after an error it is spoilt and must be dropped."""

    __slots__ = ("_entries", "_open", "_unsettled")

    def __init__(self, state: Mapping[str, AtomEntry]) -> None:
        """Start from a state, which is never changed."""
        self._entries = dict(state)
        self._open: dict[str, Value] = {}
        self._unsettled: set[str] = set()

    def apply(self, delta: DeltaSnapshot, *, validate: bool = True) -> None:
        """Lay one delta on the state.

        Args:
            delta: what changes; ids are not looked at.
            validate: refuse changes whose old value is not what stands there.

        Raises:
            ContradictoryDelta: it does not fit; the message names the delta and the atom.
        """
        for name, change in delta.changes.items():
            try:
                self._change(name, change, validate)
            except ContradictoryDelta as error:
                raise ContradictoryDelta(f"delta {delta.id!r}, atom {name!r}: {error}") from None

    def _change(self, name: str, change: AtomChange, validate: bool) -> None:
        before = self._entries.get(name)
        if validate:
            self._check(name, change, before)
        if change.new is None:
            self._entries.pop(name, None)
            self._close(name)
            return
        if not change.new.encoded:
            if before is None:
                raise ContradictoryDelta("its base does not have this atom to modify")
            if name not in self._open:
                self._open[name] = before.value
            apply = apply_checked if validate else apply_ops
            self._open[name] = apply(self._open[name], change.ops)
            self._unsettled.add(name)
        else:
            self._close(name)
        self._entries[name] = _with_facts(change.new, before)

    def _check(self, name: str, change: AtomChange, before: AtomEntry | None) -> None:
        if change.kind is ChangeKind.ADDED:
            if before is not None:
                raise ContradictoryDelta("it is called added, but its base has this atom")
            return
        if before is None:
            raise ContradictoryDelta(f"it is called {change.kind}, but its base does not have this atom")
        if change.old is not None and change.old.encoded and not same_value(change.old, self._settled(name)):
            raise ContradictoryDelta("the old value it tells is not the one its base has")

    def _close(self, name: str) -> None:
        self._open.pop(name, None)
        self._unsettled.discard(name)

    def _settled(self, name: str) -> AtomEntry:
        if name in self._unsettled:
            # The decoded value stays: the next ops go on from it, and never change what was handed out.
            self._entries[name] = self._entries[name].with_encoded(encode(self._open[name]))
            self._unsettled.discard(name)
        return self._entries[name]

    def state(self) -> dict[str, AtomEntry]:
        """Return the entries as they stand, as a dict of the caller's own."""
        for name in tuple(self._unsettled):
            self._settled(name)
        return dict(self._entries)


def _with_facts(new: AtomEntry, before: AtomEntry | None) -> AtomEntry:
    """Fill in the facts a foreign delta does not tell: those of the atom before, or a plain atom's."""
    if new.type:
        return new
    if before is None:
        return AtomEntry.from_encoded(new.encoded, PRIMITIVE, new.name, new.atom_id)
    atom_id = new.atom_id if new.atom_id is not None else before.atom_id
    return AtomEntry.from_encoded(new.encoded, before.type, before.name, atom_id)
