"""Folding a chain's deltas into a new full snapshot when a strategy says so.

Folding never drops a state: the old chain comes back sealed beside the new one, and both are readable.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from unspool.codec.strategies import (
    DEFAULT_MAX_AGE_MS,
    DEFAULT_MAX_DELTAS,
    DEFAULT_MAX_SIZE,
    DEFAULT_MIN_CHAIN_LENGTH,
    DEFAULT_SIGNIFICANT_ATOMS,
    AdaptiveStrategy,
    ChainState,
    ChangesStrategy,
    CompositeStrategy,
    FullSnapshotStrategy,
    ManualStrategy,
    SignificanceStrategy,
    SizeStrategy,
    TimeStrategy,
)
from unspool.errors import ConfigError
from unspool.model.limits import read_options, require_bool, require_choice, require_number
from unspool.model.values import Value
from unspool.snapshots.chains import ChainWalk, DeltaChain, replay_chain
from unspool.snapshots.changes import DeltaOptions, changes_between
from unspool.snapshots.snapshot import DeltaSnapshot, Milliseconds, Snapshot


def wall_clock() -> Milliseconds:
    """Return the milliseconds since the Unix epoch."""
    return time.time_ns() // 1_000_000


@dataclass(frozen=True, slots=True)
class CompressionMetadata:
    """What a compression did.

    Attributes:
        strategy: name of the strategy.
        timestamp: when, in milliseconds.
        length_before: deltas in the chain before.
        length_after: deltas in the new chain.
        bytes_before: measured bytes of the chain before.
        bytes_after: measured bytes of the new chain.
    """

    strategy: str
    timestamp: Milliseconds
    length_before: int
    length_after: int
    bytes_before: int
    bytes_after: int

    @property
    def memory_saved(self) -> int:
        """Bytes the chain in use is smaller by; the sealed one is the owner's to keep or drop."""
        return self.bytes_before - self.bytes_after


@dataclass(frozen=True, slots=True)
class CompressionResult:
    """A chain after compression.

    Attributes:
        chain: the chain in use from now on: a new full snapshot and the deltas after it.
        sealed: what was folded into it, still readable; None when there was nothing to fold.
        metadata: what was done.
    """

    chain: DeltaChain
    sealed: DeltaChain | None
    metadata: CompressionMetadata


@dataclass(frozen=True, slots=True)
class CompressionStrategy:
    """A full-or-delta rule with the seed's face: `should_compress` and `compress`.

    Attributes:
        rule: when a full snapshot is due.
        enabled: whether it is ever due.
        clock: milliseconds since the Unix epoch.
    """

    rule: FullSnapshotStrategy
    enabled: bool = True
    clock: Callable[[], Milliseconds] = wall_clock

    @property
    def name(self) -> str:
        """The rule's name."""
        return self.rule.name

    def wants_full(self, state: ChainState) -> bool:
        """Whether the candidate should be a full snapshot."""
        return self.enabled and self.rule.wants_full(state)

    def should_compress(self, chain: DeltaChain, now: Milliseconds | None = None) -> bool:
        """Whether a chain is due to become a new base.

        Args:
            chain: the chain as it stands.
            now: the time to measure its age at; the clock's when None.
        """
        if chain.sealed or not chain.deltas:
            return False
        if isinstance(self.rule, SignificanceStrategy):
            return self.enabled and self._fold_at(chain) > 0
        return self.wants_full(chain.state_for_strategy(self.clock() if now is None else now))

    def compress(self, chain: DeltaChain) -> CompressionResult:
        """Fold the deltas of a chain into a new full snapshot.

        The significance strategy folds up to the last significant change and keeps the deltas after it; the others
        fold all. Whether it is due is not asked here.

        Raises:
            BaseMismatch, ContradictoryDelta: the chain is broken.
        """
        now = self.clock()
        cut = self._fold_at(chain)
        if cut == 0:
            unchanged = CompressionMetadata(self.name, now, chain.length, chain.length, chain.size, chain.size)
            return CompressionResult(chain, None, unchanged)
        folded = chain.deltas[:cut]
        base = replay_chain(chain.base, folded)
        after = DeltaChain.of(base, _standing_on(base, chain, cut), created_at=now)
        sealed = replace(DeltaChain.of(chain.base, folded, created_at=chain.created_at), sealed=True)
        metadata = CompressionMetadata(self.name, now, chain.length, after.length, chain.size, after.size)
        return CompressionResult(after, sealed, metadata)

    def _fold_at(self, chain: DeltaChain) -> int:
        if not isinstance(self.rule, SignificanceStrategy):
            return chain.length
        significant = (
            place
            for place, delta in enumerate(chain.deltas, start=1)
            if self.rule.wants_full(ChainState(length=place, changed_atoms=len(delta.changes)))
        )
        return max(significant, default=0)


def _standing_on(base: Snapshot, chain: DeltaChain, cut: int) -> tuple[DeltaSnapshot, ...]:
    """Return the deltas after a cut, each naming what it stands on in the chain of the new base.

    Those that name the old base, or what was folded, are told anew against the state before them.
    """
    walk, new = ChainWalk(chain.base), ChainWalk(base)
    for delta in chain.deltas[:cut]:
        walk.step(delta)
    kept = []
    before = base
    for delta in chain.deltas[cut:]:
        walk.step(delta)
        after = walk.snapshot()
        told = delta
        if not new.stands_at(delta.base_snapshot_id) or delta.base_snapshot_id == chain.base.id:
            changes = changes_between(before.state, after.state, DeltaOptions())
            facts = replace(delta.metadata, change_count=len(changes), base_timestamp=before.metadata.timestamp)
            told = replace(delta, base_snapshot_id=before.id, changes=changes, metadata=facts)
        new.step(told)
        kept.append(told)
        before = after
    return tuple(kept)


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
