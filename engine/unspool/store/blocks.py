"""Sealed blocks: many entries as one compressed row of metadata and one of records."""

from __future__ import annotations

import sys
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from operator import add
from typing import Final

import msgspec
import zstandard

from unspool.codec.records import Record, RecordCodec
from unspool.model import wire
from unspool.model.entries import NO_META, ChangeKind, Entry, EntryKind
from unspool.model.values import Value
from unspool.store.frames import LEVEL, compress, damaged, decompress
from unspool.store.protocol import Columns

KIND_BITS: Final = 2
"""Low bits of a posting that tell the kind of change; the rest is the atom's number."""
CHANGE_CODES: Final = {ChangeKind.ADDED: 0, ChangeKind.MODIFIED: 1, ChangeKind.DELETED: 2}
CHANGE_KINDS: Final = (ChangeKind.ADDED, ChangeKind.MODIFIED, ChangeKind.DELETED)


class Row(msgspec.Struct, frozen=True):
    """One entry as the tail holds it.

    Attributes:
        seq: its number.
        time_ns: nanoseconds since the epoch.
        record: its content.
        full_bytes: bytes of the whole state.
        action: why it happened.
        changed: postings: atom number and kind of change, as `posting` packs them.
        extra: id, parent and meta where they are not the usual ones.
        stored: bytes of the record as it was recorded.
    """

    seq: int
    time_ns: int
    record: Record
    full_bytes: int
    action: str
    changed: array[int]
    extra: dict[str, Value]
    stored: int


def posting(number: int, kind: ChangeKind) -> int:
    """Pack an atom's number and what happened to it."""
    return number << KIND_BITS | CHANGE_CODES[kind]


class _Columns(msgspec.Struct, array_like=True):
    """The metadata of a block; arrays are little-endian."""

    times: bytes
    codecs: bytes
    counts: bytes
    stored: bytes
    full: bytes
    actions: list[str]
    action_of: bytes
    changed: bytes
    extras: dict[int, bytes]


_encode: Final = msgspec.msgpack.Encoder().encode
_decode_columns: Final = msgspec.msgpack.Decoder(_Columns).decode
_decode_records: Final = msgspec.msgpack.Decoder(list[bytes]).decode


def _pack(values: array[int]) -> bytes:
    if sys.byteorder == "big":
        values = array(values.typecode, values)
        values.byteswap()
    return values.tobytes()


def _unpack(typecode: str, data: bytes) -> array[int]:
    values = array(typecode)
    values.frombytes(data)
    if sys.byteorder == "big":
        values.byteswap()
    return values


def pack_postings(postings: array[int]) -> bytes:
    """Return postings as little-endian bytes."""
    return _pack(postings)


def unpack_postings(data: bytes) -> array[int]:
    """Read postings from little-endian bytes."""
    return _unpack("I", data)


def extend_columns(columns: Columns, first: int, count: int, data: bytes) -> None:
    """Append a block's rows to a screen's columns: what `decode_columns` does, without what screens do not need.

    Raises:
        CorruptHistory: the block is damaged; `columns` is unchanged then.
    """
    try:
        block = _decode_columns(decompress(data, first))
        counts = _unpack("I", block.counts)
        fields = (_unpack("q", block.times), _unpack("I", block.stored), _unpack("I", block.full))
    except (msgspec.MsgspecError, ValueError) as error:
        raise damaged(first, str(error)) from None
    if not len(counts) == 3 * count or any(len(field) != count for field in (*fields, block.codecs)):
        raise damaged(first, "its columns differ in length")
    columns.timestamp_ns.extend(accumulate(fields[0]))
    columns.codec.frombytes(block.codecs)
    columns.kind.frombytes(block.codecs.translate(_IS_FULL))
    columns.added.extend(counts[0::3])
    columns.modified.extend(counts[1::3])
    columns.deleted.extend(counts[2::3])
    columns.stored.extend(fields[1])
    columns.full_bytes.extend(fields[2])


_IS_FULL: Final = bytes(code in (RecordCodec.NONE, RecordCodec.COMPRESS) for code in range(256))


