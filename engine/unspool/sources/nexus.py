"""nexus-state: snapshots, deltas, lists of them and export lists, as plain or typed JSON."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final, Literal

import msgspec

from unspool.errors import UnreadableSource
from unspool.model.entries import NO_META
from unspool.model.tags import Tagged
from unspool.model.values import State, Value
from unspool.sources.chains import Chains, RecordExaminer
from unspool.sources.entries import TIME_FROM_FILE, Interpreter, Reader, SourceEntry, UnusableRecord, as_state, fits
from unspool.sources.findings import OTHER
from unspool.sources.items import ItemsReader, beside
from unspool.sources.json_exact import BrokenText
from unspool.sources.lines import LinesReader
from unspool.sources.nexus_chains import NexusChains
from unspool.sources.nexus_typed import MAP, is_marked, revive_typed
from unspool.sources.probe import Probe, Shape
from unspool.sources.timestamps import to_ns

_DELTA: Final = "delta"
_OF_SNAPSHOTS: Final = frozenset(
    (
        "id",
        "type",
        "state",
        "metadata",
        "changes",
        "baseSnapshotId",
        "baseSnapshot",
        "timestamp",
        "action",
        "atomCount",
        "__id",
        "__type",
    )
)
_OF_CHANGES: Final = frozenset(
    ("atomId", "atomName", "oldValue", "newValue", "changeType", "timestamp", "__id", "__type")
)
_OF_EXPORTS: Final = frozenset(("version", "exportedAt", "count"))
"""What every export says of itself."""


class Atom(msgspec.Struct):
    """The fields of an atom in a snapshot."""

    type: Literal["primitive", "computed", "writable"]
    value: Any


def _is_atom_entry(value: Value) -> bool:
    return fits(value, Atom)


def is_snapshot(record: Value) -> bool:
    """Say whether a record is a full snapshot or a delta."""
    if not isinstance(record, dict) or not isinstance(record.get("id"), str):
        return False
    if record.get("type") == _DELTA:
        return "changes" in record and "baseSnapshotId" in record
    state, metadata = record.get("state"), record.get("metadata")
    if not isinstance(state, dict) or not isinstance(metadata, dict) or "timestamp" not in metadata:
        return False
    atoms = [value for key, value in state.items() if key not in ("__id", "__type")]
    return all(map(_is_atom_entry, atoms)) and (bool(atoms) or "atomCount" in metadata)


def _is_export(document: Value) -> bool:
    return (
        isinstance(document, dict)
        and isinstance(document.get("snapshots"), list)
        and ("exportedAt" in document or "version" in document)
        and all(map(is_snapshot, document["snapshots"][:20]))
    )


def detect(probe: Probe) -> int:
    """Score a probe: an export list, a list or log of snapshots, or a single one."""
    if probe.shape is Shape.DOCUMENT and _is_export(probe.document):
        return 95
    if probe.records and all(map(is_snapshot, probe.records)):
        return 90
    return 70 if probe.shape is Shape.DOCUMENT and _is_typed(probe.document) else 0


def _is_typed(document: Value) -> bool:
    """Say whether a document is what the package's serialiser writes of a value, or a list of such."""
    values = document if isinstance(document, list) else [document]
    return bool(values) and all(isinstance(value, dict) and is_marked(value) for value in values)


class TypedValue:
    """Reads a document of the package's serialiser that is no snapshot: one state, with its values restored."""

    def __init__(self, lost: int) -> None:
        """Read a document some values of which could not be restored."""
        self._lost = lost

    def read(self, record: Value, default_ns: int) -> Iterator[SourceEntry]:
        """Return the entry of the document."""
        yield SourceEntry(as_state(record), default_ns, meta=TIME_FROM_FILE)

    def finish(self) -> Iterable[SourceEntry]:
        """Nothing is held back."""
        return ()

    def notices(self) -> Iterable[tuple[str, bool]]:
        """Tell of values that are not in the file."""
        if self._lost:
            yield f"{self._lost} values are not in the file: nested too deeply, or shared lists", True


