"""The binary form of region documents, and JSON values in few bytes: repeated texts and key sets are spelled once."""

from __future__ import annotations

import hashlib
import struct
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from unspool.model.values import Value
from unspool.regions.checks import MAX_NESTING, U8_MAX, OutOfRange, RegionFileError
from unspool.regions.payloads import ACTION_CODES, ACTION_ORDER
from unspool.regions.records import RECORD_HEADS, ByteOrder, RawRecord, compact, load_json, pack_record, walk_records

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


MAGIC: Final = b"\x93REGION\n"
VERSION: Final = 1
_ORDER_MARKS: Final[dict[ByteOrder, bytes]] = {"little": b"L", "big": b"B"}
_CHECKSUM_SIZE: Final = 16
_HEADER_AT: Final = 14
_DELTA_FIELDS: Final = ("tick", "action", "position", "data")

Document = dict[str, Value]
ListPath = tuple[str, ...]


def encode_binary(
    document: Mapping[str, Value], paths: Iterable[ListPath], byte_order: ByteOrder = "little"
) -> bytes:
    """Return a region document in the binary form.

    Args:
        document: what `to_json` of a region file returns.
        paths: where its lists of deltas are.
        byte_order: of every number.

    Raises:
        OutOfRange: a number does not fit its field, or there are more than 237 actions of the game's own.
    """
    head, lists = _split(document, paths)
    deltas = [delta for _, items in lists for delta in items]
    tables = survey(delta["data"] for delta in deltas)
    codes = _codes(deltas)
    extras = [
        [number, {name: value for name, value in delta.items() if name not in _DELTA_FIELDS}]
        for number, delta in enumerate(deltas)
        if len(delta) > len(_DELTA_FIELDS)
    ]
    header = {
        "document": head,
        "lists": [[list(path), len(items)] for path, items in lists],
        "texts": list(tables.texts),
        "shapes": [list(shape) for shape in tables.shapes],
        "actions": [name for name in codes if name not in ACTION_CODES],
        "extras": extras,
    }
    raw = compact(header).encode()
    order = "<" if byte_order == "little" else ">"
    front = MAGIC + bytes([VERSION]) + _ORDER_MARKS[byte_order] + struct.pack(f"{order}I", len(raw))
    body = b"".join((front, raw, *_records(deltas, codes, tables, RECORD_HEADS[byte_order])))
    return body + _checksum(body)


def _records(
    deltas: list[Document], codes: Mapping[str, int], tables: Tables, head: struct.Struct
) -> Iterator[bytes]:
    for number, delta in enumerate(deltas):
        position, data = delta["position"], encode_value(delta["data"], tables)
        code = codes[delta["action"]]
        try:
            yield pack_record(head, delta["tick"], code, position["x"], position["y"], data)
        except OutOfRange as error:
            raise OutOfRange(f"delta {number} ({delta['action']}, tick {delta['tick']}): {error}") from None


def _codes(deltas: list[Document]) -> dict[str, int]:
    """Number the actions: the standard ones as ever, others from 19 in order of appearance."""
    codes = dict(ACTION_CODES)
    for delta in deltas:
        codes.setdefault(delta["action"], len(codes))
    if len(codes) > U8_MAX + 1:
        raise OutOfRange(f"{len(codes)} different actions; a binary record numbers {U8_MAX + 1}; write JSON instead")
    return codes


def _split(
    document: Mapping[str, Value], paths: Iterable[ListPath]
) -> tuple[Document, list[tuple[ListPath, list[Document]]]]:
    """Take the lists of deltas out of a document."""
    head: Document = dict(document)
    lists: list[tuple[ListPath, list[Document]]] = []
    for path in paths:
        target = head
        for name in path[:-1]:
            target[name] = dict(target[name])
            target = target[name]
        lists.append((path, target.pop(path[-1])))
    return head, lists


def decode_binary(data: bytes, source: str) -> Document:
    """Read the binary form back into a region document.

    Args:
        data: the whole file.
        source: what it is called in messages.

    Raises:
        RegionFileError: it is damaged, cut off, or of a newer version.
    """
    header, head, body = _open(data, source)
    records = walk_records(body, head, source)
    try:
        tables = Tables(tuple(header["texts"]), tuple(tuple(shape) for shape in header["shapes"]))
        actions = (*map(str, ACTION_ORDER), *header["actions"])
        deltas = [_delta(record, actions, tables, source) for record in records]
        for number, extra in header["extras"]:
            deltas[number] |= extra
        return _join(header["document"], header["lists"], deltas)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError):
        raise RegionFileError(f"{source}: its header contradicts itself; restore the file from a backup") from None


def _open(data: bytes, source: str) -> tuple[Any, struct.Struct, bytes]:
    if len(data) < _HEADER_AT + _CHECKSUM_SIZE:
        raise RegionFileError(f"{source}: cut off after {len(data)} bytes; restore it from a backup")
    if data[len(MAGIC)] != VERSION:
        raise RegionFileError(
            f"{source}: version {data[len(MAGIC)]} of the form; this reads {VERSION}; upgrade unspool"
        )
    body = data[:-_CHECKSUM_SIZE]
    if _checksum(body) != data[-_CHECKSUM_SIZE:]:
        raise RegionFileError(f"{source}: damaged or cut off (checksum differs); restore it from a backup")
    mark = data[len(MAGIC) + 1 : len(MAGIC) + 2]
    order = next((order for order, known in _ORDER_MARKS.items() if known == mark), None)
    if order is None:
        raise RegionFileError(f"{source}: byte order {mark!r} is neither b'L' nor b'B'")
    end = _HEADER_AT + int.from_bytes(data[_HEADER_AT - 4 : _HEADER_AT], order)
    if end > len(body):
        raise RegionFileError(f"{source}: its header is longer than the file")
    return load_json(data[_HEADER_AT:end], f"{source}: header"), RECORD_HEADS[order], body[end:]


def _delta(record: RawRecord, actions: tuple[str, ...], tables: Tables, source: str) -> Document:
    place = f"{source}: record at byte {record.offset}"
    if record.action >= len(actions):
        raise RegionFileError(f"{place}: action {record.action} has no name")
    return {
        "tick": record.tick,
        "action": actions[record.action],
        "position": {"x": record.x, "y": record.y},
        "data": decode_value(record.data, tables, place),
    }


def _join(head: Document, lists: list[tuple[ListPath, int]], deltas: list[Document]) -> Document:
    """Put the lists of deltas back into their document."""
    start = 0
    for path, count in lists:
        target = head
        for name in path[:-1]:
            target = target[name]
        target[path[-1]] = deltas[start : start + count]
        start += count
    if start != len(deltas):
        raise ValueError("records and lists differ in number")
    return head


def _checksum(body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=_CHECKSUM_SIZE).digest()
