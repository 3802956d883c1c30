"""One connection for reading a file: consistent views, several threads, and a writer that comes and goes."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from unspool.errors import CorruptHistory, UnreadableSource
from unspool.store.schema import connect_reader, database_error, is_live

_GONE: Final = (0, 0, 0)
"""What stands for the stamp of a file that is not there."""


class ReadConnection:
    """Reads one file; safe to use from several threads.

    Attributes:
        history_id: the history in it, once that is known: no other one is read in its place.
    """

    def __init__(self, path: Path, *, live: bool | None = None, reopened: Callable[[], None] | None = None) -> None:
        """Open a file.

        Args:
            path: the file.
            live: a writer is at work; found out when None.
            reopened: called whenever the file was opened anew; blocks may lie in it in another way then.

        Raises:
            UnreadableSource, NewerSchema, CorruptHistory: see `connect_reader`.
        """
        self.path = path
        self.history_id = ""
        self._tell_reopened = reopened
        self._lock = threading.RLock()
        self._live = is_live(path) if live is None else live
        self._stamp = _stamp(path)
        self._connection = connect_reader(path, live=self._live)
        self._reopened = 0
        self._other = -1
        """Number of a file that has the name now and holds another history."""

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Give one consistent view of the file, whatever a writer seals meanwhile.

        Raises:
            UnreadableSource, CorruptHistory: what went wrong inside, with the file's name.
        """
        with self._lock:
            nested = self._connection.in_transaction
            try:
                if not nested:
                    self._follow_writer()
                    self._connection.execute("BEGIN")
                yield self._connection
            except sqlite3.DatabaseError as error:
                raise database_error(self.path, error) from None
            except CorruptHistory as error:
                raise _located(self.path, error) from None
            except (TypeError, UnicodeDecodeError) as error:
                # SQLite reads a damaged page as values of any type where a number or bytes should be.
                raise CorruptHistory(f"{self.path}: damaged ({error}); run `unspool doctor` on it") from error
            finally:
                if not nested and self._connection.in_transaction:
                    # On a damaged file even the end of a reading fails; what failed first is already on its way.
                    with suppress(sqlite3.DatabaseError):
                        self._connection.execute("COMMIT")

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

    def _follow_writer(self, *, looks: bool = False) -> tuple[int, int, int]:
        """Open a file at rest anew as soon as somebody writes to it, and any file when another one has its name.

        Args:
            looks: look at the name of a file that is being written to as well.
        """
        if self._live and not looks:
            return self._stamp
        live, stamp = is_live(self.path), _stamp(self.path)
        # Deleted or moved away: what is open can still be read, and may come back.
        if stamp != _GONE and (stamp[0] != self._stamp[0] or (not self._live and (live or stamp != self._stamp))):
            self._reopen(live, stamp)
        return stamp

    def _reopen(self, live: bool, stamp: tuple[int, int, int]) -> None:
        """Switch over to what has the file's name now, unless that is another history.

        Raises:
            UnreadableSource, CorruptHistory: what is open was overwritten, so there is nothing else to read.
        """
        is_same_place = stamp[0] == self._stamp[0]
        if stamp[0] == self._other:
            return
        try:
            fresh = connect_reader(self.path, live=live)
        except (UnreadableSource, CorruptHistory):
            if is_same_place:
                raise
            # It may only be about to be made; what is open can be read all the same.
            return
        try:
            is_ours = self.history_id in ("", _history_id(fresh))
        except sqlite3.DatabaseError:
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
        self._connection, self._live, self._stamp = fresh, live, stamp
        self._reopened += 1
        if self._tell_reopened is not None:
            self._tell_reopened()

    def close(self) -> None:
        """Close the connection; a reading that another thread has begun is broken off, not waited for."""
        with suppress(sqlite3.Error):
            self._connection.interrupt()
        with self._lock:
            self._connection.close()


def _stamp(path: Path) -> tuple[int, int, int]:
    """Return what changes when a file at rest is written to."""
    try:
        status = os.stat(path)  # noqa: PTH116
    except OSError:
        return _GONE
    return (status.st_ino, status.st_size, status.st_mtime_ns)


def _history_id(connection: sqlite3.Connection) -> str:
    row = connection.execute("SELECT value FROM meta WHERE key = 'history_id'").fetchone()
    return "" if row is None else str(row[0])


def _replaced(path: Path) -> UnreadableSource:
    return UnreadableSource(f"{path}: another history has taken its place; open it again to see that one")


def _located(path: Path, error: CorruptHistory) -> CorruptHistory:
    text = str(error)
    if str(path) in text:
        return error
    return type(error)(f"{path}: {text}", seq=error.seq)