class SnapshotRecords:
    """Rebuilds states from snapshots and deltas; each delta stands on the snapshot it names, wherever that is."""

    def __init__(self, revived_with_losses: int | None = None) -> None:
        """Start with no snapshot known.

        Args:
            revived_with_losses: typed values are restored already, and this many could not be.
        """
        self._states: dict[str, State] = {}
        self._atoms: dict[str, Value] = {}
        self._is_revived = revived_with_losses is not None
        self._lost = revived_with_losses or 0

    def read(self, record: Value, default_ns: int) -> Iterator[SourceEntry]:
        """Return the entries of one snapshot or delta.

        Raises:
            UnusableRecord: it is neither, or its content was lost when it was written.
        """
        snapshot = record if self._is_revived else self._revived(record)
        if not isinstance(snapshot, dict) or not isinstance(snapshot.get("id"), str):
            raise UnusableRecord("no nexus-state snapshot: it has no id")
        metadata = snapshot.get("metadata")
        facts = dict(metadata) if isinstance(metadata, dict) else {}
        # What no snapshot of the package has is kept beside what it says of itself.
        facts.update((key, value) for key, value in snapshot.items() if key not in _OF_SNAPSHOTS and key not in facts)
        if snapshot.get("type") == _DELTA:
            yield from self._delta(snapshot, facts, default_ns)
        else:
            yield self._full(snapshot, facts, default_ns)

    def _revived(self, record: Value) -> Value:
        try:
            snapshot, lost = revive_typed(record)
        except BrokenText as error:
            raise UnusableRecord(str(error)) from None
        self._lost += lost
        return snapshot

    def _full(self, snapshot: dict[str, Value], facts: dict[str, Value], default_ns: int) -> SourceEntry:
        atoms = snapshot.get("state")
        if not isinstance(atoms, dict):
            raise UnusableRecord("a snapshot without a state")
        state = {name: atom["value"] if _has_value(atom) else atom for name, atom in atoms.items()}
        described = {name: _description(atom) for name, atom in atoms.items() if _has_value(atom)}
        if described != self._atoms:
            # Kept once and again when it changes: types and ids are facts of the store, not of each moment.
            self._atoms = described
            facts["atoms"] = described
        self._states[snapshot["id"]] = state
        return _entry(snapshot, facts, state, default_ns, is_full=True)

    def _delta(self, delta: dict[str, Value], facts: dict[str, Value], default_ns: int) -> Iterator[SourceEntry]:
        changes = _changes(delta.get("changes"))
        count = facts.get("changeCount")
        if not changes and isinstance(count, int) and count > 0:
            raise UnusableRecord(
                f"the delta {delta['id']!r} lost its {count} changes when it was written with plain JSON.stringify; "
                "export again with the package's own serialiser"
            )
        base_id = delta.get("baseSnapshotId")
        base = self._states.get(str(base_id))
        if base is None:
            if self._states:
                raise UnusableRecord(f"the delta {delta['id']!r} stands on {base_id!r}, which is not in the file")
            # A delta on its own tells what its atoms were before; that much of its base is known.
            base = {name: change.get("oldValue") for name, change in changes.items() if _kind(change) != "added"}
            self._states[str(base_id)] = base
            self._lost += 1
            base_ns = to_ns(facts.get("baseTimestamp"))
            at = default_ns if base_ns is None else base_ns
            yield SourceEntry(dict(base), at, f"base {base_id}", {"known": "changed atoms only"}, str(base_id))
        state = _applied(base, changes)
        others = {
            f"changes.{name}": unknown
            for name, change in changes.items()
            if (unknown := {key: value for key, value in change.items() if key not in _OF_CHANGES})
        }
        if isinstance(delta.get("state"), dict) and delta["state"].keys() - {"__id", "__type"}:
            others["state"] = delta["state"]
        if others:
            facts[OTHER] = others
        self._states[delta["id"]] = state
        facts["baseSnapshotId"] = base_id
        yield _entry(delta, facts, state, default_ns, is_full=False)

    def state_of(self, identity: str) -> State | None:
        """Return the state at the newest snapshot or delta of an id that was read."""
        return self._states.get(identity)

    def contents(self, record: Value) -> tuple[dict[str, Value], dict[str, dict[str, Value]]]:
        """Return metadata and changes of a delta.

        Raises:
            UnusableRecord: its changes do not read.
        """
        delta = record if self._is_revived else self._revived(record)
        metadata = delta.get("metadata") if isinstance(delta, dict) else None
        return (metadata if isinstance(metadata, dict) else {}), _changes(delta.get("changes"))

    def finish(self) -> Iterable[SourceEntry]:
        """Nothing is held back."""
        return ()

    def notices(self) -> Iterable[tuple[str, bool]]:
        """Tell of content that is not in the file."""
        if self._lost:
            yield "some values are not in the file: a missing base, values nested too deeply, or shared lists", True


