"""How each action changes a region: one reducer for each kind."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, cast

import msgspec

from unspool.model.values import Value
from unspool.regions.address import EMPTY, FrozenObject, InvalidRegionValue, Position, need_whole
from unspool.regions.payloads import (
    BuildingDelta,
    CustomDelta,
    FateKind,
    ItemDelta,
    NPCDelta,
    NPCState,
    TerrainDelta,
    read_items,
)
from unspool.regions.region import (
    Building,
    Chest,
    Claim,
    Door,
    Effect,
    FarmPlot,
    Flag,
    ItemStack,
    Layer,
    Movement,
    MovementKind,
    Npc,
    RegionDelta,
    RegionView,
    Rock,
    Sign,
    Structure,
    Tree,
    Write,
)


def fields_of(delta: RegionDelta) -> Mapping[str, Value]:
    """Return the free object of a delta."""
    return delta.data.fields if isinstance(delta.data, CustomDelta) else delta.data.to_json()


def first_text(fields: Mapping[str, Value], *names: str) -> str | None:
    """Return the first of some fields that is text."""
    return next((fields[name] for name in names if isinstance(fields.get(name), str)), None)


def without(fields: Mapping[str, Value], names: Collection[str]) -> FrozenObject:
    """Return the fields that were not read."""
    kept = {name: value for name, value in fields.items() if name not in names}
    return FrozenObject(kept) if kept else EMPTY


def merged(old: Mapping[str, Value], new: Mapping[str, Value]) -> FrozenObject:
    """Return details with newer ones over them."""
    return FrozenObject({**old, **new}) if old or new else EMPTY


Stacks = tuple[ItemStack, ...]


def _key(stack: ItemStack) -> tuple[str, str]:
    return stack.key


def put(stacks: Stacks, new: ItemStack) -> Stacks:
    """Return stacks with more items: onto an equal stack, or as one of their own."""
    if new.quantity == 0:
        return stacks
    index = bisect_left(stacks, new.key, key=_key)
    if index < len(stacks) and stacks[index].key == new.key:
        grown = msgspec.structs.replace(new, quantity=stacks[index].quantity + new.quantity)
        return (*stacks[:index], grown, *stacks[index + 1 :])
    return (*stacks[:index], new, *stacks[index:])


@dataclass(frozen=True, slots=True)
class ItemTaking:
    """What taking items up left and gave; `short` is how many were not there."""

    left: Stacks
    taken: Stacks
    short: int


def take(stacks: Stacks, item: ItemDelta) -> ItemTaking:
    """Take items up: from the stack with the same metadata first, then plain ones, then the others in order.

    Metadata that the item names need not match: a delta may know more of an item than its generator did.
    """
    wanted = ItemStack.of(item)
    start = bisect_left(stacks, (wanted.item_id, ""), key=_key)
    candidates = []
    for index in range(start, len(stacks)):
        if stacks[index].item_id != wanted.item_id:
            break
        candidates.append(index)
    candidates.sort(key=lambda index: stacks[index].key != wanted.key)
    missing = wanted.quantity
    left: dict[int, ItemStack | None] = {}
    taken: Stacks = ()
    for index in candidates:
        if missing == 0:
            break
        stack = stacks[index]
        portion = min(stack.quantity, missing)
        missing -= portion
        remainder = stack.quantity - portion
        left[index] = msgspec.structs.replace(stack, quantity=remainder) if remainder else None
        taken = (*taken, msgspec.structs.replace(stack, quantity=portion))
    kept = (left.get(index, stack) for index, stack in enumerate(stacks))
    return ItemTaking(tuple(stack for stack in kept if stack is not None), taken, missing)


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


_TREE_FIELDS: Final = ("treeType", "type")
_ROCK_FIELDS: Final = ("rockType", "oreType", "type")
_CROP_FIELDS: Final = ("crop", "cropType", "seedType", "seedId", "plant")
_OWNER_FIELDS: Final = ("owner", "playerId", "ownerId")
DROPS: Final = "drops"
"""The field of `tree_felled` and `rock_mined` that lists what fell to the ground."""


def terrain_modified(view: RegionView, delta: RegionDelta) -> Effect:
    """Change the ground, after checking that it was what the delta says."""
    terrain = cast(TerrainDelta, delta.data)
    found = view.terrain_at(delta.position)
    fits = found in ("", terrain.from_type)
    conflicts = () if fits else (f"changes {terrain.from_type}, but the ground there is {found}",)
    return Effect((Write(Layer.TERRAIN, delta.position, terrain.to_type),), conflicts)


def tree_felled(view: RegionView, delta: RegionDelta) -> Effect:
    """Leave the stump of a tree, and drop what `drops` lists."""
    fields = fields_of(delta)
    old: Tree | None = view.get(Layer.TREES, delta.position)
    if old is None:
        conflicts = ("fells a tree where none stands",) if view.base_known else ()
    else:
        conflicts = ("fells a tree that is felled already",) if old.felled else ()
    before = old or Tree()
    kind = before.tree_type or first_text(fields, *_TREE_FIELDS) or ""
    stump = Tree(kind, felled=True, details=merged(before.details, without(fields, (*_TREE_FIELDS, DROPS))))
    writes, movements = drop(view, delta.position, read_items(fields.get(DROPS) or (), DROPS))
    return Effect((Write(Layer.TREES, delta.position, stump), *writes), conflicts, movements)


def rock_mined(view: RegionView, delta: RegionDelta) -> Effect:
    """Leave the hole of a rock, and drop what `drops` lists."""
    fields = fields_of(delta)
    old: Rock | None = view.get(Layer.ROCKS, delta.position)
    if old is None:
        conflicts = ("mines a rock where none is",) if view.base_known else ()
    else:
        conflicts = ("mines a rock that is mined already",) if old.mined else ()
    before = old or Rock()
    kind = before.rock_type or first_text(fields, *_ROCK_FIELDS) or ""
    hole = Rock(kind, mined=True, details=merged(before.details, without(fields, (*_ROCK_FIELDS, DROPS))))
    writes, movements = drop(view, delta.position, read_items(fields.get(DROPS) or (), DROPS))
    return Effect((Write(Layer.ROCKS, delta.position, hole), *writes), conflicts, movements)


def farm_plot_created(view: RegionView, delta: RegionDelta) -> Effect:
    """Till a plot, with nothing planted."""
    taken = view.get(Layer.FARM_PLOTS, delta.position) is not None
    conflicts = ("tills a plot that is there already",) if taken else ()
    return Effect((Write(Layer.FARM_PLOTS, delta.position, FarmPlot(details=fields_of(delta))),), conflicts)


def farm_plot_planted(view: RegionView, delta: RegionDelta) -> Effect:
    """Plant a crop on a plot."""
    fields = fields_of(delta)
    old: FarmPlot | None = view.get(Layer.FARM_PLOTS, delta.position)
    conflicts = ("plants where no plot is tilled",) if old is None and view.base_known else ()
    details = merged((old or FarmPlot()).details, without(fields, _CROP_FIELDS))
    planted = FarmPlot(first_text(fields, *_CROP_FIELDS), delta.tick, details)
    return Effect((Write(Layer.FARM_PLOTS, delta.position, planted),), conflicts)


def ownership_claimed(view: RegionView, delta: RegionDelta) -> Effect:
    """Claim territory; a claim on another's land is a conflict, and the later claim stands."""
    fields = fields_of(delta)
    owner = first_text(fields, *_OWNER_FIELDS) or ""
    old: Claim | None = view.get(Layer.CLAIMS, delta.position)
    contested = old is not None and old.owner != owner
    conflicts = (f"claims land of {old.owner}",) if old is not None and contested else ()
    claim = Claim(owner, delta.tick, without(fields, _OWNER_FIELDS))
    return Effect((Write(Layer.CLAIMS, delta.position, claim),), conflicts)


