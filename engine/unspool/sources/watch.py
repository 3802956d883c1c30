"""Being told that files changed: by the operating system through watchdog, or by looking at them again and again.

Looking is for what no system reports: drives that other machines write to, a user whose watches are used up.
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Set
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from unspool.errors import ConfigError

if TYPE_CHECKING:
    from unspool.sources.folder_events import FolderObserver

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
        if poll is not None and not 0 < poll < threading.TIMEOUT_MAX:
            raise ConfigError(f"poll is {poll!r}; give a number of seconds above 0")
        self._paths = tuple(Path(os.path.abspath(path)) for path in paths)  # noqa: PTH100 - links are kept as named
        self._on_change = on_change
        self._poll = poll
        self._observer: FolderObserver | None = None
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
        self._switching = threading.Lock()
        self._names: dict[str, set[str] | None] = {}
        """The names that matter, by watched folder; None for all."""
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
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _observe(self) -> FolderObserver:
        """Ask the operating system for events.

        Raises:
            OSError: it has none to give, for the reason in its text.
        """
        # watchdog takes a while to import, and commands that do not follow never need it.
        from unspool.sources.folder_events import FolderObserver

        self._names = self._folders()
        has_links = any(os.path.realpath(path) != str(path) for path in self._paths)
        observer = FolderObserver(self._names_in, self._heard if has_links else self._on_change, self._lost)
        for folder in self._names:
            observer.watch(folder)
        observer.start()
        return observer

    def _names_in(self, folder: str) -> Set[str] | None:
        return self._names.get(folder, frozenset())

    def _lost(self, reason: str) -> None:
        observer = self._observer
        self._look_instead(reason)
        if observer is not None:
            observer.stop()
        self._on_change()

    def _folders(self) -> dict[str, set[str] | None]:
        """Group the paths by the folder to watch: the names that matter in it, or None for all."""
        folders: dict[str, set[str] | None] = {}
        for path in self._paths:
            if path.is_dir():
                folders[str(path)] = None
            for place in _named_by(path):
                names = folders.setdefault(str(place.parent), set())
                if names is not None:
                    names.add(place.name)
        return folders

    def _heard(self) -> None:
        """Report a change; where a link leads elsewhere now, hear of changes there from now on."""
        observer, folders = self._observer, self._folders()
        if folders != self._names and observer is not None:
            self._names = folders
            try:
                for folder in folders:
                    observer.watch(folder)
            except OSError as error:
                self._look_instead(error.strerror or str(error))
                observer.stop()
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

    Where the mounts cannot be read (no Linux, no `/proc`), nothing is known to be remote.
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
