"""Keeps up with a growing source: file events in, at most one look in a while out."""

from __future__ import annotations

import asyncio
import threading
from math import isfinite
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Final

from textual.message import Message

from unspool_tui.desk import Kind
from unspool_tui.present import humane
from unspool_tui.rhythm import BEHIND, Rhythm, after
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
BEAT: Final = 1.0
"""Seconds between two checks that nothing is stuck; the header counts in seconds too."""


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
        self._rhythm = Rhythm()
        self._begun = monotonic()
        self._missing: float | None = None
        self._gone = self._told_gone = self._told_failure = ""
        self._trouble = self._told_trouble = self._shown = ""
        self._step: asyncio.TimerHandle | None = None
        self.poll: float | None = None
        self.enabled = True
        self.has_all = False
        """What is shown is all that there was when the source had been read."""

    @property
    def _watches(self) -> bool:
        """There are files to watch, and they are to be watched."""
        return self.enabled and bool(self._main.scene.history.watch_paths)

    def start(self) -> None:
        """Begin to watch; a history without files to watch is finished."""
        if self._watches:
            # The watcher takes longer to import than the whole main screen: no key should wait for it.
            threading.Thread(target=self._watch, name="unspool-watch", daemon=True).start()
            self._begun = monotonic()
            after(self._main, BEAT, self._beat)

    def read_on(self) -> None:
        """While a foreign source is still being read, look what has arrived; nobody else tells."""
        if not self._main.scene.history.progress.is_finished:
            self.changed()
            after(self._main, READING_GAP, self.read_on)
        elif self._reading:
            self._reading = False
            self.changed()
            self._main.is_read()

    def _watch(self) -> None:
        try:
            from unspool.sources.watch import FileWatcher

            watcher = FileWatcher(self._main.scene.history.watch_paths, self._told, poll=self.poll)
            with self._starting:
                if self._stopped or self._watcher is not None:
                    return
                watcher.start()
                self._watcher = watcher
                self._trouble = watcher.trouble
        except OSError as error:
            # Without a descriptor left not even a module can be loaded; `_beat` tries again.
            self._trouble = f"not watched: {error.strerror or error}"
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

    def _beat(self) -> None:
        """Make up for a look that was lost, and keep what the header says of following true."""
        if self._stopped:
            return
        after(self._main, BEAT, self._beat)
        if self._notified:
            # Nearly always on its way to here; where the message was lost, nobody else would send another.
            self.changed()
        # An answer on its way to the screen is neither owed nor taken: only one that stays away is lost.
        missing = None if self._main.desk.owes(Kind.REFRESH) else self._rhythm.looking_since
        if missing is not None and missing == self._missing:
            self.looked(failure="a look at the source was not answered; looking again")
        self._missing = missing
        if self._rhythm.overdue(monotonic()) or (self._rhythm.behind(monotonic()) and not self._rhythm.is_looking):
            self.look()
        self._mind_watcher()
        if self._state() != self._shown:
            self._main.repaint()

    def _mind_watcher(self) -> None:
        watcher = self._watcher
        if watcher is None and self._trouble:
            threading.Thread(target=self._watch, name="unspool-watch", daemon=True).start()
        elif watcher is not None:
            self._trouble = watcher.trouble
        if self._trouble and self._trouble != self._told_trouble:
            self._main.flash(self._trouble, "warning")
        self._told_trouble = self._trouble

    def pulse(self) -> str:
        """Return what the header says instead of LIVE; empty while what is shown is as new as the source.

        What is returned counts as shown.
        """
        self._shown = self._state()
        return self._shown

    def _state(self) -> str:
        now = monotonic()
        if not self._watches:
            return "not watched"
        if self._gone:
            return "source gone"
        if self._rhythm.behind(now) >= BEHIND:
            looked = self._rhythm.since_look(now)
            return f"looked {humane.duration(int(looked) * 1e9)} ago" if isfinite(looked) else "not looked yet"
        if self._watcher is None:
            return "not watched" if self._trouble or now - self._begun >= BEHIND else ""
        return "polling" if self._watcher.polls else ""

    def changed(self) -> None:
        """Look at the source, now or when the last look is long enough ago."""
        self._notified = False
        self._look_in(self._rhythm.told(monotonic(), self._gap))

    @property
    def _gap(self) -> float:
        return LEAST_GAP if self._main.unspool_app.main is self._main else BEHIND_GAP

    def _look_in(self, wait: float | None) -> None:
        if wait is None:
            return
        if wait:
            after(self._main, wait, self._look_if_due)
        else:
            self.look()

    def _look_if_due(self) -> None:
        """Look, unless somebody looks already: a wait may end after it was made up for."""
        if not self._rhythm.is_looking:
            self.look()

    def look(self) -> None:
        """Ask the history for new entries."""
        self._rhythm.begin(monotonic())
        history = self._main.scene.history

        def refresh() -> int:
            is_read = history.progress.is_finished
            history.refresh()
            self.has_all = is_read
            history.columns()
            self._gone = next((path.name for path in history.watch_paths if _is_missed(path)), "")
            return len(history)

        self._main.desk.ask(Kind.REFRESH, refresh)

    def looked(self, *, failure: str = "") -> None:
        """The look is over; look again if the source changed meanwhile.

        Args:
            failure: why it did not succeed; told once, and `_beat` looks again.
        """
        if failure and failure != self._told_failure:
            self._main.flash(failure, "error")
        self._told_failure = failure
        if self._gone != self._told_gone:
            self._told_gone = self._gone
            if self._gone:
                self._main.flash(f"{self._gone} is gone; what was read can still be looked at", "warning")
        self._look_in(self._rhythm.end(monotonic(), self._gap, found=not failure))

    def schedule(self, view: View) -> None:
        """While playing, have the next step come when it is due."""
        if self._step is not None:
            self._step.cancel()
            self._step = None
        if view.playing:
            self._step = after(self._main, self._wait(view), self._play)

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
