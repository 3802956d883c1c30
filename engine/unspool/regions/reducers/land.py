"""The land: terrain, trees, rocks, farm plots, territory."""

from __future__ import annotations

from typing import Final, cast

from unspool.regions.deltas import RegionDelta
from unspool.regions.effects import Effect, Write
from unspool.regions.payloads import TerrainDelta, read_items
from unspool.regions.reducers.items import drop
from unspool.regions.reducers.reading import fields_of, first_text, merged, without
from unspool.regions.region import Layer, RegionView
from unspool.regions.things import Claim, FarmPlot, Rock, Tree

_TREE_FIELDS: Final = ("treeType", "type")
_ROCK_FIELDS: Final = ("rockType", "oreType", "type")
_CROP_FIELDS: Final = ("crop", "cropType", "seedType", "seedId", "plant")
_OWNER_FIELDS: Final = ("owner", "playerId", "ownerId")
DROPS: Final = "drops"
"""The field of `tree_felled` and `rock_mined` that lists what fell to the ground."""


def terrain_modified(view: RegionView, delta: RegionDelta) -> Effect:
    """Change the ground, after checking that it was what the delta says (row R-06)."""
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
