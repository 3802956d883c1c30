"""What is known of snapshots and deltas besides their states and changes (seed 000, rows N-08 and N-09)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Final, TypeAlias

from unspool.errors import UnreadableSource
from unspool.model.entries import NO_META
from unspool.model.values import Value

Milliseconds: TypeAlias = int | float


@dataclass(frozen=True, slots=True)
class SnapshotMetadata:
    """What is known of a snapshot besides its state.

    Attributes:
        timestamp: milliseconds since the Unix epoch.
        action: why it was taken; None when nobody said.
        atom_count: number of atoms in its state.
        extra: metadata beyond the seed's, kept as it came.
    """

    timestamp: Milliseconds = 0
    action: str | None = None
    atom_count: int = 0
    extra: Mapping[str, Value] = field(default_factory=lambda: NO_META)

    def __reduce__(self) -> tuple[Value, ...]:
        # A read-only mapping cannot be pickled or copied, a dict can.
        return type(self), tuple(dict(fact) if isinstance(fact, Mapping) else fact for fact in _facts(self))

    def to_dict(self) -> dict[str, Value]:
        """Return the metadata as a JSON object of the seed's shape."""
        data: dict[str, Value] = {"timestamp": self.timestamp, "atomCount": self.atom_count, **self.extra}
        if self.action is not None:
            data["action"] = self.action
        return data

    @classmethod
    def from_dict(cls, data: Mapping[str, Value], atom_count: int) -> SnapshotMetadata:
        """Read metadata of the seed's shape; unknown keys are kept, a missing count is the one given."""
        facts = dict(data)
        timestamp, action = _checked_time(facts.pop("timestamp", 0)), facts.pop("action", None)
        return cls(timestamp, action, facts.pop("atomCount", atom_count), facts or NO_META)


@dataclass(frozen=True, slots=True)
class DeltaMetadata:
    """What is known of a delta besides its changes; time, action and count are those of the snapshot it leads to.

    Attributes:
        timestamp: milliseconds since the Unix epoch.
        action: why the target snapshot was taken.
        atom_count: number of atoms in the target's state.
        base_timestamp: timestamp of the snapshot it was computed against.
        change_count: number of changes it was made with.
        compressed_size: bytes of the packed delta.
        original_size: bytes of the packed target snapshot.
        history_index: place in a history, where it has one.
        merged_from: ids of the two deltas it was merged from; such a delta may rightly hold no change.
        extra: metadata beyond these, kept as it came.
    """

    timestamp: Milliseconds = 0
    action: str | None = None
    atom_count: int = 0
    base_timestamp: Milliseconds | None = None
    change_count: int = 0
    compressed_size: int = 0
    original_size: int = 0
    history_index: int | None = None
    merged_from: tuple[str, ...] = ()
    extra: Mapping[str, Value] = field(default_factory=lambda: NO_META)

    def __reduce__(self) -> tuple[Value, ...]:
        # A read-only mapping cannot be pickled or copied, a dict can.
        return type(self), tuple(dict(fact) if isinstance(fact, Mapping) else fact for fact in _facts(self))

    def to_dict(self) -> dict[str, Value]:
        """Return the metadata as a JSON object of the seed's shape."""
        data: dict[str, Value] = dict(self.extra)
        data |= {key: getattr(self, name) for key, name in _DELTA_KEYS.items()}
        for optional in ("action", "baseTimestamp", "historyIndex"):
            if data[optional] is None:
                del data[optional]
        if self.merged_from:
            data["mergedFrom"] = list(self.merged_from)
        return data

    @classmethod
    def from_dict(cls, data: Mapping[str, Value]) -> DeltaMetadata:
        """Read metadata of the seed's shape; unknown keys are kept."""
        facts = dict(data)
        told = {name: facts.pop(key) for key, name in _DELTA_KEYS.items() if key in facts}
        for moment in ("timestamp", "base_timestamp"):
            if told.get(moment) is not None:
                _checked_time(told[moment])
        return cls(**told, merged_from=tuple(facts.pop("mergedFrom", ())), extra=facts or NO_META)


_DELTA_KEYS: Final = {
    "timestamp": "timestamp",
    "action": "action",
    "atomCount": "atom_count",
    "baseTimestamp": "base_timestamp",
    "changeCount": "change_count",
    "compressedSize": "compressed_size",
    "originalSize": "original_size",
    "historyIndex": "history_index",
}


def _facts(metadata: SnapshotMetadata | DeltaMetadata) -> tuple[Value, ...]:
    return tuple(getattr(metadata, item.name) for item in fields(metadata))


def _checked_time(given: Value) -> Milliseconds:
    if isinstance(given, bool) or not isinstance(given, int | float) or not math.isfinite(given):
        raise UnreadableSource(
            f"a snapshot has the timestamp {given!r}; it must be milliseconds since the Unix epoch"
        )
    return given
