"""Counts what arrives in sources that nobody has looked at yet: a watch on their files and one thread for all."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from unspool.errors import UnspoolError

if TYPE_CHECKING:
    from unspool.sources.watch import FileWatcher
    from unspool_tui.tabs import Tab

_GAP: Final = 0.25
"""Seconds between two looks at one source; a number in a label needs no more."""


class Lookout:
    """Keeps the totals of tabs up to date that have no screen of their own yet."""

    def __init__(self, tell: Callable[[Tab], object]) -> None:
        """Begin with nothing to watch.

        Args:
            tell: called in the lookout's thread when a tab's total has changed.
        """
        self._tell = tell
        self._watched: dict[Tab, FileWatcher] = {}
        self._reading: set[Tab] = set()
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    def watch(self, tab: Tab) -> None:
        """Count the entries of an open tab from now on."""
        threading.Thread(target=self._start, args=(tab,), name="unspool-lookout-start", daemon=True).start()

    def _start(self, tab: Tab) -> None:
        from unspool.sources.watch import FileWatcher

        if tab.history is None or tab.source is None:
            return
        watcher = FileWatcher(tab.history.watch_paths, self._wake.set, poll=tab.source.poll)
        with self._lock:
            if self._closing.is_set() or tab.main is not None or tab in self._watched:
                return
            watcher.start()
            self._watched[tab] = watcher
            self._reading.add(tab)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="unspool-lookout", daemon=True)
                self._thread.start()
        self._wake.set()

    def release(self, tab: Tab) -> None:
        """Stop counting a tab; when this returns, nobody but the caller asks its history."""
        with self._lock:
            watcher = self._watched.pop(tab, None)
            self._reading.discard(tab)
        if watcher is not None:
            watcher.stop()

    def counts(self, tab: Tab) -> bool:
        """Say whether what arrives in a tab is counted; what comes before it is read to its end is not new."""
        with self._lock:
            return tab in self._watched and tab not in self._reading

    def close(self) -> None:
        """Stop."""
        self._closing.set()
        self._wake.set()
        for tab in list(self._watched):
            self.release(tab)

    def _run(self) -> None:
        while not self._closing.is_set():
            # While a source is still being read, its files tell of nothing new at its end.
            self._wake.wait(_GAP if self._reading else None)
            self._wake.clear()
            for tab in list(self._watched):
                if self._look(tab):
                    self._tell(tab)
            self._closing.wait(_GAP)

    def _look(self, tab: Tab) -> bool:
        """Refresh a tab's history; say whether its total changed."""
        with self._lock:
            if tab not in self._watched or tab.history is None or self._closing.is_set():
                return False
            finished = tab.history.progress.is_finished
            # A source that cannot be read on keeps what it has; its screen will tell why.
            with suppress(UnspoolError):
                tab.history.refresh()
            before, tab.total = tab.total, len(tab.history)
            if tab in self._reading:
                # What was there when it was opened is not new.
                tab.seen = tab.total
                if finished:
                    self._reading.discard(tab)
            return tab.total != before
