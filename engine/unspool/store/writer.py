"""Writing a native file: entries go into its tail, as long as it is the file that its name leads to.

SQLite goes on writing to a file that was deleted, and would write over one that was cut short; nobody hears of either.
"""

from __future__ import annotations

import errno
import os
import secrets
import sqlite3
import stat
import struct
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Final, NamedTuple

from unspool import system
from unspool.errors import ConfigError, CorruptHistory, HistoryLocked, StorageFailed, UnreadableSource, UnspoolError
from unspool.files import PRIVATE, check_mode, drop_lock, foreign_owner, take_lock
from unspool.store.databases import is_recording
from unspool.store.keeping import KEEP, Keep
from unspool.store.layout import CREATED_NS, HISTORY_ID
from unspool.store.protocol import Draft
from unspool.store.reader import FileReader
from unspool.store.recordings import WRITTEN_NOTES, Recording, note_identity, note_recording
from unspool.store.schema import connect_writer, is_sound
from unspool.store.sealing import Sealer, unsealed_runs
from unspool.store.wal import keep_damaged_log, named_by_entry

_SHARED_FIRST: Final = 0x40000002
"""Where in a database SQLite's readers hold their lock; whoever folds the log away on leaving must lock all of it."""
_SHARED_SIZE: Final = 510


class Presence:
    """Looks at a file and its write-ahead log by their names; costs two calls of the system, about two microseconds."""

    def __init__(self, path: Path, is_sound: Callable[[], bool]) -> None:
        """Remember the file as it is now.

        Args:
            path: the file, by an absolute name.
            is_sound: says whether a file that became shorter is whole all the same; asked only then. A tool that
                vacuums the file or folds its log away makes it shorter by right.

        Raises:
            StorageFailed: it is gone already.
        """
        self._name = str(path)
        self._is_sound = is_sound
        self._wal = f"{path}-wal"
        self._id: tuple[int, int] | None = None
        self._size = 0
        self._wal_id: tuple[int, int] | None = None
        self._wal_size = 0
        self._fault = ""
        self._is_replaced = False
        self._hold = _held(self._name)
        self.check()

    def check(self) -> None:
        """Raise when the file was deleted, moved, replaced or cut short since the last look.

        Raises:
            StorageFailed: it was; from then on every look says so.
        """
        if not self._fault:
            self._fault = self._file_fault() or self._wal_fault()
        if self._fault:
            raise StorageFailed(f"{self._name}: {self._fault}; nothing more is recorded, open a new recorder")

    def let_go(self) -> None:
        """Let others fold the log away; before the last connection is closed, which does so itself."""
        hold, self._hold = self._hold, -1
        if hold < 0:
            return
        with suppress(OSError):
            # A forked child may have the same descriptor.
            system.fcntl.fcntl(hold, system.fcntl.F_OFD_SETLK, _lock_words(system.fcntl.F_UNLCK))
        os.close(hold)

    def abandon(self) -> None:
        """Forget the file in a forked child, whose parent goes on holding it."""
        if self._hold >= 0:
            os.close(self._hold)
            self._hold = -1

    def put_log_aside(self) -> None:
        """Rename a log that does not belong to the file beside it, once all connections to it are closed.

        Whoever opened the file that took the name would read the two as one. What is in the log is kept.
        """
        if not self._is_replaced:
            return
        with suppress(OSError):
            log = Path(self._wal)
            status = log.stat()
            if (status.st_dev, status.st_ino) == self._wal_id:
                log.rename(f"{self._name}.lost-{os.urandom(4).hex()}-wal")
                Path(f"{self._name}-shm").unlink()

    def _file_fault(self) -> str:
        try:
            status = os.stat(self._name)  # noqa: PTH116 - a Path costs a microsecond, and this runs with every entry
        except FileNotFoundError:
            return "was deleted or moved away while it was recorded into"
        except OSError:
            # Not to be allowed to look proves nothing.
            return ""
        found = (status.st_dev, status.st_ino)
        if self._id is None:
            self._id = found
        if found != self._id:
            self._is_replaced = True
            return "another file has taken its name while it was recorded into"
        if status.st_size < self._size and not self._is_sound():
            return "was cut short by another program while it was recorded into"
        self._size = status.st_size
        return ""

    def _wal_fault(self) -> str:
        try:
            status = os.stat(self._wal)  # noqa: PTH116
        except FileNotFoundError:
            return "" if self._wal_id is None else "its -wal was deleted by another program"
        except OSError:
            return ""
        found = (status.st_dev, status.st_ino)
        if self._wal_id is None:
            self._wal_id = found
        if found != self._wal_id:
            return "its -wal was replaced by another program"
        if status.st_size < self._wal_size and not self._is_sound():
            return "its -wal was cut short by another program"
        self._wal_size = status.st_size
        return ""


