"""A machine that has nothing left: no inotify instance, no file descriptor."""

from __future__ import annotations

import ctypes
import errno
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager

from unspool.sources import folder_events


@contextmanager
def no_inotify_instances_here() -> Iterator[None]:
    """Have the system refuse inotify instances to this process, as it does when its user has none left."""
    known = folder_events._libc

    class Refusing:
        def inotify_init1(self, flags: int) -> int:
            ctypes.set_errno(errno.EMFILE)
            return -1

    folder_events._libc = Refusing  # type: ignore[assignment]
    try:
        yield
    finally:
        folder_events._libc = known


@contextmanager
def no_inotify_instances() -> Iterator[None]:
    """Use up every inotify instance of this user; only for a moment, as other programs and tests need some too."""
    libc = ctypes.CDLL(None, use_errno=True)
    held: list[int] = []
    try:
        while (place := libc.inotify_init1(os.O_CLOEXEC)) >= 0:
            held.append(place)
            assert len(held) < 100_000
        yield
    finally:
        for place in held:
            os.close(place)


@contextmanager
def few_descriptors(left: int) -> Iterator[None]:
    """Leave this process only so many file descriptors."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    probe = os.open(os.devnull, os.O_RDONLY)
    os.close(probe)
    resource.setrlimit(resource.RLIMIT_NOFILE, (probe + left, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
