"""Opening an SQLite database for reading so that nothing of it changes: not the file, not its log, not its journal.

SQLite's readers write where they can: the last one to close folds the log into the file and removes it, an unfinished
change is rolled back, and an empty file loses its log. What is opened here has no right to write, so none of that happens;
`-shm`, which SQLite makes anew from the log at any time, is all that may appear beside a file.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import quote

from unspool import system
from unspool.errors import UnreadableSource
from unspool.files import ScratchFolder
from unspool.store.wal import WalScan, WalState, log_of, scan_wal

SQLITE_MAGIC: Final = b"SQLite format 3\x00"
"""The first bytes of every SQLite database."""

WAIT_S: Final = 10.0
"""How long a reader waits for a writer that holds the file."""
_WITHOUT_LOG: Final = b"\x01\x01"
"""Bytes 18 and 19 of a database that is written with a rollback journal; others have a log."""
_JOURNAL_MAGIC: Final = bytes.fromhex("d9d505f920a163d7")
_MOST_COPIED: Final = 1 << 30
"""Bytes of a database that is copied, so that an unfinished change can be rolled back in the copy."""


class DatabaseView(Enum):
    """How a database was opened."""

    AT_REST = "at rest"
    """As it lies there; what is written to it later may be read in part."""
    FOLLOWED = "followed"
    """With SQLite's locks: each reading sees the newest commit."""
    APART = "apart"
    """As it was when it was opened."""


_Connect = Callable[..., sqlite3.Connection]
_STRIDE: Final = 20_000
"""Steps of SQLite's machine between two looks at how many there were."""
_STEPS_AT_LEAST: Final = 3_000_000
_STEPS_A_BYTE: Final = 16
"""Steps that a statement may take for each byte of the database and its log: reading every row takes about one."""


class BoundedConnection(sqlite3.Connection):
    """A connection whose statements end: pages that lead round in circles would keep SQLite busy for ever."""

    stops: Callable[[], bool] | None = None
    """Asked now and then whether to break off what runs."""
    _path = Path()
    _strides = 0
    _most = 0

    def bound(self, path: Path) -> None:
        """Break off every statement from now on that takes longer than a database as large as this one can take."""
        self._path = path
        self._most = _STEPS_AT_LEAST // _STRIDE
        self.set_progress_handler(self._stride, _STRIDE)

    def _stride(self) -> int:
        self._strides += 1
        if self._strides > self._most:
            # It may have grown since it was looked at last.
            self._most = (_STEPS_AT_LEAST + _STEPS_A_BYTE * sum(stamp_of(self._path)[1::2])) // _STRIDE
        return int(self._strides > self._most or (self.stops is not None and self.stops()))

    def execute(self, *args: Any) -> sqlite3.Cursor:
        """Run a statement; see `sqlite3.Connection.execute`."""
        self._strides = 0
        return super().execute(*args)


class OpenedDatabase(NamedTuple):
    """A connection that cannot write, and what it sees."""

    connection: sqlite3.Connection
    view: DatabaseView


def open_untouched(
    path: Path,
    *,
    live: bool | None = None,
    text_factory: Callable[[bytes], str] | None = None,
    wait_s: float = WAIT_S,
    factory: type[BoundedConnection] = BoundedConnection,
) -> OpenedDatabase:
    """Open a database for reading.

    Args:
        path: the database.
        live: its log is to be read; found out when None.
        text_factory: makes texts of their bytes; strict UTF-8 when None.
        wait_s: how long to wait for a writer that holds it.
        factory: what the connection is made with.

    Raises:
        UnreadableSource: it is empty, or has an unfinished change and is too large to be copied.
        OSError: it is missing or may not be read.
        sqlite3.Error, UnicodeDecodeError: SQLite cannot open it, or its schema is damaged.
    """
    path = path.resolve()
    head = _head(path)
    # SQLite takes a file of one byte for an empty one too, and removes the log of such a file even without the right to write.
    if len(head) < 2:
        beside = ", though it has a log beside it" if log_of(path).exists() else ""
        raise UnreadableSource(f"{path}: is empty{beside}; restore it from a copy")
    if live is None:
        live = has_log(path) or _is_shared(path)
    connect = partial(_connect, text_factory=text_factory, wait_s=wait_s, factory=factory)
    if not live and _has_journal(path):
        return _open_beside_journal(path, connect)
    if not live and head[18:20] != _WITHOUT_LOG:
        return OpenedDatabase(connect(path, "mode=ro&immutable=1"), DatabaseView.AT_REST)
    try:
        return OpenedDatabase(connect(path, "mode=ro"), DatabaseView.FOLLOWED)
    except sqlite3.OperationalError as error:
        if not live or error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_CANTOPEN:
            raise
    return _open_apart(path, head, connect)


