"""One delta with its metadata (`DeltaRecord` of seeds 001 and 002), its checksum, and its bytes in two forms.

`framework0` is the original's: sorted JSON of the seven fields, in one gzip member where that is smaller. `unspool`
keeps what JSON cannot: magic, how the body is packed, digest of the body, then the fields in wire form. The first
bytes distinguish them.

The original hashed the gzip bytes, whose header holds the second of writing, so its checksums could never be made
again. Here the checksum covers the uncompressed payload; records say so in their metadata.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import math
import struct
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, NoReturn

import zstandard

from unspool.codec.state_codec import (
    GZIP_MAGIC,
    MAX_DECODED_BYTES,
    CodecSettingError,
    CorruptRecord,
    UnsupportedRecordValue,
    check_size,
    expand_gzip,
    expand_zstd,
)
from unspool.compression.states import (
    first_difference,
    require_agreement,
    require_keys,
    require_state,
    require_timestamp,
)
from unspool.errors import CorruptHistory, DeltaCompressionError, UnsupportedValue
from unspool.model.encoding import encode
from unspool.model.keys import Step, format_path
from unspool.model.values import State, Value
from unspool.model.wire import decode

MAX_JSON_DEPTH: Final = 200
"""Deeper values are not written as JSON: Python's own reader would run out of stack on them."""
_MAX_INT_BITS: Final = 14_000
"""About 4,200 digits: Python reads no longer integers from text."""

_Trail = tuple["_Trail", Step] | None


def json_obstacle(value: Value) -> str | None:
    """Return why JSON would not give a value back exactly; None where it would.

    Returns:
        One line with the place: `"a tuple at $.changes.a"`.
    """
    pending: list[tuple[Value, _Trail, int]] = [(value, None, 0)]
    while pending:
        item, trail, depth = pending.pop()
        if depth > MAX_JSON_DEPTH:
            return f"nesting deeper than {MAX_JSON_DEPTH} levels at {_place(trail)[:80]}…"
        kind = type(item)
        if kind is dict:
            odd = [key for key in item if type(key) is not str]
            if odd:
                return f"the key {odd[0]!r} of type {type(odd[0]).__name__} at {_place(trail)}"
            pending.extend((part, (trail, key), depth + 1) for key, part in item.items())
        elif kind is list:
            pending.extend((part, (trail, index), depth + 1) for index, part in enumerate(item))
        else:
            problem = _leaf_problem(item)
            if problem:
                return f"{problem} at {_place(trail)}"
    return None


def _leaf_problem(item: Value) -> str:
    kind = type(item)
    if item is None or kind is str or kind is bool:
        return ""
    if kind is int:
        return f"an integer of {item.bit_length()} bits" if item.bit_length() > _MAX_INT_BITS else ""
    if kind is float:
        return "" if math.isfinite(item) else f"the number {item}"
    return f"a value of type {kind.__name__}"


def _place(trail: _Trail) -> str:
    steps: list[Step] = []
    while trail is not None:
        trail, step = trail
        steps.append(step)
    return format_path(tuple(reversed(steps)))


def dump_sorted(value: Value) -> bytes:
    """Return sorted JSON with Python's default separators, all ASCII, byte for byte as the original wrote it.

    Raises:
        TypeError, ValueError, RecursionError: as `json.dumps`; `json_obstacle` finds out beforehand.
    """
    return json.dumps(value, sort_keys=True).encode("ascii")


def load_object(data: bytes) -> dict[str, Value]:
    """Read a JSON object.

    `NaN` and `Infinity` are read as the numbers that Python meant when it wrote those bare words.

    Raises:
        CorruptRecord: no JSON object, bytes that are no UTF-8, a key twice in one object, or too deep nesting.
    """
    try:
        value = json.loads(data.decode("utf-8-sig"), object_pairs_hook=_object)
    except UnicodeDecodeError as error:
        _refuse(f"the text is no UTF-8 ({error.reason} at byte {error.start})")
    except json.JSONDecodeError as error:
        _refuse(f"the JSON breaks off at line {error.lineno}, column {error.colno} ({error.msg})")
    except (RecursionError, ValueError) as error:
        _refuse(f"the JSON cannot be read ({error})")
    if type(value) is not dict:
        _refuse(f"the JSON holds a {type(value).__name__} where an object belongs")
    return value


