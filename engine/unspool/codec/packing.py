"""A compared pair of states as bytes, by each strategy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from unspool.codec.binary_patch import make_bound_patch
from unspool.codec.choice import Choice, choose
from unspool.codec.comparison import Comparison
from unspool.codec.errors import UnsupportedRecordValue
from unspool.codec.payload import Payload, shrink
from unspool.codec.state_codec import compress_bytes, encode_full, is_compressed
from unspool.codec.strategy import DeltaStrategy


@dataclass(frozen=True, slots=True)
class Packed:
    """What one strategy makes of a step.

    Attributes:
        strategy: the strategy that was used; never AUTO.
        data: the bytes to store: a payload (DICT), a patch (BINARY), or a whole state.
        original_size: bytes before compression or patching.
        reason: why this strategy, and why not compressed, for people.
    """

    strategy: DeltaStrategy
    data: bytes
    original_size: int
    reason: str

    @property
    def stored_size(self) -> int:
        """Bytes to store."""
        return len(self.data)

    @property
    def ratio(self) -> float:
        """Original ÷ stored size (row F-17)."""
        return self.original_size / max(1, self.stored_size)

    @property
    def is_full(self) -> bool:
        """Whether the bytes hold the whole state."""
        return self.strategy in (DeltaStrategy.COMPRESS, DeltaStrategy.NONE)


def pack(strategy: DeltaStrategy, step: Comparison, payload: Callable[[], Payload], level: int | None) -> Packed:
    """Write a step by a strategy.

    Args:
        strategy: which; AUTO measures the others and takes the smallest.
        step: the states on both sides.
        payload: makes the key-wise delta, which only DICT and AUTO look at.
        level: compression level, 1-9; None for no compression.

    Raises:
        UnsupportedRecordValue: a value that this strategy cannot give back exactly.
        MissingBinaryCodec: BINARY without bsdiff4.
        DeltaCompressionError: the state is too large.
    """
    asked = f"{strategy} was asked for"
    match strategy:
        case DeltaStrategy.DICT:
            return _pack_keys(payload(), level, asked)
        case DeltaStrategy.NONE:
            full = encode_full(step.new)
            return Packed(strategy, full, len(full), asked)
        case DeltaStrategy.COMPRESS:
            step.require_exact()
            return _compress(encode_full(step.new), level, asked)
        case DeltaStrategy.BINARY:
            step.require_exact()
            new_full = encode_full(step.new)
            return Packed(strategy, make_bound_patch(encode_full(step.old), new_full), len(new_full), asked)
        case DeltaStrategy.AUTO:
            return _pack_smallest(step, payload(), level)


def _pack_keys(payload: Payload, level: int | None, reason: str) -> Packed:
    packed = None if level is None else shrink(payload.data, level)
    if packed is None and level is not None:
        reason += "; stored uncompressed, because compression would not make it smaller"
    return Packed(DeltaStrategy.DICT, packed or payload.data, len(payload.data), reason)


def _compress(full: bytes, level: int | None, reason: str) -> Packed:
    if level is None:
        return Packed(DeltaStrategy.COMPRESS, full, len(full), f"{reason}; stored uncompressed: compression is off")
    data = compress_bytes(full, level)
    if not is_compressed(data):
        reason += "; stored uncompressed, because compression would not make it smaller"
    return Packed(DeltaStrategy.COMPRESS, data, len(full), reason)


def _pack_smallest(step: Comparison, payload: Payload, level: int | None) -> Packed:
    by_keys = _pack_keys(payload, level, "")
    choice = choose(step.old, step.new, dict_size=by_keys.stored_size, level=level)
    if choice.payload is None:
        return replace(by_keys, reason=choice.reason)
    try:
        step.require_exact()
    except UnsupportedRecordValue as error:
        return replace(by_keys, reason=f"dict, although {choice.reason}: {error}")
    return _from_choice(choice, step, choice.payload)


def _from_choice(choice: Choice, step: Comparison, data: bytes) -> Packed:
    return Packed(choice.strategy, data, len(encode_full(step.new)), choice.reason)
