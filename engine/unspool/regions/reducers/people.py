"""NPCs: killed, recruited, dismissed."""

from __future__ import annotations

from typing import cast

from unspool.regions.deltas import RegionDelta
from unspool.regions.effects import Effect, Write
from unspool.regions.payloads import NPCDelta, NPCState
from unspool.regions.reducers.items import drop
from unspool.regions.region import Layer, RegionView
from unspool.regions.things import Npc


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
