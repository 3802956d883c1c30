"""Entries as rows of PostgreSQL: the same columns that a file's tail has, and the same checksum."""

from __future__ import annotations

from array import array
from typing import Any, Final

from unspool.codec.records import Record, RecordCodec
from unspool.errors import CorruptHistory
from unspool.model import wire
from unspool.store.blocks import Row, unpack_postings
from unspool.store.protocol import Draft
from unspool.store.tail import checked_row, row_values

INSERT: Final = (
    "INSERT INTO unspool.entry(history, seq, time_ns, codec, full_bytes, action, changed, extra, record, crc) "
    "VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
)
WHOLE: Final = "SELECT seq, time_ns, codec, full_bytes, action, changed, extra, record, crc FROM unspool.entry "
"""Rows with their records."""
FACTS: Final = (
    "SELECT seq, time_ns, codec, full_bytes, action, changed, extra, octet_length(record) FROM unspool.entry "
)
"""Rows without their records, which may be large and are not needed to list entries."""
_ACTION: Final = 4


def insert_values(history: int, draft: Draft, seq: int) -> tuple[Any, ...]:
    """Return what `INSERT` binds for a draft."""
    values = list(row_values(draft, seq))
    values[_ACTION] = draft.action.encode()
    return (history, *values)


def whole_row(values: tuple[Any, ...]) -> Row:
    """Return a row that `WHOLE` selected.

    Raises:
        CorruptHistory: it is damaged; names the entry.
    """
    seq, time_ns, codec, full_bytes, action, changed, extra, record, crc = values
    return checked_row((seq, time_ns, codec, full_bytes, _text(action, seq), changed, extra, record, crc))


def facts_row(values: tuple[Any, ...]) -> Row:
    """Return a row that `FACTS` selected; its record is empty, and its checksum was not compared.

    Raises:
        CorruptHistory: it is damaged; names the entry.
    """
    seq, time_ns, codec, full_bytes, action, changed, extra, stored = values
    try:
        known = Record(RecordCodec(codec), b"")
        extras = wire.decode(extra) if extra else {}
    except (ValueError, CorruptHistory):
        raise _damaged(seq) from None
    return Row(seq, time_ns, known, full_bytes, _text(action, seq), row_postings(changed, seq), extras, stored)


def row_postings(data: bytes, seq: int) -> array[int]:
    """Return an entry's postings.

    Raises:
        CorruptHistory: they are damaged; names the entry.
    """
    try:
        return unpack_postings(data)
    except ValueError:
        raise _damaged(seq) from None


def _text(data: bytes, seq: int) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise _damaged(seq) from None


def _damaged(seq: int) -> CorruptHistory:
    return CorruptHistory(
        f"entry {seq} is damaged: its columns do not read; restore the table from a backup", seq=seq
    )
