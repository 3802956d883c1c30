"""Deltas applied to a region: at once, up to a tick, as a state of atoms, and as a history to scrub through.

A region never changes. Applying works on a draft that copies a layer when it first writes to it, so many deltas cost
as much as their writes. Nothing is deleted: an audit finds what became of every item, and its counts add up. As a state,
each layer that holds anything is an atom: an object of tile (`"10,15"`) or id to thing. The atom `region` says which
region it is and what lies under it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple, Protocol, Self, cast

import msgspec

from unspool.model.values import MISSING, Value
from unspool.regions.address import (
    DeltaConflict,
    FateRequired,
    InvalidRegionValue,
    Position,
    RegionAddress,
    freeze,
    need_list,
    need_number,
    need_object,
    need_text,
    need_whole,
    thaw,
)
from unspool.regions.payloads import STANDARD_ACTION, CustomDelta, DeltaAction, FateKind, ItemDelta, read_items
from unspool.regions.region import (
    Building,
    Chest,
    Claim,
    Conflict,
    Door,
    Effect,
    FarmPlot,
    Flag,
    ItemStack,
    Key,
    Layer,
    Movement,
    MovementKind,
    Npc,
    Region,
    RegionDelta,
    Rock,
    Sign,
    Structure,
    Thing,
    Tree,
    Write,
    in_tick_order,
    read_deltas,
    unknown_region,
)
from unspool.regions.table import STANDARD_ACTIONS, ActionTable

_OPEN: Final = (dict, list)
"""What a game's reducer may write and a region may not hold: it could still change."""


@dataclass(frozen=True, slots=True)
class Applied:
    """A region after deltas.

    Attributes:
        region: the region now.
        conflicts: where deltas and region disagreed; the deltas hold nevertheless.
        movements: items that came into the region and that left it.
    """

    region: Region
    conflicts: tuple[Conflict, ...] = ()
    movements: tuple[Movement, ...] = ()


class RegionDraft:
    """A region being changed; the one place where that happens. Reducers see it as a `RegionView`."""

    def __init__(self, region: Region) -> None:
        self._start = region
        self._layers: dict[str, Mapping[Key, Any]] = dict(region.layers)
        self._own: dict[str, dict[Key, Any]] = {}

    @property
    def base_known(self) -> bool:
        """Whether the region was generated."""
        return self._start.base_known

    def get(self, layer: str, key: Key) -> Any:
        """Return what a layer holds at a key, or None."""
        cells = self._layers.get(layer)
        return None if cells is None else cells.get(key)

    def terrain_at(self, position: Position) -> str:
        """Return the ground at a tile."""
        cells = self._layers.get(Layer.TERRAIN)
        return self._start.ground if cells is None else cast(str, cells.get(position, self._start.ground))

    def contains(self, position: Position) -> bool:
        """Whether a tile lies inside the region."""
        return self._start.contains(position)

    def write(self, writes: Iterable[Write]) -> None:
        """Perform writes, in order."""
        for write in writes:
            own = self._own.get(write.layer)
            if own is None:
                own = self._own[write.layer] = dict(self._layers.get(write.layer, {}))
                self._layers[write.layer] = own
            if write.value is None:
                own.pop(write.key, None)
            else:
                own[write.key] = write.value if type(write.value) not in _OPEN else freeze(write.value, write.layer)

    def finish(self) -> Region:
        """Return the region as it is now."""
        return replace(self._start, layers=self._layers)


def effect_of(view: RegionDraft | Region, delta: RegionDelta, actions: ActionTable) -> Effect:
    """Return what a delta would do, with a conflict where it cannot be understood or lies outside the region.

    Raises:
        UnknownAction: its action is not in the table.
    """
    reduce = actions.rule(delta.action).reduce
    try:
        effect = reduce(view, delta)
    except InvalidRegionValue as error:
        return Effect(conflicts=(str(error),))
    if view.contains(delta.position):
        return effect
    return replace(effect, conflicts=(*effect.conflicts, "the tile lies outside the region"))


