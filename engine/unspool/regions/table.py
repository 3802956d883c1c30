"""Which actions there are, and what each does; a game adds its own (row R-01)."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Final, Self

from unspool.regions.actions import DeltaAction
from unspool.regions.deltas import RegionDelta
from unspool.regions.effects import Effect, Reducer, Write
from unspool.regions.errors import UnknownAction
from unspool.regions.frozen import freeze
from unspool.regions.merging import (
    items_touched,
    merge_items,
    merge_last,
    merge_terrain,
    npc_touched,
    touches_layer,
    touches_with_drops,
)
from unspool.regions.reducers.buildings import (
    building_built,
    building_destroyed,
    building_upgraded,
    custom_building,
)
from unspool.regions.reducers.fixtures import (
    chest_contents_changed,
    door_state_changed,
    flag_placed,
    sign_placed,
)
from unspool.regions.reducers.items import item_added, item_moved, item_removed
from unspool.regions.reducers.land import (
    DROPS,
    farm_plot_created,
    farm_plot_planted,
    ownership_claimed,
    rock_mined,
    terrain_modified,
    tree_felled,
)
from unspool.regions.reducers.people import npc_killed, npc_recruited
from unspool.regions.region import Layer, RegionView

Touches = Callable[[RegionDelta], tuple[Hashable, ...]]
"""The cells that a delta reads or writes; deltas with no cell in common may change places."""
Merge = Callable[[RegionDelta, RegionDelta], RegionDelta | None]
"""One delta that does what an earlier and a later one do together, or None if there is none."""


@dataclass(frozen=True, slots=True)
class ActionRule:
    """What an action is and does.

    Attributes:
        name: as files spell it.
        reduce: what a delta of this action does to a region.
        touches: which cells it reads or writes; without it, compression moves nothing across such a delta.
        merge: how two of them become one; without it they are never merged.
    """

    name: str
    reduce: Reducer
    touches: Touches | None = None
    merge: Merge | None = None


@dataclass(frozen=True, slots=True)
class ActionTable:
    """The actions a game knows; a container of their names. Make another with `with_action`.

    Attributes:
        rules: name to rule.
        keeps_unknown: whether an action outside the table is kept, listed in the `custom` layer, and does
            nothing else; otherwise it is an error.
    """

    rules: Mapping[str, ActionRule] = field(hash=False)
    keeps_unknown: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "rules", MappingProxyType(dict(self.rules)))

    def __contains__(self, name: object) -> bool:
        return self.keeps_unknown or name in self.rules

    def __iter__(self) -> Iterator[str]:
        return iter(self.rules)

    def rule(self, name: str) -> ActionRule:
        """Return the rule of an action.

        Raises:
            UnknownAction: the table has none.
        """
        rule = self.rules.get(name)
        if rule is not None:
            return rule
        if self.keeps_unknown:
            return ActionRule(name, _keep)
        raise UnknownAction(f"unknown action {name!r}; add it to the table with ActionTable.with_action")

    def with_action(self, rule: ActionRule) -> Self:
        """Return a table with one action more, or with another rule for one it has."""
        return replace(self, rules={**self.rules, rule.name: rule})

    def keeping_unknown(self) -> Self:
        """Return a table that keeps actions it does not know: for looking at another game's files."""
        return replace(self, keeps_unknown=True)


def _keep(_view: RegionView, delta: RegionDelta) -> Effect:
    data = freeze(delta.data.to_json(), "data")
    return Effect((Write(Layer.CUSTOM, f"{delta.action}/{delta.position}", data),))


def _standard_rules() -> Iterator[ActionRule]:
    act = DeltaAction
    yield ActionRule(act.ITEM_REMOVED, item_removed, items_touched, merge_items)
    yield ActionRule(act.ITEM_ADDED, item_added, items_touched, merge_items)
    yield ActionRule(act.ITEM_MOVED, item_moved, items_touched)
    for action, build in (
        (act.BUILDING_BUILT, building_built),
        (act.BUILDING_DESTROYED, building_destroyed),
        (act.BUILDING_UPGRADED, building_upgraded),
    ):
        yield ActionRule(action, build, touches_layer(Layer.BUILDINGS))
    yield ActionRule(act.TERRAIN_MODIFIED, terrain_modified, touches_layer(Layer.TERRAIN), merge_terrain)
    yield ActionRule(act.TREE_FELLED, tree_felled, touches_with_drops(Layer.TREES, DROPS))
    yield ActionRule(act.ROCK_MINED, rock_mined, touches_with_drops(Layer.ROCKS, DROPS))
    yield ActionRule(act.NPC_KILLED, npc_killed, npc_touched)
    yield ActionRule(act.NPC_RECRUITED, npc_recruited, npc_touched)
    yield ActionRule(act.DOOR_STATE_CHANGED, door_state_changed, touches_layer(Layer.DOORS), merge_last)
    yield ActionRule(act.CHEST_CONTENTS_CHANGED, chest_contents_changed, touches_with_drops(Layer.CHESTS, "removed"))
    yield ActionRule(act.FARM_PLOT_CREATED, farm_plot_created, touches_layer(Layer.FARM_PLOTS))
    yield ActionRule(act.FARM_PLOT_PLANTED, farm_plot_planted, touches_layer(Layer.FARM_PLOTS))
    yield ActionRule(act.OWNERSHIP_CLAIMED, ownership_claimed, touches_layer(Layer.CLAIMS))
    yield ActionRule(act.SIGN_PLACED, sign_placed, touches_layer(Layer.SIGNS), merge_last)
    yield ActionRule(act.FLAG_PLACED, flag_placed, touches_layer(Layer.FLAGS), merge_last)
    yield ActionRule(act.CUSTOM_BUILDING, custom_building, touches_layer(Layer.STRUCTURES))


STANDARD_ACTIONS: Final = ActionTable({str(rule.name): rule for rule in _standard_rules()})
"""The seed's 19 actions."""
