"""Fewer deltas, same region: folding a file's deltas when it is saved."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from unspool.model.values import Value
from unspool.regions.deltas import RegionDelta, in_tick_order
from unspool.regions.region_file import RegionDeltaFile
from unspool.regions.region_files import StoredFile
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


SNAPSHOT_THRESHOLD: Final = 1000
"""The seed's DELTA_THRESHOLD: a file with more deltas than this is folded into a snapshot."""


def compressed(file: StoredFile, actions: ActionTable, horizon: int | None = None) -> StoredFile:
    """Return a file with repeated deltas merged; every player sees the same region as before.

    What happened between merged deltas can no longer be told: the file says up to which tick, and of how many.
    """

    def shorter(deltas: tuple[RegionDelta, ...], barriers: Sequence[int] = ()) -> tuple[RegionDelta, ...]:
        settled = tuple(delta for delta in deltas if horizon is None or delta.tick < horizon)
        open_ones = tuple(delta for delta in deltas if horizon is not None and delta.tick >= horizon)
        return (*compress_deltas(settled, actions=actions, barriers=barriers), *open_ones)

    if isinstance(file, RegionDeltaFile):
        return _saying_so(file, replace(file, deltas=shorter(file.deltas)))
    personal_ticks = [delta.tick for deltas in file.personal_deltas.values() for delta in deltas]
    shared_ticks = [delta.tick for delta in file.shared_deltas]
    merged = replace(
        file,
        shared_deltas=shorter(file.shared_deltas, personal_ticks),
        personal_deltas={player: shorter(deltas, shared_ticks) for player, deltas in file.personal_deltas.items()},
    )
    return _saying_so(file, merged)


MERGED: Final = "mergedDeltas"
"""The field of a file that says what merging cost: `{"until": tick, "count": deltas}`."""


def _all_deltas(file: StoredFile) -> list[RegionDelta]:
    if isinstance(file, RegionDeltaFile):
        return list(file.deltas)
    return [*file.shared_deltas, *(delta for deltas in file.personal_deltas.values() for delta in deltas)]


def _saying_so(file: StoredFile, merged: StoredFile) -> StoredFile:
    before, after = _all_deltas(file), _all_deltas(merged)
    gone = len(before) - len(after)
    if not gone:
        return merged
    kept = {id(delta) for delta in before}
    until = max(delta.tick for delta in after if id(delta) not in kept)
    told = merged_moments(file.extra)
    told = (max(told[0], until), told[1] + gone)
    return replace(merged, extra={**merged.extra, MERGED: {"until": told[0], "count": told[1]}})


def merged_moments(extra: Mapping[str, Value]) -> tuple[int, int]:
    """Return up to which tick deltas of a file were merged, and how many are gone; -1 and 0 where none were.

    Args:
        extra: the further fields of the file.
    """
    told = extra.get(MERGED)
    if not isinstance(told, Mapping):
        return -1, 0
    until, count = told.get("until"), told.get("count")
    return (until, count) if type(until) is int and type(count) is int else (-1, 0)


def split_foldable(
    file: StoredFile, threshold: int, horizon: int | None = None
) -> tuple[tuple[RegionDelta, ...], StoredFile]:
    """Split off the deltas that a snapshot shall hold, in the order they apply.

    Of a multiplayer file only the shared deltas before the first personal one are folded: a snapshot is one region,
    and from there on each player sees another.

    Returns:
        The deltas to fold, none if the file is not over the threshold; and the file without them.
    """
    ends = [] if horizon is None else [horizon]
    if isinstance(file, RegionDeltaFile):
        early, rest = _split(file.deltas, threshold, ends)
        return early, replace(file, deltas=rest) if early else file
    # At equal ticks shared deltas apply before personal ones, so they may be folded.
    ends += (delta.tick + 1 for deltas in file.personal_deltas.values() for delta in deltas)
    early, rest = _split(file.shared_deltas, threshold, ends)
    return early, replace(file, shared_deltas=rest) if early else file


def _split(
    deltas: tuple[RegionDelta, ...], threshold: int, ends: Sequence[int]
) -> tuple[tuple[RegionDelta, ...], tuple[RegionDelta, ...]]:
    """Split deltas that are too many, in tick order, before the first of some ticks."""
    if len(deltas) <= threshold:
        return (), deltas
    in_order = in_tick_order(deltas)
    early = tuple(delta for delta in in_order if not ends or delta.tick < min(ends))
    return early, in_order[len(early) :]
