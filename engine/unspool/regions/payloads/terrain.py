"""Ground that became other ground (row R-06)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from unspool.model.values import MISSING, Value
from unspool.regions.checks import (
    freeze_extra,
    need_object,
    need_text,
    need_text_or_none,
    present,
    rest_of,
    set_frozen,
)
from unspool.regions.frozen import EMPTY, thaw


@dataclass(frozen=True, slots=True)
class TerrainDelta:
    """Ground that became other ground.

    Attributes:
        from_type: what was there; checked against the region (row R-06).
        to_type: what is there now.
        tool: what was used.
        extra: further fields, kept verbatim.
    """

    from_type: str
    to_type: str
    tool: str | None = None
    extra: Mapping[str, Value] = EMPTY

    def __post_init__(self) -> None:
        need_text("fromType", self.from_type)
        need_text("toType", self.to_type)
        need_text_or_none("tool", self.tool)
        if self.extra is not EMPTY:
            set_frozen(self, "extra", freeze_extra("terrain", self.extra, self._known()))

    def _known(self) -> dict[str, Value]:
        return present(fromType=self.from_type, toType=self.to_type, tool=self.tool)

    @classmethod
    def from_json(cls, raw: Value) -> Self:
        """Read a terrain object.

        Raises:
            InvalidRegionValue: a field is missing or of the wrong type.
        """
        fields = need_object("terrain", raw)
        known = ("fromType", "toType", "tool")
        rest = rest_of(fields, known) or EMPTY
        return cls(fields.get("fromType", MISSING), fields.get("toType", MISSING), fields.get("tool"), rest)

    def to_json(self) -> dict[str, Value]:
        """Return the terrain object."""
        return {**self._known(), **thaw(self.extra)}
