"""Sealed entries: their columns, and zstd frames that are bounded when they are read and named by their block when damaged."""

from __future__ import annotations

import sys
import threading
from array import array
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate, pairwise
from operator import add
from typing import Final

import msgspec
import zstandard
from msgspec import Struct

from unspool.codec.records import Record, RecordCodec
from unspool.errors import CorruptHistory
from unspool.model import wire
from unspool.model.encoding import encode
from unspool.model.entries import NO_META, ChangeKind, Entry, usual_id
from unspool.model.limits import FREE_BYTES, in_force
from unspool.model.values import Value

LEVEL: Final = 3
"""zstd level of live sealing; 9 would save at most 17 % for several times the work."""
_WINDOW: Final = 1 << 31


def compress(
    data: bytes, prefix: zstandard.ZstdCompressionDict | None = None, level: int = LEVEL, *, checksum: bool = True
) -> bytes:
    """Compress with zstd against a prefix where one is given.

    Args:
        data: any bytes.
        prefix: what to compress against.
        level: zstd level.
        checksum: let the frame hold a checksum; needless where the stored bytes are under one.
    """
    if prefix is None:
        return zstandard.ZstdCompressor(level, write_checksum=checksum).compress(data)
    parameters = zstandard.ZstdCompressionParameters.from_level(
        level,
        # The window must span prefix and data, or the prefix goes unseen.
        window_log=min(27, max(17, (len(data) + len(prefix) + 1024).bit_length())),
        write_checksum=checksum,
        enable_ldm=len(data) > 1 << 20,
    )
    return zstandard.ZstdCompressor(dict_data=prefix, compression_params=parameters).compress(data)


def decompressor(prefix: zstandard.ZstdCompressionDict) -> zstandard.ZstdDecompressor:
    """Return what reads frames that were compressed against a prefix; not to be used by two threads at once."""
    return zstandard.ZstdDecompressor(dict_data=prefix, max_window_size=_WINDOW)


def decompress(data: bytes, first: int, with_prefix: zstandard.ZstdDecompressor | None = None) -> bytes:
    """Decompress what `compress` made, and verify the checksum it holds.

    Raises:
        CorruptHistory: it is damaged, or claims an absurd size.
    """
    if not isinstance(data, bytes):
        # A damaged page may turn a value into another type.
        raise damaged(first, "its bytes are gone")
    try:
        _check_claim(len(data), zstandard.frame_content_size(data), first)
        return (with_prefix or _plain_decompressor()).decompress(data)
    except zstandard.ZstdError as error:
        raise damaged(first, str(error)) from None


def _check_claim(packed: int, claimed: int, first: int) -> None:
    """Refuse a frame by the size that it claims, which zstd holds it to.

    Raises:
        CorruptHistory: it claims more than the limits allow.
    """
    limits = in_force()
    if claimed > limits.frame_bytes:
        raise damaged(first, f"it claims to unfold to {claimed:,} bytes; {limits.remedy('frame_bytes')}")
    if claimed > FREE_BYTES and claimed > packed * limits.expansion:
        raise damaged(first, f"it claims {claimed:,} bytes from {packed:,}; {limits.remedy('expansion')}")


def _plain_decompressor() -> zstandard.ZstdDecompressor:
    """Return this thread's decompressor: one must not be used by two threads at once."""
    known: zstandard.ZstdDecompressor | None = getattr(_of_thread, "decompressor", None)
    if known is None:
        known = _of_thread.decompressor = zstandard.ZstdDecompressor(max_window_size=_WINDOW)
    return known


_of_thread: Final = threading.local()


def raw_prefix(state: bytes) -> zstandard.ZstdCompressionDict:
    """Return a full record as a prefix to compress against."""
    return zstandard.ZstdCompressionDict(state, dict_type=zstandard.DICT_TYPE_RAWCONTENT)


def damaged(first: object, why: str) -> CorruptHistory:
    """Return the error that names a damaged block."""
    return CorruptHistory(
        f"the block that starts at entry {first} is damaged ({why}); "
        "`unspool doctor FILE --repair OUT` keeps what is intact",
        seq=first if isinstance(first, int) else None,
    )


KIND_BITS: Final = 2
"""Low bits of a posting that tell the kind of change; the rest is the atom's number."""
CHANGE_CODES: Final = {ChangeKind.ADDED: 0, ChangeKind.MODIFIED: 1, ChangeKind.DELETED: 2}
CHANGE_KINDS: Final = (ChangeKind.ADDED, ChangeKind.MODIFIED, ChangeKind.DELETED)


