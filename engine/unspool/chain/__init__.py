"""The chains of the delta-snapshot system under the name they had first; they live in `unspool.snapshots`."""

from __future__ import annotations

from importlib import import_module
from typing import Any

__all__ = [
    "AdaptiveStrategy",
    "CacheStats",
    "ChainManagerConfig",
    "ChainState",
    "ChangesStrategy",
    "CompositeStrategy",
    "CompressionResult",
    "CompressionStrategy",
    "DeltaChain",
    "DeltaChainManager",
    "DeltaCompressionConfig",
    "DeltaCompressionFactory",
    "FullSnapshotStrategy",
    "ManualStrategy",
    "ReconstructionCache",
    "ReconstructionPath",
    "ReconstructionResult",
    "ReconstructorConfig",
    "SignificanceStrategy",
    "SizeStrategy",
    "SnapshotReconstructor",
    "TimeStrategy",
    "strategy_from_name",
]


def __getattr__(name: str) -> Any:
    # Programs import from here what the reference named here until the system got a room of its own.
    if name in __all__:
        return getattr(import_module("unspool.snapshots"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
