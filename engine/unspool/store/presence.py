"""Whether the file that is being recorded into is still the one that its name leads to.

SQLite goes on writing to a file that was deleted, and would write over one that was cut short; nobody hears of either.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from unspool.errors import StorageFailed


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


__all__ = ["Presence"]
