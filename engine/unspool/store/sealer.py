"""The background thread of a recording file: seals blocks and checkpoints, so that `append` never waits for either."""

from __future__ import annotations

import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from unspool.errors import CorruptHistory, StorageFailed, UnspoolError
from unspool.store.keeping import Keep, drop_old, give_back
from unspool.store.layout import FileConnection
from unspool.store.reader import FileReader
from unspool.store.schema import connect_writer
from unspool.store.sealing import Segment, build_block, head_record, load_segment, write_block
from unspool.store.spans import SPAN_ENTRIES
from unspool.store.tail import read_rows
from unspool.store.tally import Tally, load_tally
from unspool.store.wal import bytes_in_use, log_of

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
        self._segment: Segment | None = None
        self._tally: Tally | None = None
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
        """Seal runs of rows on the calling thread, as far as it goes; `failure` tells why it went no further."""
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
            if self.failure is None and not self._is_given_up:
                self._attempt(*request)

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
