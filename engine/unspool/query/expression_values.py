"""Values as expressions see them: JSON types only, so that tuples index like lists and dates compare like text."""

from __future__ import annotations

import datetime as dt
import decimal
from collections.abc import Callable
from typing import Final

import msgspec

from unspool.model import wire
from unspool.model.counting import LARGE_BYTES, refuse_heavy
from unspool.model.tags import Tag, from_tag
from unspool.model.values import Value

_AS_LIST: Final = frozenset((Tag.TUPLE, Tag.SET, Tag.FROZENSET))


def plain(encoded: bytes) -> Value:
    """Decode a wire form to JSON types.

    Tuples and sets become lists, dates and times ISO text, durations seconds, decimals numbers, enums and records
    what they hold, keys that are no text their text. What is nested too deeply for that is decoded as it is.

    Raises:
        CorruptHistory: the bytes are no wire form.
    """
    if len(encoded) > LARGE_BYTES:
        refuse_heavy(encoded)
    try:
        return _decode(encoded)
    except (RecursionError, msgspec.DecodeError, UnicodeDecodeError, ValueError, TypeError):
        return wire.decode(encoded)


def _untag(code: int, payload: memoryview) -> Value:
    data = bytes(payload)
    if code in _AS_LIST:
        return plain(data)
    if code == Tag.TAGGED:
        return plain(data)[1]
    if code == Tag.PAIRS:
        parts = plain(data)
        return {str(key): value for key, value in zip(parts[::2], parts[1::2], strict=True)}
    return _leaf(from_tag(code, data, plain))


def _leaf(value: Value) -> Value:
    match value:
        case dt.datetime() | dt.date() | dt.time():
            return value.isoformat()
        case dt.timedelta():
            return value.total_seconds()
        case decimal.Decimal():
            return float(value)
        case str() | int():
            return value
    return str(value)


_decode: Final[Callable[[bytes], Value]] = msgspec.msgpack.Decoder(ext_hook=_untag).decode
