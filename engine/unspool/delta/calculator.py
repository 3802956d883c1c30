"""The calculator of seed 000: computing, applying, comparing and measuring deltas of snapshots."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from unspool.delta.compute import delta_between, stored_size
from unspool.delta.detect import same_entry
from unspool.delta.invert import invert_delta
from unspool.delta.merge import merge_deltas
from unspool.delta.options import ApplyOptions, DeltaOptions
from unspool.delta.packing import packed_size
from unspool.delta.replay import Replay
from unspool.errors import BaseMismatch, DeltaError, UnspoolError
from unspool.model.atoms import AtomEntry
from unspool.model.options import read_options
from unspool.model.snapshots import DeltaSnapshot, Snapshot, SnapshotMetadata
from unspool.model.values import Value

SnapshotLike: TypeAlias = Snapshot | Mapping[str, Value]
"""A snapshot, or the JSON object of one in the seed's shape."""
DeltaLike: TypeAlias = DeltaSnapshot | Mapping[str, Value]
"""A delta, or the JSON object of one in the seed's shape."""


class DeltaCalculator:
    """Computes and applies deltas between snapshots.

    Every method takes snapshots and deltas as values of `unspool.model.snapshots` or as JSON objects of the seed's
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
            options: options for this call, a mapping of which is laid over the calculator's own.
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
            delta: what changed.
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
        """Say whether two snapshots hold the same atoms (value, kind, display name, id); their own facts do not matter.

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
        """Return the delta that leads back; see `unspool.delta.invert.invert_delta`."""
        return invert_delta(as_delta(delta))

    def merge_deltas(self, first: DeltaLike, second: DeltaLike) -> DeltaSnapshot:
        """Return one delta that does what both do in turn; see `unspool.delta.merge.merge_deltas`."""
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
