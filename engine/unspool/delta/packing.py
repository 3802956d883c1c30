"""Snapshots and deltas as bytes: what a history keeps, and what sizes are measured on (row N-17).

Values stand in their wire form as they were captured, so packing joins bytes and unpacking cuts them; no value is
encoded or decoded on the way.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from unspool.errors import CorruptHistory, DeltaError
from unspool.model.atoms import PRIMITIVE, AtomChange, AtomEntry
from unspool.model.entries import NO_META, ChangeKind
from unspool.model.snapshot_metadata import DeltaMetadata, SnapshotMetadata
from unspool.model.snapshots import AnySnapshot, DeltaSnapshot, Snapshot
from unspool.model.values import Value
from unspool.model.wire import decode, encode

_FULL, _DELTA = 0, 1
_CODES: Final = {ChangeKind.ADDED: 0, ChangeKind.MODIFIED: 1, ChangeKind.DELETED: 2}
_KINDS: Final = {code: kind for kind, code in _CODES.items()}


def pack(snapshot: AnySnapshot) -> bytes:
    """Return a full or delta snapshot as bytes; origins are left behind."""
    if isinstance(snapshot, DeltaSnapshot):
        changes = {name: _change_row(change) for name, change in snapshot.changes.items()}
        ids = [snapshot.base_snapshot_id, snapshot.snapshot_id]
        return encode([_DELTA, snapshot.id, ids, _delta_row(snapshot.metadata), changes])
    meta = snapshot.metadata
    facts = [meta.timestamp, meta.action, meta.atom_count, dict(meta.extra) or None, snapshot.base_snapshot_id]
    return encode([_FULL, snapshot.id, facts, {name: _entry_row(entry) for name, entry in snapshot.state.items()}])


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


def packed_size(snapshot: AnySnapshot) -> int:
    """Return the measured bytes of a full or delta snapshot."""
    return len(pack(snapshot))


def _entry_row(entry: AtomEntry) -> Value:
    facts = [entry.type, entry.name, entry.atom_id]
    if facts == [PRIMITIVE, None, None]:
        return entry.encoded
    while facts[-1] is None:
        facts.pop()
    return [entry.encoded, *facts]


def _entry(row: Value) -> AtomEntry:
    return AtomEntry.from_encoded(row) if type(row) is bytes else AtomEntry.from_encoded(*row)


def _change_row(change: AtomChange) -> list[Value]:
    old, new = change.old, change.new
    row: list[Value] = [_CODES[change.kind]]
    if change.kind is ChangeKind.MODIFIED and old is not None and new is not None:
        # True: kind, name and id did not change.
        row.append([old.encoded, True] if old.has_facts_of(new) else [_entry_row(old), False])
        row.append(_entry_row(new))
    else:
        entry = old or new
        row.append(None if entry is None else _entry_row(entry))
    if change.packed_ops or change.paths:
        row.append(change.packed_ops)
    if change.paths:
        row.append([list(path) for path in change.paths])
    return row


def _change(name: str, row: list[Value]) -> AtomChange:
    kind = _KINDS[row[0]]
    if kind is not ChangeKind.MODIFIED:
        entry = _entry(row[1])
        old, new = (entry, None) if kind is ChangeKind.DELETED else (None, entry)
        rest = row[2:]
    else:
        new, rest = _entry(row[2]), row[3:]
        old_row, same_facts = row[1]
        old = new.with_encoded(old_row) if same_facts else _entry(old_row)
    ops = rest[0] if rest else b""
    paths = tuple(tuple(path) for path in rest[1]) if len(rest) > 1 else ()
    return AtomChange(name, kind, old, new, ops, paths)


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
    return Snapshot(identity, {name: _entry(row) for name, row in state.items()}, meta, base)
