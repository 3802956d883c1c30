"""Whether two values are the same but for the order of object keys, decided on their wire forms."""

from __future__ import annotations

from typing import Final

from unspool.model.paths import Path, Step
from unspool.model.values import Value
from unspool.model.wire import decode, encode

_Trail = tuple["_Trail", Step] | None
_PLAIN_LEAVES: Final = frozenset({type(None), bool, int, str, bytes})


def same_encoded(one: bytes, other: bytes) -> bool:
    """Say whether two wire forms hold the same value: types strict, order of object keys free.

    `1`, `True` and `1.0` differ at any depth, also as keys and as members of sets.
    """
    if one == other:
        return True
    # Another order of keys moves bytes about, it never changes how many there are.
    return len(one) == len(other) and first_difference(decode(one), decode(other)) is None


def first_difference(one: Value, other: Value) -> Path | None:
    """Return the path of a place where two values differ, types included; None where they are the same.

    Lists, tuples, sets and objects are looked into; anything else is compared by type and wire form. Any depth.
    """
    pending: list[tuple[Value, Value, _Trail]] = [(one, other, None)]
    while pending:
        left, right, trail = pending.pop()
        kind = type(left)
        if kind is not type(right):
            return _path(trail)
        if kind in _PLAIN_LEAVES:
            if left != right:
                return _path(trail)
            continue
        parts = _parts(left, right)
        if parts is None:
            return _path(trail)
        pending.extend((mine, its, (trail, step)) for step, mine, its in parts)
    return None


def _parts(left: Value, right: Value) -> list[tuple[Step, Value, Value]] | None:
    """Return what is left to compare inside two values of one type; None where they already differ."""
    kind = type(left)
    if kind is dict:
        return _items(left, right)
    if kind is list or kind is tuple:
        if len(left) != len(right):
            return None
        return [(index, mine, its) for index, (mine, its) in enumerate(zip(left, right, strict=True))]
    if kind is set or kind is frozenset:
        if len(left) != len(right):
            return None
        pairs = zip(sorted(left, key=encode), sorted(right, key=encode), strict=True)
        return [(index, mine, its) for index, (mine, its) in enumerate(pairs)]
    both_nan = kind is float and left != left and right != right
    return [] if both_nan or encode(left) == encode(right) else None


def _items(left: dict[Value, Value], right: dict[Value, Value]) -> list[tuple[Step, Value, Value]] | None:
    if len(left) != len(right):
        return None
    if all(type(key) is str for key in left) and all(type(key) is str for key in right):
        if left.keys() != right.keys():
            return None
        return [(key, value, right[key]) for key, value in left.items()]
    # 1 and True are one key to a dict; their wire forms are two.
    mine = {encode(key): (key, value) for key, value in left.items()}
    its = {encode(key): (key, value) for key, value in right.items()}
    if mine.keys() != its.keys():
        return None
    pairs: list[tuple[Step, Value, Value]] = []
    for name, (key, value) in mine.items():
        pairs += [(str(key), key, its[name][0]), (str(key), value, its[name][1])]
    return pairs


def _path(trail: _Trail) -> Path:
    steps: list[Step] = []
    while trail is not None:
        trail, step = trail
        steps.append(step)
    return tuple(reversed(steps))
