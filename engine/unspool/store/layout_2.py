"""Format 2: everything an answer rests on is under a checksum, and what is exchanged, missing or foreign is noticed.

All checksums are CRC-32, begun with that of the history's id, so that no row of another history fits. docs/storage.md
says what each of them covers.
"""

from __future__ import annotations

import sqlite3
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import reduce
from itertools import accumulate
from operator import xor
from struct import Struct
from typing import Any, ClassVar, Final, NamedTuple, Self

import zstandard

from unspool.codec.records import PackedRecords, RecordCodec, Slices
from unspool.errors import CorruptHistory, NewerSchema
from unspool.model.encoding import encode
from unspool.store import blocks
from unspool.store.blocks import LEVEL, BlockColumns, TailRow, damaged, decode_columns, pack_postings
from unspool.store.bulk_columns import (
    MOST_ENTRIES,
    SPAN_BITS,
    SPAN_ENTRIES,
    SpanColumns,
    SpanParts,
    fill_from_blocks,
    fill_from_numbers,
    pack_span,
    span_bitmap,
    unpack_span_numbers,
    unpack_span_places,
    unpack_span_texts,
)
from unspool.store.layout import (
    END,
    FORMAT,
    HISTORY_ID,
    OVERLAPPING,
    BlockHead,
    Contradiction,
    EndMark,
    FactValue,
    FileConnection,
    Layout,
    PackedDraft,
    Piece,
    Prefixes,
    RawBlock,
    damaged_fact,
    damaged_row,
    missing_block,
    missing_keyframe,
    missing_name,
    missing_records,
    pack_draft,
    text_of,
    unpack_row,
)
from unspool.store.protocol import Columns, Draft, RecordRun

_NOTES: Final = 1
"""Feature: entries may be notes."""
_DROPS: Final = 2
"""Feature: the first entries may have been dropped, as the mark of the end says."""
MUST_UNDERSTAND: Final = _NOTES | _DROPS
"""Features that this version knows of those that a reader must understand; one bit each."""

_FEATURES: Final = Struct("<QQI")
_MARK: Final = Struct("<BQIIII")
_BEGINNING: Final = Struct("<Q")
"""Behind a mark of the end, where entries were dropped: the first one that is kept."""
_SUMS: Final = Struct("<5I")
_ATOMS_BYTES: Final = blocks.ATOMS_BITS // 8
_HEAD_PACKED: Final = Struct(f"<5q{_ATOMS_BYTES}s16s")
"""What the checksum of a head covers: its columns, and all checksums in it but its own."""
_NUMBER: Final = Struct("<q")
_FRONT: Final = Struct("<IB")
"""In front of a block's records: how many there are, and how many bytes the length of each takes."""
_SIZES: Final = {1: "B", 2: "H", 4: "I"}

_BLOCK: Final = """CREATE TABLE block(
    first INTEGER PRIMARY KEY, count INTEGER NOT NULL, segment INTEGER NOT NULL,
    start_ns INTEGER NOT NULL, end_ns INTEGER NOT NULL, atoms BLOB NOT NULL, sums BLOB NOT NULL, columns BLOB)"""
_SPAN: Final = (
    "CREATE TABLE span(first INTEGER PRIMARY KEY, count INTEGER NOT NULL, atoms BLOB NOT NULL, sums BLOB NOT NULL)"
)
_TAIL: Final = """CREATE TABLE tail(
    seq INTEGER PRIMARY KEY, time_ns INTEGER NOT NULL, codec INTEGER NOT NULL, full_bytes INTEGER NOT NULL,
    action TEXT NOT NULL, changed BLOB NOT NULL, extra BLOB, before INTEGER NOT NULL, crc INTEGER NOT NULL,
    record BLOB NOT NULL)"""


_HEAD: Final = "first, count, segment, start_ns, end_ns, atoms, sums"
_RECORDS_AT: Final = (
    f"SELECT {_HEAD}, data FROM block LEFT JOIN block_data USING (first) WHERE first <= ? ORDER BY first DESC LIMIT 1"  # noqa: S608 - ours
)


_SPAN_HEAD: Final = "first, count, atoms, sums"
_SPAN_SUMS: Final = Struct("<4I")
_SPAN_PACKED: Final = Struct(f"<2q{SPAN_BITS // 8}s16s")
_NUMBERS, _PLACES, _TEXTS = range(3)
"""Parts of a span, as its `span_data` numbers them."""
_FAR: Final = 1 << 62
_MOST_FOLDED: Final = 256
"""Blocks looked at for a span; even small ones come to enough entries."""
_SPAN_PLACE: Final = (
    f"SELECT {_SPAN_HEAD} FROM span WHERE first >= ifnull((SELECT max(first) FROM span WHERE first <= :after), :after) "  # noqa: S608 - ours
    "AND first + count > :after AND first < :before ORDER BY first"
)
_SPANS: Final = f"{_SPAN_PLACE} LIMIT :most"
_SPANS_BACKWARDS: Final = f"{_SPAN_PLACE} DESC LIMIT :most"


