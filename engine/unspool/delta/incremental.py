"""Changes inside an atom: told by ops at paths where that is smaller than both values (row N-70)."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from unspool.delta.equality import encoded_equal
from unspool.delta.ops import apply_ops, invert_ops
from unspool.delta.options import DeltaOptions
from unspool.delta.structural import Identity, diff_encoded
from unspool.errors import ContradictoryDelta
from unspool.model.atom_changes import AtomChange
from unspool.model.atoms import AtomEntry
from unspool.model.entries import Op, OpKind
from unspool.model.op_wire import pack_ops
from unspool.model.paths import Path
from unspool.model.snapshots import DeltaSnapshot
from unspool.model.values import Value, json_equal
from unspool.model.wire import encode

_SMALLEST: Final = 64
"""Bytes of old and new value together below which ops cannot pay."""


def difference(old: bytes, new: bytes, options: DeltaOptions, atom: str) -> bytes | None:
    """Return what tells how one wire form became another, found by structure.

    Args:
        old: the wire form before.
        new: the wire form after.
        options: what counts as equal, and whether ops are wanted.
        atom: name of the atom, for looking up identity keys.

    Returns:
        None when the values are equal; else packed ops, or nothing where both values take no more bytes.
    """
    if old == new:
        return None
    whole = len(old) + len(new)
    if not options.incremental or whole < _SMALLEST:
        return None if encoded_equal(old, new, strict=options.strict) else b""
    ops = diff_encoded(old, new, at=(atom,), identity=options.identity, text_splices=True)
    if not ops or (not options.strict and _tells_nothing(ops, old, new)):
        return None
    packed = pack_ops(ops)
    return packed if len(packed) < whole else b""


def _tells_nothing(ops: tuple[Op, ...], old: bytes, new: bytes) -> bool:
    """Say whether strict ops only exchange numbers that are equal as JSON compares them."""
    if all(op.kind is OpKind.REPLACE for op in ops):
        return all(json_equal(op.old, op.new) for op in ops)
    # With items added, removed or moved the ops may pair equal numbers of two places: only the values tell.
    return all(op.kind is not OpKind.SPLICE for op in ops) and encoded_equal(old, new)


def ops_if_smaller(old: bytes, new: bytes, identity: Identity | None, atom: str) -> bytes:
    """Return packed ops that lead from one wire form to the other, or nothing where both values are no larger."""
    whole = len(old) + len(new)
    if whole < _SMALLEST or old == new:
        return b""
    packed = pack_ops(diff_encoded(old, new, at=(atom,), identity=identity, text_splices=True))
    return packed if len(packed) < whole else b""


def changed_paths(old: bytes, new: bytes, identity: Identity | None, atom: str) -> tuple[Path, ...]:
    """Return where inside an atom two wire forms differ, each place once."""
    ops = diff_encoded(old, new, at=(atom,), identity=identity)
    return tuple(dict.fromkeys(op.path for op in ops))


def without_values(delta: DeltaSnapshot) -> DeltaSnapshot:
    """Return the delta as it is stored: modifications that have ops keep only these."""
    changes = {name: _lighter(change) for name, change in delta.changes.items()}
    return replace(delta, changes=changes)


def _lighter(change: AtomChange) -> AtomChange:
    if not change.packed_ops or change.old is None or change.new is None:
        return change
    return replace(change, old=change.old.with_encoded(b""), new=change.new.with_encoded(b""))


def without_ops(delta: DeltaSnapshot) -> DeltaSnapshot:
    """Return the delta with values only; changes told by ops alone are left as they are."""
    plain = {
        name: change if change.is_incremental or not change.packed_ops else replace(change, packed_ops=b"")
        for name, change in delta.changes.items()
    }
    return replace(delta, changes=plain)


def with_values(delta: DeltaSnapshot, base: dict[str, AtomEntry]) -> DeltaSnapshot:
    """Return the delta with old and new values in every change.

    Args:
        delta: a delta that may tell changes by ops alone.
        base: entries of the state it stands on.

    Raises:
        ContradictoryDelta: the ops do not fit that state.
    """
    changes = {}
    for name, change in delta.changes.items():
        if change.is_incremental and change.old is not None and change.new is not None:
            if name not in base:
                raise ContradictoryDelta(f"delta {delta.id!r} modifies atom {name!r}, which its base does not have")
            old = base[name]
            new = encode(apply_checked(old.value, change.ops))
            change = replace(change, old=change.old.with_encoded(old.encoded), new=change.new.with_encoded(new))
        changes[name] = change
    return replace(delta, changes=changes)


def apply_checked(value: Value, ops: tuple[Op, ...]) -> Value:
    """Apply ops whose old values must be what stands there, as JSON compares them.

    Raises:
        ContradictoryDelta: they are not.
    """
    try:
        return apply_ops(value, ops, check_old=True)
    except ContradictoryDelta:
        # Ops compare strictly; a 1 where they were told 1.0 is no contradiction (row N-14).
        after = apply_ops(value, ops)
        if json_equal(apply_ops(after, invert_ops(ops)), value):
            return after
        raise
