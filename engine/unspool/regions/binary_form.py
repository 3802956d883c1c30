r"""Region documents in few bytes, with everything the JSON form says (rows R-40 to R-44).

    offset  size  content
    0       8     93 52 45 47 49 4f 4e 0a ("\x93REGION\n")
    8       1     version, 1
    9       1     byte order of every number: 4c "L" little-endian, 42 "B" big-endian
    10      4     length H of the header, u32
    14      H     header: UTF-8 JSON
    14+H    ..    records: tick u32, action u8, x u16, y u16, length u16, data (`unspool.regions.value_coder`)
    end-16  16    BLAKE2b of all bytes before, 16 bytes

Header: `document` (the file without its lists of deltas), `lists` (path of each list and its number of records),
`texts` and `shapes` (the tables of the data), `actions` (names of the actions numbered from 19), `extras` (record
number, and fields of the delta beyond the four).
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from unspool.model.values import Value
from unspool.regions.actions import ACTION_CODES, ACTION_ORDER
from unspool.regions.checks import U8_MAX
from unspool.regions.errors import OutOfRange, RegionFileError
from unspool.regions.json_form import compact, load_json
from unspool.regions.records import RECORD_HEADS, ByteOrder, RawRecord, pack_record, walk_records
from unspool.regions.value_coder import Tables, decode_value, encode_value, survey

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
