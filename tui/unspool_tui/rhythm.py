"""When things happen: timers that cannot be lost, and how often a growing source is looked at."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from textual.message_pump import MessagePump

LEAST_WAIT: Final = 0.005
"""Seconds below which nobody waits: what is due that soon is due now."""
OVERDUE: Final = 0.25
"""Seconds after which a look that was due and did not come is made up for."""
BEHIND: Final = 2.0
"""Seconds that what is shown may be older than the source before the header says so."""


def after(pump: MessagePump, seconds: float, then: Callable[[], object]) -> asyncio.TimerHandle:
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
        """Say whether a look was due some time ago and never began."""
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
