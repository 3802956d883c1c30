"""What operating systems do each in a way of their own: flags of open files, locks, owners, reads at a place, signals.

Linux and macOS have all of it; Windows has no `fcntl`, no owners by number, no `pread` and other signals. Everything else asks here,
so that a system is one module, and its absence can be tested on another one.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
from typing import Any, Final

from unspool.errors import ConfigError

try:
    import fcntl as fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

NO_FOLLOW: Final[int] = getattr(os, "O_NOFOLLOW", 0)
NO_WAIT: Final[int] = getattr(os, "O_NONBLOCK", 0)
CLOSE_ON_EXEC: Final[int] = getattr(os, "O_CLOEXEC", 0)
BINARY: Final[int] = getattr(os, "O_BINARY", 0)
"""Windows changes line ends in files that are opened without it."""
TO_READ: Final[int] = os.O_RDONLY | CLOSE_ON_EXEC | BINARY
TO_WRITE: Final[int] = os.O_RDWR | CLOSE_ON_EXEC | BINARY
HAS_LOCAL_SOCKETS: Final = hasattr(socket, "AF_UNIX")
"""Whether programs of one machine can talk by a socket that has a place among the files."""
ENDING: Final[tuple[signal.Signals, ...]] = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, name)
)
"""Signals that ask a program to end."""
_LOCKED_BYTE: Final = 1 << 40
"""The byte that is locked where a lock keeps others from reading what it covers: far beyond what any file holds."""
_reading: Final = threading.Lock()


def lock(descriptor: int, *, is_shared: bool = False) -> None:
    """Lock an open file until it is closed; the system drops the lock when the process ends, however it ends.

    Args:
        descriptor: the open file.
        is_shared: others may have a shared lock too; where the system knows no such locks, this one is for one alone.

    Raises:
        BlockingIOError: somebody else has it.
        OSError: the file system has no locks.
    """
    if fcntl is not None:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if is_shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        return
    os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
    try:
        _windows().locking(descriptor, _windows().LK_NBLCK, 1)
    except PermissionError as error:
        raise BlockingIOError(error.errno, "locked by another process") from None


def _windows() -> Any:
    import msvcrt  # there is one on Windows only

    return msvcrt


def user() -> int:
    """Return the number of the user that this process runs as; -1 where users have none."""
    return os.geteuid() if hasattr(os, "geteuid") else -1


def is_mine(status: os.stat_result) -> bool:
    """Whether a file belongs to the user of this process; where files have no owners by number, all do."""
    return not hasattr(os, "geteuid") or status.st_uid == os.geteuid()


def read_at(descriptor: int, size: int, place: int) -> bytes:
    """Return bytes of an open file from a place on: fewer than asked for at its end.

    Raises:
        OSError: they cannot be read.
    """
    if hasattr(os, "pread"):
        return os.pread(descriptor, size, place)
    with _reading:
        os.lseek(descriptor, place, os.SEEK_SET)
        return os.read(descriptor, size)


def require_local_sockets(what: str) -> None:
    """Refuse what needs a socket that has a place among the files.

    Args:
        what: what needs it, as the beginning of a sentence.

    Raises:
        ConfigError: this system has none.
    """
    if not HAS_LOCAL_SOCKETS:
        raise ConfigError(
            f"{what} needs sockets that have a place among the files, which this system lacks; use Linux, macOS or WSL"
        )
