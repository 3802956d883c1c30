"""The delta compressor of seeds 001 and 002: compute, apply, record, merge, write, read.

Two states are compared key by key; each strategy writes the step between them as bytes of its own.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from unspool.codec.state_codec import (
    DEFAULT_LEVEL,
    CodecSettingError,
    CorruptRecord,
    DeltaStrategy,
    UnsupportedRecordValue,
    apply_binary_delta,
    binary_available,
    clamp_level,
    compress_bytes,
    decode_full,
    encode_full,
    is_compressed,
    make_bound_patch,
    parse_strategy,
)
from unspool.compression.records import (
    CHECKSUM_OF,
    LEVEL,
    PAYLOAD_FORM,
    STORED_RAW,
    DeltaRecord,
    Integrity,
    Payload,
    PayloadForm,
    make_payload,
    merge_changes,
    parse_form,
    read_record,
    shrink,
    write_record,
)
from unspool.compression.states import (
    decode_state,
    detach,
    detach_state,
    encode_state,
    first_difference,
    require_agreement,
    require_keys,
    require_state,
    require_timestamp,
)
from unspool.delta.structural import encoded_equal
from unspool.errors import DeltaCompressionError
from unspool.model.keys import format_path
from unspool.model.values import State, Value
from unspool.model.wire import decode


@dataclass(frozen=True, slots=True)
class Comparison:
    """What two states have in common and what not.

    Attributes:
        old: the state before, in wire form.
        new: the state after, in wire form.
        new_state: the state after, as the caller gave it.
        changed: keys added or modified, in the order of the state after.
        removed: keys that went, in the order of the state before.
        unchanged: keys that are the same, in the order of the state after.
    """

    old: Mapping[str, bytes]
    new: Mapping[str, bytes]
    new_state: Mapping[str, Value]
    changed: tuple[str, ...]
    removed: tuple[str, ...]
    unchanged: tuple[str, ...]

    def require_exact(self) -> None:
        """See that the wire form of the state after keeps every type.

        Raises:
            UnsupportedRecordValue: it keeps one by name only, such as an enum or a dataclass.
        """
        for name, data in self.new.items():
            difference = first_difference(self.new_state[name], decode(data))
            if difference is not None:
                raise UnsupportedRecordValue(
                    f"the value at {format_path((name, *difference))} is of a type that bytes keep by name only; "
                    "convert it to plain data, or use the strategy 'dict'"
                )


def compare_states(old_state: Any, new_state: Any) -> Comparison:
    """Compare two states.

    Raises:
        DeltaCompressionError: one of them is no state.
        UnsupportedRecordValue: one holds a value that cannot be kept.
    """
    before = require_state(old_state, "the old state")
    after = require_state(new_state, "the new state")
    return compare_encoded(encode_state(before, "the old state"), encode_state(after, "the new state"), after)


def compare_encoded(old: Mapping[str, bytes], new: Mapping[str, bytes], new_state: Mapping[str, Value]) -> Comparison:
    """Compare two states whose wire forms are at hand."""
    changed: list[str] = []
    unchanged: list[str] = []
    for name, data in new.items():
        known = old.get(name)
        is_same = known == data or (known is not None and encoded_equal(known, data, strict=True))
        (unchanged if is_same else changed).append(name)
    removed = tuple(name for name in old if name not in new)
    return Comparison(old, new, new_state, tuple(changed), removed, tuple(unchanged))


BINARY_TRIAL_BYTES: Final = 1 << 18
"""States above this are not patched on trial: bsdiff4 takes 10-40 ms for so much, and 6 s for a repetitive MB."""
SMALL_DELTA_BYTES: Final = 256
"""A key-wise delta up to this size is taken as it is: it names the changes, and there is nothing left to win."""
FULL_TRIAL_SHARE: Final = 16
"""A whole state is tried only where the delta is more than 1/16 of it: compression rarely does better than that."""

_CHEAPEST_TO_READ: Final = (DeltaStrategy.DICT, DeltaStrategy.NONE, DeltaStrategy.COMPRESS, DeltaStrategy.BINARY)


@dataclass(frozen=True, slots=True)
class AutoChoice:
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
    old_state: Mapping[str, bytes] | None,
    new_state: Mapping[str, bytes],
    *,
    dict_size: int | None,
    level: int | None = DEFAULT_LEVEL,
) -> AutoChoice:
    """Choose how to write `new_state` by what each way costs.

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
        return AutoChoice(DeltaStrategy.DICT, None, {DeltaStrategy.DICT: dict_size}, reason)
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
    return AutoChoice(chosen, payloads.get(chosen), sizes, _reason(chosen, sizes, skipped))


