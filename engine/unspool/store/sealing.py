"""Sealing: turning tail rows into a compressed block, in one transaction that is safe at every step."""

from __future__ import annotations

import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Final

import zstandard

from unspool.codec.records import PackedRecords, RecordCodec, RunOfRecords, encode_full, replay
from unspool.errors import CorruptHistory, StorageFailed, UnspoolError
from unspool.store import blocks
from unspool.store.blocks import TailRow
from unspool.store.bulk_columns import SPAN_ENTRIES
from unspool.store.keeping import Keep, drop_old, give_back
from unspool.store.layout import BlockHead, FileConnection, Layout
from unspool.store.protocol import RecordRun
from unspool.store.reader import FileReader
from unspool.store.recordings import AtomTally, load_tally, save_tally
from unspool.store.schema import connect_writer
from unspool.store.tail import read_rows
from unspool.store.wal import bytes_in_use, log_of

SEGMENT_BLOCKS: Final = 64
"""Blocks compressed against one keyframe before a new one is taken."""
_WORN_SHARE: Final = 0.35
"""Share of a stand-alone keyframe that a head against the segment's keyframe may take before a new one is due."""


@dataclass(slots=True)
class SegmentKeyframe:
    """The keyframe that blocks are being compressed against.

    Attributes:
        number: its id in the file.
        size: bytes it takes compressed on its own.
        prefix: its bytes, ready for zstd.
        blocks: blocks that use it so far.
    """

    number: int
    size: int
    prefix: zstandard.ZstdCompressionDict
    blocks: int


@dataclass(frozen=True, slots=True)
class SealedBlock:
    """A block ready to be written."""

    head: BlockHead
    columns: bytes
    records: bytes
    segment: SegmentKeyframe
    keyframe: bytes | None


def load_segment(connection: FileConnection) -> SegmentKeyframe | None:
    """Return the newest segment of a file, or None for a file without one."""
    row = connection.execute("SELECT id FROM segment ORDER BY id DESC LIMIT 1").fetchone()
    if row is None:
        return None
    data = connection.layout.keyframe(connection, row[0], 0)
    used = connection.execute("SELECT count(*) FROM block WHERE segment = ?", (row[0],)).fetchone()[0]
    return SegmentKeyframe(row[0], len(data), blocks.raw_prefix(blocks.decompress(data, 0)), used)


def build_block(
    layout: Layout, rows: Sequence[TailRow], state: bytes, segment: SegmentKeyframe | None, level: int = blocks.LEVEL
) -> SealedBlock:
    """Compress rows into a block.

    Args:
        layout: how blocks are laid out.
        rows: entries in a row.
        state: plain full record of the first one's state.
        segment: the current segment; a new one is begun when it is None, used up or worn.
        level: zstd level.
    """
    keyframe = None
    if segment is None or segment.blocks >= SEGMENT_BLOCKS or _is_worn(state, segment):
        keyframe = layout.pack_keyframe(state, level)
        number = 0 if segment is None else segment.number + 1
        segment = SegmentKeyframe(number, len(keyframe), blocks.raw_prefix(state), 0)
    times = [row.time_ns for row in rows]
    atoms = blocks.atoms_bitmap(chain.from_iterable(row.changed for row in rows))
    head = BlockHead(
        rows[0].seq, len(rows), segment.number, min(times), max(times), atoms, rows[0].before, rows[-1].crc, 0, 0
    )
    columns = layout.pack_columns(rows, level)
    return SealedBlock(head, columns, layout.pack_records(rows, state, segment.prefix, level), segment, keyframe)


def _is_worn(state: bytes, segment: SegmentKeyframe) -> bool:
    against_keyframe = len(blocks.compress(state, segment.prefix))
    # Tiny states never justify a keyframe of their own by this rule alone.
    return against_keyframe > 256 and against_keyframe > _WORN_SHARE * segment.size


def write_block(connection: FileConnection, block: SealedBlock, tally: AtomTally | None = None) -> None:
    """Move rows from the tail into their block. One transaction: a crash leaves either the rows or the block.

    Args:
        connection: the file.
        block: what `build_block` made.
        tally: shares of all sealed entries, this block's included; kept with the file.
    """
    layout, head = connection.layout, block.head
    connection.execute("BEGIN IMMEDIATE")
    try:
        if block.keyframe is not None:
            layout.add_keyframe(connection, block.segment.number, block.keyframe)
        layout.add_block(connection, head, block.columns, block.records)
        connection.execute("DELETE FROM tail WHERE seq >= ? AND seq < ?", (head.first, head.stop))
        if tally is not None:
            save_tally(connection, tally)
        layout.mark_end(connection, count=head.stop, last=head.after, is_closed=False)
        connection.execute("COMMIT")
    except sqlite3.Error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    block.segment.blocks += 1


