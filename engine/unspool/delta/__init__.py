"""Differences: list alignment, ops at paths and their application, byte patches, JSON Patch."""

from __future__ import annotations

from importlib import import_module
from typing import Any

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


def __getattr__(name: str) -> Any:
    # Programs import from here what the reference named here until the system got a room of its own.
    if name in __all__:
        return getattr(import_module("unspool.snapshots"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
