"""Items on the ground: removed, added, moved, dropped."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, cast

from unspool.regions.address import Position
from unspool.regions.deltas import RegionDelta
from unspool.regions.effects import Effect, Movement, MovementKind, Write
from unspool.regions.errors import InvalidRegionValue
from unspool.regions.fate import FateKind
from unspool.regions.frozen import EMPTY, FrozenObject
from unspool.regions.payloads import ItemDelta
from unspool.regions.region import Layer, RegionView
from unspool.regions.stacks import Stacks, put, take
from unspool.regions.things import ItemStack

_DESTINATION_FIELDS: Final = ("newPosition", "to", "toPosition")
_LEAVING: Final = {
    FateKind.TAKEN: MovementKind.TAKEN,
    FateKind.DESTROYED: MovementKind.DESTROYED,
    FateKind.TRANSFORMED: MovementKind.TRANSFORMED,
    FateKind.CORRUPTED: MovementKind.CORRUPTED,
}


def item_removed(view: RegionView, delta: RegionDelta) -> Effect:
    """Take items up; where their fate says they moved, put them down there."""
    item = cast(ItemDelta, delta.data)
    target = item.disposition.new_position if item.disposition is not None else None
    if target is not None:
        return _move(view, delta.position, target, item)
    taking = take(view.get(Layer.ITEMS, delta.position) or (), item)
    writes = [Write(Layer.ITEMS, delta.position, taking.left or None)] if taking.taken else []
    conflicts = shortage(view, Layer.ITEMS, delta.position, item, taking.short, writes)
    return Effect(tuple(writes), conflicts, (leaving(item),))


def item_added(view: RegionView, delta: RegionDelta) -> Effect:
    """Put items down."""
    item = cast(ItemDelta, delta.data)
    stacks = put(view.get(Layer.ITEMS, delta.position) or (), ItemStack.of(item))
    arrived = Movement(item.item_id, item.quantity, MovementKind.ARRIVED)
    return Effect((Write(Layer.ITEMS, delta.position, stacks or None),), (), (arrived,))


def item_moved(view: RegionView, delta: RegionDelta) -> Effect:
    """Take items up and put them down elsewhere; they keep the metadata they had.

    Raises:
        InvalidRegionValue: the delta does not say where to.
    """
    item = cast(ItemDelta, delta.data)
    target = destination(item)
    if target is None:
        raise InvalidRegionValue(
            'item_moved does not say where to; give it the disposition {"type": "moved", "newPosition": ..}'
        )
    return _move(view, delta.position, target, item)


def destination(item: ItemDelta) -> Position | None:
    """Return where a moved item goes: its fate, or a field `newPosition`, `to` or `toPosition`."""
    if item.disposition is not None and item.disposition.new_position is not None:
        return item.disposition.new_position
    for field in _DESTINATION_FIELDS:
        if field in item.extra:
            return Position.from_json(item.extra[field], field)
    return None


def _move(view: RegionView, source: Position, target: Position, item: ItemDelta) -> Effect:
    taking = take(view.get(Layer.ITEMS, source) or (), item)
    landed: Stacks = taking.left if source == target else view.get(Layer.ITEMS, target) or ()
    for stack in taking.taken:
        landed = put(landed, stack)
    if taking.short:
        # The player saw them there; the delta holds, and the conflict says that the base knew of none.
        landed = put(landed, ItemStack(item.item_id, taking.short, item.metadata))
    writes = [Write(Layer.ITEMS, source, taking.left or None), Write(Layer.ITEMS, target, landed or None)]
    conflicts = shortage(view, Layer.ITEMS, source, item, taking.short, writes)
    return Effect(tuple(writes), conflicts)


def drop(
    view: RegionView, position: Position, items: Iterable[ItemDelta]
) -> tuple[tuple[Write, ...], tuple[Movement, ...]]:
    """Let items fall (loot, wood, ore): onto the tile, or to where their fate took them at once."""
    ground: dict[Position, Stacks] = {}
    movements = []
    for item in items:
        movements.append(Movement(item.item_id, item.quantity, MovementKind.ARRIVED))
        fate = item.disposition
        if fate is not None and fate.new_position is None:
            movements.append(leaving(item))
            continue
        target = position if fate is None or fate.new_position is None else fate.new_position
        stacks = ground[target] if target in ground else view.get(Layer.ITEMS, target) or ()
        ground[target] = put(stacks, ItemStack.of(item))
    writes = tuple(Write(Layer.ITEMS, target, stacks or None) for target, stacks in ground.items())
    return writes, tuple(movements)


def leaving(item: ItemDelta) -> Movement:
    """Return how items leave the region by what their fate says."""
    fate = item.disposition
    kind = MovementKind.UNSTATED if fate is None else _LEAVING.get(fate.kind, MovementKind.UNSTATED)
    return Movement(item.item_id, item.quantity, kind)


def shortage(
    view: RegionView, layer: str, position: Position, item: ItemDelta, short: int, writes: list[Write]
) -> tuple[str, ...]:
    """Deal with items that were not there to take.

    In a generated region this is a conflict. Where the base is not known they must have been there: what is
    taken is listed in the `removed` layer, by a write appended to `writes`.
    """
    if short == 0:
        return ()
    if view.base_known:
        there = item.quantity - short
        return (f"takes {item.quantity} {item.item_id}, but {there or 'none'} of it is there",)
    key = f"{layer}/{position}"
    # A move may write twice to one key in one effect; the newest write is the one to build on.
    pending = next((write.value for write in reversed(writes) if write.key == key), None)
    counts = pending or view.get(Layer.REMOVED, key) or EMPTY
    counts = FrozenObject({**counts, item.item_id: counts.get(item.item_id, 0) + short})
    writes.append(Write(Layer.REMOVED, key, counts))
    return ()
