"""Looking inside wire forms without decoding them: what a value is, and the wire forms of its parts."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Final

import msgspec


class Shape(Enum):
    """What a wire form holds, as far as comparing needs to know."""

    MAP = "map"
    LIST = "list"
    TEXT = "text"
    LEAF = "leaf"


def _shape_table() -> tuple[Shape, ...]:
    table = [Shape.LEAF] * 256
    for first in (*range(0x80, 0x90), 0xDE, 0xDF):
        table[first] = Shape.MAP
    for first in (*range(0x90, 0xA0), 0xDC, 0xDD):
        table[first] = Shape.LIST
    for first in (*range(0xA0, 0xC0), 0xD9, 0xDA, 0xDB):
        table[first] = Shape.TEXT
    return tuple(table)


_SHAPES: Final = _shape_table()
_HEADER_BYTES: Final = {0xD9: 2, 0xDA: 3, 0xDB: 5, 0xDC: 3, 0xDD: 5, 0xDE: 3, 0xDF: 5}
_split_list: Final[Callable[[bytes], list[msgspec.Raw]]] = msgspec.msgpack.Decoder(list[msgspec.Raw]).decode
_split_map: Final[Callable[[bytes], dict[str, msgspec.Raw]]] = msgspec.msgpack.Decoder(dict[str, msgspec.Raw]).decode


class NotSplittable(Exception):
    """A wire form that is nested too deeply to be taken apart by the fast path."""


def shape_of(data: bytes) -> Shape:
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
    try:
        return [bytes(item) for item in _split_list(data)]
    except (RecursionError, msgspec.DecodeError) as error:
        raise NotSplittable from error


def split_map(data: bytes) -> dict[str, bytes]:
    """Return the wire forms of a map's values by key.

    Raises:
        NotSplittable: nested too deeply, or keys that are no text.
    """
    try:
        return {key: bytes(item) for key, item in _split_map(data).items()}
    except (RecursionError, msgspec.DecodeError) as error:
        raise NotSplittable from error


def text_size(key: str) -> int:
    """Return the bytes a text takes in wire form."""
    size = len(key.encode())
    return size + (1 if size < 32 else 2 if size < 256 else 3 if size < 65536 else 5)


def common_prefix(left: bytes, right: bytes) -> int:
    """Return how many leading bytes two byte strings share; a binary search, so C speed whatever the length."""
    high = min(len(left), len(right))
    if left[:high] == right[:high]:
        return high
    low = 0
    while high - low > 1:
        middle = (low + high) // 2
        if left[low:middle] == right[low:middle]:
            low = middle
        else:
            high = middle
    return low


def common_suffix(left: bytes, right: bytes, limit: int) -> int:
    """Return how many trailing bytes two byte strings share, at most `limit`."""
    if limit <= 0:
        return 0
    left_end, right_end = len(left), len(right)
    if left[left_end - limit :] == right[right_end - limit :]:
        return limit
    low, high = 0, limit
    while high - low > 1:
        middle = (low + high) // 2
        if left[left_end - middle : left_end - low] == right[right_end - middle : right_end - low]:
            low = middle
        else:
            high = middle
    return low
