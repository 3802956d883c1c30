"""Whether a chain is healthy and within its limits, and what to do when it is not (row N-22)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from unspool.chain.config import ChainManagerConfig
from unspool.chain.delta_chain import DeltaChain
from unspool.chain.walk import ChainWalk
from unspool.errors import UnspoolError
from unspool.model.snapshot_metadata import Milliseconds

ChainAction = Literal["keep", "create_base", "reconstruct"]


@dataclass(frozen=True, slots=True)
class ChainValidation:
    """What was found.

    Attributes:
        is_valid: whether the chain can stay as it is.
        reason: why not.
        action: `keep` it; `create_base`: it is over a limit, fold it; `reconstruct`: a delta does not fit, what
            follows it cannot be read, and the chain must be built anew from its source.
        broken_at: index of the delta that does not fit.
    """

    is_valid: bool
    reason: str | None
    action: ChainAction
    broken_at: int | None = None


def validate(chain: DeltaChain, config: ChainManagerConfig, now: Milliseconds) -> ChainValidation:
    """Check that a chain can be replayed, then its length, age and size, each against its limit with `>`."""
    walk = ChainWalk(chain.base)
    for index, delta in enumerate(chain.deltas):
        try:
            walk.step(delta)
        except UnspoolError as error:
            return ChainValidation(False, f"delta {index} ({delta.id!r}): {error}", "reconstruct", index)
    reason = None if chain.sealed else over_limit(chain, config, now)
    return ChainValidation(True, None, "keep") if reason is None else ChainValidation(False, reason, "create_base")


def over_limit(
    chain: DeltaChain, config: ChainManagerConfig, now: Milliseconds, *, at_length: bool = False
) -> str | None:
    """Say which limit a chain is over, or None.

    Args:
        chain: the chain.
        config: the limits.
        now: the time, in milliseconds.
        at_length: count the length limit as passed when it is reached, as adding does; validating counts it as
            passed only beyond (both rules are the seed's).
    """
    length, age, size = config.max_delta_chain_length, config.max_delta_chain_age, config.max_delta_chain_size
    if length is not None and (chain.length > length or (at_length and chain.length == length)):
        return f"the chain has {chain.length} deltas; the maximum length is {length}"
    if age is not None and chain.age(now) > age:
        return f"the chain is {chain.age(now)} ms old; the maximum age is {age} ms"
    if size is not None and chain.delta_bytes > size:
        return f"the deltas take {chain.delta_bytes} bytes; the maximum size is {size}"
    return None
