"""How files are made: private, whole or not at all, on the disk before they have their name; locks; scratch folders."""

from __future__ import annotations

import atexit
import errno
import os
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Final

from unspool import system
from unspool.errors import ConfigError, StorageFailed, UnreadableSource

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
    descriptor = os.open(path, system.TO_WRITE | os.O_CREAT | os.O_EXCL | system.NO_FOLLOW, PRIVATE)
    set_mode(descriptor, mode)
    return descriptor


def set_mode(descriptor: int, mode: int) -> None:
    """Give an open file its permissions; file systems without any are left as they are."""
    with suppress(PermissionError, NotImplementedError):
        if hasattr(os, "fchmod") and stat.S_IMODE(os.fstat(descriptor).st_mode) != mode:
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
            system.lock(descriptor)
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
        return os.open(place, system.TO_WRITE | system.NO_FOLLOW | system.NO_WAIT)
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
    if system.is_mine(status) or os.access(path, wanted, effective_ids=os.access in os.supports_effective_ids):
        return ""
    mode, told = ("0o660", "write to") if to_write else ("0o640", "read")
    return (
        f"it belongs to user {status.st_uid} and has mode {stat.S_IMODE(status.st_mode):04o}; record with "
        f"Recorder(..., mode={mode}) or chmod it so that your group may {told} it"
    )


_SCRATCH_PREFIX: Final = "unspool-"
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
        folder = Path(tempfile.mkdtemp(prefix=_SCRATCH_PREFIX))
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
        for folder in [Path(item.path) for item in items if item.name.startswith(_SCRATCH_PREFIX)]:
            with suppress(OSError):
                _remove_folder_if_left(folder)


def _remove_folder_if_left(folder: Path) -> None:
    """Remove a folder that is ours and that no living process holds."""
    status = folder.lstat()
    is_ours = stat.S_ISDIR(status.st_mode) and system.is_mine(status)
    if not is_ours or stat.S_IMODE(status.st_mode) & 0o077 or not (folder / _MARK).is_file():
        return
    lock = take_lock(folder / _MARK)
    if lock is None:
        return
    try:
        _remove_folder(folder)
    finally:
        os.close(lock)


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
        descriptor = os.open(folder, system.TO_READ)
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
            system.lock(descriptor)
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
    if (known.st_uid, known.st_gid) != (own.st_uid, own.st_gid) and hasattr(os, "fchown"):
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
            _remove_part_if_left(part)


def _remove_part_if_left(part: Path) -> None:
    descriptor = os.open(part, system.TO_WRITE | system.NO_FOLLOW | system.NO_WAIT)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or not system.is_mine(status) or status.st_nlink != 1:
            return
        # Refused while its writer lives.
        system.lock(descriptor)
        if is_named(part, descriptor):
            _remove(part)
    finally:
        os.close(descriptor)


__all__ = [
    "PRIVATE",
    "ScratchFolder",
    "check_mode",
    "check_new",
    "create_private",
    "drop_lock",
    "foreign_owner",
    "forget_at_exit",
    "is_named",
    "make_folder",
    "make_if_missing",
    "remove_at_exit",
    "remove_leftovers",
    "set_mode",
    "sync_folder",
    "take_lock",
    "whole_file",
    "write_whole",
]
