"""Reading a native file: entries, records and columns over one connection, and when an atom changed, without reading a record."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain, repeat, zip_longest
from pathlib import Path
from typing import Concatenate, Final, ParamSpec, Protocol, TypeVar

import zstandard

from unspool.codec.records import FULL_CODECS, PackedRecords, Record, RecordCodec, encode_full, replay
from unspool.errors import CorruptHistory, EntryNotFound, UnspoolError
from unspool.model.cache import BoundedCache
from unspool.model.entries import ChangeKind, Entry
from unspool.store import blocks
from unspool.store.blocks import CHANGE_KINDS, KIND_BITS, BlockColumns, TailRow, may_name, unpack_postings
from unspool.store.keeping import KEEP, bound_in, not_kept
from unspool.store.layout import HISTORY_ID, BlockHead, EndMark, FactValue, FileConnection, Piece, missing_name
from unspool.store.protocol import Columns, RecordRun
from unspool.store.recordings import End, Ending, ending_of
from unspool.store.schema import ReadConnection
from unspool.store.tail import (
    check_leap,
    missing_entry,
    newest_entry,
    read_rows,
    readable_rows,
    row_entry,
    rows_behind_gap,
    rows_without_gap,
)

_BATCHES: Final = (8, 32, 256)
"""Blocks whose bitmaps are read at a time; few at first, since whoever wants the nearest write finds it there."""

P = ParamSpec("P")
R = TypeVar("R")


class BlockSource(Protocol):
    """What is needed of a file's reader."""

    def call(self, query: Callable[Concatenate[FileConnection, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run a query in one consistent view."""

    def writes_in(self, piece: Piece, number: int) -> list[int]:
        """Return the entries of a piece that changed an atom."""


def writes_of(source: BlockSource, number: int, start: int, stop: int, *, backwards: bool) -> Iterator[int]:
    """Yield the entries from `start` to `stop - 1` that changed an atom, in order or backwards.

    Args:
        source: the file.
        number: the atom's number.
        start: first entry.
        stop: one past the last entry.
        backwards: newest first.
    """
    for span in _spans(source, number, start, stop, backwards):
        hits = source.writes_in(span, number) if isinstance(span, Piece) else span
        for seq in reversed(hits) if backwards else hits:
            if start <= seq < stop:
                yield seq


def _spans(source: BlockSource, number: int, start: int, stop: int, backwards: bool) -> Iterator[Piece | list[int]]:
    """Yield the blocks and spans that may name an atom, and the writes that the tail holds, as entries.

    A writer may seal the tail between two looks at the file: blocks count up to where they ended in one view, and
    the tail is read from there on in that same view.
    """
    if backwards:
        sealed, hits = source.call(_tail_writes, number, start, stop)
        yield hits
        yield from _blocks(source, number, start, min(sealed, stop), backwards)
        return
    after, sealed = start, source.call(_sealed_stop)
    while True:
        yield from _blocks(source, number, after, min(sealed, stop), backwards)
        after = max(after, sealed)
        sealed, hits = source.call(_tail_writes, number, after, stop)
        if sealed <= after or after >= stop:
            yield hits
            return


def _blocks(source: BlockSource, number: int, after: int, before: int, backwards: bool) -> Iterator[Piece]:
    """Yield the blocks and spans from `after` to `before - 1` that may name an atom.

    Raises:
        CorruptHistory: between them entries are missing, and nobody can say whether these changed the atom.
    """
    for size in chain(_BATCHES, repeat(_BATCHES[-1])):
        if after >= before:
            return
        found = source.call(_pieces, after, before, backwards, size)
        for piece in found:
            if backwards:
                if piece.stop < before:
                    raise missing_entry(before - 1)
                before = piece.first
            else:
                if piece.first > after:
                    raise missing_entry(after)
                after = piece.stop
            if may_name(piece.atoms, number):
                yield piece
        if len(found) < size:
            break
    if after < before:
        raise missing_entry(before - 1 if backwards else after)


def _tail_writes(connection: FileConnection, number: int, start: int, stop: int) -> tuple[int, list[int]]:
    """Return where the blocks end, and the entries behind them that changed an atom."""
    sealed = _sealed_stop(connection)
    rows = read_rows(connection, max(sealed, start), stop)
    for seq, row in enumerate(rows, max(sealed, start)):
        if row.seq != seq:
            raise missing_entry(seq)
    if len(rows) < stop - max(sealed, start):
        raise missing_entry(max(sealed, start) + len(rows))
    return sealed, [row.seq for row in rows if _names(row.changed, number)]


def _pieces(connection: FileConnection, after: int, before: int, backwards: bool, most: int) -> list[Piece]:
    return connection.layout.pieces(connection, after, before, backwards=backwards, most=most)


def _sealed_stop(connection: FileConnection) -> int:
    row = connection.execute("SELECT first + count FROM block ORDER BY first DESC LIMIT 1").fetchone()
    return int(row[0]) if row else 0


def _names(postings: Iterable[int], number: int) -> bool:
    return any(item >> KIND_BITS == number for item in postings)


_COLUMNS_KEPT: Final = 96
"""Blocks whose metadata stays decoded: a screenful of history and its surroundings."""
_SEGMENTS_KEPT: Final = 4


class FileReader:
    """Reads one file over one connection; safe to use from several threads."""

    def __init__(self, path: Path, *, live: bool = False) -> None:
        """Open a file.

        Args:
            path: the file.
            live: this process writes to it; otherwise what a writer left behind is looked at first.

        Raises:
            UnreadableSource, NewerSchema, CorruptHistory: see `connect_reader`.
        """
        self._path = path
        self._file = ReadConnection(path, live=live, reopened=self._forget)
        self._columns: BoundedCache[int, BlockColumns] = BoundedCache(_COLUMNS_KEPT)
        self._last: BlockColumns | None = None
        """Of the block that was looked at last: whoever asks for an entry mostly asks for its neighbours next."""
        self._segments: BoundedCache[int, zstandard.ZstdDecompressor] = BoundedCache(_SEGMENTS_KEPT)
        self._names: list[str] = []
        self._names_checked = (-1, -1)
        self._numbers: dict[str, int] = {}
        self._version = (-1, -1)
        self._end_told: tuple[tuple[int, int], tuple[str, str]] | None = None
        self.count = 0
        self.first = 0
        """The first entry that is kept."""
        self.bound = ""
        """See `MayBegin.bound`."""
        self._mark: EndMark | None = None
        self._mark_damage = ""
        try:
            self.history_id = self._file.history_id = self._read_history_id()
            self.refresh()
        except BaseException:
            self._file.close()
            raise

    def _forget(self) -> None:
        """A copy of the file may hold the same entries in other blocks."""
        self._columns.clear()
        self._last = None
        self._segments.clear()

    def _read_history_id(self) -> str:
        with self._file.reading() as connection:
            found = connection.layout.fact(connection, HISTORY_ID)
            if not isinstance(found, str) and connection.layout.tells_end:
                raise CorruptHistory(
                    "the file does not say which history it is; `unspool doctor FILE --repair OUT` gives it a new id"
                )
        return "" if found is None else str(found)

    def fact(self, key: str) -> FactValue:
        """Return a fact about the file; None where it says nothing."""
        with self._file.reading() as connection:
            return connection.layout.fact(connection, key)

    def refresh(self) -> int:
        """Look for new entries; return how many there are. Costs microseconds when nothing was written."""
        version = self._file.version()
        if version == self._version:
            return 0
        return self._recount(version)

    def recount(self) -> int:
        """Look for new entries even where SQLite saw no other writer (its own process may be the writer)."""
        return self._recount(self._version)

    def _recount(self, version: tuple[int, int]) -> int:
        with self._file.reading() as connection:
            layout = connection.layout
            self._read_mark(connection)
            last = newest_entry(connection, self._mark)
            check_leap(connection, max(self.count, self.first), last)
            for text in layout.names(connection, len(self._names)):
                self._numbers[text] = len(self._names)
                self._names.append(text)
            if self._mark is not None and len(self._names) < self._mark.names:
                raise missing_name(len(self._names))
        new = last + 1 - self.count
        # The writer of this very process may have counted further meanwhile.
        self.count = max(self.count, last + 1)
        self._version = version
        return max(new, 0)

    def _read_mark(self, connection: FileConnection) -> None:
        try:
            self._mark = connection.layout.end_mark(connection)
            self._mark_damage = ""
        except CorruptHistory as error:
            self._mark, self._mark_damage = None, str(error)
        first = connection.layout.lowest(connection) if self._mark is None else self._mark.first
        if first > self.first:
            self.begin_at(first, bound_in(connection.layout.fact(connection, KEEP)))

    def begin_at(self, first: int, bound: str) -> None:
        """Take note that the entries before `first` were dropped."""
        self.bound, self.first = bound, max(self.first, first)

    def _check_kept(self, seq: int) -> None:
        """Refuse an entry that was dropped.

        Raises:
            EntryNotKept: it was.
        """
        if 0 <= seq < self.first:
            raise not_kept(self._path.name, seq, self.first, self.bound)

    @contextmanager
    def _reading(self) -> Iterator[FileConnection]:
        """Give one view of the file; an entry that is not in it since a recorder dropped it meanwhile is said to be.

        Raises:
            EntryNotKept: it was dropped.
            CorruptHistory: it is damaged or missing.
        """
        with self._file.reading() as connection:
            try:
                yield connection
            except CorruptHistory as error:
                self._check_still_kept(connection, error)
                raise

    def _check_still_kept(self, connection: FileConnection, error: CorruptHistory) -> None:
        """Refuse an entry that cannot be read because a recorder dropped it meanwhile.

        Raises:
            EntryNotKept: it did.
        """
        self._read_mark(connection)
        if error.seq is not None:
            self._check_kept(error.seq)

    def atom_number(self, atom: str) -> int | None:
        """See `Store.atom_number`.

        Raises:
            CorruptHistory: there is no such name, and names are missing: it may be one of those.
        """
        if atom not in self._numbers:
            with self._file.reading() as connection:
                self.recount()
                if atom not in self._numbers:
                    self._check_names(connection)
        return self._numbers.get(atom)

    def _check_names(self, connection: FileConnection) -> None:
        """Refuse a table of names that ends before the numbers that entries of the tail go by."""
        looked_at = (self.count, len(self._names))
        if looked_at == self._names_checked:
            return
        for (changed,) in connection.execute("SELECT changed FROM tail"):
            highest = max(unpack_postings(changed), default=0) >> KIND_BITS
            if highest >= len(self._names) and len(changed):
                raise missing_name(highest)
        self._names_checked = looked_at

    def atom_name(self, number: int) -> str:
        """Return an atom's name; raises KeyError for an unknown number."""
        try:
            return self._names[number]
        except IndexError:
            self.recount()
        try:
            return self._names[number]
        except IndexError:
            raise KeyError(number) from None

    def names(self) -> list[str]:
        """Return the names of all atoms, by number."""
        return list(self._names)

    def entries(self, start: int, stop: int) -> list[Entry]:
        """See `Store.entries`."""
        start, stop = max(start, self.first), min(stop, self.count)
        found: list[Entry] = []
        with self._reading() as connection:
            while start < stop:
                columns = self._columns_at(connection, start)
                if columns is None:
                    rows = read_rows(connection, start, stop)
                    for seq, row in zip_longest(range(start, stop), rows):
                        # A damaged tree may lead to one row twice.
                        if row is None or row.seq != seq:
                            raise missing_entry(stop - 1 if seq is None else seq)
                    found.extend(row_entry(row, self.history_id) for row in rows)
                    break
                end = min(stop, columns.first + len(columns.times))
                places = range(start - columns.first, end - columns.first)
                found.extend(columns.entry(at, self.history_id) for at in places)
                start = end
        return [self._rebased(entry) for entry in found] if self.first else found

    def _rebased(self, entry: Entry) -> Entry:
        """Return an entry without what it follows or stands on where that was dropped."""
        if (entry.parent_seq is None or entry.parent_seq >= self.first) and (entry.base_seq or 0) >= self.first:
            return entry
        parent = entry.parent_seq if entry.parent_seq is not None and entry.parent_seq >= self.first else None
        base = entry.base_seq if entry.base_seq is not None and entry.base_seq >= self.first else None
        return replace(entry, parent_seq=parent, base_seq=base)

    def fill(self, columns: Columns) -> None:
        """See `Store.fill`."""
        with self._file.reading() as connection:
            if self.first and not len(columns):
                columns.begin_at(self.first)
            start = len(columns)
            held = self._columns_if_readable(connection, start) if start else None
            if held is not None and held.first < start:
                for at in range(start - held.first, len(held.times)):
                    columns.append(held.entry(at, self.history_id), RecordCodec(held.codecs[at]))
            connection.layout.fill(connection, columns, self.count)
            for row in readable_rows(connection, len(columns), self.count):
                if row.seq < len(columns):
                    # A damaged tree leads to one row twice.
                    continue
                columns.add_holes(row.seq)
                columns.append(row_entry(row, self.history_id), row.record.codec)
            columns.add_holes(self.count)

    def _columns_at(self, connection: FileConnection, seq: int) -> BlockColumns | None:
        last = self._last
        if last is not None and 0 <= seq - last.first < len(last.times) and self._file.is_settled:
            return last
        head = connection.layout.block_at(connection, seq)
        if head is None:
            return None
        self._last = found = self._block_columns(connection, head)
        return found

    def _columns_if_readable(self, connection: FileConnection, seq: int) -> BlockColumns | None:
        try:
            return self._columns_at(connection, seq)
        except CorruptHistory:
            return None

    def _block_columns(self, connection: FileConnection, head: BlockHead) -> BlockColumns:
        known = self._columns.get(head.first)
        if known is not None:
            return known
        columns = connection.layout.columns(connection, head.first, head.entries)
        self._columns.put(head.first, columns)
        return columns

    def run(self, seq: int) -> RecordRun:
        """See `Store.run`."""
        if not self.first <= seq < self.count:
            self._check_kept(seq)
            raise EntryNotFound(f"{self._path} has no entry {seq}: it has {self.count}")
        # As `_reading` does, which takes as long as a small run: every far look begins here.
        with self._file.reading() as connection:
            try:
                run = connection.layout.run_at(connection, seq, self._prefix)
                return self._tail_run(connection, seq) if run is None else run
            except CorruptHistory as error:
                self._check_still_kept(connection, error)
                raise

    def _prefix(self, connection: FileConnection, segment: int, first: int) -> zstandard.ZstdDecompressor:
        """Return what reads a segment's blocks; only to be used while the connection is held."""
        known = self._segments.get(segment)
        if known is None:
            data = connection.layout.keyframe(connection, segment, first)
            keyframe = blocks.raw_prefix(blocks.decompress(data, first))
            known = blocks.decompressor(keyframe)
            self._segments.put(segment, known)
        return known

    def _tail_run(self, connection: FileConnection, seq: int) -> RecordRun:
        query = f"SELECT max(seq) FROM tail WHERE seq <= ? AND codec IN {FULL_CODECS}"  # noqa: S608 - ours
        full = connection.execute(query, (seq,)).fetchone()[0]
        if full is not None:
            rows = rows_without_gap(connection, full, seq, self.count)
            return RecordRun(full, PackedRecords.of(row.record for row in rows))
        start = connection.execute("SELECT min(seq) FROM tail").fetchone()[0]
        if start is None or start == 0:
            raise missing_entry(seq if start is None else start)
        layout = connection.layout
        sealed, head = layout.run_at(connection, start - 1, self._prefix), layout.block_at(connection, start - 1)
        if sealed is None or head is None:
            raise missing_entry(start - 1)
        # The chain began in a sealed block: its last state stands in for the full record.
        base = replay(sealed, start - 1, self.atom_name)
        stand_in = Record(RecordCodec.NONE, encode_full(base, self.number_of))
        rows = rows_without_gap(connection, start, seq, self.count, head.after)
        return RecordRun(start - 1, PackedRecords.of([stand_in, *(row.record for row in rows)]))

    def number_of(self, atom: str) -> int:
        """Return an atom's number; raises KeyError for an unknown name."""
        return self._numbers[atom]

    def changed(self, seq: int) -> tuple[tuple[str, ChangeKind], ...]:
        """See `Store.changed`."""
        if not self.first <= seq < self.count:
            self._check_kept(seq)
            raise EntryNotFound(f"{self._path} has no entry {seq}: it has {self.count}")
        with self._reading() as connection:
            columns = self._columns_at(connection, seq)
            if columns is None:
                rows = read_rows(connection, seq, seq + 1)
                if not rows:
                    raise missing_entry(seq)
                postings = rows[0].changed
            else:
                postings = columns.postings(seq - columns.first)
        try:
            return tuple((self.atom_name(item >> KIND_BITS), CHANGE_KINDS[item & 3]) for item in postings)
        except (KeyError, IndexError):
            raise CorruptHistory(f"entry {seq} names an atom that the file does not know", seq=seq) from None

    def writes(self, atom: str, start: int, stop: int, *, backwards: bool = False) -> Iterator[int]:
        """See `Store.writes`; one batch of blocks is read at a time, so taking only the first hit is cheap."""
        number = self.atom_number(atom)
        if number is not None:
            yield from self._writes_of(number, max(start, self.first), min(stop, self.count), backwards)

    def _writes_of(self, number: int, start: int, stop: int, backwards: bool) -> Iterator[int]:
        """Yield the writes of an atom; those in blocks that a recorder drops meanwhile are passed over as if asked later."""
        while True:
            try:
                yield from writes_of(self, number, start, stop, backwards=backwards)
                return
            except CorruptHistory as error:
                self.recount()
                if error.seq is None or error.seq >= self.first:
                    raise
            if backwards:
                # All that is kept was reported before the place was reached whose blocks went.
                return
            start = self.first

    def writes_in(self, piece: Piece, number: int) -> list[int]:
        """Return the entries of a block or span that changed an atom."""
        with self._file.reading() as connection:
            return connection.layout.writes_in(connection, piece, number)

    def verify(self, first: int, count: int) -> None:
        """Read a block and throw it away.

        Raises:
            CorruptHistory: a checksum differs, or the block is not what its metadata says.
        """
        with self._reading() as connection:
            connection.layout.columns(connection, first, count)
            connection.layout.run_at(connection, first, self._prefix)

    def rows(self, start: int, run: RecordRun) -> Iterator[TailRow]:
        """Yield the entries of a run from `start` on as rows, the way the tail held them.

        The record of a block's first entry comes as the plain full one that the block keeps, whatever its codec was.
        """
        with self._reading() as connection:
            columns = self._columns_at(connection, start)
            if columns is None:
                yield from read_rows(connection, start, run.stop)
                return
        for at in range(start - columns.first, len(columns.times)):
            payload = run.records[columns.first + at - run.first].payload
            yield TailRow(
                columns.first + at, columns.times[at], Record(RecordCodec(columns.codecs[at]), payload),
                columns.full[at], columns.actions[columns.action_of[at]], columns.postings(at),
                columns.extras.get(at, {}), columns.stored[at],
            )  # fmt: skip

    @property
    def damage(self) -> str:
        """What cannot be read as it was left: by its log, or by what the file says of its end; "" for nothing."""
        return self._file.damage or self._told_of_end()[0]

    @property
    def doubt(self) -> str:
        """Why entries may be missing though nothing is known to be damaged; "" for no reason."""
        return self._told_of_end()[1]

    def _told_of_end(self) -> tuple[str, str]:
        """Return damage and doubt as the end of the file tells them, looked at once for each state of the file."""
        if self._end_told is None or self._end_told[0] != self._version:
            self._end_told = (self._version, self._look_at_end())
        return self._end_told[1]

    def _look_at_end(self) -> tuple[str, str]:
        try:
            ending = self.ending()
            behind = self.call(rows_behind_gap)
        except UnspoolError as error:
            return str(error), ""
        if behind:
            return (
                f"{behind} of the newest entries stand behind one that is missing, so that their numbers are not certain",
                "",
            )
        if ending.end is End.CONTRADICTED or (ending.end is End.UNKNOWN and self._mark_damage):
            return ending.message, ""
        if ending.end is End.NOT_CLOSED and self._file.is_at_rest:
            return "", f"{ending.message}; was it copied without its -wal file?"
        return "", ""

    def ending(self) -> Ending:
        """Return how the file ends."""
        with self._file.reading() as connection:
            self._read_mark(connection)
            if self._mark_damage:
                return Ending(End.UNKNOWN, self._mark_damage)
            return ending_of(self._path, connection, self._mark)

    def call(self, query: Callable[Concatenate[FileConnection, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run a query of another room of the store over this connection, in one consistent view."""
        with self._file.reading() as connection:
            return query(connection, *args, **kwargs)

    def close(self) -> None:
        """Close the file."""
        self._file.close()