def _binary_obstacle(state_size: int) -> str:
    if state_size > BINARY_TRIAL_BYTES:
        return f"the state is over {BINARY_TRIAL_BYTES} bytes"
    if not binary_available():
        return "bsdiff4 is not installed (extra `binary`)"
    return ""


def _reason(chosen: DeltaStrategy, sizes: Mapping[DeltaStrategy, int], skipped: list[str]) -> str:
    measured = ", ".join(f"{strategy} {size}" for strategy, size in sorted(sizes.items(), key=lambda item: item[1]))
    return "; ".join([f"{chosen} is smallest (bytes: {measured})", *skipped])


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
        """Original ÷ stored size."""
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


def _from_choice(choice: AutoChoice, step: Comparison, data: bytes) -> Packed:
    return Packed(choice.strategy, data, len(encode_full(step.new)), choice.reason)


_COVERED: Final = "uncompressed payload"


@dataclass(frozen=True, slots=True)
class RecordedStep:
    """One step from a state to the next.

    Attributes:
        record: the changes.
        packed: what the strategy stores; None where nothing changed.
    """

    record: DeltaRecord
    packed: Packed | None


def make_record(
    changes: Mapping[str, Value], removed_keys: Collection[str], timestamp: float, level: int | None
) -> DeltaRecord:
    """Return a record of a delta.

    Args:
        changes: key to new value; copied.
        removed_keys: keys that went.
        timestamp: seconds since the Unix epoch.
        level: gzip level, 1-9; None for no compression.

    Raises:
        DeltaCompressionError: contradictory or malformed changes, or a value that cannot be kept.
    """
    values = require_state(changes, "the changes")
    removed = require_keys(removed_keys, "the removed keys")
    require_agreement(values, removed)
    moment = require_timestamp(timestamp)
    if not values and not removed:
        return DeltaRecord(moment, {}, [], {"empty_delta": True}, integrity=Integrity.ABSENT)
    payload = make_payload(values, removed)
    packed = None if level is None else shrink(payload.data, level)
    size = len(packed or payload.data)
    metadata: dict[str, Value] = {"original_size": len(payload.data), "compressed_size": size, LEVEL: 0}
    if packed is not None:
        metadata |= {LEVEL: level, CHECKSUM_OF: _COVERED}
    elif level is not None:
        metadata[STORED_RAW] = "compression would not make it smaller"
    if payload.form is not PayloadForm.JSON:
        metadata[PAYLOAD_FORM] = str(payload.form)
    ratio = len(payload.data) / size
    return DeltaRecord(
        moment, detach_state(values), removed, metadata, ratio, size, payload.checksum, Integrity.VERIFIED
    )


def with_strategy(record: DeltaRecord, packed: Packed) -> DeltaRecord:
    """Return a record that names the strategy its step was stored by, why, and in how many bytes."""
    metadata = record.metadata | {"strategy": str(packed.strategy), "reason": packed.reason}
    if packed.strategy is DeltaStrategy.DICT:
        return replace(record, metadata=metadata)
    sizes = {"original_size": packed.original_size, "compressed_size": packed.stored_size, CHECKSUM_OF: _COVERED}
    metadata = {key: value for key, value in metadata.items() if key != STORED_RAW} | sizes
    return replace(record, metadata=metadata, compression_ratio=packed.ratio, size_bytes=packed.stored_size)


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
