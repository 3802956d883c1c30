"""Nothing is deleted: every item has a fate, and the books must balance."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from unspool.model.values import Value
from unspool.regions.apply import Applied, apply_deltas
from unspool.regions.checks import FateRequired, InvalidRegionValue
from unspool.regions.deltas import MovementKind, RegionDelta
from unspool.regions.payloads import CustomDelta, DeltaAction, FateKind, ItemDelta, read_items
from unspool.regions.region import Region
from unspool.regions.table import STANDARD_ACTIONS, ActionTable


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
