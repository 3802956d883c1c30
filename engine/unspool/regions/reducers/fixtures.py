"""What stands on a tile and can be used or read: doors, chests, signs, flags."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from unspool.model.values import Value
from unspool.regions.address import Position
from unspool.regions.checks import need_whole
from unspool.regions.deltas import RegionDelta
from unspool.regions.effects import Effect, Movement, MovementKind, Write
from unspool.regions.payloads import ItemDelta, read_items
from unspool.regions.reducers.items import leaving, shortage
from unspool.regions.reducers.reading import fields_of, first_text, merged, without
from unspool.regions.region import Layer, RegionView
from unspool.regions.stacks import Stacks, put, take
from unspool.regions.things import Chest, Door, Flag, ItemStack, Sign

_DOOR_FIELDS: Final = ("state", "newState", "open", "isOpen")
_SIGN_FIELDS: Final = ("text", "message")
_FLAG_FIELDS: Final = ("flagType", "flagId", "type")
_CHEST_LISTS: Final = ("added", "removed", "contents")


def door_state_changed(view: RegionView, delta: RegionDelta) -> Effect:
    """Set a door: `state` (or `newState`) as text, or `open` (or `isOpen`) as a boolean."""
    fields = fields_of(delta)
    state = first_text(fields, "state", "newState")
    if state is None:
        is_open = next((fields[name] for name in ("open", "isOpen") if isinstance(fields.get(name), bool)), None)
        state = "unknown" if is_open is None else "open" if is_open else "closed"
    door = Door(state, without(fields, _DOOR_FIELDS))
    return Effect((Write(Layer.DOORS, delta.position, door),))


def sign_placed(view: RegionView, delta: RegionDelta) -> Effect:
    """Put up a sign with `text`; a sign that is there already is written anew."""
    fields = fields_of(delta)
    sign = Sign(first_text(fields, *_SIGN_FIELDS) or "", without(fields, _SIGN_FIELDS))
    return Effect((Write(Layer.SIGNS, delta.position, sign),))


def flag_placed(view: RegionView, delta: RegionDelta) -> Effect:
    """Put up a flag of a `flagType`."""
    fields = fields_of(delta)
    kind = first_text(fields, *_FLAG_FIELDS) or ""
    flag = Flag(kind, without(fields, _FLAG_FIELDS))
    return Effect((Write(Layer.FLAGS, delta.position, flag),))


def chest_contents_changed(view: RegionView, delta: RegionDelta) -> Effect:
    """Change what a chest holds.

    The data may list items `added` and `removed`, or state the whole `contents` (a list of items, or an object of
    item type to quantity), or name one item whose `quantity` is positive if put in and negative if taken out.
    Removed items may carry their fate.
    """
    fields = fields_of(delta)
    old: Chest = view.get(Layer.CHESTS, delta.position) or Chest()
    if "contents" in fields:
        stacks, movements = _replaced(old.contents, fields["contents"])
        conflicts: tuple[str, ...] = ()
        writes: list[Write] = []
        read = _CHEST_LISTS
    else:
        added, removed = _added_and_removed(fields)
        stacks, movements, conflicts, writes = _exchanged(view, delta, old.contents, added, removed)
        read = (*_CHEST_LISTS, *(("itemId", "quantity", "metadata", "disposition") if "itemId" in fields else ()))
    chest = Chest(stacks, merged(old.details, without(fields, read)))
    return Effect((Write(Layer.CHESTS, delta.position, chest), *writes), conflicts, movements)


def _added_and_removed(
    fields: Mapping[str, Value],
) -> tuple[tuple[ItemDelta, ...], tuple[ItemDelta, ...]]:
    if "itemId" not in fields:
        added = read_items(fields.get("added") or (), "added")
        return added, read_items(fields.get("removed") or (), "removed")
    quantity = fields.get("quantity")
    if type(quantity) is int and quantity < 0:
        return (), (ItemDelta.from_json({**fields, "quantity": -quantity}),)
    return (ItemDelta.from_json(fields),), ()


def _exchanged(
    view: RegionView,
    delta: RegionDelta,
    stacks: Stacks,
    added: tuple[ItemDelta, ...],
    removed: tuple[ItemDelta, ...],
) -> tuple[Stacks, tuple[Movement, ...], tuple[str, ...], list[Write]]:
    writes: list[Write] = []
    conflicts: tuple[str, ...] = ()
    movements = [Movement(item.item_id, item.quantity, MovementKind.ARRIVED) for item in added]
    ground: dict[Position, Stacks] = {}
    for item in added:
        stacks = put(stacks, ItemStack.of(item))
    for item in removed:
        taking = take(stacks, item)
        stacks = taking.left
        conflicts += shortage(view, Layer.CHESTS, delta.position, item, taking.short, writes)
        target = item.disposition.new_position if item.disposition is not None else None
        if target is None:
            movements.append(leaving(item))
            continue
        landed = ground[target] if target in ground else view.get(Layer.ITEMS, target) or ()
        for stack in (*taking.taken, ItemStack(item.item_id, taking.short, item.metadata)):
            landed = put(landed, stack)
        ground[target] = landed
    writes += [Write(Layer.ITEMS, target, landed or None) for target, landed in ground.items()]
    return stacks, tuple(movements), conflicts, writes


def _replaced(old: Stacks, raw: Value) -> tuple[Stacks, tuple[Movement, ...]]:
    stacks: Stacks = ()
    if isinstance(raw, Mapping):
        for item_id, quantity in raw.items():
            need_whole(f"contents.{item_id}", quantity)
            stacks = put(stacks, ItemStack(item_id, quantity))
    else:
        for item in read_items(raw, "contents"):
            stacks = put(stacks, ItemStack.of(item))
    movements = [Movement(stack.item_id, stack.quantity, MovementKind.UNSTATED) for stack in old]
    movements += [Movement(stack.item_id, stack.quantity, MovementKind.ARRIVED) for stack in stacks]
    return stacks, _netted(movements)


def _netted(movements: list[Movement]) -> tuple[Movement, ...]:
    # Stating the whole contents again moves only the difference.
    balance: dict[str, int] = {}
    for movement in movements:
        sign = 1 if movement.kind is MovementKind.ARRIVED else -1
        balance[movement.item_id] = balance.get(movement.item_id, 0) + sign * movement.quantity
    return tuple(
        Movement(item_id, abs(net), MovementKind.ARRIVED if net > 0 else MovementKind.UNSTATED)
        for item_id, net in balance.items()
        if net
    )
