"""Equality of two wire forms: parts whose bytes are equal are never decoded."""

from __future__ import annotations

from typing import Final

from unspool.model.encoded import NotSplittable, Shape, shape_of, split_list, split_map
from unspool.model.values import json_equal, strict_equal
from unspool.model.wire import decode

_CONTAINERS: Final = (Shape.MAP, Shape.LIST)
_UNLIKE: Final[list[tuple[bytes, bytes]]] = []
"""Told from an empty list of parts by identity: two maps in another order have no different part."""


def encoded_equal(one: bytes, other: bytes, *, strict: bool = False) -> bool:
    """Say whether two wire forms hold the same value, by structure at any depth.

    Args:
        one: a wire form.
        other: another.
        strict: let 1 and 1.0, and 0.0 and -0.0, differ; the order of object keys never counts.
    """
    pending = [(one, other)]
    while pending:
        left, right = pending.pop()
        if left == right:
            continue
        shape = shape_of(left)
        if shape is not shape_of(right) or shape is Shape.TEXT:
            return False
        try:
            parts = _parts(left, right) if shape in _CONTAINERS else None
        except NotSplittable:
            parts = None
        if parts is None:
            if not (strict_equal if strict else json_equal)(decode(left), decode(right)):
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
    if shape_of(left) is Shape.LIST:
        items, others = split_list(left), split_list(right)
        if len(items) != len(others):
            return _UNLIKE
        return [pair for pair in zip(items, others, strict=True) if pair[0] != pair[1]]
    values, rest = split_map(left), split_map(right)
    if values.keys() != rest.keys():
        return _UNLIKE
    return [(value, rest[key]) for key, value in values.items() if value != rest[key]]
