"""nexus-state's typed JSON (`__id`, `__type`, `__ref`) as plain typed values. Function sources are never evaluated."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

import msgspec

from unspool.codec.strategies import DEFAULT_MAX_DELTAS
from unspool.errors import UnreadableSource
from unspool.history.verdict import ChainFault
from unspool.model.entries import NO_META
from unspool.model.json_exact import BrokenText
from unspool.model.limits import Limits, in_force
from unspool.model.tags import Tagged, Unrepresentable
from unspool.model.values import MISSING, State, Value, json_equal, walk
from unspool.sources.detection import Probe, SourceShape
from unspool.sources.entries import (
    OTHER,
    TIME_FROM_FILE,
    Chains,
    Interpreter,
    Read,
    Reader,
    RecordExaminer,
    SourceEntry,
    UnusableRecord,
    as_state,
    fits,
    to_ns,
)
from unspool.sources.lines import ItemsReader, LinesReader, beside
from unspool.sources.tagged_values import CopiedContainer, Leaf, Reference, plain_frame, revive_with

_ID, _TYPE, _REF, _ESCAPE = "__id", "__type", "__ref", "__esc_"
MAP: Final = "Map"


def _date(value: dict[str, Value]) -> Value:
    text = value.get("value")
    try:
        return dt.datetime.fromisoformat(text) if isinstance(text, str) else Tagged("Date", text)
    except ValueError:
        return Tagged("Date", text)


def _big_integer(value: dict[str, Value]) -> Value:
    try:
        return int(value.get("value", ""))
    except (ValueError, TypeError):
        return Tagged("BigInt", value.get("value"))


def _named(value: dict[str, Value]) -> Value:
    return Tagged(value[_TYPE], {key: item for key, item in value.items() if key not in (_TYPE, _ID)})


def _too_deep(value: dict[str, Value]) -> Value:
    return Unrepresentable("MaxDepthExceeded", str(value.get("__message", "nested deeper than the app wrote out")))


_LEAVES: Final[dict[str, Callable[[dict[str, Value]], Value]]] = {
    "Date": _date,
    "BigInt": _big_integer,
    "RegExp": _named,
    "Error": _named,
    "Function": _named,
    "MaxDepthExceeded": _too_deep,
}
_COLLECTIONS: Final = {MAP: "entries", "Set": "values"}


def is_marked(value: dict[str, Value]) -> bool:
    """Whether an object is a value as the package's serialiser writes one: named by its type, and by an id or content."""
    name = value.get(_TYPE)
    return isinstance(name, str) and (_ID in value or name in _LEAVES or name in _COLLECTIONS)


def _open(value: Value) -> CopiedContainer:
    if not isinstance(value, dict):
        return plain_frame(value)
    type_name = value.get(_TYPE)
    if isinstance(type_name, str) and type_name in _COLLECTIONS:
        items = value.get(_COLLECTIONS[type_name])
        # What has more than its items is no collection of the package, and is kept whole.
        if isinstance(items, list) and len(value) <= 2 + (_ID in value):
            return CopiedContainer(iter(enumerate(items)), [], lambda content: Tagged(type_name, content))
    if _ID not in value or not isinstance(type_name, str):
        return plain_frame(value)
    members = ((key.removeprefix(_ESCAPE), item) for key, item in value.items() if key not in (_ID, _TYPE))
    wrap = None if type_name == "Object" else lambda content: Tagged(type_name, content)
    return CopiedContainer(iter(members), {}, wrap)


def _objects_by_id(document: Value) -> dict[str, Value]:
    objects = (value for value in walk(document) if isinstance(value, dict))
    return {value[_ID]: value for value in objects if isinstance(value.get(_ID), str)}


def revive_typed(document: Value, limits: Limits | None = None) -> tuple[Value, int]:
    """Return a copy of a document with typed values restored, and how many values the file does not hold.

    A Map becomes `Tagged("Map", [[key, value], …])`, a Set `Tagged("Set", […])`, a Date a datetime. Lists carry no
    id in this format, so a reference to one stands for something that cannot be found again.

    Raises:
        TooMuch: references unfold to more than a state may hold.
    """
    objects = _objects_by_id(document)
    lost = 0

    def marker_of(value: dict[str, Value]) -> Leaf | Reference | None:
        nonlocal lost
        reference = value.get(_REF)
        if len(value) == 1 and isinstance(reference, str):
            if reference in objects:
                return Reference(objects[reference])
            lost += 1
            return Leaf(Unrepresentable("reference", f"{reference} is not in the file; lists carry no id"))
        type_name = value.get(_TYPE)
        restore = _LEAVES.get(type_name) if isinstance(type_name, str) else None
        if restore is None:
            return None
        lost += restore is _too_deep
        return Leaf(restore(value))

    return revive_with(document, marker_of, _open, limits or in_force()), lost


Changes = dict[str, dict[str, Value]]
_NAMED: Final = 60
"""Characters of an id that a message shows."""


@dataclass(slots=True)
class _Chain:
    """The deltas that stand on one full snapshot, directly or through one another."""

    place: str
    root: str
    first: int
    last: int
    deltas: int = 0


