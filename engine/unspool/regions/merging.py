"""How two deltas of one action become one without changing what follows from them (row R-50)."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import replace
from typing import cast

from unspool.regions.address import Position
from unspool.regions.deltas import RegionDelta
from unspool.regions.errors import InvalidRegionValue
from unspool.regions.frozen import canonical
from unspool.regions.payloads import ItemDelta, NPCDelta, TerrainDelta, read_items
from unspool.regions.reducers.items import destination
from unspool.regions.reducers.reading import fields_of
from unspool.regions.region import Layer


def touches_layer(layer: Layer) -> Callable[[RegionDelta], tuple[Hashable, ...]]:
    """Return the touch rule of actions that read and write one tile of one layer."""

    def touches(delta: RegionDelta) -> tuple[Hashable, ...]:
        return ((layer, delta.position),)

    return touches


def items_touched(delta: RegionDelta) -> tuple[Hashable, ...]:
    """Return the touch rule of items on the ground: one type on the tile, and where it goes."""
    item = cast(ItemDelta, delta.data)
    here = (Layer.ITEMS, delta.position, item.item_id)
    target = _target(item)
    return (here,) if target is None else (here, (Layer.ITEMS, target, item.item_id))


def npc_touched(delta: RegionDelta) -> tuple[Hashable, ...]:
    """Return the touch rule of NPCs: the NPC, and where its loot falls."""
    npc = cast(NPCDelta, delta.data)
    return ((Layer.NPCS, npc.npc_id), *_landings(npc.loot or (), delta.position))


def touches_with_drops(layer: Layer, *lists: str) -> Callable[[RegionDelta], tuple[Hashable, ...]]:
    """Return the touch rule of one tile of one layer, and of the tiles where items in some lists come to lie."""

    def touches(delta: RegionDelta) -> tuple[Hashable, ...]:
        cells: list[Hashable] = [(layer, delta.position)]
        fields = fields_of(delta)
        try:
            for name in lists:
                cells += _landings(read_items(fields.get(name) or (), name), delta.position)
            if "itemId" in fields:
                cells += _landings((ItemDelta.from_json({**fields, "quantity": 0}),), delta.position)
        except InvalidRegionValue:
            # A delta that cannot be understood is never applied, so nothing but its own tile matters.
            pass
        return tuple(cells)

    return touches


def _landings(items: Iterable[ItemDelta], position: Position) -> list[Hashable]:
    landings: list[Hashable] = []
    for item in items:
        target = item.disposition.new_position if item.disposition is not None else None
        landings.append((Layer.ITEMS, target or position, item.item_id))
    return landings


def _target(item: ItemDelta) -> Position | None:
    try:
        return destination(item)
    except InvalidRegionValue:
        # Such a delta cannot be applied, so it touches no more than the tile it names.
        return None


def merge_items(earlier: RegionDelta, later: RegionDelta) -> RegionDelta | None:
    """Merge two removals, or two additions, of equal items with an equal fate: the quantities add up.

    Removals whose fate is `moved` stay apart: what is put down elsewhere could meet itself.
    """
    one, other = cast(ItemDelta, earlier.data), cast(ItemDelta, later.data)
    if _target(other) is not None or not _alike(replace(one, quantity=other.quantity), other):
        return None
    return replace(later, data=replace(other, quantity=one.quantity + other.quantity))


def merge_terrain(earlier: RegionDelta, later: RegionDelta) -> RegionDelta | None:
    """Merge two steps of one tile's ground, if the second starts where the first ended, with the same tool."""
    one, other = cast(TerrainDelta, earlier.data), cast(TerrainDelta, later.data)
    if one.to_type != other.from_type or one.tool != other.tool or one.extra or other.extra:
        return None
    return replace(later, data=replace(other, from_type=one.from_type))


def merge_last(_earlier: RegionDelta, later: RegionDelta) -> RegionDelta | None:
    """Let the later of two stand, where an action sets the whole of what it touches."""
    return later


def _alike(one: ItemDelta, other: ItemDelta) -> bool:
    # Compared as canonical JSON, where a durability of 87 and one of 87.0 differ.
    return one == other and canonical(one.to_json()) == canonical(other.to_json())
