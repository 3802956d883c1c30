"""A native file as the doctor walks over it: names of atoms, states over its own connection, and facts of the whole file."""

from __future__ import annotations

import sqlite3
from bisect import bisect_right
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

from unspool.codec.records import FULL_CODECS, PackedRecords, Record, RecordCodec, encode_full, replay
from unspool.errors import CorruptHistory, NewerSchema, UnreadableSource, UnspoolError
from unspool.files import ScratchFolder
from unspool.model.cache import BoundedCache
from unspool.model.wire import EncodedState
from unspool.query.doctor.blocks import (
    BlockKey,
    BlockReader,
    ReadBlock,
    Replayer,
    block_keys,
    check_database,
    check_end,
    check_tables,
    last_entry,
    read_both_ways,
    reason,
    tail_seqs,
)
from unspool.query.doctor.findings import FARTHEST_ATOM, Code, Facts, Fault, Names, Report, Step
from unspool.store.blocks import TailRow
from unspool.store.databases import DatabaseView, damage_of_log, stamp_of
from unspool.store.keeping import KEEP, bound_in, by_bound
from unspool.store.layout import FileConnection, Layout
from unspool.store.protocol import RecordRun
from unspool.store.salvage import Salvaged, salvage
from unspool.store.schema import OpenedFile, connect_reader, has_known_tables
from unspool.store.tail import read_rows
from unspool.store.wal import WalState, kept_log, kept_logs, scan_wal

_TABLE: Final = "SELECT id, name FROM atom ORDER BY id"
_INDEX: Final = "SELECT id, name FROM atom INDEXED BY sqlite_autoindex_atom_1 ORDER BY name"


def read_names(connection: FileConnection, report: Report) -> Names:
    """Read the names of atoms; a name that is lost or damaged gets a placeholder."""
    known: dict[int, str] = {}
    told: set[int] = set()
    rows = read_both_ways(connection, _TABLE, "atom", report)
    twins = _names_by_index(connection)
    damaged = _damaged(connection)
    for number, data in rows:
        if not 0 <= number < len(rows) + FARTHEST_ATOM:
            report(Code.UNKNOWN_ATOM, None, None, f"the table of names has a row numbered {number}")
            continue
        name, twin = None if number in damaged else _text(data), twins.get(number)
        if name is None:
            told.add(number)
            report(Code.UNKNOWN_ATOM, None, None, f"the name of atom {number} is damaged")
        elif twin is not None and twin != name:
            # Either copy may be the damaged one.
            told.add(number)
            report(Code.UNKNOWN_ATOM, None, None, f"the name of atom {number} is {name!r} or {twin!r}")
        else:
            known[number] = name
    stop = max((*known, *told), default=-1) + 1
    missing = [number for number in range(stop) if number not in known and number not in told]
    for number in missing:
        # Readers refuse a file with a gap among its names, whether an entry uses the name or not.
        report(Code.UNKNOWN_ATOM, None, None, f"the name of atom {number} is missing")
    return Names(known, [*sorted(told), *missing])


def _names_by_index(connection: FileConnection) -> dict[int, str]:
    """Return the names from the index over them; nothing where that does not read."""
    try:
        rows = connection.execute(_INDEX).fetchall()
    except sqlite3.DatabaseError:
        return {}
    texts = ((number, _text(data)) for number, data in rows if type(number) is int)
    return {number: name for number, name in texts if name is not None}


def _damaged(connection: FileConnection) -> Collection[int]:
    """Return the numbers of names whose checksums say that they are damaged."""
    try:
        return connection.layout.damaged_names(connection)
    except (sqlite3.DatabaseError, CorruptHistory, TypeError):
        # What cannot be read is reported where the table is read both ways.
        return ()


def _text(data: object) -> str | None:
    try:
        return data.decode("utf-8", "surrogatepass") if isinstance(data, bytes) else None
    except UnicodeDecodeError:
        return None


_BLOCKS_KEPT: Final = 4