class TailRow(msgspec.Struct, frozen=True):
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
        before: checksum of the entry before it, where the format keeps one.
        crc: its own checksum, where the format keeps one.
    """

    seq: int
    time_ns: int
    record: Record
    full_bytes: int
    action: str
    changed: array[int]
    extra: dict[str, Value]
    stored: int
    before: int = 0
    crc: int = 0


def part_of(extra: Mapping[str, Value]) -> tuple[str, ...] | None:
    """Return the atoms that an entry's fork concerns, from what is unusual about the entry; None for all of them."""
    part = extra.get("part")
    return tuple(map(str, part)) if isinstance(part, list) else None


def posting(number: int, kind: ChangeKind) -> int:
    """Pack an atom's number and what happened to it."""
    return number << KIND_BITS | CHANGE_CODES[kind]


class PackedColumns(msgspec.Struct, array_like=True):
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


CODECS: Final = bytes(RecordCodec)
"""All known codecs, as bytes."""
_encode: Final = msgspec.msgpack.Encoder().encode
_decode_columns: Final = msgspec.msgpack.Decoder(PackedColumns).decode
_decode_records: Final = msgspec.msgpack.Decoder(list[bytes]).decode


def _pack(values: array[int]) -> bytes:
    if sys.byteorder == "big":
        values = array(values.typecode, values)
        values.byteswap()
    return values.tobytes()


def unpack_numbers(typecode: str, data: bytes | bytearray) -> array[int]:
    """Read an array of little-endian numbers; raises ValueError for a broken length."""
    values = array(typecode)
    values.frombytes(data)
    if sys.byteorder == "big":
        values.byteswap()
    return values


def split_planes(numbers: array[int]) -> bytes:
    """Return numbers as byte planes, all lowest bytes first: these compress far better than whole numbers."""
    width = numbers.itemsize
    data = _pack(numbers)
    return b"".join([data[place::width] for place in range(width)])


def join_planes(typecode: str, data: bytes) -> array[int]:
    """Read numbers from byte planes; raises ValueError for a broken length."""
    width = array(typecode).itemsize
    count, odd = divmod(len(data), width)
    if odd:
        raise ValueError(f"{len(data)} bytes are no numbers of {width} bytes")
    joined = bytearray(len(data))
    for plane in range(width):
        joined[plane::width] = data[plane * count : (plane + 1) * count]
    return unpack_numbers(typecode, joined)


_WORD: Final = 1 << 64
_HALF: Final = 1 << 63


def pack_times(times: Sequence[int]) -> bytes:
    """Return times as differences from one to the next, as little-endian 64-bit numbers.

    Two times may lie farther apart than 64 signed bits hold; differences wrap around, and sums wrap back.
    """
    steps = [times[0], *(later - earlier for earlier, later in pairwise(times))]
    try:
        return _pack(array("q", steps))
    except OverflowError:
        return _pack(array("q", map(_wrapped, steps)))


def unpack_times(data: bytes) -> array[int]:
    """Read times from their differences; raises ValueError for a broken length."""
    times = list(accumulate(unpack_numbers("q", data)))
    try:
        return array("q", times)
    except OverflowError:
        return array("q", map(_wrapped, times))


def _wrapped(number: int) -> int:
    """Return what 64 signed bits keep of a number."""
    return (number + _HALF) % _WORD - _HALF


def pack_postings(postings: array[int]) -> bytes:
    """Return postings as little-endian bytes."""
    return _pack(postings)


def unpack_postings(data: bytes) -> array[int]:
    """Read postings from little-endian bytes."""
    return unpack_numbers("I", data)


def unpack_columns(first: int, data: bytes) -> PackedColumns:
    """Read the metadata of a block no further than to its arrays' bytes.

    Raises:
        CorruptHistory: it is damaged.
    """
    try:
        columns = _decode_columns(decompress(data, first))
    except msgspec.MsgspecError as error:
        raise damaged(first, str(error)) from None
    unknown = columns.codecs.translate(None, CODECS)
    if unknown:
        raise damaged(first, f"its codec {unknown[0]} is unknown; a newer unspool may have written it")
    return columns


_KIND_OF: Final = {int(codec): (codec.kind, codec.is_full) for codec in RecordCodec}


