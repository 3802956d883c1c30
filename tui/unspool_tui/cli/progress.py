"""How far something is, on standard error: for what takes longer than a second, where that is a terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING, Final, TypeVar

import click

if TYPE_CHECKING:
    from unspool_tui.cli.options import Common

_SILENT_S: Final = 1.0
"""Seconds before anything is shown: most commands are done by then."""
_EVERY_S: Final = 0.1
"""Seconds between two looks at the clock's worth of news; a reader of the line sees no more than that."""
_KNOWN_S: Final = 2.0
"""Seconds of work from which an estimate means something."""
_Item = TypeVar("_Item")


class Meter:
    """Shows one line such as `bytes  34 %, about 12 s left` and takes it away in the end.

    It is asked as often as its caller likes, and looks at the clock each time: entries may take microseconds or seconds.
    """

    def __init__(self, what: str, *, is_shown: bool) -> None:
        """Begin to count.

        Args:
            what: what is being done, in a word.
            is_shown: there is somebody to read it.
        """
        self._what = what
        self._is_shown = is_shown
        self._begun = monotonic()
        self._next = self._begun + _SILENT_S
        self._first: tuple[float, float] | None = None
        self._width = 0

    def __call__(self, done: int, total: int) -> None:
        """Take note of how many of how many are done."""
        if not self._is_shown:
            return
        now = monotonic()
        if self._first is None:
            self._first = now, done / total if total else 0.0
        if now < self._next:
            return
        self._next = now + _EVERY_S
        self._show(f"{self._what} {_share(done, total)}{self._left(now, done, total)}")

    def counted(self, items: Iterable[_Item], total: int) -> Iterator[_Item]:
        """Yield items as they are, and take note of each; `total` is about how many there are."""
        for done, item in enumerate(items):
            self(min(done, total), total)
            yield item

    def clear(self) -> None:
        """Take the line away; the next news brings it back."""
        if self._width:
            click.echo(f"\r{' ' * self._width}\r", err=True, nl=False)
            self._width = 0

    def _show(self, text: str) -> None:
        click.echo(f"\r{text.ljust(self._width)}", err=True, nl=False)
        self._width = len(text)

    def _left(self, now: float, done: int, total: int) -> str:
        """Return the estimate: what was done since the first news goes on at that rate."""
        if self._first is None or not total or now - self._begun < _KNOWN_S:
            return ""
        since, share_then = self._first
        share = done / total
        if not share_then < share <= 1 or now == since:
            return ""
        seconds = (1 - share) * (now - since) / (share - share_then)
        return f", about {_duration(seconds)} left"


def _share(done: int, total: int) -> str:
    return f"{min(100, done * 100 // total):3d} %" if total else f"{done:,}"


def _duration(seconds: float) -> str:
    whole = round(seconds)
    if whole < 60:
        return f"{max(1, whole)} s"
    minutes, rest = divmod(whole, 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


@contextmanager
def shown_progress(common: Common, what: str) -> Iterator[Meter]:
    """Give a meter, and take its line away in the end."""
    is_shown = not common.quiet and sys.stderr is not None and sys.stderr.isatty()
    meter = Meter(what, is_shown=is_shown)
    try:
        yield meter
    finally:
        meter.clear()
