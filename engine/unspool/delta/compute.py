"""What changed between two snapshots, atom by atom."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from unspool.delta.detect import value_changed
from unspool.delta.incremental import changed_paths, difference, ops_if_smaller, without_values
from unspool.delta.options import DeltaOptions
from unspool.delta.packing import packed_size
from unspool.delta.replay import Replay
from unspool.errors import DeltaError
from unspool.model.atom_changes import AtomChange
from unspool.model.atoms import AtomEntry
from unspool.model.entries import ChangeKind
from unspool.model.paths import Path
from unspool.model.snapshots import DeltaMetadata, DeltaSnapshot, Snapshot

_ID_DIGITS: Final = 16


def changes_between(
    previous: Mapping[str, AtomEntry], current: Mapping[str, AtomEntry], options: DeltaOptions
) -> dict[str, AtomChange]:
    """Return the changes by atom name; own names only, deletions first, then in the order of the target."""
    whole: tuple[Path, ...] = ((),) if options.track_paths else ()
    by_structure = options.change_detector is None and options.detection == "deep"
    changes = {
        name: AtomChange(name, ChangeKind.DELETED, old=_stored(entry), paths=whole)
        for name, entry in previous.items()
        if name not in current
    }
    for name, new in current.items():
        old = previous.get(name)
        if old is None:
            changes[name] = AtomChange(name, ChangeKind.ADDED, new=_stored(new), paths=whole)
        elif by_structure and old[:_COMPARED] == new[:_COMPARED]:
            continue
        else:
            change = _modification(name, old, new, options, by_structure=by_structure)
            if change is not None:
                changes[name] = change
    return changes


_COMPARED: Final = 4
"""Parts of an entry that count: wire form, kind, display name and id."""


def _modification(
    name: str, old: AtomEntry, new: AtomEntry, options: DeltaOptions, *, by_structure: bool
) -> AtomChange | None:
    if by_structure:
        ops = difference(old.encoded, new.encoded, options, name)
    elif value_changed(old, new, options):
        ops = ops_if_smaller(old.encoded, new.encoded, options.identity, name) if options.incremental else b""
    else:
        ops = None
    if ops is None and old.has_facts_of(new):
        return None
    paths = changed_paths(old.encoded, new.encoded, options.identity, name) if options.track_paths else ()
    return AtomChange(name, ChangeKind.MODIFIED, _stored(old), _stored(new), ops or b"", paths)


def _stored(entry: AtomEntry) -> AtomEntry:
    return entry.with_encoded(entry.encoded)


def delta_between(
    previous: Snapshot, current: Snapshot, options: DeltaOptions, *, measured: bool = True
) -> DeltaSnapshot | None:
    """Compute the delta that leads from one snapshot to another.

    Args:
        previous: the base.
        current: the target.
        options: how.
        measured: tell sizes in the metadata; who packs the delta anyway knows them better.

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
        original_size=packed_size(current) if measured else 0,
        extra=current.metadata.extra,
    )
    identity = options.id_factory(previous, current) if options.id_factory else _reproducible_id(previous, current)
    delta = DeltaSnapshot(identity, previous.id, changes, metadata, current.id)
    if measured:
        delta = with_sizes(delta, stored_size(delta), metadata.original_size)
    if options.validate:
        _prove(previous, current, delta, options)
    return delta


def with_sizes(delta: DeltaSnapshot, compressed_size: int, original_size: int) -> DeltaSnapshot:
    """Return the delta with measured sizes in its metadata."""
    sizes = replace(delta.metadata, compressed_size=compressed_size, original_size=original_size)
    return replace(delta, metadata=sizes)


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
