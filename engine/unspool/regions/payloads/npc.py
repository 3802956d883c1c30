"""An NPC that was killed, recruited or dismissed (row R-07)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from unspool.model.values import MISSING, Value
from unspool.regions.checks import freeze_extra, need_object, need_text, present, rest_of, set_frozen
from unspool.regions.errors import InvalidRegionValue
from unspool.regions.frozen import EMPTY, thaw
from unspool.regions.payloads.item import ItemDelta, read_items


class NPCState(StrEnum):
    """What became of an NPC."""

    KILLED = "killed"
    RECRUITED = "recruited"
    DISMISSED = "dismissed"


@dataclass(frozen=True, slots=True)
class NPCDelta:
    """An NPC that was killed, recruited or dismissed.

    Attributes:
        npc_id: which one.
        npc_type: its type, for respawning.
        state: what became of it.
        loot: what was dropped; None where the file does not say.
        extra: further fields, kept verbatim.
    """

    npc_id: str
    npc_type: str
    state: NPCState
    loot: tuple[ItemDelta, ...] | None = None
    extra: Mapping[str, Value] = EMPTY

    def __post_init__(self) -> None:
        need_text("npcId", self.npc_id)
        need_text("npcType", self.npc_type)
        need_text("state", self.state)
        if self.state not in set(NPCState):
            raise InvalidRegionValue(f"state is {self.state!r}; it must be one of {', '.join(NPCState)}")
        set_frozen(self, "state", NPCState(self.state))
        if self.loot is not None:
            set_frozen(self, "loot", read_items(self.loot, "loot"))
        if self.extra is not EMPTY:
            set_frozen(self, "extra", freeze_extra("npc", self.extra, self._known()))

    def _known(self) -> dict[str, Value]:
        loot = None if self.loot is None else [item.to_json() for item in self.loot]
        return present(npcId=self.npc_id, npcType=self.npc_type, state=str(self.state), loot=loot)

    @classmethod
    def from_json(cls, raw: Value) -> Self:
        """Read an NPC object.

        Raises:
            InvalidRegionValue: a field is missing or of the wrong type.
        """
        fields = need_object("npc", raw)
        return cls(
            fields.get("npcId", MISSING),
            fields.get("npcType", MISSING),
            fields.get("state", MISSING),
            fields.get("loot"),
            rest_of(fields, ("npcId", "npcType", "state", "loot")) or EMPTY,
        )

    def to_json(self) -> dict[str, Value]:
        """Return the NPC object."""
        return {**self._known(), **thaw(self.extra)}
