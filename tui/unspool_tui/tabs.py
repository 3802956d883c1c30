"""Sources side by side: opened in threads, watched in the background, and two of them linked so that they are scrubbed together."""

from __future__ import annotations

import threading
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext, suppress
from enum import StrEnum
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Final

from msgspec import Struct, field

from unspool.errors import UnspoolError
from unspool.history.verdict import COMPLETE, FINISHED, Problem, Progress, Verdict, VerdictStatus
from unspool.model.limits import Cancelled
from unspool_tui.source import STANDARD_INPUT, NamedSource, distinct_names

if TYPE_CHECKING:
    from unspool.history.history import History
    from unspool.query.compare import Divergence
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
    def source_paths(self) -> tuple[Path, ...]:
        """Nothing is there yet that could be measured, or be gone."""
        return ()

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


_BATCH: Final = 512
_NAME: Final = 16
"""Characters of the other tab's name that the first line has room for."""


class LinkBy(StrEnum):
    """What two entries have in common that stand for each other.

    Attributes:
        TIME: the time, or that since the first entry where the two histories have no time in common.
        ENTRY: the number.
        ACTION: the action, the first with the first of that name, the second with the second.
    """

    TIME = "time"
    ENTRY = "entry"
    ACTION = "action"


class LinkedSide:
    """One of two linked histories, as far as its entries are known."""

    __slots__ = ("_actions", "_latest", "_names", "_numbers", "_origin", "_ranks", "history", "known", "parting")

    def __init__(self, history: History) -> None:
        """Begin with no entry known."""
        self.history = history
        self._begin()

    def _begin(self) -> None:
        history = self.history
        self.parting: int | None = None
        self.known = self._origin = history.first
        self._latest: array[int] = array("q")
        self._numbers: dict[str, int] = {}
        self._names: list[str] = []
        self._actions: array[int] = array("I")
        self._ranks: list[array[int]] = []

    def catch_up(self, by: LinkBy, cancelled: Cancelled) -> Iterator[None]:
        """Learn what there is of entries by now; yields between, so that the worker can turn to other things."""
        history, total = self.history, len(self.history)
        if total < self.known:
            # The source was cut: what is known of it is of no use any more.
            self._begin()
        if by is LinkBy.TIME:
            times = history.columns().timestamp_ns
            before = self._latest[-1:] or array("q", times[self._origin : self._origin + 1])
            # Times may go backwards; the latest so far is what a clock on the wall would have shown.
            running = accumulate(times[self.known : total], max, initial=before[0] if before else 0)
            next(running)
            self._latest.extend(running)
            self.known = self._origin + len(self._latest)
        elif by is LinkBy.ACTION:
            while self.known < total and not cancelled():
                for action in _actions(history, self.known, min(self.known + _BATCH, total)):
                    self._learn(action)
                yield
        else:
            self.known = total

    def _learn(self, action: str) -> None:
        number = self._numbers.setdefault(action, len(self._names))
        if number == len(self._names):
            self._names.append(action)
            self._ranks.append(array("q"))
        self._ranks[number].append(self.known)
        self._actions.append(number)
        self.known += 1

    def span(self) -> tuple[int, int] | None:
        """Return the first and the latest time; None where there is no entry."""
        return (self._latest[0], self._latest[-1]) if self._latest else None

    def time_at(self, seq: int) -> int | None:
        """Return the time of an entry."""
        at = seq - self._origin
        return self._latest[at] if 0 <= at < len(self._latest) else None

    def at_time(self, time: int) -> int | None:
        """Return the last entry at or before a time, the first one where all are after it."""
        if not self._latest:
            return None
        return self._origin + max(0, bisect_right(self._latest, time) - 1)

    def rank_at(self, seq: int) -> tuple[str, int] | None:
        """Return the action of an entry, and how many entries of that action come before it."""
        at = seq - self._origin
        if not 0 <= at < len(self._actions):
            return None
        number = self._actions[at]
        return self._names[number], bisect_left(self._ranks[number], seq)

    def at_rank(self, action: str, rank: int) -> int | None:
        """Return the entry of an action that so many of that action come before; None where there is none."""
        number = self._numbers.get(action)
        if number is None or rank >= len(self._ranks[number]):
            return None
        return self._ranks[number][rank]


