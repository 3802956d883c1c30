"""AUTO: the smallest of what the strategies really give, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from unspool.codec.binary_patch import binary_available, make_bound_patch
from unspool.codec.state_codec import WireState, compress_bytes, encode_full
from unspool.codec.strategy import DEFAULT_LEVEL, DeltaStrategy

BINARY_TRIAL_BYTES: Final = 1 << 18
"""States above this are not patched on trial: bsdiff4 takes 10-40 ms for so much, and 6 s for a repetitive MB."""
SMALL_DELTA_BYTES: Final = 256
"""A key-wise delta up to this size is taken as it is: it says what changed, and there is nothing left to win."""
FULL_TRIAL_SHARE: Final = 16
"""A whole state is tried only where the delta is more than 1/16 of it: compression rarely does better than that."""

_CHEAPEST_TO_READ: Final = (DeltaStrategy.DICT, DeltaStrategy.NONE, DeltaStrategy.COMPRESS, DeltaStrategy.BINARY)


@dataclass(frozen=True, slots=True)
class Choice:
    """What AUTO chose.

    Attributes:
        strategy: the strategy with the smallest result; never AUTO.
        payload: its bytes; None for DICT, whose bytes the caller has.
        sizes: bytes of each strategy that was tried.
        reason: one line for people: what was measured, and what was not tried and why.
    """

    strategy: DeltaStrategy
    payload: bytes | None
    sizes: Mapping[DeltaStrategy, int]
    reason: str


def choose(
    old_state: WireState | None, new_state: WireState, *, dict_size: int | None, level: int | None = DEFAULT_LEVEL
) -> Choice:
    """Choose how to write `new_state` by what each way costs (row F-12).

    Args:
        old_state: the state before; None where there is none, so that only whole states are tried.
        new_state: the state to write.
        dict_size: bytes of the key-wise delta the caller would write; None where there is none.
        level: compression level of COMPRESS, 1-9; None where compression is off, so that it is not tried.

    Returns:
        The smallest result; of equal ones, the one that is cheapest to read.
    """
    if dict_size is not None and dict_size <= SMALL_DELTA_BYTES:
        reason = f"dict is {dict_size} bytes; nothing else is tried up to {SMALL_DELTA_BYTES}"
        return Choice(DeltaStrategy.DICT, None, {DeltaStrategy.DICT: dict_size}, reason)
    new_full = encode_full(new_state)
    sizes: dict[DeltaStrategy, int] = {}
    payloads: dict[DeltaStrategy, bytes] = {}
    skipped: list[str] = []
    if dict_size is not None:
        sizes[DeltaStrategy.DICT] = dict_size
    if dict_size is None or dict_size * FULL_TRIAL_SHARE > len(new_full):
        payloads[DeltaStrategy.NONE] = new_full
        if level is not None:
            payloads[DeltaStrategy.COMPRESS] = compress_bytes(new_full, level)
    else:
        skipped.append(f"whole state not tried: the delta is under 1/{FULL_TRIAL_SHARE} of its {len(new_full)} bytes")
    if old_state is not None:
        old_full = encode_full(old_state)
        obstacle = _binary_obstacle(max(len(old_full), len(new_full)))
        if obstacle:
            skipped.append(f"binary not tried: {obstacle}")
        else:
            payloads[DeltaStrategy.BINARY] = make_bound_patch(old_full, new_full)
    sizes.update((strategy, len(payload)) for strategy, payload in payloads.items())
    chosen = min(sizes, key=lambda strategy: (sizes[strategy], _CHEAPEST_TO_READ.index(strategy)))
    return Choice(chosen, payloads.get(chosen), sizes, _reason(chosen, sizes, skipped))


def _binary_obstacle(state_size: int) -> str:
    if state_size > BINARY_TRIAL_BYTES:
        return f"the state is over {BINARY_TRIAL_BYTES} bytes"
    if not binary_available():
        return "bsdiff4 is not installed (extra `binary`)"
    return ""


def _reason(chosen: DeltaStrategy, sizes: Mapping[DeltaStrategy, int], skipped: list[str]) -> str:
    measured = ", ".join(f"{strategy} {size}" for strategy, size in sorted(sizes.items(), key=lambda item: item[1]))
    return "; ".join([f"{chosen} is smallest (bytes: {measured})", *skipped])