@dataclass(frozen=True, slots=True)
class BlockColumns:
    """The metadata of the entries of one block, as arrays.

    Attributes:
        first: number of the first entry.
        times: nanoseconds since the epoch.
        codecs: how records are read.
        added, modified, deleted: atoms changed, by entry.
        stored: record bytes as recorded.
        full: bytes of the whole state.
        actions: the block's actions, each once.
        action_of: place of each entry's action among them.
        changed: postings of all entries in a row.
        offsets: where each entry's postings start; one more at the end.
        extras: wire forms of what is unusual, by entry.
    """

    first: int
    times: array[int]
    codecs: array[int]
    added: array[int]
    modified: array[int]
    deleted: array[int]
    stored: array[int]
    full: array[int]
    actions: Sequence[str]
    action_of: array[int]
    changed: array[int]
    offsets: Sequence[int]
    extras: dict[int, dict[str, Value]]

    def entry(self, at: int, history_id: str) -> Entry:
        """Return the entry at a place in the block."""
        seq = self.first + at
        extra = self.extras.get(at, {})
        before = seq - 1 if seq else None
        is_full = RecordCodec(self.codecs[at]).is_full
        return Entry(
            seq=seq,
            id=extra.get("id") or f"{history_id}-{seq}",
            kind=EntryKind.FULL if is_full else EntryKind.DELTA,
            base_seq=None if is_full else before,
            timestamp_ns=self.times[at],
            action=self.actions[self.action_of[at]],
            added=self.added[at],
            modified=self.modified[at],
            deleted=self.deleted[at],
            stored_bytes=self.stored[at],
            full_bytes=self.full[at],
            meta=extra.get("meta", NO_META),
            parent_seq=extra.get("parent", before),
        )

    def writes_of(self, number: int) -> list[int]:
        """Return the entries that changed an atom."""
        hits = []
        for code in range(len(CHANGE_KINDS)):
            wanted = number << KIND_BITS | code
            place = -1
            while True:
                try:
                    place = self.changed.index(wanted, place + 1)
                except ValueError:
                    break
                hits.append(self.first + bisect_right(self.offsets, place) - 1)
        return sorted(hits)

    def postings(self, at: int) -> array[int]:
        """Return the postings of the entry at a place in the block."""
        return self.changed[self.offsets[at] : self.offsets[at + 1]]


def encode_columns(rows: Sequence[Row], level: int = LEVEL) -> bytes:
    """Return the compressed metadata of entries in a row."""
    actions = list(dict.fromkeys(row.action for row in rows))
    places = {action: place for place, action in enumerate(actions)}
    changed = array("I")
    counts = array("I")
    for row in rows:
        changed.extend(row.changed)
        kinds = [item & 3 for item in row.changed]
        counts.extend((kinds.count(0), kinds.count(1), kinds.count(2)))
    times = array("q", [rows[0].time_ns])
    times.extend(later.time_ns - earlier.time_ns for earlier, later in pairwise(rows))
    columns = _Columns(
        times=_pack(times),
        codecs=bytes(row.record.codec for row in rows),
        counts=_pack(counts),
        stored=_pack(array("I", [min(row.stored, 0xFFFFFFFF) for row in rows])),
        full=_pack(array("I", [min(row.full_bytes, 0xFFFFFFFF) for row in rows])),
        actions=actions,
        action_of=_pack(array("H", [places[row.action] for row in rows])),
        changed=_pack(changed),
        extras={at: wire.encode(row.extra) for at, row in enumerate(rows) if row.extra},
    )
    return compress(_encode(columns), level=level)


def decode_columns(first: int, count: int, data: bytes) -> BlockColumns:
    """Read the metadata of a block.

    Raises:
        CorruptHistory: it is damaged.
    """
    try:
        columns = _decode_columns(decompress(data, first))
        times = array("q", accumulate(_unpack("q", columns.times)))
        counts = _unpack("I", columns.counts)
        added, modified, deleted = counts[0::3], counts[1::3], counts[2::3]
        offsets = list(accumulate(map(add, map(add, added, modified), deleted), initial=0))
        block = BlockColumns(
            first, times, array("B", columns.codecs), added, modified, deleted,
            _unpack("I", columns.stored), _unpack("I", columns.full), columns.actions,
            _unpack("H", columns.action_of), _unpack("I", columns.changed), offsets,
            {at: wire.decode(extra) for at, extra in columns.extras.items()},
        )  # fmt: skip
    except (msgspec.MsgspecError, ValueError, IndexError, OverflowError) as error:
        raise damaged(first, str(error)) from None
    if not len(times) == len(block.action_of) == count or len(block.changed) != offsets[-1]:
        raise damaged(first, "its columns differ in length")
    return block


ATOMS_BITS: Final = 512


def atoms_bitmap(changed: Iterable[int]) -> bytes:
    """Return which atoms a block's postings name, as 512 bits; atoms that share a bit are told apart by reading on."""
    bits = bytearray(ATOMS_BITS // 8)
    for item in changed:
        number = (item >> KIND_BITS) % ATOMS_BITS
        bits[number >> 3] |= 1 << (number & 7)
    return bytes(bits)


def may_name(bitmap: bytes, number: int) -> bool:
    """Say whether a bitmap may name an atom; False is certain."""
    place = number % ATOMS_BITS
    return bool(bitmap[place >> 3] >> (place & 7) & 1)


def encode_records(
    payloads: Sequence[bytes], prefix: zstandard.ZstdCompressionDict | None, level: int = LEVEL
) -> bytes:
    """Return the compressed records of a block, against its segment's keyframe."""
    return compress(_encode(list(payloads)), prefix, level)


def decode_records(first: int, data: bytes, decompressor: zstandard.ZstdDecompressor) -> list[bytes]:
    """Read the records of a block with its segment's decompressor.

    Raises:
        CorruptHistory: they are damaged.
    """
    try:
        return _decode_records(decompress(data, first, decompressor))
    except msgspec.DecodeError as error:
        raise damaged(first, str(error)) from None