class UntouchedDatabase:
    """A database that is only read, and opened anew where that is what it takes to see what was written since.

    Attributes:
        path: the database itself, not a link to it.
    """

    def __init__(
        self, path: Path, *, text_factory: Callable[[bytes], str] | None = None, wait_s: float = WAIT_S
    ) -> None:
        """Open it; see `open_untouched` for arguments and what is raised."""
        self.path = path.resolve()
        self._open = partial(open_untouched, self.path, text_factory=text_factory, wait_s=wait_s)
        self._stamp = stamp_of(self.path)
        self._opened = self._open()
        self._reopened = 0

    def current(self) -> sqlite3.Connection:
        """Return a connection whose next reading sees the newest commit; see `open_untouched` for what is raised."""
        if self._opened.view is not DatabaseView.FOLLOWED:
            stamp = stamp_of(self.path)
            if stamp not in (self._stamp, _GONE):
                # Cursors that are being read keep the connection before.
                self._opened, self._stamp = self._open(), stamp
                self._reopened += 1
        return self._opened.connection

    def version(self) -> tuple[int, int]:
        """Return what differs as soon as somebody has committed."""
        found = self.current().execute("PRAGMA data_version").fetchone()
        return self._reopened, int(found[0])

    def close(self) -> None:
        """Close it."""
        self._opened.connection.close()


Stamp = tuple[int, int, int, int, int]
"""A file's inode, size and time of change, and size and time of change of its log."""
_GONE: Final = (0, 0, 0, 0, 0)


def stamp_of(path: Path, log: str = "") -> Stamp:
    """Return what changes when a database is written to; zeros where it is not there.

    Args:
        path: the database.
        log: where its log lies, if `path` is a link.
    """
    try:
        status = os.stat(path)  # noqa: PTH116 - asked before every reading, where a Path costs too much
    except OSError:
        return _GONE
    try:
        written = os.stat(log or f"{path}-wal")  # noqa: PTH116
    except OSError:
        return (status.st_ino, status.st_size, status.st_mtime_ns, 0, 0)
    when = written.st_mtime_ns if written.st_size else 0
    return (status.st_ino, status.st_size, status.st_mtime_ns, written.st_size, when)


def _connect(
    path: Path,
    options: str,
    *,
    text_factory: Callable[[bytes], str] | None,
    wait_s: float,
    factory: type[BoundedConnection],
    exclusive: bool = False,
) -> sqlite3.Connection:
    uri = f"file:{quote(str(path))}?{options}"
    connection = sqlite3.connect(
        uri, uri=True, isolation_level=None, check_same_thread=False, timeout=wait_s, factory=factory
    )
    try:
        if text_factory is not None:
            connection.text_factory = text_factory
        if exclusive:
            connection.execute("PRAGMA locking_mode = EXCLUSIVE").fetchall()
        guard(connection)
        connection.bound(path)
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except (sqlite3.Error, UnicodeDecodeError):
        connection.close()
        raise
    return connection


def guard(connection: sqlite3.Connection) -> None:
    """Have SQLite read a file as one that anybody may have written: nothing in its schema is run, nothing is mapped."""
    for setting in ("query_only = ON", "trusted_schema = OFF", "cell_size_check = ON", "mmap_size = 0"):
        connection.execute(f"PRAGMA {setting}").fetchall()


