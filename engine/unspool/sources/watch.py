"""Being told by Linux that files in folders changed, without a cost for each of ten thousand writes a second.

The kernel joins equal events that nobody has read yet. So whoever reads them with a pause in between gets one event for
all writes of that time; a library that reads each one at once spends a quarter of a processor on a busy recorder.
"""

from __future__ import annotations

import ctypes
import errno
import os
import re
import select
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self, cast

from unspool.errors import ConfigError

if TYPE_CHECKING:
    from watchdog.events import FileSystemEvent
    from watchdog.observers.api import BaseObserver

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
            # Also where the callback raised: nobody must wait for changes that nobody reports.
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
        """Whether events tell that one of the folders is not watched any more."""
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


FALLBACK_POLL_S: Final = 0.2
"""How often files are looked at where the operating system gives no events."""
MOUNTS: Final = Path("/proc/self/mountinfo")
"""Where Linux lists what is mounted."""
_MOST_LINKS: Final = 40
"""Links in a row that are followed; the kernel follows no more."""
_REST: Final = 10
"""How many times longer than a look the pause after it is at least."""
_REMOTE_KINDS: Final = frozenset(
    ("nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "virtiofs", "vboxsf", "prl_fs", "afs", "ceph", "lustre", "gfs2",
     "glusterfs", "beegfs", "orangefs", "ncpfs", "coda")
)  # fmt: skip
"""File systems that other machines write to; the kernel reports only what this one writes."""


class FileWatcher:
    """Calls back whenever one of some files may have changed, from a thread of its own.

    The parent directories are watched and events filtered by name, so files that are replaced, or do not exist yet,
    are seen too; a path that is a directory is watched for changes of what is in it. One change may cause several
    calls: the callback must be cheap, or hand the work on.
    """

    def __init__(
        self, paths: Iterable[str | os.PathLike[str]], on_change: Callable[[], None], *, poll: float | None = None
    ) -> None:
        """Prepare to watch.

        Args:
            paths: files and directories.
            on_change: called after a change.
            poll: look every so many seconds instead of asking for events (network drives, containers).

        Raises:
            ConfigError: `poll` is not a positive number.
        """
        if poll is not None and not poll > 0:
            raise ConfigError(f"poll is {poll!r}; give a number of seconds above 0")
        self._paths = tuple(Path(os.path.abspath(path)) for path in paths)  # noqa: PTH100 - links are kept as named
        self._on_change = on_change
        self._poll = poll
        self._observer: FolderEvents | BaseObserver | None = None
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
        self._switching = threading.Lock()
        self._watched: dict[Path, set[str] | None] = {}
        self.trouble = ""
        """Why changes are looked for instead of waited for, where that was not asked for: `polling: ...`."""

    @property
    def polls(self) -> bool:
        """Whether the files are looked at again and again."""
        return self._thread is not None

    def start(self) -> None:
        """Begin; changes from now on are reported. Where the operating system reports none, see `trouble`."""
        if not self._paths or self._observer is not None or self._thread is not None:
            return
        self._stopping.clear()
        if self._poll is not None:
            self._look_instead("")
            return
        kind = remote_kind(self._paths)
        if kind:
            self._look_instead(f"{kind} does not tell of what other machines write")
            return
        try:
            self._observer = self._observe()
        except OSError as error:
            self._look_instead(error.strerror or str(error))

    def _look_instead(self, reason: str) -> None:
        """Begin to poll; safe from the thread that was told of changes until now."""
        with self._switching:
            self._observer = None
            if self._stopping.is_set() or self._thread is not None:
                return
            self.trouble = f"polling: {reason}" if reason else ""
            self._thread = threading.Thread(
                target=self._look, args=(self._signature(),), name="unspool-poll", daemon=True
            )
            self._thread.start()

    def stop(self) -> None:
        """End; when this returns, no further call is made (unless it is called from the callback itself)."""
        with self._switching:
            observer, thread = self._observer, self._thread
            self._observer = self._thread = None
            self._stopping.set()
        if observer is not None:
            observer.stop()
            if observer is not threading.current_thread():
                observer.join()
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _observe(self) -> FolderEvents | BaseObserver:
        """Ask the operating system for events.

        Raises:
            OSError: it has none to give, for the reason in its text.
        """
        if sys.platform != "linux":
            return self._observe_by_library()

        self._watched = self._folders()
        has_links = any(os.path.realpath(path) != str(path) for path in self._paths)
        events = FolderEvents(self._watched, self._heard if has_links else self._on_change, self._lost)
        events.start()
        return events

    def _lost(self, reason: str) -> None:
        self._look_instead(reason)
        self._on_change()

    def _observe_by_library(self) -> BaseObserver:
        # watchdog takes a while to import, and commands that do not follow never need it.
        from watchdog.observers import Observer

        observer = Observer()
        try:
            for folder, names in self._folders().items():
                observer.schedule(_handler(names, self._on_change), str(folder), event_filter=_event_kinds())
            observer.start()
        except OSError:
            # Out of watches, or a folder that cannot be watched.
            if observer.is_alive():
                observer.stop()
                observer.join()
            raise
        return observer

    def _folders(self) -> dict[Path, set[str] | None]:
        """Group the paths by the folder to watch: the names that matter in it, or None for all."""
        folders: dict[Path, set[str] | None] = {}
        for path in self._paths:
            if path.is_dir():
                folders[path] = None
            for place in _named_by(path):
                names = folders.setdefault(place.parent, set())
                if names is not None:
                    names.add(place.name)
        return folders

    def _heard(self) -> None:
        """Report a change; where a link leads elsewhere now, hear of changes there from now on."""
        observer, folders = self._observer, self._folders()
        if folders != self._watched and observer is not None:
            self._watched = folders
            try:
                # Only events of Linux come here, in the thread that may add to them.
                cast("FolderEvents", observer).watch(folders)
            except OSError as error:
                observer.stop()
                self._look_instead(error.strerror or str(error))
        self._on_change()

    def _signature(self) -> tuple[object, ...]:
        return tuple(_look_at(path) for path in self._paths)

    def _look(self, before: tuple[object, ...]) -> None:
        interval = self._poll or FALLBACK_POLL_S
        while not self._stopping.wait(interval):
            began = time.monotonic()
            now = self._signature()
            # A folder of many thousand files, or a slow network, must not keep a processor busy.
            interval = max(self._poll or FALLBACK_POLL_S, _REST * (time.monotonic() - began))
            if now != before:
                before = now
                self._on_change()


