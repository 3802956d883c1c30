"""The cheapest way to a state from one that is known already, forwards or backwards (row N-31)."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Route:
    """A way along a chain; positions count deltas, 0 being the full snapshot.

    Attributes:
        start: position of the known state.
        target: position asked for.
        cost: sum of the costs of the deltas on the way.
    """

    start: int
    target: int
    cost: float

    @property
    def is_forward(self) -> bool:
        """Whether deltas are applied as they are; otherwise they are turned round."""
        return self.start <= self.target

    @property
    def steps(self) -> int:
        """Number of deltas on the way."""
        return abs(self.target - self.start)

    def deltas(self) -> range:
        """Return the indices of the deltas on the way, in the order they are laid on."""
        return range(self.start, self.target) if self.is_forward else range(self.start - 1, self.target - 1, -1)


def shortest_route(
    target: int, known: Sequence[int], cost: Callable[[int], float], can_go_back: Callable[[int], bool]
) -> Route:
    """Find the cheapest way to a position.

    Args:
        target: the position asked for.
        known: positions of known states, ascending; the first must not lie behind the target.
        cost: cost of laying on the delta of an index.
        can_go_back: whether the delta of an index can be turned round.
    """
    place = bisect_left(known, target)
    if place < len(known) and known[place] == target:
        return Route(target, target, 0)
    before = known[place - 1]
    forward = Route(before, target, sum(map(cost, range(before, target))))
    if place == len(known):
        return forward
    spent = 0.0
    for index in range(known[place] - 1, target - 1, -1):
        spent += cost(index)
        if spent >= forward.cost or not can_go_back(index):
            return forward
    return Route(known[place], target, spent)
