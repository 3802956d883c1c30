"""Values and their types in a few words, for messages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from unspool.model.values import MISSING, Tagged, Unrepresentable, Value

_LONGEST: Final = 40


def type_name(value: Value) -> str:
    """Return a value's type as JSON calls it, or its own name."""
    match value:
        case bool():
            return "boolean"
        case int() | float():
            return "number"
        case str():
            return "text"
        case list():
            return "list"
        case Mapping():
            return "object"
    return value.type_name if isinstance(value, Tagged | Unrepresentable) else type(value).__name__


def brief(value: Value) -> str:
    """Return a value in a few characters; containers by their size, since they may be of any depth."""
    if value is MISSING:
        return "nothing"
    if isinstance(value, Tagged):
        return f"{value.short_name}.{value.value[0]}" if value.is_member else value.type_name
    if isinstance(value, Mapping | list | tuple | set | frozenset):
        return f"{type_name(value)} of {len(value)}"
    if isinstance(value, int) and value.bit_length() > 200:
        return f"a number of {value.bit_length()} bits"
    if isinstance(value, str):
        text = repr(value[: _LONGEST + 1])
    elif value is None or isinstance(value, int | float | bytes):
        text = repr(value)
    else:
        return type_name(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