def apply_deltas(
    region: Region,
    deltas: Iterable[RegionDelta],
    *,
    actions: ActionTable = STANDARD_ACTIONS,
    strict: bool = True,
) -> Applied:
    """Apply deltas in tick order; equal ticks keep the order they are given in.

    Args:
        region: the region before; it does not change.
        deltas: what happened.
        actions: what each action does.
        strict: raise at the first conflict; otherwise go on, and return the conflicts.

    Raises:
        DeltaConflict: a delta does not fit the region, and `strict` is set.
        UnknownAction: an action is not in the table.
    """
    draft = RegionDraft(region)
    conflicts: list[Conflict] = []
    movements: list[Movement] = []
    for delta in in_tick_order(deltas):
        effect = effect_of(draft, delta, actions)
        if effect.conflicts:
            if strict:
                raise DeltaConflict(
                    f"{delta}: {effect.conflicts[0]}; check the base, or apply with strict=False to let the delta win"
                )
            conflicts += (Conflict(delta, reason) for reason in effect.conflicts)
        draft.write(effect.writes)
        movements += effect.movements
    return Applied(draft.finish(), tuple(conflicts), tuple(movements))


def apply_delta(
    region: Region, delta: RegionDelta, *, actions: ActionTable = STANDARD_ACTIONS, strict: bool = True
) -> Region:
    """Apply one delta.

    Raises:
        DeltaConflict: it does not fit the region, and `strict` is set.
        UnknownAction: its action is not in the table.
    """
    return apply_deltas(region, (delta,), actions=actions, strict=strict).region


def replay_to(
    region: Region,
    deltas: Iterable[RegionDelta],
    tick: int,
    *,
    actions: ActionTable = STANDARD_ACTIONS,
    strict: bool = True,
) -> Applied:
    """Apply the deltas up to a tick, that tick included.

    Raises:
        DeltaConflict: a delta does not fit the region, and `strict` is set.
        UnknownAction: an action is not in the table.
    """
    upto = (delta for delta in deltas if delta.tick <= tick)
    return apply_deltas(region, upto, actions=actions, strict=strict)


def apply_parts(
    region: Region,
    parts: Iterable[Iterable[RegionDelta]],
    tick: int | None,
    *,
    actions: ActionTable = STANDARD_ACTIONS,
) -> Applied:
    """Apply deltas part by part, as they were when each part was folded into a snapshot.

    Args:
        region: the region before the first part.
        parts: deltas, oldest part first; each part applies in its own tick order.
        tick: leave out what happened later; None for all.
        actions: what each action does.

    Raises:
        UnknownAction: an action is not in the table.
    """
    conflicts: list[Conflict] = []
    movements: list[Movement] = []
    for deltas in parts:
        upto = (delta for delta in deltas if tick is None or delta.tick <= tick)
        applied = apply_deltas(region, upto, actions=actions, strict=False)
        region = applied.region
        conflicts += applied.conflicts
        movements += applied.movements
    return Applied(region, tuple(conflicts), tuple(movements))


def require_fate(delta: RegionDelta) -> None:
    """Refuse a delta that takes items from their place without saying where they went.

    Removed and moved items need a disposition, and so do items taken out of a chest. Added items and loot need none:
    they lie where the delta says. Chest contents stated as a whole are refused, as they hide what became of the rest.

    Raises:
        FateRequired: a fate is missing, or contradicts the action.
    """
    action = delta.action
    if action in (DeltaAction.ITEM_REMOVED, DeltaAction.ITEM_MOVED):
        assert isinstance(delta.data, ItemDelta)
        _require(delta, delta.data)
        fate = delta.data.disposition
        if action == DeltaAction.ITEM_MOVED and fate is not None and fate.kind is not FateKind.MOVED:
            raise FateRequired(f"{delta}: a moved item's fate must be 'moved', not {str(fate.kind)!r}")
    elif action == DeltaAction.CHEST_CONTENTS_CHANGED and isinstance(delta.data, CustomDelta):
        _require_in_chest(delta, delta.data.fields)


def _require_in_chest(delta: RegionDelta, fields: Mapping[str, Value]) -> None:
    if "contents" in fields:
        raise FateRequired(f"{delta}: list what was 'added' and 'removed' instead of the whole 'contents'")
    for item in read_items(fields.get("removed") or (), "removed"):
        _require(delta, item)
    quantity = fields.get("quantity")
    if "itemId" in fields and type(quantity) is int and quantity < 0:
        _require(delta, ItemDelta.from_json({**fields, "quantity": -quantity}))


