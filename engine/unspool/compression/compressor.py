"""The delta compressor of seeds 001 and 002: compute, apply, record, merge, write, read."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Literal

from unspool.codec.state_codec import (
    DEFAULT_LEVEL,
    CodecSettingError,
    CorruptRecord,
    DeltaStrategy,
    apply_binary_delta,
    clamp_level,
    decode_full,
    encode_full,
    parse_strategy,
)
from unspool.compression.packing import (
    Comparison,
    Packed,
    RecordedStep,
    compare_states,
    make_record,
    pack,
    with_strategy,
)
from unspool.compression.records import (
    DeltaRecord,
    make_payload,
    merge_changes,
    parse_form,
    read_record,
    write_record,
)
from unspool.compression.states import (
    decode_state,
    detach,
    detach_state,
    encode_state,
    require_agreement,
    require_keys,
    require_state,
    require_timestamp,
)
from unspool.errors import DeltaCompressionError
from unspool.model.values import State, Value

_MEANINGFUL: Final = ("changes", "removed_keys", "is_binary_delta", "is_full_snapshot")
_PACKED_KEYS: Final = {DeltaStrategy.BINARY: "binary_patch", DeltaStrategy.COMPRESS: "compressed_state"}


def describe_delta(
    step: Comparison, changes: State, packed: Packed, *, include_unchanged: bool, seconds: float
) -> dict[str, Any]:
    """Return a delta as a dict with the seed's keys.

    `changes` and `removed_keys` give the changes whatever the strategy; only where the strategy stores the whole
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


