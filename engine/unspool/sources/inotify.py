"""Being told by Linux that files in folders changed, without a cost for each of ten thousand writes a second.

The kernel joins equal events that nobody has read yet. So whoever reads them with a pause in between gets one event for
all writes of that time; a library that reads each one at once spends a quarter of a processor on a busy recorder.
"""

from __future__ import annotations

import ctypes
import errno
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
_WATCH_ENDED: Final = 0x400 | 0x800 | 0x2000 | 0x8000
"""Of a watch: its folder was deleted, moved, unmounted, or is not watched any more for another reason."""
_WATCHED: Final = 0x002 | 0x008 | 0x040 | 0x080 | 0x100 | 0x200 | 0x400 | 0x800
"""Modified, closed after writing, moved from and to, created, deleted, itself deleted or moved. Not opened, not read."""
_HEADER: Final = struct.Struct("iIII")
_BUFFER: Final = 1 << 16


class FolderEvents(threading.Thread):
    """A thread that calls back when one of the watched names changed."""

    def __init__(
        self,
        folders: Mapping[Path, Set[str] | None],
        on_change: Callable[[], None],
        on_lost: Callable[[str], None],
    ) -> None:
        """Begin to watch; `start` begins to call back.

        Args:
            folders: by folder, the names that matter in it; None for all.
            on_change: called in this thread.
            on_lost: called once, at the end of this thread, with the reason why changes are not told any more; not
                called after `stop`.

        Raises:
            OSError: this is no Linux, or a folder cannot be watched; its text says what is missing.
        """
        super().__init__(name="unspool-events", daemon=True)
        self._on_change = on_change
        self._on_lost = on_lost
        self._is_stopped = False
        self._names: dict[int, Set[str] | None] = {}
        self._open: list[int] = []
        try:
            self._open += os.pipe2(os.O_CLOEXEC)
            self._open.append(_events(self._open[0]))
            self._stop_told, self._stop_telling, self._events = self._open
            self.watch(folders)
        except OSError:
            self._close()
            raise

    def run(self) -> None:
        """Call back after changes until `stop`."""
        reason = "the thread that was told of changes has ended"
        try:
            reason = self._serve()
        finally:
            # Also where the callback raised: nobody must wait for changes that nobody tells.
            self._close()
            if not self._is_stopped:
                self._on_lost(reason)

    def _serve(self) -> str:
        """Return why nothing more is told; empty after `stop`."""
        ready = select.poll()
        for place in (self._events, self._stop_told):
            ready.register(place, select.POLLIN)
        only_stop = select.poll()
        only_stop.register(self._stop_told, select.POLLIN)
        while not any(place == self._stop_told for place, _ in ready.poll()):
            data = os.read(self._events, _BUFFER)
            if self._concerns(data):
                self._on_change()
            if self._has_ended(data):
                return "a folder was deleted, moved or unmounted"
            if only_stop.poll(PAUSE_S * 1000):
                break
        return ""

    def watch(self, folders: Mapping[Path, Set[str] | None]) -> None:
        """Watch more folders, or more names in those that are; once started, only for `on_change` to call.

        Raises:
            OSError: a folder cannot be watched; its text says what is missing.
        """
        for folder, names in folders.items():
            self._add(_watch(self._events, folder), names)

    def _add(self, watch: int, names: Set[str] | None) -> None:
        # Two names of one folder are one watch.
        known = self._names.get(watch, frozenset())
        self._names[watch] = None if names is None or known is None else names | known

    def stop(self) -> None:
        """End the thread; the caller joins it."""
        self._is_stopped = True
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

    def _has_ended(self, data: bytes) -> bool:
        """Say whether events tell that one of the folders is not watched any more."""
        place = 0
        while place < len(data):
            _, mask, _, length = _HEADER.unpack_from(data, place)
            place += _HEADER.size + length
            # Also told of things in a watched folder, then with their name.
            if mask & _WATCH_ENDED and not length:
                return True
        return False

    def _close(self) -> None:
        while self._open:
            os.close(self._open.pop())


def _libc() -> ctypes.CDLL:
    if sys.platform != "linux":
        raise OSError("no inotify here")
    return ctypes.CDLL(None, use_errno=True)


def _events(other: int) -> int:
    """Return a new inotify instance; `other` is any open descriptor."""
    place: int = _libc().inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
    if place < 0 and ctypes.get_errno() == errno.EMFILE:
        # One number for two limits: that of the process, and that of the user's instances.
        os.close(os.dup(other))
        raise OSError(errno.EMFILE, "no inotify instance is left (fs.inotify.max_user_instances)")
    return _checked(place)


def _watch(events: int, folder: Path) -> int:
    found: int = _libc().inotify_add_watch(events, os.fsencode(folder), _WATCHED)
    if found < 0 and ctypes.get_errno() == errno.ENOSPC:
        raise OSError(errno.ENOSPC, "no inotify watch is left (fs.inotify.max_user_watches)")
    return _checked(found)


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