class StateLookup:
    """Rebuilds states of a native file over the doctor's own connection."""

    def __init__(self, connection: FileConnection, names: Names) -> None:
        """Prepare; nothing is read yet."""
        self._connection = connection
        self._names = names
        self._reader = BlockReader(connection, silent)
        self._keys: list[BlockKey] = []
        self._blocks: BoundedCache[int, ReadBlock] = BoundedCache(_BLOCKS_KEPT)

    def state(self, seq: int) -> EncodedState | None:
        """Return the state at an entry, or None where it does not read."""
        try:
            return self._sealed(seq) if self._holding(seq) else self._live(seq)
        except (UnspoolError, sqlite3.DatabaseError, TypeError, ValueError):
            return None

    def _holding(self, seq: int) -> BlockKey | None:
        if not self._keys or seq >= self._keys[-1].first + self._keys[-1].count:
            self._keys = block_keys(self._connection, silent)
        place = bisect_right(self._keys, seq, key=lambda key: key.first) - 1
        if place < 0:
            return None
        key = self._keys[place]
        return key if seq < key.first + key.count else None

    def _sealed(self, seq: int) -> EncodedState | None:
        key = self._holding(seq)
        if key is None:
            return None
        block = self._blocks.get(key.first)
        if block is None:
            block = self._reader.read(key, key.first + key.count)
            self._blocks.put(key.first, block)
        if not block.records:
            return None
        return replay(RecordRun(key.first, PackedRecords.of(block.records)), seq, self._names.__getitem__)

    def _live(self, seq: int) -> EncodedState | None:
        full = self._connection.execute(
            f"SELECT max(seq) FROM tail WHERE seq <= ? AND codec IN {FULL_CODECS}",  # noqa: S608 - ours
            (seq,),
        ).fetchone()[0]
        first: int | None = full
        head: list[Record] = []
        if first is None:
            first = self._connection.execute("SELECT min(seq) FROM tail WHERE seq <= ?", (seq,)).fetchone()[0]
            # The chain began in the last block: its state stands in for the full snapshot.
            base = self._sealed(first - 1) if first else None
            if first is None or base is None:
                return None
            head = [Record(RecordCodec.NONE, encode_full(base, self._number_of(base).__getitem__))]
        rows = read_rows(self._connection, first, seq + 1)
        if [row.seq for row in rows] != list(range(first, seq + 1)):
            return None
        records = PackedRecords.of([*head, *(row.record for row in rows)])
        return replay(RecordRun(first - len(head), records), seq, self._names.__getitem__)

    def _number_of(self, state: EncodedState) -> dict[str, int]:
        return {name: number for number, name in self._names.items() if name in state}


def silent(code: Code, first: int | None, last: int | None, text: str) -> None:
    """Report nothing: what is found here was reported when the file was walked over."""
    del code, first, last, text


_TAIL_BATCH: Final = 256


def _never() -> bool:
    return False


