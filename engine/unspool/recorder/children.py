"""Recorders in forked, pooled and spawned processes: each file has one writer, and a child never takes its parent's.

A forked child inherits open files, locks that a thread it does not have may hold, and an SQLite connection that it
must neither use nor close. All of that is left alone there; with `children="own"` the child writes a file of its own.
"""

from __future__ import annotations

import os
import sys
import weakref
from collections.abc import Callable
from pathlib import PurePath
from typing import Final, Literal, Protocol

from unspool.errors import ConfigError
from unspool.model.addresses import is_postgres
from unspool.store.protocol import Sink

Children = Literal["own", "none"]
"""Whether forked and spawned children record into files of their own, or not at all."""

_PID: Final = "%p"
_left_alone: Final[list[Sink]] = []
"""Stores of a parent; to let go of one would close its connections."""


class Inherits(Protocol):
    """What wakes up in a forked child."""

    def after_fork(self) -> None:
        """Forget what belongs to the parent."""


_inheritors: Final[weakref.WeakSet[Inherits]] = weakref.WeakSet()


def tell_of_forks(inheritor: Inherits) -> None:
    """Have something told in each child that this process forks, while it lives."""
    _inheritors.add(inheritor)


def _after_fork() -> None:
    for inheritor in list(_inheritors):
        inheritor.after_fork()


os.register_at_fork(after_in_child=_after_fork)


def leave_alone(store: Sink) -> None:
    """Give up a parent's store in its child, without touching the file."""
    _left_alone.append(store)
    abandon = getattr(store, "abandon", None)
    if abandon is not None:
        abandon()


def is_child() -> bool:
    """Say whether this process was started by `multiprocessing`."""
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