class BlockColumns(Struct, frozen=True):
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
        kind, is_full = _KIND_OF[self.codecs[at]]
        return Entry(
            seq=seq,
            id=extra.get("id") or usual_id(history_id, seq),
            kind=kind,
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
            part=part_of(extra),
        )

    @property
    def facts(self) -> tuple[object, ...]:
        """All that is told of each entry, for comparing; the same actions may be numbered differently."""
        actions = [self.actions[place] for place in self.action_of]
        numbers = (self.times, self.codecs, self.added, self.modified, self.deleted, self.stored, self.full)
        extras = {at: encode(extra) for at, extra in self.extras.items()}
        return (*numbers, actions, self.changed, list(self.offsets), extras)

    def postings(self, at: int) -> array[int]:
        """Return the postings of the entry at a place in the block."""
        return self.changed[self.offsets[at] : self.offsets[at + 1]]


def encode_columns(rows: Sequence[TailRow]) -> bytes:
    """Return the metadata of entries in a row, packed and not compressed."""
    actions = list(dict.fromkeys(row.action for row in rows))
    places = {action: place for place, action in enumerate(actions)}
    changed = array("I")
    counts = array("I")
    for row in rows:
        changed.extend(row.changed)
        kinds = [item & 3 for item in row.changed]
        counts.extend((kinds.count(0), kinds.count(1), kinds.count(2)))
    columns = PackedColumns(
        times=pack_times([row.time_ns for row in rows]),
        codecs=bytes(row.record.codec for row in rows),
        counts=_pack(counts),
        stored=_pack(array("I", [min(row.stored, 0xFFFFFFFF) for row in rows])),
        full=_pack(array("I", [min(row.full_bytes, 0xFFFFFFFF) for row in rows])),
        actions=actions,
        action_of=_pack(array("H", [places[row.action] for row in rows])),
        changed=_pack(changed),
        extras={at: encode(row.extra) for at, row in enumerate(rows) if row.extra},
    )
    return _encode(columns)


def decode_columns(first: int, count: int, data: bytes) -> BlockColumns:
    """Read the metadata of a block.

    Raises:
        CorruptHistory: it is damaged.
    """
    try:
        columns = unpack_columns(first, data)
        times = unpack_times(columns.times)
        counts = unpack_numbers("I", columns.counts)
        added, modified, deleted = counts[0::3], counts[1::3], counts[2::3]
        offsets = list(accumulate(map(add, map(add, added, modified), deleted), initial=0))
        block = BlockColumns(
            first, times, array("B", columns.codecs), added, modified, deleted,
            unpack_numbers("I", columns.stored), unpack_numbers("I", columns.full), columns.actions,
            unpack_numbers("H", columns.action_of), unpack_numbers("I", columns.changed), offsets,
            {at: wire.decode(extra) for at, extra in columns.extras.items()},
        )  # fmt: skip
    except (msgspec.MsgspecError, ValueError, IndexError, OverflowError) as error:
        raise damaged(first, str(error)) from None
    columns_of = (times, block.codecs, deleted, added, block.stored, block.full, block.action_of)
    if {len(column) for column in columns_of} != {count} or len(block.changed) != offsets[-1]:
        raise damaged(first, "its columns differ in length")
    is_odd = not all(isinstance(extra, dict) for extra in block.extras.values())
    if is_odd or max(block.action_of, default=-1) >= len(block.actions):
        raise damaged(first, "its columns do not fit each other")
    return block


ATOMS_BITS: Final = 512


def atoms_bitmap(changed: Iterable[int]) -> bytes:
    """Return which atoms a block's postings name, as 512 bits; atoms that share a bit are distinguished by reading on."""
    bits = bytearray(ATOMS_BITS // 8)
    for item in changed:
        number = (item >> KIND_BITS) % ATOMS_BITS
        bits[number >> 3] |= 1 << (number & 7)
    return bytes(bits)


def may_name(bitmap: bytes, number: int) -> bool:
    """Whether a bitmap may name an atom; False is certain."""
    place = number % (8 * len(bitmap))
    return bool(bitmap[place >> 3] >> (place & 7) & 1)


def encode_records(payloads: Sequence[bytes]) -> bytes:
    """Return the records of a block, packed and not compressed."""
    return _encode(list(payloads))


def decode_records(first: int, data: bytes) -> list[bytes]:
    """Read the records of a block from what `encode_records` packed.

    Raises:
        CorruptHistory: they are damaged.
    """
    try:
        return _decode_records(data)
    except msgspec.DecodeError as error:
        raise damaged(first, str(error)) from None
