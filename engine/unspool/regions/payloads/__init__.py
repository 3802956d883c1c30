"""What a delta carries: items, buildings, terrain, NPCs, or a free object.

Every payload keeps fields it does not know verbatim in `extra`, and optional fields written as null too, so that
reading and writing a file changes nothing in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from unspool.model.values import Value
from unspool.regions.actions import DeltaAction
from unspool.regions.frozen import EMPTY
from unspool.regions.payloads.building import BuildingDelta
from unspool.regions.payloads.custom import CustomDelta
from unspool.regions.payloads.item import ItemDelta, read_items
from unspool.regions.payloads.npc import NPCDelta, NPCState
from unspool.regions.payloads.terrain import TerrainDelta

__all__ = [
    "BuildingDelta",
    "CustomDelta",
    "ItemDelta",
    "NPCDelta",
    "NPCState",
    "Payload",
    "TerrainDelta",
    "payload_for",
    "read_items",
]

Payload = ItemDelta | BuildingDelta | TerrainDelta | NPCDelta | CustomDelta
"""What `RegionDelta.data` can be."""

_SHAPES: Final[Mapping[str, type[ItemDelta | BuildingDelta | TerrainDelta | NPCDelta]]] = {
    DeltaAction.ITEM_REMOVED: ItemDelta,
    DeltaAction.ITEM_ADDED: ItemDelta,
    DeltaAction.ITEM_MOVED: ItemDelta,
    DeltaAction.BUILDING_BUILT: BuildingDelta,
    DeltaAction.BUILDING_DESTROYED: BuildingDelta,
    DeltaAction.BUILDING_UPGRADED: BuildingDelta,
    DeltaAction.TERRAIN_MODIFIED: TerrainDelta,
    DeltaAction.NPC_KILLED: NPCDelta,
    DeltaAction.NPC_RECRUITED: NPCDelta,
}
_MAY_LEAVE_OUT_THE_BUILDING: Final = frozenset({DeltaAction.BUILDING_DESTROYED, DeltaAction.BUILDING_UPGRADED})


def payload_for(action: str, data: Payload | Mapping[str, Value] | None) -> Payload:
    """Return data as the payload type that its action has.

    `building_destroyed` and `building_upgraded` may leave the building out (the seed destroys by position alone);
    actions without a shape, and a game's own, carry a `CustomDelta`.

    Raises:
        InvalidRegionValue: the data does not have the shape of the action.
    """
    shape = _SHAPES.get(action, CustomDelta)
    if type(data) is shape:
        return data
    if data is None:
        raw: Mapping[str, Value] = EMPTY
    else:
        raw = data if isinstance(data, Mapping) else data.to_json()
    if action in _MAY_LEAVE_OUT_THE_BUILDING and "buildingType" not in raw:
        return CustomDelta.from_json(raw)
    return shape.from_json(raw)
