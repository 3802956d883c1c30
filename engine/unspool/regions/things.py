"""What stands, lies and lives in a region, in no game's terms.

`details` holds what a delta said beyond the fields here, verbatim; a game reads there what only it understands.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from unspool.model.values import Value
from unspool.regions.checks import Number
from unspool.regions.frozen import EMPTY, FrozenObject, canonical, freeze, thaw
from unspool.regions.payloads import ItemDelta


class Thing(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """Anything that a region holds; the fields with a default are left out of JSON when they have it."""

    def __post_init__(self) -> None:
        # What comes from JSON or from a careless caller must not change under a frozen region.
        for field in self.__struct_fields__:
            value = getattr(self, field)
            if type(value) is dict or type(value) is list:
                msgspec.structs.force_setattr(self, field, freeze(value, field))

    def to_json(self) -> dict[str, Value]:
        """Return the thing as a plain object."""
        plain: dict[str, Value] = thaw(msgspec.to_builtins(self, enc_hook=_plain))
        return plain


def _plain(value: object) -> dict[str, Value]:
    if isinstance(value, FrozenObject):
        return dict(value)
    raise NotImplementedError


class ItemStack(Thing, frozen=True):
    """Equal items on one tile; stacks that differ only in metadata lie side by side."""

    item_id: str
    quantity: int
    metadata: Mapping[str, Any] | None = None

    @property
    def key(self) -> tuple[str, str]:
        """What tells stacks of a tile apart, and their order: plain ones first."""
        return (self.item_id, "" if self.metadata is None else canonical(self.metadata))

    @classmethod
    def of(cls, item: ItemDelta) -> ItemStack:
        """The stack that an item delta speaks of."""
        return cls(item.item_id, item.quantity, item.metadata)


class Building(Thing, frozen=True):
    """A building; `custom_data` may hold `storage` and `production`."""

    building_type: str
    rotation: Number = 0
    variant: str | None = None
    owner: str | None = None
    custom_data: Mapping[str, Any] | None = None
    details: Mapping[str, Any] = EMPTY


class Npc(Thing, frozen=True):
    """An NPC: `present`, or what became of it."""

    npc_type: str
    x: int
    y: int
    state: str = "present"
    details: Mapping[str, Any] = EMPTY


class Door(Thing, frozen=True):
    """A door and its state, such as open, closed or locked."""

    state: str
    details: Mapping[str, Any] = EMPTY


class Chest(Thing, frozen=True):
    """A chest and its stacks, in the order of their keys."""

    contents: tuple[ItemStack, ...] = ()
    details: Mapping[str, Any] = EMPTY


class FarmPlot(Thing, frozen=True):
    """Tilled soil, and what was planted on it and when."""

    crop: str | None = None
    planted_tick: int | None = None
    details: Mapping[str, Any] = EMPTY


class Tree(Thing, frozen=True):
    """A tree, or the stump of one."""

    tree_type: str = ""
    felled: bool = False
    details: Mapping[str, Any] = EMPTY


class Rock(Thing, frozen=True):
    """A rock or ore, or the hole it left."""

    rock_type: str = ""
    mined: bool = False
    details: Mapping[str, Any] = EMPTY


class Claim(Thing, frozen=True):
    """Territory somebody claimed."""

    owner: str
    tick: int
    details: Mapping[str, Any] = EMPTY


class Sign(Thing, frozen=True):
    """A sign and what it says."""

    text: str
    details: Mapping[str, Any] = EMPTY


class Flag(Thing, frozen=True):
    """A flag or marker."""

    flag_type: str = ""
    details: Mapping[str, Any] = EMPTY


class Structure(Thing, frozen=True):
    """Something a player built that no building type names; only the game knows what it is."""

    details: Mapping[str, Any] = EMPTY
