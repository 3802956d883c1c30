"""Options of the delta-aware history manager (rows N-52, N-53, N-59)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from unspool.chain.cache import DEFAULT_MAX_BYTES, DEFAULT_MAX_ENTRIES
from unspool.chain.compression import CompressionStrategy, wall_clock
from unspool.chain.config import DEFAULT_FULL_SNAPSHOT_INTERVAL
from unspool.chain.factory import DeltaCompressionConfig, DeltaCompressionFactory
from unspool.chain.strategy import (
    DEFAULT_MAX_AGE_MS,
    DEFAULT_MAX_DELTAS,
    DEFAULT_MAX_SIZE,
    FullSnapshotStrategy,
    strategy_from_name,
)
from unspool.delta.options import DETECTIONS, Detection
from unspool.delta.structural import Identity
from unspool.errors import ConfigError
from unspool.model.options import require_bool, require_choice, require_number
from unspool.model.snapshot_metadata import Milliseconds
from unspool.model.values import Value

StrategyLike: TypeAlias = (
    str | Mapping[str, Value] | DeltaCompressionConfig | CompressionStrategy | FullSnapshotStrategy
)
"""A strategy's name, its configuration, or the strategy itself."""
CompressionLevel: TypeAlias = Literal["none", "light", "aggressive"]
COMPRESSION_LEVELS: Final = ("none", "light", "aggressive")
DEFAULT_MAX_HISTORY: Final = 50


@dataclass(frozen=True, slots=True)
class IncrementalSnapshotConfig:
    """How a history is kept; every option does what it says, or is refused when the manager is made.

    Attributes:
        enabled: store deltas; otherwise every entry is a full snapshot.
        full_snapshot_interval: every how many entries one is stored whole, unless `strategy` decides instead.
        max_delta_chain_length: most deltas between two full snapshots; None for no limit.
        max_delta_chain_age: milliseconds beyond which an entry is stored whole, measured from the full snapshot by
            the entries' timestamps or by the clock, whichever is longer; None for no limit.
        max_delta_chain_size: most bytes of deltas between two full snapshots; None for no limit.
        change_detection: `deep`, `shallow` or `reference`; see `unspool.delta.DeltaOptions`.
        reconstruct_on_demand: rebuild states when they are asked for; otherwise keep every state rebuilt in memory.
        cache_reconstructed: keep states that were rebuilt, most recently used first.
        max_cache_size: most states kept so.
        compression_level: `none` stores whole values as they are; `light` stores ops inside atoms where they are
            smaller, and zstd level 3; `aggressive` the same with zstd level 19.
        max_history: most entries kept; the oldest leave first. None for no limit.
        max_cache_bytes: most bytes of states kept rebuilt.
        strategy: when to store whole, in place of `full_snapshot_interval`; the limits above hold besides.
        on_write_after_undo: `fork` keeps the undone entries as another future; `truncate` drops them.
        prefetch: states to rebuild ahead in the direction of scrubbing.
        executor: where prefetching runs; a thread of our own when None.
        identity: identity keys of lists set by hand; see `unspool.delta.DeltaOptions`.
        strict: let 1 and 1.0, and 0.0 and -0.0, differ.
        clock: milliseconds since the Unix epoch.
    """

    enabled: bool = True
    full_snapshot_interval: int = DEFAULT_FULL_SNAPSHOT_INTERVAL
    max_delta_chain_length: int | None = DEFAULT_MAX_DELTAS
    max_delta_chain_age: Milliseconds | None = DEFAULT_MAX_AGE_MS
    max_delta_chain_size: int | None = DEFAULT_MAX_SIZE
    change_detection: Detection = "deep"
    reconstruct_on_demand: bool = True
    cache_reconstructed: bool = True
    max_cache_size: int = DEFAULT_MAX_ENTRIES
    compression_level: CompressionLevel = "light"
    max_history: int | None = DEFAULT_MAX_HISTORY
    max_cache_bytes: int = DEFAULT_MAX_BYTES
    strategy: StrategyLike | None = None
    on_write_after_undo: Literal["fork", "truncate"] = "fork"
    prefetch: int = 0
    executor: Executor | None = field(default=None, repr=False)
    identity: Identity | None = None
    strict: bool = False
    clock: Callable[[], Milliseconds] = field(default=wall_clock, repr=False)

    def __post_init__(self) -> None:
        for option in ("enabled", "reconstruct_on_demand", "cache_reconstructed", "strict"):
            require_bool(option, getattr(self, option))
        require_number("full_snapshot_interval", self.full_snapshot_interval, least=1)
        for option in ("max_cache_size", "max_cache_bytes", "prefetch"):
            require_number(option, getattr(self, option), least=0)
        for option, least in (("max_delta_chain_length", 1), ("max_delta_chain_size", 0), ("max_history", 1)):
            if getattr(self, option) is not None:
                require_number(option, getattr(self, option), least=least)
        if self.max_delta_chain_age is not None:
            require_number("max_delta_chain_age", self.max_delta_chain_age, least=0, whole=False)
        require_choice("change_detection", self.change_detection, DETECTIONS)
        require_choice("compression_level", self.compression_level, COMPRESSION_LEVELS)
        require_choice("on_write_after_undo", self.on_write_after_undo, ("fork", "truncate"))
        if self.prefetch and not (self.cache_reconstructed and self.max_cache_size):
            raise ConfigError("prefetch has nowhere to put states; set cache_reconstructed, or leave prefetch out")
        if self.strategy is not None:
            strategy_of(self.strategy)


def strategy_of(given: StrategyLike) -> FullSnapshotStrategy:
    """Return the strategy that is meant.

    Raises:
        ConfigError: none is; the message lists what is valid.
    """
    return strategy_from_name(given) if isinstance(given, str) else DeltaCompressionFactory.create(given)
