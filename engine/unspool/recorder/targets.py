"""Recorders in forked, pooled and spawned processes: each file has one writer, and a child never takes its parent's.

A forked child inherits open files, locks that a thread it does not have may hold, and an SQLite connection that it
must neither use nor close. All of that is left alone there; with `children="own"` the child writes a file of its own.
"""

from __future__ import annotations

import os
import sys
import time
import weakref
from collections.abc import Callable
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Final, Literal, Protocol

from unspool.errors import ConfigError, UnreadableSource, is_postgres
from unspool.store.file import Durability, FileStore
from unspool.store.postgres import SpoolOptions
from unspool.store.protocol import Sink

if TYPE_CHECKING:
    from unspool.store.keeping import Keep
    from unspool.store.postgres.shipping import Shipment

Children = Literal["own", "none"]
"""Whether forked and spawned children record into files of their own, or not at all."""

_PID: Final = "%p"
_left_alone: Final[list[Sink]] = []
"""Stores of a parent; to let go of one would close its connections."""


class Inherits(Protocol):
    """What wakes up in a forked child."""

    def before_fork(self, seconds: float) -> bool:
        """Let no thread use SQLite until `forked`, if that can be had in time; return whether."""

    def forked(self) -> None:
        """Go on, in the parent."""

    def after_fork(self) -> None:
        """Forget what belongs to the parent."""


_inheritors: Final[weakref.WeakSet[Inherits]] = weakref.WeakSet()


def report_forks(inheritor: Inherits) -> None:
    """Have something told in each child that this process forks, while it lives."""
    _inheritors.add(inheritor)


_FORK_PATIENCE_S: Final = 0.25
"""How long a fork waits for threads that record: a child that takes over a lock of SQLite's in use waits for it for ever."""
_held: Final[list[Inherits]] = []


def _before_fork() -> None:
    end = time.monotonic() + _FORK_PATIENCE_S
    for inheritor in list(_inheritors):
        if inheritor.before_fork(max(0.0, end - time.monotonic())):
            _held.append(inheritor)


def _after_fork_in_parent() -> None:
    while _held:
        _held.pop().forked()


def _after_fork() -> None:
    _held.clear()
    for inheritor in list(_inheritors):
        inheritor.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork)


def leave_alone(store: Sink) -> None:
    """Give up a parent's store in its child, without touching the file."""
    _left_alone.append(store)
    abandon = getattr(store, "abandon", None)
    if abandon is not None:
        abandon()


def is_child() -> bool:
    """Whether this process was started by `multiprocessing`."""
    processes = sys.modules.get("multiprocessing.process")
    if processes is None:
        return False
    # A spawned child does not know its parent yet while it runs the parent's module again.
    return processes.parent_process() is not None or hasattr(processes.current_process(), "_inheriting")


def named_for(target: str, *, own: bool) -> str:
    """Return a target with this process's number in the place of `%p`.

    Args:
        target: a file or an address.
        own: this process is to have a target of its own, so a name without `%p` gets the number all the same.

    Raises:
        ConfigError: the target has no place for a number.
    """
    pid = str(os.getpid())
    if _PID in target:
        return target.replace(_PID, pid)
    if not own:
        return target
    if is_postgres(target):
        raise ConfigError(f"children='own' needs %p in the name of the history, as in ?history=app-{_PID}")
    place = PurePath(target)
    return str(place.with_name(f"{place.stem}-{pid}{place.suffix}"))


def at_process_end(call: Callable[..., None], *args: object) -> None:
    """Have something called at the end of a child that `multiprocessing` started: such a child runs no `atexit`."""
    utilities = sys.modules.get("multiprocessing.util")
    if utilities is not None and is_child():
        utilities.Finalize(None, call, args=args, exitpriority=10)


_told_of_files: Final[list[Callable[[Path], None]]] = []


def report_files(told: Callable[[Path], None]) -> Callable[[], None]:
    """Have something told of each file that a recorder of this process opens, and return what ends that."""
    _told_of_files.append(told)
    return lambda: _told_of_files.remove(told)


def store_at(target: str, durability: Durability, mode: int, spool: SpoolOptions, keep: Keep | None = None) -> Sink:
    """Open a target for appending; see `Recorder`.

    Args:
        target: a file's path, or an address.
        durability: see `Recorder`.
        mode: permissions of a new file; a spool is always private.
        spool: how a recording into PostgreSQL is spooled.
        keep: how much of a file is kept.

    Raises:
        ConfigError: a bound on a history in PostgreSQL.
        UnspoolError: it cannot be opened, or another recorder holds it.
    """
    if not is_postgres(target):
        store = FileStore.create(Path(target), durability=durability, mode=mode, keep=keep)
        for told in _told_of_files:
            told(Path(target).absolute())
        return store
    if keep is not None:
        raise ConfigError(
            f"keep={keep.text!r} bounds a file, and the target is a history in PostgreSQL, which keeps all entries; "
            "leave keep out (spool_bytes bounds what waits on this machine)"
        )
    # Its driver is an extra that only those who record there have.
    from unspool.store.postgres.spooled import SpooledStore

    return SpooledStore.open(target, durability=durability, options=spool)


def spools(base: str | os.PathLike[str] | None) -> list[str]:
    """Return the folders of all spools.

    Args:
        base: the folder that they lie in; the user's state folder when None.

    Raises:
        UnreadableSource: the folder cannot be read.
    """
    from unspool.store.postgres.spool import is_spool, spools_folder  # only recordings for servers need it

    place = spools_folder(base)
    try:
        return sorted(str(folder) for folder in place.iterdir() if is_spool(folder))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise UnreadableSource(f"{place}: cannot be read ({error.strerror}); name the folder of a spool") from None


def ship(
    spool: str,
    base: str | os.PathLike[str] | None,
    seconds: float,
    progress: Callable[[int, int], None] | None = None,
) -> Shipment | None:
    """Ship what recorders that ended left behind; None where nothing waits.

    Args:
        spool: the folder of a spool, or the address of a history, which may hold a password.
        base: the folder that spools lie in, for an address; the user's state folder when None.
        seconds: how long to try.
        progress: called with how many entries were shipped, and how many there were.

    Raises:
        HistoryLocked: a recorder of this history runs on this machine; it ships by itself.
        UnreadableSource: the folder is no spool.
        ConfigError: an address that names no history.
        StorageFailed, MissingExtra: see `ship_spool`.
    """
    # Only recordings for servers need all this.
    from unspool.store.postgres.connection import parse_target
    from unspool.store.postgres.shipping import ship_spool
    from unspool.store.postgres.spool import address_of, is_spool, spool_folder
    from unspool.store.postgres.spooled import named_target

    if is_postgres(spool):
        target = named_target(spool)
        folder = spool_folder(base, target)
        if not is_spool(folder):
            return None
    else:
        folder = Path(spool)
        target = parse_target(address_of(folder))
    return ship_spool(folder, target, seconds, progress)


__all__ = ["Shipment", "report_files", "ship", "spools", "store_at"]
