"""The bytes a history manager keeps for an entry, squeezed by level."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import zstandard

from unspool.delta.incremental import without_ops, without_values
from unspool.delta.packing import pack, unpack_delta, unpack_full
from unspool.errors import CorruptHistory
from unspool.history.config import CompressionLevel
from unspool.model.snapshots import AnySnapshot, DeltaSnapshot, Snapshot

_ZSTD_LEVELS: Final = {"light": 3, "aggressive": 19}
_SMALLEST: Final = 128
"""Bytes below which compressing gains nothing."""


@dataclass(frozen=True, slots=True)
class Record:
    """One entry as it is kept.

    Attributes:
        is_full: whether it holds a full snapshot.
        data: its bytes.
        is_squeezed: whether these are compressed.
        packed_bytes: their number before compressing.
    """

    is_full: bool
    data: bytes
    is_squeezed: bool
    packed_bytes: int


class RecordWriter:
    """Turns snapshots into records and back at one compression level; not for use by two threads at once."""

    def __init__(self, level: CompressionLevel) -> None:
        """Choose the level."""
        self.level = level
        zstd_level = _ZSTD_LEVELS.get(level)
        self._compressor = None if zstd_level is None else zstandard.ZstdCompressor(level=zstd_level)
        self._decompressor = zstandard.ZstdDecompressor()

    def packed(self, snapshot: AnySnapshot) -> bytes:
        """Return the bytes of a snapshot before compressing, in the form this level stores."""
        if isinstance(snapshot, DeltaSnapshot):
            return pack(without_ops(snapshot) if self.level == "none" else without_values(snapshot))
        return pack(snapshot)

    def record(self, packed: bytes, *, is_full: bool) -> Record:
        """Return packed bytes as a record, compressed where that makes it smaller."""
        if self._compressor is not None and len(packed) >= _SMALLEST:
            squeezed = self._compressor.compress(packed)
            if len(squeezed) < len(packed):
                return Record(is_full, squeezed, True, len(packed))
        return Record(is_full, packed, False, len(packed))

    def full(self, record: Record) -> Snapshot:
        """Return the full snapshot of a record.

        Raises:
            CorruptHistory: the bytes are none.
        """
        return unpack_full(self.bytes_of(record))

    def delta(self, record: Record) -> DeltaSnapshot:
        """Return the delta of a record.

        Raises:
            CorruptHistory: the bytes are none.
        """
        return unpack_delta(self.bytes_of(record))

    def bytes_of(self, record: Record) -> bytes:
        """Return the packed bytes of a record.

        Raises:
            CorruptHistory: they do not decompress.
        """
        if not record.is_squeezed:
            return record.data
        try:
            return self._decompressor.decompress(record.data)
        except zstandard.ZstdError as error:
            raise CorruptHistory(f"a kept snapshot does not decompress ({error})") from None
