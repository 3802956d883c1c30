"""Snapshots and deltas as bytes: what a history keeps, and what sizes are measured on (row N-17).

Values stand in their wire form as they were captured, so packing joins bytes and unpacking cuts them; no value is
encoded or decoded on the way.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from unspool.delta.apply import apply_ops, invert_ops
from unspool.errors import ContradictoryDelta, CorruptHistory, DeltaError
from unspool.model.entries import NO_META, ChangeKind
from unspool.model.keys import key_of, step_of
from unspool.model.values import Value
from unspool.model.wire import decode, encode
from unspool.snapshots.atoms import AtomChange, AtomEntry, entries_of, entry_of, row_of, rows_of, unpack_ops
from unspool.snapshots.snapshot import AnySnapshot, DeltaMetadata, DeltaSnapshot, Snapshot, SnapshotMetadata

_FULL, _DELTA = 0, 1
_DELTA_PARTS: Final = 5
_ADDED, _MODIFIED, _DELETED = 0, 1, 2
_CODES: Final = {ChangeKind.ADDED: _ADDED, ChangeKind.MODIFIED: _MODIFIED, ChangeKind.DELETED: _DELETED}
_KINDS: Final = {code: kind for kind, code in _CODES.items()}


def pack(snapshot: AnySnapshot) -> bytes:
    """Return a full or delta snapshot as bytes; origins are left behind."""
    if isinstance(snapshot, DeltaSnapshot):
        changes = {name: _change_row(change) for name, change in snapshot.changes.items()}
        ids = [snapshot.base_snapshot_id, snapshot.snapshot_id]
        return encode([_DELTA, snapshot.id, ids, _delta_row(snapshot.metadata), changes])
    meta = snapshot.metadata
    facts = [meta.timestamp, meta.action, meta.atom_count, dict(meta.extra) or None, snapshot.base_snapshot_id]
    return encode([_FULL, snapshot.id, facts, rows_of(snapshot.state)])


def unpack(data: bytes) -> AnySnapshot:
    """Rebuild what `pack` made.

    Raises:
        CorruptHistory: the bytes are no snapshot.
    """
    row = decode(data)
    try:
        if row[0] == _DELTA:
            return _delta(*row[1:])
        if row[0] == _FULL:
            return _full(*row[1:])
    except (TypeError, ValueError, KeyError, IndexError, AttributeError, DeltaError) as error:
        raise CorruptHistory(f"a stored snapshot does not unpack ({error})") from None
    raise CorruptHistory(f"a stored snapshot has the unknown kind {row[0]!r}; a newer unspool may have written it")


def unpack_full(data: bytes) -> Snapshot:
    """Rebuild a full snapshot.

    Raises:
        CorruptHistory: the bytes are none.
    """
    snapshot = unpack(data)
    if not isinstance(snapshot, Snapshot):
        raise CorruptHistory(f"delta {snapshot.id!r} stands where a full snapshot is due")
    return snapshot


def unpack_delta(data: bytes) -> DeltaSnapshot:
    """Rebuild a delta.

    Raises:
        CorruptHistory: the bytes are none.
    """
    snapshot = unpack(data)
    if not isinstance(snapshot, DeltaSnapshot):
        raise CorruptHistory(f"full snapshot {snapshot.id!r} stands where a delta is due")
    return snapshot


def unpack_changes(data: bytes) -> dict[str, list[Value]]:
    """Return the changes of a packed delta as rows, for `target_of`: all a trusted replay needs of it.

    Raises:
        CorruptHistory: the bytes are no delta.
    """
    row = decode(data)
    if not isinstance(row, list) or len(row) != _DELTA_PARTS or row[0] != _DELTA or not isinstance(row[-1], dict):
        raise CorruptHistory("a stored delta does not unpack")
    return row[-1]


def packed_size(snapshot: AnySnapshot) -> int:
    """Return the measured bytes of a full or delta snapshot."""
    return len(pack(snapshot))


def full_overhead(snapshot: Snapshot) -> int:
    """Return the bytes a packed full snapshot takes besides its atoms."""
    bare = len(pack(Snapshot(snapshot.id, {}, snapshot.metadata, snapshot.base_snapshot_id)))
    count = len(snapshot.state)
    return bare + (0 if count < _SMALL_MAP else 2 if count < _LARGE_MAP else 4)


def atom_size(name: str, entry: AtomEntry) -> int:
    """Return the bytes an atom takes in a packed full snapshot."""
    row = row_of(entry)
    if not isinstance(row, bytes):
        return len(encode(name)) + len(encode(row))
    size = len(row)
    return len(encode(name)) + size + (2 if size < _SMALL_BIN else 3 if size < _LARGE_MAP else 5)


_SMALL_MAP, _LARGE_MAP, _SMALL_BIN = 16, 1 << 16, 1 << 8
"""Where msgpack's headers grow."""


