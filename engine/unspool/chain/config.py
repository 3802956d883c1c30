"""Options of the chain manager (row N-27)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from unspool.chain.cache import DEFAULT_MAX_ENTRIES
from unspool.chain.compression import CompressionStrategy, wall_clock
from unspool.chain.factory import DeltaCompressionConfig, DeltaCompressionFactory
from unspool.chain.strategy import (
    DEFAULT_MAX_AGE_MS,
    DEFAULT_MAX_DELTAS,
    DEFAULT_MAX_SIZE,
    ChangesStrategy,
    FullSnapshotStrategy,
    SizeStrategy,
    TimeStrategy,
    strategy_from_name,
)
from unspool.model.options import require_number
from unspool.model.snapshot_metadata import Milliseconds
from unspool.model.values import Value

DEFAULT_FULL_SNAPSHOT_INTERVAL: Final = 10


@dataclass(frozen=True, slots=True)
class ChainManagerConfig:
    """Limits and strategy of a chain manager.

    The three limits always hold; the strategy can only make a chain fold sooner. None lifts a limit.

    Attributes:
        full_snapshot_interval: deltas after which the strategy `changes` folds a chain.
        max_delta_chain_length: deltas at which a chain is folded.
        max_delta_chain_age: milliseconds beyond which a chain is folded.
        max_delta_chain_size: bytes of deltas beyond which a chain is folded.
        full_snapshot_strategy: `changes`, `time` or `size` with the limits above; `significance`, `manual`, `none`;
            any name of `unspool.chain.strategy`; or whatever `DeltaCompressionFactory.create` takes.
        max_cache_size: rebuilt states to keep.
        clock: milliseconds since the Unix epoch.
    """

    full_snapshot_interval: int = DEFAULT_FULL_SNAPSHOT_INTERVAL
    max_delta_chain_length: int | None = DEFAULT_MAX_DELTAS
    max_delta_chain_age: Milliseconds | None = DEFAULT_MAX_AGE_MS
    max_delta_chain_size: int | None = DEFAULT_MAX_SIZE
    full_snapshot_strategy: (
        str | Mapping[str, Value] | DeltaCompressionConfig | CompressionStrategy | FullSnapshotStrategy
    ) = "changes"
    max_cache_size: int = DEFAULT_MAX_ENTRIES
    clock: Callable[[], Milliseconds] = field(default=wall_clock, repr=False)

    def __post_init__(self) -> None:
        require_number("full_snapshot_interval", self.full_snapshot_interval, least=1)
        require_number("max_cache_size", self.max_cache_size, least=0)
        if self.max_delta_chain_length is not None:
            require_number("max_delta_chain_length", self.max_delta_chain_length, least=1)
        if self.max_delta_chain_age is not None:
            require_number("max_delta_chain_age", self.max_delta_chain_age, least=0, whole=False)
        if self.max_delta_chain_size is not None:
            require_number("max_delta_chain_size", self.max_delta_chain_size, least=0)
        rule_of(self)


def rule_of(config: ChainManagerConfig) -> FullSnapshotStrategy:
    """Return the strategy a configuration means.

    Raises:
        ConfigError: it names none.
    """
    match config.full_snapshot_strategy:
        case "changes":
            return ChangesStrategy(config.full_snapshot_interval, min_chain_length=0)
        case "time":
            age = config.max_delta_chain_age
            return TimeStrategy(DEFAULT_MAX_AGE_MS if age is None else age, min_chain_length=0)
        case "size":
            size = config.max_delta_chain_size
            return SizeStrategy(DEFAULT_MAX_SIZE if size is None else size, min_chain_length=0)
        case str() as name:
            return strategy_from_name(name)
        case other:
            return DeltaCompressionFactory.create(other)
