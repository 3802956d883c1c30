"""One delta with its metadata: `DeltaRecord` of seeds 001 and 002."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from unspool.codec.checks import require_keys, require_state, require_timestamp
from unspool.codec.errors import CorruptRecord, DeltaCompressionError
from unspool.codec.payload import Integrity, verify_payload
from unspool.model.values import Value

FIELDS: Final = (
    "timestamp",
    "changes",
    "removed_keys",
    "metadata",
    "compression_ratio",
    "size_bytes",
    "checksum",
)
"""The fields of a record, in the seed's order (row F-03)."""


@dataclass(frozen=True, slots=True, init=False, repr=False)
class DeltaRecord:
    """The changes between two states, with what is known about them (row F-01).

    Attributes:
        timestamp: when the delta was made, in seconds since the Unix epoch.
        changes: key to new value.
        removed_keys: keys that went.
        metadata: free facts; those made by `DeltaCompressor` hold sizes in bytes and the compression level.
        compression_ratio: original ÷ stored size.
        size_bytes: bytes stored.
        checksum: 16 hex digits, or empty.
        integrity: what is known of the checksum; not part of the record's content.
    """

    timestamp: float
    changes: dict[str, Value]
    removed_keys: list[str]
    metadata: dict[str, Value]
    compression_ratio: float
    size_bytes: int
    checksum: str
    integrity: Integrity = field(compare=False)

    def __init__(
        self,
        timestamp: float,
        changes: dict[str, Value],
        removed_keys: list[str] | None = None,
        metadata: dict[str, Value] | None = None,
        compression_ratio: float = 1.0,
        size_bytes: int = 0,
        checksum: str = "",
        integrity: Integrity = Integrity.UNCHECKED,
    ) -> None:
        values = (timestamp, changes, removed_keys or [], metadata or {}, compression_ratio, size_bytes, checksum)
        for name, value in zip(FIELDS, values, strict=True):
            object.__setattr__(self, name, value)
        object.__setattr__(self, "integrity", integrity)

    def __repr__(self) -> str:
        """Counts and bytes (row F-02)."""
        return f"DeltaRecord({len(self.changes)} changes, {len(self.removed_keys)} removals, {self.size_bytes} bytes)"

    def to_dict(self) -> dict[str, Any]:
        """Return the seven fields by name."""
        return {name: getattr(self, name) for name in FIELDS}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> DeltaRecord:
        """Make a record from its fields, and compare its checksum with its content (rows F-04, F-20).

        Args:
            data: the fields by name; only `timestamp` and `changes` are required.

        Raises:
            CorruptRecord: a field is missing or of the wrong type, or the checksum disagrees.
        """
        if not isinstance(data, Mapping):
            raise CorruptRecord(f"a delta record is an object of fields, not a {type(data).__name__}")
        missing = [name for name in ("timestamp", "changes") if name not in data]
        if missing:
            raise CorruptRecord(f"a delta record has no field {missing[0]!r}")
        try:
            timestamp = require_timestamp(data["timestamp"])
            changes = dict(require_state(data["changes"], "the field 'changes'"))
            removed = require_keys(data.get("removed_keys") or [], "the field 'removed_keys'")
            metadata = dict(require_state(data.get("metadata") or {}, "the field 'metadata'"))
        except DeltaCompressionError as error:
            raise CorruptRecord(f"a delta record is malformed: {error}") from None
        ratio, size, checksum = (
            data.get("compression_ratio", 1.0),
            data.get("size_bytes", 0),
            data.get("checksum", ""),
        )
        if type(ratio) not in (int, float) or type(size) is not int or type(checksum) is not str:
            raise CorruptRecord("a delta record is malformed: a ratio, size or checksum is of the wrong type")
        integrity = verify_payload(changes, removed, metadata, checksum)
        return cls(timestamp, changes, removed, metadata, ratio, size, checksum, integrity)


def extract_keys_from_delta(delta: DeltaRecord) -> set[str]:
    """Return every key that a delta changes or removes (row F-05).

    Raises:
        DeltaCompressionError: it is no record.
    """
    if not isinstance(delta, DeltaRecord):
        raise DeltaCompressionError(f"keys are extracted from a delta record, not from a {type(delta).__name__}")
    return {*delta.changes, *delta.removed_keys}