class FileWalk:
    """A native file as a `ChainedSource`. Holds one block at a time, however large the file is."""

    def __init__(self, path: Path, report: Report, cancelled: Callable[[], bool] = _never) -> None:
        """Open a file; one that SQLite cannot read soundly is read page by page instead.

        Args:
            path: the file.
            report: told what is found besides faults of entries.
            cancelled: called to find out whether to stop looking.

        Raises:
            UnreadableSource, NewerSchema, CorruptHistory: it cannot be read, or holds nothing of a history.
        """
        self.path = path
        self.name = path.name
        self._report = report
        self._cancelled = cancelled
        self._stamp = stamp_of(path)
        self._scratch: ScratchFolder | None = None
        self.connection, self._opened_as = self._open()
        try:
            self._names = read_names(self.connection, report)
            self.keys = block_keys(self.connection, report)
            self.total = last_entry(self.connection, self.keys, report) + 1
        except (sqlite3.Error, UnspoolError):
            self.close()
            raise
        mark = check_end(self.connection, path, report)
        self.first = self.connection.layout.lowest(self.connection) if mark is None else mark.first
        self._report_dropped()
        # What a page still holds of blocks that were dropped is none of the history any more.
        self.keys = [key for key in self.keys if key.stop > self.first]
        # Entries that were there once and are nowhere now are missing, not fewer.
        self.total = max(self.total, 0 if mark is None else mark.entries)
        self._blocks = BlockReader(self.connection, report)
        self._lookup = StateLookup(self.connection, self._names)

    def _open(self) -> OpenedFile:
        if kept_log(self.path) is not None:
            scan = scan_wal(self.path)
            if scan is not None:
                self._report(Code.LOG_DAMAGED, None, None, f"the log that was kept: {scan.meaning}")
            return self._saved(None)
        for kept in kept_logs(self.path.resolve()):
            text = f"a recorder went on without what stood in a damaged log; the log is kept as {kept.path.name}"
            self._report(Code.LOG_KEPT, None, None, text)
        log = damage_of_log(self.path.resolve())
        if log is not None:
            code = Code.LOG_DAMAGED if log.state is WalState.DAMAGED else Code.LOG_TORN
            self._report(code, None, None, f"the log beside it (-wal): {log.meaning}")
        try:
            opened = connect_reader(self.path, is_lenient=True)
        except (UnreadableSource, CorruptHistory) as error:
            is_newer = isinstance(error, NewerSchema) and not has_known_tables(self.path)
            if is_newer or not self.path.is_file():
                raise
            return self._saved(error)
        try:
            check_tables(opened.connection, self.path)
            is_sound = check_database(opened.connection, self._report, self._cancelled)
        except CorruptHistory as error:
            opened.connection.close()
            return self._saved(error)
        if log is None and is_sound:
            return opened
        opened.connection.close()
        return self._saved(None)

    def _saved(self, error: UnspoolError | None) -> OpenedFile:
        """Open a file of all rows that stand on pages of the damaged one.

        Args:
            error: why SQLite cannot read that at all, if it cannot.

        Raises:
            UnreadableSource: it holds nothing of a history.
        """
        self._scratch = ScratchFolder()
        try:
            saved = salvage(self.path, self._scratch.path, self._cancelled)
            self._report_saved(saved, error)
            return connect_reader(saved.path, live=False, is_lenient=True)
        except OSError as failure:
            self._scratch.close()
            raise UnreadableSource(f"{self.path}: cannot be read ({failure.strerror}); check the disk") from None
        except (UnspoolError, sqlite3.Error):
            self._scratch.close()
            raise

    def _report_saved(self, saved: Salvaged, error: UnspoolError | None) -> None:
        said = "" if error is None else reason(error)
        for name in (self.path, self.path.absolute(), self.path.resolve()):
            said = said.removeprefix(f"{name}: ")
        if not any(saved.rows.values()):
            why = f" ({said})" if said else ""
            raise UnreadableSource(f"{self.path}: nothing of a history was found in it{why}; restore it from a copy")
        if error is not None:
            self._report(
                Code.SQLITE_DAMAGE,
                None,
                None,
                f"SQLite cannot read it ({said}), so its rows were looked for on its pages",
            )
        if saved.missing_pages:
            text = f"the file ends {saved.missing_pages} pages early; what stood there is lost"
            self._report(Code.SQLITE_DAMAGE, None, None, text)

    def _report_dropped(self) -> None:
        if self.first:
            bound = self.connection.layout.facts(self.connection, []).get(KEEP)
            gone = "entry 0 was" if self.first == 1 else f"entries 0 to {self.first - 1} were"
            self._report(
                Code.NOT_KEPT, None, None, f"{gone} dropped by {by_bound(bound_in(bound))}, as was asked for"
            )

    @property
    def names(self) -> Names:
        """See `ChainedSource.names`."""
        return self._names

    def steps(self) -> Iterator[Step]:
        """See `ChainedSource.steps`; what a recorder drops meanwhile is passed over."""
        for step in self._steps():
            if step.fault is None or not self._is_dropped(step.last):
                yield step

    def _is_dropped(self, seq: int) -> bool:
        """Whether an entry that cannot be read was dropped since the file was opened."""
        if self._opened_as is DatabaseView.FOLLOWED:
            with suppress(sqlite3.DatabaseError, CorruptHistory):
                mark = self.connection.layout.end_mark(self.connection)
                self.first = max(self.first, 0 if mark is None else mark.first)
        return seq < self.first

    def _steps(self) -> Iterator[Step]:
        replayer = Replayer(self._names.__getitem__)
        links = _Links(self.connection.layout, self._report, self.first)
        cursor = self.first
        keys = self.keys
        while True:
            for key, stop in _bounded(keys, self.total):
                for step in self._block(key, stop, cursor, replayer, links):
                    yield step
                    cursor = step.last + 1
            with self._view():
                # A writer may have sealed rows of the tail meanwhile; both are looked at in one view.
                keys = [key for key in block_keys(self.connection, silent) if cursor <= key.first < self.total]
                rows = [] if keys else self._tail(cursor, self.total)
            if not keys and not rows:
                break
            for step in _in_order(rows, cursor, self.total, replayer):
                yield step
                cursor = step.last + 1
            links.see_rows(rows)
        if cursor < self.total:
            yield _gap(cursor, self.total - 1, replayer)

    @contextmanager
    def _view(self) -> Iterator[None]:
        self.connection.execute("BEGIN")
        try:
            yield
        finally:
            # Nothing was written; a damaged page fails the end of a view as it failed the reading in it.
            with suppress(sqlite3.DatabaseError):
                self.connection.execute("ROLLBACK")

    def _block(self, key: BlockKey, stop: int, cursor: int, replayer: Replayer, links: _Links) -> Iterator[Step]:
        """Yield the entries of a block from `cursor` on, and before it what the tail has of those that no block holds."""
        while cursor < key.first:
            rows = self._tail(cursor, key.first)
            for step in _in_order(rows, cursor, key.first, replayer):
                yield step
                cursor = step.last + 1
            links.see_rows(rows)
            if not rows:
                yield _gap(cursor, key.first - 1, replayer)
                cursor = key.first
        if stop <= cursor:
            return
        block = self._blocks.read(key, stop)
        links.visit(key.first, key.first + key.count, block.before, block.after)
        if block.facts is None:
            yield from self._without_facts(key.first, stop, cursor, block, replayer)
            return
        for at, facts in enumerate(block.facts):
            seq = key.first + at
            if block.fault is not None:
                replayer.lose(seq)
                step = Step(seq, seq, facts, block.fault)
            else:
                step = replayer.step(seq, facts, block.records[at])
            if cursor <= seq < self.total:
                yield step

    def _without_facts(
        self, first: int, stop: int, cursor: int, block: ReadBlock, replayer: Replayer
    ) -> Iterator[Step]:
        """Yield the entries of a block whose metadata is lost: each with its state, if its record reads."""
        if not block.records:
            replayer.lose(first)
            yield Step(cursor, stop - 1, fault=block.fault)
            return
        for seq, record in enumerate(block.records, first):
            step = replayer.step(seq, None, record)
            if cursor <= seq < self.total:
                yield replace(step, fault=step.fault or block.fault)

    def _tail(self, start: int, stop: int) -> list[tuple[int, TailRow | Fault]]:
        seqs = tail_seqs(self.connection, start, _TAIL_BATCH, self._report)
        return [(seq, self._tail_row(seq)) for seq in seqs if seq < stop]

    def _tail_row(self, seq: int) -> TailRow | Fault:
        try:
            row = read_rows(self.connection, seq, seq + 1)[0]
        except CorruptHistory as error:
            is_newer = "codec" in str(error)
            return Fault(Code.MALFORMED if is_newer else Code.CHECKSUM, "the entry in the tail is damaged")
        except (sqlite3.Error, TypeError, ValueError, IndexError) as error:
            return Fault(Code.CHECKSUM, f"the entry in the tail is damaged ({reason(error)})")
        if not isinstance(row.extra, dict) or not isinstance(row.action, str):
            return Fault(Code.MALFORMED, "the entry in the tail is malformed")
        return row

    def state_at(self, seq: int) -> EncodedState | None:
        """See `ChainedSource.state_at`."""
        return self._lookup.state(seq)

    @property
    def moved(self) -> bool:
        """Whether a writer began on a file that was opened at rest, so that what was read may be of two minds."""
        return self._opened_as is not DatabaseView.FOLLOWED and stamp_of(self.path) != self._stamp

    def close(self) -> None:
        """See `ChainedSource.close`."""
        self.connection.close()
        if self._scratch is not None:
            self._scratch.close()


