"""Reading one sealed block for the doctor: what of it is intact, and what is the matter with the rest."""

from __future__ import annotations

import sqlite3
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

import zstandard

from unspool.codec.records import Record, RecordCodec
from unspool.errors import CorruptHistory
from unspool.query.doctor_findings import Code
from unspool.query.doctor_replay import reason
from unspool.query.doctor_steps import Facts, Fault, Report
from unspool.query.doctor_structure import BlockKey
from unspool.store import blocks, frames
from unspool.store.blocks import BlockColumns

_CODECS: Final = tuple(RecordCodec)
"""Codecs by number; looked up for every entry, and a call of the enumeration takes its time."""
_PREFIXES_KEPT: Final = 2
"""Keyframes held: a block uses the one before it or the next."""
_QUERY: Final = (
    "SELECT segment, start_ns, end_ns, atoms, columns, data FROM block LEFT JOIN block_data USING (first) "
    "WHERE first = ?"
)


@dataclass(frozen=True, slots=True)
class ReadBlock:
    """What came of reading a block.

    Attributes:
        facts: facts of its entries; None when its metadata does not read.
        records: its records; empty when they do not read.
        fault: why one of them does not read.
    """

    facts: list[Facts] | None = None
    records: tuple[Record, ...] = ()
    fault: Fault | None = None


class BlockReader:
    """Reads blocks of one file."""

    def __init__(self, connection: sqlite3.Connection, report: Report) -> None:
        """Prepare; damage that costs no entry is told to `report`."""
        self._connection = connection
        self._report = report
        self._prefixes: OrderedDict[int, zstandard.ZstdDecompressor | Fault] = OrderedDict()
        self.bytes_read = 0
        """Stored bytes read so far."""

    def read(self, key: BlockKey, stop: int) -> ReadBlock:
        """Read the block that starts at `key.first`; entries from `stop` on belong to the next one."""
        try:
            row = self._connection.execute(_QUERY, (key.first,)).fetchone()
        except sqlite3.DatabaseError as error:
            return ReadBlock(fault=Fault(Code.SQLITE_DAMAGE, f"their block cannot be fetched ({error})"))
        if row is None:
            return ReadBlock(fault=Fault(Code.MISSING_ENTRIES, "in no block and not in the tail"))
        segment, start_ns, end_ns, atoms, packed, data = row
        try:
            columns = blocks.decode_columns(key.first, key.count, _blob(packed))
            facts = [_facts(columns, at) for at in range(min(key.count, stop - key.first))]
        except (CorruptHistory, IndexError, ValueError, TypeError, AttributeError) as error:
            text = f"the metadata of their block is damaged ({reason(error)})"
            return ReadBlock(fault=Fault(Code.CHECKSUM, _without_place(text)))
        self.bytes_read += len(packed) + (len(data) if isinstance(data, bytes) else 0)
        self._check_index(key, columns, start_ns, end_ns, atoms)
        if data is None:
            return ReadBlock(facts, fault=Fault(Code.MISSING_RECORDS, "the records of their block are missing"))
        return self._with_records(key, facts, columns, segment, data)

    def _with_records(
        self, key: BlockKey, facts: list[Facts], columns: BlockColumns, segment: object, data: object
    ) -> ReadBlock:
        prefix = self._prefix(segment)
        if isinstance(prefix, Fault):
            return ReadBlock(facts, fault=prefix)
        try:
            payloads = blocks.decode_records(key.first, _blob(data), prefix)
            codecs = [RecordCodec.NONE, *map(_CODECS.__getitem__, columns.codecs[1:])]
        except (CorruptHistory, IndexError, ValueError, TypeError) as error:
            text = f"the records of their block are damaged ({reason(error)})"
            return ReadBlock(facts, fault=Fault(Code.CHECKSUM, _without_place(text)))
        if len(payloads) != len(codecs):
            return ReadBlock(facts, fault=Fault(Code.MALFORMED, "their block lost records"))
        records = tuple(map(Record, codecs, payloads))
        return ReadBlock(facts, records)

    def _prefix(self, segment: object) -> zstandard.ZstdDecompressor | Fault:
        if type(segment) is not int:
            return Fault(Code.MISSING_KEYFRAME, "their block names no segment")
        known = self._prefixes.get(segment)
        if known is None:
            known = self._prefixes[segment] = self._load_prefix(segment)
            if len(self._prefixes) > _PREFIXES_KEPT:
                self._prefixes.popitem(last=False)
        return known

    def _load_prefix(self, segment: int) -> zstandard.ZstdDecompressor | Fault:
        try:
            row = self._connection.execute("SELECT size, data FROM segment WHERE id = ?", (segment,)).fetchone()
            if row is None:
                return Fault(Code.MISSING_KEYFRAME, f"the keyframe of segment {segment} is missing")
            plain = frames.decompress(_blob(row[1]), 0)
        except (sqlite3.DatabaseError, CorruptHistory, TypeError) as error:
            return Fault(Code.CHECKSUM, _without_place(f"the keyframe of segment {segment} is damaged ({error})"))
        self.bytes_read += len(row[1])
        if row[0] != len(row[1]):
            self._report(Code.WRONG_INDEX, None, None, f"segment {segment} tells a wrong size of its keyframe")
        return frames.decompressor(frames.raw_prefix(plain))

    def _check_index(self, key: BlockKey, columns: BlockColumns, start: object, end: object, atoms: object) -> None:
        last = key.first + key.count - 1
        if (start, end) != (min(columns.times), max(columns.times)):
            self._report(Code.WRONG_INDEX, key.first, last, "their block tells a wrong range of times")
        if atoms != blocks.atoms_bitmap(columns.changed):
            self._report(Code.WRONG_INDEX, key.first, last, "their block tells wrongly which atoms it names")


def _blob(value: object) -> bytes:
    if not isinstance(value, bytes):
        raise TypeError(f"a {type(value).__name__} stands where bytes belong")
    return value


def _facts(columns: BlockColumns, at: int) -> Facts:
    return Facts(
        columns.times[at], _CODECS[columns.codecs[at]], columns.actions[columns.action_of[at]],
        columns.postings(at), columns.extras.get(at, {}), columns.stored[at], columns.full[at],
    )  # fmt: skip


def _without_place(text: str) -> str:
    """Drop the name of the block, so that neighbours can be told as one."""
    return text.split("; `unspool")[0] if "; `unspool" in text else text