def head_record(
    rows: Sequence[TailRow],
    name: Callable[[int], str],
    intern: Callable[[str], int],
    before: Callable[[int], RunOfRecords],
) -> bytes:
    """Return the plain full record of the first row's state.

    Args:
        rows: the rows to be sealed.
        name: gives an atom's name.
        intern: gives an atom's number.
        before: gives a run that holds an earlier entry; asked only when the first row is a delta.

    Raises:
        CorruptHistory: an earlier entry cannot be read.
    """
    first = rows[0]
    if first.record.codec in (RecordCodec.NONE, RecordCodec.NOTE_FULL):
        return first.record.payload
    if first.record.codec is RecordCodec.COMPRESS:
        return encode_full(replay(RecordRun(first.seq, PackedRecords.of([first.record])), first.seq, name), intern)
    run = before(first.seq)
    return encode_full(replay(run, first.seq, name), intern)


def unsealed_runs(connection: FileConnection, run_rows: int) -> list[tuple[int, int]]:
    """Return how the rows now in the tail fall into blocks: (start, stop) pairs cut at full records."""
    codecs = connection.execute("SELECT seq, codec FROM tail ORDER BY seq").fetchall()
    runs: list[tuple[int, int]] = []
    if not codecs:
        return runs
    start = codecs[0][0]
    for seq, codec in codecs:
        if seq - start >= run_rows and RecordCodec(codec).is_full:
            runs.append((start, seq))
            start = seq
    runs.append((start, codecs[-1][0] + 1))
    return runs


_WAL_BYTES: Final = 16 << 20
"""Size of the WAL at which a checkpoint is due: when a WAL begins anew, SQLite syncs its header inside the next commit,
the one fsync a recording app can feel, so it should be rare."""
_LEAST_WAL_BYTES: Final = 128 << 10
_OVERGROWN: Final = 4
"""How many times that size the WAL has where the writer is made to wait for a checkpoint, so that it ends somewhere."""
_BUSY_MS: Final = 10_000
_CHECKPOINT: Final = "PRAGMA wal_checkpoint(PASSIVE)"


_NEVER: Final = 1 << 62


def _folded(connection: FileConnection) -> int:
    """Return where the last span ends; a damaged one keeps nobody from sealing, and none is made behind it."""
    try:
        return connection.layout.folded(connection)
    except CorruptHistory:
        return _NEVER


