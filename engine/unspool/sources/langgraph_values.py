"""Values that LangGraph stored: msgpack with its own extension codes. Nothing named in them is imported or called."""

from __future__ import annotations

import math
import struct
import uuid
from typing import Final

import msgpack

from unspool.model.tags import Tagged, Unrepresentable
from unspool.model.values import Value
from unspool.sources.entries import UnusableRecord
from unspool.sources.json_exact import BrokenText, parse

_CONSTRUCTED: Final = range(6)
"""Codes 0 to 5: a class by module and name, and what it was made from (one argument, positional ones, keywords, a
method's argument, pydantic v1, pydantic v2)."""
_ARRAY, _SNAPSHOT = 6, 7
SNAPSHOT: Final = "langgraph.DeltaSnapshot"
"""Marks the value of a channel that is otherwise stored as writes (extension code 7)."""
_MAX_NESTING: Final = 64
"""Objects inside objects; each level unpacks one more piece of bytes."""
_MOST_NUMBERS: Final = 1_000
"""Numbers of an array that is shown as numbers."""
_LETTERS: Final = {
    "b1": "?", "i1": "b", "u1": "B", "i2": "h", "u2": "H", "i4": "i", "u4": "I", "i8": "q", "u8": "Q", "f2": "e", "f4": "f", "f8": "d",
}  # fmt: skip
"""How `struct` calls the numbers of an array, by the type's name in numpy without its byte order."""


def _unpack(data: bytes, level: int) -> Value:
    def extension(code: int, payload: bytes) -> Value:
        if level >= _MAX_NESTING:
            raise UnusableRecord(f"objects nested deeper than {_MAX_NESTING} levels")
        return _object(code, payload, level + 1)

    try:
        return msgpack.unpackb(
            data, raw=False, strict_map_key=False, ext_hook=extension, timestamp=0, unicode_errors="surrogateescape"
        )
    except (msgpack.UnpackException, ValueError, TypeError, RecursionError) as error:
        raise UnusableRecord(f"its msgpack does not read ({error or type(error).__name__})") from None


def _object(code: int, payload: bytes, level: int) -> Value:
    if code == _SNAPSHOT:
        return Tagged(SNAPSHOT, _unpack(payload, level))
    if code == _ARRAY:
        return Tagged("numpy.ndarray", _array(_unpack(payload, level)))
    if code not in _CONSTRUCTED:
        return Tagged(f"msgpack.ext.{code}", payload)
    parts = _unpack(payload, level)
    if not isinstance(parts, list | tuple) or len(parts) < 3:
        return Unrepresentable(f"msgpack.ext.{code}", "not a class, a name and its content")
    name = f"{parts[0]}.{parts[1]}"
    if name == "uuid.UUID" and isinstance(parts[2], str):
        try:
            return uuid.UUID(parts[2])
        except ValueError:
            return Tagged(name, parts[2])
    return Tagged(name, parts[2])


def _array(parts: Value) -> Value:
    """Return an array as a recorder keeps one: a small one of numbers as its values, any other as its bytes."""
    if not isinstance(parts, list | tuple) or len(parts) != 4:
        return parts
    dtype, shape, order, data = parts
    numbers = _numbers(dtype, shape, order, data)
    if numbers is None:
        return {"dtype": dtype, "shape": shape, "order": order, "data": data}
    for size in reversed(shape[1:]):
        numbers = [numbers[start : start + size] for start in range(0, len(numbers), size)]
    return {"dtype": dtype, "shape": list(shape), "values": numbers}


def _numbers(dtype: Value, shape: Value, order: Value, data: Value) -> list[Value] | None:
    """The numbers of a small array in C order; `None` for what is large, empty, or no such array."""
    if not (isinstance(dtype, str) and isinstance(shape, list | tuple) and order == "C" and isinstance(data, bytes)):
        return None
    letter = _LETTERS.get(dtype[1:])
    if letter is None or dtype[0] not in "<>|" or not all(type(size) is int and size > 0 for size in shape):
        return None
    count = math.prod(shape)
    if not shape or count > _MOST_NUMBERS or len(data) != count * struct.calcsize(f"={letter}"):
        return None
    return list(struct.unpack(f"{'>' if dtype[0] == '>' else '<'}{count}{letter}", data))


def decode_value(kind: Value, data: Value) -> Value:
    """Decode one stored value by its type column.

    Raises:
        UnusableRecord: it does not decode, or is a pickle, which is refused: loading one runs code.
    """
    # A damaged or foreign database may hold any type in any column.
    raw = data if isinstance(data, bytes) else b"" if data is None else str(data).encode("utf-8", "surrogatepass")
    if kind == "msgpack":
        return _unpack(raw, 0)
    if kind == "json":
        try:
            return parse(raw).value
        except BrokenText as error:
            raise UnusableRecord(f"its JSON does not read ({error})") from None
    if kind in (None, "null", "empty"):
        return None
    if kind in ("bytes", "bytearray"):
        return raw
    if kind == "pickle":
        raise UnusableRecord("it is a pickle, and loading one would run code; save it again without pickle_fallback")
    raise UnusableRecord(f"it is stored as {kind!r}, which is not known (encrypted values need their key)")
