"""What operating systems do each in a way of their own: flags of open files, locks, owners, folders of a user, signals.

Linux and macOS have all of it; Windows has no `fcntl`, no owners by number, no `pread` and other signals. Everything else asks here,
so that a system is one module, and its absence can be tested on another one.
"""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
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


def user_folder(kind: str) -> Path:
    """Return the folder of one kind that is this user's and this program's; it may not be there yet.

    Args:
        kind: `config`, `state` (remembered places), `data` (what cannot be made again) or `cache`.
    """
    variable, below_home = _USER_FOLDERS[kind]
    given = Path(os.environ.get(variable, ""))
    # The specification says that one that is not absolute means nothing.
    if given.is_absolute():
        return given / "unspool"
    local = Path(os.environ.get("LOCALAPPDATA", ""))
    if fcntl is None and local.is_absolute():
        return local / "unspool" / kind
    home = Path(os.path.expanduser("~"))  # noqa: PTH111 - Path.home fails where there is none
    # Containers give users without a home the root folder: nothing is there, and nothing can be written.
    return (home if home.is_absolute() else Path(os.sep)) / below_home / "unspool"


_USER_FOLDERS: Final = {
    "config": ("XDG_CONFIG_HOME", ".config"),
    "state": ("XDG_STATE_HOME", ".local/state"),
    "data": ("XDG_DATA_HOME", ".local/share"),
    "cache": ("XDG_CACHE_HOME", ".cache"),
}
"""By kind, the variable that names the folder above, and where that is below the home folder when it is not set."""


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
    import socket  # every start would wait for it, and only what talks to other programs needs it

    if not hasattr(socket, "AF_UNIX"):
        raise ConfigError(
            f"{what} needs sockets that have a place among the files, which this system lacks; use Linux, macOS or WSL"
        )
