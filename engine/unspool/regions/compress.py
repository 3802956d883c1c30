"""Fewer deltas, same region (row R-50).

The seed's pseudocode throws away every other change at a place with two removals, mixes items and loses order. Here
two deltas are merged only if everything between them could change places with them: no cell in common. What is given
up is the moments between the merged ones; the region after the last of them is the same, conflicts included.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence

from unspool.regions.deltas import RegionDelta, in_tick_order
from unspool.regions.table import STANDARD_ACTIONS, ActionRule, ActionTable


def compress_deltas(
    deltas: Iterable[RegionDelta],
    *,
    actions: ActionTable = STANDARD_ACTIONS,
    barriers: Sequence[int] = (),
) -> tuple[RegionDelta, ...]:
    """Merge repeated deltas.

    Args:
        deltas: in any order; they are put in tick order first, as they apply.
        actions: what each action touches and how two of it merge.
        barriers: ticks at which something else happens to the region (another player's personal deltas); nothing
            is merged across them.

    Returns:
        Deltas in tick order that lead to the same region. A merged delta has the tick and the place of the last.

    Raises:
        UnknownAction: an action is not in the table.
    """
    kept: list[RegionDelta | None] = []
    last_touch: dict[Hashable, int] = {}
    # What happens elsewhere at a tick may come before or after the deltas of that tick: close both sides.
    pending_barriers = sorted({*barriers, *(tick + 1 for tick in barriers)}, reverse=True)
    for delta in in_tick_order(deltas):
        while pending_barriers and pending_barriers[-1] <= delta.tick:
            pending_barriers.pop()
            last_touch.clear()
        rule = actions.rule(delta.action)
        if rule.touches is None:
            last_touch.clear()
            kept.append(delta)
            continue
        cells = rule.touches(delta)
        partner = _partner(last_touch, cells)
        earlier = None if partner is None else kept[partner]
        merged = None if earlier is None else _merge(rule, earlier, delta)
        if partner is not None and merged is not None:
            kept[partner] = None
        last_touch.update(dict.fromkeys(cells, len(kept)))
        kept.append(merged or delta)
    return tuple(delta for delta in kept if delta is not None)


def _partner(last_touch: dict[Hashable, int], cells: tuple[Hashable, ...]) -> int | None:
    """Return the delta that was the last to touch all of some cells, if one delta was."""
    touched = {last_touch.get(cell) for cell in cells}
    return touched.pop() if len(touched) == 1 else None


def _merge(rule: ActionRule, earlier: RegionDelta, later: RegionDelta) -> RegionDelta | None:
    if rule.merge is None or rule.touches is None or earlier.action != later.action:
        return None
    # A cell that only the earlier one touches may have been touched by another since.
    if earlier.position != later.position or set(rule.touches(earlier)) != set(rule.touches(later)):
        return None
    # What a delta says beyond the four fields is the game's, and cannot be added up.
    return None if earlier.extra or later.extra else rule.merge(earlier, later)
