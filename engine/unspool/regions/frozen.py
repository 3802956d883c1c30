"""JSON values that cannot change: checked once on the way in, thawed on the way out."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import Final

from unspool.model.values import Value
from unspool.regions.errors import InvalidRegionValue

MAX_NESTING: Final = 100
"""Deepest nesting that region data may have; it bounds every walk in this room."""


class FrozenObject(Mapping[str, Value]):
    """A JSON object that cannot change; it can be compared, hashed, copied and pickled."""

    __slots__ = ("_fields",)

    def __init__(self, fields: Mapping[str, Value]) -> None:
        self._fields = dict(fields)

    def __getitem__(self, key: str) -> Value:
        return self._fields[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)

    def __hash__(self) -> int:
        return hash(frozenset(self._fields.items()))

    def __repr__(self) -> str:
        return repr(self._fields)


EMPTY: Final = FrozenObject({})
"""An object with nothing in it."""

_LEAVES: Final = frozenset({str, int, bool, float, type(None)})


def freeze(value: Value, name: str) -> Value:
    """Return a deep, unchangeable copy: objects become `FrozenObject`s, lists become tuples.

    Args:
        value: what JSON can hold; nesting up to `MAX_NESTING`.
        name: what the value is called in messages.

    Raises:
        InvalidRegionValue: the value is none JSON can hold, or nested too deeply.
    """
    return _freeze(value, name, MAX_NESTING)


def freeze_object(value: Value, name: str) -> FrozenObject:
    """Freeze a value that must be an object.

    Raises:
        InvalidRegionValue: the value is not an object, or holds what JSON cannot.
    """
    if isinstance(value, FrozenObject):
        return value
    if not isinstance(value, Mapping):
        raise InvalidRegionValue(f"{name} must be an object, not {describe(value)}")
    frozen = _freeze(value, name, MAX_NESTING)
    assert isinstance(frozen, FrozenObject)
    return frozen


def _freeze(value: Value, name: str, depth: int) -> Value:
    kind = type(value)
    if kind in _LEAVES:
        if kind is float and not math.isfinite(value):
            raise InvalidRegionValue(f"{name} is {value}, which JSON cannot hold; use a finite number")
        return value
    if depth == 0:
        raise InvalidRegionValue(f"{name} is nested deeper than {MAX_NESTING}; flatten it")
    if isinstance(value, Mapping):
        frozen = {}
        for key, item in value.items():
            if not isinstance(key, str):
                raise InvalidRegionValue(f"{name} has the key {key!r}; keys must be text")
            frozen[str(key)] = _freeze(item, name, depth - 1)
        return FrozenObject(frozen) if frozen else EMPTY
    if isinstance(value, list | tuple):
        return tuple(_freeze(item, name, depth - 1) for item in value)
    # Enumerations of text and numbers are what JSON writes them as.
    if isinstance(value, str):
        return str(value)
    if isinstance(value, int):
        return int(value)
    raise InvalidRegionValue(f"{name} holds a {kind.__name__}, which JSON cannot hold")


def thaw(value: Value) -> Value:
    """Return a plain copy of a frozen value: dicts and lists, free to change."""
    if isinstance(value, Mapping):
        return {key: thaw(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [thaw(item) for item in value]
    return value


def canonical(value: Value) -> str:
    """Spell a frozen value so that equal text means the same value: `1`, `1.0` and `true` differ."""
    return json.dumps(value, default=dict, sort_keys=True, separators=(",", ":"))


def describe(value: Value) -> str:
    """Name a value in a message, briefly."""
    if isinstance(value, Mapping):
        return "an object"
    if isinstance(value, list | tuple):
        return "a list"
    text = json.dumps(value) if type(value) in _LEAVES else f"a {type(value).__name__}"
    return text if len(text) <= 40 else f"{text[:37]}..."
