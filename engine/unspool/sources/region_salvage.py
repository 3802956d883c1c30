"""Region files read as far as they are whole: a malformed delta or a cut tail costs itself and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from unspool.errors import RegionError
from unspool.model.values import Value
from unspool.regions.binary_form import MAGIC, decode_binary
from unspool.regions.deltas import RegionDelta
from unspool.regions.errors import AmbiguousByteOrder, InvalidRegionValue
from unspool.regions.formats import RegionDocument, decode_region
from unspool.regions.records import (
    RECORD_HEAD_SIZE,
    RECORD_HEADS,
    ByteOrder,
    HeaderlessRecords,
    dump_json,
    load_json,
    read_records,
    walk_records,
)
from unspool.regions.table import STANDARD_ACTIONS

ACTIONS: Final = STANDARD_ACTIONS.keeping_unknown()
"""Other games have other actions: those are kept and shown, and do nothing to the region."""

RegionSource = RegionDocument | HeaderlessRecords


class Loss(NamedTuple):
    """A delta that was left out.

    Attributes:
        place: where it stands.
        message: what is wrong with it.
        before: deltas before it in its list that were kept.
    """

    place: str
    message: str
    before: int


@dataclass(frozen=True, slots=True)
class Salvaged:
    """A region file, and what of it could not be read."""

    document: RegionSource
    losses: tuple[Loss, ...] = ()


def read_region(data: bytes, name: str, byte_order: ByteOrder | None = None) -> Salvaged:
    """Read a region file of any form.

    Args:
        data: the whole file.
        name: what it is called in messages.
        byte_order: of records without a header; where it is not given, both are tried.

    Raises:
        RegionError: it is no region file, its header is damaged, or its records read in both byte orders.
    """
    try:
        return Salvaged(decode_region(data, name, actions=ACTIONS, byte_order=byte_order))
    except AmbiguousByteOrder as error:
        told = str(error).partition("; say which")[0]
        raise AmbiguousByteOrder(f"{told}; say which with --select order=little or order=big") from None
    except InvalidRegionValue as error:
        salvaged = _without_malformed(data, name)
        if salvaged is None:
            raise error from None
        return salvaged
    except RegionError as error:
        salvaged = None if _is_document(data) else _whole_records(data, name, byte_order)
        if salvaged is None:
            raise error from None
        return salvaged


def _is_document(data: bytes) -> bool:
    return data.startswith(MAGIC) or b"\0" not in data[:RECORD_HEAD_SIZE]


def _without_malformed(data: bytes, name: str) -> Salvaged | None:
    """Leave malformed deltas out of a document; None where that does not mend it."""
    raw = decode_binary(data, name) if data.startswith(MAGIC) else load_json(data, name)
    losses: list[Loss] = []
    for place, deltas in _lists(raw):
        kept: list[Value] = []
        for index, item in enumerate(deltas):
            try:
                RegionDelta.from_json(item)
            except InvalidRegionValue as error:
                losses.append(Loss(f"{name}: {place}[{index}]", f"{error}; the delta was left out", len(kept)))
            else:
                kept.append(item)
        deltas[:] = kept
    if not losses:
        return None
    return Salvaged(decode_region(dump_json(raw), name, actions=ACTIONS), tuple(losses))


def _lists(raw: Value) -> Iterator[tuple[str, list[Value]]]:
    """Yield the lists of deltas in a document, each with what it is called."""
    candidates = [(name, raw.get(name)) for name in ("deltas", "sharedDeltas", "folded")]
    personal, data = raw.get("personalDeltas"), raw.get("data")
    if isinstance(personal, dict):
        candidates += [(f"personalDeltas.{player}", deltas) for player, deltas in personal.items()]
    if isinstance(data, dict):
        candidates.append(("data.deltas", data.get("deltas")))
    for name, deltas in candidates:
        if isinstance(deltas, list):
            yield name, deltas


def _whole_records(data: bytes, name: str, byte_order: ByteOrder | None) -> Salvaged | None:
    """Keep the records that are whole; None where no byte order, or either of them, makes sense of some."""
    orders: tuple[ByteOrder, ...] = tuple(RECORD_HEADS) if byte_order is None else (byte_order,)
    readings = [reading for order in orders if (reading := _records(data, name, order)).document.deltas_for()]
    return readings[0] if len(readings) == 1 else None


def _records(data: bytes, name: str, order: ByteOrder) -> Salvaged:
    deltas: list[RegionDelta] = []
    losses: list[Loss] = []
    end = 0
    try:
        for record in walk_records(data, RECORD_HEADS[order], name):
            end = record.offset + RECORD_HEAD_SIZE + len(record.data)
            try:
                deltas += read_records(data[record.offset : end], order, name).deltas
            except RegionError as error:
                reason = str(error).removeprefix(f"{name}: record at byte 0: ")
                place = f"{name}: record at byte {record.offset}"
                losses.append(Loss(place, f"{reason}; the record was left out", len(deltas)))
    except RegionError as error:
        reason = str(error).removeprefix(f"{name}: ")
        losses.append(Loss(f"{name}: byte {end}", f"{reason}; nothing from here on was read", len(deltas)))
    return Salvaged(HeaderlessRecords(tuple(deltas), order), tuple(losses))
