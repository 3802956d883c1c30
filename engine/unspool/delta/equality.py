"""Equality of wire forms: what can be told from the bytes is, and the rest is left to the equality of values."""

from __future__ import annotations

import math
import struct
import zlib
from typing import Final

from unspool.model.encoded import FormShape, NotSplittable, shape_of, shared_ends, split_list, split_map
from unspool.model.values import json_equal, strict_equal
from unspool.model.wire import decode


def same_value(old: bytes, new: bytes, ends: tuple[int, int] | None = None) -> bool:
    """Return whether two different wire forms hold strictly equal values.

    That is so for objects whose keys only changed order, and for NaN of another bit pattern. The first have the same
    bytes in another order, the second differ inside one NaN, so almost every real change is distinguished undecoded.

    Args:
        old: one wire form.
        new: the other.
        ends: leading and trailing bytes they share, where that is known.
    """
    if len(old) != len(new) or old[0] not in _HIDING:
        return False
    if shape_of(old) is not shape_of(new):
        return False
    if old[0] == _FLOAT64 and new[0] == _FLOAT64:
        return math.isnan(_DOUBLE.unpack_from(old, 1)[0]) and math.isnan(_DOUBLE.unpack_from(new, 1)[0])
    if len(old) <= _SMALL and _byte_sum(old) != _byte_sum(new) and not any(nan in new for nan in _NAN_STARTS):
        return False
    start, end = shared_ends(old, 0, new, 0) if ends is None else ends
    stop = len(old) - end
    if not _only_nan(old, new, start, stop) and _byte_sum(memoryview(old)[start:stop]) != _byte_sum(
        memoryview(new)[start:stop]
    ):
        return False
    return strict_equal(decode(old), decode(new))


def may_hide(state: bytes) -> frozenset[int]:
    """Return the first bytes of wire forms in a state whose value may equal that of other bytes; see `same_value`."""
    return _HIDING if any(nan in state for nan in _NAN_STARTS) else _HIDING_CONTENT


def _byte_sum(data: bytes | memoryview) -> int:
    """Return a number that is the same for the same bytes in whatever order."""
    return zlib.adler32(data) & 0xFFFF


def _only_nan(old: bytes, new: bytes, start: int, stop: int) -> bool:
    """Return whether two wire forms may differ only inside one NaN."""
    for at in range(max(0, stop - 9), start):
        if old[at] == _FLOAT64 and old[at + 1] & 0x7F == 0x7F and new[at + 1] & 0x7F == 0x7F:
            return math.isnan(_DOUBLE.unpack_from(old, at + 1)[0]) and math.isnan(_DOUBLE.unpack_from(new, at + 1)[0])
    return False


_SMALL = 1024
"""Bytes of a value up to which adding them up costs less than finding where two values differ."""
_FLOAT64 = 0xCB
_NAN_STARTS = (b"\xcb\x7f", b"\xcb\xff")
"""How the wire forms of NaN begin."""
_HIDING_CONTENT = frozenset((*range(0x80, 0xA0), *range(0xC7, 0xCA), *range(0xD4, 0xD9), *range(0xDC, 0xE0)))
_HIDING = _HIDING_CONTENT | {_FLOAT64}
"""First bytes of wire forms whose value others may have as well: maps, lists, tagged values, and floats for NaN."""
_DOUBLE = struct.Struct(">d")
_CONTAINERS: Final = (FormShape.MAP, FormShape.LIST)
_UNLIKE: Final[list[tuple[bytes, bytes]]] = []
"""Told from an empty list of parts by identity: two maps in another order have no different part."""


def encoded_equal(one: bytes, other: bytes, *, strict: bool = False) -> bool:
    """Return whether two wire forms hold the same value, by structure at any depth.

    Args:
        one: a wire form.
        other: another.
        strict: let 1 and 1.0, and 0.0 and -0.0, differ; the order of object keys never counts.
    """
    if strict:
        return one == other or same_value(one, other)
    pending = [(one, other)]
    while pending:
        left, right = pending.pop()
        if left == right:
            continue
        shape = shape_of(left)
        if shape is not shape_of(right) or shape is FormShape.TEXT:
            return False
        try:
            parts = _parts(left, right) if shape in _CONTAINERS else None
        except NotSplittable:
            parts = None
        if parts is None:
            if not json_equal(decode(left), decode(right)):
                return False
        elif parts is _UNLIKE:
            return False
        else:
            pending.extend(parts)
    return True


def _parts(left: bytes, right: bytes) -> list[tuple[bytes, bytes]]:
    """Return the pairs of parts that differ, or `_UNLIKE` when sizes or keys do already.

    Raises:
        NotSplittable: nested too deeply for the fast path.
    """
    if shape_of(left) is FormShape.LIST:
        items, others = split_list(left), split_list(right)
        if len(items) != len(others):
            return _UNLIKE
        return [pair for pair in zip(items, others, strict=True) if pair[0] != pair[1]]
    values, rest = split_map(left), split_map(right)
    if values.keys() != rest.keys():
        return _UNLIKE
    return [(value, rest[key]) for key, value in values.items() if value != rest[key]]