def _held(name: str) -> int:
    """Lock a database as its readers do, and return the descriptor that has the lock; -1 where that cannot be done.

    SQLite's own lock belongs to the process, and goes as soon as anything in it closes the file, as a look at its first
    bytes does. The next tool that leaves the file would then take itself for the last, and remove the log under us.
    """
    if system.fcntl is None or not hasattr(system.fcntl, "F_OFD_SETLK"):
        return -1
    try:
        descriptor = os.open(name, system.TO_READ)
    except OSError:
        return -1
    try:
        system.fcntl.fcntl(descriptor, system.fcntl.F_OFD_SETLK, _lock_words(system.fcntl.F_RDLCK))
    except OSError:
        # File systems without such locks.
        os.close(descriptor)
        return -1
    return descriptor


def _lock_words(kind: int) -> bytes:
    """Return a `struct flock` for SQLite's shared range."""
    return struct.pack("hhqqi4x", kind, os.SEEK_SET, _SHARED_FIRST, _SHARED_SIZE, 0)


_SYNCHRONOUS: Final = {"default": "NORMAL", "fast": "OFF", "full": "FULL"}
_LOOKS_S: Final = (0.001, 0.002, 0.003, 0.005, 0.007, 0.011, 0.013, 0.017, 0.02, 0.03, 0.04, 0.05)
"""Pauses between attempts to take the lock of a file: of many short ones at least one falls between two looks of others."""
_LONGEST_LOOK_S: Final = 3.0
"""How long those who only look are given to let go of the lock of a file that nobody writes to."""
RUN_ROWS: Final = 64
"""Entries that make a block worth sealing, where the next one is full."""
_RUN_BYTES: Final = 256 * 1024
"""Record bytes that make a block worth sealing, where the next entry is full."""
_MAX_ROWS: Final = 128
"""Entries after which a block is sealed even in the middle of a chain."""


_MOST_WAITING: Final = 256
"""Entries of a batch that are stored together; readers see them no later than the time that as many take."""
_MOST_WAITING_BYTES: Final = 1 << 20


class _Numbers(dict[str, int]):
    """The numbers of atoms. One that is asked for its first time gets a number, and joins both lists.

    Attributes:
        names: the atoms by number.
        fresh: those that are not in the file yet: number and name as bytes.
    """

    def __init__(self, names: list[str]) -> None:
        super().__init__((name, number) for number, name in enumerate(names))
        self.names = names
        self.fresh: list[tuple[int, bytes]] = []

    def __missing__(self, atom: str) -> int:
        # In this order an exception in between leaves a name that nothing uses, and no number without a name.
        number = len(self.names)
        self.names.append(atom)
        self.fresh.append((number, atom.encode("utf-8", "surrogatepass")))
        self[atom] = number
        return number


class _Waiting(NamedTuple):
    """An entry of a batch that is not stored yet.

    Attributes:
        seq: its number.
        draft: what was appended.
        values: what its row holds.
        before: checksum of the entry before it.
        crc: its own.
    """

    seq: int
    draft: Draft
    values: tuple[object, ...]
    before: int
    crc: int


