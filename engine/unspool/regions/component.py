"""The save-game component that carries region deltas (companion document of seed 003)."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass
from typing import Final, Self

from unspool.model.values import MISSING, Value
from unspool.regions.actions import STANDARD_ACTION
from unspool.regions.address import RegionAddress
from unspool.regions.checks import (
    Number,
    freeze_extra,
    need_number,
    need_object,
    need_text,
    rest_of,
    set_frozen,
)
from unspool.regions.deltas import RegionDelta, in_tick_order, read_deltas
from unspool.regions.errors import InvalidRegionValue
from unspool.regions.frozen import EMPTY, thaw
from unspool.regions.region_file import RegionDeltaFile

COMPONENT_SCHEMA: Final = "https://aivillage.dev/schemas/component/region_delta/v1"
COMPONENT_TYPE: Final = "region_delta"
COMPONENT_VERSION: Final = 1

_HEAD: Final = {"$schema": COMPONENT_SCHEMA, "$version": COMPONENT_VERSION, "type": COMPONENT_TYPE}
_DATA_FIELDS: Final = ("deltas", "baseTemplate", "baseSeed")


@dataclass(frozen=True, slots=True)
class RegionDeltaComponent:
    """Region deltas inside a save game: the base and the deltas, with no address of their own.

    Attributes:
        base_template: what the region was generated from.
        base_seed: what it was generated with.
        deltas: what players did, in file order.
        data_extra: further fields of the data, kept verbatim.
        extra: further fields of the component, kept verbatim.
    """

    base_template: str
    base_seed: Number
    deltas: tuple[RegionDelta, ...] = ()
    data_extra: Mapping[str, Value] = EMPTY
    extra: Mapping[str, Value] = EMPTY

    def __post_init__(self) -> None:
        need_text("data.baseTemplate", self.base_template)
        need_number("data.baseSeed", self.base_seed)
        set_frozen(self, "deltas", tuple(self.deltas))
        set_frozen(self, "data_extra", freeze_extra("data", self.data_extra, dict.fromkeys(_DATA_FIELDS)))
        set_frozen(self, "extra", freeze_extra("component", self.extra, {**_HEAD, "data": None}))

    @classmethod
    def from_json(cls, raw: Value, known_actions: Container[str] = STANDARD_ACTION) -> Self:
        """Read a component.

        Raises:
            InvalidRegionValue: it is another component, another version, or malformed.
        """
        fields = need_object("component", raw)
        for name, value in _HEAD.items():
            if name in fields and fields[name] != value:
                raise InvalidRegionValue(f"{name} is {fields[name]!r}; this reads {value!r} only")
        data = need_object("data", fields.get("data", MISSING))
        return cls(
            data.get("baseTemplate", MISSING),
            data.get("baseSeed", MISSING),
            read_deltas(data.get("deltas", MISSING), "data.deltas", known_actions),
            rest_of(data, _DATA_FIELDS),
            rest_of(fields, (*_HEAD, "data")),
        )

    def to_json(self) -> dict[str, Value]:
        """Return the component as an object."""
        data = {
            "deltas": [delta.to_json() for delta in self.deltas],
            "baseTemplate": self.base_template,
            "baseSeed": self.base_seed,
            **thaw(self.data_extra),
        }
        return {**_HEAD, "data": data, **thaw(self.extra)}

    def deltas_for(self, _player: str | None = None) -> tuple[RegionDelta, ...]:
        """Return the deltas in the order they apply."""
        return in_tick_order(self.deltas)

    def at(self, address: RegionAddress) -> RegionDeltaFile:
        """Return a region file with these deltas, for an address that the caller knows."""
        return RegionDeltaFile(address, self.base_template, self.base_seed, self.deltas, extra=self.data_extra)
