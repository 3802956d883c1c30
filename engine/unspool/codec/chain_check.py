"""Whether a chain is in order: where its rule or limits end it, and the check that the doctor and the chain manager share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from unspool.codec.strategies import (
    CHAIN_BYTES,
    AdaptiveStrategy,
    BlockStrategy,
    ChainState,
    ChangesStrategy,
    CompositeStrategy,
    FullSnapshotStrategy,
    SizeStrategy,
    TimeStrategy,
    longest_chain,
)


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
