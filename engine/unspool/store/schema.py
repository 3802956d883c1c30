"""The `.unspool` file: one SQLite database, and how it is opened.

    tail(seq, ...)                 newest entries, a row each
    block(first, count, ...)       sealed entries: columnar metadata, zstd
    block_data(first, data)        their records, zstd against the segment's keyframe
    segment(id, data)              a full state, the prefix that its blocks are compressed against
    atom(id, name)                 interned names
    meta(key, value)               facts about the file

docs/storage.md describes every column.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

from unspool.errors import CorruptHistory, NewerSchema, StorageFailed, UnreadableSource
from unspool.files.private import PRIVATE, foreign_owner, make_if_missing
from unspool.store.databases import Opened, open_untouched

APPLICATION_ID: Final = 0x554E5350
"""`UNSP`: what `file(1)` and SQLite see as the kind of database."""
SCHEMA_VERSION: Final = 1
_PAGE_BYTES: Final = 1024
"""Of a new file. A sealed block is one row of a few KB: larger pages would leave a third of each empty, and every commit
would write one of them whole."""

_TABLES: Final = """
CREATE TABLE meta(key TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE atom(id INTEGER PRIMARY KEY, name BLOB NOT NULL UNIQUE);
CREATE TABLE segment(id INTEGER PRIMARY KEY, size INTEGER NOT NULL, data BLOB NOT NULL);
CREATE TABLE block(
    first INTEGER PRIMARY KEY, count INTEGER NOT NULL, segment INTEGER NOT NULL,
    start_ns INTEGER NOT NULL, end_ns INTEGER NOT NULL, atoms BLOB NOT NULL, columns BLOB NOT NULL);
CREATE TABLE block_data(first INTEGER PRIMARY KEY, data BLOB NOT NULL);
CREATE TABLE tail(
    seq INTEGER PRIMARY KEY, time_ns INTEGER NOT NULL, codec INTEGER NOT NULL, full_bytes INTEGER NOT NULL,
    action TEXT NOT NULL, changed BLOB NOT NULL, extra BLOB, record BLOB NOT NULL, crc INTEGER NOT NULL);
"""


def connect_writer(path: Path, *, synchronous: str, mode: int = PRIVATE) -> sqlite3.Connection:
    """Open a file for writing, creating it if it is missing or empty.

    Args:
        path: the file.
        synchronous: SQLite's setting of that name: OFF, NORMAL or FULL.
        mode: permissions of a new file; SQLite gives its side files those of the main one.

    Raises:
        UnreadableSource: it cannot be opened or is no unspool file.
        NewerSchema: a newer unspool wrote it.
        StorageFailed: the disk refused.
    """
    try:
        make_if_missing(path, mode)
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10.0)
    except (OSError, sqlite3.Error) as error:
        said = error.strerror if isinstance(error, OSError) else error
        remedy = foreign_owner(path, to_write=True) or "check the folder"
        raise UnreadableSource(f"{path}: cannot be opened for writing ({said}); {remedy}") from None
    try:
        # Before anything is written: a file that promises no safety from power cuts must not wait for the disk.
        connection.execute(f"PRAGMA synchronous = {synchronous}")
        if is_empty(connection):
            _create(connection)
        check_identity(connection, path)
        # Checkpoints belong to the background thread: an fsync must never stall the recording app.
        connection.execute("PRAGMA wal_autocheckpoint = 0")
    except sqlite3.DatabaseError as error:
        connection.close()
        if is_refusal(error):
            raise StorageFailed(f"{path}: {error}; check the disk and its free space") from None
        raise database_error(path, error) from None
    except (UnreadableSource, CorruptHistory):
        connection.close()
        raise
    return connection


def is_refusal(error: sqlite3.Error) -> bool:
    """Say whether the disk is to blame, and not what is on it."""
    return "disk I/O error" in str(error) or "full" in str(error)


def connect_reader(path: Path, *, live: bool | None = None) -> Opened:
    """Open a file for reading; needs no writer's help, and nothing of the file changes.

    Args:
        path: the file.
        live: a writer may be at work, so its -wal is read too; found out when None. A file at rest is opened as
            immutable: that works on read-only media and makes no side files.

    Raises:
        UnreadableSource: it is missing, cannot be opened or is no unspool file.
        NewerSchema: a newer unspool wrote it.
        CorruptHistory: it is damaged.
    """
    try:
        opened = open_untouched(path, live=live)
    except sqlite3.Error as error:
        raise database_error(path, error) from None
    except UnicodeDecodeError as error:
        raise CorruptHistory(
            f"{path}: damaged ({error}); `unspool doctor {path} --repair OUT` keeps what is intact"
        ) from None
    except FileNotFoundError:
        raise UnreadableSource(f"{path}: no such file") from None
    except OSError as error:
        raise UnreadableSource(f"{path}: cannot be read ({error.strerror}); check its permissions") from None
    try:
        check_identity(opened.connection, path)
    except sqlite3.DatabaseError as error:
        opened.connection.close()
        raise database_error(path, error) from None
    except (UnreadableSource, CorruptHistory):
        opened.connection.close()
        raise
    return opened


def database_error(path: Path, error: sqlite3.Error) -> UnreadableSource | CorruptHistory:
    """Return what an SQLite error means for a person."""
    text = str(error)
    if "not a database" in text:
        return UnreadableSource(f"{path}: not an unspool file (no SQLite database); name its format with --format")
    if "malformed" in text or "corrupt" in text:
        return CorruptHistory(f"{path}: damaged ({text}); `unspool doctor {path} --repair OUT` keeps what is intact")
    if is_refusal(error):
        return CorruptHistory(f"{path}: {text}; check the disk and its free space")
    return UnreadableSource(f"{path}: cannot be opened ({text}); {foreign_owner(path) or 'check its permissions'}")


def is_sound(path: Path) -> bool:
    """Say whether a file that is being written to is whole, seen by a connection that has read nothing of it before."""
    try:
        with closing(connect_reader(path, live=True).connection) as connection:
            return bool(connection.execute("PRAGMA quick_check(1)").fetchone() == ("ok",))
    except (sqlite3.Error, UnreadableSource, CorruptHistory):
        return False


def is_empty(connection: sqlite3.Connection) -> bool:
    """Say whether the database has no content at all."""
    return bool(connection.execute("SELECT count(*) = 0 FROM sqlite_master").fetchone()[0])


def check_identity(connection: sqlite3.Connection, path: Path) -> None:
    """Refuse databases of other programs and of newer versions.

    Raises:
        UnreadableSource: another program's database, or one without content.
        NewerSchema: a newer unspool wrote it.
    """
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    if application != APPLICATION_ID:
        if is_empty(connection):
            raise UnreadableSource(f"{path}: an empty database; was it copied without its -wal file?")
        raise UnreadableSource(f"{path}: an SQLite database, but not unspool's (application id {application:#x})")
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > SCHEMA_VERSION:
        raise NewerSchema(
            f"{path}: written by a newer unspool (schema {version}, this one reads up to {SCHEMA_VERSION}); upgrade"
        )


def _create(connection: sqlite3.Connection) -> None:
    connection.execute(f"PRAGMA page_size = {_PAGE_BYTES}")
    connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("BEGIN IMMEDIATE")
    # Two recorders may start on one new file at once; the second finds the tables made.
    if is_empty(connection):
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        for statement in _TABLES.split(";"):
            if statement.strip():
                connection.execute(statement)
    connection.execute("COMMIT")
    # The main file alone must already be recognisable, also when it is copied without its -wal.
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
