"""A region as a state of atoms, and its deltas as a history to scrub through.

Each layer that holds anything is an atom: an object of tile (`"10,15"`) or id to thing. The atom `region` says which
region it is and what lies under it.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Protocol, Self

import msgspec

from unspool.model.values import MISSING, Value
from unspool.regions.address import Position, RegionAddress
from unspool.regions.apply import RegionDraft, effect_of
from unspool.regions.checks import (
    InvalidRegionValue,
    freeze,
    need_list,
    need_number,
    need_object,
    need_text,
    need_whole,
    thaw,
)
from unspool.regions.payloads import STANDARD_ACTION
from unspool.regions.region import (
    Building,
    Chest,
    Claim,
    Door,
    Effect,
    FarmPlot,
    Flag,
    ItemStack,
    Key,
    Layer,
    Npc,
    Region,
    RegionDelta,
    Rock,
    Sign,
    Structure,
    Thing,
    Tree,
    in_tick_order,
    read_deltas,
    unknown_region,
)
from unspool.regions.table import STANDARD_ACTIONS, ActionTable

REGION_ATOM: Final = "region"
"""The atom that says which region it is; no layer may have its name."""


class RegionMoment(NamedTuple):
    """A region after one delta.

    Attributes:
        tick: when.
        action: the delta's action.
        state: atoms to values; parts that did not change are shared between moments, so do not change them.
        meta: `position`, `data`, what else the delta says in `extra`, and `conflicts` if there are any.
    """

    tick: int
    action: str
    state: dict[str, Value]
    meta: dict[str, Value]


class HasDeltas(Protocol):
    """Anything that carries deltas: a region file, a multiplayer file, a component, records without a header."""

    def deltas_for(self, player: str | None = None, /) -> tuple[RegionDelta, ...]:
        """Return the deltas in the order they apply."""


def region_state(region: Region) -> dict[str, Value]:
    """Return a region as a state: fresh plain values, one atom for each layer that holds anything."""
    return {REGION_ATOM: _identity(region), **{name: _layer(region.layer(name)) for name in region.layers}}


def region_history(
    source: HasDeltas,
    *,
    base: Region | None = None,
    actions: ActionTable = STANDARD_ACTIONS,
    player: str | None = None,
    include_base: bool = False,
) -> Iterator[RegionMoment]:
    """Yield the states of a region, one for each delta, in the order they apply.

    Args:
        source: what carries the deltas.
        base: the region before the first; without it only what the deltas say is shown, and what they take from
            the unknown base is listed in the atom `removed`.
        actions: what each action does; `STANDARD_ACTIONS.keeping_unknown()` for another game's files.
        player: whose personal deltas to merge in; without it only shared ones.
        include_base: yield the state before the first delta too, with the action `generated` at tick 0.

    Raises:
        UnknownAction: an action is not in the table.
    """
    region = _base_of(source) if base is None else base
    draft = RegionDraft(region)
    state = region_state(region)
    if include_base:
        yield RegionMoment(0, "generated", dict(state), {})
    for delta in source.deltas_for(player):
        effect = effect_of(draft, delta, actions)
        draft.write(effect.writes)
        _update(state, effect)
        yield RegionMoment(delta.tick, str(delta.action), dict(state), _meta(delta, effect))


def _base_of(source: HasDeltas) -> Region:
    return unknown_region(
        getattr(source, "address", None),
        getattr(source, "base_template", ""),
        getattr(source, "base_seed", 0),
    )


def _update(state: dict[str, Value], effect: Effect) -> None:
    """Carry the writes of one delta over to a state, copying each layer once."""
    copied: set[str] = set()
    for write in effect.writes:
        if write.layer not in copied:
            state[write.layer] = dict(state.get(write.layer, {}))
            copied.add(write.layer)
        cells = state[write.layer]
        if write.value is None:
            cells.pop(str(write.key), None)
        else:
            cells[str(write.key)] = plain(write.value)
    for layer in copied:
        if not state[layer]:
            del state[layer]


def _meta(delta: RegionDelta, effect: Effect) -> dict[str, Value]:
    meta: dict[str, Value] = {"position": delta.position.to_json(), "data": delta.data.to_json()}
    if delta.extra:
        meta["extra"] = thaw(delta.extra)
    if effect.conflicts:
        meta["conflicts"] = list(effect.conflicts)
    return meta


def _identity(region: Region) -> dict[str, Value]:
    return {
        "address": None if region.address is None else region.address.to_json(),
        "template": region.template,
        "seed": region.seed,
        "ground": region.ground,
        "width": region.width,
        "height": region.height,
        "baseKnown": region.base_known,
    }


def _layer(cells: Mapping[Key, Any]) -> dict[str, Value]:
    return {str(key): plain(value) for key, value in cells.items()}


def plain(value: Any) -> Value:
    """Return what a layer holds as a plain JSON value."""
    if isinstance(value, Thing):
        return value.to_json()
    if isinstance(value, tuple):
        return [plain(item) for item in value]
    return thaw(value)


SNAPSHOT_FORM: Final = "unspool region snapshot 1"
"""The field `form` of every snapshot, which no other region document has."""

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
