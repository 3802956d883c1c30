"""Looking inside wire forms without decoding them: what a value is, and the wire forms of its parts."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from functools import lru_cache
from typing import Final

import msgspec

from unspool.model.limits import LARGE_BYTES, refuse_heavy

EncodedState = dict[str, bytes]
"""A state as wire forms by atom."""


class FormShape(Enum):
    """What a wire form holds, as far as comparing needs to know."""

    MAP = "map"
    LIST = "list"
    TEXT = "text"
    LEAF = "leaf"


def _shape_table() -> tuple[FormShape, ...]:
    table = [FormShape.LEAF] * 256
    for first in (*range(0x80, 0x90), 0xDE, 0xDF):
        table[first] = FormShape.MAP
    for first in (*range(0x90, 0xA0), 0xDC, 0xDD):
        table[first] = FormShape.LIST
    for first in (*range(0xA0, 0xC0), 0xD9, 0xDA, 0xDB):
        table[first] = FormShape.TEXT
    return tuple(table)


_SHAPES: Final = _shape_table()
_HEADER_BYTES: Final = {0xD9: 2, 0xDA: 3, 0xDB: 5, 0xDC: 3, 0xDD: 5, 0xDE: 3, 0xDF: 5}
_split_list: Final[Callable[[bytes], list[msgspec.Raw]]] = msgspec.msgpack.Decoder(list[msgspec.Raw]).decode
_split_map: Final[Callable[[bytes], dict[str, msgspec.Raw]]] = msgspec.msgpack.Decoder(dict[str, msgspec.Raw]).decode

_skip: Final[Callable[[bytes], msgspec.Raw]] = msgspec.msgpack.Decoder(msgspec.Raw).decode


class NotSplittable(Exception):
    """A wire form that is nested too deeply to be taken apart by the fast path."""


def shape_of(data: bytes) -> FormShape:
    """Say what a wire form holds."""
    return _SHAPES[data[0]]


def header_size(data: bytes) -> int:
    """Return the bytes before the content of a map, list or text."""
    return _HEADER_BYTES.get(data[0], 1)


def split_list(data: bytes) -> list[bytes]:
    """Return the wire forms of a list's items.

    Raises:
        NotSplittable: nested too deeply.
    """
    return [bytes(item) for item in list_views(data)]


def list_views(data: bytes) -> list[msgspec.Raw]:
    """Return views of the wire forms of a list's items: they have a length and compare, and `bytes` copies them.

    Raises:
        NotSplittable: nested too deeply.
    """
    if len(data) > LARGE_BYTES:
        refuse_heavy(data)
    try:
        return _split_list(data)
    except (RecursionError, msgspec.DecodeError) as error:
        raise NotSplittable from error


def split_map(data: bytes) -> dict[str, bytes]:
    """Return the wire forms of a map's values by key.

    Raises:
        NotSplittable: nested too deeply, or keys that are no text.
    """
    return {key: bytes(item) for key, item in map_views(data).items()}


def map_views(data: bytes) -> dict[str, msgspec.Raw]:
    """Return views of the wire forms of a map's values by key; see `list_views`.

    Raises:
        NotSplittable: nested too deeply, or keys that are no text.
    """
    if len(data) > LARGE_BYTES:
        refuse_heavy(data)
    try:
        return _split_map(data)
    except (RecursionError, msgspec.DecodeError) as error:
        raise NotSplittable from error


def extension_of(data: bytes) -> tuple[int, bytes] | None:
    """Return code and payload of a tagged value; None for a wire form that is none."""
    first = data[0]
    if 0xD4 <= first <= 0xD8:
        return data[1], data[2:]
    width = _EXTENSION_WIDTHS.get(first)
    return None if width is None else (data[1 + width], data[2 + width :])


_EXTENSION_WIDTHS: Final = {0xC7: 1, 0xC8: 2, 0xC9: 4}


def is_one_value(data: bytes) -> bool:
    """Whether bytes are exactly one wire form, without decoding it; False where that cannot be told quickly."""
    try:
        _skip(data)
    except (RecursionError, msgspec.DecodeError):
        return False
    return True


@lru_cache(maxsize=4096)
def text_size(key: str) -> int:
    """Return the bytes a text takes in wire form."""
    size = len(key.encode())
    return size + (1 if size < 32 else 2 if size < 256 else 3 if size < 65536 else 5)


def shared_ends(left: bytes, left_at: int, right: bytes, right_at: int) -> tuple[int, int]:
    """Return how many leading and trailing bytes two byte strings share from two places on; they never overlap.

    Args:
        left: one byte string.
        left_at: where to begin in it.
        right: the other.
        right_at: where to begin in that.
    """
    start = shared_from(left, left_at, right, right_at)
    limit = min(len(left) - left_at, len(right) - right_at) - start
    return start, shared_end(left, right, limit)


def shared_from(left: bytes, left_at: int, right: bytes, right_at: int) -> int:
    """Return how many bytes two byte strings share from two places on; strides grow, so near ends cost little.

    Nothing is copied: a view of one is held against the other.
    """
    view = memoryview(left)
    shared, stride, size = 0, _STRIDE, len(left) - left_at
    while shared < size:
        stop = min(shared + stride, size)
        if not right.startswith(view[left_at + shared : left_at + stop], right_at + shared):
            break
        shared, stride = stop, stride * _GROWTH
    else:
        return size
    low, high = shared, min(stop, len(right) - right_at)
    while high - low > _WORD:
        middle = (low + high) // 2
        if right.startswith(view[left_at + low : left_at + middle], right_at + low):
            low = middle
        else:
            high = middle
    one, other = left[left_at + low : left_at + high], right[right_at + low : right_at + high]
    # The lowest bit in which two little-endian numbers differ is in the first byte that does.
    different = int.from_bytes(one, "little") ^ int.from_bytes(other, "little")
    return low + ((different & -different).bit_length() - 1 >> 3) if different else high


def shared_end(left: bytes, right: bytes, limit: int) -> int:
    """Return how many trailing bytes two byte strings share, at most `limit`."""
    view = memoryview(left)
    left_end, right_end = len(left), len(right)
    shared, stride = 0, _STRIDE
    while shared < limit:
        stop = min(shared + stride, limit)
        if not right.endswith(view[left_end - stop : left_end - shared], 0, right_end - shared):
            break
        shared, stride = stop, stride * _GROWTH
    else:
        return limit
    low, high = shared, stop
    while high - low > _WORD:
        middle = (low + high) // 2
        if right.endswith(view[left_end - middle : left_end - low], 0, right_end - low):
            low = middle
        else:
            high = middle
    one, other = left[left_end - high : left_end - low], right[right_end - high : right_end - low]
    different = int.from_bytes(one) ^ int.from_bytes(other)
    return low + ((different & -different).bit_length() - 1 >> 3) if different else high


_GROWTH: Final = 4
_STRIDE: Final = 512
"""Bytes compared first; further strides grow."""
_WORD: Final = 64
"""Bytes that are compared as one number."""
