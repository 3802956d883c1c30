"""Making records: sizes, checksum and metadata of a delta (row F-18)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Final

from unspool.codec.checks import require_agreement, require_keys, require_state, require_timestamp
from unspool.codec.delta_record import DeltaRecord
from unspool.codec.detach import detach_state
from unspool.codec.packing import Packed
from unspool.codec.payload import (
    CHECKSUM_OF,
    LEVEL,
    PAYLOAD_FORM,
    STORED_RAW,
    Integrity,
    PayloadForm,
    make_payload,
    shrink,
)
from unspool.codec.strategy import DeltaStrategy
from unspool.model.values import Value

_COVERED: Final = "uncompressed payload"


@dataclass(frozen=True, slots=True)
class RecordedStep:
    """One step from a state to the next.

    Attributes:
        record: what changed.
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