class _Links:
    """Follows the checksums that lead from each entry to the next, as far as both are there."""

    def __init__(self, layout: Layout, report: Report, first: int) -> None:
        self._report = report
        self._is_told = layout.tells_end
        self._stop = first
        # What the first entry followed was dropped with it, where there were others before.
        self._sum: int | None = None if first else layout.first_sum

    def visit(self, first: int, stop: int, before: int | None, after: int | None) -> None:
        """Look at the entries from `first` to `stop - 1`; the checksums are None where they are not certain."""
        if self._is_told and first == self._stop and before is not None and self._sum not in (None, before):
            text = "does not follow the entry before it as it was recorded"
            self._report(Code.CHECKSUM_CHAIN, first, first, text)
        self._stop, self._sum = stop, after

    def see_rows(self, rows: list[tuple[int, TailRow | Fault]]) -> None:
        """Look at rows of the tail."""
        for seq, row in rows:
            if isinstance(row, Fault):
                self.visit(seq, seq + 1, None, None)
            else:
                self.visit(seq, seq + 1, row.before, row.crc)


def _bounded(keys: list[BlockKey], total: int) -> Iterator[tuple[BlockKey, int]]:
    """Yield blocks, each with where it ends: a damaged count must not swallow the block that follows."""
    for place, key in enumerate(keys):
        following = keys[place + 1].first if place + 1 < len(keys) else total
        stop = key.first + key.count
        yield key, min(stop, following) if stop > key.first else key.first


def _in_order(rows: list[tuple[int, TailRow | Fault]], cursor: int, total: int, replayer: Replayer) -> Iterator[Step]:
    for seq, row in rows:
        if seq > cursor:
            yield _gap(cursor, seq - 1, replayer)
        cursor = seq + 1
        if isinstance(row, Fault):
            replayer.lose(seq)
            yield Step(seq, seq, fault=row)
        else:
            yield replayer.step(seq, facts_of(row), row.record)


def facts_of(row: TailRow) -> Facts:
    """Return the facts of a tail row besides its record."""
    record = row.record
    size = len(record.payload)
    return Facts(row.time_ns, record.codec, row.action, row.changed, row.extra, size, row.full_bytes)


def _gap(first: int, last: int, replayer: Replayer) -> Step:
    replayer.lose(last)
    return Step(first, last, fault=Fault(Code.MISSING_ENTRIES, "in no block and not in the tail"))