def _change_row(change: AtomChange) -> list[Value]:
    old, new = change.old, change.new
    row: list[Value] = [_CODES[change.kind]]
    if change.kind is ChangeKind.MODIFIED and old is not None and new is not None:
        # True: kind, name and id did not change.
        row.append([old.encoded, True] if old.has_facts_of(new) else [row_of(old), False])
        row.append(row_of(new))
    else:
        entry = old or new
        row.append(None if entry is None else row_of(entry))
    if change.packed_ops or change.paths:
        row.append(change.packed_ops)
    if change.paths:
        row.append([list(map(key_of, path)) for path in change.paths])
    return row


def _change(name: str, row: list[Value]) -> AtomChange:
    kind = _KINDS[row[0]]
    old, new = target_of(row, forward=False), target_of(row, forward=True)
    rest = row[3:] if kind is ChangeKind.MODIFIED else row[2:]
    paths = tuple(tuple(map(step_of, path)) for path in rest[1]) if len(rest) > 1 else ()
    return AtomChange(name, kind, old, new, rest[0] if rest else b"", paths)


def target_of(row: list[Value], *, forward: bool) -> AtomEntry | None:
    """Return the entry a packed change leads to, or the one it comes from; None where the atom is not there.

    An entry without a wire form has its value told by `ops_of`.
    """
    code = row[0]
    if code == _MODIFIED:
        new = row[2]
        if forward:
            return entry_of(new)
        old, has_same_facts = row[1]
        if not has_same_facts or type(new) is bytes:
            return entry_of(old)
        return entry_of(new).with_encoded(old)
    return entry_of(row[1]) if (code == _ADDED) is forward else None


def ops_of(row: list[Value]) -> bytes:
    """Return the packed ops of a packed modification."""
    ops: bytes = row[3]
    return ops


_PLAIN_FACTS: Final = (
    "timestamp", "action", "atom_count", "base_timestamp", "change_count", "compressed_size", "original_size",
    "history_index",
)  # fmt: skip


def _delta_row(meta: DeltaMetadata) -> list[Value]:
    row: list[Value] = [getattr(meta, name) for name in _PLAIN_FACTS]
    row += (list(meta.merged_from) or None, dict(meta.extra) or None)
    while row[-1] is None:
        row.pop()
    return row


def _delta(identity: str, ids: list[str], facts: list[Value], changes: Mapping[str, list[Value]]) -> DeltaSnapshot:
    *plain, merged, extra = facts + [None] * (10 - len(facts))
    told = dict(zip(_PLAIN_FACTS, plain, strict=True))
    meta = DeltaMetadata(**told, merged_from=tuple(merged or ()), extra=extra or NO_META)
    base, target = ids
    return DeltaSnapshot(identity, base, {name: _change(name, row) for name, row in changes.items()}, meta, target)


def _full(identity: str, facts: list[Value], state: Mapping[str, Value]) -> Snapshot:
    timestamp, action, count, extra, base = facts
    meta = SnapshotMetadata(timestamp, action, count, extra or NO_META)
    return Snapshot(identity, entries_of(state), meta, base)


@dataclass(slots=True)
class _Story:
    """What is known of an atom that ops tell.

    Attributes:
        facts: kind, name and id it ends with.
        ops: packed ops to apply, those of the last delta first.
    """

    facts: AtomEntry
    ops: list[bytes]


def lay_on(state: Mapping[str, AtomEntry], run: Iterable[bytes], *, forward: bool) -> dict[str, AtomEntry]:
    """Return the state at the end of a run of deltas.

    Args:
        state: the state the run starts from.
        run: packed deltas, the one laid on last first.
        forward: whether they are applied as they are; otherwise each is turned round.

    Raises:
        ContradictoryDelta: ops do not fit.
        CorruptHistory: the bytes are no deltas.
    """
    settled: dict[str, AtomEntry | None] = {}
    stories: dict[str, _Story] = {}
    for packed in run:
        for name, row in unpack_changes(packed).items():
            if name in settled:
                continue
            target = target_of(row, forward=forward)
            if target is None or target.encoded:
                settled[name] = target
            elif name in stories:
                stories[name].ops.append(ops_of(row))
            else:
                stories[name] = _Story(target, [ops_of(row)])
    result = dict(state)
    for name, entry in settled.items():
        if entry is None:
            result.pop(name, None)
        else:
            result[name] = entry
    for name, story in stories.items():
        result[name] = _told(name, story, result.get(name), forward=forward)
    return result


def _told(name: str, story: _Story, start: AtomEntry | None, *, forward: bool) -> AtomEntry:
    if start is None:
        raise ContradictoryDelta(f"a delta modifies atom {name!r}, which its base does not have")
    value = start.value
    for packed in reversed(story.ops):
        ops = unpack_ops(packed)
        value = apply_ops(value, ops if forward else invert_ops(ops))
    return story.facts.with_encoded(encode(value))
