"""Full and delta snapshots as values, with their metadata, and their JSON in the shape of seed 000."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Final, TypeAlias

from unspool.errors import ContradictoryDelta, UnreadableSource, UnsupportedValue
from unspool.model.entries import NO_META
from unspool.model.values import State, Value
from unspool.snapshots.atoms import AtomChange, AtomEntry, values_of

Milliseconds: TypeAlias = int | float


@dataclass(frozen=True, slots=True)
class SnapshotMetadata:
    """What is known of a snapshot besides its state.

    Attributes:
        timestamp: milliseconds since the Unix epoch.
        action: why it was taken; None when none was given.
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


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A full state at a moment.

    Attributes:
        id: unique in its history.
        state: entries by atom name, read-only.
        metadata: time, action, count.
        base_snapshot_id: None; the field is there because the seed's shape has it.
    """

    id: str
    state: Mapping[str, AtomEntry]
    metadata: SnapshotMetadata = field(default_factory=SnapshotMetadata)
    base_snapshot_id: str | None = None

    def __post_init__(self) -> None:
        if type(self.id) is not str:
            raise UnsupportedValue(f"a snapshot has the id {self.id!r}; ids must be text")
        if type(self.metadata.timestamp) not in (int, float) or not math.isfinite(self.metadata.timestamp):
            raise UnsupportedValue(
                f"snapshot {self.id!r} has the timestamp {self.metadata.timestamp!r}; it must be a number of "
                "milliseconds since the Unix epoch"
            )
        if not set(map(type, self.state)) <= {str}:
            odd = next(name for name in self.state if type(name) is not str)
            raise UnsupportedValue(f"snapshot {self.id!r} has the atom name {odd!r}; names of atoms must be text")
        if not set(map(type, self.state.values())) <= {AtomEntry}:
            odd = next(name for name, entry in self.state.items() if type(entry) is not AtomEntry)
            raise UnsupportedValue(
                f"atom {odd!r} of snapshot {self.id!r} is no AtomEntry; use Snapshot.of for values"
            )
        if type(self.state) is dict:
            object.__setattr__(self, "state", MappingProxyType(self.state))

    def __reduce__(self) -> tuple[type[Snapshot], tuple[Value, ...]]:
        # A read-only mapping cannot be pickled or copied, a dict can.
        return Snapshot, (self.id, dict(self.state), self.metadata, self.base_snapshot_id)

    @property
    def type(self) -> str:
        """Always "full"."""
        return "full"

    @classmethod
    def of(
        cls, identity: str, values: Mapping[str, Value], *, timestamp: Milliseconds = 0, action: str | None = None
    ) -> Snapshot:
        """Capture a state given as plain values.

        Args:
            identity: the snapshot's id.
            values: value by atom name; an `AtomEntry` may stand for a value, to give kind, display name and id.
            timestamp: milliseconds since the Unix epoch.
            action: why it was taken.

        Raises:
            UnsupportedValue: a value has no wire form or contains itself, and the message names the atom; the id is no
                text, or the time no number.
        """
        state = {}
        for name, value in values.items():
            try:
                state[name] = value if type(value) is AtomEntry else AtomEntry(value)
            except UnsupportedValue as error:
                raise UnsupportedValue(f"atom {name!r} of snapshot {identity!r}: {error}") from None
        return cls(identity, state, SnapshotMetadata(timestamp, action, len(state)))

    def to_state(self) -> State:
        """Return the state as plain values by atom name; safe to mutate."""
        return values_of(self.state)

    def to_dict(self) -> dict[str, Value]:
        """Return the snapshot as a JSON object of the seed's shape."""
        return {
            "id": self.id,
            "type": "full",
            "state": {name: entry.to_dict() for name, entry in self.state.items()},
            "metadata": self.metadata.to_dict(),
            "baseSnapshotId": self.base_snapshot_id,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Value]) -> Snapshot:
        """Read a full snapshot of the seed's shape; `type` and `baseSnapshotId` may be missing.

        Raises:
            UnreadableSource: it is no such object.
            UnsupportedValue: a value has no wire form.
        """
        data = _object(data, "a full snapshot")
        identity, state = data.get("id"), data.get("state")
        if not isinstance(identity, str) or not isinstance(state, Mapping) or data.get("type", "full") != "full":
            raise UnreadableSource(f"a full snapshot needs an id and a state; this object has {_keys(data)}")
        entries = {name: AtomEntry.from_dict(entry, name) for name, entry in state.items()}
        metadata = SnapshotMetadata.from_dict(_object(data.get("metadata") or {}, "metadata"), len(entries))
        return cls(identity, entries, metadata, data.get("baseSnapshotId"))


