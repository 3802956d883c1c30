"""When a full snapshot is due, and whether a chain is in order: pure decisions over a few numbers, with no snapshot in hand.

A `FullSnapshotStrategy` is asked before an entry is stored: "here is the chain as it stands, and here is the
candidate that would join it; should the candidate be stored whole?" The same rules serve the file store, the
recorder and the document systems, so they know nothing of how any of these keep their bytes.

Names for `strategy_from_name`: `auto`, `adaptive`, `adaptive:2.0`, `changes:20`, `time:300000` (milliseconds),
`size:1048576` (bytes), `significance:10` (atoms), `manual`, `none`, and `composite:changes:20,size:65536`
(due when any part says so). Composite and adaptive are our own.

`ChainCheck` holds a chain that was written against its rule and its limits; the doctor and the chain manager share it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, Protocol, runtime_checkable

from msgspec import Struct

from unspool.errors import ConfigError

DEFAULT_MAX_AGE_MS: Final = 300_000
DEFAULT_MAX_DELTAS: Final = 20
DEFAULT_MAX_SIZE: Final = 1_048_576
DEFAULT_SIGNIFICANT_ATOMS: Final = 10
DEFAULT_MIN_CHAIN_LENGTH: Final = 5
"""Chains shorter than this are left alone unless the caller says otherwise."""

DELTA_OVERHEAD_BYTES: Final = 250
"""What finding, decoding and applying one delta costs beyond its bytes, told in bytes of full state."""


class ChainState(Struct, frozen=True, gc=False):
    """What a strategy may know: the chain as it stands, and the candidate that would join it.

    Attributes:
        length: deltas since the chain's full snapshot, the candidate not counted.
        age_ms: milliseconds from the full snapshot to the candidate.
        delta_bytes: stored bytes of those deltas.
        full_bytes: bytes of the chain's full snapshot.
        changed_atoms: atoms the candidate adds, modifies or deletes.
        candidate_bytes: stored bytes of the candidate as a delta; 0 when there is no candidate.
        rebuild_cost: cost of rebuilding the newest state as a multiple of decoding a full one, where it was
            measured; None to have it estimated from the bytes.
        patch_steps: steps of the byte patches of those deltas and the candidate, where they were counted: what is
            copied or put in, one after the other, when the chain is replayed.
    """

    length: int = 0
    age_ms: float = 0.0
    delta_bytes: int = 0
    full_bytes: int = 0
    changed_atoms: int = 0
    candidate_bytes: int = 0
    rebuild_cost: float | None = None
    patch_steps: int = 0

    @property
    def cost(self) -> float:
        """The measured rebuild cost, or an estimate of it with the candidate included."""
        if self.rebuild_cost is not None:
            return self.rebuild_cost
        deltas = self.length + (1 if self.candidate_bytes else 0)
        extra = self.delta_bytes + self.candidate_bytes + deltas * DELTA_OVERHEAD_BYTES
        return 1.0 + extra / max(self.full_bytes, 1)


@runtime_checkable
class FullSnapshotStrategy(Protocol):
    """Decides whether an entry is stored whole."""

    @property
    def name(self) -> str:
        """The spelling `strategy_from_name` reads."""

    def wants_full(self, state: ChainState) -> bool:
        """Whether the candidate should be a full snapshot."""


@dataclass(frozen=True, slots=True)
class TimeStrategy:
    """Full when the chain is older than `max_age_ms` (age > limit)."""

    max_age_ms: float = DEFAULT_MAX_AGE_MS
    min_chain_length: int = DEFAULT_MIN_CHAIN_LENGTH

    def __post_init__(self) -> None:
        _refuse_negative("max_age_ms", self.max_age_ms)
        _refuse_negative("min_chain_length", self.min_chain_length)

    @property
    def name(self) -> str:
        return f"time:{self.max_age_ms:g}" if self.max_age_ms % 1 else f"time:{int(self.max_age_ms)}"

    def wants_full(self, state: ChainState) -> bool:
        return state.length >= self.min_chain_length and state.age_ms > self.max_age_ms


@dataclass(frozen=True, slots=True)
class ChangesStrategy:
    """Full after `max_deltas` deltas (length >= limit)."""

    max_deltas: int = DEFAULT_MAX_DELTAS
    min_chain_length: int = DEFAULT_MIN_CHAIN_LENGTH

    def __post_init__(self) -> None:
        _refuse_negative("max_deltas", self.max_deltas)
        _refuse_negative("min_chain_length", self.min_chain_length)

    @property
    def name(self) -> str:
        return f"changes:{self.max_deltas}"

    def wants_full(self, state: ChainState) -> bool:
        return state.length >= self.min_chain_length and state.length >= self.max_deltas


@dataclass(frozen=True, slots=True)
class SizeStrategy:
    """Full when the deltas of a chain, candidate included, exceed `max_bytes` (bytes > limit)."""

    max_bytes: int = DEFAULT_MAX_SIZE
    min_chain_length: int = DEFAULT_MIN_CHAIN_LENGTH

    def __post_init__(self) -> None:
        _refuse_negative("max_bytes", self.max_bytes)
        _refuse_negative("min_chain_length", self.min_chain_length)

    @property
    def name(self) -> str:
        return f"size:{self.max_bytes}"

    def wants_full(self, state: ChainState) -> bool:
        long_enough = state.length >= self.min_chain_length
        return long_enough and state.delta_bytes + state.candidate_bytes > self.max_bytes


@dataclass(frozen=True, slots=True)
class SignificanceStrategy:
    """Full at an entry that changes more than `max_atoms` atoms (the full stands at that very point).

    A significant change does not wait for the chain to grow, so the minimum chain length is 0 unless given.
    """

    max_atoms: int = DEFAULT_SIGNIFICANT_ATOMS
    min_chain_length: int = 0

    def __post_init__(self) -> None:
        _refuse_negative("max_atoms", self.max_atoms)
        _refuse_negative("min_chain_length", self.min_chain_length)

    @property
    def name(self) -> str:
        return f"significance:{self.max_atoms}"

    def wants_full(self, state: ChainState) -> bool:
        return state.length >= self.min_chain_length and state.changed_atoms > self.max_atoms


@dataclass(frozen=True, slots=True)
class ManualStrategy:
    """Never by itself; a full snapshot comes only when one is forced."""

    name: str = "manual"

    def wants_full(self, state: ChainState) -> bool:
        del state
        return False


@dataclass(frozen=True, slots=True)
class AdaptiveStrategy:
    """Full when rebuilding would cost too much, or the deltas outgrow the full snapshot.

    Attributes:
        max_cost: highest cost of a rebuild, as a multiple of decoding one full snapshot.
        max_growth: highest total of delta bytes, as a multiple of the bytes of the full snapshot.
    """

    max_cost: float = 2.0
    max_growth: float = 1.0

    def __post_init__(self) -> None:
        _refuse_negative("max_growth", self.max_growth)
        if not self.max_cost > 1:
            raise ConfigError(
                f"max_cost is {self.max_cost}; a rebuild costs at least one full decode, so give more than 1"
            )

    @property
    def name(self) -> str:
        return f"adaptive:{self.max_cost:g}"

    def wants_full(self, state: ChainState) -> bool:
        grown = state.delta_bytes + state.candidate_bytes > self.max_growth * max(state.full_bytes, 1)
        return grown or state.cost > self.max_cost


@dataclass(frozen=True, slots=True)
class CompositeStrategy:
    """Full when any of its parts says so."""

    parts: tuple[FullSnapshotStrategy, ...]

    def __post_init__(self) -> None:
        if not self.parts:
            raise ConfigError(
                "a composite strategy needs at least one part, such as composite:changes:20,time:300000"
            )

    @property
    def name(self) -> str:
        return "composite:" + ",".join(part.name for part in self.parts)

    def wants_full(self, state: ChainState) -> bool:
        return any(part.wants_full(state) for part in self.parts)


def _refuse_negative(option: str, value: float) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value) or value < 0:
        raise ConfigError(f"{option} is {value!r}; give a number that is not negative")


_BY_NAME: Final[dict[str, Callable[[float | None], FullSnapshotStrategy]]] = {
    "auto": lambda limit: AdaptiveStrategy() if limit is None else AdaptiveStrategy(max_cost=limit),
    "adaptive": lambda limit: AdaptiveStrategy() if limit is None else AdaptiveStrategy(max_cost=limit),
    "changes": lambda limit: ChangesStrategy(_whole(limit, DEFAULT_MAX_DELTAS), min_chain_length=0),
    "time": lambda limit: TimeStrategy(DEFAULT_MAX_AGE_MS if limit is None else limit, min_chain_length=0),
    "size": lambda limit: SizeStrategy(_whole(limit, DEFAULT_MAX_SIZE), min_chain_length=0),
    "significance": lambda limit: SignificanceStrategy(_whole(limit, DEFAULT_SIGNIFICANT_ATOMS)),
}
_WITHOUT_LIMIT: Final = ("manual", "none")
STRATEGY_NAMES: Final = (*_BY_NAME, *_WITHOUT_LIMIT, "composite")
"""Every first word `strategy_from_name` knows."""


def _whole(limit: float | None, default: int) -> int:
    if limit is None:
        return default
    if limit != int(limit):
        raise ConfigError(
            f"a limit of {limit:g} is no whole number; changes, size and significance count whole things"
        )
    return int(limit)


def strategy_from_name(text: str) -> FullSnapshotStrategy:
    """Read a strategy as people write it.

    A limit given by name is meant as it stands, so no minimum chain length applies here.

    Args:
        text: a name from this module's docstring, such as `"auto"`, `"changes:20"` or
            `"composite:changes:20,size:65536"`.

    Raises:
        ConfigError: unknown name or a limit that is no number; the message lists what is valid.
    """
    word, colon, rest = text.strip().partition(":")
    if word == "composite":
        return CompositeStrategy(tuple(strategy_from_name(part) for part in rest.split(",") if part.strip()))
    if word in _WITHOUT_LIMIT and not colon:
        return ManualStrategy(word)
    build = _BY_NAME.get(word)
    if build is None:
        raise ConfigError(
            f"{text!r} is no strategy; write one of {', '.join(STRATEGY_NAMES)}, with a limit as in changes:20"
        )
    return build(_limit(text, rest) if colon else None)


def _limit(text: str, digits: str) -> float:
    try:
        limit = float(digits)
    except ValueError:
        limit = math.nan
    if not math.isfinite(limit):
        raise ConfigError(f"{text!r} needs a number after the colon, as in changes:20")
    return limit


CHAIN_LENGTH: Final = 32
"""Entries of a chain under `auto`; two make a block of the file. Longer ones save little and read slower, unless the state is large."""
_LARGE: Final = 1 << 20
"""Bytes of a state that is not written again for a few small changes: decoding it takes longer than applying many of them."""
_BYTES_OF_A_LINK: Final = 1024
"""Bytes of a large state for which its chain may have one entry."""
CHAIN_BYTES: Final = 256 * 1024
"""Delta bytes after which `auto` stores a full snapshot, unless the state itself is larger."""
_STEP_BYTES: Final = 48
"""Bytes of a state that are decoded in the time that a step of a patch takes."""
_LEAST_STEPS: Final = 256
"""Steps that are taken in no time whatever the state's size."""


