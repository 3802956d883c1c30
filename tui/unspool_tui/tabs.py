"""Sources side by side: opened in threads, watched while nobody looks at them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from msgspec import Struct, field

from unspool.errors import UnspoolError
from unspool.history.verdict import COMPLETE, FINISHED, Problem, Progress, Verdict, VerdictStatus
from unspool_tui.source import STANDARD_INPUT, NamedSource, distinct_names

if TYPE_CHECKING:
    from unspool.history.history import History
    from unspool.sources.watch import FileWatcher
    from unspool_tui.rendering.header import Label
    from unspool_tui.session import SourceSession
    from unspool_tui.view.model import RecordingProgram

CLOSING_SECONDS: Final = 0.5
"""How long leaving waits for sources to be closed; the process ends after it, and its temporary files with it."""


class Tab(Struct, eq=False):
    """One source.

    Attributes:
        source: how it is opened; None for a history that was handed over open.
        at: the entry to begin at; None begins where the person left.
        history: the open history; None before it was opened, and when it was refused.
        error: why it was refused.
        waits: nothing had been written to it, so it is opened as soon as it can be.
        opening: a thread is opening it.
        shown: gives the entries that its screen shows; None while it has no screen.
        session: its remembered place, once it was looked at.
        total: entries, as far as known while it has no screen.
        seen: entries there were when it was last looked at.
        fallback: the source without the part that was chosen last time, in case that is not there any more.
        note: what to tell when it comes to the front.
        given: identity keys that were given just now; what they do not match is told once the source is read.
        program: which of the programs that record into it is asked for something; None for any.
    """

    source: NamedSource | None
    at: int | None = None
    history: History | None = None
    error: str = ""
    waits: bool = False
    opening: bool = False
    shown: Callable[[], int] | None = None
    session: SourceSession | None = None
    total: int = 0
    seen: int = 0
    fallback: NamedSource | None = None
    note: str = ""
    given: Mapping[str, str] = field(default_factory=dict)
    program: RecordingProgram | None = None

    @property
    def name(self) -> str:
        """What the person called it."""
        if self.source is not None:
            return self.source.name
        return self.history.source_name if self.history is not None else ""

    @property
    def new(self) -> int:
        """Entries that arrived since it was last looked at."""
        if self.history is None:
            return 0
        total = self.total if self.shown is None else self.shown()
        return max(0, total - self.seen)

    def open(self) -> bool:
        """Open the source and say whether it is open; what it is refused for is kept.

        Never raises: a source that breaks while it is opened must not take the others with it.
        """
        if self.source is None or self.history is not None:
            return self.history is not None
        self.error = ""
        try:
            self.open_or_raise(wait=self.at is not None)
        except UnspoolError as error:
            if not self.is_to_come():
                self.error = str(error)
        except Exception as error:  # noqa: BLE001 - told in the tab; this thread has nobody else to tell
            self.error = f"{self.source.name}: cannot be opened ({type(error).__name__}: {error})"
        return self.history is not None

    def is_to_come(self) -> bool:
        """Say whether the source was refused only because nothing has been written to it, and wait for it then."""
        is_blank = self.source is not None and self.source.follow and self.source.is_blank()
        self.waits = self.waits or is_blank
        return is_blank

    def open_or_raise(self, *, wait: bool) -> History:
        """Open the source; where the part that was chosen last time is gone, all of it.

        Args:
            wait: return when all that is there has been read.

        Raises:
            UnspoolError: it is refused.
        """
        assert self.source is not None
        try:
            history = self.source.open(wait=wait)
        except UnspoolError as error:
            if self.fallback is None:
                raise
            self.source, self.fallback = self.fallback, None
            history = self.open_or_raise(wait=wait)
            self.note = f"the part that was shown last time is not there any more: {error}"
        self.history = history
        return history


_UNDER_WAY: Final = Progress(0, 0, is_finished=False)


class UnopenedSource:
    """Feeds the history that is shown in the place of a source that is not open: it brings no entry, and tells why."""

    def __init__(self, tab: Tab, want: Callable[[Tab], object]) -> None:
        """Stand in for a source.

        Args:
            tab: whose source it is.
            want: has it opened once more; called when someone looks for news of a source that was refused.
        """
        self._tab = tab
        self._want = want

    @property
    def verdict(self) -> Verdict:
        """Refused, with the reason, once that is known."""
        if not self._tab.error:
            return COMPLETE
        return Verdict(VerdictStatus.REFUSED, (Problem(self._tab.name, self._tab.error),))

    @property
    def watch_paths(self) -> tuple[Path, ...]:
        """The file, where something is to be written to it yet; else nothing is watched."""
        source = self._tab.source
        return (Path(source.name),) if self._tab.waits and source is not None else ()

    @property
    def source_name(self) -> str:
        """What the person called the source."""
        return self._tab.name

    @property
    def progress(self) -> Progress:
        """Under way until it is refused, or nothing is there to be read."""
        return FINISHED if self._tab.error or self._tab.waits else _UNDER_WAY

    def pump(self) -> None:
        """Have a refused source opened again, and one that is written to."""
        if self._tab.error or self._tab.waits:
            self._want(self._tab)

    def cancel(self) -> None:
        """Nothing is being read."""

    def close(self) -> None:
        """Nothing is open."""


class Tabs:
    """All sources, in the order in which they were named."""

    def __init__(self, tabs: Sequence[Tab], front: int = 0) -> None:
        """Hold tabs; the one in front is open already, or refused.

        Args:
            tabs: at least one.
            front: number of the one in front.
        """
        self.all = list(tabs)
        self.front = front
        self.linked: tuple[Tab, ...] = ()
        """Those that are scrubbed together."""
        self._names: list[str] = []
        self._one_by_one = threading.Lock()
        self._tell: Callable[[Tab], object] = lambda tab: None
        self._background: BackgroundWatch | None = None
        self._closed = False

    def __len__(self) -> int:
        return len(self.all)

    @property
    def front_tab(self) -> Tab:
        """The tab in front."""
        return self.all[self.front]

    def place_of(self, source: NamedSource) -> int:
        """Return the number of the tab of a source; one is added where there is none."""
        for number, tab in enumerate(self.all):
            if tab.source is not None and tab.source.key == source.key:
                return number
        self.all.append(Tab(source))
        self._names = []
        return len(self.all) - 1

    def name(self, number: int) -> str:
        """Return a name that tells a tab from the others."""
        if not self._names:
            self._names = distinct_names([tab.name for tab in self.all])
        return self._names[number]

    def labels(self) -> list[Label]:
        """Return what the line of tabs says of each."""
        from unspool_tui.rendering.header import Label  # draws with Rich, which the command line does without

        return [
            Label(
                self.name(number),
                tab.new if number != self.front else 0,
                tab.opening,
                bool(tab.error),
                linked=tab in self.linked,
            )
            for number, tab in enumerate(self.all)
        ]

    def begin(self, tell: Callable[[Tab], object]) -> None:
        """Open, one after the other and beside the screen, what is cheap to open; `tell` is called from threads."""
        self._tell = tell
        if len(self.all) > 1:
            threading.Thread(target=self._open_cheap, name="unspool-tabs", daemon=True).start()

    def _open_cheap(self) -> None:
        for tab in self.all:
            if tab.history is not None or tab.error or tab.opening or tab.source is None or not tab.source.is_cheap():
                continue
            if tab.source.name == STANDARD_INPUT:
                self.want(tab)
            else:
                tab.opening = True
                self._open(tab)

    def want(self, tab: Tab) -> None:
        """Have a tab opened, unless it is open or being opened; safe from any thread."""
        if tab.history is None and not tab.opening and not self._closed:
            tab.opening = True
            threading.Thread(target=self._open, args=(tab,), name="unspool-open", daemon=True).start()

    def _open(self, tab: Tab) -> None:
        waits_for_input = tab.source is not None and tab.source.name == STANDARD_INPUT
        # Two large files at once would only take turns; standard input may keep silent for ever.
        with nullcontext() if waits_for_input else self._one_by_one:
            if not self._closed:
                tab.open()
        tab.opening = False
        if self._closed and tab.history is not None:
            tab.history.close()
        self._tell(tab)

    def watch(self, tab: Tab) -> None:
        """Count the entries that arrive in a tab that has no screen yet."""
        if self._background is None:
            self._background = BackgroundWatch(self._tell)
        self._background.watch(tab)

    def counts(self, tab: Tab) -> bool:
        """Whether the entries that arrive in a tab are counted by now."""
        return self._background is not None and self._background.counts(tab)

    def release(self, tab: Tab) -> None:
        """Leave the counting to the tab's screen."""
        if self._background is not None:
            self._background.release(tab)

    def close(self) -> None:
        """Let go of everything that is open; what is just being opened is closed as soon as it is.

        A source whose reader is in the middle of something long is not waited for: leaving works at once.
        """
        self._closed = True
        closing = threading.Thread(target=self._let_go, name="unspool-close", daemon=True)
        closing.start()
        closing.join(CLOSING_SECONDS)

    def _let_go(self) -> None:
        if self._background is not None:
            self._background.close()
        for tab in self.all:
            if tab.history is not None:
                tab.history.close()


_GAP: Final = 0.25
"""Seconds between two looks at one source; a number in a label needs no more."""


class BackgroundWatch:
    """Keeps the totals of tabs up to date that have no screen of their own yet."""

    def __init__(self, tell: Callable[[Tab], object]) -> None:
        """Begin with nothing to watch.

        Args:
            tell: called in the thread of the watch when a tab's total has changed.
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
        threading.Thread(target=self._start, args=(tab,), name="unspool-background-watch-start", daemon=True).start()

    def _start(self, tab: Tab) -> None:
        from unspool.sources.watch import FileWatcher  # takes longer to load than the main screen; this is a thread

        if tab.history is None or tab.source is None:
            return
        watcher = FileWatcher(tab.history.watch_paths, self._wake.set, poll=tab.source.poll)
        with self._lock:
            if self._closing.is_set() or tab.shown is not None or tab in self._watched:
                return
            watcher.start()
            self._watched[tab] = watcher
            self._reading.add(tab)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="unspool-background-watch", daemon=True)
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
        """Whether what arrives in a tab is counted; what comes before it is read to its end is not new."""
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
