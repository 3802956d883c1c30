"""A free object, for every action the seed gives no shape (row R-08)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from unspool.model.values import Value
from unspool.regions.checks import need_object, set_frozen
from unspool.regions.frozen import EMPTY, freeze_object, thaw


@dataclass(frozen=True, slots=True)
class CustomDelta:
    """A free object, kept verbatim: for every action the seed gives no shape (row R-08)."""

    fields: Mapping[str, Value] = EMPTY

    def __post_init__(self) -> None:
        set_frozen(self, "fields", freeze_object(self.fields, "data"))

    @classmethod
    def from_json(cls, raw: Value) -> Self:
        """Read a free object.

        Raises:
            InvalidRegionValue: it is no object, or holds what JSON cannot.
        """
        return cls(need_object("data", raw))

    def to_json(self) -> dict[str, Value]:
        """Return the object."""
        return {name: thaw(value) for name, value in self.fields.items()}
