"""The database of an event log: its schema, what its file is marked with, and how it is opened."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from unspool.errors import UnreadableSource
from unspool.events.records import DatabaseError, StorageFull
from unspool.files import make_if_missing
from unspool.store.databases import UntouchedDatabase

APPLICATION_ID: Final = 0x55_53_45_4C
"""`USEL` in the file's header (SQLite's `application_id`)."""
SCHEMA_VERSION: Final = 1
PAGE_BYTES: Final = 1024
"""Small pages: a log of ten small events would otherwise be mostly empty pages."""
PLACES_PER_SPACE: Final = 2**32

TABLES: Final = """
CREATE TABLE spaces (
    space INTEGER PRIMARY KEY,
    space_id NOT NULL UNIQUE,
    head_sequence INTEGER NOT NULL,
    head_hash BLOB NOT NULL,
    latest_moment BLOB NOT NULL,
    bytes INTEGER NOT NULL
);
CREATE TABLE events (
    place INTEGER PRIMARY KEY,
    space INTEGER NOT NULL,
    sequence INTEGER NOT NULL CHECK (place = space * 4294967296 + sequence),
    id NOT NULL UNIQUE,
    type TEXT NOT NULL,
    timestamp TEXT NOT NULL,
    moment BLOB NOT NULL,
    version INTEGER NOT NULL,
    previous_hash BLOB,
    hash BLOB NOT NULL,
    payload NOT NULL
);
CREATE INDEX events_by_type ON events (type, sequence, space);
CREATE INDEX events_by_moment ON events (moment);
CREATE VIEW chain AS
    SELECT spaces.space_id, events.sequence, events.id, events.type, events.timestamp, events.version,
        events.previous_hash, events.hash, events.payload, events.place, events.space, events.moment
    FROM events CROSS JOIN spaces USING (space);
