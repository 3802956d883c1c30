"""Turning a delta round, so that a state can be rebuilt from a later one."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from unspool.delta.ops import invert_ops
from unspool.errors import ContradictoryDelta
from unspool.model.atom_changes import AtomChange
from unspool.model.entries import ChangeKind
from unspool.model.op_wire import pack_ops
from unspool.model.snapshots import DeltaSnapshot

_TURNED_ROUND: Final = "^-1"
_TURNED: Final = {
    ChangeKind.ADDED: ChangeKind.DELETED,
    ChangeKind.MODIFIED: ChangeKind.MODIFIED,
    ChangeKind.DELETED: ChangeKind.ADDED,
}


def invert_delta(delta: DeltaSnapshot) -> DeltaSnapshot:
    """Return the delta that leads from a delta's target back to its base.

    Raises:
        ContradictoryDelta: a change does not tell its old value, as some foreign deltas do not.
    """
    meta = delta.metadata
    kinds = [change.kind for change in delta.changes.values()]
    back = replace(
        meta,
        timestamp=meta.timestamp if meta.base_timestamp is None else meta.base_timestamp,
        base_timestamp=meta.timestamp,
        atom_count=meta.atom_count - kinds.count(ChangeKind.ADDED) + kinds.count(ChangeKind.DELETED),
    )
    changes = {name: _inverted(delta, change) for name, change in delta.changes.items()}
    name = delta.id.removesuffix(_TURNED_ROUND) if delta.id.endswith(_TURNED_ROUND) else delta.id + _TURNED_ROUND
    return DeltaSnapshot(name, delta.target_id, changes, back, delta.base_snapshot_id)


def _inverted(delta: DeltaSnapshot, change: AtomChange) -> AtomChange:
    if change.old is not None and not change.old.encoded and not change.packed_ops:
        raise ContradictoryDelta(
            f"delta {delta.id!r} cannot be turned round: it does not tell the old value of atom {change.atom_name!r}"
        )
    ops = pack_ops(invert_ops(change.ops)) if change.packed_ops else b""
    return AtomChange(change.atom_name, _TURNED[change.kind], change.new, change.old, ops, change.paths)
