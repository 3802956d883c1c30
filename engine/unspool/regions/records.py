"""Region documents as bytes: JSON text, strict on reading, one delta a line on writing; and the binary form.

The binary form keeps JSON values in few bytes: repeated texts and key sets are spelled once.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Final, Literal, NamedTuple, NoReturn

from unspool.errors import RegionError
from unspool.model.limits import in_force, json_holds_more_than
from unspool.model.values import Value, walk
from unspool.regions.address import (
    MAX_NESTING,
    U8_MAX,
    U16_MAX,
    U32_MAX,
    AmbiguousByteOrder,
    InvalidRegionValue,
    OutOfRange,
    Position,
    RegionFileError,
)
from unspool.regions.payloads import ACTION_CODES, ACTION_ORDER
from unspool.regions.region import RegionDelta, in_tick_order

_BOM: Final = b"\xef\xbb\xbf"
_LISTS: Final = frozenset({"deltas", "sharedDeltas", "folded"})
_OBJECTS: Final = frozenset({"data", "layers"})


class _Refused(ValueError):
    """Something JSON readers let pass and we do not."""


def load_json(data: bytes, source: str) -> Value:
    """Read JSON text, refusing what would be lost or guessed.

    Args:
        data: UTF-8, with or without a byte order mark.
        source: what the text is called in messages.

    Raises:
        RegionFileError: it is no JSON, says a key twice, holds NaN, or is nested too deeply.
    """
    limits = in_force()
    if found := json_holds_more_than(data, limits.nodes):
        raise RegionFileError(f"{source}: it holds about {found:,} values and keys; {limits.remedy('nodes')}")
    try:
        text = data.removeprefix(_BOM).decode("utf-8")
        return json.loads(text, object_pairs_hook=_object, parse_constant=_refuse_constant)
    except UnicodeDecodeError as error:
        raise RegionFileError(f"{source}: byte {error.start} is not UTF-8; save the file as UTF-8") from None
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise RegionFileError(f"{source}: {place}: {error.msg}; correct it or take a backup") from None
    except RecursionError:
        raise RegionFileError(f"{source}: nested too deeply for a region file; flatten it") from None
    except ValueError as error:
        raise RegionFileError(f"{source}: {error}; correct it or take a backup") from None


def _object(pairs: list[tuple[str, Value]]) -> dict[str, Value]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        counts = Counter(key for key, _ in pairs)
        twice = next(key for key in counts if counts[key] > 1)
        raise _Refused(f"the key {twice!r} occurs twice in one object")
    return fields


def _refuse_constant(name: str) -> NoReturn:
    raise _Refused(f"{name} is not JSON")


def compact(value: Value) -> str:
    """Return a value as JSON on one line, readable text kept readable."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    # A lone surrogate has no UTF-8; escaped it survives.
    return text if text.isascii() or _encodes(text) else json.dumps(value, separators=(",", ":"))


