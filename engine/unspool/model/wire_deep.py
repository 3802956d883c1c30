"""The wire form without recursion: any depth, any key, and errors that name the place."""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import enum
import struct
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

import msgpack

from unspool.errors import CorruptHistory, UnsupportedValue
from unspool.model.paths import format_path
from unspool.model.tags import Tag, Tagged, Unrepresentable, compose, extension, from_tag, is_leaf_tag, leaf_form
from unspool.model.values import Value

_PLAIN_TYPES: Final[tuple[type[Value], ...]] = (str, int, float, bytes, list, tuple, set, frozenset)
_INT64_MIN: Final = -(2**63)
_UINT64_MAX: Final = 2**64 - 1


@dataclass(slots=True)
class _Frame:
    """A container being written: what is left of it, where its bytes go, and how they are wrapped at the end."""

    items: Iterator[tuple[str | int, Value]]
    out: bytearray
    identity: int
    tag: int | None = None
    parent: bytearray | None = None
    step: str | int = field(default=0)


def _pack(value: Value) -> bytes:
    return bytes(msgpack.packb(value, use_bin_type=True))


def _array_header(count: int) -> bytes:
    return bytes(msgpack.Packer(autoreset=True).pack_array_header(count))


def _map_header(count: int) -> bytes:
    return bytes(msgpack.Packer(autoreset=True).pack_map_header(count))


def _leaf(value: Value) -> bytes | None:
    kind = type(value)
    if value is None or kind is bool or kind is float or kind is bytes:
        return _pack(value)
    if kind is int and _INT64_MIN <= value <= _UINT64_MAX:
        return _pack(value)
    if kind is str:
        try:
            return _pack(value)
        except UnicodeEncodeError:
            return leaf_form(value)
    if kind is bytearray or kind is memoryview:
        return _pack(bytes(value))
    return leaf_form(value)


def _is_plain_key(key: Value) -> bool:
    if type(key) is not str:
        return False
    try:
        key.encode()
    except UnicodeEncodeError:
        return False
    return True


def _parts(value: Value) -> tuple[int | None, Value]:
    """Take a non-leaf apart: the tag that wraps it (None for a plain list or map), and plain content."""
    kind = type(value)
    if kind is list:
        return None, value
    if kind is dict:
        if all(map(_is_plain_key, value)):
            return None, value
        return Tag.PAIRS, [part for pair in value.items() for part in pair]
    if kind is tuple:
        return Tag.TUPLE, list(value)
    if kind is set or kind is frozenset:
        # Set order varies between processes; encoded order does not.
        return (Tag.SET if kind is set else Tag.FROZENSET), sorted(value, key=encode_deep)
    if kind is Tagged:
        return Tag.TAGGED, [value.type_name, value.value]
    if kind is Unrepresentable:
        return Tag.UNREPRESENTABLE, [value.type_name, value.reason]
    plain = _plain_content(value)
    return Tag.TAGGED, [f"{kind.__module__}.{kind.__qualname__}", plain]


def _plain_content(value: Value) -> Value:
    if isinstance(value, enum.Enum):
        return [value.name, value.value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {item.name: getattr(value, item.name, None) for item in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return dict(value)
    for plain in _PLAIN_TYPES:
        if isinstance(value, plain):
            return plain(value)
    if isinstance(value, dt.datetime | dt.date | decimal.Decimal | uuid.UUID):
        return str(value)
    fields = getattr(type(value), "__struct_fields__", None)
    if isinstance(fields, tuple):
        return {name: getattr(value, name, None) for name in fields}
    raise TypeError


def _place(frames: list[_Frame]) -> str:
    return format_path(tuple(frame.step for frame in frames))


def _open(value: Value, out: bytearray, frames: list[_Frame]) -> _Frame:
    try:
        tag, content = _parts(value)
    except TypeError:
        raise UnsupportedValue(
            f"a value of type {type(value).__name__} at {_place(frames)} cannot be recorded; "
            "convert it to plain data, or leave it out of the state"
        ) from None
    buffer = out if tag is None else bytearray()
    # A copy: another thread may change it before its items are written, and its header would not fit them then.
    if type(content) is dict:
        pairs = list(content.items())
        buffer += _map_header(len(pairs))
        items: Iterator[tuple[str | int, Value]] = iter(pairs)
    elif type(content) is list:
        members = list(content)
        buffer += _array_header(len(members))
        items = iter(enumerate(members))
    else:
        items = iter([(0, content)])
    return _Frame(items, buffer, id(value), tag, None if tag is None else out)


def encode_deep(value: Value) -> bytes:
    """Return the wire form of a value of any depth, without recursion.

    Raises:
        UnsupportedValue: a value that cannot be kept, or a container that contains itself.
    """
    out = bytearray()
    leaf = _leaf(value)
    if leaf is not None:
        return leaf
    frames = [_open(value, out, [])]
    on_path = {id(value)}
    while frames:
        frame = frames[-1]
        step_value = next(frame.items, None)
        if step_value is None:
            frames.pop()
            on_path.discard(frame.identity)
            if frame.tag is not None and frame.parent is not None:
                frame.parent += extension(frame.tag, bytes(frame.out))
            continue
        frame.step, item = step_value
        is_map = isinstance(frame.step, str)
        if is_map:
            frame.out += _pack(frame.step)
        leaf = _leaf(item)
        if leaf is not None:
            frame.out += leaf
            continue
        if id(item) in on_path:
            raise UnsupportedValue(f"the value at {_place(frames)} contains itself; record a copy without the cycle")
        frames.append(_open(item, frame.out, frames))
        on_path.add(id(item))
    return bytes(out)


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
