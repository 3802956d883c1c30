"""One connection for reading a file: consistent views, several threads, and a writer that comes and goes."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from unspool.errors import CorruptHistory
from unspool.store.schema import connect_reader, database_error, is_live

_GONE: Final = (0, 0, 0)
"""What stands for the stamp of a file that is not there."""


class ReadConnection:
    """Reads one file; safe to use from several threads."""

    def __init__(self, path: Path, *, live: bool | None = None) -> None:
        """Open a file.

        Args:
            path: the file.
            live: a writer is at work; found out when None.

        Raises:
            UnreadableSource, NewerSchema, CorruptHistory: see `connect_reader`.
        """
        self.path = path
        self._lock = threading.RLock()
        self._live = is_live(path) if live is None else live
        self._stamp = _stamp(path)
        self._connection = connect_reader(path, live=self._live)
        self._reopened = 0

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
            UnreadableSource, CorruptHistory: the file cannot be read any more.
        """
        try:
            with self._lock:
                self._follow_writer()
                return self._reopened, int(self._connection.execute("PRAGMA data_version").fetchone()[0])
        except sqlite3.DatabaseError as error:
            raise database_error(self.path, error) from None

    def _follow_writer(self) -> None:
        """A file opened at rest is opened anew as soon as somebody writes to it."""
        if self._live:
            return
        live, stamp = is_live(self.path), _stamp(self.path)
        if stamp == _GONE:
            # Deleted or moved away: what is open can still be read, and may come back.
            return
        if live or stamp != self._stamp:
            fresh = connect_reader(self.path, live=live)
            self._connection.close()
            self._connection, self._live, self._stamp = fresh, live, stamp
            self._reopened += 1

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


def _located(path: Path, error: CorruptHistory) -> CorruptHistory:
    text = str(error)
    if str(path) in text:
        return error
    return type(error)(f"{path}: {text}", seq=error.seq)
