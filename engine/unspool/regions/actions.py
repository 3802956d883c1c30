"""The 19 things a player can do to a region (row R-01), and their numbers (row R-41)."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class DeltaAction(StrEnum):
    """The seed's actions; their order from 0 is their number in binary records."""

    ITEM_REMOVED = "item_removed"
    ITEM_ADDED = "item_added"
    ITEM_MOVED = "item_moved"
    BUILDING_BUILT = "building_built"
    BUILDING_DESTROYED = "building_destroyed"
    BUILDING_UPGRADED = "building_upgraded"
    TERRAIN_MODIFIED = "terrain_modified"
    TREE_FELLED = "tree_felled"
    ROCK_MINED = "rock_mined"
    NPC_KILLED = "npc_killed"
    NPC_RECRUITED = "npc_recruited"
    DOOR_STATE_CHANGED = "door_state_changed"
    CHEST_CONTENTS_CHANGED = "chest_contents_changed"
    FARM_PLOT_CREATED = "farm_plot_created"
    FARM_PLOT_PLANTED = "farm_plot_planted"
    OWNERSHIP_CLAIMED = "ownership_claimed"
    SIGN_PLACED = "sign_placed"
    FLAG_PLACED = "flag_placed"
    CUSTOM_BUILDING = "custom_building"

    @property
    def code(self) -> int:
        """The number of the action in binary records, from 0 in list order."""
        return ACTION_CODES[self]


ACTION_ORDER: Final = tuple(DeltaAction)
"""The action of each number."""
ACTION_CODES: Final[Mapping[str, int]] = {action: code for code, action in enumerate(ACTION_ORDER)}
"""The number of each action."""
STANDARD_ACTION: Final[Mapping[str, DeltaAction]] = {str(action): action for action in ACTION_ORDER}
"""The action of each name."""
