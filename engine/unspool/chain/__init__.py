"""Full or delta, and when; rebuilding, caching, health."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from unspool.chain.cache import CacheStats, ReconstructionCache
    from unspool.chain.compression import CompressionResult, CompressionStrategy
    from unspool.chain.config import ChainManagerConfig
    from unspool.chain.delta_chain import DeltaChain
    from unspool.chain.factory import DeltaCompressionConfig, DeltaCompressionFactory
    from unspool.chain.manager import DeltaChainManager
    from unspool.chain.reconstructor import ReconstructorConfig, SnapshotReconstructor
    from unspool.chain.results import ReconstructionPath, ReconstructionResult
    from unspool.chain.strategy import (
        AdaptiveStrategy,
        ChainState,
        ChangesStrategy,
        CompositeStrategy,
        FullSnapshotStrategy,
        ManualStrategy,
        SignificanceStrategy,
        SizeStrategy,
        TimeStrategy,
        strategy_from_name,
    )

_HOMES = {
    "cache": ("CacheStats", "ReconstructionCache"),
    "compression": ("CompressionResult", "CompressionStrategy"),
    "config": ("ChainManagerConfig",),
    "delta_chain": ("DeltaChain",),
    "factory": ("DeltaCompressionConfig", "DeltaCompressionFactory"),
    "manager": ("DeltaChainManager",),
    "reconstructor": ("ReconstructorConfig", "SnapshotReconstructor"),
    "results": ("ReconstructionPath", "ReconstructionResult"),
    "strategy": (
        "AdaptiveStrategy",
        "ChainState",
        "ChangesStrategy",
        "CompositeStrategy",
        "FullSnapshotStrategy",
        "ManualStrategy",
        "SignificanceStrategy",
        "SizeStrategy",
        "TimeStrategy",
        "strategy_from_name",
    ),
}
_MODULE_OF = {name: module for module, names in _HOMES.items() for name in names}

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


def __getattr__(name: str) -> object:
    # Lazy, so that the recorder can ask a strategy without the managers.
    if name in _MODULE_OF:
        return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
