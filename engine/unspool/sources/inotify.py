"""Being told by Linux that files in folders changed, without a cost for each of ten thousand writes a second.

The kernel joins equal events that nobody has read yet. So whoever reads them with a pause in between gets one event for
all writes of that time; a library that reads each one at once spends a quarter of a processor on a busy recorder.
"""

from __future__ import annotations

import ctypes
import os
import select
import struct
import sys
import threading
from collections.abc import Callable, Mapping, Set
from pathlib import Path
from typing import Final

PAUSE_S: Final = 0.008
"""Between two looks at the events: half a frame, and less than what lies between the entries of a brisk recording."""
_WATCHED: Final = 0x002 | 0x008 | 0x040 | 0x080 | 0x100 | 0x200 | 0x400 | 0x800
"""Modified, closed after writing, moved from and to, created, deleted, itself deleted or moved. Not opened, not read."""
_HEADER: Final = struct.Struct("iIII")
_BUFFER: Final = 1 << 16


class FolderEvents(threading.Thread):
    """A thread that calls back when one of the watched names changed."""

    def __init__(self, folders: Mapping[Path, Set[str] | None], on_change: Callable[[], None]) -> None:
        """Begin to watch; `start` begins to call back.

        Args:
            folders: by folder, the names that matter in it; None for all.
            on_change: called in this thread.

        Raises:
            OSError: this is no Linux, there are no watches left, or a folder cannot be watched.
        """
        super().__init__(name="unspool-events", daemon=True)
        self._on_change = on_change
        self._events = _events()
        self._stop_told, self._stop_telling = os.pipe2(os.O_CLOEXEC)
        self._names: dict[int, Set[str] | None] = {}
        try:
            for folder, names in folders.items():
                self._add(_watch(self._events, folder), names)
        except OSError:
            self._close()
            raise

    def run(self) -> None:
        """Call back after changes until `stop`."""
        ready = select.poll()
        for place in (self._events, self._stop_told):
            ready.register(place, select.POLLIN)
        only_stop = select.poll()
        only_stop.register(self._stop_told, select.POLLIN)
        while not any(place == self._stop_told for place, _ in ready.poll()):
            if self._concerns(os.read(self._events, _BUFFER)):
                self._on_change()
            if only_stop.poll(PAUSE_S * 1000):
                break
        self._close()

    def _add(self, watch: int, names: Set[str] | None) -> None:
        # Two names of one folder are one watch.
        known = self._names.get(watch, frozenset())
        self._names[watch] = None if names is None or known is None else names | known

    def stop(self) -> None:
        """End the thread; the caller joins it."""
        os.write(self._stop_telling, b".")

    def _concerns(self, data: bytes) -> bool:
        place = 0
        while place < len(data):
            watch, _, _, length = _HEADER.unpack_from(data, place)
            start = place + _HEADER.size
            place = start + length
            names = self._names.get(watch)
            # Events were lost where the kernel names no watch; then anything may have changed.
            if names is None or os.fsdecode(data[start:place].rstrip(b"\0")) in names:
                return True
        return False

    def _close(self) -> None:
        for place in (self._events, self._stop_told, self._stop_telling):
            os.close(place)


def _libc() -> ctypes.CDLL:
    if sys.platform != "linux":
        raise OSError("no inotify here")
    return ctypes.CDLL(None, use_errno=True)


def _events() -> int:
    place: int = _libc().inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
    return _checked(place)


def _watch(events: int, folder: Path) -> int:
    found: int = _libc().inotify_add_watch(events, os.fsencode(folder), _WATCHED)
    return _checked(found)


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
