"""What must not stay behind: temporary folders, and whatever else is half done when a process ends."""

from __future__ import annotations

import atexit
import os
import shutil
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final

from unspool.errors import StorageFailed
from unspool.files.private import take_lock

_PREFIX: Final = "unspool-"
_MARK: Final = ".in-use"
"""In each temporary folder: a file that is locked while the folder is in use."""

_pending: dict[Path, tuple[int, Callable[[Path], None]]] = {}
_has_swept = False


def remove_at_exit(path: Path, remove: Callable[[Path], None]) -> None:
    """Have something removed when this process ends before `forget_at_exit`; a forked child leaves it alone."""
    if not _pending:
        atexit.register(remove_leftovers)
    _pending[path] = (os.getpid(), remove)


def forget_at_exit(path: Path) -> None:
    """Take back `remove_at_exit`."""
    _pending.pop(path, None)
    if not _pending:
        atexit.unregister(remove_leftovers)


def remove_leftovers() -> None:
    """Remove what this process would leave behind if it ended now."""
    for path, (owner, remove) in list(_pending.items()):
        if owner == os.getpid():
            remove(path)
            forget_at_exit(path)


class ScratchFolder:
    """A private temporary folder: gone with `close`, at the end of the process, or when the next process makes one.

    Attributes:
        path: the folder.
    """

    def __init__(self) -> None:
        """Make one, and remove those that killed processes of this user left behind.

        Raises:
            StorageFailed: there is no place for it.
        """
        _sweep_once()
        try:
            self.path, self._lock = _made()
        except OSError as error:
            place = error.filename or "TMPDIR"
            raise StorageFailed(
                f"{place}: no temporary folder can be made ({error.strerror or error}); free some space or set TMPDIR"
            ) from None
        self._owner = os.getpid()
        remove_at_exit(self.path, _remove_folder)

    def close(self) -> None:
        """Remove the folder; closing twice is fine, and in a forked child it leaves the folder alone."""
        lock, self._lock = self._lock, -1
        if lock < 0:
            return
        if os.getpid() == self._owner:
            _remove_folder(self.path)
        forget_at_exit(self.path)
        os.close(lock)

    def __enter__(self) -> Path:
        return self.path

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _made() -> tuple[Path, int]:
    # Most starts need no temporary folder.
    import tempfile

    while True:
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
        try:
            lock = take_lock(folder / _MARK)
        except FileNotFoundError:
            # Somebody swept it before it was locked.
            continue
        except OSError:
            _remove_folder(folder)
            raise
        if lock is not None:
            return folder, lock


def _remove_folder(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)


def _sweep_once() -> None:
    import tempfile  # most programs never need it

    global _has_swept
    if _has_swept:
        return
    _has_swept = True
    with suppress(OSError), os.scandir(tempfile.gettempdir()) as items:
        for folder in [Path(item.path) for item in items if item.name.startswith(_PREFIX)]:
            with suppress(OSError):
                _remove_if_left(folder)


def _remove_if_left(folder: Path) -> None:
    """Remove a folder that is ours and that no living process holds."""
    status = folder.lstat()
    is_ours = stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid()
    if not is_ours or stat.S_IMODE(status.st_mode) & 0o077 or not (folder / _MARK).is_file():
        return
    lock = take_lock(folder / _MARK)
    if lock is None:
        return
    try:
        _remove_folder(folder)
    finally:
        os.close(lock)


__all__ = ["ScratchFolder", "forget_at_exit", "remove_at_exit", "remove_leftovers"]
