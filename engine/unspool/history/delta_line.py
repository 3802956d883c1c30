"""Lines whose deltas can be applied and inverted: the cheapest way to a state from any that is known.

Chains of snapshots and the history manager rebuild along these; a store's records have a line of their own (`unspool.history.rebuild`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from unspool.errors import UnspoolError
from unspool.model.cache import BoundedCache

StateT = TypeVar("StateT")


@dataclass(frozen=True, slots=True)
class Route:
    """A way along a line, from a state that is known to the one asked for.

    Attributes:
        start: position of the known state.
        target: position asked for.
        cost: sum of the costs of the deltas on the way, and of reading the start where it is stored whole.
        is_whole: whether the start is stored whole; otherwise it was rebuilt before.
    """

    start: int
    target: int
    cost: float
    is_whole: bool

    @property
    def is_forward(self) -> bool:
        """Whether deltas are applied as they are; otherwise they are inverted."""
        return self.start <= self.target

    @property
    def steps(self) -> int:
        """Number of deltas on the way."""
        return abs(self.target - self.start)

    def deltas(self) -> range:
        """Return the positions whose deltas are on the way, in the order these are applied."""
        if self.is_forward:
            return range(self.start + 1, self.target + 1)
        return range(self.start, self.target, -1)


class DeltaLine(ABC, Generic[StateT]):
    """A line whose deltas can be applied and inverted, so that any state that was rebuilt before may be started from.

    Attributes:
        taken: the way the last rebuild went; None before the first.
    """

    taken: Route | None = None

    @abstractmethod
    def look(self, cache: BoundedCache[Any, Any], at: int) -> tuple[bool, bool, float]:
        """Look at a position without using the cache.

        Returns:
            Whether its state is stored as a delta on the one before (not so where it is whole or there is none);
            whether the state was rebuilt before and is at hand; and the bytes of the delta, or of the whole state
            where reading that costs anything.
        """

    @abstractmethod
    def at_hand(self, cache: BoundedCache[Any, Any], at: int) -> StateT | None:
        """Return a state that was rebuilt before, or None; nothing is counted."""

    def can_invert(self, at: int) -> bool:
        """Whether the delta of a position can be inverted."""
        return True

    @abstractmethod
    def follow(self, route: Route, start: StateT | None) -> StateT:
        """Return the state that a route leads to; `start` is None where the route starts at a whole state."""

    @abstractmethod
    def size(self, at: int, state: StateT) -> int:
        """Return about how many bytes the state at a position takes in memory."""

    def route(self, cache: BoundedCache[Any, Any], at: int) -> Route:
        """Return the cheapest way to a position from the nearest known state before it or behind it.

        Both sides are searched in turn, the cheaper one first, so that a step either way looks at few positions.
        """
        back: Route | None = None
        start, spent = at, 0.0
        ahead, saved, is_open = at, 0.0, True
        while True:
            forward: Route | None = None
            is_delta, is_at_hand, cost = self.look(cache, start)
            if is_at_hand:
                forward = Route(start, at, spent, is_whole=False)
            elif not is_delta:
                forward = Route(start, at, spent + cost, is_whole=True)
            else:
                spent += cost
                start -= 1
            # Going forward costs at least this much.
            least = spent if forward is None else forward.cost
            while is_open and saved < least:
                ahead += 1
                is_delta, is_at_hand, cost = self.look(cache, ahead)
                saved += cost
                is_open = is_delta and not is_at_hand
                if is_delta and is_at_hand and all(map(self.can_invert, range(at + 1, ahead + 1))):
                    back = Route(ahead, at, saved, is_whole=False)
            if back is not None and back.cost < least:
                return back
            if forward is not None:
                return forward

    def _from_whole(self, cache: BoundedCache[Any, Any], at: int) -> Route:
        start, spent = at, 0.0
        while True:
            is_delta, _, cost = self.look(cache, start)
            spent += cost
            if not is_delta:
                return Route(start, at, spent, is_whole=True)
            start -= 1

    def rebuild(self, cache: BoundedCache[Any, Any], at: int) -> tuple[StateT, int]:
        """See `StateLine`."""
        route = self.route(cache, at)
        start = None if route.is_whole else self.at_hand(cache, route.start)
        try:
            if start is None and not route.is_whole:
                # It left the cache meanwhile.
                route = self._from_whole(cache, at)
            state = self.follow(route, start)
        except UnspoolError:
            if route.is_whole:
                raise
            # A state that somebody put into the cache need not belong to this line: only a whole one is beyond doubt.
            route = self._from_whole(cache, at)
            state = self.follow(route, None)
        self.taken = route
        return state, self.size(at, state)
