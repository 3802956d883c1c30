"""What changed between two snapshots, atom by atom."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace

from unspool.delta.detect import value_changed
from unspool.delta.incremental import changed_paths, ops_if_smaller, without_values
from unspool.delta.options import DeltaOptions
from unspool.delta.packing import packed_size
from unspool.delta.replay import Replay
from unspool.errors import DeltaError
from unspool.model.atoms import AtomChange, AtomEntry
from unspool.model.entries import ChangeKind
from unspool.model.snapshots import DeltaMetadata, DeltaSnapshot, Snapshot

_ID_DIGITS = 16


def changes_between(
    previous: Mapping[str, AtomEntry], current: Mapping[str, AtomEntry], options: DeltaOptions
) -> dict[str, AtomChange]:
    """Return the changes by atom name; own names only, in the order of the target, deletions first."""
    changes = {
        name: AtomChange(name, ChangeKind.DELETED, old=_stored(entry), paths=((),) if options.track_paths else ())
        for name, entry in previous.items()
        if name not in current
    }
    for name, new in current.items():
        old = previous.get(name)
        if old is None:
            paths = ((),) if options.track_paths else ()
            changes[name] = AtomChange(name, ChangeKind.ADDED, new=_stored(new), paths=paths)
        elif old is not new and (not old.has_facts_of(new) or value_changed(old, new, options)):
            changes[name] = _modification(name, old, new, options)
    return changes


def _modification(name: str, old: AtomEntry, new: AtomEntry, options: DeltaOptions) -> AtomChange:
    ops = ops_if_smaller(old.encoded, new.encoded, options.identity, name) if options.incremental else b""
    paths = changed_paths(old.encoded, new.encoded, options.identity, name) if options.track_paths else ()
    return AtomChange(name, ChangeKind.MODIFIED, _stored(old), _stored(new), ops, paths)


def _stored(entry: AtomEntry) -> AtomEntry:
    return entry.with_encoded(entry.encoded)


def delta_between(previous: Snapshot, current: Snapshot, options: DeltaOptions) -> DeltaSnapshot | None:
    """Compute the delta that leads from one snapshot to another.

    Returns:
        The delta, or None when nothing changed and `skip_empty` holds.

    Raises:
        DeltaError: `validate` was asked for and the delta does not lead there.
    """
    changes = changes_between(previous.state, current.state, options)
    if not changes and options.skip_empty:
        return None
    metadata = DeltaMetadata(
        timestamp=current.metadata.timestamp,
        action=current.metadata.action,
        atom_count=len(current.state),
        base_timestamp=previous.metadata.timestamp,
        change_count=len(changes),
        original_size=packed_size(current),
        extra=current.metadata.extra,
    )
    identity = options.id_factory(previous, current) if options.id_factory else _reproducible_id(previous, current)
    delta = DeltaSnapshot(identity, previous.id, changes, metadata, current.id)
    delta = replace(delta, metadata=replace(metadata, compressed_size=stored_size(delta)))
    if options.validate:
        _prove(previous, current, delta, options)
    return delta


def stored_size(delta: DeltaSnapshot) -> int:
    """Return the bytes of a delta in the form it is stored in."""
    return packed_size(without_values(delta))


def _reproducible_id(previous: Snapshot, current: Snapshot) -> str:
    told = (previous.id, current.id, previous.metadata.timestamp, current.metadata.timestamp)
    return f"delta-{hashlib.blake2b(repr(told).encode('utf-8', 'surrogatepass'), digest_size=_ID_DIGITS // 2).hexdigest()}"


def _prove(previous: Snapshot, current: Snapshot, delta: DeltaSnapshot, options: DeltaOptions) -> None:
    replay = Replay(previous.state)
    replay.apply(without_values(delta))
    left = changes_between(replay.state(), current.state, replace(options, incremental=False, track_paths=False))
    if left:
        raise DeltaError(
            f"the delta from {previous.id!r} to {current.id!r} does not lead there: atom {next(iter(left))!r} differs; "
            "use incremental=False and report it"
        )
