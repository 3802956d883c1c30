"""A machine that has nothing left: no inotify instance, no file descriptor."""

from __future__ import annotations

import ctypes
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def no_inotify_instances() -> Iterator[None]:
    """Use up every inotify instance of this user."""
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