def _object(pairs: list[tuple[str, Value]]) -> dict[str, Value]:
    content = dict(pairs)
    if len(content) != len(pairs):
        raise ValueError("an object names a key twice")
    return content


def _refuse(problem: str) -> NoReturn:
    raise CorruptRecord(f"a delta record is damaged: {problem}")


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
    """Return gzip bytes, the same every time; None where they would not be fewer."""
    packed = gzip.compress(data, compresslevel=level, mtime=0)
    return packed if len(packed) < len(data) else None


def verify_payload(
    changes: Mapping[str, Value], removed: Collection[str], metadata: Mapping[str, Value], checksum: str
) -> Integrity:
    """Compare a checksum with the content it covers.

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


FIELDS: Final = (
    "timestamp",
    "changes",
    "removed_keys",
    "metadata",
    "compression_ratio",
    "size_bytes",
    "checksum",
)
"""The fields of a record, in the seed's order."""


@dataclass(frozen=True, slots=True, init=False, repr=False)
class DeltaRecord:
    """The changes between two states, with what is known about them.

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
        """Counts and bytes."""
        return f"DeltaRecord({len(self.changes)} changes, {len(self.removed_keys)} removals, {self.size_bytes} bytes)"

    def to_dict(self) -> dict[str, Any]:
        """Return the seven fields by name."""
        return {name: getattr(self, name) for name in FIELDS}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> DeltaRecord:
        """Make a record from its fields, and compare its checksum with its content.

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
    """Return every key that a delta changes or removes.

    Raises:
        DeltaCompressionError: it is no record.
    """
    if not isinstance(delta, DeltaRecord):
        raise DeltaCompressionError(f"keys are extracted from a delta record, not from a {type(delta).__name__}")
    return {*delta.changes, *delta.removed_keys}


def merge_changes(deltas: Iterable[DeltaRecord]) -> tuple[State, list[str]]:
    """Return the changes and removals that have the effect of all deltas in the given order.

    A key that is set and then removed stays among the removals, since the base may have it.

    Raises:
        ContradictoryRecord: one of the deltas both changes and removes a key.
    """
    changes: State = {}
    removed: dict[str, None] = {}
    for delta in deltas:
        new_values = require_state(delta.changes, "the changes of a delta")
        gone = require_keys(delta.removed_keys, "the removed keys of a delta")
        require_agreement(new_values, gone)
        for key, value in new_values.items():
            changes[key] = value
            removed.pop(key, None)
        for key in gone:
            changes.pop(key, None)
            removed[key] = None
    return changes, list(removed)


MAGIC: Final = b"UDR1"
_DIGEST_BYTES: Final = 16
_HEADER: Final = struct.Struct(f">4sB{_DIGEST_BYTES}s")
_PLAIN, _ZSTD = 0, 1
_JSON_STARTS: Final = b"{ \t\r\n\xef"
"""First bytes of a JSON object: a brace, blanks before it, or a byte order mark."""


class RecordForm(StrEnum):
    """How a record is written."""

    AUTO = "auto"
    """The original's form where JSON keeps the record exactly, else unspool's own."""
    FRAMEWORK0 = "framework0"
    """The original's form; refuses what JSON would change."""
    UNSPOOL = "unspool"
    """Unspool's own: exact for every value that has a wire form."""


def parse_form(form: str) -> RecordForm:
    """Return the form of a name.

    Raises:
        CodecSettingError: no such form.
    """
    try:
        return RecordForm(form)
    except ValueError:
        raise CodecSettingError(f"there is no record form {form!r}; use one of {', '.join(RecordForm)}") from None


