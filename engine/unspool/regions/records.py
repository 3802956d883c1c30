"""Binary delta records without a file header, of either byte order (rows R-40, R-41, R-42).

One record is tick u32, action u8, x u16, y u16, length u16, and that many bytes of data, with no padding. The seed
leaves open the byte order (little-endian here unless asked otherwise), the numbers of the actions (list order from 0)
and the form of the data (compact JSON).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from unspool.errors import RegionError
from unspool.model.values import Value
from unspool.regions.actions import ACTION_CODES, ACTION_ORDER
from unspool.regions.address import Position
from unspool.regions.checks import U8_MAX, U16_MAX, U32_MAX
from unspool.regions.deltas import RegionDelta, in_tick_order
from unspool.regions.errors import AmbiguousByteOrder, InvalidRegionValue, OutOfRange, RegionFileError
from unspool.regions.json_form import compact, load_json

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
