"""Items of one type, and their fate (rows R-04, R-56, R-57)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from unspool.model.values import MISSING, Value
from unspool.regions.checks import (
    freeze_extra,
    need_list,
    need_number,
    need_object,
    need_text,
    need_text_or_none,
    need_whole,
    present,
    rest_of,
    set_frozen,
)
from unspool.regions.errors import InvalidRegionValue
from unspool.regions.fate import Fate
from unspool.regions.frozen import EMPTY, freeze_object, thaw


@dataclass(frozen=True, slots=True)
class ItemDelta:
    """Items of one type, and where they went.

    Attributes:
        item_id: item type.
        quantity: how many; a whole number, 0 or more.
        metadata: durability, enchantments, customName, and whatever else the game keeps.
        disposition: the fate of the items; may be absent except in conservation mode.
        extra: further fields, kept verbatim.
    """

    item_id: str
    quantity: int
    metadata: Mapping[str, Value] | None = None
    disposition: Fate | None = None
    extra: Mapping[str, Value] = EMPTY

    def __post_init__(self) -> None:
        need_text("itemId", self.item_id)
        need_whole("quantity", self.quantity)
        if self.metadata is not None:
            set_frozen(self, "metadata", _checked_metadata(self.metadata))
        if self.disposition is not None and not isinstance(self.disposition, Fate):
            set_frozen(self, "disposition", Fate.from_json(self.disposition))
        if self.extra is not EMPTY:
            set_frozen(self, "extra", freeze_extra("item", self.extra, self._known()))

    def _known(self) -> dict[str, Value]:
        fate = None if self.disposition is None else self.disposition.to_json()
        return present(itemId=self.item_id, quantity=self.quantity, metadata=thaw(self.metadata), disposition=fate)

    @classmethod
    def from_json(cls, raw: Value) -> Self:
        """Read an item object.

        Raises:
            InvalidRegionValue: a field is missing or of the wrong type.
        """
        fields = need_object("item", raw)
        return cls(
            fields.get("itemId", MISSING),
            fields.get("quantity", MISSING),
            fields.get("metadata"),
            fields.get("disposition"),
            rest_of(fields, ("itemId", "quantity", "metadata", "disposition")) or EMPTY,
        )

    def to_json(self) -> dict[str, Value]:
        """Return the item object."""
        return {**self._known(), **thaw(self.extra)}


def _checked_metadata(raw: Mapping[str, Value]) -> Mapping[str, Value]:
    metadata = freeze_object(raw, "metadata")
    if metadata.get("durability") is not None:
        need_number("metadata.durability", metadata["durability"])
    need_text_or_none("metadata.customName", metadata.get("customName"))
    if metadata.get("enchantments") is not None:
        for name in need_list("metadata.enchantments", metadata["enchantments"]):
            need_text("metadata.enchantments", name)
    return metadata


def read_items(raw: Value, name: str) -> tuple[ItemDelta, ...]:
    """Read a list of items (loot, drops, what went into a chest).

    Raises:
        InvalidRegionValue: it is no list, or an item is malformed; the message says which.
    """
    items = []
    for index, item in enumerate(need_list(name, raw)):
        try:
            items.append(item if isinstance(item, ItemDelta) else ItemDelta.from_json(item))
        except InvalidRegionValue as error:
            raise type(error)(f"{name}[{index}].{error}") from None
    return tuple(items)
