"""The payload of a record: the bytes its checksum covers, and how few of them have to be stored.

The original hashed the gzip bytes, whose header holds the second of writing, so its checksums could never be made
again (row F-18). Here the checksum covers the uncompressed payload; records say so in their metadata.
"""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from unspool.codec.errors import CorruptRecord, UnsupportedRecordValue
from unspool.codec.json_form import dump_sorted, json_obstacle
from unspool.errors import UnsupportedValue
from unspool.model.values import Value
from unspool.model.wire import encode

CHECKSUM_DIGITS: Final = 16

LEVEL: Final = "compression_level"
CHECKSUM_OF: Final = "checksum_of"
PAYLOAD_FORM: Final = "payload"
STORED_RAW: Final = "stored_raw"
"""Keys of a record's metadata."""


class PayloadForm(StrEnum):
    """What the bytes of a payload are."""

    JSON = "json"
    """Sorted JSON, as the original; used wherever JSON keeps the values exactly."""
    WIRE = "wire"
    """The strict wire form."""


class Integrity(StrEnum):
    """What is known of a record's checksum."""

    UNCHECKED = "unchecked"
    """Nothing has looked at it yet."""
    VERIFIED = "verified"
    """It agrees with the content."""
    UNVERIFIABLE = "unverifiable"
    """It covers bytes that no longer exist: the original compressed first and hashed then."""
    ABSENT = "absent"
    """There is none: an empty delta, or a record made without."""


@dataclass(frozen=True, slots=True)
class Payload:
    """The content of a delta as bytes.

    Attributes:
        form: JSON or wire.
        data: the uncompressed bytes.
    """

    form: PayloadForm
    data: bytes

    @property
    def checksum(self) -> str:
        """First 16 hex digits of SHA-256 over the uncompressed bytes."""
        return hashlib.sha256(self.data).hexdigest()[:CHECKSUM_DIGITS]


def make_payload(changes: Mapping[str, Value], removed: Collection[str]) -> Payload:
    """Return the payload of a delta.

    Raises:
        UnsupportedRecordValue: a value that has no bytes at all.
    """
    content = {"changes": dict(changes), "removed": list(removed)}
    if json_obstacle(content) is None:
        return Payload(PayloadForm.JSON, dump_sorted(content))
    try:
        return Payload(PayloadForm.WIRE, encode(content))
    except UnsupportedValue as error:
        raise UnsupportedRecordValue(f"the delta cannot be written: {error}") from None


def shrink(data: bytes, level: int) -> bytes | None:
    """Return gzip bytes, the same every time; None where they would not be fewer (row F-17)."""
    packed = gzip.compress(data, compresslevel=level, mtime=0)
    return packed if len(packed) < len(data) else None


def verify_payload(
    changes: Mapping[str, Value], removed: Collection[str], metadata: Mapping[str, Value], checksum: str
) -> Integrity:
    """Compare a checksum with the content it covers (row F-20).

    Raises:
        CorruptRecord: they disagree.
    """
    if not checksum:
        return Integrity.ABSENT
    covers_payload = CHECKSUM_OF in metadata or metadata.get(LEVEL) == 0
    if not covers_payload:
        return Integrity.UNVERIFIABLE
    form = PayloadForm.WIRE if metadata.get(PAYLOAD_FORM) == PayloadForm.WIRE else PayloadForm.JSON
    content = {"changes": dict(changes), "removed": list(removed)}
    try:
        data = encode(content) if form is PayloadForm.WIRE else dump_sorted(content)
    except (UnsupportedValue, TypeError, ValueError, RecursionError) as error:
        raise CorruptRecord(f"the content of a delta record is not what its checksum covers ({error})") from None
    found = Payload(form, data).checksum
    if found != checksum:
        raise CorruptRecord(
            f"a delta record is damaged: its checksum is {checksum}, its content gives {found}; "
            "take it from a copy, or make it anew"
        )
    return Integrity.VERIFIED
