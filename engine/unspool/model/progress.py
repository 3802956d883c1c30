"""How long work is followed and ended early: the callables that every question, reader and check takes."""

from __future__ import annotations

from collections.abc import Callable

Cancelled = Callable[[], bool]
"""Asked now and then; True ends the work early with what was found so far. `Event.is_set` is one."""

Progress = Callable[[int, int], None]
"""Called with how many of how many are done, as often as work goes on; a caller that draws it looks at the clock."""


def no_progress(done: int, total: int) -> None:
    """Ignore how far the work is: the default where nobody follows it."""


def never() -> bool:
    """Return False: the default where nobody can cancel."""
    return False