class NexusChains:
    """Looks at snapshots and deltas in the order of the file."""

    def __init__(
        self,
        state_of: Callable[[str], State | None],
        changes_of: Callable[[Value], tuple[dict[str, Value], Changes]],
        limit: int = DEFAULT_MAX_DELTAS,
    ) -> None:
        """Prepare.

        Args:
            state_of: gives the state at the snapshot or delta of an id, as far as it was read.
            changes_of: gives a record with typed values restored, and a delta's changes.
            limit: deltas of a chain, beyond which the package would have begun another.
        """
        self._state_of = state_of
        self._changes_of = changes_of
        self._limit = limit
        self._places: dict[str, str] = {}
        self._roots: dict[str, str] = {}
        self._chains: dict[str, _Chain] = {}
        self._severed: list[tuple[Read, str, str]] = []
        self._doubted: set[str] = set()

    def visit(self, read: Read) -> Iterator[ChainFault]:
        """See `RecordExaminer.visit`."""
        record = read.record
        if not isinstance(record, dict) or not isinstance(record.get("id"), str):
            yield read.fault("malformed-record", read.problem or "no nexus-state snapshot: it has no id")
            return
        identity = record["id"]
        is_twice = identity in self._places
        if is_twice:
            text = f"the id {_short(identity)} stands at {self._places[identity]} already; deltas may mean either"
            yield read.fault("duplicate-entries", text)
        if record.get("type") == "delta":
            yield from self._delta(read, record)
        elif read.problem:
            yield read.fault("malformed-record", read.problem)
        else:
            self._roots[identity] = identity
            self._chains[identity] = _Chain(read.place, identity, read.seq, read.seq)
        self._places[identity] = read.spot

    def _delta(self, read: Read, record: dict[str, Value]) -> Iterator[ChainFault]:
        base = record.get("baseSnapshotId")
        name = base if isinstance(base, str) else ""
        if name not in self._places:
            # The record itself is no longer needed, and there may be many.
            self._severed.append((replace(read, record=None), record["id"], name))
            return
        if read.problem:
            yield read.fault("malformed-record", read.problem)
            return
        faults = list(self._contents(read, record))
        root = self._roots.get(name)
        if root is None:
            faults.append(read.fault("severed-base", f"its base {_short(name)} does not read itself"))
        elif name in self._doubted and not faults:
            faults.append(read.fault("severed-base", f"its base {_short(name)} is not certain itself"))
        yield from faults
        if faults:
            self._doubted.add(record["id"])
        if root is None:
            return
        self._roots[record["id"]] = root
        chain = self._chains[root]
        chain.deltas += 1
        chain.last = read.seq

    def _contents(self, read: Read, record: dict[str, Value]) -> Iterator[ChainFault]:
        """Compare what a delta says of itself and of its base with what is there."""
        try:
            metadata, changes = self._changes_of(record)
        except UnusableRecord:
            return
        count = metadata.get("changeCount")
        if isinstance(count, int) and count != len(changes):
            yield read.fault("malformed-record", f"says it changes {count} atoms and names {len(changes)}")
        base = self._state_of(str(record["baseSnapshotId"])) if record["baseSnapshotId"] != record["id"] else None
        wrong = [] if base is None else [name for name, change in changes.items() if _contradicts(base, name, change)]
        if wrong:
            more = f" and {len(wrong) - 1} more atoms" if len(wrong) > 1 else ""
            text = f"what it says {_short(wrong[0])}{more} held before is not what its base holds"
            yield read.fault("contradicts-base", text)

    def finish(self, total: int) -> Iterator[ChainFault]:
        """See `RecordExaminer.finish`."""
        for read, identity, name in self._severed:
            where = self._places.get(name)
            if not name:
                text = f"the delta {_short(identity)} names no base"
            elif where is None:
                text = f"the delta {_short(identity)} stands on {_short(name)}, which is not in the file"
            else:
                text = f"the delta {_short(identity)} stands on {_short(name)}, which comes only later, at {where}"
            # A delta on its own is shown with what it implies of its base, as two entries.
            last = read.seq + read.made - 1 if read.made > 1 else None
            severity = None if last is None or total > read.made else "warning"
            yield read.fault("severed-base", text, last=last, severity=severity)
        for chain in self._chains.values():
            if chain.deltas > self._limit:
                text = (
                    f"{chain.deltas} deltas stand on {_short(chain.root)}; the package ends a chain at {self._limit}"
                )
                yield ChainFault("chain-over-limit", chain.place, text, chain.first, chain.last)


def _contradicts(base: State, name: str, change: dict[str, Value]) -> bool:
    """Whether a change names a value before it that its base does not have."""
    if change.get("changeType") == "added":
        return name in base
    if name not in base:
        return True
    old = change.get("oldValue", MISSING)
    # Undefined is not written at all, and NaN as null.
    return not (old is MISSING or json_equal(old, base[name]))


def _short(name: str) -> str:
    return repr(name if len(name) <= _NAMED else name[:_NAMED] + "…")


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
    """Whether a record is a full snapshot or a delta."""
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
    if probe.shape is SourceShape.DOCUMENT and _is_export(probe.document):
        return 95
    if probe.records and all(map(is_snapshot, probe.records)):
        return 90
    return 70 if probe.shape is SourceShape.DOCUMENT and _is_typed(probe.document) else 0


def _is_typed(document: Value) -> bool:
    """Whether a document is what the package's serialiser writes of a value, or a list of such."""
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
        """Report values that are not in the file."""
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
            # A delta on its own holds what its atoms were before; that much of its base is known.
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
        """Report content that is not in the file."""
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
    if probe.shape is SourceShape.LINES:
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
