"""Two tabs that are scrubbed together: which entry of one stands for the head of the other, and where the two part."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator
from enum import StrEnum
from itertools import accumulate
from typing import TYPE_CHECKING, Final

from unspool.errors import UnspoolError
from unspool.model.limits import Cancelled

if TYPE_CHECKING:
    from unspool.history.history import History
    from unspool.query.compare import Divergence
    from unspool_tui.tabs import Tab

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
