"""Chains by base: limits, folding into new bases, validation, reading any state back, and measured numbers.

Folding never drops a state: the old chain comes back sealed beside the new one, and both are readable.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from unspool.codec.strategies import (
    DEFAULT_MAX_AGE_MS,
    DEFAULT_MAX_DELTAS,
    DEFAULT_MAX_SIZE,
    DEFAULT_MIN_CHAIN_LENGTH,
    DEFAULT_SIGNIFICANT_ATOMS,
    AdaptiveStrategy,
    ChainCheck,
    ChainLimits,
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
from unspool.errors import BrokenChain, ConfigError, ContradictoryDelta, EntryNotFound, UnspoolError
from unspool.model.cache import DEFAULT_MAX_ENTRIES, CacheStats
from unspool.model.limits import read_options, require_bool, require_choice, require_number
from unspool.model.values import Value
from unspool.snapshots.calculator import DeltaLike, SnapshotLike, as_delta, as_snapshot
from unspool.snapshots.chains import ChainLine, ChainWalk, DeltaChain, TrackedChain, replay_chain
from unspool.snapshots.changes import DeltaOptions, changes_between, stored_size
from unspool.snapshots.packing import packed_size
from unspool.snapshots.reconstructor import SnapshotReconstructor
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

    Those that name the old base, or what was folded, are written anew against the state before them.
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
            any name of `unspool.codec.strategies`; or whatever `DeltaCompressionFactory.create` takes.
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

    @property
    def limits(self) -> ChainLimits:
        """The three limits."""
        return ChainLimits(self.max_delta_chain_length, self.max_delta_chain_size, self.max_delta_chain_age)


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


@dataclass(frozen=True, slots=True)
class ChainStats:
    """How much there is and what it takes.

    Attributes:
        active_chains: chains that take deltas.
        sealed_chains: chains that were folded and stay readable.
        memory_usage: measured bytes of all bases and deltas.
        delta_count: deltas ever added.
        full_snapshot_count: full snapshots ever kept.
        total_deltas_in_chains: deltas in all chains now.
        cache_hits: rebuilds answered from the cache.
        cache_misses: rebuilds that had to replay.
        average_delta_size: mean measured bytes of a delta; 0 without any.
        average_compression_ratio: bytes of all deltas over bytes of the full snapshots they stand for; 1 without any.
        last_full_snapshot: when the last full snapshot came, in milliseconds; None before the first.
        last_delta: when the last delta came, in milliseconds; None before the first.
    """

    active_chains: int
    sealed_chains: int
    memory_usage: int
    delta_count: int
    full_snapshot_count: int
    total_deltas_in_chains: int
    cache_hits: int
    cache_misses: int
    average_delta_size: float
    average_compression_ratio: float
    last_full_snapshot: Milliseconds | None
    last_delta: Milliseconds | None


class DeltaTally:
    """Counts what went into a manager."""

    __slots__ = ("_deltas", "_fulls", "_last_delta", "_last_full", "_original_bytes", "_stored_bytes")

    def __init__(self) -> None:
        self._deltas = self._fulls = self._stored_bytes = self._original_bytes = 0
        self._last_delta: Milliseconds | None = None
        self._last_full: Milliseconds | None = None

    def count_full(self, now: Milliseconds) -> None:
        """Count a full snapshot."""
        self._fulls += 1
        self._last_full = now

    def count_delta(self, delta: DeltaSnapshot, full_bytes: int, now: Milliseconds) -> None:
        """Count a delta.

        Args:
            delta: the delta as kept.
            full_bytes: measured bytes of the full snapshot it leads to.
            now: when.
        """
        self._deltas += 1
        self._last_delta = now
        self._stored_bytes += stored_size(delta)
        self._original_bytes += full_bytes

    def stats(self, chains: Iterable[TrackedChain], cache: CacheStats) -> ChainStats:
        """Return the numbers over these chains."""
        kept = list(chains)
        sealed = sum(chain.is_sealed for chain in kept)
        return ChainStats(
            active_chains=len(kept) - sealed,
            sealed_chains=sealed,
            memory_usage=sum(chain.full_bytes + chain.delta_bytes for chain in kept),
            delta_count=self._deltas,
            full_snapshot_count=self._fulls,
            total_deltas_in_chains=sum(len(chain.deltas) for chain in kept),
            cache_hits=cache.hits,
            cache_misses=cache.misses,
            average_delta_size=self._stored_bytes / self._deltas if self._deltas else 0.0,
            average_compression_ratio=self._stored_bytes / self._original_bytes if self._original_bytes else 1.0,
            last_full_snapshot=self._last_full,
            last_delta=self._last_delta,
        )


def validate(chain: DeltaChain, limits: ChainLimits, now: Milliseconds) -> ChainValidation:
    """Check that a chain can be replayed, then its length, age and size, each against its limit with `>`."""
    check, walk = ChainCheck(), ChainWalk(chain.base)
    for index, delta in enumerate(chain.deltas):
        try:
            walk.step(delta)
        except UnspoolError as error:
            check.fail(index, f"delta {index} ({delta.id!r}): {error}")
            break
    if not chain.sealed:
        check.exceed(limits.exceeded(chain.state_for_strategy(now)))
    return check.result()


@dataclass(frozen=True, slots=True)
class _Place:
    line: ChainLine
    chain: TrackedChain
    position: int


class DeltaChainManager:
    """Keeps chains: full snapshots and the deltas that follow them.

    A chain that reaches a limit, or whose strategy says so, is folded: its newest state becomes a new base, and the
    old chain is sealed. Sealed chains stay readable. Deltas are kept in their stored form: modifications that ops
    tell in fewer bytes carry no values.
    """

    def __init__(self, config: ChainManagerConfig | Mapping[str, Value] | None = None, **options: Value) -> None:
        """Set up.

        Args:
            config: see `ChainManagerConfig`.
            options: single options by name, such as `max_delta_chain_length=20`.

        Raises:
            ConfigError: an option that does not exist or cannot be honoured.
        """
        self.config = read_options(ChainManagerConfig, config, options)
        self._rule = rule_of(self.config)
        self.clear()

    def clear(self) -> None:
        """Forget all chains, counts and cached states."""
        self._chains: dict[str, TrackedChain] = {}
        self._places: dict[str, _Place] = {}
        self._tally = DeltaTally()
        self._reconstructor = SnapshotReconstructor(max_cache_size=self.config.max_cache_size)

    def add_base(self, snapshot: SnapshotLike) -> None:
        """Register a full snapshot that deltas may stand on; registering the same one again changes nothing.

        Raises:
            ContradictoryDelta: another snapshot or delta of this id is known already.
        """
        base = as_snapshot(snapshot)
        known = self._chains.get(base.id)
        if known is not None and known.base == base:
            return
        if base.id in self._places:
            raise ContradictoryDelta(f"{base.id!r} is known already with another content; give each its own id")
        self._begin(base)

    def _begin(self, base: Snapshot, parent: ChainLine | None = None) -> ChainLine:
        now = self.config.clock()
        line = ChainLine(base, now, parent)
        self._register(line, line.chain)
        self._tally.count_full(now)
        return line

    def _register(self, line: ChainLine, chain: TrackedChain) -> None:
        self._chains[chain.base.id] = chain
        self._places[chain.base.id] = _Place(line, chain, 0)

    def add_delta(self, delta: DeltaLike, base: SnapshotLike | None = None) -> None:
        """Add a delta to the chain it stands on; the chain is folded when it is due.

        A delta on a state in the middle of a chain begins a chain of its own there.

        Args:
            delta: what to add; it may name the snapshot before it, the delta before it, or the chain's full snapshot.
            base: the full snapshot it stands on, if that was not registered before.

        Raises:
            BrokenChain: nothing known has the id it stands on.
            ContradictoryDelta: it does not fit the state it stands on, or its id is known already.
        """
        if base is not None:
            self.add_base(base)
        new = as_delta(delta)
        if new.id in self._places:
            raise ContradictoryDelta(f"delta {new.id!r} was added already")
        line = self._line_for(new)
        kept = line.append(new)
        place = _Place(line, line.chain, len(line.chain.deltas))
        self._places[new.id] = place
        self._places.setdefault(new.target_id, place)
        now = self.config.clock()
        self._tally.count_delta(kept, packed_size(line.tip), now)
        if self._is_due(line.chain, len(new.changes)):
            self._fold(line)

    def _line_for(self, delta: DeltaSnapshot) -> ChainLine:
        place = self._places.get(delta.base_snapshot_id)
        if place is None:
            return self._line_with_unnamed_end(delta)
        if place.line.takes(delta.base_snapshot_id):
            return place.line
        state = replay_chain(place.chain.base, place.chain.deltas[: place.position])
        identity = delta.base_snapshot_id
        return self._begin(state if state.id == identity else replace(state, id=identity), place.line)

    def _line_with_unnamed_end(self, delta: DeltaSnapshot) -> ChainLine:
        """Find the line whose last delta did not tell what it leads to, so that this name can only mean that."""
        lines = {id(place.line): place.line for place in self._places.values()}.values()
        open_ended = [line for line in lines if line.walk.ends_at(delta)]
        if len(open_ended) != 1:
            raise BrokenChain(
                f"delta {delta.id!r} stands on {delta.base_snapshot_id!r}, which is neither a base nor in a chain; "
                "register that snapshot with add_base first"
            )
        line = open_ended[0]
        self._places[delta.base_snapshot_id] = _Place(line, line.chain, len(line.chain.deltas))
        return line

    def _is_due(self, chain: TrackedChain, changed_atoms: int) -> bool:
        now = self.config.clock()
        view = chain.view()
        state = ChainState(view.length, view.age(now), view.delta_bytes, view.full_bytes, changed_atoms)
        return self.config.limits.exceeded(state, at_length=True) is not None or self._rule.wants_full(state)

    def _fold(self, line: ChainLine) -> Snapshot:
        last = line.chain.deltas[-1]
        # Two deltas may lead to snapshots of one id; the delta's own id is unique.
        identity = line.tip.id if line.tip.id not in self._chains else last.id
        now = self.config.clock()
        self._register(line, line.fold(identity, now))
        self._places[last.id] = self._places[line.tip.id]
        self._tally.count_full(now)
        return line.tip

    def get_chain(self, base_id: str) -> DeltaChain | None:
        """Return the chain of a base, sealed or not, or None."""
        chain = self._chains.get(base_id)
        return None if chain is None else chain.view()

    def get_all_chains(self) -> list[DeltaChain]:
        """Return all chains, sealed ones too, in the order their bases came."""
        return [chain.view() for chain in self._chains.values()]

    def get_active_chain_count(self) -> int:
        """Return the number of chains that take deltas."""
        return sum(not chain.is_sealed for chain in self._chains.values())

    def validate_chain(self, chain: DeltaChain | str) -> ChainValidation:
        """Check a chain: that it can be replayed, then its length, age and size.

        Args:
            chain: a chain, or the id of its base.

        Raises:
            EntryNotFound: no chain has this base.
        """
        view = chain if isinstance(chain, DeltaChain) else self._known(chain).view()
        return validate(view, self.config.limits, self.config.clock())

    def _known(self, base_id: str) -> TrackedChain:
        if base_id not in self._chains:
            raise EntryNotFound(f"no chain has the base {base_id!r}; get_all_chains() lists them")
        return self._chains[base_id]

    def reconstruct(self, base_id: str, target_delta_id: str | None = None) -> Snapshot:
        """Rebuild a state.

        Args:
            base_id: the base of a chain.
            target_delta_id: the delta, or the snapshot it leads to, at which the state is wanted; it may lie in a
                chain this one was folded into. None is the newest state that stands on the base.

        Returns:
            The full snapshot there.

        Raises:
            EntryNotFound: no chain has this base, or nothing on its line has this id.
            BrokenChain: the chain cannot be replayed.
        """
        line = self._places[self._known(base_id).base.id].line
        place = _Place(line, line.chain, len(line.chain.deltas))
        if target_delta_id is not None:
            found = self._places.get(target_delta_id)
            if found is None or not found.line.stems_from(line):
                raise EntryNotFound(f"nothing on the line of {base_id!r} has the id {target_delta_id!r}")
            place = found
        result = self._reconstructor.reconstruct(place.chain.base, place.chain.deltas, place.position)
        if result.snapshot is None:
            raise BrokenChain(f"the chain of {place.chain.base.id!r} cannot be replayed: {result.error}")
        return result.snapshot

    def create_new_base_snapshot(self, chain: DeltaChain | str) -> Snapshot:
        """Fold a chain: its newest state becomes a new base, and every earlier state stays readable.

        Args:
            chain: a chain, or the id of its base.

        Returns:
            The new full snapshot; the existing one where the chain holds no deltas or was folded already.

        Raises:
            EntryNotFound: no chain has this base.
        """
        known = self._known(chain.id if isinstance(chain, DeltaChain) else chain)
        if known.is_sealed and known.deltas:
            return self._places[known.deltas[-1].id].chain.base
        return self._fold(self._places[known.base.id].line) if known.deltas else known.base

    def get_stats(self) -> ChainStats:
        """Return measured numbers over all chains."""
        return self._tally.stats(self._chains.values(), self._reconstructor.get_cache_stats())
