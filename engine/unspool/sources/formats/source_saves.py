"""Keeping the history of source files as they are saved: each save becomes an event in an event log."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Final

from unspool.errors import UnreadableSource
from unspool.events.diff_storage import record_file
from unspool.events.log import EventLog
from unspool.events.records import Event, InvalidEvent
from unspool.sources.watch import FileWatcher

_REST_S: Final = 0.01
"""How long a file must rest after a save."""
_EMPTY_S: Final = 0.05
"""How long an empty one must: editors that write in place empty it first."""
_LONGEST_S: Final = 2.0
"""How long is waited for a file that never rests."""

_Signature = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Save:
    """What came of looking at a file.

    Attributes:
        path: the file.
        event: the event that was written; None where there was a problem.
        problem: why the file could not be recorded; empty where it was.
    """

    path: Path
    event: Event | None
    problem: str = ""


class SourceSaves:
    """Records files into an event log, once or each time they are saved."""

    def __init__(
        self,
        log: EventLog,
        paths: Sequence[Path],
        *,
        poll: float | None = None,
        tell: Callable[[str], object] = lambda _trouble: None,
    ) -> None:
        """Prepare.

        Args:
            log: where events go; each file is a space, named by its path as given.
            paths: the files; one that is not there yet is waited for.
            poll: look every so many seconds instead of waiting for events (network drives).
            tell: called when `follow` has to look for changes although it was to wait for them, with the reason.

        Raises:
            ConfigError: `poll` is not a positive number.
        """
        self._log = log
        self._paths = tuple(dict.fromkeys(paths))
        # A queue of this kind may be put into from a signal handler; an Event set there could wait for itself.
        self._changes: SimpleQueue[None] = SimpleQueue()
        self._is_stopping = False
        self._tell = tell
        self._watcher = FileWatcher(self._paths, self._wake, poll=poll)
        self._seen: dict[Path, _Signature | None] = {}
        self._said: dict[Path, str] = {}
        self.passed_over = 0
        """Changes of files that were followed by another before they could be read: saves that the log may not have."""

    def record(self) -> Iterator[Save]:
        """Record what the files hold now; files that hold nothing new are passed over."""
        for path in self._paths:
            save = self._recorded(path)
            if save is not None:
                yield save

    def follow(self) -> Iterator[Save]:
        """Record the files now, and again whenever they are saved, until `stop` is called.

        Raises:
            EventLogError: the log cannot be written.
        """
        # The watcher begins first: a save between the first look and its start would be missed.
        with self._watcher:
            told = self._told_trouble("")
            yield from self.record()
            while not self._is_stopping:
                self._wait()
                told = self._told_trouble(told)
                for path in self._paths:
                    if not self._is_stopping and self._settled(path) != self._seen.get(path):
                        save = self._recorded(path)
                        if save is not None:
                            yield save

    def _told_trouble(self, told: str) -> str:
        trouble = self._watcher.trouble
        if trouble and trouble != told:
            self._tell(trouble)
        return trouble

    def stop(self) -> None:
        """End `follow`; may be called from another thread or a signal handler."""
        self._is_stopping = True
        self._wake()

    def _wake(self) -> None:
        self._changes.put(None)

    def _wait(self) -> None:
        """Wait for a change; several that came meanwhile count as one."""
        self._changes.get()
        while True:
            try:
                self._changes.get_nowait()
            except Empty:
                return

    def _recorded(self, path: Path) -> Save | None:
        # Looked at before it is read: a save in between is then seen as new.
        self._seen[path] = _signature(path)
        try:
            event = record_file(self._log, path)
        except (UnreadableSource, InvalidEvent) as error:
            problem = str(error)
            if self._said.get(path) == problem:
                return None
            self._said[path] = problem
            return Save(path, None, problem)
        self._said.pop(path, None)
        return None if event is None else Save(path, event)

    def _settled(self, path: Path) -> _Signature | None:
        """Wait until a file rests; return what it looks like then."""
        before = _signature(path)
        latest = time.monotonic() + _LONGEST_S
        while not self._is_stopping and before != self._seen.get(path) and time.monotonic() < latest:
            is_empty = before is None or not before[2]
            time.sleep(_EMPTY_S if is_empty else _REST_S)
            now = _signature(path)
            if now == before:
                break
            self.passed_over += not is_empty
            before = now
        return before


def _signature(path: Path) -> _Signature | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