def npc_killed(view: RegionView, delta: RegionDelta) -> Effect:
    """Take an NPC out of the region and drop its loot."""
    npc = cast(NPCDelta, delta.data)
    said = (f"kills {npc.npc_id}, but says {npc.state}",) if npc.state is not NPCState.KILLED else ()
    return _departure(view, delta, npc, NPCState.KILLED, said)


def npc_recruited(view: RegionView, delta: RegionDelta) -> Effect:
    """Let an NPC leave with a player; with the state `dismissed`, let it come back and stay here."""
    npc = cast(NPCDelta, delta.data)
    if npc.state is not NPCState.DISMISSED:
        said = (f"recruits {npc.npc_id}, but says killed",) if npc.state is NPCState.KILLED else ()
        return _departure(view, delta, npc, NPCState.RECRUITED, said)
    back = Npc(npc.npc_type, delta.position.x, delta.position.y, str(NPCState.DISMISSED), npc.extra)
    left: Npc | None = view.get(Layer.DEPARTED, npc.npc_id)
    dead = left is not None and left.state == NPCState.KILLED
    conflicts = (f"dismisses {npc.npc_id}, who was killed",) if dead else ()
    writes, movements = drop(view, delta.position, npc.loot or ())
    moves = (Write(Layer.DEPARTED, npc.npc_id, None), Write(Layer.NPCS, npc.npc_id, back))
    return Effect((*moves, *writes), conflicts, movements)


