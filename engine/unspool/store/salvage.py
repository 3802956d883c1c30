"""Saving the rows of a damaged file: every row of ours on any of its pages, put into a new file that SQLite can read.

Pages are read without SQLite. Neither the schema nor inner pages nor the list of free pages is trusted: each page that looks
like a leaf is taken for one, from the file itself and from every frame of its log. A row is recognised by its shape, and where
the same one is found in several states, the one whose checksum holds is taken. What does not hold is kept too where there is
nothing better, so that the doctor can name it.
"""

from __future__ import annotations

import os
import sqlite3
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from struct import Struct
from typing import Any, Final, cast

from unspool import system
from unspool.errors import CorruptHistory, UnspoolError
from unspool.store import blocks
from unspool.store.databases import open_untouched, page_size_in
from unspool.store.layout import END, FileConnection, Layout, RawBlock
from unspool.store.layout_1 import FirstLayout
from unspool.store.layout_2 import SecondLayout
from unspool.store.schema import APPLICATION_ID, LAYOUTS
from unspool.store.tail import read_rows
from unspool.store.wal import PAGE_SIZES, WalFrame, WalScan, WalState, kept_log, log_of, scan_wal

Field = None | int | float | str | bytes
"""A value of a row."""
_TABLE_LEAF: Final = 0x0D
_INDEX_LEAF: Final = 0x0A
_INDEX_INNER: Final = 0x02
_USUAL_PAGE_SIZE: Final = 1024
_FIRST_PAGE_HEADER: Final = 100
_TRIED: Final = 1 << 18
"""Bytes of the file that a size of its pages is tried on."""
_MOST_RESERVED: Final = 64
"""Bytes at the end of each page that are left to extensions; ours has none."""
_LARGEST_ROW: Final = 1 << 30
_INTEGER_BYTES: Final = (0, 1, 2, 3, 4, 6, 8)
_DOUBLE: Final = Struct(">d")
_MAIN: Final = -1
"""Where the pages of the file itself stand among those of its log: before all."""


@dataclass(frozen=True, slots=True)
class FoundRow:
    """One row of a leaf.

    Attributes:
        rowid: its number; None in an index, and in a table that is kept as one.
        fields: its values.
        is_certain: the page it stands on is what was written, as far as anybody can say.
        is_in_log: it stands on a page of the log.
    """

    rowid: int | None
    fields: tuple[Field, ...]
    is_certain: bool
    is_in_log: bool = False


