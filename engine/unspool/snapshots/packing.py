"""Snapshots and deltas as bytes: what a history keeps, and what sizes are measured on.

Values stand in their wire form as they were captured, so packing joins bytes and unpacking cuts them; no value is
encoded or decoded on the way.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal, TypeAlias

import zstandard

from unspool.delta.apply import apply_ops, invert_ops
from unspool.errors import ContradictoryDelta, CorruptHistory, DeltaError
from unspool.model.encoding import encode
from unspool.model.entries import NO_META, ChangeKind
from unspool.model.keys import key_of
from unspool.model.paths import step_of
from unspool.model.values import Value
from unspool.model.wire import decode
from unspool.snapshots.atoms import AtomChange, AtomEntry, entries_of, entry_of, row_of, rows_of, unpack_ops
from unspool.snapshots.snapshot import AnySnapshot, DeltaMetadata, DeltaSnapshot, Snapshot, SnapshotMetadata

_FULL, _DELTA = 0, 1
_FULL_PARTS: Final = 4
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


def without_values(delta: DeltaSnapshot) -> DeltaSnapshot:
    """Return the delta as it is stored: modifications that have ops keep only these."""
    changes = {name: _lighter(change) for name, change in delta.changes.items()}
    return replace(delta, changes=changes)


def _lighter(change: AtomChange) -> AtomChange:
    if not change.packed_ops or change.old is None or change.new is None:
        return change
    return replace(change, old=change.old.with_encoded(b""), new=change.new.with_encoded(b""))


def without_ops(delta: DeltaSnapshot) -> DeltaSnapshot:
    """Return the delta with values only; changes told by ops alone are left as they are."""
    plain = {
        name: change if change.is_incremental or not change.packed_ops else replace(change, packed_ops=b"")
        for name, change in delta.changes.items()
    }
    return replace(delta, changes=plain)


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


def unpack_state(data: bytes) -> dict[str, AtomEntry]:
    """Return the entries of a packed full snapshot: all a trusted replay needs of it.

    Raises:
        CorruptHistory: the bytes are none.
    """
    row = decode(data)
    if not isinstance(row, list) or len(row) != _FULL_PARTS or row[0] != _FULL or not isinstance(row[-1], dict):
        raise CorruptHistory("a stored full snapshot does not unpack")
    return entries_of(row[-1])


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
        run: packed deltas, the one applied last first.
        forward: whether they are applied as they are; otherwise each is inverted.

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


CompressionLevel: TypeAlias = Literal["none", "light", "aggressive"]
COMPRESSION_LEVELS: Final = ("none", "light", "aggressive")
_ZSTD_LEVELS: Final = {"light": 3, "aggressive": 19}
_SMALLEST: Final = 128
"""Bytes below which compressing gains nothing."""


@dataclass(frozen=True, slots=True)
class PackedSnapshot:
    """One entry as it is kept.

    Attributes:
        is_full: whether it holds a full snapshot.
        data: its bytes.
        is_squeezed: whether these are compressed.
        packed_bytes: their number before compressing.
    """

    is_full: bool
    data: bytes
    is_squeezed: bool
    packed_bytes: int


class SnapshotWriter:
    """Turns snapshots into records and back at one compression level; not for use by two threads at once."""

    def __init__(self, level: CompressionLevel) -> None:
        """Choose the level."""
        self.level = level
        zstd_level = _ZSTD_LEVELS.get(level)
        self._compressor = None if zstd_level is None else zstandard.ZstdCompressor(level=zstd_level)
        self._decompressor = zstandard.ZstdDecompressor()

    def packed(self, snapshot: AnySnapshot) -> bytes:
        """Return the bytes of a snapshot before compressing, in the form this level stores."""
        if isinstance(snapshot, DeltaSnapshot):
            return pack(without_ops(snapshot) if self.level == "none" else without_values(snapshot))
        return pack(snapshot)

    def record(self, packed: bytes, *, is_full: bool) -> PackedSnapshot:
        """Return packed bytes as a record, compressed where that makes it smaller."""
        if self._compressor is not None and len(packed) >= _SMALLEST:
            squeezed = self._compressor.compress(packed)
            if len(squeezed) < len(packed):
                return PackedSnapshot(is_full, squeezed, True, len(packed))
        return PackedSnapshot(is_full, packed, False, len(packed))

    def state(self, record: PackedSnapshot) -> dict[str, AtomEntry]:
        """Return the entries of the full snapshot of a record.

        Raises:
            CorruptHistory: the bytes are none.
        """
        return unpack_state(self.bytes_of(record))

    def full(self, record: PackedSnapshot) -> Snapshot:
        """Return the full snapshot of a record.

        Raises:
            CorruptHistory: the bytes are none.
        """
        return unpack_full(self.bytes_of(record))

    def delta(self, record: PackedSnapshot) -> DeltaSnapshot:
        """Return the delta of a record.

        Raises:
            CorruptHistory: the bytes are none.
        """
        return unpack_delta(self.bytes_of(record))

    def bytes_of(self, record: PackedSnapshot) -> bytes:
        """Return the packed bytes of a record.

        Raises:
            CorruptHistory: they do not decompress.
        """
        if not record.is_squeezed:
            return record.data
        try:
            return self._decompressor.decompress(record.data)
        except zstandard.ZstdError as error:
            raise CorruptHistory(f"a kept snapshot does not decompress ({error})") from None
