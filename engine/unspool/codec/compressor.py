"""The delta compressor of seeds 001 and 002: compute, apply, record, merge, write, read."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any, Literal

from unspool.codec.checks import require_timestamp
from unspool.codec.comparison import Comparison, compare_states
from unspool.codec.delta_info import apply_delta_info, describe_delta
from unspool.codec.delta_record import DeltaRecord
from unspool.codec.detach import detach_state
from unspool.codec.errors import CodecSettingError, DeltaCompressionError
from unspool.codec.merge import merge_changes
from unspool.codec.packing import Packed, pack
from unspool.codec.payload import make_payload
from unspool.codec.recording import RecordedStep, make_record, with_strategy
from unspool.codec.serialize import parse_form, read_record, write_record
from unspool.codec.strategy import DEFAULT_LEVEL, DeltaStrategy, clamp_level, parse_strategy
from unspool.model.values import State, Value


class DeltaCompressor:
    """Tracks the difference between states and keeps it small (row F-07).

    Every failure is a `DeltaCompressionError` (row F-16).

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
            compression_level: 1-9, more is smaller and slower; brought into that range (row F-08).
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
        """Return what changed from one state to another.

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
        """Return the state that a delta makes of its base; it shares nothing with either (row F-15).

        Args:
            base_state: the state the delta was calculated from.
            delta_info: what `calculate_delta` returned, or a record.

        Raises:
            ContradictoryRecord: a key is both changed and removed.
            PatchBaseMismatch: a binary delta on another base (row F-09).
            DeltaCompressionError: the delta cannot be applied for another reason.
        """
        return apply_delta_info(base_state, delta_info)

    def create_delta_record(
        self, changes: dict[str, Value], removed_keys: list[str], timestamp: float | None = None
    ) -> DeltaRecord:
        """Return a record of a delta, with its size and the checksum of its uncompressed payload (row F-18).

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
        """Return one record with the effect of several; the last operation on a key wins (rows F-22, F-23).

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
        """Return what `calculate_delta` did so far: operations, bytes before and after, mean ratio (row F-21)."""
        ratio = self._original_bytes / max(1, self._compressed_bytes) if self._original_bytes else 0.0
        return {
            "total_operations": self._operations,
            "total_original_size": self._original_bytes,
            "total_compressed_size": self._compressed_bytes,
            "avg_compression_ratio": ratio,
        }
