"""Whether the file that is being recorded into is still the one that its name leads to, and that it stays so.

SQLite goes on writing to a file that was deleted, and would write over one that was cut short; nobody hears of either.
"""

from __future__ import annotations

import fcntl
import os
import struct
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from unspool.errors import StorageFailed

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
            fcntl.fcntl(hold, fcntl.F_OFD_SETLK, _lock_words(fcntl.F_UNLCK))
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
    if not hasattr(fcntl, "F_OFD_SETLK"):
        return -1
    try:
        descriptor = os.open(name, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return -1
    try:
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, _lock_words(fcntl.F_RDLCK))
    except OSError:
        # File systems without such locks.
        os.close(descriptor)
        return -1
    return descriptor


def _lock_words(kind: int) -> bytes:
    """Return a `struct flock` for SQLite's shared range."""
    return struct.pack("hhqqi4x", kind, os.SEEK_SET, _SHARED_FIRST, _SHARED_SIZE, 0)


__all__ = ["Presence"]
