"""The `.unspool` file: one SQLite database, how it is opened, and the connection that reads it.

    tail(seq, ...)                 newest entries, a row each
    block(first, count, ...)       sealed entries: columnar metadata, zstd
    block_data(first, data)        their records, zstd against the segment's keyframe
    span(first, count, ...)        many blocks: their metadata once more, laid out for reading all of it
    span_data(id, data)            its parts
    segment(id, data)              a full state, the prefix that its blocks are compressed against
    atom(id, name)                 interned names
    meta(key, value)               facts about the file

docs/storage.md describes every column. A reading connection gives consistent views to several threads while a writer
comes and goes.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import Final, NamedTuple, cast

from unspool import system
from unspool.errors import CorruptHistory, NewerSchema, SourceReplaced, StorageFailed, UnreadableSource, UnspoolError
from unspool.files import PRIVATE, foreign_owner, make_if_missing
from unspool.store.databases import BoundedConnection, DatabaseView, Stamp, damage_of_log, open_untouched, stamp_of
from unspool.store.layout import CREATED_NS, HISTORY_ID, FileConnection
from unspool.store.layout_1 import FirstLayout
from unspool.store.layout_2 import SecondLayout, seed_of
from unspool.store.wal import log_of

_Guarded = tuple[int, int]
"""Size and time of change of a file."""
_GONE: Final = (0, 0, 0, 0, 0)
"""What stands for the stamp of a file that is not there."""


class ReadConnection:
    """Reads one file; safe to use from several threads.

    Attributes:
        history_id: the history in it, once that is known: no other one is read in its place.
        damage: what is the matter with the log that a writer left behind; "" where it is sound.
    """

    def __init__(self, path: Path, *, live: bool = False, reopened: Callable[[], None] | None = None) -> None:
        """Open a file.

        Args:
            path: the file.
            live: this process writes to it; what a writer left behind is looked at when None.
            reopened: called whenever the file was opened anew; blocks may lie in it in another way then.

        Raises:
            UnreadableSource, NewerSchema, CorruptHistory: see `connect_reader`.
        """
        self.path = path
        self.history_id = ""
        self._report_reopened = reopened
        self._lock = threading.RLock()
        self._outermost = 0
        """Which reading began the view that is open; 0 for none."""
        self._log = _log_name(path)
        self._stamp = stamp_of(self.path, self._log)
        self._connection, self._view = connect_reader(path, live=live or None)
        self._guard = -1
        self._guarded: _Guarded = (0, 0)
        try:
            self._set_guard()
            self.damage = "" if live else _damage(path)
        except BaseException:
            self.close()
            raise
        self._reopened = 0
        self._other = -1
        """Number of a file that has the name now and holds another history."""

    @property
    def is_at_rest(self) -> bool:
        """Whether there is no log beside the file, and nobody has it open."""
        return self._view is DatabaseView.AT_REST

    @property
    def is_settled(self) -> bool:
        """Whether the view that is open is of a file that has not changed since it was opened: no block of it can have gone."""
        return not self._outermost

    def reading(self) -> _Reading:
        """Give one consistent view of the file, whatever a writer seals meanwhile.

        Raises:
            UnreadableSource, CorruptHistory: what went wrong inside, with the file's name.
        """
        return _Reading(self)

    def begin(self, reading: _Reading) -> None:
        """Take the connection for this thread and begin a view, unless this thread is in one; only for `reading`."""
        self._lock.acquire()
        if self._outermost:
            return
        if self._guard >= 0:
            # Nothing can change in a file at rest unless the file itself does: no transaction, one look at it.
            status = os.fstat(self._guard)
            if (status.st_size, status.st_mtime_ns) == self._guarded:
                return
        self._outermost = reading.number
        if self._connection.in_transaction:
            # Ctrl-C kept a view from being ended; what was written since must be seen.
            self._connection.execute("COMMIT")
        self._follow_writer()
        self._connection.execute("BEGIN")

    def end(self, reading: _Reading) -> None:
        """End a view and let go of the connection; only for `reading`."""
        # Ctrl-C may come behind any call, and what stands in `finally` must happen all the same: only the last is one.
        try:
            if self._outermost == reading.number and self._connection.in_transaction:
                self._connection.execute("COMMIT")
        except sqlite3.DatabaseError:
            # On a damaged file even the end of a reading fails; what failed first is already on its way.
            pass
        finally:
            if self._outermost == reading.number:
                self._outermost = 0
            reading.is_open = False
            try:  # noqa: SIM105 - `suppress` is two calls more
                self._lock.release()
            except RuntimeError:
                # Ctrl-C came before the connection was taken: what is not held cannot be let go of.
                pass

    @property
    def connection(self) -> FileConnection:
        """The connection, while it is held."""
        return self._connection

    def _set_guard(self) -> None:
        """Keep hold of a file at rest, so that a look at it finds the same file without a search for its name."""
        if self._guard >= 0:
            os.close(self._guard)
            self._guard = -1
        if self._view is not DatabaseView.AT_REST:
            return
        try:
            self._guard = os.open(self.path, system.TO_READ)
        except OSError:
            return
        try:
            status = os.fstat(self._guard)
            self._guarded = (status.st_size, status.st_mtime_ns)
            is_ours = (status.st_ino, *self._guarded) == self._stamp[:3]
        except OSError:
            is_ours = False
        if not is_ours:
            # Another file has the name already: that one is looked at by its name.
            os.close(self._guard)
            self._guard = -1

    def version(self) -> tuple[int, int]:
        """Return what differs as soon as another connection has committed; costs microseconds.

        Raises:
            UnreadableSource, CorruptHistory: the file cannot be read any more, or is no longer the one that was opened.
        """
        try:
            with self._lock:
                stamp = self._follow_writer(looks=True)
                if stamp[0] not in (_GONE[0], self._stamp[0]):
                    raise _replaced(self.path)
                return self._reopened, int(self._connection.execute("PRAGMA data_version").fetchone()[0])
        except sqlite3.DatabaseError as error:
            raise database_error(self.path, error) from None

    def _follow_writer(self, *, looks: bool = False) -> Stamp:
        """Open a file at rest anew as soon as somebody writes to it, and any file when another one has its name.

        Args:
            looks: look at the name of a file that is being written to as well.
        """
        follows = self._view is DatabaseView.FOLLOWED
        if follows and not looks:
            return self._stamp
        stamp = stamp_of(self.path, self._log)
        # Deleted or moved away: what is open can still be read, and may come back.
        if stamp != _GONE and (stamp[0] != self._stamp[0] or (not follows and stamp != self._stamp)):
            self._reopen(stamp)
        return stamp

    def _reopen(self, stamp: Stamp) -> None:
        """Switch over to what has the file's name now, unless that is another history.

        Raises:
            UnreadableSource, CorruptHistory: what is open was overwritten, so there is nothing else to read.
        """
        is_same_place = stamp[0] == self._stamp[0]
        if stamp[0] == self._other:
            return
        try:
            fresh, view = connect_reader(self.path)
        except (UnreadableSource, CorruptHistory):
            if is_same_place:
                raise
            # It may only be about to be made; what is open can be read all the same.
            return
        try:
            is_ours = self.history_id in ("", _history_id(fresh))
        except (sqlite3.DatabaseError, CorruptHistory):
            fresh.close()
            raise
        if not is_ours:
            fresh.close()
            if is_same_place:
                raise _replaced(self.path)
            # What is open still lies on the disk without a name.
            self._other = stamp[0]
            return
        self._connection.close()
        self._connection, self._view, self._stamp = fresh, view, stamp
        self._log = _log_name(self.path)
        self._set_guard()
        self.damage = _damage(self.path)
        self._reopened += 1
        if self._report_reopened is not None:
            self._report_reopened()

    def close(self) -> None:
        """Close the connection; a reading that another thread has begun is broken off, not waited for."""
        with suppress(sqlite3.Error):
            self._connection.interrupt()
        with self._lock:
            self._connection.close()
            if self._guard >= 0:
                os.close(self._guard)
                self._guard = -1


class _Reading:
    """A view of a file in a `with` statement; errors inside come out as ours."""

    __slots__ = ("_file", "is_open", "number")

    def __init__(self, file: ReadConnection) -> None:
        self._file = file
        self.is_open = False
        self.number = id(self)

    def __enter__(self) -> FileConnection:
        try:
            self.is_open = True
            self._file.begin(self)
            # The last that Ctrl-C may end: behind `return` the `with` statement sees to it.
            connection = self._file.connection
        except BaseException as error:
            self._file.end(self)
            self._raise_as_ours(error)
            raise
        return connection

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._file.end(self)
        if error is not None:
            self._raise_as_ours(error)

    def __del__(self) -> None:
        # Ctrl-C came at the very beginning of `__exit__`, or in the middle of `__init__`.
        if getattr(self, "is_open", False):
            self._file.end(self)

    def _raise_as_ours(self, error: BaseException) -> None:
        path = self._file.path
        if isinstance(error, sqlite3.DatabaseError):
            raise database_error(path, error) from None
        if isinstance(error, CorruptHistory):
            raise _located(path, error) from None
        if isinstance(error, TypeError | ValueError | OverflowError) and not isinstance(error, UnspoolError):
            # SQLite reads a damaged page as values of any type where a number or bytes should be.
            raise CorruptHistory(f"{path}: damaged ({error}); run `unspool doctor` on it") from error


def _log_name(path: Path) -> str:
    """Return where SQLite keeps the log: beside the file itself, not beside a link to it."""
    return str(log_of(path.resolve()))


def _damage(path: Path) -> str:
    scan = damage_of_log(path.resolve())
    return "" if scan is None else f"{log_of(path).name}: {scan.meaning}; newest entries are missing"


def _history_id(connection: FileConnection) -> str:
    found = connection.layout.fact(connection, HISTORY_ID)
    return "" if found is None else str(found)


def _replaced(path: Path) -> SourceReplaced:
    return SourceReplaced(f"{path}: another history has taken its place; open it again to see that one")


def _located(path: Path, error: CorruptHistory) -> CorruptHistory:
    text = str(error)
    if str(path) in text:
        return error
    return type(error)(f"{path}: {text}", seq=error.seq)


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
            _create(connection, history_id or os.urandom(4).hex())
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
