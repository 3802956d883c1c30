"""Columns of many entries in bulk: how they are packed, cut into spans and filled."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import accumulate, chain, repeat
from operator import add, itemgetter
from struct import Struct
from typing import Final

import msgspec

from unspool.errors import CorruptHistory
from unspool.model import wire
from unspool.model.encoding import encode
from unspool.model.values import Value
from unspool.store.blocks import (
    CHANGE_KINDS,
    CODECS,
    KIND_BITS,
    BlockColumns,
    PackedColumns,
    compress,
    damaged,
    decompress,
    join_planes,
    pack_postings,
    split_planes,
    unpack_columns,
    unpack_numbers,
    unpack_postings,
    unpack_times,
)
from unspool.store.protocol import KINDS_BY_CODEC, Columns

SPAN_ENTRIES: Final = 4096
"""Entries from which on blocks are folded into a span."""
MOST_ENTRIES: Final = 1 << 14
"""Entries that a span can hold: a place and a kind of change fit 16 bits."""
SPAN_BITS: Final = 2048
"""Of the set of atoms that a span names."""
KIND_MASK: Final = (1 << KIND_BITS) - 1
_COUNT: Final = Struct("<I")
_NUMBER_BYTES: Final = 8 + 1 + 3 * 4 + 2 * 4
"""Bytes of an entry's numbers: time, codec, three counts, two sizes."""


class Texts(msgspec.Struct, array_like=True):
    """What is asked for of few entries: actions, and what is unusual, by place.

    Attributes:
        actions: the span's actions, each once.
        action_of: place of each entry's action among them, as byte planes.
        order: postings of entries that do not name their atoms in the order of numbers.
        extras: wire forms of what is unusual.
    """

    actions: list[str]
    action_of: bytes
    order: dict[int, bytes]
    extras: msgspec.Raw


class SpanParts(msgspec.Struct, frozen=True):
    """A span packed and compressed.

    Attributes:
        numbers: times, codecs, counts and sizes.
        places: postings by atom.
        texts: the rest.
    """

    numbers: bytes
    places: bytes
    texts: bytes


_encode: Final = msgspec.msgpack.Encoder().encode
_decode_texts: Final = msgspec.msgpack.Decoder(Texts).decode
decode_extras: Final = msgspec.msgpack.Decoder(dict[int, bytes]).decode


def pack_span(blocks: Sequence[BlockColumns], level: int) -> SpanParts:
    """Return the metadata of blocks in a row as a span."""
    times, codecs = array("q"), array("B")
    added, modified, deleted, stored, full = (array("I") for _ in range(5))
    actions: dict[str, int] = {}
    action_of = array("I")
    changed = array("I")
    extras: dict[int, bytes] = {}
    for block in blocks:
        start = len(times)
        times += block.times
        codecs += block.codecs
        added += block.added
        modified += block.modified
        deleted += block.deleted
        stored += block.stored
        full += block.full
        places = [actions.setdefault(action, len(actions)) for action in block.actions]
        action_of.extend(places[place] for place in block.action_of)
        extras.update((start + at, encode(extra)) for at, extra in block.extras.items())
        changed += block.changed
    counts = map(add, map(add, added, modified), deleted)
    where = list(chain.from_iterable(map(repeat, range(len(times)), counts)))
    numbers = b"".join(
        (split_planes(times), codecs.tobytes(), *map(split_planes, (added, modified, deleted, stored, full)))
    )
    order = _unordered(changed, where)
    texts = Texts(list(actions), split_planes(action_of), order, msgspec.Raw(_encode(extras)))
    return SpanParts(
        compress(numbers, level=level, checksum=False),
        compress(_pack_places(changed, where), level=level, checksum=False),
        compress(_encode(texts), level=level, checksum=False),
    )


def _pack_places(changed: array[int], where: Sequence[int]) -> bytes:
    """Pack postings by atom.

    Args:
        changed: postings of all entries in a row.
        where: the place of the entry of each.
    """
    # Sorted as whole numbers: by atom, then by place.
    keys = sorted(
        [
            item >> KIND_BITS << 16 | at << KIND_BITS | item & KIND_MASK
            for item, at in zip(changed, where, strict=True)
        ]
    )
    counted = Counter([key >> 16 for key in keys])
    places = array("H", [key & 0xFFFF for key in keys])
    atoms, counts = array("I", counted), array("I", counted.values())
    return b"".join((_COUNT.pack(len(atoms)), split_planes(atoms), split_planes(counts), split_planes(places)))


