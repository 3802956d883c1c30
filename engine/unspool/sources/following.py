"""Reading a source from a thread: one whose past is lost if it is not read in time, or one that takes long to read."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

from unspool.errors import UnspoolError
from unspool.history.verdict import COMPLETE
from unspool.sources.directory import DirectoryReader
from unspool.sources.feeder import SourceFeeder
from unspool.sources.rewritten import SETTLE_NS, SavesReader
from unspool.sources.watch import FileWatcher

_SETTLE_S: Final = SETTLE_NS / 1e9


class Follower:
    """Reads a source whenever it changes, from a thread of its own.

    Where an app rewrites the file, a second thread takes each save the moment it happens: taking (one read of the
    file) must never wait for recording, or the next save would replace what was not yet taken.
    """

    def __init__(self, feeder: SourceFeeder, *, poll: float | None = None, watches: bool = True) -> None:
        """Prepare to follow.

        Args:
            feeder: what reads.
            poll: see `FileWatcher`.
            watches: read again when the source changes; otherwise read what is there and end.
        """
        self._feeder = feeder
        self._capture: Callable[[], None] | None = None
        if isinstance(feeder.reader, SavesReader):
            self._capture = feeder.reader.capture
        self._watches = watches
        self._watcher = FileWatcher(feeder.reader.watch_paths if watches else (), self._changed, poll=poll)
        self._wake = threading.Event()
        self._is_stopping = False
        self._told_trouble = ""
        self._told_verdict = COMPLETE
        self._thread = threading.Thread(target=self._work, name="unspool-follow", daemon=True)

    @staticmethod
    def is_needed(feeder: SourceFeeder) -> bool:
        """Whether a source loses its past when it is not followed."""
        return isinstance(feeder.reader, SavesReader | DirectoryReader)

    def start(self, *, reads_at_once: bool = False) -> None:
        """Begin to follow.

        Args:
            reads_at_once: read what is there now from the thread too.
        """
        self._watcher.start()
        self._tell_trouble()
        if reads_at_once:
            self._wake.set()
        self._thread.start()

    def stop(self) -> None:
        """End; when this returns, nothing more is recorded."""
        self._is_stopping = True
        self._watcher.stop()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()

    def _changed(self) -> None:
        if self._capture is not None:
            self._capture()
        self._wake.set()

    def _tell_trouble(self) -> None:
        """Say once that changes are looked for, where that was not asked for: between two looks, saves may be missed."""
        trouble = self._watcher.trouble
        if trouble != self._told_trouble:
            self._told_trouble = trouble
            self._feeder.reader.findings.notice(self._feeder.source_name, trouble)

    def _work(self) -> None:
        while True:
            reader = self._feeder.reader
            settles = isinstance(reader, SavesReader) and reader.is_settling
            self._wake.wait(_SETTLE_S if settles else None)
            self._wake.clear()
            if self._is_stopping:
                return
            self._tell_trouble()
            try:
                self._feeder.read_on()
                verdict = self._feeder.verdict
                # Not compared with the one just before: taking a save may have found something out already.
                if verdict != self._told_verdict:
                    self._told_verdict = verdict
                    self._feeder.nudge()
            except UnspoolError as error:
                self._feeder.failure = error
                reader.findings.loss(self._feeder.source_name, f"reading stopped: {error}")
                self._feeder.nudge()
                return
            if not self._watches:
                return
