"""Reading the wire form without recursion: any depth, any key."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Final

import msgpack

from unspool.errors import CorruptHistory
from unspool.model.tags import compose, from_tag, is_leaf_tag
from unspool.model.values import Value


@dataclass(slots=True)
class _Node:
    """A container being read."""

    left: int
    items: list[Value]
    is_map: bool
    tags: list[int] = field(default_factory=list)

    def close(self) -> Value:
        value: Value = dict(zip(self.items[::2], self.items[1::2], strict=True)) if self.is_map else self.items
        for code in reversed(self.tags):
            value = compose(code, value)
        return value


def decode_deep(data: bytes) -> Value:
    """Rebuild a value of any depth from its wire form, without recursion.

    Raises:
        CorruptHistory: the bytes are no wire form.
    """
    try:
        return _decode(data)
    except (struct.error, IndexError, UnicodeDecodeError, TypeError, ValueError) as error:
        raise CorruptHistory(f"a stored value does not decode ({error}); run `unspool doctor` on the file") from None


def _decode(data: bytes) -> Value:
    nodes: list[_Node] = []
    tags: list[int] = []
    position = 0
    while True:
        kind, size, start = read_header(data, position)
        if kind in ("array", "map"):
            nodes.append(_Node(size * (2 if kind == "map" else 1), [], kind == "map", tags))
            tags, position = [], start
        elif kind == "ext" and not is_leaf_tag(data[start - 1]):
            tags.append(data[start - 1])
            position = start
            continue
        else:
            value: Value = _scalar(data, kind, position, start, size)
            for code in reversed(tags):
                value = compose(code, value)
            tags, position = [], start + size
            if not nodes:
                return value
            nodes[-1].items.append(value)
            nodes[-1].left -= 1
        while nodes and nodes[-1].left == 0:
            value = nodes.pop().close()
            if not nodes:
                return value
            nodes[-1].items.append(value)
            nodes[-1].left -= 1


def _scalar(data: bytes, kind: str, position: int, start: int, size: int) -> Value:
    if kind == "ext":
        return from_tag(data[start - 1], data[start : start + size], decode_deep)
    return msgpack.unpackb(data[position : start + size], raw=False, strict_map_key=False)


def split_map_deep(data: bytes) -> dict[str, bytes]:
    """Return the wire forms of a map's values by key, however deep they are; the keys are text.

    Raises:
        IndexError, ValueError: the bytes end early or are no such map.
    """
    _, count, position = read_header(data, 0)
    parts: dict[str, bytes] = {}
    for _ in range(count):
        value_at = _value_end(data, position)
        key = _decode(data[position:value_at])
        position = _value_end(data, value_at)
        parts[key] = data[value_at:position]
    return parts


def _value_end(data: bytes, position: int) -> int:
    """Return where the value that starts at a place ends."""
    left = 1
    while left:
        kind, size, position = read_header(data, position)
        left -= 1
        if kind in ("array", "map"):
            left += size * (2 if kind == "map" else 1)
        else:
            position += size
    return position


_FIXED: Final = {0xC0: 0, 0xC2: 0, 0xC3: 0, 0xCA: 4, 0xCB: 8, 0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8,
                 0xD0: 1, 0xD1: 2, 0xD2: 4, 0xD3: 8}  # fmt: skip
_SIZED: Final = {0xC4: ("scalar", 1), 0xC5: ("scalar", 2), 0xC6: ("scalar", 4),
                 0xD9: ("scalar", 1), 0xDA: ("scalar", 2), 0xDB: ("scalar", 4),
                 0xDC: ("array", 2), 0xDD: ("array", 4), 0xDE: ("map", 2), 0xDF: ("map", 4),
                 0xC7: ("ext", 1), 0xC8: ("ext", 2), 0xC9: ("ext", 4)}  # fmt: skip


def read_header(data: bytes, position: int) -> tuple[str, int, int]:
    """Read one msgpack header.

    Returns:
        Kind (`scalar`, `array`, `map` or `ext`), size (payload bytes, or number of items), and where the payload
        starts; the extension code is the byte before the payload.

    Raises:
        IndexError, ValueError: the bytes end early or are no msgpack.
    """
    first = data[position]
    if first < 0x80 or first >= 0xE0:
        return "scalar", 0, position + 1
    if first < 0x90:
        return "map", first & 0x0F, position + 1
    if first < 0xA0:
        return "array", first & 0x0F, position + 1
    if first < 0xC0:
        return "scalar", first & 0x1F, position + 1
    if first in _FIXED:
        return "scalar", _FIXED[first], position + 1
    if first in _SIZED:
        kind, width = _SIZED[first]
        size = int.from_bytes(data[position + 1 : position + 1 + width])
        return kind, size, position + 1 + width + (kind == "ext")
    if 0xD4 <= first <= 0xD8:
        return "ext", 1 << (first - 0xD4), position + 2
    raise ValueError(f"byte 0x{first:02x} at {position} starts no value")
