"""What `calculate_delta` returns, and what `apply_delta` makes of it (rows F-13 to F-15)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from unspool.codec.checks import decode_state, encode_state, require_agreement, require_keys, require_state
from unspool.codec.comparison import Comparison
from unspool.codec.delta_record import DeltaRecord
from unspool.codec.detach import detach, detach_state
from unspool.codec.errors import CorruptRecord, DeltaCompressionError
from unspool.codec.packing import Packed
from unspool.codec.state_codec import apply_binary_delta, decode_full, encode_full
from unspool.codec.strategy import DeltaStrategy
from unspool.model.values import State, Value

_MEANINGFUL: Final = ("changes", "removed_keys", "is_binary_delta", "is_full_snapshot")
_PACKED_KEYS: Final = {DeltaStrategy.BINARY: "binary_patch", DeltaStrategy.COMPRESS: "compressed_state"}


def describe_delta(
    step: Comparison, changes: State, packed: Packed, *, include_unchanged: bool, seconds: float
) -> dict[str, Any]:
    """Return a delta as a dict with the seed's keys.

    `changes` and `removed_keys` tell what changed whatever the strategy; only where the strategy stores the whole
    state (`is_full_snapshot`) `changes` is the whole new state. What BINARY and COMPRESS store is beside them, as
    `binary_patch` and `compressed_state`; `state_size` and `reason` are ours.

    Args:
        step: the states on both sides.
        changes: the changed values, detached from the caller's.
        packed: what is stored.
        include_unchanged: whether to give the unchanged values too.
        seconds: how long the calculation took.
    """
    new_state = step.new_state
    unchanged = {name: detach(new_state[name]) for name in step.unchanged} if include_unchanged else {}
    info: dict[str, Any] = {
        "changes": detach_state(new_state) if packed.is_full else changes,
        "removed_keys": list(step.removed),
        "unchanged_keys": list(unchanged),
        "unchanged": unchanged,
        "is_full_snapshot": packed.is_full,
        "strategy": packed.strategy,
        "original_size": packed.original_size,
        "compressed_size": packed.stored_size,
        "compression_ratio": packed.ratio,
        "computation_time": seconds,
        "state_size": len(encode_full(step.new)),
        "reason": packed.reason,
    }
    if packed.strategy is DeltaStrategy.BINARY:
        info["is_binary_delta"] = True
    if packed.strategy in _PACKED_KEYS:
        info[_PACKED_KEYS[packed.strategy]] = packed.data
    return info


def apply_delta_info(base_state: Any, delta_info: Any) -> State:
    """Return the state that a delta makes of its base; the result shares nothing with either.

    Args:
        base_state: the state the delta was calculated from; not looked at for full snapshots.
        delta_info: what `calculate_delta` returned, a dict with `changes` and `removed_keys`, or a `DeltaRecord`.

    Raises:
        ContradictoryRecord: a key is both changed and removed.
        PatchBaseMismatch: a binary delta on another base.
        DeltaCompressionError: anything else that keeps the delta from being applied.
    """
    base = require_state(base_state, "the base state")
    info = delta_info.to_dict() if isinstance(delta_info, DeltaRecord) else delta_info
    if not isinstance(info, Mapping):
        raise DeltaCompressionError(f"a delta is what calculate_delta returns, not a {type(info).__name__}")
    if info and not any(key in info for key in _MEANINGFUL):
        raise DeltaCompressionError("the delta says nothing: it has neither 'changes' nor 'removed_keys'")
    changes = require_state(info.get("changes") or {}, "the delta's 'changes'")
    removed = require_keys(info.get("removed_keys") or (), "the delta's 'removed_keys'")
    require_agreement(changes, removed)
    if info.get("is_binary_delta"):
        patch = _packed_bytes(info, "binary_patch")
        return decode_state(apply_binary_delta(encode_state(base, "the base state"), patch))
    if info.get("is_full_snapshot"):
        if "compressed_state" in info:
            return decode_state(decode_full(_packed_bytes(info, "compressed_state")))
        return detach_state(changes)
    return _apply_keys(base, changes, removed)


def _packed_bytes(info: Mapping[str, Any], key: str) -> bytes:
    data = info.get(key)
    if not isinstance(data, bytes):
        raise CorruptRecord(f"the delta holds no bytes under {key!r}")
    return data


def _apply_keys(base: Mapping[str, Value], changes: Mapping[str, Value], removed: list[str]) -> State:
    gone = set(removed)
    merged = {name: value for name, value in base.items() if name not in gone}
    merged.update(changes)
    return detach_state(merged)
