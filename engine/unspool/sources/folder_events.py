"""Changes in a folder as Linux reports them, for watchdog, without a cost for each of ten thousand writes a second.

The kernel joins equal events that nobody has read yet. So whoever reads them with a pause in between gets one event for all
writes of that time. watchdog's own emitter for Linux reads each one at once, which takes 8 % of a processor on a busy file
where this one takes 2; elsewhere its emitters are used as they are.
"""

from __future__ import annotations

import ctypes
import errno
import os
import select
import struct
import sys
import threading
from collections.abc import Callable, Set
from functools import partial
from pathlib import Path
from typing import Any, Final, cast

from watchdog.events import (
    DirDeletedEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileModifiedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver, EventEmitter

PAUSE_S: Final = 0.008
"""Between two looks at the events: half a frame, and less than what lies between the entries of a brisk recording."""
MOST_PAUSE_S: Final = 0.024
"""The same while changes do not cease: a screen that follows them draws no more frames than that."""
_WATCH_ENDED: Final = 0x400 | 0x800 | 0x2000 | 0x8000
"""Of a watch: its folder was deleted, moved, unmounted, or is not watched any more for another reason."""
_WATCHED: Final = 0x002 | 0x008 | 0x040 | 0x080 | 0x100 | 0x200 | 0x400 | 0x800
"""Modified, closed after writing, moved from and to, created, deleted, itself deleted or moved. Not opened, not read."""
_CHECK_S: Final = 1
"""After so many seconds without an event it is looked whether the folder is still the one that is watched."""
_HEADER: Final = struct.Struct("iIII")
_BUFFER: Final = 1 << 16
_KINDS: Final[list[type[FileSystemEvent]]] = [
    FileCreatedEvent, FileModifiedEvent, FileMovedEvent, FileDeletedEvent, FileClosedEvent, DirDeletedEvent
]  # fmt: skip
"""Opening and reading are left out: reading a file ourselves must not wake us again."""

Names = Callable[[str], Set[str] | None]
"""Gives, by folder, the names in it that matter; None for all."""


def _identity(folder: str) -> tuple[int, int] | None:
    try:
        status = Path(folder).stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


class FolderEmitter(EventEmitter):
    """Reads the kernel's events of one folder, and tells watchdog of one change for all of them that concern a name."""

    def __init__(self, names_in: Names, *watch: Any, **others: Any) -> None:
        """Prepare; as `EventEmitter`, with the names that matter before all else."""
        super().__init__(*watch, **others)
        self.name = "unspool-events"
        self._names_in = names_in
        self._has_ended = False
        self._pause = PAUSE_S
        self._closing = threading.Lock()
        self._open: list[int] = []
        self._folder = os.fsdecode(self.watch.path)
        self._change = FileModifiedEvent(self._folder)

    def on_thread_start(self) -> None:
        """Ask the kernel for events, in the thread of whoever starts this one.

        Raises:
            OSError: the folder cannot be watched; its text says what is missing.
        """
        try:
            self._open += os.pipe2(os.O_CLOEXEC)
            self._open.append(_events(self._open[0]))
            self._stop_told, self._stop_telling, self._events = self._open
            self._number = _watch(self._events, Path(self._folder))
            self._identity = _identity(self._folder)
        except OSError:
            self._close()
            raise
        self._ready, self._only_stop = select.poll(), select.poll()
        self._ready.register(self._events, select.POLLIN)
        for asked in (self._ready, self._only_stop):
            asked.register(self._stop_told, select.POLLIN)

    def on_thread_stop(self) -> None:
        """Wake the thread, so that it ends."""
        with self._closing:
            if self._open:
                os.write(self._stop_telling, b".")

    def run(self) -> None:
        """Report changes until `stop`; the end of the folder is reported as its deletion."""
        try:
            while self.should_keep_running() and not self._has_ended:
                self.queue_events(self.timeout)
        finally:
            self._close()
            if self.should_keep_running():
                # Also where something was raised: nobody must wait for changes that nobody reports.
                self.queue_event(DirDeletedEvent(self._folder))

    def queue_events(self, timeout: float) -> None:
        """Wait for events and report them; then rest."""
        told = self._ready.poll(0)
        # What came during the pause is a part of a flood; what has to be waited for is none.
        self._pause = min(2 * self._pause, MOST_PAUSE_S) if told else PAUSE_S
        told = told or self._ready.poll(_CHECK_S * 1000)
        if not told:
            # The kernel reports the end of a folder once the last file of it that somebody has open is closed.
            self._has_ended = _identity(self._folder) != self._identity
            return
        if any(place == self._stop_told for place, _ in told):
            return
        if self._concerns(os.read(self._events, _BUFFER)):
            self.queue_event(self._change)
        if not self._has_ended:
            self._only_stop.poll(self._pause * 1000)

    def _concerns(self, data: bytes) -> bool:
        """Whether a name that matters is among events; notes where they tell that the folder is not watched any more."""
        place, is_concerned = 0, False
        names = self._names_in(self._folder)
        while place < len(data):
            number, mask, _, length = _HEADER.unpack_from(data, place)
            start = place + _HEADER.size
            place = start + length
            # Also told of things in a watched folder, then with their name.
            self._has_ended = self._has_ended or bool(mask & _WATCH_ENDED and not length)
            # Events were lost where the kernel names no watch; then anything may have changed.
            if number != self._number or names is None or os.fsdecode(data[start:place].rstrip(b"\0")) in names:
                is_concerned = True
        return is_concerned

    def _close(self) -> None:
        with self._closing:
            while self._open:
                os.close(self._open.pop())


class _Handler(FileSystemEventHandler):
    def __init__(
        self, folder: str, names_in: Names, on_change: Callable[[], None], on_lost: Callable[[str], None]
    ) -> None:
        self._folder = folder
        self._names_in = names_in
        self._on_change = on_change
        self._on_lost = on_lost

    def on_any_event(self, event: FileSystemEvent) -> None:
        is_of_folder = event.src_path == self._folder
        if type(event) is DirDeletedEvent:
            if is_of_folder:
                self._on_lost("a folder was deleted, moved or unmounted")
            return
        # Our own emitter reports the folder, after it has looked for the names.
        if not is_of_folder and not self._concerns(event):
            return
        is_done = False
        try:
            self._on_change()
            is_done = True
        finally:
            if not is_done:
                # It raised, which ends the thread that calls.
                self._on_lost("the thread that was told of changes has ended")

    def _concerns(self, event: FileSystemEvent) -> bool:
        names = self._names_in(self._folder)
        touched = {Path(os.fsdecode(path)).name for path in (event.src_path, event.dest_path) if path}
        return names is None or not touched.isdisjoint(names)


class FolderObserver:
    """Calls back after changes in some folders, from a thread of watchdog's."""

    def __init__(self, names_in: Names, on_change: Callable[[], None], on_lost: Callable[[str], None]) -> None:
        """Prepare.

        Args:
            names_in: asked after each change.
            on_change: called after changes that concern a name.
            on_lost: called with the reason why changes in a folder are not told any more; not after `stop`.
        """
        self._told = (names_in, on_change, on_lost)
        self._observer = _observer(names_in)
        self._observer.name = "unspool-changes"
        self._folders: set[str] = set()

    def start(self) -> None:
        """Begin to call back.

        Raises:
            OSError: a folder cannot be watched; its text says what is missing. Nothing is watched then.
        """
        try:
            self._observer.start()
        except OSError:
            # Some of the folders may be watched already.
            self._observer.stop()
            raise

    def watch(self, folder: str) -> None:
        """Watch one more folder; nothing for one that is watched.

        Raises:
            OSError: see `start`; only once started.
        """
        if folder not in self._folders:
            self._observer.schedule(_Handler(folder, *self._told), folder, event_filter=_KINDS)
            self._folders.add(folder)

    def stop(self) -> None:
        """End; when this returns, no further call is made, unless it is called from a callback."""
        self._observer.stop()
        if self._observer is not threading.current_thread() and self._observer.is_alive():
            self._observer.join()


def _observer(names_in: Names) -> BaseObserver:
    if sys.platform == "linux":
        return BaseObserver(cast("type[EventEmitter]", partial(FolderEmitter, names_in)))
    return Observer()


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
