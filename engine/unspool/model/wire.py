"""The wire form of values: msgpack with strict types, tagged where msgpack alone would forget the type.

Plain JSON-like values are encoded by ormsgpack, which hands everything it would coerce to `_tagged`; msgspec
decodes the same bytes. What those two refuse (lone surrogates, keys that are no text, nesting beyond their
limits) takes the iterative path in `unspool.model.wire_deep`. Nothing is ever pickled, imported or called when
reading.
"""

from __future__ import annotations

import datetime as dt
import decimal
import uuid
from collections.abc import Callable, Collection
from typing import Final

import msgspec
import ormsgpack

from unspool.errors import CorruptHistory
from unspool.model.tags import Tag, Tagged, from_tag, leaf_tag
from unspool.model.values import Value

_OPTIONS: Final = (
    ormsgpack.OPT_PASSTHROUGH_TUPLE
    | ormsgpack.OPT_PASSTHROUGH_DATACLASS
    | ormsgpack.OPT_PASSTHROUGH_DATETIME
    | ormsgpack.OPT_PASSTHROUGH_SUBCLASS
    | ormsgpack.OPT_PASSTHROUGH_BIG_INT
    | ormsgpack.OPT_PASSTHROUGH_ENUM
    | ormsgpack.OPT_PASSTHROUGH_UUID
)

_LEAVES: Final = (int, dt.datetime, dt.date, dt.time, dt.timedelta, decimal.Decimal, uuid.UUID, complex)


# Most histories never need the iterative path, and every start of the app would wait for its import.
def _encode_deep(value: Value) -> bytes:
    from unspool.model.wire_deep import encode_deep

    return encode_deep(value)


def _decode_deep(data: bytes) -> Value:
    from unspool.model.wire_deep import decode_deep

    return decode_deep(data)


def _tagged(value: Value) -> ormsgpack.Ext:
    kind = type(value)
    if kind is tuple:
        return ormsgpack.Ext(Tag.TUPLE, ormsgpack.packb(list(value), _tagged, _OPTIONS))
    if kind in _LEAVES:
        code, payload = leaf_tag(value)
        return ormsgpack.Ext(code, payload)
    if kind is Tagged:
        # Whole conversations are made of these.
        return ormsgpack.Ext(Tag.TAGGED, ormsgpack.packb([value.type_name, value.value], _tagged, _OPTIONS))
    # Sets, dataclasses and the rest are rare: the iterative path knows them and can name the place of a failure.
    raise TypeError


def encode(value: Value) -> bytes:
    """Return the canonical wire form of a value.

    Args:
        value: anything JSON-like, and also tuple, set, frozenset, bytes, datetime, date, time, timedelta, Decimal,
            UUID, complex, Enum, dataclass, subclasses of plain types, integers of any size, objects with keys of
            any of these types. Depth is unlimited.

    Returns:
        msgpack bytes; equal values of plain types with equal key order give equal bytes.

    Raises:
        UnsupportedValue: the value, or one inside it, cannot be kept; the message names the path.
    """
    try:
        return ormsgpack.packb(value, _tagged, _OPTIONS)
    except (TypeError, RecursionError):
        return _encode_deep(value)


def encode_plain(value: Value) -> bytes | None:
    """Return the wire form where the fast path gives it, or None where `encode` has to."""
    try:
        return ormsgpack.packb(value, _tagged, _OPTIONS)
    except (TypeError, RecursionError):
        return None


def _untag(code: int, payload: memoryview) -> Value:
    return from_tag(code, bytes(payload), decode)


_decode: Final[Callable[[bytes], Value]] = msgspec.msgpack.Decoder(ext_hook=_untag).decode


def decode(data: bytes) -> Value:
    """Rebuild the value from its wire form; the result shares nothing with any other.

    Enums, dataclasses and subclasses of plain types come back as `Tagged`: their classes are never imported.

    Raises:
        CorruptHistory: the bytes are no wire form.
    """
    try:
        return _decode(data)
    except RecursionError:
        return _decode_deep(data)
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError, TypeError) as error:
        if isinstance(error, msgspec.DecodeError) and "hashable" in str(error):
            return _decode_deep(data)
        raise CorruptHistory(f"a stored value does not decode ({error}); run `unspool doctor` on the file") from None


def decode_all(forms: Collection[bytes]) -> list[Value]:
    """Rebuild many values; they share nothing with each other.

    Raises:
        CorruptHistory: one of them is no wire form.
    """
    try:
        return list(map(_decode, forms))
    except (RecursionError, msgspec.DecodeError, UnicodeDecodeError, ValueError, TypeError):
        # One by one, the slow path is taken for those that need it, and what is damaged is told.
        return [decode(form) for form in forms]


def wire_size(value: Value) -> int:
    """Return the number of bytes the value takes in wire form.

    Raises:
        UnsupportedValue: as `encode`.
    """
    return len(encode(value))


__all__ = ["Tagged", "decode", "decode_all", "encode", "encode_plain", "wire_size"]
