"""The one way to write a file whole: under a name of its own, forced to disk, and only then under the name it is to have."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from unspool.errors import StorageFailed, UnreadableSource
from unspool.files.leftovers import forget_at_exit, remove_at_exit
from unspool.files.private import PRIVATE, create_private, is_named, set_mode

_ENDING: Final = ".unspool-part"
"""Ends the name of a file that is being written. While that goes on its writer holds a lock on it."""
_NAME_BYTES: Final = 80
"""Bytes of the final name that the unfinished one repeats."""
_SIDES: Final = ("-wal", "-shm", "-journal", "-lock")
"""What SQLite and a recorder make beside a database."""
_NO_FOLDER_SYNC: Final = (errno.EINVAL, errno.ENOTSUP, errno.EACCES, errno.EPERM, errno.EBADF)

_swept: set[Path] = set()


@contextmanager
def whole_file(out: Path, *, replace: bool = False, mode: int = PRIVATE) -> Iterator[Path]:
    """Give the name to write a file under until it is complete; after the block it is on the disk and has its own name.

    What was written is removed when the block fails, or when this process ends inside it; what a killed process
    left behind is removed by the next one that writes into the folder.

    Args:
        out: the file to make.
        replace: a file of that name is replaced and hands its mode on; otherwise it is refused, also one that is made
            while the block runs.
        mode: permissions of a new file, whatever the umask.

    Raises:
        UnreadableSource: `out` is there already, or nothing can be made in its folder.
        StorageFailed: a database was written whose write-ahead log could not be folded into it.
        OSError: the disk refused; `out` is as it was before.
    """
    if not replace and os.path.lexists(out):
        raise UnreadableSource(f"{out}: exists already; give a name that is free")
    _sweep(out.parent)
    part, descriptor = _begin(out)
    remove_at_exit(part, _remove)
    owner = os.getpid()
    try:
        yield part
        _check_folded(out, part)
        _finish(out, part, descriptor, replace=replace, mode=mode)
    finally:
        # A forked child that ends inside the block leaves its parent's file alone.
        if os.getpid() == owner:
            _remove(part)
        forget_at_exit(part)
        os.close(descriptor)


def write_whole(out: Path, pieces: Iterable[bytes], *, replace: bool = True) -> None:
    """Write bytes to a file that appears under its name only when it is complete; see `whole_file`."""
    with whole_file(out, replace=replace) as part, part.open("wb") as stream:
        stream.writelines(pieces)


def check_new(out: Path) -> None:
    """Refuse what `whole_file` would refuse, before hours go into what the file shall hold.

    Raises:
        UnreadableSource: see `whole_file`.
    """
    if os.path.lexists(out):
        raise UnreadableSource(f"{out}: exists already; give a name that is free")
    part, descriptor = _begin(out)
    part.unlink(missing_ok=True)
    os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Force the names in a folder to disk, where the system can do that.

    Raises:
        OSError: the disk refused.
    """
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    except PermissionError:
        # A folder that may be written to and not read; the file itself is safe by then.
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_FOLDER_SYNC:
            raise
    finally:
        os.close(descriptor)


def _begin(out: Path) -> tuple[Path, int]:
    """Make an empty file beside `out` that nobody else has, and lock it."""
    short = os.fsdecode(os.fsencode(out.name)[:_NAME_BYTES])
    try:
        # The unfinished file may be made where the final name is too long: the work would be for nothing.
        with suppress(FileNotFoundError):
            out.lstat()
    except (OSError, ValueError) as error:
        raise _refused(out, error) from None
    while True:
        part = out.with_name(f".{short}.{os.urandom(6).hex()}{_ENDING}")
        try:
            descriptor = create_private(part)
        except FileExistsError:
            continue
        except OSError as error:
            raise _refused(out, error) from None
        with suppress(OSError):
            # Where the file system has no locks nothing is swept either.
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if is_named(part, descriptor):
            return part, descriptor
        os.close(descriptor)


def _refused(out: Path, error: OSError | ValueError) -> UnreadableSource:
    if isinstance(error, FileNotFoundError):
        return UnreadableSource(f"{out}: its folder does not exist; make it first")
    said = error.strerror if isinstance(error, OSError) else error
    return UnreadableSource(f"{out}: cannot be written ({said}); choose another name or folder")


def _check_folded(out: Path, part: Path) -> None:
    with suppress(FileNotFoundError):
        if part.with_name(f"{part.name}-wal").stat().st_size:
            raise StorageFailed(
                f"{out}: its write-ahead log could not be folded into it; free the disk and try again"
            )


def _finish(out: Path, part: Path, descriptor: int, *, replace: bool, mode: int) -> None:
    set_mode(descriptor, mode)
    if replace:
        _take_after(out, descriptor)
    os.fsync(descriptor)
    if replace:
        part.replace(out)
    else:
        _put(part, out)
    sync_folder(out.parent)


def _take_after(out: Path, descriptor: int) -> None:
    """Give the new file the mode, and where that may be done the owner, of the one it replaces."""
    try:
        known = out.stat()
    except FileNotFoundError:
        return
    own = os.fstat(descriptor)
    if (known.st_uid, known.st_gid) != (own.st_uid, own.st_gid):
        with suppress(OSError):
            os.fchown(descriptor, known.st_uid, known.st_gid)
    set_mode(descriptor, stat.S_IMODE(known.st_mode))


def _put(part: Path, out: Path) -> None:
    """Give a complete file its name, unless something has that name by now."""
    try:
        os.link(part, out)
    except FileExistsError:
        raise UnreadableSource(f"{out}: was made by another program meanwhile; give a name that is free") from None
    except OSError:
        # File systems without hard links, such as those of memory cards.
        if os.path.lexists(out):
            raise UnreadableSource(
                f"{out}: was made by another program meanwhile; give a name that is free"
            ) from None
        part.rename(out)


def _remove(part: Path) -> None:
    for suffix in ("", *_SIDES):
        with suppress(OSError):
            part.with_name(part.name + suffix).unlink()


def _sweep(folder: Path) -> None:
    """Remove what killed processes of this user left in a folder; once for each folder that this process writes to."""
    if folder.absolute() in _swept:
        return
    _swept.add(folder.absolute())
    try:
        with os.scandir(folder) as items:
            found = [Path(item.path) for item in items if item.name.startswith(".") and item.name.endswith(_ENDING)]
    except OSError:
        return
    for part in found:
        with suppress(OSError):
            _remove_if_left(part)


def _remove_if_left(part: Path) -> None:
    descriptor = os.open(part, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid() or status.st_nlink != 1:
            return
        # Refused while its writer lives.
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if is_named(part, descriptor):
            _remove(part)
    finally:
        os.close(descriptor)


__all__ = ["check_new", "sync_folder", "whole_file", "write_whole"]
