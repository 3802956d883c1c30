"""What a value is, and when two values are the same."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeAlias

Value: TypeAlias = Any
"""Any JSON-like value, and what `unspool.model.wire` can keep besides. Deliberately open: it is user data."""
State: TypeAlias = dict[str, Value]
"""A state: a dict of atom name to value."""


class _Missing:
    """The one value that no user value can be: nothing is there."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "MISSING"

    def __bool__(self) -> bool:
        return False


MISSING: Final = _Missing()
"""Stands for the side of a change that does not exist (the old value of an addition)."""

_NUMBERS: Final = (int, float)


def strict_equal(left: Value, right: Value) -> bool:
    """Say whether two values are the same, types included.

    `1`, `True` and `1.0` differ, `[1]` and `(1,)` differ, `0.0` and `-0.0` differ; NaN equals NaN; the order
    of object keys does not matter. Any depth: nothing here recurses.
    """
    return _equal(left, right, _same_strict_leaf)


def json_equal(left: Value, right: Value) -> bool:
    """Say whether two values are the same as JSON (the equality of seed 000, row N-14).

    Like `strict_equal`, but numbers compare by value: `1 == 1.0` and `0.0 == -0.0`. Booleans are never numbers.
    """
    return _equal(left, right, _same_json_leaf)


def _same_strict_leaf(left: Value, right: Value) -> bool:
    if type(left) is not type(right):
        return False
    if isinstance(left, float):
        return (left != left and right != right) or (
            left == right and math.copysign(1.0, left) == math.copysign(1.0, right)
        )
    if isinstance(left, set | frozenset):
        return _typed(left) == _typed(right)
    return bool(left == right)


def _typed(members: Iterable[Value]) -> set[tuple[type, Value]]:
    """Return members with their types: `{1}` and `{True}` are equal to Python."""
    return {(type(item), repr(item) if isinstance(item, tuple | frozenset) else item) for item in members}


def _typed_keys(mapping: Mapping[Value, Value]) -> set[tuple[type, Value]]:
    """Return the keys that are no text, with their types."""
    return _typed(key for key in mapping if type(key) is not str)


def _same_json_leaf(left: Value, right: Value) -> bool:
    left_is_number = isinstance(left, _NUMBERS) and not isinstance(left, bool)
    right_is_number = isinstance(right, _NUMBERS) and not isinstance(right, bool)
    if left_is_number and right_is_number:
        return bool(left == right) or (left != left and right != right)
    return type(left) is type(right) and bool(left == right)


def _equal(left: Value, right: Value, same_leaf: Any) -> bool:
    pending: list[tuple[Value, Value]] = [(left, right)]
    seen: set[tuple[int, int]] = set()
    while pending:
        one, other = pending.pop()
        if (isinstance(one, Mapping) and isinstance(other, Mapping)) or (
            isinstance(one, list | tuple) and isinstance(other, list | tuple)
        ):
            if type(one) is not type(other) or len(one) != len(other):
                return False
        else:
            if not same_leaf(one, other):
                return False
            continue
        if one is other or (id(one), id(other)) in seen:
            continue
        # Remembering pairs ends cycles; ids stay valid because both roots are held by the caller.
        seen.add((id(one), id(other)))
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            if same_leaf is _same_strict_leaf and _typed_keys(one) != _typed_keys(other):
                return False
            for key, value in one.items():
                if key not in other:
                    return False
                pending.append((value, other[key]))
        else:
            pending.extend(zip(one, other, strict=True))
    return True
