"""Format 1: rows and zstd frames hold a checksum each; names, facts, heads of blocks and the end hold none.

Files of it are read for ever, and a recorder goes on with them as they are.
"""

from __future__ import annotations

import re
import sqlite3
import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, ClassVar, Final

import zstandard

from unspool.codec.records import PackedRecords, RecordCodec
from unspool.errors import ConfigError, CorruptHistory, NotesNotKept
from unspool.store import blocks
from unspool.store.blocks import LEVEL, TailRow, damaged
from unspool.store.layout import (
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
from unspool.store.protocol import Draft, RecordRun

_BLOCK: Final = "CREATE TABLE block(\n    first INTEGER PRIMARY KEY, count INTEGER NOT NULL, segment INTEGER NOT NULL,\n    start_ns INTEGER NOT NULL, end_ns INTEGER NOT NULL, atoms BLOB NOT NULL, columns BLOB NOT NULL)"
_TAIL: Final = "CREATE TABLE tail(\n    seq INTEGER PRIMARY KEY, time_ns INTEGER NOT NULL, codec INTEGER NOT NULL, full_bytes INTEGER NOT NULL,\n    action TEXT NOT NULL, changed BLOB NOT NULL, extra BLOB, record BLOB NOT NULL, crc INTEGER NOT NULL)"


_ID: Final = re.compile("[0-9a-f]{8}")
"""An id of a history as recorders of this format drew it."""
_HAS_RECORDS: Final = "EXISTS (SELECT 1 FROM block_data WHERE block_data.first = block.first)"
"""Nothing else vouches for the number of a block: a damaged one leads to no records."""
_ODD: Final = re.compile("[\ud800-\udfff]")
"""What bytes that are no UTF-8 are read as."""
_ANY_ATOM: Final = b"\xff" * (blocks.ATOMS_BITS // 8)


class FirstLayout(Layout):
    """The rows of format 1."""

    version = 1
    tells_end = False
    takes_frames = False
    tables: ClassVar = {
        "meta": "CREATE TABLE meta(key TEXT PRIMARY KEY, value) WITHOUT ROWID",
        "atom": "CREATE TABLE atom(id INTEGER PRIMARY KEY, name BLOB NOT NULL UNIQUE)",
        "segment": "CREATE TABLE segment(id INTEGER PRIMARY KEY, size INTEGER NOT NULL, data BLOB NOT NULL)",
        "block": _BLOCK,
        "block_data": "CREATE TABLE block_data(first INTEGER PRIMARY KEY, data BLOB NOT NULL)",
        "tail": _TAIL,
    }
    first_sum = 0
    _head_columns = "first, count, segment, start_ns, end_ns, atoms"
    insert_row = (
        "INSERT INTO tail(seq, time_ns, codec, full_bytes, action, changed, extra, record, crc) "
        "VALUES (?,?,?,?,?,?,?,?,?)"
    )
    select_row = "SELECT seq, time_ns, codec, full_bytes, action, changed, extra, record, crc FROM tail "

    def fact(self, connection: FileConnection, key: str) -> FactValue:
        """See `Layout.fact`."""
        row = connection.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        if row is None:
            return None
        if not _may_be_fact(key, row[0]):
            raise damaged_fact(key)
        return row[0]  # type: ignore[no-any-return]

    def facts(self, connection: FileConnection, damage: list[str] | None = None) -> dict[str, FactValue]:
        """See `Layout.facts`; only what no recorder ever wrote is known to be damaged."""
        found = {}
        for key, value in connection.execute("SELECT key, value FROM meta"):
            if _may_be_fact(key, value):
                found[key] = value
            elif damage is None:
                raise damaged_fact(key)
            else:
                damage.append(str(key))
        return found

    def keep_fact(self, connection: FileConnection, key: str, value: FactValue) -> None:
        """See `Layout.keep_fact`."""
        connection.execute("INSERT OR REPLACE INTO meta(key, value) VALUES (?, ?)", (key, value))

    def allow_notes(self, connection: FileConnection) -> None:
        """See `Layout.allow_notes`; readers of this format that do not know notes would not refuse them."""
        raise NotesNotKept(
            "the file is of format 1, which keeps no notes; `unspool compact FILE OUT` writes it in format 2"
        )

    def begin_at(self, connection: FileConnection, first: int) -> None:
        """See `Layout.begin_at`; readers of this format would take the entries for lost."""
        raise ConfigError(
            "the file is of format 1, which has to keep all entries; `unspool compact FILE OUT` writes it in format 2"
        )

    def may_hold_notes(self, connection: FileConnection) -> bool:
        """See `Layout.may_hold_notes`."""
        return False

    def names(self, connection: FileConnection, start: int) -> list[str]:
        """See `Layout.names`; SQLite's index over the table holds each name once more, and must agree."""
        found = []
        rows = connection.execute("SELECT id, name FROM atom WHERE id >= ? ORDER BY id", (start,)).fetchall()
        twins = _names_by_index(connection) if rows else {}
        for number, (key, data) in enumerate(rows, start):
            if key != number:
                raise missing_name(number)
            found.append(text_of(data if twins.get(number, data) == data else None, number))
        return found

    def damaged_names(self, connection: FileConnection) -> set[int]:
        """See `Layout.damaged_names`; this layout cannot know."""
        return set()

    def add_names(self, connection: FileConnection, fresh: Sequence[tuple[int, bytes]]) -> None:
        """See `Layout.add_names`."""
        connection.executemany("INSERT INTO atom(id, name) VALUES (?, ?)", fresh)

    def row_values(self, draft: Draft, seq: int, before: int) -> tuple[tuple[object, ...], int]:
        """See `Layout.row_values`."""
        return row_values(draft, seq), 0

    def checked_row(self, values: tuple[Any, ...]) -> TailRow:
        """See `Layout.checked_row`."""
        return checked_row(values)

    def follows(self, before: int, row: TailRow) -> bool:
        """See `Layout.follows`; this layout cannot know."""
        return True

    def last_sum(self, connection: FileConnection) -> int:
        """See `Layout.last_sum`; nothing is kept."""
        return 0

    def sum_over(self, rows: Iterable[TailRow], before: int) -> int:
        """See `Layout.sum_over`; nothing is kept."""
        return 0

    def head(self, values: tuple[Any, ...]) -> BlockHead:
        """See `Layout.head`."""
        first, count, segment, start_ns, end_ns, atoms = values
        if type(count) is not int or not isinstance(atoms, bytes) or len(atoms) != blocks.ATOMS_BITS // 8:
            raise damaged(first, "its head makes no sense")
        return BlockHead(first, count, segment, start_ns, end_ns, atoms, 0, 0, 0, 0)

    def pieces(
        self, connection: FileConnection, after: int, before: int, *, backwards: bool = False, most: int = -1
    ) -> list[Piece]:
        """See `Layout.pieces`; what heads say of atoms is under no checksum, so that each may name any."""
        found = super().pieces(connection, after, before, backwards=backwards, most=most)
        return [piece._replace(atoms=_ANY_ATOM) for piece in found]

    def packed_at(self, connection: FileConnection, first: int) -> bytes:
        """See `Layout.packed_at`."""
        row = connection.execute(f"SELECT columns, {_HAS_RECORDS} FROM block WHERE first = ?", (first,)).fetchone()  # noqa: S608 - ours
        if row is None:
            raise missing_block(first)
        if not row[1]:
            raise missing_records(first)
        return row[0]  # type: ignore[no-any-return]

    def packed(
        self, connection: FileConnection, after: int, before: int
    ) -> Iterator[tuple[int, int, bytes | CorruptHistory]]:
        """See `Layout.packed`."""
        query = f"SELECT first, count, columns, {_HAS_RECORDS} FROM block {OVERLAPPING.format(order='ASC')}"  # noqa: S608 - ours
        for first, count, columns, has_records in connection.execute(
            query, {"after": after, "before": before, "most": -1}
        ):
            yield first, count, columns if has_records else missing_records(first)

    def run_at(self, connection: FileConnection, seq: int, prefixes: Prefixes) -> RecordRun | None:
        """See `Layout.run_at`."""
        head = self.block_at(connection, seq)
        if head is None:
            return None
        # How a record is to be read stands in the metadata only.
        codecs = self.columns(connection, head.first, head.entries).codecs
        row = connection.execute("SELECT data FROM block_data WHERE first = ?", (head.first,)).fetchone()
        if row is None:
            raise missing_records(head.first)
        plain = blocks.decompress(row[0], head.first, prefixes(connection, head.segment, head.first))
        return RecordRun(head.first, self.unpack_records(head.first, len(codecs), codecs, plain))

    def unpack_records(self, first: int, count: int, codecs: Sequence[int] | None, plain: bytes) -> PackedRecords:
        """See `Layout.unpack_records`."""
        if codecs is None:
            raise CorruptHistory("how the records of a block are read stands in its metadata", seq=first)
        payloads = blocks.decode_records(first, plain)
        if len(payloads) != len(codecs):
            raise CorruptHistory(f"the block that starts at entry {first} lost records", seq=first)
        # A block always starts with a plain full record, also where its first entry was recorded as a delta.
        return PackedRecords([RecordCodec.NONE, *codecs[1:]], payloads)

    def raw_block(self, connection: FileConnection, first: int) -> RawBlock | None:
        """See `Layout.raw_block`."""
        query = f"SELECT {self._head_columns}, columns, data FROM block LEFT JOIN block_data USING (first) WHERE first = ?"  # noqa: S608 - ours
        row = connection.execute(query, (first,)).fetchone()
        if row is None:
            return None
        *facts, columns, records = row
        return RawBlock(BlockHead._make((*facts, 0, 0, 0, 0)), columns, records, 0)

    def is_sound(self, block: RawBlock, head: BlockHead) -> bool:
        """See `Layout.is_sound`; this layout cannot know."""
        return True

    def is_certain(self, block: RawBlock) -> bool:
        """See `Layout.is_certain`; only the metadata shows it, which is of so many entries."""
        head = block.head
        try:
            blocks.decode_columns(head.first, head.entries, block.columns)  # type: ignore[arg-type]
        except (CorruptHistory, ValueError, TypeError):
            return False
        return True

    def check_parts(self, block: RawBlock, *, records: bool) -> None:
        """See `Layout.check_parts`; the zstd frames tell when they are read."""

    def pack_columns(self, rows: Sequence[TailRow], level: int = LEVEL) -> bytes:
        """See `Layout.pack_columns`."""
        return blocks.compress(blocks.encode_columns(rows), level=level)

    def pack_records(
        self, rows: Sequence[TailRow], head: bytes, prefix: zstandard.ZstdCompressionDict, level: int = LEVEL
    ) -> bytes:
        """See `Layout.pack_records`."""
        payloads = [head, *(row.record.payload for row in rows[1:])]
        return blocks.compress(blocks.encode_records(payloads), prefix, level)

    def add_block(self, connection: FileConnection, head: BlockHead, columns: bytes, records: bytes) -> None:
        """See `Layout.add_block`."""
        connection.execute(
            "INSERT INTO block(first, count, segment, start_ns, end_ns, atoms, columns) VALUES (?,?,?,?,?,?,?)",
            (*head[:6], columns),
        )
        connection.execute("INSERT INTO block_data(first, data) VALUES (?, ?)", (head.first, records))

    def keyframe(self, connection: FileConnection, segment: int, first: int) -> bytes:
        """See `Layout.keyframe`."""
        row = connection.execute("SELECT data FROM segment WHERE id = ?", (segment,)).fetchone()
        if row is None:
            raise missing_keyframe(segment, first)
        return row[0]  # type: ignore[no-any-return]

    def pack_keyframe(self, state: bytes, level: int = LEVEL) -> bytes:
        """See `Layout.pack_keyframe`."""
        return blocks.compress(state, level=level)

    def add_keyframe(self, connection: FileConnection, segment: int, data: bytes) -> None:
        """See `Layout.add_keyframe`."""
        values = (segment, len(data), data)
        connection.execute("INSERT INTO segment(id, size, data) VALUES (?, ?, ?)", values)

    def end_mark(self, connection: FileConnection) -> EndMark | None:
        """See `Layout.end_mark`; the format says nothing."""
        return None

    def mark_end(self, connection: FileConnection, *, count: int, last: int, is_closed: bool) -> None:
        """See `Layout.mark_end`; the format says nothing."""

    def check_closed(self, connection: FileConnection) -> list[Contradiction]:
        """See `Layout.check_closed`; the format says nothing."""
        return []


def _may_be_fact(key: object, value: FactValue) -> bool:
    """Whether a recorder can have written it: texts are UTF-8, and an id is what was drawn for it."""
    if key == HISTORY_ID:
        return isinstance(value, str) and _ID.fullmatch(value) is not None
    return not any(isinstance(text, str) and _ODD.search(text) for text in (key, value))


def _names_by_index(connection: FileConnection) -> dict[object, object]:
    """Return the names of atoms from the index over them; nothing where that does not read."""
    try:
        return dict(connection.execute("SELECT id, name FROM atom INDEXED BY sqlite_autoindex_atom_1"))
    except sqlite3.DatabaseError:
        return {}


def row_values(draft: Draft, seq: int) -> tuple[object, ...]:
    """Return the columns of a row, its checksum last."""
    packed = pack_draft(draft, seq)
    return (seq, *packed, row_checksum(*packed))


def checked_row(values: tuple[Any, ...]) -> TailRow:
    """Return a row from its columns, after comparing its checksum.

    Raises:
        CorruptHistory: it is damaged; names the entry.
    """
    seq, *facts, crc = values
    packed = PackedDraft(*facts)
    try:
        is_intact = row_checksum(*packed) == crc
    except (TypeError, UnicodeEncodeError):
        # A damaged page turns a value into one of another type.
        is_intact = False
    if not is_intact:
        raise damaged_row(seq)
    return unpack_row(seq, packed, 0, crc)


def row_checksum(
    time_ns: int, codec: int, full_bytes: int, action: str, changed: bytes, extra: bytes | None, record: bytes
) -> int:
    """Return the CRC-32 of all that a row holds besides its number."""
    facts = f"{time_ns},{codec},{full_bytes},{action}".encode()
    seed = zlib.crc32(changed, zlib.crc32(facts))
    return zlib.crc32(record, seed if extra is None else zlib.crc32(extra, seed))
