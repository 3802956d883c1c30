"""JSON values in few bytes: texts that repeat and the key sets of objects are spelled once, in tables.

The first byte of a value says what follows:

    00-7f  the number itself            c4  float, 8 bytes little-endian
    80-bf  text 0-63 of the table       c5  text: length, UTF-8
    c0-c2  null, false, true            c6  text of the table: its number
    c3     whole number, zigzag         c7  list: length, values
                                        c8  object: number of its key set, values in key order
    d0-ff  object with key set 0-47: values in key order

Lengths and numbers are unsigned LEB128. Texts may hold lone surrogates.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from unspool.model.values import Value
from unspool.regions.errors import RegionFileError
from unspool.regions.frozen import MAX_NESTING

_SMALL_TEXTS: Final = 0x80
_NULL, _FALSE, _TRUE, _WHOLE, _FLOAT, _TEXT, _TABLE_TEXT, _LIST, _OBJECT = range(0xC0, 0xC9)
_SMALL_OBJECTS: Final = 0xD0
_LONG_TEXT: Final = 255
"""Texts longer than this go to the table even if they occur once: a record's data ends at 65,535 bytes."""
_DOUBLE: Final = struct.Struct("<d")


@dataclass(frozen=True, slots=True)
class Tables:
    """What is spelled once a file: texts, and the key sets of objects."""

    texts: tuple[str, ...] = ()
    shapes: tuple[tuple[str, ...], ...] = ()
    text_numbers: Mapping[str, int] = field(init=False, compare=False)
    shape_numbers: Mapping[tuple[str, ...], int] = field(init=False, compare=False)

    def __post_init__(self) -> None:
        numbers = {text: number for number, text in enumerate(self.texts)}
        object.__setattr__(self, "text_numbers", numbers)
        object.__setattr__(self, "shape_numbers", {shape: number for number, shape in enumerate(self.shapes)})


def survey(values: Iterable[Value]) -> Tables:
    """Return the tables that spell some values briefly: the most frequent texts and key sets first."""
    texts: Counter[str] = Counter()
    shapes: Counter[tuple[str, ...]] = Counter()
    pending = list(values)
    pending.reverse()
    while pending:
        value = pending.pop()
        if type(value) is str:
            texts[value] += 1
        elif isinstance(value, dict):
            shapes[tuple(value)] += 1
            pending.extend(value.values())
        elif isinstance(value, list):
            pending.extend(value)
    repeated = (text for text, count in texts.most_common() if count > 1 or len(text) > _LONG_TEXT)
    return Tables(tuple(repeated), tuple(shape for shape, _ in shapes.most_common()))


def encode_value(value: Value, tables: Tables) -> bytes:
    """Return a value in few bytes; the tables must come from a survey that saw it."""
    out = bytearray()
    pending = [value]
    while pending:
        item = pending.pop()
        if type(item) is str:
            _put_text(out, item, tables)
        elif type(item) is int:
            if 0 <= item < _SMALL_TEXTS:
                out.append(item)
            else:
                out.append(_WHOLE)
                _put_unsigned(out, item << 1 if item >= 0 else (-item << 1) - 1)
        elif item is None or item is True or item is False:
            out.append(_NULL if item is None else _TRUE if item else _FALSE)
        elif type(item) is float:
            out.append(_FLOAT)
            out += _DOUBLE.pack(item)
        elif isinstance(item, dict):
            number = tables.shape_numbers[tuple(item)]
            _put_reference(out, number, _SMALL_OBJECTS, 0x100 - _SMALL_OBJECTS, _OBJECT)
            pending.extend(reversed(item.values()))
        else:
            out.append(_LIST)
            _put_unsigned(out, len(item))
            pending.extend(reversed(item))
    return bytes(out)


def _put_text(out: bytearray, text: str, tables: Tables) -> None:
    number = tables.text_numbers.get(text)
    if number is not None:
        _put_reference(out, number, _SMALL_TEXTS, _NULL - _SMALL_TEXTS, _TABLE_TEXT)
        return
    raw = text.encode("utf-8", "surrogatepass")
    out.append(_TEXT)
    _put_unsigned(out, len(raw))
    out += raw


def _put_reference(out: bytearray, number: int, first: int, room: int, otherwise: int) -> None:
    if number < room:
        out.append(first + number)
    else:
        out.append(otherwise)
        _put_unsigned(out, number)


def _put_unsigned(out: bytearray, number: int) -> None:
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)


def decode_value(data: bytes, tables: Tables, place: str) -> Value:
    """Read what `encode_value` wrote.

    Args:
        data: exactly one value.
        tables: the tables of the file.
        place: what the bytes are called in messages.

    Raises:
        RegionFileError: the bytes are no value, or more than one.
    """
    reader = _Reader(data, tables)
    try:
        value = reader.value(MAX_NESTING)
    except (IndexError, struct.error, UnicodeDecodeError):
        raise RegionFileError(f"{place}: its data does not decode; restore the file from a backup") from None
    if reader.offset != len(data):
        raise RegionFileError(f"{place}: {len(data) - reader.offset} bytes follow its data")
    return value


class _Reader:
    """A place in some bytes; running off their end raises IndexError or struct.error."""

    def __init__(self, data: bytes, tables: Tables) -> None:
        self._data = data
        self._tables = tables
        self.offset = 0

    def value(self, depth: int) -> Value:
        """Read one value, nested at most `depth` deep."""
        tag = self._data[self.offset]
        self.offset += 1
        if tag < _SMALL_TEXTS:
            return tag
        if tag < _NULL:
            return self._tables.texts[tag - _SMALL_TEXTS]
        if depth == 0:
            raise IndexError
        if tag >= _SMALL_OBJECTS:
            return self._object(tag - _SMALL_OBJECTS, depth)
        if tag == _OBJECT:
            return self._object(self._unsigned(), depth)
        if tag == _LIST:
            return [self.value(depth - 1) for _ in range(self._unsigned())]
        return self._leaf(tag)

    def _object(self, shape: int, depth: int) -> dict[str, Value]:
        return {name: self.value(depth - 1) for name in self._tables.shapes[shape]}

    def _leaf(self, tag: int) -> Value:
        if tag <= _TRUE:
            return (None, False, True)[tag - _NULL]
        if tag == _WHOLE:
            number = self._unsigned()
            return -(number + 1 >> 1) if number & 1 else number >> 1
        if tag == _FLOAT:
            self.offset += _DOUBLE.size
            return _DOUBLE.unpack_from(self._data, self.offset - _DOUBLE.size)[0]
        if tag == _TABLE_TEXT:
            return self._tables.texts[self._unsigned()]
        if tag == _TEXT:
            length = self._unsigned()
            start, self.offset = self.offset, self.offset + length
            if self.offset > len(self._data):
                raise IndexError
            return self._data[start : self.offset].decode("utf-8", "surrogatepass")
        raise IndexError

    def _unsigned(self) -> int:
        shift = number = 0
        while True:
            byte = self._data[self.offset]
            self.offset += 1
            number |= (byte & 0x7F) << shift
            if byte < 0x80:
                return number
            shift += 7