class DeltaCompressor:
    """Tracks the difference between states and keeps it small.

    Every failure is a `DeltaCompressionError`.

    Attributes:
        enable_compression: whether records and whole states are compressed.
        compression_level: 1-9.
    """

    def __init__(
        self,
        strategy: DeltaStrategy | str = DeltaStrategy.AUTO,
        enable_compression: bool = True,
        compression_level: int = DEFAULT_LEVEL,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Set up a compressor.

        Args:
            strategy: a strategy or its name.
            enable_compression: whether to compress what gets smaller by it.
            compression_level: 1-9, more is smaller and slower; brought into that range.
            clock: gives the time of records made without one, in seconds since the Unix epoch.

        Raises:
            DeltaCompressionError: an unknown strategy, or a level that is no whole number.
        """
        self._strategy = parse_strategy(strategy)
        self.enable_compression = enable_compression
        self.compression_level = clamp_level(compression_level)
        self._clock = clock
        self._operations = 0
        self._original_bytes = 0
        self._compressed_bytes = 0

    @property
    def strategy(self) -> DeltaStrategy:
        """How `calculate_delta` writes a step."""
        return self._strategy

    @property
    def _level(self) -> int | None:
        return self.compression_level if self.enable_compression else None

    def calculate_delta(
        self, old_state: dict[str, Value], new_state: dict[str, Value], include_unchanged: bool = False
    ) -> dict[str, Any]:
        """Return the changes from one state to another.

        Args:
            old_state: the state before.
            new_state: the state after.
            include_unchanged: whether to fill `unchanged` and `unchanged_keys`.

        Returns:
            `changes`, `removed_keys`, `unchanged_keys`, `unchanged`, `is_full_snapshot`, `strategy` (the one used,
            never AUTO), `original_size`, `compressed_size`, `compression_ratio`, `computation_time` (seconds),
            `state_size`, `reason`; with BINARY also `is_binary_delta` and `binary_patch`, with COMPRESS
            `compressed_state`. Nothing in it is shared with either state.

        Raises:
            DeltaCompressionError: a state that is none, or a value that cannot be kept.
            MissingBinaryCodec: BINARY without bsdiff4.
        """
        started = time.perf_counter()
        step = compare_states(old_state, new_state)
        changes = detach_state({name: new_state[name] for name in step.changed})
        packed = self._pack(step, changes)
        return describe_delta(
            step, changes, packed, include_unchanged=include_unchanged, seconds=time.perf_counter() - started
        )

    def record_step(self, step: Comparison, timestamp: float | None = None) -> RecordedStep:
        """Return a compared step both as a record and as what the strategy stores: what `DeltaChain` keeps.

        The record always holds the changed values and removed keys; where another strategy than DICT was used, its
        sizes are those of what is stored, and its metadata names the strategy and the reason.

        Raises:
            DeltaCompressionError: as `calculate_delta` and `create_delta_record`.
        """
        record = self.create_delta_record(
            {name: step.new_state[name] for name in step.changed}, list(step.removed), timestamp
        )
        if not step.changed and not step.removed:
            return RecordedStep(record, None)
        packed = self._pack(step, record.changes)
        # Records of DICT keep exactly the metadata of the seed.
        is_plain = self.strategy is DeltaStrategy.DICT
        return RecordedStep(record if is_plain else with_strategy(record, packed), packed)

    def _pack(self, step: Comparison, changes: State) -> Packed:
        packed = pack(self.strategy, step, lambda: make_payload(changes, step.removed), self._level)
        self._operations += 1
        self._original_bytes += packed.original_size
        self._compressed_bytes += packed.stored_size
        return packed

    def apply_delta(self, base_state: dict[str, Value], delta_info: dict[str, Any] | DeltaRecord) -> State:
        """Return the state that a delta makes of its base; it shares nothing with either.

        Args:
            base_state: the state the delta was calculated from.
            delta_info: what `calculate_delta` returned, or a record.

        Raises:
            ContradictoryRecord: a key is both changed and removed.
            PatchBaseMismatch: a binary delta on another base.
            DeltaCompressionError: the delta cannot be applied for another reason.
        """
        return apply_delta_info(base_state, delta_info)

    def create_delta_record(
        self, changes: dict[str, Value], removed_keys: list[str], timestamp: float | None = None
    ) -> DeltaRecord:
        """Return a record of a delta, with its size and the checksum of its uncompressed payload.

        Args:
            changes: key to new value; copied.
            removed_keys: keys that went.
            timestamp: seconds since the Unix epoch; the current time unless given.

        Raises:
            DeltaCompressionError: contradictory or malformed changes, or a value that cannot be kept.
        """
        moment = self._clock() if timestamp is None else timestamp
        return make_record(changes, removed_keys, moment, self._level)

    def merge_deltas(
        self, deltas: Iterable[DeltaRecord], *, order: Literal["time", "chain"] = "time"
    ) -> DeltaRecord | None:
        """Return one record with the effect of several; the last operation on a key wins.

        Args:
            deltas: the records.
            order: `time` takes them by timestamp, equal ones as given; `chain` takes them as given.

        Returns:
            A record with the latest timestamp; None for no deltas.

        Raises:
            DeltaCompressionError: something that is no record, or a record that contradicts itself.
        """
        if order not in ("time", "chain"):
            raise CodecSettingError(f"there is no order {order!r} of a merge; use 'time' or 'chain'")
        if not isinstance(deltas, Iterable):
            raise DeltaCompressionError(f"only delta records can be merged, not a {type(deltas).__name__}")
        records = list(deltas)
        strangers = [type(delta).__name__ for delta in records if not isinstance(delta, DeltaRecord)]
        if strangers:
            raise DeltaCompressionError(f"only delta records can be merged, not a {strangers[0]}")
        if not records:
            return None
        latest = max(require_timestamp(delta.timestamp) for delta in records)
        if order == "time":
            records.sort(key=lambda delta: delta.timestamp)
        changes, removed = merge_changes(records)
        return self.create_delta_record(changes, removed, latest)

    def serialize_delta(self, delta: DeltaRecord, form: str = "auto") -> bytes:
        """Return a record as bytes, compressed where that is on and makes them fewer.

        Args:
            delta: the record.
            form: `framework0` (the original's JSON; refuses what JSON would change), `unspool` (exact for every
                value), or `auto` (the first where it is exact, else the second).

        Raises:
            UnsupportedRecordValue: the form cannot keep a value exactly.
            CorruptRecord: the record was changed after its checksum was made.
        """
        if not isinstance(delta, DeltaRecord):
            raise DeltaCompressionError(f"only a delta record can be written, not a {type(delta).__name__}")
        return write_record(delta, parse_form(form), self._level)

    def deserialize_delta(self, data: bytes) -> DeltaRecord:
        """Read a record in any form, the original's included; its checksum is compared with its content.

        Returns:
            The record; `integrity` says `unverifiable` for a compressed record of the original.

        Raises:
            DeltaCompressionError: no record, damaged, cut short, or too large.
        """
        return read_record(data)

    def get_compression_stats(self) -> dict[str, Any]:
        """Return what `calculate_delta` did so far: operations, bytes before and after, mean ratio."""
        ratio = self._original_bytes / max(1, self._compressed_bytes) if self._original_bytes else 0.0
        return {
            "total_operations": self._operations,
            "total_original_size": self._original_bytes,
            "total_compressed_size": self._compressed_bytes,
            "avg_compression_ratio": ratio,
        }
