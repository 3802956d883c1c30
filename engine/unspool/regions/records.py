"""Region documents as plain objects and JSON text: strict on reading, one delta a line on writing."""

from __future__ import annotations

import json
import struct
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple, NoReturn

from unspool.errors import RegionError
from unspool.model.limits import in_force, json_holds_more_than
from unspool.model.values import Value
from unspool.regions.address import Position
from unspool.regions.checks import (
    U8_MAX,
    U16_MAX,
    U32_MAX,
    AmbiguousByteOrder,
    InvalidRegionValue,
    OutOfRange,
    RegionFileError,
)
from unspool.regions.deltas import RegionDelta, in_tick_order
from unspool.regions.payloads import ACTION_CODES, ACTION_ORDER

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
