"""Files that only their owner may read, whatever the umask says, and locks that the kernel drops with the process."""

from __future__ import annotations

import fcntl
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final

from unspool.errors import ConfigError

PRIVATE: Final = 0o600
"""Mode of a new file: it holds an application's state."""
PRIVATE_FOLDER: Final = 0o700


def check_mode(mode: object) -> int:
    """Return a file mode that can be honoured.

    Raises:
        ConfigError: it is no number, or does not let the owner read and write, or lets somebody run the file.
    """
    if type(mode) is not int or mode & ~0o666 or mode & PRIVATE != PRIVATE:
        shown = oct(mode) if type(mode) is int else repr(mode)
        raise ConfigError(
            f"mode is {shown}; write 0o600, 0o640, 0o660 or another that adds readers or writers to 0o600"
        )
    return mode


def create_private(path: Path, mode: int = PRIVATE) -> int:
    """Make a new file and return its descriptor, open for reading and writing.

    Args:
        path: the file; a link of that name is never followed.
        mode: its permissions, whatever the umask.

    Raises:
        FileExistsError: something has the name already.
        OSError: the folder takes no such file.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, PRIVATE)
    set_mode(descriptor, mode)
    return descriptor


def set_mode(descriptor: int, mode: int) -> None:
    """Give an open file its permissions; file systems without any are left as they are."""
    with suppress(PermissionError, NotImplementedError):
        if stat.S_IMODE(os.fstat(descriptor).st_mode) != mode:
            os.fchmod(descriptor, mode)


def make_if_missing(path: Path, mode: int = PRIVATE) -> bool:
    """Make an empty file unless there is one, and say whether it was made; one that is there keeps its mode.

    Args:
        path: the file; where it is a link to nothing, what the link names is made.
        mode: its permissions, whatever the umask.

    Raises:
        OSError: the folder takes no such file.
    """
    try:
        descriptor = create_private(Path(os.path.realpath(path)), mode)
    except FileExistsError:
        return False
    os.close(descriptor)
    return True


def make_folder(path: Path) -> None:
    """Make a folder and those above it that are missing, each private; what is there is left as it is.

    Raises:
        OSError: it cannot be made.
    """
    missing = []
    while not path.is_dir():
        missing.append(path)
        path = path.parent
        if path == path.parent:
            break
    for folder in reversed(missing):
        folder.mkdir(PRIVATE_FOLDER, exist_ok=True)


def take_lock(place: Path, mode: int = PRIVATE) -> int | None:
    """Take a lock file, making it where it is missing; the kernel drops the lock when the process ends, however it ends.

    Args:
        place: the lock file; a link of that name is refused.
        mode: permissions of a new one.

    Returns:
        Its descriptor, to be closed to let go; None while somebody else holds it.

    Raises:
        OSError: it cannot be opened, or is a link.
    """
    while True:
        descriptor = _opened(place, mode)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        except OSError:
            os.close(descriptor)
            raise
        # The holder before may have unlinked the name between our open and our lock.
        if is_named(place, descriptor):
            return descriptor
        os.close(descriptor)


def _opened(place: Path, mode: int) -> int:
    try:
        return create_private(place, mode)
    except FileExistsError:
        pass
    try:
        return os.open(place, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        # Unlinked between the two attempts.
        return _opened(place, mode)


def drop_lock(place: Path, descriptor: int) -> None:
    """Remove a lock file that this process holds, unless another has taken its name, and let go of the lock."""
    with suppress(OSError):
        if is_named(place, descriptor):
            place.unlink()
    os.close(descriptor)


def is_named(place: Path, descriptor: int) -> bool:
    """Whether an open file still has a name."""
    try:
        named = place.lstat()
    except OSError:
        return False
    held = os.fstat(descriptor)
    return (named.st_dev, named.st_ino) == (held.st_dev, held.st_ino)


def foreign_owner(path: Path, *, to_write: bool = False) -> str:
    """Say what to do about a file that another user keeps to themselves; nothing where that is not the matter.

    Args:
        path: the file.
        to_write: it was to be written to, and not only to be read.
    """
    try:
        status = path.stat()
    except OSError:
        return ""
    wanted = os.R_OK | (os.W_OK if to_write else 0)
    if status.st_uid == os.geteuid() or os.access(path, wanted, effective_ids=os.access in os.supports_effective_ids):
        return ""
    mode, told = ("0o660", "write to") if to_write else ("0o640", "read")
    return (
        f"it belongs to user {status.st_uid} and has mode {stat.S_IMODE(status.st_mode):04o}; record with "
        f"Recorder(..., mode={mode}) or chmod it so that your group may {told} it"
    )


__all__ = [
    "PRIVATE",
    "check_mode",
    "create_private",
    "drop_lock",
    "foreign_owner",
    "is_named",
    "make_folder",
    "make_if_missing",
    "set_mode",
    "take_lock",
]
