"""Values as JSON text, whatever they hold and however deep they go.

What JSON lacks is tagged, so that nothing changes its meaning in silence: `{"$float": "nan"}`, `{"$bytes": base64}`,
`{"$tuple": [...]}`, `{"$set": [...]}`, `{"$pairs": [[key, value], ...]}` (keys that are no text), `{"$datetime": ...}`
and the like, `{"$type": name, "value": ...}` (with `"enum": true` for a member of an enumeration, whose value is a list
of name and value). Lone surrogates are escaped.
"""

from __future__ import annotations

import base64
import datetime as dt
import decimal
import json
import math
import uuid
from collections.abc import Iterator
from typing import Final

from unspool.model.tags import Tagged, Unrepresentable
from unspool.model.values import Value

_encode_text: Final = json.JSONEncoder(ensure_ascii=False).encode
_escape_text: Final = json.JSONEncoder(ensure_ascii=True).encode


def to_json(value: Value, *, indent: int | None = None) -> str:
    """Return a value as JSON text.

    Args:
        value: any value that has a wire form.
        indent: blanks a level, for people; None for one line.
    """
    pieces: list[str] = []
    stack: list[_Frame] = []
    leaf = _open(value, pieces, stack)
    if leaf is not None:
        return leaf
    while stack:
        frame = stack[-1]
        step = next(frame.items, None)
        if step is None:
            stack.pop()
            pieces.append(frame.end(len(stack), indent))
            continue
        key, item = step
        pieces.append(frame.separator(len(stack), indent))
        if key is not None:
            pieces.append(_text(key) + (": " if indent is not None else ":"))
        leaf = _open(item, pieces, stack)
        if leaf is not None:
            pieces.append(leaf)
    return "".join(pieces)


def in_one_line(value: Value, *, in_full: bool = False) -> str:
    """Return a value for people: its JSON, behind the name of its class where it is an object of one.

    Args:
        value: any value that has a wire form.
        in_full: give the name of the class with its module.
    """
    if not isinstance(value, Tagged):
        return to_json(value)
    kind = value.type_name if in_full else value.short_name
    if value.is_member:
        name, held = value.value
        return f"{kind}.{name} ({to_json(held)})"
    return f"{kind} {to_json(value.value)}"


class _Frame:
    """A container being written."""

    __slots__ = ("close", "empty", "items")

    def __init__(self, items: Iterator[tuple[str | None, Value]], close: str) -> None:
        self.items = items
        self.close = close
        self.empty = True

    def separator(self, depth: int, indent: int | None) -> str:
        comma = "" if self.empty else ","
        self.empty = False
        return comma if indent is None else f"{comma}\n{_margin(indent, depth)}"

    def end(self, depth: int, indent: int | None) -> str:
        return self.close if self.empty or indent is None else f"\n{_margin(indent, depth)}{self.close}"


_DEEPEST_MARGIN: Final = 100
"""Levels that are indented; deeper ones share a margin, or a deep value would be mostly blanks."""


def _margin(indent: int, depth: int) -> str:
    return " " * (indent * min(depth, _DEEPEST_MARGIN))


def _open(value: Value, pieces: list[str], stack: list[_Frame]) -> str | None:
    """Return the text of a leaf, or begin a container and return None."""
    leaf = _leaf(value)
    if leaf is not None:
        return leaf
    if type(value) is list:
        pieces.append("[")
        stack.append(_Frame(((None, item) for item in value), "]"))
    else:
        content = value if type(value) is dict and all(type(key) is str for key in value) else _tagged(value)
        pieces.append("{")
        stack.append(_Frame(iter(content.items()), "}"))
    return None


def _leaf(value: Value) -> str | None:
    kind = type(value)
    if kind is str:
        return _text(value)
    if value is None:
        return "null"
    if kind is bool:
        return "true" if value else "false"
    if kind is int:
        return _integer(value)
    if kind is float and math.isfinite(value):
        return float.__repr__(value)
    return None


def _integer(value: int) -> str:
    try:
        return int.__repr__(value)
    except ValueError:
        # Python refuses to print integers of more than 4300 digits; hexadecimal has no such limit.
        return f'{{"$int": "{hex(value)}"}}'


def _text(value: str) -> str:
    text = _encode_text(value)
    try:
        text.encode()
    except UnicodeEncodeError:
        return _escape_text(value)
    return text


def _tagged(value: Value) -> dict[str, Value]:
    match value:
        case float():
            return {"$float": "nan" if value != value else "inf" if value > 0 else "-inf"}
        case tuple():
            return {"$tuple": list(value)}
        case set() | frozenset():
            return {"$set" if isinstance(value, set) else "$frozenset": sorted(value, key=repr)}
        case bytes() | bytearray():
            return {f"${type(value).__name__}": base64.b64encode(value).decode()}
        case dict():
            return {"$pairs": [[key, item] for key, item in value.items()]}
        case Tagged():
            more = {"enum": True} if value.is_member else {}
            return {"$type": value.type_name, "value": value.value, **more}
        case Unrepresentable():
            return {"$unrepresentable": value.type_name, "reason": value.reason}
        case dt.datetime() | dt.date() | dt.time():
            return {f"${type(value).__name__}": value.isoformat()}
        case dt.timedelta():
            return {"$timedelta": [value.days, value.seconds, value.microseconds]}
        case decimal.Decimal() | uuid.UUID() | complex():
            return {f"${type(value).__name__.lower()}": str(value)}
    return {"$type": type(value).__name__, "value": repr(value)}