def _has_value(atom: Value) -> bool:
    return isinstance(atom, dict) and "value" in atom


def _description(atom: dict[str, Value]) -> dict[str, Value]:
    return {key: value for key, value in atom.items() if key != "value"}


def _kind(change: dict[str, Value]) -> Value:
    return change.get("changeType")


def _changes(value: Value) -> dict[str, dict[str, Value]]:
    """Read changes as an object, a typed Map, or a bare list of pairs."""
    if isinstance(value, Tagged) and value.type_name == MAP:
        value = value.value
    pairs = list(value.items()) if isinstance(value, dict) else value if isinstance(value, list) else []
    changes: dict[str, dict[str, Value]] = {}
    for pair in pairs:
        if not isinstance(pair, list | tuple) or len(pair) != 2 or not isinstance(pair[1], dict):
            raise UnusableRecord("its changes are no object, Map or list of pairs")
        name = pair[1].get("atomName", pair[0])
        changes[str(pair[0] if not isinstance(name, str) else name)] = pair[1]
    return changes


def _applied(base: State, changes: dict[str, dict[str, Value]]) -> State:
    state = dict(base)
    for name, change in changes.items():
        kind = _kind(change)
        if kind == "deleted":
            state.pop(name, None)
        elif kind in ("added", "modified"):
            state[name] = change.get("newValue")
        else:
            raise UnusableRecord(
                f"the change of {name!r} has the type {kind!r}, which is none of added, modified, deleted"
            )
    return state


def _entry(
    snapshot: dict[str, Value], facts: dict[str, Value], state: State, default_ns: int, *, is_full: bool
) -> SourceEntry:
    timestamp_ns = to_ns(facts.pop("timestamp", None))
    action = facts.pop("action", "")
    facts.pop("atomCount", None)
    if timestamp_ns is None:
        facts.update(TIME_FROM_FILE)
    at = default_ns if timestamp_ns is None else timestamp_ns
    label = action if isinstance(action, str) else ""
    return SourceEntry(dict(state), at, label, facts or NO_META, snapshot["id"], is_full=is_full)


def _chains(revived_with_losses: int | None = None) -> Chains:
    """Return what examines the chains of a list or a log of snapshots."""

    def again() -> tuple[Interpreter, RecordExaminer]:
        records = SnapshotRecords(revived_with_losses)
        return records, NexusChains(records.state_of, records.contents)

    return again


def open_reader(probe: Probe) -> Reader:
    """Read snapshots and deltas from a document or from lines.

    Raises:
        UnreadableSource: the document holds neither.
    """
    if probe.shape is Shape.LINES:
        return LinesReader(probe.path, SnapshotRecords(), probe.limits, follows=probe.follows, chains=_chains())
    try:
        document, lost = revive_typed(probe.document, probe.limits)
    except BrokenText as error:
        raise UnreadableSource(f"{probe.path}: {error}; export fewer snapshots at once") from None
    if _is_typed(probe.document) and not any(
        map(is_snapshot, document if isinstance(document, list) else [document])
    ):
        return ItemsReader(probe.path, [document], TypedValue(lost), mtime_ns=probe.status.st_mtime_ns)
    passed_over: list[str] = []
    if isinstance(document, dict) and isinstance(document.get("snapshots"), list):
        passed_over = [part for part in beside(document, document["snapshots"]) if part not in _OF_EXPORTS]
        document = document["snapshots"]
    records = document if isinstance(document, list) else [document]
    if not records:
        raise UnreadableSource(f"{probe.path}: an export without snapshots; record something and export again")
    mtime_ns = probe.status.st_mtime_ns
    return ItemsReader(
        probe.path,
        records,
        SnapshotRecords(lost),
        mtime_ns=mtime_ns,
        place="snapshot",
        chains=_chains(lost),
        beside=passed_over,
    )
