"""Buildings: built, destroyed, upgraded; and structures only the game understands."""

from __future__ import annotations

from collections.abc import Mapping

from unspool.model.values import Value
from unspool.regions.deltas import RegionDelta
from unspool.regions.effects import Effect, Movement, MovementKind, Write
from unspool.regions.frozen import EMPTY
from unspool.regions.payloads import BuildingDelta
from unspool.regions.reducers.reading import fields_of, merged
from unspool.regions.region import Layer, RegionView
from unspool.regions.things import Building, Structure


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