def _actions(history: History, start: int, stop: int) -> Iterator[str]:
    """Yield the actions of entries; what cannot be read has one that no other entry has."""
    try:
        found = [entry.action for entry in history[start:stop]]
    except UnspoolError:
        found = []
    if len(found) == stop - start:
        yield from found
        return
    for seq in range(start, stop):
        try:
            yield history.action(seq)
        except UnspoolError:
            yield f"\0{seq}"


class TabLink:
    """Two tabs that are scrubbed together."""

    def __init__(self, first: Tab, second: Tab, by: LinkBy) -> None:
        """Link two open tabs; they stand for each other once `prepare` has begun to answer.

        Args:
            first: one of them.
            second: the other.
            by: how entries of one are found in the other.
        """
        assert first.history is not None
        assert second.history is not None
        self.by = by
        self.tabs = (first, second)
        self._sides = (LinkedSide(first.history), LinkedSide(second.history))
        self._shift: int | None = None

    def prepare(
        self, compare: Callable[[History, History], Divergence], cancelled: Cancelled
    ) -> Iterator[Divergence | bool | None]:
        """Learn all entries, then where the two part; yields True when the first is done, and last what was found.

        Args:
            compare: finds where two histories part.
            cancelled: whether nobody waits any more.
        """
        yield from self.catch_up(cancelled)
        yield True
        found = compare(self._sides[0].history, self._sides[1].history)
        self._sides[0].parting, self._sides[1].parting = found.first.seq, found.second.seq
        yield found

    def catch_up(self, cancelled: Cancelled) -> Iterator[None]:
        """Learn the entries that came since."""
        for side in self._sides:
            yield from side.catch_up(self.by, cancelled)
        if self._shift is None and self.by is LinkBy.TIME:
            self._shift = self._found_shift()

    def _found_shift(self) -> int | None:
        """Return what the clock of the second is ahead of the first: nothing where they have a time in common."""
        first, second = (side.span() for side in self._sides)
        if first is None or second is None:
            return None
        overlap = first[0] <= second[1] and second[0] <= first[1]
        return 0 if overlap else second[0] - first[0]

    @property
    def is_behind(self) -> bool:
        """Whether one of the histories has other entries by now than are known here."""
        return any(side.known != len(side.history) for side in self._sides)

    @property
    def told_by(self) -> str:
        """How entries are found, in a few words."""
        if self.by is LinkBy.TIME and self._shift:
            return "by time since the first entry"
        return f"by {self.by}"

    @property
    def holds(self) -> bool:
        """Whether both tabs still show the histories that were linked."""
        return all(tab.history is side.history for tab, side in zip(self.tabs, self._sides, strict=True))

    def other(self, tab: Tab) -> Tab | None:
        """Return the tab that another is linked with; None for one that is none of the two."""
        return self.tabs[1 - self.tabs.index(tab)] if tab in self.tabs else None

    def parting_of(self, tab: Tab) -> int | None:
        """Return the first entry of a tab that the other has not; None where there is none, or it is not known."""
        return self._sides[self.tabs.index(tab)].parting if tab in self.tabs else None

    def counterpart(self, tab: Tab, head: int) -> int | None:
        """Return the entry of the other tab that stands for an entry of this one; None where there is none."""
        number = self.tabs.index(tab)
        here, there = self._sides[number], self._sides[1 - number]
        if self.by is LinkBy.TIME:
            time, shift = here.time_at(head), self._shift or 0
            return None if time is None else there.at_time(time + (shift if number == 0 else -shift))
        if self.by is LinkBy.ACTION:
            ranked = here.rank_at(head)
            return None if ranked is None else there.at_rank(*ranked)
        return max(there.history.first, min(head, len(there.history) - 1)) if len(there.history) else None

    def told(self, tab: Tab, name: str, head: int) -> str:
        """Return what the first line says of the link: the other tab and its entry.

        Args:
            tab: the tab in front.
            name: what the other one is called.
            head: the entry looked at.
        """
        seq = self.counterpart(tab, head)
        where = (
            "none of that name"
            if seq is None and self.by is LinkBy.ACTION
            else "no entry"
            if seq is None
            else f"#{seq:,}"
        )
        return f"{where} by {self.by} in {name[:_NAME]}"
