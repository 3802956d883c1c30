"""The `.unspool` file: one SQLite database, and how it is opened.

    tail(seq, ...)                 newest entries, a row each
    block(first, count, ...)       sealed entries: columnar metadata, zstd
    block_data(first, data)        their records, zstd against the segment's keyframe
    span(first, count, ...)        many blocks: their metadata once more, laid out for reading all of it
    span_data(id, data)            its parts
    segment(id, data)              a full state, the prefix that its blocks are compressed against
    atom(id, name)                 interned names
    meta(key, value)               facts about the file

docs/storage.md describes every column.
"""

from __future__ import annotations

import secrets
import sqlite3
import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Final, NamedTuple, cast

from unspool.errors import CorruptHistory, NewerSchema, StorageFailed, UnreadableSource
from unspool.files import PRIVATE, foreign_owner, make_if_missing
from unspool.store.databases import BoundedConnection, DatabaseView, open_untouched
from unspool.store.layout import CREATED_NS, FileConnection
from unspool.store.layout_1 import FirstLayout
from unspool.store.layout_2 import SecondLayout, seed_of

APPLICATION_ID: Final = 0x554E5350
"""`UNSP`: what `file(1)` and SQLite see as the kind of database."""
SCHEMA_VERSION: Final = SecondLayout.version
"""Of a new file; earlier ones are read and gone on with as they are."""
_PAGE_BYTES: Final = 1024
"""Of a new file. A sealed block is one row of a few KB: larger pages would leave a third of each empty, and every commit
would write one of them whole."""

LAYOUTS: Final = (FirstLayout, SecondLayout)
FORMATS: Final[Mapping[int, Mapping[str, str]]] = {layout.version: layout.tables for layout in LAYOUTS}
"""The statements that make each table, by its name, for every schema version."""


def connect_writer(path: Path, *, synchronous: str, mode: int = PRIVATE, history_id: str = "") -> FileConnection:
    """Open a file for writing, creating it if it is missing or empty.

    Args:
        path: the file.
        synchronous: SQLite's setting of that name: OFF, NORMAL or FULL.
        mode: permissions of a new file; SQLite gives its side files those of the main one.
        history_id: which history a new file holds; one of its own where "".

    Raises:
        UnreadableSource: it cannot be opened or is no unspool file.
        NewerSchema: a newer unspool wrote it.
        StorageFailed: the disk refused.
    """
    try:
        make_if_missing(path, mode)
        connection = sqlite3.connect(
            path, isolation_level=None, check_same_thread=False, timeout=10.0, factory=FileConnection
        )
    except (OSError, sqlite3.Error) as error:
        said = error.strerror if isinstance(error, OSError) else error
        remedy = foreign_owner(path, to_write=True) or "check the folder"
        raise UnreadableSource(f"{path}: cannot be opened for writing ({said}); {remedy}") from None
    try:
        # Before anything is written: a file that promises no safety from power cuts must not wait for the disk.
        connection.execute(f"PRAGMA synchronous = {synchronous}")
        if is_empty(connection):
            _create(connection, history_id or secrets.token_hex(4))
        check_identity(connection, path)
        # Checkpoints belong to the background thread: an fsync must never stall the recording app.
        connection.execute("PRAGMA wal_autocheckpoint = 0")
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
        connection.close()
        if is_refusal(error):
            raise StorageFailed(f"{path}: {error}; check the disk and its free space") from None
        raise database_error(path, error) from None
    except (UnreadableSource, CorruptHistory):
        connection.close()
        raise
    return connection


def is_refusal(error: Exception) -> bool:
    """Whether the disk is to blame, and not what is on it."""
    return "disk I/O error" in str(error) or "full" in str(error)


class _ReadingConnection(BoundedConnection, FileConnection):
    """A connection to a native file that anybody may have written."""


class OpenedFile(NamedTuple):
    """A connection that cannot write, and what it sees."""

    connection: FileConnection
    view: DatabaseView


