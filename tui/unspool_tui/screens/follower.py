"""Following a source: timers that are never lost, how often a growing source is looked at, and playing."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from math import isfinite
from pathlib import Path
from time import monotonic, process_time
from typing import TYPE_CHECKING, Final, Protocol

from textual.message import Message

from unspool_tui.panes.scene import Scene
from unspool_tui.rendering import format_units
from unspool_tui.view import moves
from unspool_tui.view.model import View
from unspool_tui.view.overview import Rows
from unspool_tui.worker import QuestionKind, Worker

if TYPE_CHECKING:
    from unspool.sources.watch import FileWatcher

LEAST_WAIT: Final = 0.005
"""Seconds below which nobody waits: what is due that soon is due now."""
OVERDUE: Final = 0.25
"""Seconds after which a look that was due and did not come is made up for."""
BEHIND: Final = 2.0
"""Seconds that what is shown may be older than the source before the header says so."""


class Pump(Protocol):
    """Whoever has turns of its own: a widget, screen or app of Textual."""

    @property
    def is_running(self) -> bool:
        """It has not ended."""

    def call_later(self, callback: Callable[[], object], /) -> bool:
        """Have something done in its turn."""


def after(pump: Pump, seconds: float, then: Callable[[], object]) -> asyncio.TimerHandle:
    """Have something done later, in the turn of a widget, screen or app; `cancel` of what is returned calls it off.

    Textual's own one-shot timers are not used: one that is due before its task has begun to wait (a short wait, or a
    processor that is busy elsewhere) is taken for missed and never fires. The loop's timers fire late, but fire.

    Args:
        pump: whose turn it is to be done in; nothing is done once it has ended.
        seconds: how long to wait at least; see `LEAST_WAIT`.
        then: what to do.
    """

    def due() -> None:
        if pump.is_running:
            pump.call_later(then)

    return asyncio.get_running_loop().call_later(max(LEAST_WAIT, seconds), due)


class Rhythm:
    """Decides when to look at a source that keeps saying that it has grown.

    A look takes a while and must not be asked for twice; between two of them lies a gap. Times are seconds of any clock
    that never goes back, and are handed in. Methods that tell when the next look is due return 0.0 for now, a wait in
    seconds, or None where nothing is to be done: a look is on its way or under way already.

    A wait that does not end is not trusted for ever: `OVERDUE` after the time it was due, the next word about the
    source, or `overdue`, has the look done.
    """

    __slots__ = ("_begun", "_due", "_last", "_looking_for", "_seen", "_told")

    def __init__(self) -> None:
        """Begin with a source of which nothing is known."""
        self._told: float | None = None
        """Since when the source may be newer than what the last look began with."""
        self._looking_for: float | None = None
        """The same, for the look under way."""
        self._due: float | None = None
        self._begun: float | None = None
        self._last = self._seen = float("-inf")

    @property
    def is_looking(self) -> bool:
        """A look is under way."""
        return self._begun is not None

    @property
    def looking_since(self) -> float | None:
        """When the look under way began; None while there is none."""
        return self._begun

    def told(self, now: float, gap: float) -> float | None:
        """Take note that the source may have grown; say when it is to be looked at.

        Args:
            now: the time.
            gap: seconds that must lie between the beginnings of two looks.
        """
        if self._told is None:
            self._told = now
        return self._next(now, gap)

    def begin(self, now: float) -> None:
        """Take note that a look begins; one that was still waited for is part of it."""
        known = [since for since in (self._looking_for, self._told) if since is not None]
        self._looking_for = min(known, default=None)
        self._told = self._due = None
        self._begun = self._last = now

    def end(self, now: float, gap: float, *, found: bool = True) -> float | None:
        """Take note that a look is over; say when the next is due, where the source told something meanwhile.

        Args:
            now: the time.
            gap: see `told`.
            found: the look succeeded: what is shown is as new as the source was when it began.
        """
        if not found:
            self._told = self._begun if self._looking_for is None else self._looking_for
            self._begun = self._looking_for = None
            return None
        if self._begun is not None:
            self._seen = self._begun
        self._begun = self._looking_for = None
        return None if self._told is None else self._next(now, gap)

    def overdue(self, now: float) -> bool:
        """Whether a look was due some time ago and never began."""
        return self._begun is None and self._due is not None and now > self._due + OVERDUE

    def behind(self, now: float) -> float:
        """Return for how many seconds the source may have been newer than what is shown; 0.0 when it is not."""
        known = [since for since in (self._looking_for, self._told) if since is not None]
        return max(0.0, now - min(known)) if known else 0.0

    def since_look(self, now: float) -> float:
        """Return the seconds since the last look that succeeded began; infinite when there was none."""
        return now - self._seen

    def _next(self, now: float, gap: float) -> float | None:
        if self._begun is not None or (self._due is not None and not self.overdue(now)):
            return None
        wait = self._last + gap - now
        if wait < LEAST_WAIT:
            return 0.0
        self._due = now + wait
        return wait


LEAST_GAP: Final = 0.033
"""Seconds between two looks at the source; more often than this nobody sees."""
MOST_GAP: Final = 0.15
"""Seconds between two looks at most, however much each of them costs; below what counts as a rush."""
FOLLOWING_SHARE: Final = 0.11
"""Share of a processor that looking at a flood of entries, and painting them, may take: keys and the program that records need the rest."""

BEHIND_GAP: Final = 0.25
"""Seconds between two looks while another tab is in front; only a number in a label shows them."""
READING_GAP: Final = 0.1
"""Seconds between two looks while a source is still being read."""
BEAT: Final = 1.0
"""Seconds between two checks that nothing is stuck; the header counts in seconds too."""


def _is_missed(path: Path) -> bool:
    """Whether a file is gone that should be there; the files that SQLite keeps beside it come and go."""
    return not path.name.endswith(("-wal", "-shm")) and not path.exists()


class SourceChanged(Message):
    """The source may hold new entries."""

    def can_replace(self, message: Message) -> bool:
        """One look finds all that is new."""
        return isinstance(message, SourceChanged)


class Followed(Pump, Protocol):
    """The screen of the history that is followed."""

    @property
    def scene(self) -> Scene:
        """The history, and what is known of it."""

    @property
    def view(self) -> View:
        """What is shown."""

    @property
    def rows(self) -> Rows:
        """The entries that the filter lets through."""

    @property
    def worker(self) -> Worker:
        """Asks the history."""

    @property
    def is_in_front(self) -> bool:
        """It is the tab that is looked at."""

    def apply(self, view: View) -> None:
        """Show another view."""

    def repaint(self) -> None:
        """Paint the view again."""

    def flash(self, text: str, style: str = "text") -> None:
        """Say something in the footer."""

    def post_message(self, message: Message) -> bool:
        """Have a message handled in the screen's turn; safe from any thread."""

    def is_read(self) -> None:
        """Do what needs all that is there."""

    def beat(self) -> None:
        """Look at what is kept beside the source, every second."""


