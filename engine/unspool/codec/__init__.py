"""States and deltas as bytes: records of the file, whole states, patches, and when a full snapshot is due."""

from __future__ import annotations

from importlib import import_module
from typing import Any

__all__ = [
    "DeltaChain",
    "DeltaCompressionError",
    "DeltaCompressor",
    "DeltaRecord",
    "DeltaStrategy",
    "Integrity",
    "RecordForm",
    "extract_keys_from_delta",
]


def __getattr__(name: str) -> Any:
    # Programs import from here what the reference named here until the system got a room of its own.
    if name in __all__:
        return getattr(import_module("unspool.compression"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