def write_record(record: DeltaRecord, form: RecordForm, level: int | None) -> bytes:
    """Return a record as bytes.

    Args:
        record: the record; its checksum is compared with its content first.
        form: how to write it.
        level: compression level, 1-9; None for no compression.

    Raises:
        UnsupportedRecordValue: the form cannot keep a value exactly; the message names the place.
        CorruptRecord: a field is of the wrong type, or the record was changed after its checksum was made.
    """
    fields = record.to_dict()
    # What could not be read back is not written.
    DeltaRecord.from_dict(fields)
    obstacle = None if form is RecordForm.UNSPOOL else json_obstacle(fields)
    if form is RecordForm.UNSPOOL or (form is RecordForm.AUTO and obstacle):
        return _write_own(fields, level)
    if obstacle:
        raise UnsupportedRecordValue(f"JSON cannot keep {obstacle} exactly; write the record with form='unspool'")
    data = dump_sorted(fields)
    check_size(len(data))
    return data if level is None else shrink(data, level) or data


def _write_own(fields: dict[str, Any], level: int | None) -> bytes:
    try:
        body = encode(fields)
    except UnsupportedValue as error:
        raise UnsupportedRecordValue(f"the record cannot be written: {error}") from None
    difference = first_difference(fields, decode(body))
    if difference is not None:
        raise UnsupportedRecordValue(
            f"the value at {format_path(difference)} is of a type that bytes keep by name only; "
            "convert it to plain data before recording"
        )
    check_size(len(body))
    digest = hashlib.blake2b(body, digest_size=_DIGEST_BYTES).digest()
    packed = body if level is None else zstandard.ZstdCompressor(level=level).compress(body)
    if len(packed) < len(body):
        return _HEADER.pack(MAGIC, _ZSTD, digest) + packed
    return _HEADER.pack(MAGIC, _PLAIN, digest) + body


def read_record(data: bytes, *, limit: int = MAX_DECODED_BYTES) -> DeltaRecord:
    """Read a record in any form, and compare its checksum with its content.

    Args:
        data: the bytes; their first ones tell the form.
        limit: most bytes the uncompressed form may take.

    Raises:
        CorruptRecord: no record, damaged, or cut short.
        DeltaCompressionError: larger than `limit` when uncompressed.
    """
    if not isinstance(data, bytes | bytearray | memoryview):
        raise CorruptRecord(f"a delta record is read from bytes, not from a {type(data).__name__}")
    data = bytes(data)
    if data[:4] == MAGIC:
        return DeltaRecord.from_dict(_read_own(data, limit))
    plain = expand_gzip(data, limit) if data[:2] == GZIP_MAGIC else data
    if not plain or plain[0] not in _JSON_STARTS:
        raise CorruptRecord(
            f"these bytes are no delta record: they start with {plain[:4]!r}, neither gzip, JSON nor unspool's own form"
        )
    check_size(len(plain), limit)
    return DeltaRecord.from_dict(load_object(plain))


def _read_own(data: bytes, limit: int) -> dict[str, Any]:
    if len(data) < _HEADER.size:
        raise CorruptRecord("a delta record ends within its header")
    _, packing, digest = _HEADER.unpack_from(data)
    if packing not in (_PLAIN, _ZSTD):
        raise CorruptRecord(f"a delta record is packed in a way this version does not know ({packing})")
    body = data[_HEADER.size :]
    if packing == _ZSTD:
        body = expand_zstd(body, limit)
    check_size(len(body), limit)
    if hashlib.blake2b(body, digest_size=_DIGEST_BYTES).digest() != digest:
        raise CorruptRecord("a delta record is damaged: its digest does not agree with its content")
    try:
        fields = decode(body)
    except CorruptHistory as error:
        raise CorruptRecord(f"a delta record is damaged: {error}") from None
    if type(fields) is not dict:
        raise CorruptRecord("a delta record is damaged: its body is no object of fields")
    return fields