class _Span(NamedTuple):
    """A span's head: what it holds, and the checksums of its parts."""

    first: int
    entries: int
    atoms: bytes
    parts: tuple[int, ...]

    @property
    def stop(self) -> int:
        """One past its last entry."""
        return self.first + self.entries


class SecondLayout(Layout):
    """The rows of format 2."""

    version = 2
    tells_end = True
    takes_frames = True
    tables: ClassVar = {
        "meta": "CREATE TABLE meta(key TEXT PRIMARY KEY, value, crc INTEGER NOT NULL) WITHOUT ROWID",
        "atom": "CREATE TABLE atom(id INTEGER PRIMARY KEY, name BLOB NOT NULL, crc INTEGER NOT NULL)",
        "segment": "CREATE TABLE segment(id INTEGER PRIMARY KEY, size INTEGER NOT NULL, crc INTEGER NOT NULL, data BLOB NOT NULL)",
        "block": _BLOCK,
        "block_data": "CREATE TABLE block_data(first INTEGER PRIMARY KEY, data BLOB NOT NULL)",
        "span": _SPAN,
        "span_data": "CREATE TABLE span_data(id INTEGER PRIMARY KEY, data BLOB NOT NULL)",
        "tail": _TAIL,
    }
    _head_columns = _HEAD
    insert_row = (
        "INSERT INTO tail(seq, time_ns, codec, full_bytes, action, changed, extra, record, before, crc) "
        "VALUES (?,?,?,?,?,?,?,?,?,?)"
    )
    select_row = "SELECT seq, time_ns, codec, full_bytes, action, changed, extra, record, before, crc FROM tail "

    def __init__(self, seed: int) -> None:
        """Take the seed of all checksums."""
        self.seed = self.first_sum = seed
        self._last_span: SpanColumns | None = None

    @classmethod
    def of(cls, connection: FileConnection, *, is_lenient: bool = False) -> Self:
        """Return the layout of an open file.

        Args:
            connection: the file.
            is_lenient: make do with a file that does not say any more what a reader must understand.

        Raises:
            NewerSchema: the file uses features that this version does not understand.
            CorruptHistory: it does not say which.
        """
        rows = "SELECT key, value, crc FROM meta WHERE key IN (?, ?)"
        found = {key: (value, crc) for key, value, crc in connection.execute(rows, (FORMAT, HISTORY_ID))}
        value, crc = found.get(FORMAT, (None, None))
        if isinstance(value, bytes) and len(value) == _FEATURES.size and fact_sum(FORMAT, value, 0) == crc:
            must, _, seed = _FEATURES.unpack(value)
            if must & ~MUST_UNDERSTAND and not is_lenient:
                raise NewerSchema("it uses features that this unspool does not understand; upgrade")
            return cls(seed)
        if not is_lenient:
            raise CorruptHistory("it does not say any more what is needed to read it; run `unspool doctor` on it")
        value, crc = found.get(HISTORY_ID, (None, None))
        seed = seed_of(str(value))
        if fact_sum(HISTORY_ID, value, seed) != crc:
            raise CorruptHistory("neither its format nor its history reads; restore it from a backup")
        return cls(seed)

    def begin(self, connection: FileConnection, history_id: str) -> None:
        """Write what a new file says of itself; part of the caller's transaction."""
        self.keep_format(connection)
        self.keep_fact(connection, HISTORY_ID, history_id)
        self.mark_end(connection, count=0, last=self.seed, is_closed=False)

    def keep_format(self, connection: FileConnection) -> None:
        """Write what a reader must understand, unless the file says it already."""
        features = _FEATURES.pack(0, 0, self.seed)
        row = (FORMAT, features, fact_sum(FORMAT, features, 0))
        connection.execute("INSERT OR IGNORE INTO meta(key, value, crc) VALUES (?, ?, ?)", row)

    def allow_notes(self, connection: FileConnection) -> None:
        """See `Layout.allow_notes`."""
        self._demand(connection, _NOTES)

    def begin_at(self, connection: FileConnection, first: int) -> None:
        """See `Layout.begin_at`."""
        self._demand(connection, _DROPS)
        value = self.fact(connection, END)
        if not isinstance(value, bytes) or len(value) < _MARK.size:
            raise _no_end()
        _, count, *others = _MARK.unpack_from(value)
        # What is not closed needs no sum of the facts.
        mark = _MARK.pack(False, max(count, first), *others)
        self.keep_fact(connection, END, mark + _BEGINNING.pack(first))

    def _demand(self, connection: FileConnection, feature: int) -> None:
        """Say that a reader must understand a feature."""
        value = self.fact(connection, FORMAT)
        must, may, seed = _FEATURES.unpack(value) if isinstance(value, bytes) else (0, 0, self.seed)
        if must & feature:
            return
        features = _FEATURES.pack(must | feature, may, seed)
        row = (FORMAT, features, fact_sum(FORMAT, features, 0))
        connection.execute("INSERT OR REPLACE INTO meta(key, value, crc) VALUES (?, ?, ?)", row)

    def may_hold_notes(self, connection: FileConnection) -> bool:
        """See `Layout.may_hold_notes`."""
        try:
            value = self.fact(connection, FORMAT)
            return not isinstance(value, bytes) or bool(_FEATURES.unpack(value)[0] & _NOTES)
        except (CorruptHistory, struct.error):
            return True

    @classmethod
    def sum_told(cls, table: str, values: tuple[Any, ...], seed: int) -> tuple[int, int] | None:
        """Return the checksum that a row should have with some seed, and the one it has; None where it has none of its own.

        Args:
            table: the row's table.
            values: all its columns in the order of the table.
            seed: what checksums begin with.
        """
        layout = cls(seed)
        try:
            match table:
                case "tail":
                    seq, time_ns, codec, full_bytes, action, changed, extra, before, crc, record = values
                    packed = PackedDraft(time_ns, codec, full_bytes, action, changed, extra, record)
                    return layout.row_sum(seq, packed, before), crc
                case "block":
                    *facts, sums, _ = values
                    *parts, crc = _SUMS.unpack(sums)
                    return layout._head_sum(BlockHead._make((*facts, *parts))), crc
                case "span":
                    first, entries, atoms, sums = values
                    *parts, crc = _SPAN_SUMS.unpack(sums)
                    return layout._span_sum(first, entries, atoms, parts), crc
                case "segment":
                    number, _, crc, data = values
                    return layout._keyframe_sum(number, data), crc
                case "meta":
                    key, value, crc = values
                    return fact_sum(key, value, 0 if key == FORMAT else seed), crc
        except (struct.error, TypeError, ValueError):
            # A damaged page turns a value into one of another type.
            return 0, -1
        return None

    # --- facts -------------------------------------------------------------------------------------------------------

    def fact(self, connection: FileConnection, key: str) -> FactValue:
        """See `Layout.fact`."""
        row = connection.execute("SELECT value, crc FROM meta WHERE key = ?", (key,)).fetchone()
        if row is None:
            # A damaged key looks like a fact that was never told.
            self.facts(connection)
            if key != END and any(told.table == "meta" for told in self.check_closed(connection)):
                raise damaged_fact(key)
            return None
        if not self._is_fact(key, *row):
            raise damaged_fact(key)
        return row[0]  # type: ignore[no-any-return]

    def facts(self, connection: FileConnection, damage: list[str] | None = None) -> dict[str, FactValue]:
        """See `Layout.facts`."""
        found = {}
        for key, value, crc in connection.execute("SELECT key, value, crc FROM meta"):
            if self._is_fact(key, value, crc):
                found[key] = value
            elif damage is None:
                raise damaged_fact(key)
            else:
                damage.append(str(key))
        return found

    def keep_fact(self, connection: FileConnection, key: str, value: FactValue) -> None:
        """See `Layout.keep_fact`."""
        row = (key, value, fact_sum(key, value, self.seed))
        connection.execute("INSERT OR REPLACE INTO meta(key, value, crc) VALUES (?, ?, ?)", row)

    def _is_fact(self, key: object, value: FactValue, crc: object) -> bool:
        return fact_sum(key, value, 0 if key == FORMAT else self.seed) == crc

    # --- names of atoms ----------------------------------------------------------------------------------------------

    def names(self, connection: FileConnection, start: int) -> list[str]:
        """See `Layout.names`."""
        found: list[str] = []
        for number, data, is_intact in self._names(connection, start):
            if number != start + len(found):
                raise missing_name(start + len(found))
            # Damaged bytes may decode to another name; those of another type do not.
            found.append(text_of(data if is_intact else None, number))
        return found

    def damaged_names(self, connection: FileConnection) -> set[int]:
        """See `Layout.damaged_names`."""
        return {number for number, _, is_intact in self._names(connection, 0) if not is_intact}

    def _names(self, connection: FileConnection, start: int) -> Iterator[tuple[int, object, bool]]:
        """Yield number, bytes, and whether the checksum fits; one behind a gap passes, since it stands on what is gone."""
        before = self.seed
        if start:
            row = connection.execute("SELECT crc FROM atom WHERE id = ?", (start - 1,)).fetchone()
            if row is None:
                raise missing_name(start - 1)
            before = row[0]
        made, expected = before, start
        rows = connection.execute("SELECT id, name, crc FROM atom WHERE id >= ? ORDER BY id", (start,))
        for number, data, crc in rows:
            # A damaged checksum leaves the name after it intact: that one stands on what it should have been.
            own = self._name_sum(number, data, made) if isinstance(data, bytes) else None
            fits = own is not None and (crc == own or crc == self._name_sum(number, data, before))
            yield number, data, fits or number != expected
            made = own if own is not None and number == expected else crc
            before, expected = crc, number + 1

    def add_names(self, connection: FileConnection, fresh: Sequence[tuple[int, bytes]]) -> None:
        """See `Layout.add_names`."""
        crc = self._last_name(connection)[1]
        for number, name in fresh:
            crc = self._name_sum(number, name, crc)
            connection.execute("INSERT INTO atom(id, name, crc) VALUES (?, ?, ?)", (number, name, crc))

    def _name_sum(self, number: int, name: bytes, before: object) -> int:
        known = before & 0xFFFFFFFF if isinstance(before, int) else 0
        return zlib.crc32(name, zlib.crc32(_NUMBER.pack(number), known))

    def _last_name(self, connection: FileConnection) -> tuple[int, int]:
        """Return the number of names, and the checksum of the last one."""
        row = connection.execute("SELECT id, crc FROM atom ORDER BY id DESC LIMIT 1").fetchone()
        return (0, self.seed) if row is None else (row[0] + 1, row[1])

    # --- the tail ----------------------------------------------------------------------------------------------------

    def row_values(self, draft: Draft, seq: int, before: int) -> tuple[tuple[object, ...], int]:
        """See `Layout.row_values`."""
        packed = pack_draft(draft, seq)
        crc = self.row_sum(seq, packed, before)
        return (seq, *packed, before, crc), crc

    def row_sum(self, seq: int, packed: PackedDraft, before: int) -> int:
        """Return the checksum of a row, which covers the one of the row before it."""
        time_ns, codec, full_bytes, action, changed, extra, record = packed
        sizes = f"{len(changed)},{-1 if extra is None else len(extra)}"
        facts = f"{seq},{before},{time_ns},{codec},{full_bytes},{sizes},{action}".encode()
        crc = zlib.crc32(changed, zlib.crc32(facts, self.seed))
        return zlib.crc32(record, crc if extra is None else zlib.crc32(extra, crc))

    def checked_row(self, values: tuple[Any, ...]) -> TailRow:
        """See `Layout.checked_row`."""
        seq, *facts, before, crc = values
        packed = PackedDraft(*facts)
        try:
            is_intact = self.row_sum(seq, packed, before) == crc
        except (TypeError, UnicodeEncodeError):
            # A damaged page turns a value into one of another type.
            is_intact = False
        if not is_intact:
            raise damaged_row(seq)
        return unpack_row(seq, packed, before, crc)

    def follows(self, before: int, row: TailRow) -> bool:
        """See `Layout.follows`."""
        return row.before == before

    def last_sum(self, connection: FileConnection) -> int:
        """See `Layout.last_sum`."""
        row = connection.execute("SELECT seq, crc FROM tail ORDER BY seq DESC LIMIT 1").fetchone()
        query = f"SELECT {self._head_columns} FROM block ORDER BY first DESC LIMIT 1"  # noqa: S608 - ours
        block = connection.execute(query).fetchone()
        if block is not None and (row is None or row[0] < block[0] + block[1]):
            return self.head(block).after
        return self.seed if row is None else int(row[1])

    def sum_over(self, rows: Iterable[TailRow], before: int) -> int:
        """See `Layout.sum_over`."""
        for row in rows:
            extra = encode(row.extra) if row.extra else None
            changed, record = pack_postings(row.changed), row.record
            facts = PackedDraft(
                row.time_ns, int(record.codec), row.full_bytes, row.action, changed, extra, record.payload
            )
            before = self.row_sum(row.seq, facts, before)
        return before

    # --- blocks ------------------------------------------------------------------------------------------------------

    def head(self, values: tuple[Any, ...]) -> BlockHead:
        """See `Layout.head`."""
        before, after, columns_sum, records_sum, _ = self._verified_sums(values)
        first, entries, segment, start_ns, end_ns, atoms, _ = values
        return BlockHead(first, entries, segment, start_ns, end_ns, atoms, before, after, columns_sum, records_sum)

    def _verified_sums(self, values: tuple[Any, ...]) -> tuple[int, ...]:
        """Return the checksums in a row that begins with a block's head.

        Raises:
            CorruptHistory: the head is damaged.
        """
        first, entries, segment, start_ns, end_ns, atoms, sums = values[:7]
        try:
            found = _SUMS.unpack(sums)
            packed = _HEAD_PACKED.pack(first, entries, segment, start_ns, end_ns, atoms, sums)
            if len(atoms) == _ATOMS_BYTES and zlib.crc32(packed, self.seed) == found[4]:
                return found
        except (struct.error, TypeError):
            # Values of other types than were written: said below.
            pass
        raise damaged(first, "its head is not what was written")

    def _head_sum(self, head: BlockHead) -> int:
        *place, atoms = head[:6]
        packed = _HEAD_PACKED.pack(*place, atoms, _SUMS.pack(*head[6:], 0))
        return zlib.crc32(packed, self.seed)

    def packed_at(self, connection: FileConnection, first: int) -> bytes:
        """See `Layout.packed_at`."""
        return self._checked_columns(self._columns_row(connection, first))

    def _columns_row(self, connection: FileConnection, first: int) -> tuple[Any, ...]:
        query = f"SELECT {self._head_columns}, columns FROM block WHERE first = ?"  # noqa: S608 - ours
        row: tuple[Any, ...] | None = connection.execute(query, (first,)).fetchone()
        if row is None:
            raise missing_block(first)
        return row

    def _checked_columns(self, row: tuple[Any, ...]) -> bytes:
        self._check(row[-1], self.head(row[:-1]).columns_sum, row[0], "metadata")
        return row[-1]  # type: ignore[no-any-return]

    def packed(
        self, connection: FileConnection, after: int, before: int
    ) -> Iterator[tuple[int, int, bytes | CorruptHistory]]:
        """See `Layout.packed`."""
        query = f"SELECT {self._head_columns}, columns FROM block {OVERLAPPING.format(order='ASC')}"  # noqa: S608 - ours
        for row in connection.execute(query, {"after": after, "before": before, "most": -1}):
            data: bytes | CorruptHistory
            try:
                data = self._checked_columns(row)
            except CorruptHistory as error:
                data = error
            yield row[0], row[1], data

    def run_at(self, connection: FileConnection, seq: int, prefixes: Prefixes) -> RecordRun | None:
        """See `Layout.run_at`; metadata is not looked at."""
        row = connection.execute(_RECORDS_AT, (seq,)).fetchone()
        if row is None:
            return None
        first, entries, segment, _, _, _, _, data = row
        records_sum = self._verified_sums(row)[3]
        if seq >= first + entries:
            return None
        if data is None:
            raise missing_records(first)
        if not isinstance(data, bytes) or zlib.crc32(data, self.seed) != records_sum:
            raise damaged(first, "its records are not what was written")
        plain = blocks.decompress(data, first, prefixes(connection, segment, first))
        return RecordRun(first, unpack_records(first, entries, plain))

    def unpack_records(self, first: int, count: int, codecs: Sequence[int] | None, plain: bytes) -> PackedRecords:
        """See `Layout.unpack_records`; the records tell themselves how they are read."""
        return unpack_records(first, count, plain)

    def raw_block(self, connection: FileConnection, first: int) -> RawBlock | None:
        """See `Layout.raw_block`."""
        query = f"SELECT {self._head_columns}, columns, data FROM block LEFT JOIN block_data USING (first) WHERE first = ?"  # noqa: S608 - ours
        row = connection.execute(query, (first,)).fetchone()
        if row is None:
            return None
        *facts, sums, columns, records = row
        is_whole = isinstance(sums, bytes) and len(sums) == _SUMS.size
        before, after, columns_sum, records_sum, crc = _SUMS.unpack(sums) if is_whole else (0,) * 5
        head = BlockHead._make((*facts, before, after, columns_sum, records_sum))
        return RawBlock(head, columns, records, crc)

    def is_sound(self, block: RawBlock, head: BlockHead) -> bool:
        """See `Layout.is_sound`."""
        try:
            return self._head_sum(head) == block.crc
        except (struct.error, TypeError):
            return False

    def check_parts(self, block: RawBlock, *, records: bool) -> None:
        """See `Layout.check_parts`."""
        head = block.head
        if records:
            self._check(block.records, head.records_sum, head.first, "records")
        else:
            self._check(block.columns, head.columns_sum, head.first, "metadata")

    def _check(self, data: object, crc: int, first: int, what: str) -> None:
        if not isinstance(data, bytes) or zlib.crc32(data, self.seed) != crc:
            raise damaged(first, f"its {what} are not what was written")

    def pack_columns(self, rows: Sequence[TailRow], level: int = LEVEL) -> bytes:
        """See `Layout.pack_columns`."""
        return blocks.compress(blocks.encode_columns(rows), level=level, checksum=False)

    def pack_records(
        self, rows: Sequence[TailRow], head: bytes, prefix: zstandard.ZstdCompressionDict, level: int = LEVEL
    ) -> bytes:
        """See `Layout.pack_records`."""
        return blocks.compress(pack_records(rows, head), prefix, level, checksum=False)

    def add_block(self, connection: FileConnection, head: BlockHead, columns: bytes, records: bytes) -> None:
        """See `Layout.add_block`."""
        columns_sum, records_sum = zlib.crc32(columns, self.seed), zlib.crc32(records, self.seed)
        head = head._replace(columns_sum=columns_sum, records_sum=records_sum)
        sums = _SUMS.pack(*head[6:], self._head_sum(head))
        connection.execute(
            "INSERT INTO block(first, count, segment, start_ns, end_ns, atoms, sums, columns) "
            "VALUES (?,?,?,?,?,?,?,?)",
            (*head[:6], sums, columns),
        )
        connection.execute("INSERT INTO block_data(first, data) VALUES (?, ?)", (head.first, records))

    # --- spans -------------------------------------------------------------------------------------------------------

    def drop_spans(self, connection: FileConnection, stop: int) -> None:
        """See `Layout.drop_spans`."""
        gone = connection.execute("SELECT first FROM span WHERE first + count <= ?", (stop,)).fetchall()
        for (first,) in gone:
            connection.execute("DELETE FROM span WHERE first = ?", (first,))
            connection.execute("DELETE FROM span_data WHERE id >= ? AND id < ?", (first << 2, (first + 1) << 2))

    def folded(self, connection: FileConnection) -> int:
        """See `Layout.folded`."""
        row = connection.execute(f"SELECT {_SPAN_HEAD} FROM span ORDER BY first DESC LIMIT 1").fetchone()  # noqa: S608 - ours
        return 0 if row is None else self._span(row).stop

    def _span(self, values: tuple[Any, ...]) -> _Span:
        """Return a span's head, verified.

        Raises:
            CorruptHistory: it is damaged.
        """
        first, entries, atoms, sums = values
        try:
            *parts, crc = _SPAN_SUMS.unpack(sums)
            if len(atoms) == SPAN_BITS // 8 and self._span_sum(first, entries, atoms, parts) == crc:
                return _Span(first, entries, atoms, tuple(parts))
        except (struct.error, TypeError):
            # Values of other types than were written: said below.
            pass
        raise damaged(first, "the head of its span is not what was written")

    def span_parts(self, values: tuple[Any, ...]) -> Iterator[tuple[int, Callable[[bytes], bool]]]:
        """Yield the numbers of the rows that hold the parts of a span, each with what says whether a part is intact.

        Args:
            values: the span's head, all its columns.

        Raises:
            CorruptHistory: the head is damaged.
        """
        span = self._span(values)
        for part, crc in enumerate(span.parts):
            yield span.first << 2 | part, lambda data, crc=crc: zlib.crc32(data, self.seed) == crc  # type: ignore[misc]

    def _span_sum(self, first: int, entries: int, atoms: bytes, parts: Sequence[int]) -> int:
        packed = _SPAN_PACKED.pack(first, entries, atoms, _SPAN_SUMS.pack(*parts, 0))
        return zlib.crc32(packed, self.seed)

    def _spans(
        self, connection: FileConnection, after: int, before: int, *, backwards: bool = False, most: int = -1
    ) -> list[_Span]:
        """Return the spans that hold entries from `after` to `before - 1`.

        Raises:
            CorruptHistory: the head of one is damaged.
        """
        query = _SPANS_BACKWARDS if backwards else _SPANS
        return [
            self._span(row) for row in connection.execute(query, {"after": after, "before": before, "most": most})
        ]

    def _part(self, connection: FileConnection, span: _Span, part: int) -> bytes:
        row = connection.execute("SELECT data FROM span_data WHERE id = ?", (span.first << 2 | part,)).fetchone()
        data = None if row is None else row[0]
        if not isinstance(data, bytes) or zlib.crc32(data, self.seed) != span.parts[part]:
            raise damaged(span.first, "its span is not what was written")
        return data

    def _span_columns(self, connection: FileConnection, seq: int) -> SpanColumns:
        """Return the span that holds an entry, taken apart; the last one is kept.

        Raises:
            CorruptHistory: it is damaged, or there is none.
        """
        spans = self._spans(connection, seq, seq + 1)
        if not spans:
            raise damaged(seq, "its metadata is in no span")
        (span,) = spans[:1]
        if self._last_span is None or self._last_span.first != span.first:
            parts = SpanParts(*(self._part(connection, span, part) for part in range(3)))
            self._last_span = SpanColumns(span.first, span.entries, parts)
        return self._last_span

    def folded_columns(self, connection: FileConnection, first: int, count: int) -> BlockColumns | None:
        """See `Layout.folded_columns`."""
        if first >= self.folded(connection):
            return None
        return self._span_columns(connection, first).block(first, count)

    def columns(self, connection: FileConnection, first: int, count: int) -> BlockColumns:
        """See `Layout.columns`; where a span holds them they are cut out of that."""
        row = self._columns_row(connection, first)
        if row[-1] is None:
            return self._span_columns(connection, first).block(first, count)
        return decode_columns(first, count, self._checked_columns(row))

    def fill(self, connection: FileConnection, columns: Columns, stop: int) -> None:
        """See `Layout.fill`; spans are appended whole."""
        try:
            spans = self._spans(connection, len(columns), stop)
        except CorruptHistory:
            # Which entries a span holds is not certain then: what its blocks do not tell becomes holes.
            spans = []
        for span in spans:
            if span.first > len(columns):
                fill_from_blocks(columns, self.packed(connection, len(columns), span.first))
                columns.add_holes(span.first)
            try:
                numbers = unpack_span_numbers(span.first, span.entries, self._part(connection, span, _NUMBERS))
            except CorruptHistory:
                columns.add_holes(min(span.stop, stop))
                continue
            fill_from_numbers(columns, numbers, len(columns) - span.first)
        if len(columns) < stop:
            super().fill(connection, columns, stop)

    def pieces(
        self, connection: FileConnection, after: int, before: int, *, backwards: bool = False, most: int = -1
    ) -> list[Piece]:
        """See `Layout.pieces`; spans come before blocks, so backwards after them."""
        folded = self.folded(connection)
        in_spans, in_blocks = (after, min(before, folded)), (max(after, folded), before)
        found: list[Piece] = []
        for part in (in_blocks, in_spans) if backwards else (in_spans, in_blocks):
            left = most if most < 0 else most - len(found)
            if part[0] >= part[1] or not left:
                continue
            if part is in_spans:
                spans = self._spans(connection, *part, backwards=backwards, most=left)
                found += [Piece(span.first, span.entries, span.atoms, is_span=True) for span in spans]
            else:
                found += super().pieces(connection, *part, backwards=backwards, most=left)
        return found

    def writes_in(self, connection: FileConnection, piece: Piece, number: int) -> list[int]:
        """See `Layout.writes_in`."""
        if not piece.is_span:
            return super().writes_in(connection, piece, number)
        held = self._last_span
        if held is not None and held.first == piece.first:
            # Whoever looks at an entry asks next who set the values beside it.
            places = held.places.of(number)
        else:
            (span,) = self._spans(connection, piece.first, piece.first + 1)
            places = unpack_span_places(span.first, self._part(connection, span, _PLACES)).of(number)
        return [piece.first + (place >> blocks.KIND_BITS) for place in places]

    def unusual(
        self, connection: FileConnection, after: int, before: int
    ) -> Iterator[tuple[int, bytes | CorruptHistory]]:
        """See `Layout.unusual`."""
        try:
            spans = self._spans(connection, after, before)
        except CorruptHistory as error:
            yield after, error
            return
        for span in spans:
            try:
                texts = unpack_span_texts(span.first, self._part(connection, span, _TEXTS))
            except CorruptHistory as error:
                yield span.first, error
            else:
                yield span.first, bytes(texts.extras)
        yield from super().unusual(connection, max([after, *(span.stop for span in spans)]), before)

    def fold(self, connection: FileConnection, start: int, level: int = LEVEL) -> int:
        """See `Layout.fold`. One transaction: a crash leaves the metadata in the blocks or in the span."""
        columns: list[BlockColumns] = []
        stop = start
        try:
            heads = self.heads(connection, start, _FAR, most=_MOST_FOLDED)
        except CorruptHistory:
            return start
        for head in heads:
            if head.first != stop or head.stop - start > MOST_ENTRIES:
                break
            try:
                columns.append(self.columns(connection, head.first, head.entries))
            except CorruptHistory:
                break
            stop = head.stop
            if stop - start >= SPAN_ENTRIES:
                break
        if stop - start < SPAN_ENTRIES:
            return start
        parts = pack_span(columns, level)
        data = (parts.numbers, parts.places, parts.texts)
        sums = [zlib.crc32(part, self.seed) for part in data]
        atoms = span_bitmap(columns)
        crc = self._span_sum(start, stop - start, atoms, sums)
        connection.execute("BEGIN IMMEDIATE")
        try:
            row = (start, stop - start, atoms, _SPAN_SUMS.pack(*sums, crc))
            connection.execute("INSERT INTO span(first, count, atoms, sums) VALUES (?, ?, ?, ?)", row)
            rows = [(start << 2 | part, packed) for part, packed in enumerate(data)]
            connection.executemany("INSERT INTO span_data(id, data) VALUES (?, ?)", rows)
            # Rows that only shrink leave their pages nearly empty; put in anew they lie close together.
            heads_of = f"SELECT {_HEAD} FROM block WHERE first >= ? AND first < ? ORDER BY first"  # noqa: S608 - ours
            kept = connection.execute(heads_of, (start, stop)).fetchall()
            connection.execute("DELETE FROM block WHERE first >= ? AND first < ?", (start, stop))
            connection.executemany(f"INSERT INTO block({_HEAD}) VALUES (?,?,?,?,?,?,?)", kept)  # noqa: S608 - ours
            connection.execute("COMMIT")
        except sqlite3.Error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        return stop

    def stored_bytes(self, connection: FileConnection) -> float:
        """See `Layout.stored_bytes`."""
        spans = connection.execute("SELECT total(length(data)) FROM span_data").fetchone()[0]
        return super().stored_bytes(connection) + float(spans)

    # --- keyframes ---------------------------------------------------------------------------------------------------

    def keyframe(self, connection: FileConnection, segment: int, first: int) -> bytes:
        """See `Layout.keyframe`."""
        row = connection.execute("SELECT crc, data FROM segment WHERE id = ?", (segment,)).fetchone()
        if row is None:
            raise missing_keyframe(segment, first)
        crc, data = row
        if not isinstance(data, bytes) or self._keyframe_sum(segment, data) != crc:
            raise CorruptHistory(f"the keyframe of segment {segment} is damaged (its checksum differs)", seq=first)
        return data

    def _keyframe_sum(self, segment: int, data: bytes) -> int:
        return zlib.crc32(data, zlib.crc32(_NUMBER.pack(segment), self.seed))

    def pack_keyframe(self, state: bytes, level: int = LEVEL) -> bytes:
        """See `Layout.pack_keyframe`."""
        return blocks.compress(state, level=level, checksum=False)

    def add_keyframe(self, connection: FileConnection, segment: int, data: bytes) -> None:
        """See `Layout.add_keyframe`."""
        values = (segment, len(data), self._keyframe_sum(segment, data), data)
        connection.execute("INSERT INTO segment(id, size, crc, data) VALUES (?, ?, ?, ?)", values)

    # --- where the file ends -----------------------------------------------------------------------------------------

    def end_mark(self, connection: FileConnection) -> EndMark | None:
        """See `Layout.end_mark`."""
        (closed, count, last, names, *_), first = self._mark(connection)
        return EndMark(bool(closed), count, last, names, first)

    def _mark(self, connection: FileConnection) -> tuple[tuple[int, ...], int]:
        """Return the mark of the end, and the first entry that is kept."""
        value = self.fact(connection, END)
        if not isinstance(value, bytes) or len(value) not in (_MARK.size, _MARK.size + _BEGINNING.size):
            raise _no_end()
        first = _BEGINNING.unpack_from(value, _MARK.size)[0] if len(value) > _MARK.size else 0
        return _MARK.unpack_from(value), first

    def mark_end(self, connection: FileConnection, *, count: int, last: int, is_closed: bool) -> None:
        """See `Layout.mark_end`."""
        names, name_sum = self._last_name(connection)
        facts = self._facts_sum(connection) if is_closed else 0
        first = self._beginning(connection)
        mark = _MARK.pack(is_closed, max(count, first), last, names, name_sum, facts)
        self.keep_fact(connection, END, mark + _BEGINNING.pack(first) if first else mark)

    def _beginning(self, connection: FileConnection) -> int:
        """Return the first entry that is kept; where what tells it is damaged, the first one there is."""
        try:
            return self._mark(connection)[1]
        except CorruptHistory:
            return self.lowest(connection)

    def lowest(self, connection: FileConnection) -> int:
        """See `Layout.lowest`."""
        value = self.fact(connection, FORMAT)
        if not isinstance(value, bytes) or not _FEATURES.unpack(value)[0] & _DROPS:
            return 0
        query = "SELECT ifnull((SELECT min(first) FROM block), (SELECT min(seq) FROM tail))"
        first = connection.execute(query).fetchone()[0]
        return max(first, 0) if isinstance(first, int) else 0

    @staticmethod
    def _facts_sum(connection: FileConnection) -> int:
        sums = connection.execute("SELECT crc FROM meta WHERE key != ?", (END,))
        return reduce(xor, (crc for (crc,) in sums), 0) & 0xFFFFFFFF

    def check_closed(self, connection: FileConnection) -> list[Contradiction]:
        """See `Layout.check_closed`."""
        closed, _, _, names, name_sum, facts = self._mark(connection)[0]
        if not closed:
            return []
        told = []
        if self._last_name(connection) != (names, name_sum):
            text = f"the names of atoms are not the {names} that there were when the file was closed"
            told.append(Contradiction("atom", text))
        if self._facts_sum(connection) != facts:
            text = "what the file says of itself is not what it said when it was closed"
            told.append(Contradiction("meta", text))
        return told