def _encodes(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def dump_json(document: Mapping[str, Value]) -> bytes:
    """Write a region document: each field on a line, each delta on a line of its own."""
    return (_block(document, "") + "\n").encode()


def _block(fields: Mapping[str, Value], indent: str) -> str:
    inner = indent + "  "
    lines = []
    for name, value in fields.items():
        if name in _LISTS and isinstance(value, list) and value:
            body = _rows(value, inner)
        elif name in _OBJECTS and isinstance(value, dict) and value:
            body = _block(value, inner)
        elif name == "personalDeltas" and isinstance(value, dict):
            body = _block_of_lists(value, inner)
        else:
            body = compact(value)
        lines.append(f"{inner}{compact(name)}: {body}")
    return "{\n" + ",\n".join(lines) + f"\n{indent}}}"


def _block_of_lists(lists: Mapping[str, Value], indent: str) -> str:
    inner = indent + "  "
    rows = (
        f"{inner}{compact(name)}: {_rows(value, inner) if isinstance(value, list) and value else compact(value)}"
        for name, value in lists.items()
    )
    return "{\n" + ",\n".join(rows) + f"\n{indent}}}" if lists else "{}"


def _rows(deltas: list[Value], indent: str) -> str:
    inner = indent + "  "
    return "[\n" + ",\n".join(inner + compact(delta) for delta in deltas) + f"\n{indent}]"


ByteOrder = Literal["little", "big"]

RECORD_HEADS: Final[dict[ByteOrder, struct.Struct]] = {
    "little": struct.Struct("<IBHHH"),
    "big": struct.Struct(">IBHHH"),
}
RECORD_HEAD_SIZE: Final = RECORD_HEADS["little"].size
_LIMITS: Final = {"tick": U32_MAX, "action": U8_MAX, "x": U16_MAX, "y": U16_MAX, "data length": U16_MAX}


class RawRecord(NamedTuple):
    """One record, its data still bytes."""

    offset: int
    tick: int
    action: int
    x: int
    y: int
    data: bytes


@dataclass(frozen=True, slots=True)
class HeaderlessRecords:
    """Deltas from a file that says neither which region they belong to nor what it was generated from."""

    deltas: tuple[RegionDelta, ...]
    byte_order: ByteOrder

    def deltas_for(self, _player: str | None = None) -> tuple[RegionDelta, ...]:
        """Return the deltas in the order they apply."""
        return in_tick_order(self.deltas)


def pack_record(head: struct.Struct, tick: int, action: int, x: int, y: int, data: bytes) -> bytes:
    """Return one record.

    Raises:
        OutOfRange: a number does not fit its field; nothing is ever wrapped around.
    """
    numbers = (tick, action, x, y, len(data))
    for (name, limit), number in zip(_LIMITS.items(), numbers, strict=True):
        if not 0 <= number <= limit:
            raise OutOfRange(f"{name} is {number}; a binary record holds 0 to {limit}; write JSON instead")
    return head.pack(*numbers) + data


def walk_records(data: bytes, head: struct.Struct, source: str) -> Iterator[RawRecord]:
    """Yield the records in some bytes.

    Raises:
        RegionFileError: the last record is cut off.
    """
    offset = 0
    while offset < len(data):
        start = offset + head.size
        if start > len(data):
            raise RegionFileError(f"{source}: the record at byte {offset} is cut off inside its head")
        tick, action, x, y, length = head.unpack_from(data, offset)
        end = start + length
        if end > len(data):
            raise RegionFileError(
                f"{source}: the record at byte {offset} says {length} bytes of data, {len(data) - start} are left"
            )
        yield RawRecord(offset, tick, action, x, y, data[start:end])
        offset = end


def write_records(deltas: Iterable[RegionDelta], byte_order: ByteOrder = "little") -> bytes:
    """Write deltas as records without a header, in the order given, their data as compact JSON.

    Raises:
        OutOfRange: a number does not fit its field.
        InvalidRegionValue: a delta has an action of the game's own, or fields of its own, which such records
            cannot name; write the binary form with a header instead.
    """
    head = RECORD_HEADS[byte_order]
    parts = []
    for index, delta in enumerate(deltas):
        if delta.action not in ACTION_CODES or delta.extra:
            what = f"the fields {', '.join(delta.extra)}" if delta.extra else f"the action {delta.action!r}"
            raise InvalidRegionValue(
                f"delta {index} has {what}, which records without a header cannot hold; write the binary form "
                "with a header"
            )
        data = compact(delta.data.to_json()).encode()
        code = ACTION_CODES[delta.action]
        try:
            parts.append(pack_record(head, delta.tick, code, delta.position.x, delta.position.y, data))
        except OutOfRange as error:
            raise OutOfRange(f"delta {index} ({delta}): {error}") from None
    return b"".join(parts)


def read_records(data: bytes, byte_order: ByteOrder | None = None, source: str = "records") -> HeaderlessRecords:
    """Read records without a header.

    Args:
        data: the records.
        byte_order: if not given, both are tried; as a rule only one of them decodes.
        source: what the bytes are called in messages.

    Raises:
        RegionFileError: the bytes decode in no byte order; the message says why for each.
        AmbiguousByteOrder: they decode in both, to different deltas.
    """
    if byte_order is not None:
        return HeaderlessRecords(_decode(data, byte_order, source), byte_order)
    read: dict[ByteOrder, tuple[RegionDelta, ...]] = {}
    failures = []
    for order in RECORD_HEADS:
        try:
            read[order] = _decode(data, order, source)
        except RegionError as error:
            failures.append(f"{order}-endian: {str(error).removeprefix(source + ': ')}")
    if not read:
        raise RegionFileError(f"{source}: no region records in either byte order ({'; '.join(failures)})")
    if len(read) == 2 and read["little"] != read["big"]:
        raise AmbiguousByteOrder(
            f"{source}: {len(read['little'])} records read as little-endian and {len(read['big'])} as big-endian, "
            "both without an error; say which with byte_order='little' or 'big'"
        )
    order, deltas = next(iter(read.items()))
    return HeaderlessRecords(deltas, order)


def _decode(data: bytes, byte_order: ByteOrder, source: str) -> tuple[RegionDelta, ...]:
    return tuple(_delta(record, source) for record in walk_records(data, RECORD_HEADS[byte_order], source))


def _delta(record: RawRecord, source: str) -> RegionDelta:
    place = f"{source}: record at byte {record.offset}"
    if record.action >= len(ACTION_ORDER):
        raise RegionFileError(f"{place}: action {record.action} is none of 0 to {len(ACTION_ORDER) - 1}")
    fields: Value = load_json(record.data, place) if record.data else {}
    delta = {
        "tick": record.tick,
        "action": str(ACTION_ORDER[record.action]),
        "position": Position(record.x, record.y).to_json(),
        "data": fields,
    }
    try:
        return RegionDelta.from_json(delta)
    except InvalidRegionValue as error:
        raise type(error)(f"{place}: {error}") from None


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
    for part in chain.from_iterable(map(walk, values)):
        if type(part) is str:
            texts[part] += 1
        elif isinstance(part, dict):
            shapes[tuple(part)] += 1
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
        deltas = [_delta_of(record, actions, tables, source) for record in records]
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


def _delta_of(record: RawRecord, actions: tuple[str, ...], tables: Tables, source: str) -> Document:
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
