"""The calculator of delta snapshots: computing, applying, inverting, merging, comparing and measuring deltas."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final, TypeAlias

from unspool.delta.apply import invert_ops
from unspool.errors import BaseMismatch, ContradictoryDelta, DeltaError, UnspoolError
from unspool.model.encoding import encode
from unspool.model.entries import ChangeKind
from unspool.model.limits import read_options
from unspool.model.values import Value
from unspool.snapshots.atoms import AtomChange, AtomEntry, pack_ops
from unspool.snapshots.changes import (
    ApplyOptions,
    DeltaOptions,
    Replay,
    apply_checked,
    delta_between,
    ops_if_smaller,
    same_entry,
    stored_size,
)
from unspool.snapshots.packing import packed_size
from unspool.snapshots.snapshot import DeltaMetadata, DeltaSnapshot, Snapshot, SnapshotMetadata

SnapshotLike: TypeAlias = Snapshot | Mapping[str, Value]
"""A snapshot, or the JSON object of one in the seed's shape."""
DeltaLike: TypeAlias = DeltaSnapshot | Mapping[str, Value]
"""A delta, or the JSON object of one in the seed's shape."""


class DeltaCalculator:
    """Computes and applies deltas between snapshots.

    Every method takes snapshots and deltas as values of `unspool.snapshots.snapshot` or as JSON objects of the seed's
    shape. It keeps no state besides its default options.
    """

    __slots__ = ("options",)

    def __init__(self, options: DeltaOptions | Mapping[str, Value] | None = None, **overrides: Value) -> None:
        """Set default options for `compute_delta`.

        Args:
            options: see `DeltaOptions`.
            overrides: single options by name.

        Raises:
            ConfigError: an option that does not exist or cannot be honoured.
        """
        self.options = read_options(DeltaOptions, options, overrides)

    def compute_delta(
        self,
        previous: SnapshotLike,
        current: SnapshotLike,
        options: DeltaOptions | Mapping[str, Value] | None = None,
        **overrides: Value,
    ) -> DeltaSnapshot | None:
        """Compute the delta that leads from `previous` to `current`.

        Args:
            previous: the base.
            current: the target; its kinds and display names count as much as its values.
            options: options for this call, a mapping of which goes before the calculator's own.
            overrides: single options by name, for this call.

        Returns:
            The delta, or None when nothing changed and `skip_empty` holds (the default).

        Raises:
            ConfigError: an option that does not exist or cannot be honoured.
            UnsupportedValue: a value that has no wire form.
            DeltaError: `validate` was asked for and the delta does not lead there.
        """
        if isinstance(options, DeltaOptions):
            chosen = read_options(DeltaOptions, options, overrides)
        else:
            chosen = read_options(DeltaOptions, self.options, {**(options or {}), **overrides})
        return delta_between(as_snapshot(previous), as_snapshot(current), chosen)

    def apply_delta(
        self,
        base: SnapshotLike,
        delta: DeltaLike,
        options: ApplyOptions | Mapping[str, Value] | None = None,
        **overrides: Value,
    ) -> Snapshot | None:
        """Apply a delta to its base.

        Args:
            base: the snapshot the delta stands on.
            delta: the changes.
            options: see `ApplyOptions`.
            overrides: single options by name.

        Returns:
            The target snapshot, with its own id, time and action; None only after `on_error` was handed an error.

        Raises:
            BaseMismatch: the delta stands on another snapshot; the message names both ids.
            ContradictoryDelta: the delta does not fit the base's state.
            DeltaError: the delta holds no changes, and does not come from a merge that cancelled out.
            ConfigError: an option that does not exist or cannot be honoured.
        """
        chosen = read_options(ApplyOptions, options, overrides)
        try:
            return _apply(as_snapshot(base), as_delta(delta), chosen)
        except UnspoolError as error:
            if chosen.on_error is None:
                raise
            chosen.on_error(error)
            return None

    def are_snapshots_equal(self, one: SnapshotLike, other: SnapshotLike, *, strict: bool = False) -> bool:
        """Whether two snapshots hold the same atoms (value, kind, display name, id); their own facts do not matter.

        Args:
            one: a snapshot.
            other: another.
            strict: let 1 and 1.0, and 0.0 and -0.0, differ.
        """
        left, right = as_snapshot(one).state, as_snapshot(other).state
        return left.keys() == right.keys() and all(
            same_entry(entry, right[name], strict=strict) for name, entry in left.items()
        )

    def calculate_delta_size(self, delta: DeltaLike) -> int:
        """Return the measured bytes of a delta as it is stored."""
        return stored_size(as_delta(delta))

    def calculate_snapshot_size(self, snapshot: SnapshotLike) -> int:
        """Return the measured bytes of a full snapshot as it is stored."""
        return packed_size(as_snapshot(snapshot))

    def invert_delta(self, delta: DeltaLike) -> DeltaSnapshot:
        """Return the delta that leads back; see `unspool.snapshots.calculator.invert_delta`."""
        return invert_delta(as_delta(delta))

    def merge_deltas(self, first: DeltaLike, second: DeltaLike) -> DeltaSnapshot:
        """Return one delta that does what both do in turn; see `unspool.snapshots.calculator.merge_deltas`."""
        return merge_deltas(as_delta(first), as_delta(second))


def as_snapshot(given: SnapshotLike) -> Snapshot:
    """Return a full snapshot given as a value or as its JSON object.

    Raises:
        UnreadableSource: the object is no full snapshot.
    """
    return given if isinstance(given, Snapshot) else Snapshot.from_dict(given)


def as_delta(given: DeltaLike) -> DeltaSnapshot:
    """Return a delta given as a value or as its JSON object.

    Raises:
        UnreadableSource: the object is no delta.
    """
    return given if isinstance(given, DeltaSnapshot) else DeltaSnapshot.from_dict(given)


def _apply(base: Snapshot, delta: DeltaSnapshot, options: ApplyOptions) -> Snapshot:
    if options.checks:
        if delta.base_snapshot_id != base.id:
            raise BaseMismatch(
                f"delta {delta.id!r} stands on {delta.base_snapshot_id!r} and was applied to {base.id!r}; "
                "apply it to its own base, or pass validate=False"
            )
        if not delta.changes and not delta.metadata.merged_from:
            raise DeltaError(f"delta {delta.id!r} holds no changes; if that is meant, pass validate=False")
    replay = Replay(base.state)
    replay.apply(delta, validate=options.checks)
    result = target_snapshot(delta, replay.state())
    if not options.immutable:
        # The snapshot has not left this function; only its mapping is exchanged for one the caller may edit.
        object.__setattr__(result, "state", dict(result.state))
    return result


def target_snapshot(delta: DeltaSnapshot, state: dict[str, AtomEntry]) -> Snapshot:
    """Return the snapshot a delta leads to, given the state it leads to."""
    meta = delta.metadata
    return Snapshot(delta.target_id, state, SnapshotMetadata(meta.timestamp, meta.action, len(state), meta.extra))


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