def _no_end() -> CorruptHistory:
    return CorruptHistory("the file does not say where it ends; run `unspool doctor` on it")


def seed_of(history_id: str) -> int:
    """Return what the checksums of a history begin with."""
    return zlib.crc32(history_id.encode("utf-8", "surrogatepass"))


def fact_sum(key: object, value: FactValue, seed: int) -> int:
    if isinstance(value, bytes):
        return zlib.crc32(value, zlib.crc32(f"{key}\0bytes\0".encode("utf-8", "surrogatepass"), seed))
    return zlib.crc32(f"{key}\0{type(value).__name__}\0{value}".encode("utf-8", "surrogatepass"), seed)


def pack_records(rows: Sequence[TailRow], head: bytes) -> bytes:
    """Return the records of a block behind how each is read and how long it is, so that one is found without the others.

    Args:
        rows: its entries.
        head: plain full record that stands in for the first one's; its length is what the others leave.
    """
    payloads = [row.record.payload for row in rows[1:]]
    codecs = bytes((RecordCodec.NONE, *(row.record.codec for row in rows[1:])))
    longest = max(map(len, payloads), default=0)
    width = next(width for width in _SIZES if longest < 1 << 8 * width)
    sizes = Struct(f"<{len(payloads)}{_SIZES[width]}").pack(*map(len, payloads))
    return b"".join((_FRONT.pack(len(rows), width), codecs, sizes, head, *payloads))


def unpack_records(first: int, count: int, data: bytes) -> PackedRecords:
    """Read what `pack_records` made; the records themselves are cut out when they are asked for.

    Raises:
        CorruptHistory: it is damaged.
    """
    try:
        held, width = _FRONT.unpack_from(data)
        at = _FRONT.size + held
        codecs = data[_FRONT.size : at]
        sizes = Struct(f"<{held - 1}{_SIZES[width]}").unpack_from(data, at)
    except (struct.error, KeyError) as error:
        raise damaged(first, f"its records do not read ({error})") from None
    start = at + width * (held - 1)
    ends = [start, *accumulate(sizes, initial=len(data) - sum(sizes))]
    if held != count or ends[1] < start:
        raise CorruptHistory(f"the block that starts at entry {first} lost records", seq=first)
    if codecs.translate(None, blocks.CODECS):
        raise damaged(first, "one of its records has an unknown codec; a newer unspool may have written it")
    return PackedRecords(codecs, Slices(data, ends))
