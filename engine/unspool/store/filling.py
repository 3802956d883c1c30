"""Reading the metadata of many blocks at once, no further than a question needs it.

A screen wants eight numbers of every entry, and "when did this atom change" wants one atom's places: neither takes
blocks apart as `blocks.decode_columns` does, which at a million entries is the difference between a blink and a wait.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterable
from itertools import accumulate
from typing import Final

import msgspec

from unspool.errors import CorruptHistory
from unspool.store.blocks import CHANGE_KINDS, KIND_BITS, PackedColumns, unpack_columns, unpack_numbers, unpack_times
from unspool.store.frames import damaged, decompress
from unspool.store.protocol import KINDS_BY_CODEC, Columns
from unspool.store.spans import SpanNumbers

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