def _named_by(path: Path) -> Iterator[Path]:
    """Yield a file's path, each link on the way to the file, and the file itself."""
    for _ in range(_MOST_LINKS):
        yield path
        link = next((place for place in (*reversed(path.parents), path) if place.is_symlink()), None)
        if link is None:
            return
        yield link
        try:
            target = link.parent / link.readlink()
        except OSError:
            # Taken away meanwhile.
            return
        path = Path(os.path.normpath(target / path.relative_to(link)))


def _look_at(path: Path) -> object:
    try:
        if path.is_dir():
            with os.scandir(path) as entries:
                return sorted((entry.name, _stamp(entry.stat())) for entry in entries)
        return _stamp(path.stat())
    except OSError:
        return None


def _stamp(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_ino, status.st_size, status.st_mtime_ns


def remote_kind(paths: Iterable[Path]) -> str:
    """Return the kind of the file system of the first path that other machines may write to; empty for none.

    Where the mounts cannot be told (no Linux, no `/proc`), nothing is known to be remote.
    """
    try:
        lines = MOUNTS.read_bytes().splitlines()
    except OSError:
        return ""
    mounts: dict[bytes, str] = {}
    for line in lines:
        fields = line.split(b" ")
        if b"-" in fields[6:]:
            # A later mount on the same place hides the one before.
            mounts[_plain(fields[4])] = fields[fields.index(b"-", 6) + 1].decode("ascii", "replace")
    for path in paths:
        place = os.path.realpath(os.fsencode(path))
        while place not in mounts and place != b"/":
            place = os.path.dirname(place)  # noqa: PTH120 - names are bytes here, as the kernel writes them
        kind = mounts.get(place, "")
        if kind in _REMOTE_KINDS or kind.startswith("fuse."):
            return kind
    return ""


def _plain(name: bytes) -> bytes:
    """Undo how the kernel writes spaces and the like in the list of mounts."""
    return re.sub(rb"\\([0-7]{3})", lambda match: bytes([int(match[1], 8) & 0xFF]), name)


def _event_kinds() -> list[type[FileSystemEvent]]:
    from watchdog import events  # not loaded where the kernel reports changes itself

    # Opening and reading are left out: reading the file ourselves must not wake us again.
    return [events.FileCreatedEvent, events.FileModifiedEvent, events.FileMovedEvent, events.FileDeletedEvent,
            events.FileClosedEvent]  # fmt: skip


def _handler(names: set[str] | None, on_change: Callable[[], None]):  # type: ignore[no-untyped-def]
    from watchdog.events import FileSystemEventHandler

    class Handler(FileSystemEventHandler):
        def on_any_event(self, event: FileSystemEvent) -> None:
            touched = {Path(os.fsdecode(path)).name for path in (event.src_path, event.dest_path) if path}
            if names is None or touched & names:
                on_change()

    return Handler()
