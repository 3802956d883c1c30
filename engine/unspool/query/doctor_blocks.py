"""Reading one sealed block for the doctor: what of it is intact, and what is the matter with the rest."""

from __future__ import annotations

import sqlite3
from collections import OrderedDict
from collections.abc import Sequence
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
from unspool.store.layout import FileConnection, Head, RawBlock

_CODECS: Final = tuple(RecordCodec)
"""Codecs by number; looked up for every entry, and a call of the enumeration takes its time."""
_PREFIXES_KEPT: Final = 2
"""Keyframes held: a block uses the one before it or the next."""


@dataclass(frozen=True, slots=True)
class ReadBlock:
    """What came of reading a block.

    Attributes:
        facts: facts of its entries; None when its metadata does not read.
        records: its records; empty when they do not read.
        fault: why one of them does not read; where it is the metadata, there may be records all the same.
        before: checksum of the entry before its first one; None where its head is damaged.
        after: checksum of its last entry.
    """

    facts: list[Facts] | None = None
    records: tuple[Record, ...] = ()
    fault: Fault | None = None
    before: int | None = None
    after: int | None = None


class BlockReader:
    """Reads blocks of one file."""

    def __init__(self, connection: FileConnection, report: Report) -> None:
        """Prepare; damage that costs no entry is told to `report`."""
        self._connection = connection
        self._report = report
        self._prefixes: OrderedDict[int, zstandard.ZstdDecompressor | Fault] = OrderedDict()
        self.bytes_read = 0
        """Stored bytes read so far."""

    def read(self, key: BlockKey, stop: int) -> ReadBlock:
        """Read the block that starts at `key.first`; entries from `stop` on belong to the next one."""
        layout = self._connection.layout
        try:
            block = layout.raw_block(self._connection, key.first)
        except sqlite3.DatabaseError as error:
            return ReadBlock(fault=Fault(Code.SQLITE_DAMAGE, f"their block cannot be fetched ({error})"))
        if block is None:
            return ReadBlock(fault=Fault(Code.MISSING_ENTRIES, "in no block and not in the tail"))
        try:
            columns = self._columns_of(key, block)
            facts = [_facts(columns, at) for at in range(min(key.count, stop - key.first))]
        except (CorruptHistory, IndexError, ValueError, TypeError, AttributeError) as error:
            text = f"the metadata of their block is damaged ({reason(error)})"
            return self._without_facts(key, stop, block, Fault(Code.CHECKSUM, _without_place(text)))
        self.bytes_read += sum(len(part) for part in (block.columns, block.records) if isinstance(part, bytes))
        head = self._checked_head(block, columns)
        if head is None:
            return ReadBlock(facts, fault=Fault(Code.CHECKSUM, "the head of their block is damaged"))
        if block.records is None:
            fault = Fault(Code.MISSING_RECORDS, "the records of their block are missing")
            return ReadBlock(facts, (), fault, head.before, head.after)
        read = self._records_of(block, columns.codecs)
        if isinstance(read, Fault):
            return ReadBlock(facts, (), read, head.before, head.after)
        return ReadBlock(facts, read, None, head.before, head.after)

    def _without_facts(self, key: BlockKey, stop: int, block: RawBlock, fault: Fault) -> ReadBlock:
        """Return what there is of a block without its metadata: records that tell by themselves how they are read."""
        head = block.head
        if not self._connection.layout.is_sound(block, head) or head.entries != key.count:
            return ReadBlock(fault=fault)
        records = self._records_of(block, None)
        if isinstance(records, Fault):
            return ReadBlock(None, (), fault, head.before, head.after)
        told = Fault(fault.code, f"{fault.text}; the states read, when and why they came about is lost")
        return ReadBlock(None, records[: stop - key.first], told, head.before, head.after)

    def _columns_of(self, key: BlockKey, block: RawBlock) -> BlockColumns:
        """Return the metadata of a block, from its span where that holds it.

        Raises:
            CorruptHistory: it is damaged.
        """
        layout, connection = self._connection.layout, self._connection
        if block.columns is None:
            return layout.columns(connection, key.first, key.count)
        layout.check_parts(block, records=False)
        own = blocks.decode_columns(key.first, key.count, _blob(block.columns))
        try:
            folded = layout.folded_columns(connection, key.first, key.count)
        except CorruptHistory as error:
            last = key.first + key.count - 1
            self._report(
                Code.WRONG_INDEX, key.first, last, f"their span is damaged ({reason(error)}), and they are not"
            )
            return own
        if folded is not None and folded.facts != own.facts:
            last = key.first + key.count - 1
            self._report(Code.WRONG_INDEX, key.first, last, "their block and its span tell different things")
        return own if folded is None else folded

    def _checked_head(self, block: RawBlock, columns: BlockColumns) -> Head | None:
        """Return what the head of a block should be; None where what it says of its records is not certain."""
        first, last = block.head.first, block.head.first + len(columns.times) - 1
        start_ns, end_ns, atoms = min(columns.times), max(columns.times), blocks.atoms_bitmap(columns.changed)
        if (block.head.start_ns, block.head.end_ns) != (start_ns, end_ns):
            self._report(Code.WRONG_INDEX, first, last, "their block tells a wrong range of times")
        if block.head.atoms != atoms:
            self._report(Code.WRONG_INDEX, first, last, "their block tells wrongly which atoms it names")
        head = block.head._replace(entries=len(columns.times), start_ns=start_ns, end_ns=end_ns, atoms=atoms)
        return head if self._connection.layout.is_sound(block, head) else None

    def _records_of(self, block: RawBlock, codecs: Sequence[int] | None) -> tuple[Record, ...] | Fault:
        """Return the records of a block, or why they do not read; `codecs` are those of its metadata, where it reads."""
        layout, first = self._connection.layout, block.head.first
        prefix = self._prefix(block.head.segment)
        if isinstance(prefix, Fault):
            return prefix
        count = block.head.entries if codecs is None else len(codecs)
        try:
            layout.check_parts(block, records=True)
            plain = frames.decompress(_blob(block.records), first, prefix)
            packed = layout.unpack_records(first, count, codecs, plain)
            return tuple(map(Record, map(_CODECS.__getitem__, packed.codecs), packed.payloads))
        except (CorruptHistory, IndexError, ValueError, TypeError) as error:
            text = f"the records of their block are damaged ({reason(error)})"
            return Fault(Code.CHECKSUM, _without_place(text))

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
            size = self._connection.execute("SELECT size FROM segment WHERE id = ?", (segment,)).fetchone()
            if size is None:
                return Fault(Code.MISSING_KEYFRAME, f"the keyframe of segment {segment} is missing")
            data = _blob(self._connection.layout.keyframe(self._connection, segment, 0))
            plain = frames.decompress(data, 0)
        except (sqlite3.DatabaseError, CorruptHistory, TypeError) as error:
            return Fault(Code.CHECKSUM, _without_place(f"the keyframe of segment {segment} is damaged ({error})"))
        self.bytes_read += len(data)
        if size[0] != len(data):
            self._report(Code.WRONG_INDEX, None, None, f"segment {segment} tells a wrong size of its keyframe")
        return frames.decompressor(frames.raw_prefix(plain))


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
