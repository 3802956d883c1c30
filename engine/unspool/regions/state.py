"""A region as a state of atoms, and its deltas as a history to scrub through.

Each layer that holds anything is an atom: an object of tile (`"10,15"`) or id to thing. The atom `region` says which
region it is and what lies under it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple, Protocol

from unspool.model.values import Value
from unspool.regions.apply import RegionDraft, effect_of
from unspool.regions.deltas import RegionDelta
from unspool.regions.effects import Effect
from unspool.regions.frozen import thaw
from unspool.regions.region import Key, Region, unknown_region
from unspool.regions.table import STANDARD_ACTIONS, ActionTable
from unspool.regions.things import Thing

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
