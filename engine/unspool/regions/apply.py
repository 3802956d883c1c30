"""Deltas onto a region: apply, replay to a tick.

A region never changes. Applying works on a draft that copies a layer when it first writes to it, so many deltas cost
as much as their writes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, cast

from unspool.regions.address import Position
from unspool.regions.checks import DeltaConflict, InvalidRegionValue, freeze
from unspool.regions.deltas import Conflict, Effect, Movement, RegionDelta, Write, in_tick_order
from unspool.regions.region import Key, Layer, Region
from unspool.regions.table import STANDARD_ACTIONS, ActionTable

_OPEN: Final = (dict, list)
"""What a game's reducer may write and a region may not hold: it could still change."""


@dataclass(frozen=True, slots=True)
class Applied:
    """A region after deltas.

    Attributes:
        region: the region now.
        conflicts: where deltas and region disagreed; the deltas hold nevertheless.
        movements: items that came into the region and that left it.
    """

    region: Region
    conflicts: tuple[Conflict, ...] = ()
    movements: tuple[Movement, ...] = ()


class RegionDraft:
    """A region being changed; the one place where that happens. Reducers see it as a `RegionView`."""

    def __init__(self, region: Region) -> None:
        self._start = region
        self._layers: dict[str, Mapping[Key, Any]] = dict(region.layers)
        self._own: dict[str, dict[Key, Any]] = {}

    @property
    def base_known(self) -> bool:
        """Whether the region was generated."""
        return self._start.base_known

    def get(self, layer: str, key: Key) -> Any:
        """Return what a layer holds at a key, or None."""
        cells = self._layers.get(layer)
        return None if cells is None else cells.get(key)

    def terrain_at(self, position: Position) -> str:
        """Return the ground at a tile."""
        cells = self._layers.get(Layer.TERRAIN)
        return self._start.ground if cells is None else cast(str, cells.get(position, self._start.ground))

    def contains(self, position: Position) -> bool:
        """Whether a tile lies inside the region."""
        return self._start.contains(position)

    def write(self, writes: Iterable[Write]) -> None:
        """Perform writes, in order."""
        for write in writes:
            own = self._own.get(write.layer)
            if own is None:
                own = self._own[write.layer] = dict(self._layers.get(write.layer, {}))
                self._layers[write.layer] = own
            if write.value is None:
                own.pop(write.key, None)
            else:
                own[write.key] = write.value if type(write.value) not in _OPEN else freeze(write.value, write.layer)

    def finish(self) -> Region:
        """Return the region as it is now."""
        return replace(self._start, layers=self._layers)


def effect_of(view: RegionDraft | Region, delta: RegionDelta, actions: ActionTable) -> Effect:
    """Return what a delta would do, with a conflict where it cannot be understood or lies outside the region.

    Raises:
        UnknownAction: its action is not in the table.
    """
    reduce = actions.rule(delta.action).reduce
    try:
        effect = reduce(view, delta)
    except InvalidRegionValue as error:
        return Effect(conflicts=(str(error),))
    if view.contains(delta.position):
        return effect
    return replace(effect, conflicts=(*effect.conflicts, "the tile lies outside the region"))


def apply_deltas(
    region: Region,
    deltas: Iterable[RegionDelta],
    *,
    actions: ActionTable = STANDARD_ACTIONS,
    strict: bool = True,
) -> Applied:
    """Apply deltas in tick order; equal ticks keep the order they are given in.

    Args:
        region: the region before; it does not change.
        deltas: what happened.
        actions: what each action does.
        strict: raise at the first conflict; otherwise go on, and return the conflicts.

    Raises:
        DeltaConflict: a delta does not fit the region, and `strict` is set.
        UnknownAction: an action is not in the table.
    """
    draft = RegionDraft(region)
    conflicts: list[Conflict] = []
    movements: list[Movement] = []
    for delta in in_tick_order(deltas):
        effect = effect_of(draft, delta, actions)
        if effect.conflicts:
            if strict:
                raise DeltaConflict(
                    f"{delta}: {effect.conflicts[0]}; check the base, or apply with strict=False to let the delta win"
                )
            conflicts += (Conflict(delta, reason) for reason in effect.conflicts)
        draft.write(effect.writes)
        movements += effect.movements
    return Applied(draft.finish(), tuple(conflicts), tuple(movements))


def apply_delta(
    region: Region, delta: RegionDelta, *, actions: ActionTable = STANDARD_ACTIONS, strict: bool = True
) -> Region:
    """Apply one delta.

    Raises:
        DeltaConflict: it does not fit the region, and `strict` is set.
        UnknownAction: its action is not in the table.
    """
    return apply_deltas(region, (delta,), actions=actions, strict=strict).region


def replay_to(
    region: Region,
    deltas: Iterable[RegionDelta],
    tick: int,
    *,
    actions: ActionTable = STANDARD_ACTIONS,
    strict: bool = True,
) -> Applied:
    """Apply the deltas up to a tick, that tick included.

    Raises:
        DeltaConflict: a delta does not fit the region, and `strict` is set.
        UnknownAction: an action is not in the table.
    """
    upto = (delta for delta in deltas if delta.tick <= tick)
    return apply_deltas(region, upto, actions=actions, strict=strict)


def apply_parts(
    region: Region,
    parts: Iterable[Iterable[RegionDelta]],
    tick: int | None,
    *,
    actions: ActionTable = STANDARD_ACTIONS,
) -> Applied:
    """Apply deltas part by part, as they were when each part was folded into a snapshot.

    Args:
        region: the region before the first part.
        parts: deltas, oldest part first; each part applies in its own tick order.
        tick: leave out what happened later; None for all.
        actions: what each action does.

    Raises:
        UnknownAction: an action is not in the table.
    """
    conflicts: list[Conflict] = []
    movements: list[Movement] = []
    for deltas in parts:
        upto = (delta for delta in deltas if tick is None or delta.tick <= tick)
        applied = apply_deltas(region, upto, actions=actions, strict=False)
        region = applied.region
        conflicts += applied.conflicts
        movements += applied.movements
    return Applied(region, tuple(conflicts), tuple(movements))
