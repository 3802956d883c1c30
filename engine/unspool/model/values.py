"""What a value is, and when two values are the same."""

from __future__ import annotations

import array
import datetime as dt
import decimal
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

Value: TypeAlias = Any
"""Any JSON-like value, and what `unspool.model.wire` can keep besides. Deliberately open: it is user data."""
State: TypeAlias = dict[str, Value]
"""A state: a dict of atom name to value."""


class Missing:
    """The one value that no user value can be: nothing is there."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "MISSING"

    def __bool__(self) -> bool:
        return False


MISSING: Final = Missing()
"""Stands for the side of a change that does not exist (the old value of an addition)."""


@dataclass(frozen=True, slots=True)
class Tagged:
    """A value of a type that is kept by name only: an enum, a dataclass, a subclass of a plain type.

    Attributes:
        type_name: the qualified name the class had in the recorded app; never imported.
        value: its content as plain values.
        is_member: whether it is a member of an enumeration; its content is a list of name and value then.
    """

    type_name: str
    value: Value
    is_member: bool = field(default=False, compare=False, repr=False)

    @property
    def short_name(self) -> str:
        """The name of the class without its module."""
        return self.type_name.rpartition(".")[2]

    def __hash__(self) -> int:
        # An object may be a key or a member of a set although its content, as plain values, may not.
        return hash((self.type_name, _content_hash(self.value, 0)))


_DEEPEST_HASHED: Final = 8
"""Levels of an object's content that distinguish objects as keys."""


def _content_hash(value: Value, depth: int) -> int:
    if depth > _DEEPEST_HASHED:
        return 0
    if isinstance(value, list):
        return hash(tuple(_content_hash(item, depth + 1) for item in value))
    if isinstance(value, Mapping):
        # The order of an object's keys does not count.
        return hash(frozenset((key, _content_hash(item, depth + 1)) for key, item in value.items()))
    if isinstance(value, set):
        return hash(frozenset(value))
    if isinstance(value, tuple):
        return hash(tuple(_content_hash(item, depth + 1) for item in value))
    return hash(value)


@dataclass(frozen=True, slots=True)
class Unrepresentable:
    """Stands for a value that could not be kept.

    Attributes:
        type_name: the type it had.
        reason: why it could not be kept.
    """

    type_name: str
    reason: str


_NUMBERS: Final = (int, float)


def walk(value: Value, *, keys: bool = False) -> Iterator[Value]:
    """Yield a value and all that it holds, at any depth and without recursion; what holds something comes before it.

    Args:
        value: it holds itself nowhere.
        keys: whether to go into the keys of mappings too.
    """
    pending = [value]
    while pending:
        item = pending.pop()
        yield item
        kind = type(item)
        if kind in _SCALARS:
            continue
        if kind is Tagged:
            pending.append(item.value)
        elif kind is dict or isinstance(item, Mapping):
            if keys:
                pending.extend(item)
            pending.extend(item.values())
        elif isinstance(item, list | tuple | set | frozenset):
            pending.extend(item)


_SCALARS: Final = frozenset((str, bytes, int, float, bool, type(None)))


def strict_equal(left: Value, right: Value) -> bool:
    """Whether two values are the same, types included.

    `1`, `True` and `1.0` differ, `[1]` and `(1,)` differ, `0.0` and `-0.0` differ, and so do `Decimal("1.0")` and
    `Decimal("1.00")`, and one moment in two time zones; NaN equals NaN; the order of object keys does not matter.
    Any depth: nothing here recurses.
    """
    return _equal(left, right, _same_strict_leaf)


def json_equal(left: Value, right: Value) -> bool:
    """Whether two values are the same as JSON (the equality of seed 000).

    Like `strict_equal`, but numbers compare by value: `1 == 1.0` and `0.0 == -0.0`. Booleans are never numbers.
    """
    return _equal(left, right, _same_json_leaf)


def _same_strict_leaf(left: Value, right: Value) -> bool:
    if type(left) is not type(right):
        return False
    if isinstance(left, float):
        return _same_float(left, right)
    if isinstance(left, complex):
        return _same_float(left.real, right.real) and _same_float(left.imag, right.imag)
    if isinstance(left, decimal.Decimal):
        return str(left) == str(right)
    if isinstance(left, dt.datetime | dt.time):
        return bool(left.isoformat() == right.isoformat() and left.fold == right.fold and _zone(left) == _zone(right))
    if isinstance(left, range | slice | array.array):
        return repr(left) == repr(right)
    if isinstance(left, set | frozenset):
        return Counter(map(_told, left)) == Counter(map(_told, right))
    return bool(left == right)


def _zone(value: dt.datetime | dt.time) -> str | None:
    return getattr(value.tzinfo, "key", None)


def _same_float(left: float, right: float) -> bool:
    return (left != left and right != right) or (
        left == right and math.copysign(1.0, left) == math.copysign(1.0, right)
    )


def _told(key: Value) -> Value:
    """Return a form of a key or member of a set that equals no form of one that is not strictly the same."""
    kind = type(key)
    if kind is str or kind is int or kind is bytes:
        return kind, key
    if kind is float or kind is complex:
        return kind, repr(key)
    if kind is tuple or kind is list:
        return kind, tuple(map(_told, key))
    if kind is frozenset or kind is set:
        return kind, frozenset(Counter(map(_told, key)).items())
    if isinstance(key, Mapping):
        return kind, frozenset((_told(name), _told(item)) for name, item in key.items())
    if kind is Tagged:
        return kind, key.type_name, _told(key.value)
    if isinstance(key, decimal.Decimal):
        return kind, str(key)
    if isinstance(key, dt.datetime | dt.time):
        return kind, key.isoformat(), key.fold, _zone(key)
    return (kind, repr(key)) if isinstance(key, range | slice | array.array | bytearray) else (kind, key)


def _has_plain_keys(mapping: Mapping[Value, Value]) -> bool:
    return _TEXT.issuperset(map(type, mapping))


_TEXT: Final = frozenset((str,))


def _by_key(mapping: Mapping[Value, Value]) -> dict[Value, Value]:
    """Return the values of a mapping by forms of its keys that differ where the keys do."""
    return {key if type(key) is str else _told(key): value for key, value in mapping.items()}


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
        if type(one) is Tagged and type(other) is Tagged:
            if one.type_name != other.type_name:
                return False
            pending.append((one.value, other.value))
            continue
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
            if same_leaf is _same_strict_leaf and not (_has_plain_keys(one) and _has_plain_keys(other)):
                one, other = _by_key(one), _by_key(other)
                if len(one) != len(other):
                    return False
            for key, value in one.items():
                if key not in other:
                    return False
                pending.append((value, other[key]))
        else:
            pending.extend(zip(one, other, strict=True))
    return True