def _require(delta: RegionDelta, item: ItemDelta) -> None:
    if item.disposition is None:
        raise FateRequired(
            f"{delta}: {item.item_id} needs a disposition: {', '.join(FateKind)}; nothing is ever deleted"
        )


@dataclass(frozen=True, slots=True)
class ItemAccount:
    """The book of one item type, in whole items.

    Attributes:
        item_id: item type.
        base: in the region before the deltas: on the ground, in chests, in buildings' storage.
        arrived: came in by deltas.
        present: in the region now.
        fates: how many left by each fate.
        unstated: left without a fate.
    """

    item_id: str
    base: int
    arrived: int
    present: int
    fates: Mapping[MovementKind, int]
    unstated: int

    @property
    def missing(self) -> int:
        """Items that neither lie in the region nor left it; negative if more are known than ever were."""
        return self.base + self.arrived - self.present - sum(self.fates.values()) - self.unstated

    @property
    def is_accounted_for(self) -> bool:
        """Whether every item is in the region or has a fate."""
        return self.missing == 0 and self.unstated == 0


@dataclass(frozen=True, slots=True)
class Audit:
    """The books of a region, by item type."""

    accounts: tuple[ItemAccount, ...]

    @property
    def is_balanced(self) -> bool:
        """Whether every item of every type is accounted for."""
        return all(account.is_accounted_for for account in self.accounts)

    @property
    def unaccounted(self) -> tuple[ItemAccount, ...]:
        """The books that do not balance."""
        return tuple(account for account in self.accounts if not account.is_accounted_for)

    def account(self, item_id: str) -> ItemAccount:
        """Return the book of one item type; an empty one if it never occurred."""
        empty = ItemAccount(item_id, 0, 0, 0, {}, 0)
        return next((account for account in self.accounts if account.item_id == item_id), empty)


def audit(base: Region, deltas: Iterable[RegionDelta], *, actions: ActionTable = STANDARD_ACTIONS) -> Audit:
    """Count every item twice, in the region and in the deltas, and compare.

    Args:
        base: the region before the deltas.
        deltas: all that happened since, in any order.
        actions: what each action does; a game's own reducers report the items they move as movements.

    Raises:
        InvalidRegionValue: the base is not known, so there is nothing to count against.
        UnknownAction: an action is not in the table.
    """
    return balance(base, apply_deltas(base, deltas, actions=actions, strict=False))


def balance(base: Region, applied: Applied) -> Audit:
    """Compare a region's base, what is in it now, and what its deltas moved.

    Args:
        base: the region before the deltas.
        applied: the region now, and the movements of all deltas since the base.

    Raises:
        InvalidRegionValue: the base is not known, so there is nothing to count against.
    """
    if not base.base_known:
        raise InvalidRegionValue("an audit needs the generated base; generate the region and pass it")
    before, now = _count(base), _count(applied.region)
    moved: Counter[tuple[str, MovementKind]] = Counter()
    for movement in applied.movements:
        moved[movement.item_id, movement.kind] += movement.quantity
    leaving = [kind for kind in MovementKind if kind not in (MovementKind.ARRIVED, MovementKind.UNSTATED)]
    item_ids = sorted({*before, *now, *(item_id for item_id, _ in moved)})
    return Audit(
        tuple(
            ItemAccount(
                item_id,
                before[item_id],
                moved[item_id, MovementKind.ARRIVED],
                now[item_id],
                {kind: moved[item_id, kind] for kind in leaving if moved[item_id, kind]},
                moved[item_id, MovementKind.UNSTATED],
            )
            for item_id in item_ids
        )
    )


def _count(region: Region) -> Counter[str]:
    counts: Counter[str] = Counter()
    for item_id, quantity in _everything(region):
        counts[item_id] += quantity
    return counts


def _everything(region: Region) -> Iterator[tuple[str, int]]:
    for stacks in (*region.items.values(), *(chest.contents for chest in region.chests.values())):
        yield from ((stack.item_id, stack.quantity) for stack in stacks)
    for building in region.buildings.values():
        storage = (building.custom_data or {}).get("storage") or {}
        # Fractions are amounts of something, not items.
        yield from ((item_id, amount) for item_id, amount in storage.items() if type(amount) is int)


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