class Sealer:
    """Seals runs of tail rows, one after the other, on a thread of its own."""

    def __init__(
        self,
        path: Path,
        write_lock: threading.Lock,
        reader: FileReader,
        *,
        synchronous: str,
        presence: Callable[[], None],
        keep: Keep | None = None,
    ) -> None:
        """Prepare; the thread starts with the first request.

        Args:
            path: the file.
            write_lock: held around every write to the file by this process.
            reader: reads the same file.
            synchronous: SQLite's setting for the sealing connection.
            presence: raises when the file's name leads to another file by now.
            keep: how much of the recording is kept; None for all of it.
        """
        self._path = path
        self._write_lock = write_lock
        self._reader = reader
        self._synchronous = synchronous
        self._presence = presence
        self._keep = keep
        self._wal_bytes = _WAL_BYTES
        if keep is not None and keep.size is not None:
            # The log is part of what the file takes.
            self._wal_bytes = max(min(_WAL_BYTES, keep.size // 24), _LEAST_WAL_BYTES)
        self._requests: queue.SimpleQueue[tuple[int, int] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._connection: FileConnection | None = None
        self._segment: SegmentKeyframe | None = None
        self._tally: AtomTally | None = None
        self._at_work = threading.Lock()
        self._folded = self._sealed = 0
        self._is_given_up = False
        self.failure: UnspoolError | None = None
        """Why sealing stopped, if it did: entries stay readable in the tail."""

    def request(self, start: int, stop: int) -> None:
        """Ask for the rows `start` to `stop - 1` to become a block; what is one already is left out."""
        self._start()
        self._requests.put((start, stop))

    def _start(self) -> None:
        # Ctrl-C may end this anywhere: a thread that was made may never have been started.
        if self._thread is None or self._thread.ident is None:
            self._thread = threading.Thread(target=self._work, name="unspool-sealer", daemon=True)
            self._thread.start()

    def seal_now(self, start: int, stop: int) -> None:
        """Seal rows on the calling thread; only while the thread is not running."""
        connection = self._connect()
        self._seal(connection, start, stop)
        self._drop(connection)

    def seal_all(self, runs: Iterable[tuple[int, int]]) -> None:
        """Seal runs of rows on the calling thread, as far as it goes; `failure` holds why it went no further."""
        for start, stop in runs:
            if self.failure is None:
                self._attempt(start, stop)

    def drop_now(self) -> None:
        """Drop what the bound on the recording lets go of, on the calling thread; only while the thread is not running."""
        if self._keep is not None and self.failure is None:
            self._drop(self._connect())

    def finish(self) -> None:
        """Wait for all requests and end the thread."""
        if self._thread is not None:
            self._start()
            self._requests.put(None)
            self._thread.join()
            self._thread = None

    def give_up(self) -> None:
        """End the thread without what it was still asked for."""
        self._is_given_up = True
        self.finish()

    def close(self) -> None:
        """Trim free pages, fold the WAL into the file and close."""
        connection = self._connect()
        # A reader in the middle of something may keep the WAL; the app that closes does not wait for it.
        connection.execute("PRAGMA busy_timeout = 200")
        with self._write_lock:
            # One step frees one page; a script runs to the end.
            connection.executescript("PRAGMA incremental_vacuum")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        connection.close()
        self._connection = None

    def _connect(self) -> FileConnection:
        if self._connection is None:
            # A connection is opened by name: what has the name by now must be what is recorded into.
            self._presence()
            self._connection = connect_writer(self._path, synchronous=self._synchronous)
            self._segment = load_segment(self._connection)
            self._tally = load_tally(self._connection)
            self._folded = max(_folded(self._connection), self._reader.first)
        return self._connection

    def _work(self) -> None:
        while self._thread is threading.current_thread():
            request = self._requests.get()
            if request is None:
                return
            with self._at_work:
                if self.failure is None and not self._is_given_up:
                    self._attempt(*request)

    def hold(self, seconds: float) -> bool:
        """Let the thread seal nothing until `go_on`, if what it is at ends in time; return whether."""
        return self._at_work.acquire(timeout=seconds)

    def go_on(self) -> None:
        """Let the thread go on."""
        self._at_work.release()

    def _attempt(self, start: int, stop: int) -> None:
        try:
            connection = self._connect()
            self._seal(connection, start, stop)
            self._drop(connection)
            self._checkpoint(connection)
        except UnspoolError as error:
            self.failure = error
        except Exception as error:  # noqa: BLE001 - whatever it was, the thread must end in a message, not in silence
            self.failure = sealing_failed(self._path, start, error)

    def drop_connection(self) -> None:
        """Let go of a connection that failed, so that no lock of it can hold up the recording."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _seal(self, connection: FileConnection, start: int, stop: int) -> None:
        # An interrupted call asks for the same rows once more.
        start = max(start, self._sealed)
        if start >= stop:
            return
        rows = read_rows(connection, start, stop)
        if len(rows) != stop - start:
            raise CorruptHistory(f"{self._path}: entries {start} to {stop - 1} are not all in the tail", seq=start)
        self._reader.recount()
        head = head_record(rows, self._reader.atom_name, self._reader.number_of, self._reader.run)
        block = build_block(connection.layout, rows, head, self._segment)
        if self._tally is not None:
            self._tally.add(rows)
        self._presence()
        with self._write_lock:
            write_block(connection, block, self._tally)
        self._segment, self._sealed = block.segment, stop
        if block.head.stop - self._folded >= SPAN_ENTRIES:
            with self._write_lock:
                folded = connection.layout.fold(connection, self._folded)
            # Blocks that are damaged are left as they are, and whatever comes after them.
            self._folded = folded if folded > self._folded else _NEVER

    def _drop(self, connection: FileConnection) -> None:
        """Drop what the bound on the recording lets go of, a few blocks at a time: `append` comes in between."""
        if self._keep is None:
            return
        newest = connection.execute("SELECT end_ns FROM block ORDER BY first DESC LIMIT 1").fetchone()
        # A clock that ran ahead must not take a whole history with it.
        now_ns = min(time.time_ns(), newest[0]) if newest else 0
        while not self._is_given_up:
            with self._write_lock:
                first = drop_old(connection, self._keep, self._reader.count, now_ns)
                if first is None:
                    give_back(connection, self._keep)
                    return
            self._tally = None
            self._folded = max(self._folded, first) if self._folded < _NEVER else _NEVER
            self._reader.begin_at(first, self._keep.text)

    def _checkpoint(self, connection: FileConnection) -> None:
        log = log_of(self._path)
        most = _OVERGROWN * self._wal_bytes
        try:
            size, on_disk = bytes_in_use(log), log.stat().st_size
        except OSError:
            return
        cuts = self._keep is not None and self._keep.size is not None and on_disk > most
        if size <= self._wal_bytes and not cuts:
            return
        # PASSIVE never waits for readers nor blocks the writer; the fsync happens on this thread.
        _, frames, copied = connection.execute(_CHECKPOINT).fetchone()
        if (size > most or cuts) and frames == copied:
            # A log begins anew only when all of it is copied, and who records without pause has always added some. Twice
            # leaves little to copy while the writer waits. A reader may hold a log open, and is never waited for.
            connection.execute(_CHECKPOINT).fetchone()
            with self._write_lock:
                if cuts:
                    # The log is part of what a bound by bytes goes for, and would keep the size that it once had.
                    connection.execute("PRAGMA busy_timeout = 0")
                    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
                    connection.execute(f"PRAGMA busy_timeout = {_BUSY_MS}")
                else:
                    connection.execute(_CHECKPOINT).fetchone()


def sealing_failed(path: Path, start: int, error: Exception) -> StorageFailed:
    """Return what it means that rows could not be made a block: all of them still read, and the file stays large."""
    told = str(error) if isinstance(error, sqlite3.Error) else f"{type(error).__name__}: {error}"
    return StorageFailed(
        f"{path}: the entries from {start} on could not be sealed ({told}); every entry is kept and reads, "
        f"the file takes more room; the next recorder to open it tries again"
    )
