"""What changed: compute, apply, invert, merge and compare, per atom and inside atoms."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from unspool.delta.calculator import DeltaCalculator
    from unspool.delta.invert import invert_delta
    from unspool.delta.merge import merge_deltas
    from unspool.delta.options import ApplyOptions, DeltaOptions
    from unspool.model.atom_changes import AtomChange
    from unspool.model.atoms import AtomEntry
    from unspool.model.snapshots import (
        DeltaMetadata,
        DeltaSnapshot,
        Snapshot,
        SnapshotMetadata,
        snapshot_from_dict,
    )

_HOMES = {
    "ApplyOptions": "unspool.delta.options",
    "AtomChange": "unspool.model.atom_changes",
    "AtomEntry": "unspool.model.atoms",
    "DeltaCalculator": "unspool.delta.calculator",
    "DeltaMetadata": "unspool.model.snapshot_metadata",
    "DeltaOptions": "unspool.delta.options",
    "DeltaSnapshot": "unspool.model.snapshots",
    "Snapshot": "unspool.model.snapshots",
    "SnapshotMetadata": "unspool.model.snapshot_metadata",
    "invert_delta": "unspool.delta.invert",
    "merge_deltas": "unspool.delta.merge",
    "snapshot_from_dict": "unspool.model.snapshots",
}

__all__ = [
    "ApplyOptions",
    "AtomChange",
    "AtomEntry",
    "DeltaCalculator",
    "DeltaMetadata",
    "DeltaOptions",
    "DeltaSnapshot",
    "Snapshot",
    "SnapshotMetadata",
    "invert_delta",
    "merge_deltas",
    "snapshot_from_dict",
]


def __getattr__(name: str) -> object:
    # Lazy, so that the structural diff alone can be had without the calculator.
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