class FileWriter:
    """The one writer of a file."""

    def __init__(
        self, path: Path, durability: str, mode: int = PRIVATE, *, seals: bool = True, seals_below: int | None = None,
        history_id: str = "", keep: Keep | None = None, beginning: tuple[int, str] = (0, ""),
    ) -> None:  # fmt: skip
        """Open or create the file; rows that a crashed writer left in the tail are sealed at once.

        Args:
            path: the file.
            durability: see `FileStore.create`.
            mode: permissions of a new file.
            seals, seals_below: see `FileStore.create`.
            history_id: which history a new file holds; one of its own where "".
            keep: how much of the recording is kept; None for all of it.
            beginning: the number of a new file's first entry, and by which bound those before it were dropped.

        Raises:
            HistoryLocked, UnreadableSource, NewerSchema, ConfigError, StorageFailed: see `FileStore.create`.
        """
        if durability not in _SYNCHRONOUS:
            raise ConfigError(f"durability is {durability!r}; write one of {', '.join(_SYNCHRONOUS)}")
        # The name stays the same when the app changes its folder, and links lead to one lock and one -wal.
        self._path = Path(os.path.realpath(path))
        self._seals = seals
        self._seals_below = seals_below
        self._lock_file = _lock(self._path, check_mode(mode))
        self._lock = threading.Lock()
        with ExitStack() as undo:
            undo.callback(self._unlock)
            self.kept_log = keep_damaged_log(self._path)
            """A damaged log that an earlier recorder left, copied before SQLite writes over it; None where there was none."""
            self._open(_SYNCHRONOUS[durability], mode, history_id, undo, keep, beginning)
            undo.pop_all()
        self._next = self.reader.count
        if self.kept_log is not None:
            self.kept_log = named_by_entry(self.kept_log, self._next)
        self._run_start = self._next
        self._run_bytes = 0
        self._failed = False
        self._are_notes_allowed = False
        self._batches = 0
        self._waiting: list[_Waiting] = []
        self._waiting_bytes = 0
        self._is_torn = False
        """A transaction with what waits began, and it is not known how it ended."""
        self._refusal: StorageFailed | None = None
        """Why entries of a batch were lost, until `settle` has looked which ones are there."""

    def _open(
        self,
        synchronous: str,
        mode: int,
        history_id: str,
        undo: ExitStack,
        keep: Keep | None,
        beginning: tuple[int, str],
    ) -> None:
        """Open all connections.

        Args:
            synchronous: SQLite's setting.
            mode: permissions of a new file.
            history_id: which history a new file holds.
            undo: takes what closes them when one fails.
            keep: how much of the recording is kept.
            beginning: see `__init__`.
        """
        self._connection = connect_writer(self._path, synchronous=synchronous, mode=mode, history_id=history_id)
        undo.callback(self._connection.close)
        self._presence = Presence(self._path, lambda: is_sound(self._path))
        undo.callback(self._presence.let_go)
        self._begin(keep, *beginning)
        self.reader = FileReader(self._path, live=True)
        undo.callback(self.reader.close)
        self.sealer = Sealer(
            self._path, self._lock, self.reader, synchronous=synchronous, presence=self._presence.check, keep=keep
        )
        undo.callback(self.sealer.drop_connection)
        self._numbers = _Numbers(self.reader.names())
        self.intern: Callable[[str], int] = self._numbers.__getitem__
        """See `Store.intern`; asked for every atom of every entry."""
        try:
            for start, stop in unsealed_runs(self._connection, RUN_ROWS) if self._seals else ():
                self.sealer.seal_now(start, stop)
        except sqlite3.Error as error:
            raise StorageFailed(
                f"{self._path}: what an earlier recorder left could not be sealed ({error}); no entry is lost, "
                "check the disk and its free space"
            ) from None

    def _begin(self, keep: Keep | None, first: int, bound: str) -> None:
        """Say that the file is open, before anything is appended: who finds it so knows that the end may be missing.

        Raises:
            UnreadableSource: it cannot be written.
            CorruptHistory: its newest entry is damaged.
            ConfigError: its format has no place for what is asked for.
        """
        connection, layout = self._connection, self._connection.layout
        self._layout = layout
        if keep is not None and not layout.tells_end:
            raise ConfigError(
                f"{self._path}: is of format 1, of which nothing can be dropped, so keep={keep.text!r} cannot be honoured; "
                "`unspool compact FILE OUT` writes it in format 2"
            )
        try:
            self._last_sum = layout.last_sum(connection)
            if layout.fact(connection, HISTORY_ID) is None:
                layout.keep_fact(connection, HISTORY_ID, secrets.token_hex(4))
                layout.keep_fact(connection, CREATED_NS, time.time_ns())
            said_closed = self._says_closed()
            self._mark_end(is_closed=False)
            if first:
                layout.begin_at(connection, first)
                layout.keep_fact(connection, KEEP, bound)
            if said_closed:
                # Should the log be lost, the file itself must not go on saying that nothing can be missing.
                connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        except sqlite3.Error as error:
            remedy = (
                foreign_owner(self._path, to_write=True) or "check its permissions and the free space of its disk"
            )
            raise UnreadableSource(f"{self._path}: cannot be written ({error}); {remedy}") from None

    def _says_closed(self) -> bool:
        try:
            mark = self._layout.end_mark(self._connection)
        except CorruptHistory:
            # It may have said so.
            return True
        return mark is not None and mark.is_closed

    def _mark_end(self, *, is_closed: bool) -> None:
        connection = self._connection
        count = connection.execute(
            "SELECT max(ifnull((SELECT max(seq) FROM tail), -1) + 1, ifnull((SELECT max(first + count) FROM block), 0))"
        ).fetchone()[0]
        connection.layout.mark_end(connection, count=count, last=self._last_sum, is_closed=is_closed)

    def atom_number(self, atom: str) -> int | None:
        """See `Store.atom_number`."""
        return self._numbers.get(atom)

    def atom_name(self, number: int) -> str:
        """See `Store.atom_name`."""
        try:
            return self._numbers.names[number]
        except IndexError:
            raise KeyError(number) from None

    def append(self, draft: Draft) -> int:
        """See `Store.append`.

        Raises:
            StorageFailed: the disk or the database refused, or the file is no longer where it was; nothing of the
                entry was kept.
            NotesNotKept: the entry is a note, and the file's format has no place for it.
        """
        if self._batches and (self._are_notes_allowed or not draft.record.codec.is_note):
            return self._put_off(draft)
        self.store_waiting()
        self._presence.check()
        seq = self._next
        values, crc = self._layout.row_values(draft, seq, self._last_sum)
        try:
            with self._lock:
                allows_notes = draft.record.codec.is_note and not self._are_notes_allowed
                if self._numbers.fresh or allows_notes:
                    self._append_together([values], allows_notes=allows_notes)
                else:
                    self._connection.execute(self._layout.insert_row, values)
        except sqlite3.Error as error:
            raise StorageFailed(f"{self._path}: entry {seq} could not be written ({error})") from None
        self._next = seq + 1
        self._last_sum = crc
        # This process is the only writer, so the reading half need not ask the file for the count.
        self.reader.count = self._next
        if self._seals:
            self._plan_sealing(draft, seq)
        return seq

    def _append_together(self, rows: Sequence[tuple[object, ...]], *, allows_notes: bool) -> None:
        """Append rows together with names that they are the first to use, and with the word that there are notes."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            if allows_notes:
                self._layout.allow_notes(self._connection)
            if self._numbers.fresh:
                self._layout.add_names(self._connection, self._numbers.fresh)
            self._connection.executemany(self._layout.insert_row, rows)
            self._connection.execute("COMMIT")
        except BaseException:
            # Ctrl-C too: the sealer would wait for the end of the transaction.
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise
        self._numbers.fresh.clear()
        self._are_notes_allowed = self._are_notes_allowed or allows_notes

    def begin_batch(self) -> None:
        """Have entries wait, and be stored together; batches may stand in each other."""
        self._batches += 1

    def end_batch(self) -> None:
        """Store what waits, unless another batch goes on.

        Raises:
            StorageFailed: see `store_waiting`.
        """
        self._batches -= 1
        if not self._batches:
            self.store_waiting()

    def _put_off(self, draft: Draft) -> int:
        with self._lock:
            if self._refusal is not None:
                raise self._refusal
            seq, before = self._next, self._last_sum
            values, crc = self._layout.row_values(draft, seq, before)
            self._waiting.append(_Waiting(seq, draft, values, before, crc))
            self._next, self._last_sum = seq + 1, crc
            self.reader.count = self._next
            self._waiting_bytes += len(draft.record.payload)
        if len(self._waiting) >= _MOST_WAITING or self._waiting_bytes >= _MOST_WAITING_BYTES:
            self.store_waiting()
        return seq

    def store_waiting(self) -> None:
        """Store the entries of a batch that wait, in one transaction.

        Raises:
            StorageFailed: the disk or the database refused, or the file is no longer where it was; nothing of them was kept,
                and nothing is appended before `settle`.
        """
        if not self._waiting and self._refusal is None:
            return
        with self._lock:
            if self._refusal is not None:
                raise self._refusal
            stored = self._store_rows()
        for row in stored if self._seals else ():
            self._plan_sealing(row.draft, row.seq)

    def _store_rows(self) -> list[_Waiting]:
        """Store what waits, under the lock, and return it.

        Raises:
            StorageFailed: see `store_waiting`.
        """
        rows = self._waiting
        try:
            if self._is_torn:
                self._look()
                rows = self._waiting
            if rows:
                self._presence.check()
                self._is_torn = True
                self._append_together([row.values for row in rows], allows_notes=False)
        except (sqlite3.Error, StorageFailed) as error:
            first, last = rows[0], rows[-1]
            self._waiting, self._waiting_bytes, self._is_torn = [], 0, False
            self._next = self.reader.count = first.seq
            self._last_sum = first.before
            self._refusal = (
                error
                if isinstance(error, StorageFailed)
                else StorageFailed(f"{self._path}: entries {first.seq} to {last.seq} could not be written ({error})")
            )
            raise self._refusal from None
        self._waiting, self._waiting_bytes, self._is_torn = [], 0, False
        return rows

    def _look(self) -> int | None:
        """Find out what a transaction stored that was interrupted anywhere; return the newest entry of the tail."""
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")
        known = self._connection.execute("SELECT count(*) FROM atom").fetchone()[0]
        newest: int | None = self._connection.execute("SELECT max(seq) FROM tail").fetchone()[0]
        self._numbers.fresh[:] = [
            (number, self._numbers.names[number].encode("utf-8", "surrogatepass"))
            for number in range(known, len(self._numbers.names))
        ]
        self._waiting = [row for row in self._waiting if newest is None or row.seq > newest]
        self._is_torn = False
        return newest

    def settle(self) -> None:
        """Find out what an `append` stored that an exception of a signal handler, such as Ctrl-C, ended anywhere.

        What waits is stored; what of it was lost is forgotten.

        Raises:
            StorageFailed: the disk or the database refused.
        """
        self._refusal = None
        try:
            with self._lock:
                self._look()
            self.store_waiting()
            with self._lock:
                newest = self._look()
                self._last_sum = self._layout.last_sum(self._connection)
        except sqlite3.Error as error:
            raise StorageFailed(f"{self._path}: could not be read back ({error})") from None
        # Without rows in the tail everything is sealed, and the number of the next entry was known before.
        if newest is not None:
            self._next = max(self._next, newest + 1)
            self.reader.count = self._next

    def _plan_sealing(self, draft: Draft, seq: int) -> None:
        rows = seq - self._run_start
        if self._seals_below is not None and draft.full_bytes >= self._seals_below:
            self._seals = False
            return
        is_full = draft.record.codec.is_full
        enough = rows >= RUN_ROWS or self._run_bytes > _RUN_BYTES + 2 * draft.full_bytes
        too_much = rows >= _MAX_ROWS or self._run_bytes > 4 * max(_RUN_BYTES, draft.full_bytes)
        if rows and ((is_full and enough) or too_much):
            self.sealer.request(self._run_start, seq)
            self._run_start, self._run_bytes = seq, 0
        self._run_bytes += len(draft.record.payload)

    def note_recording(self, strategy: str, codec: str) -> None:
        """Keep the settings that entries from here on are written with.

        Raises:
            StorageFailed: the disk or the database refused.
        """
        try:
            with self._lock:
                note_recording(self._connection, Recording(self._next, strategy, codec))
        except sqlite3.Error as error:
            raise StorageFailed(f"{self._path}: its settings could not be written ({error})") from None

    def note_identity(self, identity: Mapping[str, str]) -> None:
        """Keep the identity keys of lists that were set by hand.

        Raises:
            StorageFailed: the disk or the database refused.
        """
        try:
            with self._lock:
                note_identity(self._connection, identity)
        except sqlite3.Error as error:
            raise StorageFailed(f"{self._path}: its identity keys could not be written ({error})") from None

    def keep_written_notes(self, text: str) -> None:
        """Keep notes that people wrote.

        Raises:
            StorageFailed: the disk or the database refused.
        """
        try:
            with self._lock:
                self._connection.layout.keep_fact(self._connection, WRITTEN_NOTES, text)
        except sqlite3.Error as error:
            raise StorageFailed(f"{self._path}: its notes could not be written ({error})") from None

    def vacuum_into(self, path: Path) -> None:
        """Write a copy of the file without free pages.

        Raises:
            sqlite3.Error: the disk refused.
            StorageFailed: what waited could not be stored.
        """
        self.store_waiting()
        self._connection.execute("VACUUM INTO ?", (str(path),))

    def close(self, before_unlock: Callable[[], None] | None = None) -> None:
        """Seal the tail, fold side files into the file, release it; a file that is gone is let go of as it is.

        Raises:
            StorageFailed: the file could not be folded, or entries stay in the tail because sealing failed, or the file
                is no longer where it was.
            CorruptHistory: entries stay in the tail because one before them is damaged.
        """
        try:
            try:
                self._presence.check()
                # The last call may have been interrupted, and no other came to settle it.
                self.settle()
            finally:
                self.sealer.finish()
            self._presence.check()
            if self._seals:
                self.sealer.seal_all(unsealed_runs(self._connection, RUN_ROWS))
                self.sealer.drop_now()
            self._mark_end(is_closed=True)
            # The last connection to close folds the WAL away, and one opened for reading cannot.
            self.reader.close()
            self.sealer.close()
            self._presence.let_go()
            self._connection.close()
            if before_unlock is not None:
                before_unlock()
        except sqlite3.Error as error:
            # What was appended stays in the tail and is sealed by the next writer.
            raise StorageFailed(f"{self._path}: could not be folded on closing ({error}); no entry is lost") from None
        except UnspoolError:
            self.reader.close()
            raise
        finally:
            self.sealer.drop_connection()
            self._presence.let_go()
            self._connection.close()
            self._presence.put_log_aside()
            self._unlock()
        if self.sealer.failure is not None:
            raise self.sealer.failure

    def discard(self) -> None:
        """Release the file and remove it with its side files: nothing in it is wanted any more."""
        self._waiting.clear()
        self.sealer.give_up()
        self.reader.close()
        self.sealer.drop_connection()
        self._presence.let_go()
        self._connection.close()
        for suffix in ("", "-wal", "-shm"):
            self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)
        self._unlock()

    def abandon(self) -> None:
        """Forget everything without touching the file: for a forked child, whose parent goes on writing."""
        self._waiting.clear()
        os.close(self._lock_file)
        self._presence.abandon()

    def _unlock(self) -> None:
        drop_lock(lock_path(self._path), self._lock_file)


def lock_path(path: Path) -> Path:
    """Return the file whose lock marks the one writer; SQLite's own locks are left alone."""
    return path.with_name(path.name + "-lock")


