"""Keeps up with a growing source: file events in, at most one look in a while out."""

from __future__ import annotations

import threading
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Final

from textual.message import Message
from textual.timer import Timer

from unspool_tui.desk import Kind
from unspool_tui.view import live
from unspool_tui.view.model import View

if TYPE_CHECKING:
    from unspool.sources.watch import FileWatcher
    from unspool_tui.screens.main import MainScreen

LEAST_GAP: Final = 0.033
"""Seconds between two looks at the source; more often than this nobody sees."""

BEHIND_GAP: Final = 0.25
"""Seconds between two looks while another tab is in front; only a number in a label shows them."""
READING_GAP: Final = 0.1
"""Seconds between two looks while a source is still being read."""


def _is_missed(path: Path) -> bool:
    """Say whether a file is gone that should be there; the files that SQLite keeps beside it come and go."""
    return not path.name.endswith(("-wal", "-shm")) and not path.exists()


class SourceChanged(Message):
    """The source may hold new entries."""

    def can_replace(self, message: Message) -> bool:
        """One look finds all that is new."""
        return isinstance(message, SourceChanged)


class Follower:
    """Watches the files of a history and asks it to refresh; also moves the head while playing."""

    def __init__(self, main: MainScreen) -> None:
        self._main = main
        self._watcher: FileWatcher | None = None
        self._starting = threading.Lock()
        self._stopped = False
        self._notified = False
        self._reading = True
        self._last = 0.0
        self._waiting = False
        self._looking = False
        self._again = False
        self._gone = self._told_gone = ""
        self._step: Timer | None = None
        self.poll: float | None = None
        self.enabled = True
        self.has_all = False
        """What is shown is all that there was when the source had been read."""

    def start(self) -> None:
        """Begin to watch; a history without files to watch is finished."""
        if self.enabled and self._main.scene.history.watch_paths:
            # The watcher takes longer to import than the whole main screen: no key should wait for it.
            threading.Thread(target=self._watch, name="unspool-watch", daemon=True).start()

    def read_on(self) -> None:
        """While a foreign source is still being read, look what has arrived; nobody else tells."""
        if not self._main.scene.history.progress.is_finished:
            self.changed()
            self._main.set_timer(READING_GAP, self.read_on)
        elif self._reading:
            self._reading = False
            self.changed()
            self._main.is_read()

    def _watch(self) -> None:
        from unspool.sources.watch import FileWatcher

        watcher = FileWatcher(self._main.scene.history.watch_paths, self._told, poll=self.poll)
        with self._starting:
            if self._stopped:
                return
            watcher.start()
            self._watcher = watcher
        # Something may have been written while the watcher was not there yet.
        self._told()

    def stop(self) -> None:
        """Stop watching."""
        with self._starting:
            self._stopped = True
            watcher, self._watcher = self._watcher, None
        if watcher is not None:
            watcher.stop()

    def _told(self) -> None:
        """Called in the watcher's thread, for every write; one word to the screen is enough for all of them."""
        if not self._notified:
            self._notified = True
            self._main.post_message(SourceChanged())

    def changed(self) -> None:
        """Look at the source, now or when the last look is long enough ago."""
        self._notified = False
        if self._looking:
            self._again = True
            return
        if self._waiting:
            return
        gap = LEAST_GAP if self._main.unspool_app.main is self._main else BEHIND_GAP
        wait = self._last + gap - monotonic()
        if wait > 0:
            self._waiting = True
            self._main.set_timer(wait, self.look)
        else:
            self.look()

    def look(self) -> None:
        """Ask the history for new entries."""
        self._waiting = False
        self._looking = True
        self._last = monotonic()
        history = self._main.scene.history

        def refresh() -> int:
            is_read = history.progress.is_finished
            history.refresh()
            self.has_all = is_read
            history.columns()
            self._gone = next((path.name for path in history.watch_paths if _is_missed(path)), "")
            return len(history)

        self._main.desk.ask(Kind.REFRESH, refresh)

    def looked(self) -> None:
        """The look is over; look again if the source changed meanwhile."""
        self._looking = False
        if self._gone != self._told_gone:
            self._told_gone = self._gone
            if self._gone:
                self._main.flash(f"{self._gone} is gone; what was read can still be looked at", "warning")
        if self._again:
            self._again = False
            self.changed()

    def schedule(self, view: View) -> None:
        """While playing, have the next step come when it is due."""
        if self._step is not None:
            self._step.stop()
            self._step = None
        if view.playing:
            self._step = self._main.set_timer(self._wait(view), self._play)

    def _wait(self, view: View) -> float:
        times = self._main.scene.ledger.columns.timestamp_ns
        after = min(view.head + 1, view.tip)
        return live.wait_before(view, times[view.head], times[after])

    def _play(self) -> None:
        self._step = None
        main = self._main
        if main.view.playing:
            main.apply(live.played(main.view, main.rows))
            self.schedule(main.view)
