"""A building as an action leaves it (row R-05)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from unspool.model.values import MISSING, Value
from unspool.regions.checks import (
    Number,
    freeze_extra,
    need_number,
    need_object,
    need_text,
    need_text_or_none,
    present,
    rest_of,
    set_frozen,
)
from unspool.regions.frozen import EMPTY, freeze_object, thaw


@dataclass(frozen=True, slots=True)
class BuildingDelta:
    """A building as it stands after the action.

    Attributes:
        building_type: what it is.
        rotation: as the game counts it.
        variant: kind of the type.
        owner: player id.
        custom_data: `storage` and `production` (objects of name to number, row R-05), and whatever else.
        extra: further fields, kept verbatim.
    """

    building_type: str
    rotation: Number = 0
    variant: str | None = None
    owner: str | None = None
    custom_data: Mapping[str, Value] | None = None
    extra: Mapping[str, Value] = EMPTY

    def __post_init__(self) -> None:
        need_text("buildingType", self.building_type)
        need_number("rotation", self.rotation)
        need_text_or_none("variant", self.variant)
        need_text_or_none("owner", self.owner)
        if self.custom_data is not None:
            set_frozen(self, "custom_data", _checked_custom_data(self.custom_data))
        if self.extra is not EMPTY:
            set_frozen(self, "extra", freeze_extra("building", self.extra, self._known()))

    def _known(self) -> dict[str, Value]:
        return present(
            buildingType=self.building_type,
            variant=self.variant,
            rotation=self.rotation,
            owner=self.owner,
            customData=thaw(self.custom_data),
        )

    @classmethod
    def from_json(cls, raw: Value) -> Self:
        """Read a building object.

        Raises:
            InvalidRegionValue: a field is missing or of the wrong type.
        """
        fields = need_object("building", raw)
        return cls(
            fields.get("buildingType", MISSING),
            fields.get("rotation", MISSING),
            fields.get("variant"),
            fields.get("owner"),
            fields.get("customData"),
            rest_of(fields, ("buildingType", "rotation", "variant", "owner", "customData")) or EMPTY,
        )

    def to_json(self) -> dict[str, Value]:
        """Return the building object."""
        return {**self._known(), **thaw(self.extra)}


def _checked_custom_data(raw: Mapping[str, Value]) -> Mapping[str, Value]:
    custom = freeze_object(raw, "customData")
    for field in ("storage", "production"):
        if custom.get(field) is not None:
            for name, amount in need_object(f"customData.{field}", custom[field]).items():
                need_number(f"customData.{field}.{name}", amount)
    return custom