def _unordered(changed: array[int], where: Sequence[int]) -> dict[int, bytes]:
    """Return the postings of entries that do not name their atoms in the order of numbers, by place."""
    odd = {
        at
        for item, later, at, next_at in zip(changed, changed[1:], where, where[1:], strict=False)
        if at == next_at and item >> KIND_BITS >= later >> KIND_BITS
    }
    found: dict[int, bytes] = {}
    for at in sorted(odd):
        first = bisect_left(where, at)
        found[at] = pack_postings(changed[first : bisect_right(where, at, first)])
    return found


def span_bitmap(blocks: Sequence[BlockColumns]) -> bytes:
    """Return which atoms blocks name, as 2048 bits."""
    bits = bytearray(SPAN_BITS // 8)
    for number in {item >> KIND_BITS for block in blocks for item in block.changed}:
        place = number % SPAN_BITS
        bits[place >> 3] |= 1 << (place & 7)
    return bytes(bits)


class SpanNumbers(msgspec.Struct, frozen=True):
    """The numbers of a span's entries; see `BlockColumns` for what they are."""

    times: array[int]
    codecs: bytes
    added: array[int]
    modified: array[int]
    deleted: array[int]
    stored: array[int]
    full: array[int]


def unpack_span_numbers(first: int, count: int, data: bytes) -> SpanNumbers:
    """Read the numbers of a span.

    Raises:
        CorruptHistory: they are damaged.
    """
    plain = decompress(data, first)
    if len(plain) != _NUMBER_BYTES * count:
        raise damaged(first, "the numbers of its span differ in length")
    codecs = plain[8 * count : 9 * count]
    if codecs.translate(None, CODECS):
        raise damaged(first, "its span has an unknown codec; a newer unspool may have written it")
    width = 4 * count
    counts = [join_planes("I", plain[9 * count + at * width : 9 * count + (at + 1) * width]) for at in range(5)]
    return SpanNumbers(join_planes("q", plain[: 8 * count]), codecs, *counts)


class SpanPlaces(msgspec.Struct, frozen=True):
    """The postings of a span, by atom.

    Attributes:
        atoms: numbers of atoms, ascending.
        ends: where each one's places end.
        places: place of an entry and kind of change, packed as a posting is.
    """

    atoms: array[int]
    ends: Sequence[int]
    places: array[int]

    def of(self, number: int) -> array[int]:
        """Return the places that name an atom, in order."""
        try:
            at = self.atoms.index(number)
        except ValueError:
            return self.places[:0]
        return self.places[self.ends[at - 1] if at else 0 : self.ends[at]]


def unpack_span_places(first: int, data: bytes) -> SpanPlaces:
    """Read the postings of a span.

    Raises:
        CorruptHistory: they are damaged.
    """
    plain = decompress(data, first)
    atoms = _COUNT.unpack_from(plain)[0] if len(plain) >= _COUNT.size else -1
    start = _COUNT.size + 8 * atoms
    if atoms < 0 or len(plain) < start or (len(plain) - start) % 2:
        raise damaged(first, "the postings of its span differ in length")
    middle = _COUNT.size + 4 * atoms
    ends = list(accumulate(join_planes("I", plain[middle:start])))
    places = join_planes("H", plain[start:])
    if (ends[-1] if ends else 0) != len(places):
        raise damaged(first, "the postings of its span differ in length")
    return SpanPlaces(join_planes("I", plain[_COUNT.size : middle]), ends, places)


def unpack_span_texts(first: int, data: bytes) -> Texts:
    """Read the rest of a span.

    Raises:
        CorruptHistory: it is damaged.
    """
    try:
        return _decode_texts(decompress(data, first))
    except msgspec.MsgspecError as error:
        raise damaged(first, str(error)) from None


class SpanColumns:
    """A whole span taken apart, from which the metadata of its blocks is cut."""

    def __init__(self, first: int, count: int, parts: SpanParts) -> None:
        """Read it.

        Raises:
            CorruptHistory: it is damaged.
        """
        self.first = first
        self._numbers = unpack_span_numbers(first, count, parts.numbers)
        self.places = unpack_span_places(first, parts.places)
        self._texts = unpack_span_texts(first, parts.texts)
        numbers = self._numbers
        try:
            self._action_of = join_planes("I", self._texts.action_of)
            self._extras = decode_extras(self._texts.extras)
        except (ValueError, msgspec.MsgspecError) as error:
            raise damaged(first, str(error)) from None
        is_odd = len(self._action_of) != count or max(self._action_of, default=-1) >= len(self._texts.actions)
        postings = sum(numbers.added) + sum(numbers.modified) + sum(numbers.deleted)
        if is_odd or postings != len(self.places.places):
            raise damaged(first, "the parts of its span do not fit each other")

    def _changed(self, start: int, stop: int, offsets: Sequence[int]) -> array[int]:
        """Return the postings in a row of the entries at `start` up to `stop`, counted within the span.

        Args:
            start: the first entry.
            stop: one past the last one.
            offsets: where each entry's postings start; one more at the end.

        Raises:
            CorruptHistory: they are not as many as its numbers say.
        """
        found: list[tuple[int, int]] = []
        places, begin = self.places.places, 0
        low, high = start << KIND_BITS, stop << KIND_BITS
        for atom, end in zip(self.places.atoms, self.places.ends, strict=True):
            # The places of an atom ascend: those of one block lie beside each other.
            inside = places[bisect_left(places, low, begin, end) : bisect_left(places, high, begin, end)]
            found += [(place >> KIND_BITS, atom << KIND_BITS | place & KIND_MASK) for place in inside]
            begin = end
        # Atoms come in the order of numbers, and a stable sort leaves them so within an entry.
        changed = array("I", [item for _, item in sorted(found, key=itemgetter(0))])
        for at, packed in self._texts.order.items():
            if start <= at < stop:
                changed[offsets[at - start] : offsets[at - start + 1]] = unpack_postings(packed)
        if len(changed) != offsets[-1]:
            raise damaged(self.first + start, "the parts of its span do not fit each other")
        return changed

    def block(self, first: int, count: int) -> BlockColumns:
        """Return the metadata of the block that starts at an entry.

        Raises:
            CorruptHistory: the span does not hold it.
        """
        start = first - self.first
        stop = start + count
        numbers = self._numbers
        if not 0 <= start < stop <= len(numbers.times):
            raise damaged(first, "its span does not hold it")
        extras: dict[int, dict[str, Value]] = {}
        for at, packed in self._extras.items():
            if start <= at < stop:
                extra = wire.decode(packed)
                if not isinstance(extra, dict):
                    raise damaged(first, "what is unusual about its entries does not read")
                extras[at - start] = extra
        added, modified, deleted = (
            numbers.added[start:stop],
            numbers.modified[start:stop],
            numbers.deleted[start:stop],
        )
        offsets = list(accumulate(map(add, map(add, added, modified), deleted), initial=0))
        return BlockColumns(
            first, numbers.times[start:stop], array("B", numbers.codecs[start:stop]), added, modified, deleted,
            numbers.stored[start:stop], numbers.full[start:stop], self._texts.actions, self._action_of[start:stop],
            self._changed(start, stop, offsets), offsets, extras,
        )  # fmt: skip


_COUNTS_AN_ENTRY: Final = 3
"""Atoms that it added, modified and deleted."""
_BLOCKS_HELD: Final = 1024
"""Blocks gathered before they are appended in one go."""


def fill_from_blocks(columns: Columns, rows: Iterable[tuple[int, int, bytes | CorruptHistory]]) -> None:
    """Append blocks to a screen's columns.

    Args:
        columns: what is extended; entries that no block holds or that a damaged block held become holes as soon as a
            later block reads. Behind the last one that reads nothing is appended.
        rows: blocks in order of entries, as `Layout.packed` yields them.
    """
    gathered = _Gathered()
    stop = len(columns)
    for first, count, data in rows:
        if first < stop:
            # Another block holds these entries already: one of the two does not say what is true.
            continue
        if first > stop or gathered.blocks == _BLOCKS_HELD:
            gathered.append_to(columns)
            columns.add_holes(first)
            stop = first
        if isinstance(data, CorruptHistory):
            continue
        try:
            gathered.add(first, count, data)
        except CorruptHistory:
            # How many entries it held is known for certain only where the next one begins.
            continue
        stop = first + count
    gathered.append_to(columns)


class _Gathered:
    """Blocks checked and ready to be appended: the bytes of a thousand small arrays are joined once."""

    __slots__ = ("_codecs", "_counts", "_full", "_stored", "_times", "blocks")

    def __init__(self) -> None:
        self._clear()

    def _clear(self) -> None:
        self.blocks = 0
        self._codecs: list[bytes] = []
        self._counts: list[bytes] = []
        self._stored: list[bytes] = []
        self._full: list[bytes] = []
        self._times = array("q")

    def add(self, first: int, count: int, data: bytes) -> None:
        """Take a block.

        Raises:
            CorruptHistory: it is damaged; nothing of it was taken.
        """
        block = unpack_columns(first, data)
        _check_sizes(block, first, count)
        times = unpack_times(block.times)
        self.blocks += 1
        self._codecs.append(block.codecs)
        self._counts.append(block.counts)
        self._stored.append(block.stored)
        self._full.append(block.full)
        self._times += times

    def append_to(self, columns: Columns) -> None:
        """Append all that was taken, and begin anew."""
        codecs = b"".join(self._codecs)
        counts = unpack_numbers("I", b"".join(self._counts))
        columns.timestamp_ns.extend(self._times)
        columns.codec.frombytes(codecs)
        columns.kind.frombytes(codecs.translate(KINDS_BY_CODEC))
        columns.added.extend(counts[0::3])
        columns.modified.extend(counts[1::3])
        columns.deleted.extend(counts[2::3])
        columns.stored.extend(unpack_numbers("I", b"".join(self._stored)))
        columns.full_bytes.extend(unpack_numbers("I", b"".join(self._full)))
        self._clear()


def _check_sizes(block: PackedColumns, first: int, count: int) -> None:
    sizes = (len(block.times) // 8, len(block.codecs), len(block.counts) // 12, len(block.stored) // 4)
    odd = len(block.times) % 8 or len(block.counts) % 12 or len(block.stored) % 4 or len(block.full) != 4 * count
    if odd or sizes != (count,) * 4:
        raise damaged(first, "its columns differ in length")


def writes_in_block(first: int, count: int, data: bytes, number: int) -> list[int]:
    """Return the entries of a block that changed an atom, in order.

    Args:
        first: the block's first entry.
        count: its number of entries.
        data: its packed metadata.
        number: the atom's number.

    Raises:
        CorruptHistory: the block is damaged.
    """
    block = unpack_columns(first, data)
    try:
        changed, counts = unpack_numbers("I", block.changed), unpack_numbers("I", block.counts)
    except ValueError as error:
        raise damaged(first, str(error)) from None
    # How many entries a block of format 1 holds is under no checksum: too many would hide what follows it.
    if len(counts) != _COUNTS_AN_ENTRY * count:
        raise damaged(first, "its columns differ in length")
    places = []
    for code in range(len(CHANGE_KINDS)):
        wanted = number << KIND_BITS | code
        place = -1
        while True:
            try:
                place = changed.index(wanted, place + 1)
            except ValueError:
                break
            places.append(place)
    if not places:
        return []
    # The running total after each entry's counts is where the next entry's postings start.
    ends = list(accumulate(counts))[_COUNTS_AN_ENTRY - 1 :: _COUNTS_AN_ENTRY]
    if ends[-1] != len(changed):
        raise damaged(first, "its columns differ in length")
    return [first + bisect_right(ends, place) for place in sorted(places)]


class _Unusual(msgspec.Struct, array_like=True):
    """A block's metadata as `blocks` packs it, with only the last column looked at, and one that has a byte an entry."""

    times: msgspec.Raw
    codecs: bytes
    counts: msgspec.Raw
    stored: msgspec.Raw
    full: msgspec.Raw
    actions: msgspec.Raw
    action_of: msgspec.Raw
    changed: msgspec.Raw
    extras: msgspec.Raw


_decode_unusual: Final = msgspec.msgpack.Decoder(_Unusual).decode


def packed_extras(first: int, count: int, data: bytes) -> bytes | CorruptHistory:
    """Return what is unusual about a block's entries as a msgpack map from places to wire forms, or why it is damaged.

    Args:
        first: the block's first entry.
        count: its number of entries.
        data: its packed metadata.
    """
    try:
        block = _decode_unusual(decompress(data, first))
        return bytes(block.extras) if len(block.codecs) == count else damaged(first, "its columns differ in length")
    except CorruptHistory as error:
        return error
    except msgspec.MsgspecError as error:
        return damaged(first, str(error))


def fill_from_numbers(columns: Columns, numbers: SpanNumbers, start: int) -> None:
    """Append the entries of a span from a place on to a screen's columns."""
    codecs = numbers.codecs[start:]
    columns.timestamp_ns.extend(numbers.times[start:])
    columns.codec.frombytes(codecs)
    columns.kind.frombytes(codecs.translate(KINDS_BY_CODEC))
    columns.added.extend(numbers.added[start:])
    columns.modified.extend(numbers.modified[start:])
    columns.deleted.extend(numbers.deleted[start:])
    columns.stored.extend(numbers.stored[start:])
    columns.full_bytes.extend(numbers.full[start:])
