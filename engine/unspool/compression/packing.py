"""Two states compared key by key, the step between them as bytes by each strategy, and the record of it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from unspool.codec.state_codec import (
    DEFAULT_LEVEL,
    DeltaStrategy,
    UnsupportedRecordValue,
    binary_available,
    compress_bytes,
    encode_full,
    is_compressed,
    make_bound_patch,
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
    shrink,
)
from unspool.compression.states import (
    detach_state,
    encode_state,
    first_difference,
    require_agreement,
    require_keys,
    require_state,
    require_timestamp,
)
from unspool.delta.structural import encoded_equal
from unspool.model.keys import format_path
from unspool.model.values import Value
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
        is_same = known is not None and encoded_equal(known, data, strict=True)
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
