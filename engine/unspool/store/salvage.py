"""Saving the rows of a damaged file: every row of ours on any of its pages, put into a new file that SQLite can read.

A row is recognised by its shape, and where the same one is found in several states, the one whose checksum holds is taken.
What does not hold is kept too where there is nothing better, so that the doctor can name it.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

from unspool.errors import CorruptHistory, UnspoolError
from unspool.store import blocks
from unspool.store.databases import open_untouched
from unspool.store.layout import END, FileConnection, Layout, RawBlock
from unspool.store.layout_1 import FirstLayout
from unspool.store.layout_2 import SecondLayout
from unspool.store.pages import DatabasePages, Field, FoundRow
from unspool.store.schema import APPLICATION_ID, LAYOUTS
from unspool.store.tail import read_rows
from unspool.store.wal import WalScan, WalState, kept_log

_ZSTD: Final = b"\x28\xb5\x2f\xfd"
_TYPES: Final[Mapping[str, type]] = {"INTEGER": int, "BLOB": bytes, "TEXT": str}
_TELLING: Final = ("tail", "block", "segment")
"""Tables whose rows have a shape that no other has, in no format."""
_VOTES: Final = 64
"""Rows that are asked what checksums begin with."""
_MOST_SPARE: Final = 64
"""States of the records of one block that are looked at."""
_WITHIN: Final = "FROM tail WHERE seq >= ? AND seq < ?"
_BATCH: Final = 2000


@dataclass(frozen=True, slots=True)
class Salvaged:
    """What was saved.

    Attributes:
        path: the new file.
        rows: rows saved, by table.
        missing_pages: pages that the file says it has and has not.
        log: what a walk over its log found; None where there is none.
    """

    path: Path
    rows: Mapping[str, int]
    missing_pages: int
    log: WalScan | None


@dataclass(frozen=True, slots=True)
class _Column:
    name: str
    type: type | None
    may_be_null: bool


@dataclass(frozen=True, slots=True)
class _Shape:
    """What the rows of a table look like.

    Attributes:
        table: its name.
        columns: its columns as rows hold them.
        key: place of the column that is the row's number; None for a table that is kept as an index.
    """

    table: str
    columns: tuple[_Column, ...]
    key: int | None

    def fits(self, row: FoundRow) -> bool:
        """Whether a row may be one of this table."""
        if len(row.fields) != len(self.columns) or (row.rowid is None) != (self.key is None):
            return False
        for place, (column, value) in enumerate(zip(self.columns, row.fields, strict=True)):
            if place == self.key or value is None:
                if value is not None or not (place == self.key or column.may_be_null):
                    return False
            elif column.type is not None and type(value) is not column.type:
                return False
        return self.table != "block_data" or _is_compressed(row.fields[-1])

    def values(self, row: FoundRow) -> tuple[Field, ...]:
        """Return the columns of a row that fits, its number included."""
        if self.key is None:
            return row.fields
        return (*row.fields[: self.key], row.rowid, *row.fields[self.key + 1 :])


def _is_compressed(value: Field) -> bool:
    return isinstance(value, bytes) and value.startswith(_ZSTD)


def _shapes(tables: Mapping[str, str]) -> tuple[_Shape, ...]:
    found = []
    with closing(sqlite3.connect(":memory:")) as connection:
        for table, statement in tables.items():
            connection.execute(statement)
            info = connection.execute(f"PRAGMA table_info({table})").fetchall()
            is_index = "WITHOUT ROWID" in statement.upper()
            columns = tuple(
                _Column(name, _TYPES.get(kind), not needed and not key) for _, name, kind, needed, _, key in info
            )
            key = None if is_index else next(place for place, row in enumerate(info) if row[5])
            found.append(_Shape(table, columns, key))
    # What only some blobs fit goes before what any blob fits.
    return tuple(sorted(found, key=lambda shape: shape.table != "block_data"))


def salvage(path: Path, folder: Path, cancelled: Callable[[], bool]) -> Salvaged:
    """Write a new file with every row of ours that stands on a page of a damaged one, or of its log.

    Args:
        path: the damaged file, or a log that was kept of it: of the file only what was recorded before that log is
            taken then. Never changed.
        folder: where the new one is made.
        cancelled: asked now and then; what was found until then is kept.

    Raises:
        OSError: the damaged file cannot be read.
        UnreadableSource: its log cannot be read.
        sqlite3.Error: the new one cannot be written.
    """
    path = path.resolve()
    kept = kept_log(path)
    out = folder / (path if kept is None else kept.file).name
    found = DatabasePages(path) if kept is None else DatabasePages(kept.file, kept.path)
    with closing(found) as pages, closing(_made(out)) as connection:
        connection.layout = layout = _layout_of(pages, cancelled)
        connection.execute(f"PRAGMA user_version = {layout.version}")
        connection.execute("BEGIN")
        for statement in layout.tables.values():
            connection.execute(statement)
        store = _Store(connection, _shapes(layout.tables), None if kept is None else kept.until)
        for place, row in enumerate(pages.rows()):
            if place % _BATCH == 0 and cancelled():
                break
            store.take(row)
        counted = {table: _count(connection, table) for table in layout.tables}
        if any(counted.values()):
            own = _own_facts(path) if kept is None else []
            store.take_facts(own, is_newest=pages.log is None or pages.log.state is WalState.SOUND)
            store.settle()
        connection.execute("COMMIT")
        return Salvaged(out, counted, max(0, pages.claimed_count - pages.count), pages.log)


def _made(out: Path) -> FileConnection:
    connection = sqlite3.connect(out, isolation_level=None, factory=FileConnection)
    # The file is read by this process and gone with it: nothing waits for the disk.
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute("PRAGMA journal_mode = OFF").fetchall()
    return connection


def _layout_of(pages: DatabasePages, cancelled: Callable[[], bool]) -> Layout:
    """Return the layout that most rows are in: what the file says of itself may be damaged."""
    known = {layout: _shapes(layout.tables) for layout in LAYOUTS}
    counts: Counter[type[Layout]] = Counter()
    seeds: Counter[int] = Counter()
    for place, row in enumerate(pages.rows()):
        if place % _BATCH == 0 and cancelled():
            break
        for layout, shapes in known.items():
            shape = next((shape for shape in shapes if shape.table in _TELLING and shape.fits(row)), None)
            if shape is None:
                continue
            counts[layout] += 1
            if layout is SecondLayout and seeds.total() < _VOTES:
                seeds.update(_seeds(shape.table, shape.values(row)))
    if counts[FirstLayout] > counts[SecondLayout]:
        return FirstLayout()
    return SecondLayout(seeds.most_common(1)[0][0] if seeds else 0)


def _seeds(table: str, values: tuple[Any, ...]) -> list[int]:
    """Return what a row's checksum was begun with, if the row is intact.

    A CRC is linear in what it begins with, so 33 trials give 32 equations for the bits of that.
    """
    told = SecondLayout.sum_told(table, values, 0)
    if told is None or told[1] < 0:
        return []
    plain, wanted = told
    rows = []
    for bit in range(32):
        with_bit = SecondLayout.sum_told(table, values, 1 << bit)
        rows.append(((with_bit or told)[0] ^ plain, 1 << bit))
    rest, seed = plain ^ wanted, 0
    for place in range(32):
        mark = 1 << place
        pivot = next((at for at, (column, _) in enumerate(rows) if column & mark), None)
        if pivot is None:
            continue
        column, bits = rows.pop(pivot)
        rows = [(other ^ column, known ^ bits) if other & mark else (other, known) for other, known in rows]
        if rest & mark:
            rest, seed = rest ^ column, seed ^ bits
    return [] if rest else [seed]


def _own_facts(path: Path) -> list[tuple[Field, ...]]:
    """Return what the file says of itself as SQLite reads it; nothing where that fails."""
    try:
        with closing(open_untouched(path).connection) as connection:
            return connection.execute("SELECT * FROM meta LIMIT 100000").fetchall()
    except (sqlite3.Error, UnspoolError, OSError, UnicodeDecodeError):
        return []


def _count(connection: sqlite3.Connection, table: str) -> int:
    return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])  # noqa: S608 - our own names


_UNVOUCHED: Final = frozenset(("tail", "block", "atom", "meta"))
"""Tables of the first format whose rows say nothing that tells whether their numbers are what was written."""


class _Store:
    """Takes rows as they are found; later ones go before earlier ones unless they are worse."""

    def __init__(self, connection: FileConnection, shapes: Sequence[_Shape], until: int | None = None) -> None:
        """Take where rows go.

        Args:
            connection: the new file.
            shapes: what rows look like.
            until: the first entry that only a log tells of rightly; None where file and log belong together.
        """
        self._connection = connection
        self._until = until
        self._shapes = shapes
        # The frame was all that vouched for these; the second format has checksums of its own over each row.
        self._unvouched = _UNVOUCHED if isinstance(connection.layout, FirstLayout) else frozenset()
        self._names: dict[int, list[bytes]] = {}
        # Packed records tell by themselves neither whose they are nor whether they are intact.
        connection.execute("CREATE TEMP TABLE spare(first INTEGER NOT NULL, data BLOB NOT NULL)")

    def take(self, row: FoundRow) -> None:
        """Keep a row if it is one of ours."""
        for shape in self._shapes:
            if shape.fits(row):
                values = shape.values(row)
                if not row.is_certain and shape.table in self._unvouched:
                    return
                if row.is_in_log or not self._is_later(shape.table, values):
                    self._keep(shape, values)
                return
        if row.rowid is None and len(row.fields) == 2:
            name, number = row.fields
            if isinstance(name, bytes) and isinstance(number, int):
                # The index over the names of atoms holds each once more.
                self._names.setdefault(number, []).append(name)

    def _is_later(self, table: str, values: tuple[Any, ...]) -> bool:
        """Whether a row of the file was written after the log that is saved, by whoever went on without that."""
        if self._until is None:
            return False
        match table:
            case "tail":
                return int(values[0]) >= self._until
            case "block" | "span":
                return int(values[0]) + int(values[1]) > self._until
            case "meta":
                return bool(values[0] == END)
        return False

    def _keep(self, shape: _Shape, values: tuple[Field, ...]) -> None:
        if shape.table == "block_data":
            self._connection.execute("INSERT INTO spare VALUES (?, ?)", values)
            return
        if shape.table == "atom" and _text(values[1]) is None:
            return
        key = shape.columns[shape.key or 0].name
        query = f"SELECT * FROM {shape.table} WHERE {key} = ?"  # noqa: S608 - our own names
        known = self._connection.execute(query, (values[shape.key or 0],)).fetchone()
        if known is not None and (known == values or not self._is_better(shape.table, values, known)):
            return
        # A name is never written again, unless somebody went on with a file whose log is saved.
        how = "IGNORE" if shape.table == "atom" and self._until is None else "REPLACE"
        marks = ", ".join("?" * len(values))
        self._connection.execute(f"INSERT OR {how} INTO {shape.table} VALUES ({marks})", values)  # noqa: S608 - our names

    def _is_better(self, table: str, values: tuple[Any, ...], known: tuple[Any, ...]) -> bool:
        """Whether a row goes before one with its number that was found earlier."""
        if table == "block" and values[-1] is None and values[:-1] == known[:-1]:
            # The same block before a span took its metadata over, which may be damaged.
            return False
        return self._is_sound(table, values)

    def _is_sound(self, table: str, values: tuple[Any, ...]) -> bool:
        """Whether a row holds what was written, as far as it tells by itself."""
        layout = self._connection.layout
        try:
            if isinstance(layout, SecondLayout):
                told = layout.sum_told(table, values, layout.seed)
                return told is None or told[0] == told[1]
            match table:
                case "tail":
                    layout.checked_row(values)
                case "block":
                    blocks.decode_columns(values[0], values[1], values[-1])
                case "segment":
                    blocks.decompress(values[-1], 0)
        except (CorruptHistory, ValueError, TypeError):
            return False
        return True

    def take_facts(self, rows: Sequence[tuple[Field, ...]], *, is_newest: bool) -> None:
        """Take over what the file says of itself: pages that are free may still say what no longer holds.

        Args:
            rows: rows of the table `meta`.
            is_newest: nothing that was found on a page is newer.
        """
        shape = next(shape for shape in self._shapes if shape.table == "meta")
        marks = ", ".join("?" * len(shape.columns))
        how = "REPLACE" if is_newest else "IGNORE"
        for row in rows:
            if shape.fits(FoundRow(None, row, is_certain=True)) and self._is_sound("meta", row):
                self._connection.execute(f"INSERT OR {how} INTO meta VALUES ({marks})", row)  # noqa: S608 - question marks

    def settle(self) -> None:
        """Choose among several records of a block, and between a block and rows of the tail; fill in names of atoms."""
        if isinstance(self._connection.layout, SecondLayout):
            self._connection.layout.keep_format(self._connection)
        self._settle_names()
        self._settle_spans()
        self._settle_records()
        heads = self._connection.execute("SELECT first, count FROM block ORDER BY first").fetchall()
        for first, count in heads:
            self._settle_rows(first, count)

    def _settle_names(self) -> None:
        for number, names in self._names.items():
            known = self._connection.execute("SELECT name FROM atom WHERE id = ?", (number,)).fetchone()
            copies = {name for name in (*names, *(known or ())) if _text(name) is not None}
            if len(copies) == 1:
                self._connection.execute("INSERT OR IGNORE INTO atom(id, name) VALUES (?, ?)", (number, *copies))
            elif known is not None:
                # Either copy may be the damaged one.
                self._connection.execute("DELETE FROM atom WHERE id = ?", (number,))

    def _settle_spans(self) -> None:
        """Put the parts of spans where they belong: a part has the shape of a block's records, and its checksum tells it."""
        layout = self._connection.layout
        if not isinstance(layout, SecondLayout):
            return
        for values in self._connection.execute("SELECT * FROM span").fetchall():
            if not self._is_sound("span", values):
                continue
            for number, is_part in layout.span_parts(values):
                found = self._connection.execute("SELECT data FROM spare WHERE first = ?", (number,))
                data = next((data for (data,) in found if is_part(data)), None)
                if data is not None:
                    self._connection.execute("INSERT OR REPLACE INTO span_data VALUES (?, ?)", (number, data))
                    self._connection.execute("DELETE FROM spare WHERE first = ? AND data = ?", (number, data))

    def _settle_records(self) -> None:
        """Put the records of each block where they belong: the last ones that fit, or the last ones."""
        # What stands under a number again and again is the same mostly.
        spare = "SELECT data FROM spare WHERE first = ? GROUP BY data ORDER BY max(rowid) DESC LIMIT ?"
        for (first,) in self._connection.execute("SELECT DISTINCT first FROM spare").fetchall():
            found = [data for (data,) in self._connection.execute(spare, (first, _MOST_SPARE))]
            fitting = next((data for data in found if self._is_records(first, data)), None) if found[1:] else None
            values = (first, found[0] if fitting is None else fitting)
            self._connection.execute("INSERT INTO block_data VALUES (?, ?)", values)
        self._connection.execute("DROP TABLE spare")

    def _is_records(self, first: int, data: bytes) -> bool:
        block = self._connection.layout.raw_block(self._connection, first)
        return block is not None and self._reads(block._replace(records=data), need_columns=False)

    def _reads(self, block: RawBlock, *, need_columns: bool = True) -> bool:
        """Whether the records of a block read, and its metadata."""
        layout, first = self._connection.layout, block.head.first
        try:
            if need_columns:
                layout.check_parts(block, records=False)
            layout.check_parts(block, records=True)
            columns = blocks.decode_columns(first, block.head.entries, cast("bytes", block.columns))
            keyframe = layout.keyframe(self._connection, block.head.segment, first)
            prefix = blocks.decompressor(blocks.raw_prefix(blocks.decompress(keyframe, first)))
            plain = blocks.decompress(cast("bytes", block.records), first, prefix)
            layout.unpack_records(first, block.head.entries, columns.codecs, plain)
        except (CorruptHistory, ValueError, TypeError, AttributeError):
            return False
        return True

    def _settle_rows(self, first: int, count: int) -> None:
        """Where entries stand in a block and in the tail too, keep the block unless only the rows read."""
        block = self._connection.layout.raw_block(self._connection, first)
        if block is None or not self._connection.layout.is_certain(block):
            # How many entries it holds is not certain: rows that read are the better witness.
            if self._rows_read(first, first + 1):
                self._drop_block(first)
            return
        span = (first, first + count)
        held = self._connection.execute(f"SELECT count(*) {_WITHIN}", span).fetchone()[0]
        if not held:
            return
        if held == count and not self._reads(block) and self._rows_read(*span):
            self._drop_block(first)
        else:
            self._connection.execute(f"DELETE {_WITHIN}", span)

    def _drop_block(self, first: int) -> None:
        self._connection.execute("DELETE FROM block WHERE first = ?", (first,))
        self._connection.execute("DELETE FROM block_data WHERE first = ?", (first,))

    def _rows_read(self, start: int, stop: int) -> bool:
        try:
            return bool(read_rows(self._connection, start, stop))
        except (CorruptHistory, ValueError, TypeError):
            return False


def _text(name: object) -> str | None:
    try:
        return name.decode("utf-8", "surrogatepass") if isinstance(name, bytes) else None
    except UnicodeDecodeError:
        return None


__all__ = ["Salvaged", "salvage"]