def _open_apart(path: Path, head: bytes, connect: _Connect) -> OpenedDatabase:
    """Open a file beside which no `-shm` can be made: its log is indexed in memory, without a lock."""
    scan = scan_wal(log_of(path), page_size_in(head))
    if scan is None or scan.committed == 0:
        # Without a commit to read SQLite would take the log for folded, and remove it.
        return OpenedDatabase(connect(path, "mode=ro&immutable=1"), DatabaseView.APART)
    return OpenedDatabase(connect(path, "mode=ro&vfs=unix-none", exclusive=True), DatabaseView.APART)


def _open_beside_journal(path: Path, connect: _Connect) -> OpenedDatabase:
    """Open a file with a journal: a writer is in the middle of a change, or died there."""
    try:
        return OpenedDatabase(connect(path, "mode=ro"), DatabaseView.FOLLOWED)
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_READONLY_ROLLBACK:
            raise
    size = path.stat().st_size
    if size > _MOST_COPIED:
        raise UnreadableSource(
            f"{path}: a change was never finished, and at {size >> 20} MiB it is too large to be copied and read "
            "without it; open it once with the program that wrote it"
        )
    with ScratchFolder() as folder:
        copy = folder / "copy"
        shutil.copyfile(path, copy)
        shutil.copyfile(journal_of(path), journal_of(copy))
        # The copy has no name any more when this returns, and is gone with the connection.
        return OpenedDatabase(connect(copy, "mode=rw"), DatabaseView.APART)


def _head(path: Path) -> bytes:
    with path.open("rb") as stream:
        return stream.read(100)


def page_size_in(head: bytes) -> int:
    """Return the size of a page as the header of a database tells it; 0 where it makes no sense."""
    size = int.from_bytes(head[16:18])
    size = 65536 if size == 1 else size
    return size if 512 <= size <= 65536 and size & (size - 1) == 0 else 0


def journal_of(path: Path) -> Path:
    """Return where the rollback journal of a database lies."""
    return path.with_name(path.name + "-journal")


def _has_journal(path: Path) -> bool:
    try:
        with journal_of(path).open("rb") as stream:
            return stream.read(len(_JOURNAL_MAGIC)) == _JOURNAL_MAGIC
    except OSError:
        return False


def has_log(path: Path) -> bool:
    """Whether a writer is at work on a database, or left something in its log."""
    try:
        # Asked before every reading: joining text costs a tenth of what a Path does.
        return os.stat(f"{path}-wal").st_size > 0  # noqa: PTH116
    except OSError:
        return False


def _is_shared(path: Path) -> bool:
    """Whether some connection has the database open in WAL mode, though nothing stands in its log."""
    return log_of(path).exists() and path.with_name(path.name + "-shm").exists()


def is_recording(path: Path) -> bool:
    """Whether a recorder is at work on a file, in this process or another.

    Its lock is asked for in shared mode and let go of at once.
    """
    try:
        descriptor = os.open(
            f"{path}-lock",
            (system.TO_READ if system.fcntl is not None else system.TO_WRITE) | system.NO_WAIT | system.NO_FOLLOW,
        )
    except OSError:
        return False
    try:
        system.lock(descriptor, is_shared=True)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def damage_of_log(path: Path) -> WalScan | None:
    """Walk over the log that a writer left behind.

    Args:
        path: the database.

    Returns:
        What is the matter with the log; None where it is sound or absent, or a recorder is just writing to it.

    Raises:
        UnreadableSource: the log cannot be read.
    """
    if not has_log(path) or is_recording(path):
        return None
    log = log_of(path)
    try:
        page_size = page_size_in(_head(path))
    except OSError:
        page_size = 0
    found = scan_wal(log, page_size)
    if found is None or found.state is WalState.SOUND:
        return None
    # A writer that appends just now leaves half a frame for a moment: what stays so is damage.
    again = scan_wal(log, page_size)
    return again if again is not None and (again.state, again.first_bad) == (found.state, found.first_bad) else None


__all__ = [
    "WAIT_S",
    "BoundedConnection",
    "DatabaseView",
    "OpenedDatabase",
    "Stamp",
    "UntouchedDatabase",
    "damage_of_log",
    "guard",
    "has_log",
    "is_recording",
    "journal_of",
    "open_untouched",
    "page_size_in",
    "stamp_of",
]  # fmt: skip
