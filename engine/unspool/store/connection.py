"""One connection for reading a file: consistent views, several threads, and a writer that comes and goes."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from unspool.errors import CorruptHistory, UnreadableSource, UnspoolError
from unspool.store.databases import DatabaseView, Stamp, damage_of_log, stamp_of
from unspool.store.layout import HISTORY_ID, FileConnection
from unspool.store.schema import connect_reader, database_error
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
            self._guard = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
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


def _replaced(path: Path) -> UnreadableSource:
    return UnreadableSource(f"{path}: another history has taken its place; open it again to see that one")


def _located(path: Path, error: CorruptHistory) -> CorruptHistory:
    text = str(error)
    if str(path) in text:
        return error
    return type(error)(f"{path}: {text}", seq=error.seq)
