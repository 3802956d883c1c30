"""Appending to an `.unspool` file: one commit an entry, everything slow on another thread."""

from __future__ import annotations

import fcntl
import os
import secrets
import sqlite3
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from unspool.errors import ConfigError, HistoryLocked, StorageFailed, UnreadableSource
from unspool.store.file_identity import note_identity
from unspool.store.protocol import Draft
from unspool.store.reader import FileReader
from unspool.store.recordings import Recording, note_recording
from unspool.store.schema import connect_writer
from unspool.store.sealer import Sealer
from unspool.store.sealing import unsealed_runs
from unspool.store.tail import INSERT, row_values

_SYNCHRONOUS: Final = {"default": "NORMAL", "fast": "OFF", "full": "FULL"}
RUN_ROWS: Final = 64
"""Entries that make a block worth sealing, where the next one is full."""
_RUN_BYTES: Final = 256 * 1024
"""Record bytes that make a block worth sealing, where the next entry is full."""
_MAX_ROWS: Final = 128
"""Entries after which a block is sealed even in the middle of a chain."""


class FileWriter:
    """The one writer of a file."""

    def __init__(self, path: Path, durability: str) -> None:
        """Open or create the file; rows that a crashed writer left in the tail are sealed at once.

        Raises:
            HistoryLocked, UnreadableSource, NewerSchema, ConfigError: see `FileStore.create`.
        """
        if durability not in _SYNCHRONOUS:
            raise ConfigError(f"durability is {durability!r}; write one of {', '.join(_SYNCHRONOUS)}")
        self._path = path
        self._lock_file = _lock(path)
        self._lock = threading.Lock()
        try:
            self._connection = connect_writer(path, synchronous=_SYNCHRONOUS[durability])
            self._identify()
            self.reader = FileReader(path, live=True)
            self.sealer = Sealer(path, self._lock, self.reader, synchronous=_SYNCHRONOUS[durability])
            self._numbers = {name: number for number, name in enumerate(self.reader.names())}
            self._names = self.reader.names()
            self._fresh: list[tuple[int, bytes]] = []
            for start, stop in unsealed_runs(self._connection, RUN_ROWS):
                self.sealer.seal_now(start, stop)
        except BaseException:
            self._unlock()
            raise
        self._next = self.reader.count
        self._run_start = self._next
        self._run_bytes = 0
        self._failed = False

    def _identify(self) -> None:
        try:
            self._connection.execute(
                "INSERT OR IGNORE INTO meta(key, value) VALUES ('history_id', ?), ('created_ns', ?)",
                (secrets.token_hex(4), time.time_ns()),
            )
        except sqlite3.OperationalError as error:
            raise UnreadableSource(f"{self._path}: cannot be written ({error}); check its permissions") from None

    def intern(self, atom: str) -> int:
        """See `Store.intern`."""
        number = self._numbers.get(atom)
        if number is None:
            number = self._numbers[atom] = len(self._names)
            self._names.append(atom)
            self._fresh.append((number, atom.encode("utf-8", "surrogatepass")))
        return number

    def atom_number(self, atom: str) -> int | None:
        """See `Store.atom_number`."""
        return self._numbers.get(atom)

    def atom_name(self, number: int) -> str:
        """See `Store.atom_name`."""
        try:
            return self._names[number]
        except IndexError:
            raise KeyError(number) from None

    def append(self, draft: Draft) -> int:
        """See `Store.append`.

        Raises:
            StorageFailed: the disk or the database refused; nothing of the entry was kept.
        """
        seq = self._next
        values = row_values(draft, seq)
        try:
            with self._lock:
                if self._fresh:
                    self._append_with_names(values)
                else:
                    self._connection.execute(INSERT, values)
        except sqlite3.Error as error:
            raise StorageFailed(f"{self._path}: entry {seq} could not be written ({error})") from None
        self._next = seq + 1
        # This process is the only writer, so the reading half need not ask the file for the count.
        self.reader.count = self._next
        self._plan_sealing(draft, seq)
        return seq

    def _append_with_names(self, values: tuple[object, ...]) -> None:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            self._connection.executemany("INSERT INTO atom(id, name) VALUES (?, ?)", self._fresh)
            self._connection.execute(INSERT, values)
            self._connection.execute("COMMIT")
        except sqlite3.Error:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise
        self._fresh.clear()

    def _plan_sealing(self, draft: Draft, seq: int) -> None:
        rows = seq - self._run_start
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

    def vacuum_into(self, path: Path) -> None:
        """Write a copy of the file without free pages.

        Raises:
            sqlite3.Error: the disk refused.
        """
        self._connection.execute("VACUUM INTO ?", (str(path),))

    def close(self, before_unlock: Callable[[], None] | None = None) -> None:
        """Seal the tail, fold side files into the file, release it.

        Raises:
            StorageFailed: the file could not be folded, or entries stay in the tail because sealing failed.
            CorruptHistory: the same, because an entry before them is damaged.
        """
        try:
            self.sealer.finish()
            self.sealer.seal_all(unsealed_runs(self._connection, RUN_ROWS))
            # The last connection to close folds the WAL away, and one opened for reading cannot.
            self.reader.close()
            self.sealer.close()
            self._connection.close()
            if before_unlock is not None:
                before_unlock()
        except sqlite3.Error as error:
            # What was appended stays in the tail and is sealed by the next writer.
            raise StorageFailed(f"{self._path}: could not be folded on closing ({error}); no entry is lost") from None
        finally:
            self._unlock()
        if self.sealer.failure is not None:
            raise self.sealer.failure

    def abandon(self) -> None:
        """Forget everything without touching the file: for a forked child, whose parent goes on writing."""
        os.close(self._lock_file)

    def _unlock(self) -> None:
        lock_path(self._path).unlink(missing_ok=True)
        os.close(self._lock_file)


def lock_path(path: Path) -> Path:
    """Return the file whose lock marks the one writer; SQLite's own locks are left alone."""
    return path.with_name(path.name + "-lock")


def _lock(path: Path) -> int:
    """Take the writer's lock; the kernel drops it when the process dies, however it dies."""
    place = lock_path(path)
    while True:
        try:
            descriptor = os.open(place, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise UnreadableSource(
                f"{path}: cannot be opened for writing ({error.strerror}); check the folder"
            ) from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            raise HistoryLocked(
                f"{path}: another recorder is writing to it; give this one a file of its own"
            ) from None
        # The holder before may have unlinked the name between our open and our lock.
        try:
            if os.fstat(descriptor).st_ino == place.stat().st_ino:
                return descriptor
        except FileNotFoundError:
            pass
        os.close(descriptor)
