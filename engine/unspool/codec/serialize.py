"""Records as bytes, in two forms.

`framework0` is the original's: sorted JSON of the seven fields, in one gzip member where that is smaller. `unspool`
keeps what JSON cannot: magic, how the body is packed, digest of the body, then the fields in wire form. The first
bytes tell them apart.
"""

from __future__ import annotations

import hashlib
import struct
from enum import StrEnum
from typing import Any, Final

import zstandard

from unspool.codec.bounded import GZIP_MAGIC, MAX_DECODED_BYTES, check_size, expand_gzip, expand_zstd
from unspool.codec.delta_record import DeltaRecord
from unspool.codec.errors import CodecSettingError, CorruptRecord, UnsupportedRecordValue
from unspool.codec.json_form import dump_sorted, json_obstacle, load_object
from unspool.codec.payload import shrink
from unspool.codec.sameness import first_difference
from unspool.errors import CorruptHistory, UnsupportedValue
from unspool.model.paths import format_path
from unspool.model.wire import decode, encode

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