def _departure(view: RegionView, delta: RegionDelta, npc: NPCDelta, state: NPCState, said: tuple[str, ...]) -> Effect:
    here: Npc | None = view.get(Layer.NPCS, npc.npc_id)
    before: Npc | None = view.get(Layer.DEPARTED, npc.npc_id)
    conflicts = said
    if here is None and before is not None:
        conflicts = (*said, f"{npc.npc_id} is gone already ({before.state})")
    elif here is None and view.base_known:
        conflicts = (*said, f"{npc.npc_id} is not in this region")
    gone = Npc(npc.npc_type, delta.position.x, delta.position.y, str(state), npc.extra)
    writes, movements = drop(view, delta.position, npc.loot or ())
    moves = (Write(Layer.NPCS, npc.npc_id, None), Write(Layer.DEPARTED, npc.npc_id, gone))
    return Effect((*moves, *writes), conflicts, movements)


def building_built(view: RegionView, delta: RegionDelta) -> Effect:
    """Put a building up."""
    new = _building(delta.data) if isinstance(delta.data, BuildingDelta) else Building("")
    old: Building | None = view.get(Layer.BUILDINGS, delta.position)
    conflicts = () if old is None else (f"builds on a tile where {old.building_type or 'a building'} stands",)
    movements = (
        *storage_change(_storage(old), {}, leaving=MovementKind.DESTROYED),
        *storage_change({}, _storage(new)),
    )
    return Effect((Write(Layer.BUILDINGS, delta.position, new),), conflicts, movements)


def building_destroyed(view: RegionView, delta: RegionDelta) -> Effect:
    """Pull a building down; what it stored is destroyed with it."""
    old: Building | None = view.get(Layer.BUILDINGS, delta.position)
    named = delta.data.building_type if isinstance(delta.data, BuildingDelta) else ""
    if old is None:
        if view.base_known:
            return Effect(conflicts=(f"destroys {named or 'a building'} where none stands",))
        gone = Write(Layer.REMOVED, f"{Layer.BUILDINGS}/{delta.position}", named or True)
        return Effect((gone,))
    differs = named not in ("", old.building_type)
    conflicts = (f"destroys {named}, but {old.building_type} stands there",) if differs else ()
    movements = storage_change(_storage(old), {}, leaving=MovementKind.DESTROYED)
    return Effect((Write(Layer.BUILDINGS, delta.position, None),), conflicts, movements)


def building_upgraded(view: RegionView, delta: RegionDelta) -> Effect:
    """Change a building; what the delta does not say stays as it was."""
    old: Building | None = view.get(Layer.BUILDINGS, delta.position)
    conflicts = ("upgrades a building where none stands",) if old is None and view.base_known else ()
    before = old or Building("")
    if isinstance(delta.data, BuildingDelta):
        said = _building(delta.data)
        new = Building(
            said.building_type,
            said.rotation,
            said.variant if said.variant is not None else before.variant,
            said.owner if said.owner is not None else before.owner,
            said.custom_data if said.custom_data is not None else before.custom_data,
            merged(before.details, said.details),
        )
    else:
        new = Building(
            before.building_type,
            before.rotation,
            before.variant,
            before.owner,
            before.custom_data,
            merged(before.details, fields_of(delta)),
        )
    movements = storage_change(_storage(old), _storage(new))
    return Effect((Write(Layer.BUILDINGS, delta.position, new),), conflicts, movements)


def custom_building(view: RegionView, delta: RegionDelta) -> Effect:
    """Put up a structure that only the game understands; its data is kept verbatim."""
    taken = view.get(Layer.STRUCTURES, delta.position) is not None
    conflicts = ("builds on a tile where a custom building stands",) if taken else ()
    return Effect((Write(Layer.STRUCTURES, delta.position, Structure(fields_of(delta))),), conflicts)


def _building(data: BuildingDelta) -> Building:
    return Building(
        data.building_type, data.rotation, data.variant, data.owner, data.custom_data, data.extra or EMPTY
    )


def _storage(building: Building | None) -> Mapping[str, Value]:
    if building is None or building.custom_data is None:
        return EMPTY
    stored: Mapping[str, Value] = building.custom_data.get("storage") or EMPTY
    return stored


def storage_change(
    old: Mapping[str, Value],
    new: Mapping[str, Value],
    *,
    leaving: MovementKind = MovementKind.UNSTATED,
) -> tuple[Movement, ...]:
    """Return what came into a building's storage and what left it; only whole amounts are items."""
    movements = []
    for item_id in {**old, **new}:
        before, after = old.get(item_id, 0), new.get(item_id, 0)
        if type(before) is not int or type(after) is not int or before == after:
            continue
        kind = MovementKind.ARRIVED if after > before else leaving
        movements.append(Movement(item_id, abs(after - before), kind))
    return tuple(movements)