def _lock(path: Path, mode: int) -> int:
    """Take the writer's lock.

    Raises:
        HistoryLocked: another writer holds it.
        UnreadableSource: it cannot be made.
    """
    place = lock_path(path)
    try:
        # Whoever may write to the file may take the lock.
        known = stat.S_IMODE(path.stat().st_mode) & 0o666 | PRIVATE if path.exists() else mode
        descriptor = take_lock(place, known)
        pauses = iter(_LOOKS_S)
        end = time.monotonic() + _LONGEST_LOOK_S
        while descriptor is None:
            # Whoever asks whether somebody records holds the lock for a moment, and shares it; a writer does not.
            pause_s = next(pauses, 0.0)
            if not pause_s and (is_recording(path) or time.monotonic() > end):
                break
            time.sleep(pause_s or _LOOKS_S[-1])
            descriptor = take_lock(place, known)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise UnreadableSource(f"{place}: is a link, and a lock never follows one; remove it") from None
        remedy = foreign_owner(path, to_write=True) or "check the folder"
        raise UnreadableSource(f"{path}: cannot be opened for writing ({error.strerror}); {remedy}") from None
    if descriptor is None:
        raise HistoryLocked(f"{path}: another recorder is writing to it; give this one a file of its own")
    return descriptor


__all__ = ["Presence"]