@dataclass(frozen=True, slots=True)
class BlockStrategy:
    """Full when a block of the file is due, and where replaying the chain would cost far more than decoding a state.

    Rebuilding then never replays more than one block, and patches of many steps, as of a table whose every number
    changes, cost no more than decoding the state does.
    """

    name: str = "auto"

    def wants_full(self, state: ChainState) -> bool:
        """See `FullSnapshotStrategy`."""
        too_large = state.delta_bytes + state.candidate_bytes > max(CHAIN_BYTES, state.full_bytes)
        is_wide = state.patch_steps > max(_LEAST_STEPS, state.full_bytes // _STEP_BYTES)
        return state.length >= longest_chain(state.full_bytes) - 1 or too_large or is_wide


def longest_chain(full_bytes: int) -> int:
    """Return how many entries a chain may have, given the bytes of its full snapshot."""
    return CHAIN_LENGTH if full_bytes < _LARGE else full_bytes // _BYTES_OF_A_LINK


@dataclass(frozen=True, slots=True)
class ChainLimits:
    """Where a strategy ends a chain; None where it does not look at that.

    Attributes:
        deltas: most deltas.
        bytes: most bytes of deltas.
        age_ms: greatest age in milliseconds.
    """

    deltas: int | None = None
    bytes: int | None = None
    age_ms: float | None = None

    def exceeded(self, state: ChainState, *, at_length: bool = False) -> str | None:
        """Return which limit a chain is over, or None.

        Args:
            state: the chain as it stands, with the candidate's bytes where one is asked about.
            at_length: count the length limit as passed when it is reached, as adding a delta does; checking counts it
                as passed only beyond.
        """
        if self.deltas is not None and (state.length > self.deltas or (at_length and state.length == self.deltas)):
            return f"the chain has {state.length} deltas; the maximum length is {self.deltas}"
        if self.age_ms is not None and state.age_ms > self.age_ms:
            return f"the chain is {state.age_ms} ms old; the maximum age is {self.age_ms} ms"
        size = state.delta_bytes + state.candidate_bytes
        if self.bytes is not None and size > self.bytes:
            return f"the deltas take {size} bytes; the maximum size is {self.bytes}"
        return None


def limits_of(strategy: FullSnapshotStrategy, full_bytes: int) -> ChainLimits:
    """Return where a strategy ends a chain that starts with a full snapshot of that many bytes."""
    match strategy:
        case BlockStrategy():
            return ChainLimits(deltas=longest_chain(full_bytes) - 1, bytes=max(CHAIN_BYTES, full_bytes))
        case ChangesStrategy(max_deltas=most):
            return ChainLimits(deltas=most)
        case SizeStrategy(max_bytes=most):
            return ChainLimits(bytes=most)
        case TimeStrategy(max_age_ms=age):
            return ChainLimits(age_ms=age)
        case AdaptiveStrategy(max_growth=growth):
            return ChainLimits(bytes=int(growth * max(full_bytes, 1)))
        case CompositeStrategy(parts=parts):
            return _tightest([limits_of(part, full_bytes) for part in parts])
    return ChainLimits()


def _tightest(limits: list[ChainLimits]) -> ChainLimits:
    return ChainLimits(
        min((one.deltas for one in limits if one.deltas is not None), default=None),
        min((one.bytes for one in limits if one.bytes is not None), default=None),
        min((one.age_ms for one in limits if one.age_ms is not None), default=None),
    )


ChainAction = Literal["keep", "create_base", "reconstruct"]


@dataclass(frozen=True, slots=True)
class ChainValidation:
    """The result of checking a chain.

    Attributes:
        is_valid: whether the chain can stay as it is.
        reason: why not.
        action: `keep` it; `create_base`: it is over a limit, fold it; `reconstruct`: a delta does not fit, what
            follows it cannot be read, and the chain must be built anew from its source.
        broken_at: index or entry of the delta that does not fit.
    """

    is_valid: bool
    reason: str | None
    action: ChainAction
    broken_at: int | None = None


class ChainCheck:
    """Checks one chain while it is walked: that it can be replayed, and then that it is within its rule or limits.

    The doctor and `DeltaChainManager.validate_chain` check by it, so both mean the same by a healthy chain.
    """

    __slots__ = ("_broken_at", "_over", "_why_broken")

    def __init__(self) -> None:
        self._broken_at: int | None = None
        self._why_broken = ""
        self._over: str | None = None

    def fail(self, at: int, reason: str) -> None:
        """Note that the delta of an index or entry does not fit; the first one counts."""
        if self._broken_at is None:
            self._broken_at, self._why_broken = at, reason

    def exceed(self, reason: str | None) -> None:
        """Note which limit or rule the chain is over, if any; the first one counts."""
        if self._over is None:
            self._over = reason

    @property
    def is_over(self) -> bool:
        """Whether the chain was found over a limit."""
        return self._over is not None

    def result(self) -> ChainValidation:
        """Return what was found; a delta that does not fit counts before any limit."""
        if self._broken_at is not None:
            return ChainValidation(False, self._why_broken, "reconstruct", self._broken_at)
        if self._over is not None:
            return ChainValidation(False, self._over, "create_base")
        return ChainValidation(True, None, "keep")
