"""Compression strategies from configurations as the seed writes them (row N-40)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from unspool.chain.compression import CompressionStrategy, wall_clock
from unspool.chain.strategy import (
    DEFAULT_MAX_AGE_MS,
    DEFAULT_MAX_DELTAS,
    DEFAULT_MAX_SIZE,
    DEFAULT_MIN_CHAIN_LENGTH,
    DEFAULT_SIGNIFICANT_ATOMS,
    AdaptiveStrategy,
    ChangesStrategy,
    CompositeStrategy,
    FullSnapshotStrategy,
    ManualStrategy,
    SignificanceStrategy,
    SizeStrategy,
    TimeStrategy,
)
from unspool.errors import ConfigError
from unspool.model.options import read_options, require_bool, require_choice, require_number
from unspool.model.snapshot_metadata import Milliseconds
from unspool.model.values import Value


@dataclass(frozen=True, slots=True)
class TimeOptions:
    """`max_age`: milliseconds after which a chain is due."""

    max_age: Milliseconds = DEFAULT_MAX_AGE_MS


@dataclass(frozen=True, slots=True)
class ChangesOptions:
    """`max_deltas`: deltas after which a chain is due."""

    max_deltas: int = DEFAULT_MAX_DELTAS


@dataclass(frozen=True, slots=True)
class SizeOptions:
    """`max_size`: bytes of deltas beyond which a chain is due."""

    max_size: int = DEFAULT_MAX_SIZE


@dataclass(frozen=True, slots=True)
class SignificanceOptions:
    """`max_atoms`: atoms beyond which one delta is significant."""

    max_atoms: int = DEFAULT_SIGNIFICANT_ATOMS


@dataclass(frozen=True, slots=True)
class AdaptiveOptions:
    """`max_cost` and `max_growth`, as multiples of one full snapshot."""

    max_cost: float = AdaptiveStrategy().max_cost
    max_growth: float = AdaptiveStrategy().max_growth


STRATEGIES: Final = ("time", "changes", "size", "significance", "none", "manual", "composite", "adaptive")


@dataclass(frozen=True, slots=True)
class DeltaCompressionConfig:
    """What `DeltaCompressionFactory.create` reads.

    Attributes:
        strategy: one of `STRATEGIES`.
        time, changes, size, significance, adaptive: options of that strategy, as a mapping or an options value.
        composite: configurations of the parts of a composite.
        min_chain_length: chains shorter than this are left alone; None is the default of the strategy: 5, but 0 for
            significance, whose point must not be missed. Adaptive, none and manual have no use for one.
        enabled: whether it is ever due.
        clock: milliseconds since the Unix epoch.
    """

    strategy: str = "changes"
    time: TimeOptions | Mapping[str, Value] | None = None
    changes: ChangesOptions | Mapping[str, Value] | None = None
    size: SizeOptions | Mapping[str, Value] | None = None
    significance: SignificanceOptions | Mapping[str, Value] | None = None
    adaptive: AdaptiveOptions | Mapping[str, Value] | None = None
    composite: Sequence[Value] = ()
    min_chain_length: int | None = None
    enabled: bool = True
    clock: Callable[[], Milliseconds] = field(default=wall_clock, repr=False)

    def __post_init__(self) -> None:
        require_choice("strategy", self.strategy, STRATEGIES)
        require_bool("enabled", self.enabled)
        if self.min_chain_length is not None:
            require_number("min_chain_length", self.min_chain_length, least=0)
            if self.strategy in ("none", "manual", "adaptive", "composite"):
                raise ConfigError(f"min_chain_length has no meaning for {self.strategy}; leave it out")


class DeltaCompressionFactory:
    """Makes compression strategies."""

    @staticmethod
    def create(
        config: DeltaCompressionConfig | Mapping[str, Value] | CompressionStrategy | FullSnapshotStrategy,
    ) -> CompressionStrategy:
        """Make a strategy from its configuration.

        Args:
            config: a mapping such as `{"strategy": "changes", "changes": {"max_deltas": 20}}`, a
                `DeltaCompressionConfig`, or a strategy, which is passed through.

        Raises:
            ConfigError: an unknown strategy or option; the message lists what is valid.
        """
        if isinstance(config, CompressionStrategy):
            return config
        if not isinstance(config, DeltaCompressionConfig | Mapping):
            if isinstance(config, FullSnapshotStrategy):
                return CompressionStrategy(config)
            raise ConfigError(f"{config!r} is no strategy; give a mapping with one of {', '.join(STRATEGIES)}")
        chosen = read_options(DeltaCompressionConfig, config, {})
        return CompressionStrategy(_rule(chosen), chosen.enabled, chosen.clock)


def _rule(config: DeltaCompressionConfig) -> FullSnapshotStrategy:
    given = config.min_chain_length
    least = DEFAULT_MIN_CHAIN_LENGTH if given is None else given
    match config.strategy:
        case "time":
            return TimeStrategy(read_options(TimeOptions, config.time, {}).max_age, least)
        case "changes":
            return ChangesStrategy(read_options(ChangesOptions, config.changes, {}).max_deltas, least)
        case "size":
            return SizeStrategy(read_options(SizeOptions, config.size, {}).max_size, least)
        case "significance":
            options = read_options(SignificanceOptions, config.significance, {})
            return SignificanceStrategy(options.max_atoms, given or 0)
        case "adaptive":
            adaptive = read_options(AdaptiveOptions, config.adaptive, {})
            return AdaptiveStrategy(adaptive.max_cost, adaptive.max_growth)
        case "composite":
            return CompositeStrategy(tuple(DeltaCompressionFactory.create(part) for part in config.composite))
    return ManualStrategy(config.strategy)
