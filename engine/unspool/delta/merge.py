"""Two deltas in a row as one: applying the merged one is applying both."""

from __future__ import annotations

from dataclasses import replace

from unspool.delta.compute import stored_size
from unspool.delta.detect import same_entry
from unspool.delta.incremental import apply_checked, ops_if_smaller
from unspool.delta.ops import invert_ops
from unspool.errors import BaseMismatch, ContradictoryDelta
from unspool.model.atom_changes import AtomChange
from unspool.model.atoms import AtomEntry
from unspool.model.entries import ChangeKind
from unspool.model.op_wire import pack_ops
from unspool.model.snapshots import DeltaMetadata, DeltaSnapshot
from unspool.model.wire import encode

_ADDED, _MODIFIED, _DELETED = ChangeKind.ADDED, ChangeKind.MODIFIED, ChangeKind.DELETED


def merge_deltas(first: DeltaSnapshot, second: DeltaSnapshot) -> DeltaSnapshot:
    """Return one delta that does what `first` and then `second` do.

    An atom changed and changed back drops out; when all do, the merged delta holds no change and says by
    `metadata.merged_from` that this is right.

    Raises:
        BaseMismatch: `second` does not stand on what `first` leads to.
        ContradictoryDelta: the two say things of one atom that cannot both be.
    """
    if second.base_snapshot_id not in (first.target_id, first.id):
        raise BaseMismatch(
            f"delta {second.id!r} stands on {second.base_snapshot_id!r} and delta {first.id!r} leads to "
            f"{first.target_id!r}; merge deltas that follow each other"
        )
    changes: dict[str, AtomChange] = {}
    for name in (*first.changes, *(name for name in second.changes if name not in first.changes)):
        one, other = first.changes.get(name), second.changes.get(name)
        merged = _merged(one, other) if one is not None and other is not None else one or other
        if merged is not None:
            changes[name] = merged
    metadata = DeltaMetadata(
        timestamp=second.metadata.timestamp,
        action=second.metadata.action,
        atom_count=second.metadata.atom_count,
        base_timestamp=first.metadata.base_timestamp,
        change_count=len(changes),
        original_size=second.metadata.original_size,
        history_index=second.metadata.history_index,
        merged_from=(first.id, second.id),
        extra=second.metadata.extra,
    )
    merged_delta = DeltaSnapshot(
        f"{first.id}+{second.id}", first.base_snapshot_id, changes, metadata, second.snapshot_id or second.id
    )
    return replace(merged_delta, metadata=replace(metadata, compressed_size=stored_size(merged_delta)))


def _merged(first: AtomChange, second: AtomChange) -> AtomChange | None:
    """Merge two changes of one atom; None when they cancel out."""
    match first.kind, second.kind:
        case ChangeKind.ADDED, ChangeKind.DELETED:
            return None
        case ChangeKind.ADDED, ChangeKind.MODIFIED:
            return AtomChange(first.atom_name, _ADDED, new=_after(first, second))
        case ChangeKind.MODIFIED, ChangeKind.DELETED:
            return AtomChange(first.atom_name, _DELETED, old=_before(first, second))
        case ChangeKind.MODIFIED, ChangeKind.MODIFIED:
            return _two_modifications(first, second)
        case ChangeKind.DELETED, ChangeKind.ADDED:
            return _whole(first.atom_name, first.old, second.new)
    raise ContradictoryDelta(f"atom {first.atom_name!r} cannot be {first.kind} and then {second.kind}")


def _two_modifications(first: AtomChange, second: AtomChange) -> AtomChange | None:
    if first.is_incremental and second.is_incremental and first.old is not None and second.new is not None:
        paths = tuple(dict.fromkeys((*first.paths, *second.paths)))
        ops = pack_ops((*first.ops, *second.ops))
        return AtomChange(first.atom_name, _MODIFIED, first.old, second.new, ops, paths)
    return _whole(first.atom_name, _before(first, second), _after(first, second))


def _whole(name: str, old: AtomEntry | None, new: AtomEntry | None) -> AtomChange | None:
    if old is None or new is None or same_entry(old, new, strict=True):
        return None
    ops = ops_if_smaller(old.encoded, new.encoded, None, name) if old.encoded else b""
    return AtomChange(name, _MODIFIED, old, new, ops)


def _after(first: AtomChange, second: AtomChange) -> AtomEntry:
    """The entry after both changes, its value told."""
    assert first.new is not None
    assert second.new is not None
    if second.new.encoded:
        return second.new
    return second.new.with_encoded(encode(apply_checked(first.new.value, second.ops)))


def _before(first: AtomChange, second: AtomChange) -> AtomEntry:
    """The entry before both changes, its value told."""
    assert first.old is not None
    assert second.old is not None
    if first.old.encoded or not second.old.encoded:
        return first.old
    return first.old.with_encoded(encode(apply_checked(second.old.value, invert_ops(first.ops))))