class SourceFollower:
    """Watches the files of a history and asks it to refresh; also moves the head while playing."""

    def __init__(self, main: Followed) -> None:
        self._main = main
        self._watcher: FileWatcher | None = None
        self._starting = threading.Lock()
        self._started = self._stopped = False
        self._notified = False
        self._reading = True
        self._rhythm = Rhythm()
        self._begun = monotonic()
        self._missing: float | None = None
        self._gone = self._told_gone = self._told_failure = ""
        self._trouble = self._told_trouble = self._shown = ""
        self._unread = ""
        """What the header says while looks do not succeed."""
        self._step: asyncio.TimerHandle | None = None
        self._waiting: asyncio.TimerHandle | None = None
        self._spent = process_time()
        self._cost = 0.0
        """Seconds of processor time from the look before the last to the last: what one costs, paint included."""
        self.poll: float | None = None
        self.enabled = True
        self.has_all = False
        """What is shown is all that there was when the source had been read."""

    @property
    def _watches(self) -> bool:
        """There are files to watch, and they are to be watched."""
        return self.enabled and bool(self._main.scene.history.watch_paths)

    def start(self) -> None:
        """Begin to watch, unless that was begun; a history without files to watch is finished."""
        if self._watches and not self._started:
            self._started = True
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
            # Takes longer to load than the main screen; this is a thread.
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
        if self._notified or self._main.scene.unweighed:
            # Nearly always on its way to here; where the message was lost, nobody else would send another.
            self.changed()
        # An answer on its way to the screen is neither owed nor taken: only one that stays away is lost.
        missing = None if self._main.worker.owes(QuestionKind.REFRESH) else self._rhythm.looking_since
        if missing is not None and missing == self._missing:
            self.looked(failure="a look at the source was not answered; looking again")
        self._missing = missing
        if self._rhythm.overdue(monotonic()) or (self._rhythm.behind(monotonic()) and not self._rhythm.is_looking):
            self.look()
        self._mind_watcher()
        self._main.beat()
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
        if self._unread:
            return self._unread
        if self._rhythm.behind(now) >= BEHIND:
            looked = self._rhythm.since_look(now)
            return f"looked {format_units.duration(int(looked) * 1e9)} ago" if isfinite(looked) else "not looked yet"
        if self._watcher is None:
            return "not watched" if self._trouble or now - self._begun >= BEHIND else ""
        return "polling" if self._watcher.polls else ""

    def changed(self) -> None:
        """Look at the source, now or when the last look is long enough ago."""
        self._notified = False
        self._look_in(self._rhythm.told(monotonic(), self._gap))

    @property
    def _gap(self) -> float:
        if not self._main.is_in_front:
            return BEHIND_GAP
        return min(MOST_GAP, max(LEAST_GAP, self._cost / FOLLOWING_SHARE))

    def _look_in(self, wait: float | None) -> None:
        if wait is None:
            return
        if wait:
            self._call_off()
            self._waiting = after(self._main, wait, self._look_if_due)
        else:
            self.look()

    def _call_off(self) -> None:
        """Wait no longer: a wait that outlives the look it was for would have every later look done twice as often."""
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    def _look_if_due(self) -> None:
        """Look, unless somebody looks already: a wait may end after it was made up for."""
        if not self._rhythm.is_looking:
            self.look()

    def look(self, *, asked: bool = False) -> None:
        """Ask the history for new entries.

        Args:
            asked: a person wants to know: why it does not succeed is told again.
        """
        if asked:
            self._told_failure = ""
        self._call_off()
        self._rhythm.begin(monotonic())
        spent = process_time()
        self._cost, self._spent = spent - self._spent, spent
        history = self._main.scene.history

        def refresh() -> int:
            is_read = history.progress.is_finished
            try:
                history.refresh()
            finally:
                # A source that cannot be read may be gone, or back as another one.
                self._gone = next((path.name for path in history.source_paths if _is_missed(path)), "")
            self.has_all = is_read
            history.columns()
            self._main.scene.weigh()
            return len(history)

        self._main.worker.ask(QuestionKind.REFRESH, refresh)

    def looked(self, *, failure: str = "", unread: str = "") -> None:
        """The look is over; look again if the source changed meanwhile.

        Args:
            failure: why it did not succeed; told once, and `_beat` looks again.
            unread: the same in two words, where the source itself is the reason: it is not followed then, and the header says so.
        """
        self._unread = unread
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
        return moves.wait_before(view, times[view.head], times[after])

    def _play(self) -> None:
        self._step = None
        main = self._main
        if main.view.playing:
            main.apply(moves.played(main.view, main.rows))
            self.schedule(main.view)
