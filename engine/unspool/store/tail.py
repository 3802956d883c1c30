"""The newest entries, one row each: written by the recorder, read by everyone, sealed into blocks later."""

from __future__ import annotations

import sqlite3
import zlib
from array import array
from typing import Final

from unspool.codec.records import Record, RecordCodec
from unspool.errors import CorruptHistory
from unspool.model import wire
from unspool.model.entries import NO_META, Entry, EntryKind
from unspool.model.values import Value
from unspool.store.blocks import Row, pack_postings, part_of, posting, unpack_postings
from unspool.store.protocol import Draft

INSERT: Final = "INSERT INTO tail(seq, time_ns, codec, full_bytes, action, changed, extra, record, crc) VALUES (?,?,?,?,?,?,?,?,?)"
_SELECT: Final = "SELECT seq, time_ns, codec, full_bytes, action, changed, extra, record, crc FROM tail "


def row_values(draft: Draft, seq: int) -> tuple[object, ...]:
    """Return what `INSERT` binds for a draft."""
    changed = pack_postings(array("I", [posting(number, kind) for number, kind in draft.changed]))
    extra = _extra(draft, seq)
    packed = wire.encode(extra) if extra else None
    record = draft.record.payload
    codec = int(draft.record.codec)
    crc = row_checksum(draft.timestamp_ns, codec, draft.full_bytes, draft.action, changed, packed, record)
    return (seq, draft.timestamp_ns, codec, draft.full_bytes, draft.action, changed, packed, record, crc)


def _extra(draft: Draft, seq: int) -> dict[str, Value]:
    extra: dict[str, Value] = {}
    if draft.entry_id:
        extra["id"] = draft.entry_id
    if draft.parent_seq is not None and draft.parent_seq != seq - 1:
        extra["parent"] = draft.parent_seq
        if draft.part is not None:
            extra["part"] = list(draft.part)
    if draft.meta:
        extra["meta"] = dict(draft.meta)
    return extra


def row_checksum(
    time_ns: int, codec: int, full_bytes: int, action: str, changed: bytes, extra: bytes | None, record: bytes
) -> int:
    """Return the CRC-32 of all that a row holds besides its number."""
    facts = f"{time_ns},{codec},{full_bytes},{action}".encode()
    seed = zlib.crc32(changed, zlib.crc32(facts))
    return zlib.crc32(record, seed if extra is None else zlib.crc32(extra, seed))


def read_rows(connection: sqlite3.Connection, start: int, stop: int) -> list[Row]:
    """Read tail rows `start` to `stop - 1` and verify each.

    Raises:
        CorruptHistory: a row is damaged; names the entry.
    """
    cursor = connection.execute(_SELECT + "WHERE seq >= ? AND seq < ? ORDER BY seq", (start, stop))
    return [checked_row(values) for values in cursor]


def readable_rows(connection: sqlite3.Connection, start: int, stop: int) -> list[Row]:
    """Read tail rows `start` to `stop - 1`, leaving out damaged ones."""
    rows = []
    for values in connection.execute(_SELECT + "WHERE seq >= ? AND seq < ? ORDER BY seq", (start, stop)):
        try:
            rows.append(checked_row(values))
        except CorruptHistory:
            continue
    return rows


def rows_without_gap(connection: sqlite3.Connection, start: int, seq: int, stop: int) -> list[Row]:
    """Read the rows that lead to an entry, and those behind it up to the first that cannot be read.

    Args:
        connection: the file.
        start: the first row.
        seq: the entry.
        stop: one past the last row wanted.

    Raises:
        CorruptHistory: a row up to the entry is damaged or missing; names it.
    """
    rows = read_rows(connection, start, seq + 1)
    for place, row in enumerate(rows):
        if row.seq != start + place:
            raise missing_entry(start + place)
    if len(rows) <= seq - start:
        raise missing_entry(start + len(rows))
    try:
        behind = read_rows(connection, seq + 1, stop)
    except CorruptHistory:
        # Damage behind the entry is told when somebody goes there.
        return rows
    for row in behind:
        if row.seq != start + len(rows):
            break
        rows.append(row)
    return rows


def missing_entry(seq: int) -> CorruptHistory:
    """Return the error that names an entry which is nowhere in the file."""
    return CorruptHistory(
        f"entry {seq} is missing: neither in a block nor in the tail; `unspool doctor` tells what still reads",
        seq=seq,
    )


def checked_row(values: tuple[int, int, int, int, str, bytes, bytes | None, bytes, int]) -> Row:
    """Return one row as it was selected, after comparing its checksum.

    Raises:
        CorruptHistory: it is damaged; names the entry.
    """
    seq, time_ns, codec, full_bytes, action, changed, extra, record, crc = values
    if row_checksum(time_ns, codec, full_bytes, action, changed, extra, record) != crc:
        raise CorruptHistory(
            f"entry {seq} is damaged (its checksum differs); `unspool doctor FILE --repair OUT` keeps what is intact",
            seq=seq,
        )
    try:
        known = RecordCodec(codec)
    except ValueError:
        raise CorruptHistory(
            f"entry {seq} has the unknown codec {codec}; a newer unspool wrote it", seq=seq
        ) from None
    postings = unpack_postings(changed)
    extras = wire.decode(extra) if extra else {}
    return Row(seq, time_ns, Record(known, record), full_bytes, action, postings, extras, len(record))


def row_entry(row: Row, history_id: str) -> Entry:
    """Return the entry that a row holds."""
    kinds = [item & 3 for item in row.changed]
    is_full = row.record.codec.is_full
    before = row.seq - 1 if row.seq else None
    return Entry(
        seq=row.seq,
        id=row.extra.get("id") or f"{history_id}-{row.seq}",
        kind=EntryKind.FULL if is_full else EntryKind.DELTA,
        base_seq=None if is_full else before,
        timestamp_ns=row.time_ns,
        action=row.action,
        added=kinds.count(0),
        modified=kinds.count(1),
        deleted=kinds.count(2),
        stored_bytes=row.stored,
        full_bytes=row.full_bytes,
        meta=row.extra.get("meta", NO_META),
        parent_seq=row.extra.get("parent", before),
        part=part_of(row.extra),
    )


_LEAP: Final = 1_000_000
"""New entries at once from which their number is checked: a damaged page may claim any."""


def check_leap(connection: sqlite3.Connection, known: int, last: int) -> None:
    """Refuse a file that claims far more entries than it can hold.

    Args:
        connection: the file.
        known: entries known before.
        last: number of the last entry it claims.

    Raises:
        CorruptHistory: it claims too many.
    """
    if last - known < _LEAP:
        return
    held = connection.execute("SELECT ifnull((SELECT sum(count) FROM block), 0) + (SELECT count(*) FROM tail)")
    count = held.fetchone()[0]
    if last > 2 * count + _LEAP:
        raise CorruptHistory(f"it claims {last + 1} entries but holds {count}; run `unspool doctor`")