CREATE TABLE snapshots (
    place INTEGER PRIMARY KEY,
    id NOT NULL,
    timestamp TEXT NOT NULL,
    event_hash BLOB NOT NULL,
    latest_moment BLOB NOT NULL,
    reducer TEXT NOT NULL,
    hash BLOB NOT NULL,
    bytes INTEGER NOT NULL,
    state NOT NULL
);
CREATE TABLE source_states (
    place INTEGER PRIMARY KEY,
    event_hash BLOB NOT NULL,
    source_hash BLOB NOT NULL,
    diffs INTEGER NOT NULL,
    form TEXT NOT NULL,
    base INTEGER,
    content BLOB NOT NULL
);
"""

PAYLOAD_WORDS: Final = (
    b'{"sourceSpaceId":"","forkTimestamp":"2025-01-01T00:00:00.000Z"}'
    b'{"source":"","sourceHash":"","compiledWasmHash":"none"}'
    b'"operation":"remove","before":"","operation":"add","after":"","cut":"","put":""'
    b'{"astDiff":[{"path":"functions.classes.body.","operation":"modify","before":"    ","after":"    ","at":1'
    b'}],"scopeMetadata":{"changedNodes":1,"totalNodes":1,"affectedFunctions":[""]},"sourceHash":""}'
)
"""What payloads have in common: the dictionary their compression starts from. Part of the file format: never change it."""


def place_of(space: int, sequence: int) -> int:
    """Return the place of an event."""
    return space * PLACES_PER_SPACE + sequence


def sequence_at(place: int) -> int:
    """Return the sequence number of the event at a place."""
    return place % PLACES_PER_SPACE


IN_MEMORY: Final = ":memory:"
DEFAULT_TIMEOUT: Final = 30.0
"""Seconds that a writer waits for another process to finish."""
_RETRY_SECONDS: Final = 0.01


class Database:
    """A connection to an event log's file; safe to use from several threads.

    Args:
        path: the file, made if it is not there; `:memory:` for none.
        read_only: never write; the file must exist.
        timeout: seconds to wait for another writer.

    Raises:
        DatabaseError: the file cannot be opened or is no event log of a version this program knows.
    """

    def __init__(self, path: str | Path, *, read_only: bool = False, timeout: float = DEFAULT_TIMEOUT) -> None:
        self.path = str(path)
        self.read_only = read_only
        self._timeout = timeout
        self._lock = threading.RLock()
        self._writes = False
        self._file: UntouchedDatabase | None = None
        with self._translated("open"):
            self._connection = self._connect()
        try:
            with self._translated("open"):
                self._prepare()
        except DatabaseError:
            self._connection.close()
            raise

    def _connect(self) -> sqlite3.Connection:
        if not self.read_only:
            if self.path != IN_MEMORY:
                make_if_missing(Path(self.path))
            return sqlite3.connect(self.path, timeout=self._timeout, isolation_level=None, check_same_thread=False)
        if not Path(self.path).is_file():
            raise DatabaseError(f"{self.path}: no such event log; check the path", operation="open")
        self._file = UntouchedDatabase(Path(self.path), wait_s=self._timeout)
        return self._file.current()

    def _prepare(self) -> None:
        if self.read_only:
            self._check_marks(empty_is_fine=False)
            return
        self._connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
        is_new = self._check_marks(empty_is_fine=True)
        self._use_wal()
        # WAL with NORMAL never corrupts; a power cut may take the last commits, tail and head pointer alike.
        self._connection.execute("PRAGMA synchronous = NORMAL")
        if is_new:
            self._make_tables()

    def _make_tables(self) -> None:
        """Make the tables, unless another process has done so meanwhile."""
        with self.writing():
            if self._check_marks(empty_is_fine=True):
                for statement in TABLES.split(";\n"):
                    self._connection.execute(statement)
                self._connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                self._connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")

    def _check_marks(self, *, empty_is_fine: bool) -> bool:
        """Refuse a file that is no event log of ours; say whether it is still empty."""
        with self.reading():
            # One view for all three: another process may be making the tables right now.
            mark, version = self.value("PRAGMA application_id"), self.value("PRAGMA user_version")
            tables = self.value("SELECT count(*) FROM sqlite_schema")
        if mark == APPLICATION_ID and 1 <= version <= SCHEMA_VERSION:
            self._check_schema()
            return False
        is_empty = mark == 0 and version == 0 and tables == 0
        if is_empty and empty_is_fine:
            return True
        if mark == APPLICATION_ID and version > SCHEMA_VERSION:
            reason = f"schema {version} is newer than {SCHEMA_VERSION}; open it with a newer unspool"
        else:
            reason = "it is no event log of unspool; choose another file"
        raise DatabaseError(f"{self.path}: {reason}", operation="open")

    def _check_schema(self) -> None:
        """Refuse a log with a view or a trigger that is not ours: it would act when the log is read."""
        query = "SELECT name, sql FROM sqlite_schema WHERE type IN ('view', 'trigger')"
        with self.reading() as connection:
            found = connection.execute(query).fetchall()
        expected = {statement.strip() for statement in TABLES.split(";\n")}
        for name, sql in found:
            if sql not in expected:
                raise DatabaseError(
                    f"{self.path}: {name!r} in it is not unspool's; restore it from a copy", operation="open"
                )

    def _use_wal(self) -> None:
        """Switch to write-ahead logging; SQLite's own waiting does not cover this step, so wait here."""
        deadline = time.monotonic() + self._timeout
        while True:
            try:
                self._connection.execute("PRAGMA journal_mode = WAL")
            except sqlite3.OperationalError as error:
                if _primary(error) != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                    raise
                time.sleep(_RETRY_SECONDS)
            else:
                return

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Hold one consistent view of the log; inside a transaction, the transaction's."""
        with self._lock, self._translated("read"):
            if self._connection.in_transaction:
                yield self._connection
                return
            if self._file is not None:
                self._connection = self._file.current()
            self._connection.execute("BEGIN")
            try:
                yield self._connection
            finally:
                if self._connection.in_transaction:
                    self._connection.execute("COMMIT")

    @contextmanager
    def writing(self, *, wait: bool = True) -> Iterator[sqlite3.Connection]:
        """Hold the write lock over all processes; commit at the end, or take everything back on an error.

        Args:
            wait: wait for another process that writes; otherwise raise at once.
        """
        if self.read_only:
            raise DatabaseError(f"{self.path}: opened for reading only; open it for writing", operation="write")
        with self._lock, self._translated("write"):
            if self._connection.in_transaction:
                if not self._writes:
                    raise DatabaseError(f"{self.path}: a read may not turn into a write", operation="write")
                yield self._connection
                return
            self._begin_immediate(wait=wait)
            self._writes = True
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            finally:
                self._writes = False
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")

    def _begin_immediate(self, *, wait: bool) -> None:
        if wait:
            self._connection.execute("BEGIN IMMEDIATE")
            return
        self._connection.execute("PRAGMA busy_timeout = 0")
        try:
            self._connection.execute("BEGIN IMMEDIATE")
        finally:
            self._connection.execute(f"PRAGMA busy_timeout = {int(self._timeout * 1000)}")

    def value(self, sql: str, parameters: tuple[Any, ...] = ()) -> Any:
        """Return the first column of the first row; None where there is none."""
        row = self._connection.execute(sql, parameters).fetchone()
        return None if row is None else row[0]

    def version(self) -> tuple[int, int]:
        """Return what differs as soon as another connection has committed."""
        with self._lock, self._translated("read"):
            if self._file is not None:
                return self._file.version()
            return 0, int(self.value("PRAGMA data_version"))

    def file_bytes(self) -> int:
        """Return the size of the database, without what waits in its write-ahead log."""
        with self.reading():
            return int(self.value("PRAGMA page_count")) * int(self.value("PRAGMA page_size"))

    def vacuum(self) -> None:
        """Rewrite the file without its free pages."""
        with self._lock, self._translated("compact"):
            self._connection.execute("VACUUM")
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        """Close the file; closing twice is fine."""
        with self._lock:
            self._connection.close()

    @contextmanager
    def _translated(self, operation: str) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            code = _primary(error)
            if code == sqlite3.SQLITE_FULL:
                size = Path(self.path).stat().st_size if Path(self.path).exists() else 0
                raise StorageFull(
                    f"{self.path}: the disk is full; free some space", used_bytes=size, max_bytes=size
                ) from error
            # SQLite quotes a damaged schema with its line breaks.
            told = " ".join(_explained(error, code).split())
            raise DatabaseError(f"{self.path}: {told}", operation=operation) from error
        except OSError as error:
            raise DatabaseError(
                f"{self.path}: {error.strerror or error}; check the path and its permissions", operation=operation
            ) from error
        except UnreadableSource as error:
            raise DatabaseError(str(error), operation=operation) from error
        except UnicodeDecodeError as error:
            # SQLite's own message quoted damaged text.
            raise DatabaseError(
                f"{self.path}: it is damaged; restore it from a copy or an archive", operation=operation
            ) from error


def _primary(error: sqlite3.Error) -> int:
    """Return SQLite's primary result code; 0 where the module itself raised."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


def _explained(error: sqlite3.Error, code: int) -> str:
    if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        return "another process is writing to it; try again when it is done"
    if code in {sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT}:
        return f"it is no event log, or a damaged one ({error}); restore it from a copy or an archive"
    if code in {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_IOERR}:
        return f"{error}; check the path and its permissions"
    return str(error)
