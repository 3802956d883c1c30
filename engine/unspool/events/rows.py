"""Columns and values: how ids, hashes and JSON are packed into the database.

A UUID is 16 bytes, a hash 32. JSON is text, or a zstd frame (with `database.PAYLOAD_WORDS` as its dictionary) where that
is smaller. Text with half a character (a lone surrogate) has no UTF-8 form: it is a BLOB, marked with 16 zero bytes.
"""

from __future__ import annotations

import re
import uuid
from typing import Any, Final

import zstandard

from unspool.events.canonical import has_lone_surrogate, join_surrogates
from unspool.events.database import PAYLOAD_WORDS, place_of
from unspool.events.errors import DatabaseError
from unspool.events.json_text import parse_json
from unspool.events.moments import moment
from unspool.events.records import Event, EventType
from unspool.model.values import Value

_UUID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\Z")
_HASH: Final = re.compile(r"[0-9a-f]{64}\Z")
_UUID_BYTES: Final = 16
_ODD_TEXT: Final = bytes(_UUID_BYTES)
_MIN_COMPRESSED: Final = 48
_MAX_CONTENT_BYTES: Final = 1 << 30
"""No row may claim to unpack into more: a damaged frame must not take all memory."""

Packed = str | bytes


def pack_text(text: str) -> Packed:
    """Pack any text, half characters included."""
    if has_lone_surrogate(text):
        return _ODD_TEXT + join_surrogates(text).encode("utf-8", "surrogatepass")
    return join_surrogates(text)


def unpack_text(packed: Packed) -> str:
    """Undo `pack_text`.

    Raises:
        DatabaseError: the column holds neither text nor bytes.
    """
    if not isinstance(packed, str | bytes):
        raise _damaged("an id", f"{packed!r} is no text")
    return packed if isinstance(packed, str) else packed[_UUID_BYTES:].decode("utf-8", "surrogatepass")


def pack_id(text: str) -> Packed:
    """Pack an id: a UUID as its bytes, other text as text."""
    return uuid.UUID(text).bytes if _UUID.match(text) else pack_text(text)


def unpack_id(packed: Packed) -> str:
    """Undo `pack_id`."""
    if isinstance(packed, bytes) and len(packed) == _UUID_BYTES:
        return str(uuid.UUID(bytes=packed))
    return unpack_text(packed)


def pack_hash(text: str) -> bytes:
    """Pack a hash of 64 lower-case hex digits.

    Raises:
        ValueError: it is no such text.
    """
    if not _HASH.match(text):
        raise ValueError(f"{text[:80]!r} is no SHA-256 in lower-case hex")
    return bytes.fromhex(text)


class JsonColumn:
    """Packs and unpacks JSON text. Not for use by two threads at once."""

    def __init__(self) -> None:
        words = zstandard.ZstdCompressionDict(PAYLOAD_WORDS, dict_type=zstandard.DICT_TYPE_RAWCONTENT)
        words.precompute_compress(level=9)
        self._compressor = zstandard.ZstdCompressor(level=9, dict_data=words, write_checksum=False)
        self._decompressor = zstandard.ZstdDecompressor(dict_data=words)

    def pack(self, text: str) -> Packed:
        """Return the text, or its zstd frame where that is smaller."""
        encoded = text.encode()
        if len(encoded) < _MIN_COMPRESSED:
            return text
        frame = self._compressor.compress(encoded)
        return frame if len(frame) < len(encoded) else text

    def unpack(self, packed: Packed, place: str) -> Value:
        """Read a column back.

        Raises:
            DatabaseError: the column is damaged; the message names `place`.
        """
        try:
            return parse_json(packed if isinstance(packed, str) else self._text(packed))
        except (zstandard.ZstdError, ValueError, TypeError, MemoryError) as error:
            raise _damaged(place, error) from error

    def _text(self, frame: bytes) -> str:
        if zstandard.frame_content_size(frame) > _MAX_CONTENT_BYTES:
            raise ValueError("it claims to be larger than any event")
        return self._decompressor.decompress(frame).decode()


def event_of(row: tuple[Any, ...], column: JsonColumn) -> Event:
    """Build an event from a row of the view `chain`.

    Raises:
        DatabaseError: the row cannot be an event, or contradicts its own place or time.
    """
    space_id, sequence, packed_id, event_type, timestamp, version, previous_hash, own_hash, payload, *_ = row
    place = f"event {sequence} of space {space_id!r}"
    try:
        fault = _misfiled(row)
        event = Event(
            id=unpack_id(packed_id),
            type=EventType(event_type),
            space_id=unpack_text(space_id),
            timestamp=timestamp,
            sequence_number=sequence,
            hash=own_hash.hex(),
            previous_hash=None if previous_hash is None else previous_hash.hex(),
            version=version,
            payload=column.unpack(payload, place),
        )
    except (ValueError, AttributeError, TypeError) as error:
        raise _damaged(place, error) from error
    if fault is not None:
        raise _damaged(place, fault)
    return event


def _misfiled(row: tuple[Any, ...]) -> str | None:
    """Say whether a row stands where another belongs: reading goes on from place to place, and by time."""
    _, sequence, _, _, timestamp, _, _, _, _, place, space, filed, *_ = row
    if place != place_of(space, sequence):
        return "it stands at another event's place"
    return None if filed == moment(timestamp) else "it is filed under another time than its own"


def _damaged(place: str, reason: object) -> DatabaseError:
    return DatabaseError(
        f"{place} is damaged ({reason}); restore the log from a copy or an archive", operation="read"
    )
