"""A region at rest: the base of later deltas, with the deltas that led to it (rows R-51, R-52).

The seed clears the deltas when it takes a snapshot. Here they move into the snapshot (`folded`), so nothing that
happened is forgotten: the region can still be replayed to any tick and audited from its first delta on.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

import msgspec

from unspool.model.values import MISSING, Value
from unspool.regions.actions import STANDARD_ACTION
from unspool.regions.address import Position, RegionAddress
from unspool.regions.checks import need_list, need_number, need_object, need_text, need_whole
from unspool.regions.deltas import RegionDelta, in_tick_order, read_deltas
from unspool.regions.errors import InvalidRegionValue
from unspool.regions.frozen import freeze
from unspool.regions.region import Key, Layer, Region
from unspool.regions.state import plain
from unspool.regions.things import (
    Building,
    Chest,
    Claim,
    Door,
    FarmPlot,
    Flag,
    ItemStack,
    Npc,
    Rock,
    Sign,
    Structure,
    Tree,
)

SNAPSHOT_FORM: Final = "unspool region snapshot 1"
"""The field `form` of every snapshot, which tells it from other region documents."""

_THINGS: Final[Mapping[str, Any]] = {
    Layer.ITEMS: tuple[ItemStack, ...],
    Layer.BUILDINGS: Building,
    Layer.STRUCTURES: Structure,
    Layer.NPCS: Npc,
    Layer.DEPARTED: Npc,
    Layer.DOORS: Door,
    Layer.CHESTS: Chest,
    Layer.FARM_PLOTS: FarmPlot,
    Layer.TREES: Tree,
    Layer.ROCKS: Rock,
    Layer.CLAIMS: Claim,
    Layer.SIGNS: Sign,
    Layer.FLAGS: Flag,
    Layer.TERRAIN: str,
}


@dataclass(frozen=True, slots=True)
class RegionSnapshot:
    """A region, and how it came to be.

    Attributes:
        region: the region as it is.
        folded: the deltas since the base or the snapshot before, in the order they applied.
        previous: key of the snapshot before; None if the base is generated.
    """

    region: Region
    folded: tuple[RegionDelta, ...]
    previous: str | None = None

    def to_json(self) -> dict[str, Value]:
        """Return the snapshot as an object."""
        region = self.region
        return {
            "form": SNAPSHOT_FORM,
            "previous": self.previous,
            "address": None if region.address is None else region.address.to_json(),
            "template": region.template,
            "seed": region.seed,
            "ground": region.ground,
            "width": region.width,
            "height": region.height,
            "baseKnown": region.base_known,
            "layers": {name: _cells(cells) for name, cells in region.layers.items()},
            "folded": [delta.to_json() for delta in self.folded],
        }

    @classmethod
    def from_json(cls, raw: Value, known_actions: Container[str] = STANDARD_ACTION) -> Self:
        """Read a snapshot.

        Raises:
            InvalidRegionValue: it is no snapshot, or malformed.
        """
        fields = need_object("snapshot", raw)
        if fields.get("form") != SNAPSHOT_FORM:
            raise InvalidRegionValue(f"form is {fields.get('form')!r}; this reads {SNAPSHOT_FORM!r} only")
        previous = fields.get("previous")
        if previous is not None:
            need_text("previous", previous)
        folded = read_deltas(fields.get("folded", MISSING), "folded", known_actions)
        return cls(_region(fields), folded, previous)

    def deltas_for(self, _player: str | None = None) -> tuple[RegionDelta, ...]:
        """Return the folded deltas in the order they apply; they stand on `previous`, not on `region`."""
        return in_tick_order(self.folded)


def _cells(cells: Mapping[Key, Any]) -> list[Value]:
    return [[key.to_json() if isinstance(key, Position) else key, plain(value)] for key, value in cells.items()]


def _region(fields: Mapping[str, Value]) -> Region:
    address = fields.get("address")
    for name in ("template", "ground"):
        if not isinstance(fields.get(name), str):
            need_text(name, fields.get(name, MISSING))
    need_number("seed", fields.get("seed", MISSING))
    for name in ("width", "height"):
        need_whole(name, fields.get(name, MISSING))
    layers = need_object("layers", fields.get("layers", MISSING))
    return Region(
        None if address is None else RegionAddress.from_json(address),
        fields["template"],
        fields["seed"],
        fields["ground"],
        fields["width"],
        fields["height"],
        fields.get("baseKnown") is not False,
        {name: dict(_cell(name, cell) for cell in need_list(name, cells)) for name, cells in layers.items()},
    )


def _cell(layer: str, cell: Value) -> tuple[Key, Any]:
    pair = need_list(layer, cell)
    if len(pair) != 2:
        raise InvalidRegionValue(f"{layer} holds a cell that is no pair of key and thing")
    raw_key, raw = pair
    key = raw_key if isinstance(raw_key, str) else Position.from_json(raw_key, f"{layer}: key")
    kind = _THINGS.get(layer)
    try:
        return key, freeze(raw, layer) if kind is None else msgspec.convert(raw, kind)
    except msgspec.ValidationError as error:
        raise InvalidRegionValue(f"{layer} at {key}: {error}") from None
