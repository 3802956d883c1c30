"""Values as JSON text, bit for bit as the original event log wrote them, and SHA-256 over it (E-30..E-34)."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Final

import msgspec

from unspool.errors import UnsupportedValue
from unspool.events.javascript import (
    escape_lone_surrogates,
    number_text,
    own_key_order,
    quoted,
    sorted_key_order,
    utf8,
)
from unspool.model.values import Value

PROTO_KEY: Final = "__proto__"
"""The key that an assignment in JavaScript loses, so canonical text never has it."""

_FAST: Final = msgspec.json.Encoder(order="sorted")
_INDEX_KEY: Final = re.compile(rb'"(?:0|[1-9][0-9]{0,9})":')
_BEYOND_BMP: Final = re.compile(rb"[\xf0-\xf4]")
_EXPONENT: Final = re.compile(rb"e-?[0-9]{1,3}[],}]")
_POINT_ZERO: Final = re.compile(rb"\.0[],}]")
_DIGITS: Final = re.compile(rb"[0-9]{16}")
_LONG_INTEGER: Final = re.compile(rb"[\[,:]-?[0-9]{16}")

_KeyOrder = Callable[[Iterable[str]], list[str]]


class _Written(str):
    """Text that is JSON already."""

    __slots__ = ()


class _Closing(str):
    """The bracket that ends a list or an object, and which one it ends."""

    __slots__ = ("container",)
    container: int


def canonical_json(value: Value) -> str:
    """Write a value in canonical form: keys sorted at all levels, no blanks, numbers as JavaScript spells them.

    The result has a UTF-8 form, whatever the value holds. Any depth.

    Raises:
        UnsupportedValue: the value is no JSON (a type JSON lacks, a key that is no text, a cycle).
    """
    return _write(value, _canonical_order)


def canonical_parsed(value: Value) -> str:
    """Do what `canonical_json` does, many times faster, for a value that came from JSON text and from nothing else."""
    if not isinstance(value, dict | list):
        return canonical_json(value)
    try:
        text = _FAST.encode(value)
    except (UnicodeEncodeError, RecursionError, OverflowError):
        return canonical_json(value)
    return canonical_json(value) if _may_differ(text) else text.decode()


def _may_differ(text: bytes) -> bool:
    """Say whether msgspec's text holds what JavaScript treats in its own way; that it is only in text does no harm.

    Lost and index-like keys, characters that sort otherwise by UTF-16 unit, numbers with an exponent, whole numbers
    with a point, whole numbers that may be beyond 2^53. One search each: a single one for all is ten times slower.
    """
    return (
        PROTO_KEY.encode() in text
        or _INDEX_KEY.search(text) is not None
        or (not text.isascii() and _BEYOND_BMP.search(text) is not None)
        or _EXPONENT.search(text) is not None
        or _POINT_ZERO.search(text) is not None
        or (_DIGITS.search(text) is not None and _LONG_INTEGER.search(text) is not None)
    )


def plain_json(value: Value) -> str:
    """Write a value as `JSON.stringify` does: no blanks, keys as they came but array indices first.

    Raises:
        UnsupportedValue: as for `canonical_json`.
    """
    return _write(value, own_key_order)


def sha256_hex(text: str) -> str:
    """Hash the UTF-8 bytes of a text: 64 lower-case hex digits."""
    return hashlib.sha256(utf8(text)).hexdigest()


def _canonical_order(keys: Iterable[str]) -> list[str]:
    return [key for key in sorted_key_order(keys) if key != PROTO_KEY]


def _write(value: Value, key_order: _KeyOrder) -> str:
    parts: list[str] = []
    pending: list[Value] = [value]
    open_containers: set[int] = set()
    while pending:
        item = pending.pop()
        if type(item) is _Written:
            parts.append(item)
        elif type(item) is _Closing:
            open_containers.discard(item.container)
            parts.append(item)
        elif isinstance(item, str):
            parts.append(quoted(item))
        elif isinstance(item, bool | int | float) or item is None:
            parts.append(_scalar(item))
        else:
            if id(item) in open_containers:
                raise UnsupportedValue("a value that holds itself has no JSON form; break the cycle first")
            open_containers.add(id(item))
            parts.append(_open(item, pending, key_order))
    return escape_lone_surrogates("".join(parts))


def _scalar(item: float | None) -> str:
    if item is None:
        return "null"
    if isinstance(item, bool):
        return "true" if item else "false"
    return number_text(item)


def _open(item: Value, pending: list[Value], key_order: _KeyOrder) -> str:
    """Put a container's content on the stack, last things first, and return its opening bracket."""
    is_object = isinstance(item, Mapping)
    if not is_object and not isinstance(item, list | tuple):
        raise UnsupportedValue(
            f"{type(item).__name__} has no JSON form; convert it to text, numbers, lists or objects"
        )
    closing = _Closing("}" if is_object else "]")
    closing.container = id(item)
    pending.append(closing)
    if is_object:
        for key in item:
            if not isinstance(key, str):
                raise UnsupportedValue(f"the key {key!r} is no text; JSON objects have text keys only")
        keys = key_order(item)
        for position in range(len(keys) - 1, -1, -1):
            pending.append(item[keys[position]])
            pending.append(_Written(f"{',' if position else ''}{quoted(keys[position])}:"))
    else:
        for position in range(len(item) - 1, -1, -1):
            pending.append(item[position])
            if position:
                pending.append(_Written(","))
    return "{" if is_object else "["
