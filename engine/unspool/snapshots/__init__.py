"""The delta-snapshot system: deltas of snapshots, chains of them, rebuilding any state, a history with undo and redo.

It stands on the core (values, ops at paths, the rules of full snapshots, the cache) and nothing of the core on it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from unspool.codec.strategies import (
        AdaptiveStrategy,
        ChainState,
        ChainValidation,
        ChangesStrategy,
        CompositeStrategy,
        FullSnapshotStrategy,
        ManualStrategy,
        SignificanceStrategy,
        SizeStrategy,
        TimeStrategy,
        strategy_from_name,
    )
    from unspool.model.cache import CacheStats, ReconstructionCache
    from unspool.snapshots.atoms import AtomChange, AtomEntry
    from unspool.snapshots.calculator import DeltaCalculator, invert_delta, merge_deltas
    from unspool.snapshots.chain_manager import (
        ChainManagerConfig,
        CompressionResult,
        CompressionStrategy,
        DeltaChainManager,
        DeltaCompressionConfig,
        DeltaCompressionFactory,
    )
    from unspool.snapshots.chains import DeltaChain, chain_states, states_of_chains
    from unspool.snapshots.changes import ApplyOptions, DeltaOptions
    from unspool.snapshots.history_entries import IncrementalSnapshotConfig
    from unspool.snapshots.history_manager import DeltaAwareHistoryManager, HistoryEvent
    from unspool.snapshots.reconstructor import (
        ReconstructionPath,
        ReconstructionResult,
        ReconstructorConfig,
        SnapshotReconstructor,
    )
    from unspool.snapshots.snapshot import (
        DeltaMetadata,
        DeltaSnapshot,
        Snapshot,
        SnapshotMetadata,
        snapshot_from_dict,
    )

_MODULES = {
    "unspool.codec.strategies": (
        "AdaptiveStrategy ChainState ChainValidation ChangesStrategy CompositeStrategy FullSnapshotStrategy ManualStrategy "
        "SignificanceStrategy SizeStrategy TimeStrategy strategy_from_name"
    ),
    "unspool.model.cache": "CacheStats ReconstructionCache",
    "unspool.snapshots.atoms": "AtomChange AtomEntry",
    "unspool.snapshots.calculator": "DeltaCalculator invert_delta merge_deltas",
    "unspool.snapshots.chain_manager": (
        "ChainManagerConfig CompressionResult CompressionStrategy DeltaChainManager DeltaCompressionConfig "
        "DeltaCompressionFactory"
    ),
    "unspool.snapshots.chains": "DeltaChain chain_states states_of_chains",
    "unspool.snapshots.changes": "ApplyOptions DeltaOptions",
    "unspool.snapshots.history_entries": "IncrementalSnapshotConfig",
    "unspool.snapshots.history_manager": "DeltaAwareHistoryManager HistoryEvent",
    "unspool.snapshots.reconstructor": (
        "ReconstructionPath ReconstructionResult ReconstructorConfig SnapshotReconstructor"
    ),
    "unspool.snapshots.snapshot": "DeltaMetadata DeltaSnapshot Snapshot SnapshotMetadata snapshot_from_dict",
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names.split()}

__all__ = [
    "AdaptiveStrategy",
    "ApplyOptions",
    "AtomChange",
    "AtomEntry",
    "CacheStats",
    "ChainManagerConfig",
    "ChainState",
    "ChainValidation",
    "ChangesStrategy",
    "CompositeStrategy",
    "CompressionResult",
    "CompressionStrategy",
    "DeltaAwareHistoryManager",
    "DeltaCalculator",
    "DeltaChain",
    "DeltaChainManager",
    "DeltaCompressionConfig",
    "DeltaCompressionFactory",
    "DeltaMetadata",
    "DeltaOptions",
    "DeltaSnapshot",
    "FullSnapshotStrategy",
    "HistoryEvent",
    "IncrementalSnapshotConfig",
    "ManualStrategy",
    "ReconstructionCache",
    "ReconstructionPath",
    "ReconstructionResult",
    "ReconstructorConfig",
    "SignificanceStrategy",
    "SizeStrategy",
    "Snapshot",
    "SnapshotMetadata",
    "SnapshotReconstructor",
    "TimeStrategy",
    "chain_states",
    "invert_delta",
    "merge_deltas",
    "snapshot_from_dict",
    "states_of_chains",
    "strategy_from_name",
]


def __getattr__(name: str) -> object:
    # Lazy, so that the calculator can be had without the managers.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
