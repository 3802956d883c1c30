"""How often a recorder records at most: so many calls a second, or a share of the time. What is passed over is counted."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from time import perf_counter
from typing import Final

from unspool.errors import ConfigError
from unspool.model.values import Value
from unspool.recorder.given import shown

_AHEAD: Final = 2.0
"""Calls that may come at once under `max_hz`: a loop of that very rate comes a little early as often as late."""
_DEBT_S: Final = 0.25
"""Seconds that recording may be ahead of its share, so that a few calls in a row are not torn apart."""
_SHARE: Final = re.compile(r"\s*(\d+(?:\.\d+)?)\s*%\s*\Z")


def share_of(budget: str | float) -> float:
    """Return a budget, `"5%"` or `0.05`, as a share of the time.

    Raises:
        ConfigError: it is none.
    """
    match = _SHARE.match(budget) if isinstance(budget, str) else None
    share = float(match[1]) / 100 if match else budget
    if isinstance(share, str | bool) or not isinstance(share, int | float) or not 0 < share <= 1:
        told = budget if isinstance(budget, str) else shown(budget)
        raise ConfigError(f'budget is {told}; give the share of the time that recording may take, as in "5%"')
    return float(share)


class Pace:
    """Says which calls are recorded, and counts the others.

    Attributes:
        passed: one item for each call passed over that no entry tells of yet. A list, since adding to it and taking
            from its beginning lose nothing whatever other threads and signal handlers do meanwhile.
    """

    def __init__(
        self, max_hz: float | None, budget: str | float | None, clock: Callable[[], float] = perf_counter
    ) -> None:
        """Prepare.

        Args:
            max_hz: calls a second; None for no such bound.
            budget: see `share_of`; None for no such bound.
            clock: gives seconds.

        Raises:
            ConfigError: one of them means nothing.
        """
        if max_hz is not None and (isinstance(max_hz, bool | str) or not max_hz > 0):
            raise ConfigError(f"max_hz is {shown(max_hz)}; give the number of calls a second, above 0")
        self._max_hz = max_hz
        self._share = None if budget is None else share_of(budget)
        self._clock = clock
        self._at = self._paid_at = clock()
        self._tokens = _AHEAD
        self._debt_s = 0.0
        self._told = 0
        self._pending: dict[str, Value] = {}
        self.passed: list[None] = []

    @property
    def is_bounded(self) -> bool:
        """Whether there is any bound."""
        return self._max_hz is not None or self._share is not None

    @property
    def total(self) -> int:
        """Calls passed over so far."""
        return self._told + len(self.passed)

    @property
    def has_put_off(self) -> bool:
        """Whether atoms wait for the next entry."""
        return bool(self._pending)

    def pass_over(self) -> None:
        """Count a call that is not recorded."""
        self.passed.append(None)

    def admits(self) -> bool:
        """Say whether a call that comes now is recorded; one that is not is counted."""
        if self._is_due():
            return True
        self.pass_over()
        return False

    def _is_due(self) -> bool:
        now = self._clock()
        if self._share is not None:
            self._debt_s = max(self._debt_s - (now - self._paid_at), 0.0)
            self._paid_at = now
            if self._debt_s > _DEBT_S:
                return False
        if self._max_hz is not None:
            self._tokens = min(self._tokens + (now - self._at) * self._max_hz, _AHEAD)
            self._at = now
            if self._tokens < 1:
                return False
            self._tokens -= 1
        return True

    def spend(self, call: Callable[[], int | None]) -> int | None:
        """Make a call that is recorded, and take its time off the budget."""
        if self._share is None:
            return call()
        began = self._clock()
        try:
            return call()
        finally:
            self._debt_s += (self._clock() - began) / self._share

    def told(self, count: int) -> None:
        """Take note that an entry tells of so many calls passed over."""
        del self.passed[:count]
        self._told += count

    def put_off(self, atoms: Mapping[str, Value]) -> None:
        """Keep atoms that an `update` which was passed over named: the next entry takes them as they are then."""
        self._pending = {**self._pending, **atoms}

    def taken(self) -> dict[str, Value]:
        """Return the atoms put off, and forget them."""
        pending, self._pending = self._pending, {}
        return pending


__all__ = ["Pace", "share_of"]