def connect_reader(path: Path, *, live: bool | None = None, is_lenient: bool = False) -> OpenedFile:
    """Open a file for reading; needs no writer's help, and nothing of the file changes.

    Args:
        path: the file.
        live: a writer may be at work, so its -wal is read too; found out when None. A file at rest is opened as
            immutable: that works on read-only media and makes no side files.
        is_lenient: make do with a file that does not say any more what a reader must understand.

    Raises:
        UnreadableSource: it is missing, cannot be opened or is no unspool file.
        NewerSchema: a newer unspool wrote it.
        CorruptHistory: it is damaged.
    """
    try:
        # A damaged text is compared with its checksum; SQLite's module would refuse the whole query for it.
        found, view = open_untouched(path, live=live, text_factory=_text, factory=_ReadingConnection)
    except (sqlite3.Error, UnicodeDecodeError) as error:
        raise database_error(path, error) from None
    except FileNotFoundError:
        raise UnreadableSource(f"{path}: no such file") from None
    except OSError as error:
        raise UnreadableSource(f"{path}: cannot be read ({error.strerror}); check its permissions") from None
    opened = OpenedFile(cast("FileConnection", found), view)
    try:
        check_identity(opened.connection, path, is_lenient=is_lenient)
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
        opened.connection.close()
        raise database_error(path, error) from None
    except (UnreadableSource, CorruptHistory):
        opened.connection.close()
        raise
    return opened


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def database_error(path: Path, error: sqlite3.Error | UnicodeDecodeError) -> UnreadableSource | CorruptHistory:
    """Return what an SQLite error means for a person; one that does not decode quotes damaged bytes of the file."""
    text = "malformed text" if isinstance(error, UnicodeDecodeError) else str(error)
    if "not a database" in text:
        return UnreadableSource(f"{path}: not an unspool file (no SQLite database); name its format with --format")
    if "malformed" in text or "corrupt" in text or "Could not decode" in text:
        return CorruptHistory(f"{path}: damaged ({text}); `unspool doctor {path} --repair OUT` keeps what is intact")
    if "interrupted" in text:
        return CorruptHistory(
            f"{path}: reading was broken off; if nobody closed the file, its pages lead round in circles: "
            f"`unspool doctor {path} --repair OUT` keeps what is intact"
        )
    if is_refusal(error):
        return CorruptHistory(f"{path}: {text}; check the disk and its free space")
    return UnreadableSource(f"{path}: cannot be opened ({text}); {foreign_owner(path) or 'check its permissions'}")


def is_sound(path: Path) -> bool:
    """Whether a file that is being written to is whole, seen by a connection that has read nothing of it before."""
    try:
        with closing(connect_reader(path, live=True).connection) as connection:
            return bool(connection.execute("PRAGMA quick_check(1)").fetchone() == ("ok",))
    except (sqlite3.Error, UnreadableSource, CorruptHistory):
        return False


def has_known_tables(path: Path) -> bool:
    """Whether a file has the tables of a format that is known, whatever version it says it has."""
    try:
        with closing(open_untouched(path).connection) as connection:
            found = dict(connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table' LIMIT 100"))
    except (sqlite3.Error, UnreadableSource, OSError, UnicodeDecodeError):
        return False
    return any(found == dict(tables) for tables in FORMATS.values())


def is_empty(connection: sqlite3.Connection) -> bool:
    """Whether the database has no content at all."""
    return bool(connection.execute("SELECT count(*) = 0 FROM sqlite_master").fetchone()[0])


def check_identity(connection: FileConnection, path: Path, *, is_lenient: bool = False) -> None:
    """Refuse databases of other programs and of newer versions, and tell the connection how its rows are laid out.

    Raises:
        UnreadableSource: another program's database, or one without content.
        NewerSchema: a newer unspool wrote it.
        CorruptHistory: its tables are not those of its format.
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
    if version not in FORMATS:
        raise CorruptHistory(
            f"{path}: damaged (no unspool wrote schema {version}); `unspool doctor {path} --repair OUT` keeps what is intact"
        )
    _check_tables(connection, path, FORMATS[version])
    try:
        is_first = version == FirstLayout.version
        connection.layout = FirstLayout() if is_first else SecondLayout.of(connection, is_lenient=is_lenient)
    except (NewerSchema, CorruptHistory) as error:
        raise type(error)(f"{path}: {error}") from None


def _check_tables(connection: sqlite3.Connection, path: Path, expected: Mapping[str, str]) -> None:
    """See that the tables are ours, and that nothing else stands in their place or acts when they are read.

    Raises:
        CorruptHistory: one is missing or another, or there is a view, a trigger or a table that is none of ours.
    """
    found = {}
    for kind, name, sql in connection.execute("SELECT type, name, sql FROM sqlite_master"):
        if kind == "index" and sql is None:
            # SQLite's own, behind a key of a table.
            continue
        if kind == "table" and str(name).startswith("sqlite_stat"):
            # Left by ANALYZE: it changes how fast SQLite finds a row, not which.
            continue
        if kind != "table" or expected.get(name) != sql:
            raise _wrong_tables(path, f"{kind} {name!r} is none of its own")
        found[name] = sql
    for name in expected.keys() - found.keys():
        raise _wrong_tables(path, f"table {name!r} is missing")


def _wrong_tables(path: Path, what: str) -> CorruptHistory:
    return CorruptHistory(f"{path}: damaged ({what}); `unspool doctor {path} --repair OUT` keeps what is intact")


def _create(connection: FileConnection, history_id: str) -> None:
    connection.execute(f"PRAGMA page_size = {_PAGE_BYTES}")
    connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("BEGIN IMMEDIATE")
    # Two recorders may start on one new file at once; the second finds the tables made.
    if is_empty(connection):
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        for statement in FORMATS[SCHEMA_VERSION].values():
            connection.execute(statement)
        layout = SecondLayout(seed_of(history_id))
        layout.begin(connection, history_id)
        layout.keep_fact(connection, CREATED_NS, time.time_ns())
    connection.execute("COMMIT")
    # The main file alone must already be recognisable, also when it is copied without its -wal.
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