@dataclass(frozen=True, slots=True)
class DeltaSnapshot:
    """The changes from one snapshot to another.

    Attributes:
        id: id of the delta itself.
        base_snapshot_id: what it stands on: a snapshot, or a delta of the same chain.
        changes: change by atom name, read-only.
        metadata: time, action and count of the target, and sizes.
        snapshot_id: id of the snapshot it leads to; None in foreign deltas, which do not tell it.
    """

    id: str
    base_snapshot_id: str
    changes: Mapping[str, AtomChange]
    metadata: DeltaMetadata = field(default_factory=DeltaMetadata)
    snapshot_id: str | None = None

    def __post_init__(self) -> None:
        for name, change in self.changes.items():
            if type(change) is not AtomChange or change.atom_name != name:
                raise ContradictoryDelta(f"delta {self.id!r} keeps something else than a change of {name!r} under it")
        if type(self.changes) is dict:
            object.__setattr__(self, "changes", MappingProxyType(self.changes))

    def __reduce__(self) -> tuple[type[DeltaSnapshot], tuple[Value, ...]]:
        return DeltaSnapshot, (self.id, self.base_snapshot_id, dict(self.changes), self.metadata, self.snapshot_id)

    @property
    def type(self) -> str:
        """Always "delta"."""
        return "delta"

    @property
    def state(self) -> Mapping[str, AtomEntry]:
        """Always empty; the seed's shape has it."""
        return MappingProxyType({})

    @property
    def target_id(self) -> str:
        """Id of the snapshot that applying gives: `snapshot_id`, or the delta's own id where that is not told."""
        return self.snapshot_id or self.id

    def to_dict(self) -> dict[str, Value]:
        """Return the delta as a JSON object of the seed's shape; the changes are an object, so nothing is lost."""
        data: dict[str, Value] = {
            "id": self.id,
            "type": "delta",
            "baseSnapshotId": self.base_snapshot_id,
            "state": {},
            "changes": {name: change.to_dict() for name, change in self.changes.items()},
            "metadata": self.metadata.to_dict(),
        }
        if self.snapshot_id is not None:
            data["snapshotId"] = self.snapshot_id
        return data

    @classmethod
    def from_dict(cls, data: Mapping[str, Value]) -> DeltaSnapshot:
        """Read a delta of the seed's shape; `changes` may be an object, a typed Map or a list of pairs.

        Raises:
            UnreadableSource: it is no such object, or its changes were lost by plain JSON writing.
            ContradictoryDelta: a change contradicts itself.
        """
        data = _object(data, "a delta")
        identity, base = data.get("id"), data.get("baseSnapshotId")
        if not isinstance(identity, str) or not isinstance(base, str):
            raise UnreadableSource(f"a delta needs an id and a baseSnapshotId; this object has {_keys(data)}")
        changes = {name: AtomChange.from_dict(change, name) for name, change in _pairs(data.get("changes"), identity)}
        metadata = DeltaMetadata.from_dict(_object(data.get("metadata") or {}, "metadata"))
        if metadata.change_count and not changes:
            raise UnreadableSource(
                f"delta {identity!r} says it has {metadata.change_count} changes and holds none: a Map was written "
                "as plain JSON, which loses it; export it again with the changes as an object"
            )
        return cls(identity, base, changes, metadata, data.get("snapshotId"))


def _pairs(changes: Value, identity: str) -> Iterable[tuple[str, Value]]:
    if isinstance(changes, Mapping) and changes.get("__type") == "Map" and "entries" in changes:
        changes = changes["entries"]
    if isinstance(changes, Mapping):
        return changes.items()
    try:
        return [(name, change) for name, change in changes or ()]
    except (TypeError, ValueError):
        raise UnreadableSource(
            f"the changes of delta {identity!r} are neither an object nor a list of pairs"
        ) from None


def _object(data: Value, what: str) -> Mapping[str, Value]:
    if isinstance(data, Mapping):
        return data
    hint = " (compute_delta gives None when nothing changed)" if data is None and what == "a delta" else ""
    raise UnreadableSource(f"{what} is due here, as a value or a JSON object, and not {type(data).__name__}{hint}")


def _keys(data: Mapping[str, Value]) -> str:
    return ", ".join(map(str, data)) or "no key"


AnySnapshot: TypeAlias = Snapshot | DeltaSnapshot


def snapshot_from_dict(data: Mapping[str, Value]) -> AnySnapshot:
    """Read a full or delta snapshot of the seed's shape.

    Raises:
        UnreadableSource: it is neither.
    """
    data = _object(data, "a snapshot")
    is_delta = data.get("type") == "delta" or ("type" not in data and "changes" in data)
    return DeltaSnapshot.from_dict(data) if is_delta else Snapshot.from_dict(data)


__all__ = [
    "AnySnapshot",
    "AtomChange",
    "AtomEntry",
    "DeltaMetadata",
    "DeltaSnapshot",
    "Snapshot",
    "SnapshotMetadata",
    "snapshot_from_dict",
]