class DatabasePages:
    """All page images of a database and its log."""

    def __init__(self, path: Path, log: Path | None = None) -> None:
        """Open both.

        Args:
            path: the database itself, not a link to it; one that is gone has no pages where a log is named.
            log: the log; the one beside the database where None.

        Raises:
            OSError: it cannot be read.
            UnreadableSource: its log cannot be read.
        """
        is_gone = log is not None and not path.exists()
        self._main = os.open(os.devnull if is_gone else path, system.TO_READ)
        self._log = -1
        log = log_of(path) if log is None else log
        self.page_size = self._usable = _USUAL_PAGE_SIZE
        self.size = os.fstat(self._main).st_size
        head = system.read_at(self._main, _FIRST_PAGE_HEADER, 0)
        claimed = page_size_in(head)
        self.log: WalScan | None = scan_wal(log, claimed)
        if self.log is not None:
            with suppress(OSError):
                self._log = os.open(log, system.TO_READ)
        self._frames: Sequence[WalFrame] = () if self.log is None or self._log < 0 else self.log.frames
        self._versions: dict[int, list[int]] = {}
        for place, frame in enumerate(self._frames):
            if frame.holds:
                self._versions.setdefault(frame.page, []).append(place)
        self._commits = [place for place, frame in enumerate(self._frames) if frame.commit and frame.holds]
        self._use(self._page_size(claimed))
        reserved = int.from_bytes(head[20:21])
        if claimed == self.page_size and reserved <= _MOST_RESERVED:
            self._usable = self.page_size - reserved
        self.claimed_count = int.from_bytes(head[28:32]) if claimed == self.page_size else 0
        """Pages that the file says it has; 0 where it does not say."""

    def _use(self, page_size: int) -> None:
        """Take pages to be of some size."""
        self.page_size = self._usable = page_size
        self.count = -(-self.size // page_size)
        self._budget = 4 * (self.size + len(self._frames) * page_size) + (64 << 20)

    def _page_size(self, claimed: int) -> int:
        if self.log is not None and self.log.frames:
            return self.log.page_size
        # Among sizes that fit as well, the one that the file names, and then the usual one.
        sizes = sorted(PAGE_SIZES, key=lambda size: (size != claimed, size != _USUAL_PAGE_SIZE))
        return max(sizes, key=self._rows_by)

    def _rows_by(self, page_size: int) -> int:
        """Return how many rows the beginning of the file holds if pages are of some size."""
        self._use(page_size)
        numbers = range(1, min(self.count, _TRIED // page_size) + 1)
        seen: set[int] = set()
        return sum(
            sum(1 for _ in self._rows_of(number, self._main_page(number), _MAIN, seen, is_certain=True))
            for number in numbers
        )

    def rows(self) -> Iterator[FoundRow]:
        """Yield the rows of all leaves: those of damaged frames first, then the file's, then those of the log in order.

        Rows of pages that are the same twice come once, and once more where only the first page is damaged.
        """
        seen: set[int] = set()
        for place, frame in enumerate(self._frames):
            if not frame.holds:
                yield from self._rows_of(frame.page, self._log_page(place), place, seen, is_certain=False)
        seen = set()
        for number in range(1, self.count + 1):
            yield from self._rows_of(number, self._main_page(number), _MAIN, seen, is_certain=True)
        for place, frame in enumerate(self._frames):
            if frame.holds:
                yield from self._rows_of(frame.page, self._log_page(place), place, seen, is_certain=True)

    def _main_page(self, number: int) -> bytes:
        """Return a page of the file: less of the last one where the file ends in it."""
        return system.read_at(self._main, self.page_size, (number - 1) * self.page_size)

    def _log_page(self, place: int) -> bytes:
        data = system.read_at(self._log, self.page_size, self._frames[place].offset)
        return data if len(data) == self.page_size else b""

    def _page_as_of(self, number: int, place: int) -> bytes:
        """Return a page as it was when the transaction ended that a frame belongs to."""
        versions = self._versions.get(number)
        if versions and place != _MAIN:
            at = bisect_right(self._commits, place - 1)
            end = self._commits[at] if at < len(self._commits) else len(self._frames)
            found = bisect_right(versions, end)
            if found:
                return self._log_page(versions[found - 1])
        data = self._main_page(number)
        if not data and versions:
            return self._log_page(versions[0])
        return data

    def _rows_of(
        self, number: int, page: bytes, place: int, seen: set[int], *, is_certain: bool
    ) -> Iterator[FoundRow]:
        start = _FIRST_PAGE_HEADER if number == 1 else 0
        if len(page) <= start + 8 or page[start] not in (_TABLE_LEAF, _INDEX_LEAF, _INDEX_INNER):
            return
        kind = page[start]
        pointers = start + (12 if kind == _INDEX_INNER else 8)
        cells = min(int.from_bytes(page[start + 3 : start + 5]), (self._usable - pointers) // 2)
        for cell in range(cells):
            # SQLite leaves out the bits that no place on a page has, so a row is reached though one of them is damaged.
            at = int.from_bytes(page[pointers + 2 * cell : pointers + 2 * cell + 2]) & (self.page_size - 1)
            if not pointers + 2 * cells <= at < self._usable:
                continue
            with suppress(IndexError, ValueError, OverflowError):
                # What runs over its bounds is no row; the others of the page may be.
                row = self._cell(page, at, kind, place, seen, is_certain=is_certain)
                if row is not None:
                    yield row

    def _cell(
        self, page: bytes, at: int, kind: int, place: int, seen: set[int], *, is_certain: bool
    ) -> FoundRow | None:
        start = at
        at += 4 if kind == _INDEX_INNER else 0
        size, at = _varint(page, at)
        rowid: int | None = None
        if kind == _TABLE_LEAF:
            rowid, at = _varint(page, at)
            rowid -= 1 << 64 if rowid >= 1 << 63 else 0
        local = self._local_size(size, is_table=kind == _TABLE_LEAF)
        stop = at + local + (4 if local < size else 0)
        if not 0 < size <= _LARGEST_ROW or stop > min(self._usable, len(page)):
            return None
        mark = hash((rowid, page[start:stop]))
        if mark in seen:
            return None
        seen.add(mark)
        payload = page[at : at + local]
        if local < size:
            payload = self._with_overflow(payload, int.from_bytes(page[at + local : stop]), size, place)
        return FoundRow(rowid, _fields(payload), is_certain, place != _MAIN)

    def _local_size(self, size: int, *, is_table: bool) -> int:
        """Return how many bytes of a row stand on its leaf."""
        usable = self._usable
        most = usable - 35 if is_table else (usable - 12) * 64 // 255 - 23
        if size <= most:
            return size
        least = (usable - 12) * 32 // 255 - 23
        fitting = least + (size - least) % (usable - 4)
        return fitting if fitting <= most else least

    def _with_overflow(self, payload: bytes, number: int, size: int, place: int) -> bytes:
        """Return a row with what stands on its further pages.

        Raises:
            ValueError: one of them is missing, or leads nowhere.
        """
        parts, length = [payload], len(payload)
        while length < size:
            page = self._page_as_of(number, place) if number else b""
            self._budget -= len(page)
            if not page or self._budget < 0:
                raise ValueError("a page of the row is missing")
            wanted = min(self._usable - 4, size - length)
            number, part = int.from_bytes(page[:4]), page[4 : 4 + wanted]
            if len(part) < wanted:
                raise ValueError("a page of the row ends early")
            parts.append(part)
            length += len(part)
        return b"".join(parts)

    def close(self) -> None:
        """Close both files."""
        for descriptor in (self._main, self._log):
            if descriptor >= 0:
                os.close(descriptor)


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """Return the number that begins at a place, and where it ends; raises IndexError beyond the end."""
    value = 0
    for place in range(at, at + 8):
        byte = data[place]
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, place + 1
    return value << 8 | data[at + 8], at + 9


def _fields(payload: bytes) -> tuple[Field, ...]:
    """Return the values of a row.

    Raises:
        IndexError, ValueError: it is no row.
    """
    end, at = _varint(payload, 0)
    if end > len(payload):
        raise ValueError("its header is longer than the row")
    found: list[Field] = []
    place = end
    while at < end:
        kind, at = _varint(payload, at)
        size = _INTEGER_BYTES[kind] if kind <= 6 else 8 if kind == 7 else (kind - 12) // 2 if kind >= 12 else 0
        data = payload[place : place + size]
        if len(data) != size or kind in (10, 11):
            raise ValueError("a value runs over the end of the row")
        found.append(_field(kind, data))
        place += size
    if place != len(payload):
        raise ValueError("the row is longer than its values")
    return tuple(found)


def _field(kind: int, data: bytes) -> Field:
    if kind == 0:
        return None
    if kind <= 6:
        return int.from_bytes(data, signed=True)
    if kind == 7:
        value: float = _DOUBLE.unpack(data)[0]
        return value
    if kind <= 9:
        return kind - 8
    return data if kind % 2 == 0 else data.decode("utf-8")


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
            until: the first entry that only a log reports rightly; None where file and log belong together.
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


__all__ = ["DatabasePages", "Field", "FoundRow", "Salvaged", "salvage"]
