"""Deltas onto a region: apply, replay to a tick, and audit: nothing is deleted, so every item has a fate and counts add up.

A region never changes. Applying works on a draft that copies a layer when it first writes to it, so many deltas cost
as much as their writes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, cast

from unspool.model.values import Value
from unspool.regions.address import Position
from unspool.regions.checks import DeltaConflict, FateRequired, InvalidRegionValue, freeze
from unspool.regions.payloads import CustomDelta, DeltaAction, FateKind, ItemDelta, read_items
from unspool.regions.region import (
    Conflict,
    Effect,
    Key,
    Layer,
    Movement,
    MovementKind,
    Region,
    RegionDelta,
    Write,
    in_tick_order,
)
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


def require_fate(delta: RegionDelta) -> None:
    """Refuse a delta that takes items from their place without saying where they went.

    Removed and moved items need a disposition, and so do items taken out of a chest. Added items and loot need none:
    they lie where the delta says. Chest contents stated as a whole are refused, as they hide what became of the rest.

    Raises:
        FateRequired: a fate is missing, or contradicts the action.
    """
    action = delta.action
    if action in (DeltaAction.ITEM_REMOVED, DeltaAction.ITEM_MOVED):
        assert isinstance(delta.data, ItemDelta)
        _require(delta, delta.data)
        fate = delta.data.disposition
        if action == DeltaAction.ITEM_MOVED and fate is not None and fate.kind is not FateKind.MOVED:
            raise FateRequired(f"{delta}: a moved item's fate must be 'moved', not {str(fate.kind)!r}")
    elif action == DeltaAction.CHEST_CONTENTS_CHANGED and isinstance(delta.data, CustomDelta):
        _require_in_chest(delta, delta.data.fields)


def _require_in_chest(delta: RegionDelta, fields: Mapping[str, Value]) -> None:
    if "contents" in fields:
        raise FateRequired(f"{delta}: list what was 'added' and 'removed' instead of the whole 'contents'")
    for item in read_items(fields.get("removed") or (), "removed"):
        _require(delta, item)
    quantity = fields.get("quantity")
    if "itemId" in fields and type(quantity) is int and quantity < 0:
        _require(delta, ItemDelta.from_json({**fields, "quantity": -quantity}))


def _require(delta: RegionDelta, item: ItemDelta) -> None:
    if item.disposition is None:
        raise FateRequired(
            f"{delta}: {item.item_id} needs a disposition: {', '.join(FateKind)}; nothing is ever deleted"
        )


@dataclass(frozen=True, slots=True)
class ItemAccount:
    """The book of one item type, in whole items.

    Attributes:
        item_id: item type.
        base: in the region before the deltas: on the ground, in chests, in buildings' storage.
        arrived: came in by deltas.
        present: in the region now.
        fates: how many left by each fate.
        unstated: left without a fate.
    """

    item_id: str
    base: int
    arrived: int
    present: int
    fates: Mapping[MovementKind, int]
    unstated: int

    @property
    def missing(self) -> int:
        """Items that neither lie in the region nor left it; negative if more are known than ever were."""
        return self.base + self.arrived - self.present - sum(self.fates.values()) - self.unstated

    @property
    def is_accounted_for(self) -> bool:
        """Whether every item is in the region or has a fate."""
        return self.missing == 0 and self.unstated == 0


@dataclass(frozen=True, slots=True)
class Audit:
    """The books of a region, by item type."""

    accounts: tuple[ItemAccount, ...]

    @property
    def is_balanced(self) -> bool:
        """Whether every item of every type is accounted for."""
        return all(account.is_accounted_for for account in self.accounts)

    @property
    def unaccounted(self) -> tuple[ItemAccount, ...]:
        """The books that do not balance."""
        return tuple(account for account in self.accounts if not account.is_accounted_for)

    def account(self, item_id: str) -> ItemAccount:
        """Return the book of one item type; an empty one if it never occurred."""
        empty = ItemAccount(item_id, 0, 0, 0, {}, 0)
        return next((account for account in self.accounts if account.item_id == item_id), empty)


def audit(base: Region, deltas: Iterable[RegionDelta], *, actions: ActionTable = STANDARD_ACTIONS) -> Audit:
    """Count every item twice, in the region and in the deltas, and compare.

    Args:
        base: the region before the deltas.
        deltas: all that happened since, in any order.
        actions: what each action does; a game's own reducers report the items they move as movements.

    Raises:
        InvalidRegionValue: the base is not known, so there is nothing to count against.
        UnknownAction: an action is not in the table.
    """
    return balance(base, apply_deltas(base, deltas, actions=actions, strict=False))


def balance(base: Region, applied: Applied) -> Audit:
    """Compare a region's base, what is in it now, and what its deltas moved.

    Args:
        base: the region before the deltas.
        applied: the region now, and the movements of all deltas since the base.

    Raises:
        InvalidRegionValue: the base is not known, so there is nothing to count against.
    """
    if not base.base_known:
        raise InvalidRegionValue("an audit needs the generated base; generate the region and pass it")
    before, now = _count(base), _count(applied.region)
    moved: Counter[tuple[str, MovementKind]] = Counter()
    for movement in applied.movements:
        moved[movement.item_id, movement.kind] += movement.quantity
    leaving = [kind for kind in MovementKind if kind not in (MovementKind.ARRIVED, MovementKind.UNSTATED)]
    item_ids = sorted({*before, *now, *(item_id for item_id, _ in moved)})
    return Audit(
        tuple(
            ItemAccount(
                item_id,
                before[item_id],
                moved[item_id, MovementKind.ARRIVED],
                now[item_id],
                {kind: moved[item_id, kind] for kind in leaving if moved[item_id, kind]},
                moved[item_id, MovementKind.UNSTATED],
            )
            for item_id in item_ids
        )
    )


def _count(region: Region) -> Counter[str]:
    counts: Counter[str] = Counter()
    for item_id, quantity in _everything(region):
        counts[item_id] += quantity
    return counts


def _everything(region: Region) -> Iterator[tuple[str, int]]:
    for stacks in (*region.items.values(), *(chest.contents for chest in region.chests.values())):
        yield from ((stack.item_id, stack.quantity) for stack in stacks)
    for building in region.buildings.values():
        storage = (building.custom_data or {}).get("storage") or {}
        # Fractions are amounts of something, not items.
        yield from ((item_id, amount) for item_id, amount in storage.items() if type(amount) is int)
