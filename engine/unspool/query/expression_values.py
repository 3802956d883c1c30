"""Values as expressions see them: JSON types only, so that tuples index like lists and dates compare like text."""

from __future__ import annotations

import datetime as dt
import decimal
from collections.abc import Callable
from typing import Final

import msgspec

from unspool.model import wire
from unspool.model.counting import LARGE_BYTES, refuse_heavy
from unspool.model.encoded import NotSplittable, split_list
from unspool.model.keys import spell_key, step_of_form
from unspool.model.tags import Tag, from_tag
from unspool.model.values import Value

_AS_LIST: Final = frozenset((Tag.TUPLE, Tag.SET, Tag.FROZENSET))


def plain(encoded: bytes) -> Value:
    """Decode a wire form to JSON types.

    Tuples and sets become lists, dates and times ISO text, durations seconds, decimals numbers, objects
    what they hold, keys that are no text their text, members of enumerations objects with name and value. What is nested too deeply for that is decoded as it is.

    Raises:
        CorruptHistory: the bytes are no wire form.
    """
    if len(encoded) > LARGE_BYTES:
        refuse_heavy(encoded)
    try:
        return _decode(encoded)
    except (RecursionError, NotSplittable, msgspec.DecodeError, UnicodeDecodeError, ValueError, TypeError):
        return wire.decode(encoded)


def _untag(code: int, payload: memoryview) -> Value:
    data = bytes(payload)
    if code in _AS_LIST:
        return plain(data)
    if code == Tag.TAGGED:
        _, content, *is_member = plain(data)
        return Member(name=content[0], value=content[1]) if is_member else content
    if code == Tag.PAIRS:
        return _keyed(split_list(data))
    return _leaf(from_tag(code, data, plain))


def _keyed(parts: list[bytes]) -> dict[str, Value]:
    steps = list(map(step_of_form, parts[::2]))
    texts = {step for step in steps if isinstance(step, str)}
    made: dict[str, Value] = {}
    for step, value in zip(steps, parts[1::2], strict=True):
        text = spell_key(step)
        made[other_key(text) if not isinstance(step, str) and text in texts else text] = plain(value)
    return made


def other_key(text: str) -> str:
    """Return how a key that is no text is called where its text is a key of the same object itself."""
    return f"[{text}] of another type"


class Member(dict[str, Value]):
    """A member of an enumeration: its name and value."""

    def beside(self, other: Value) -> Value:
        """Return what is compared with another value: the name where the other is that, else the value."""
        return self["name"] if type(other) is str and other == self["name"] else self["value"]


def without_members(value: Value) -> Value:
    """Return a value with the members of enumerations in it as their values."""
    root = [value]
    pending: list[tuple[Value, Value]] = [(root, 0)]
    while pending:
        holder, key = pending.pop()
        item = holder[key]
        while type(item) is Member:
            item = item["value"]
        if type(item) is list or type(item) is dict:
            item = item.copy()
            pending.extend((item, inner) for inner in (item if type(item) is dict else range(len(item))))
        holder[key] = item
    return root[0]


def may_have_members(encoded: bytes) -> bool:
    """Say whether a wire form may hold members of enumerations; False is certain."""
    return _MEMBER_FORM in encoded


_MEMBER_FORM: Final = bytes((Tag.TAGGED, 0x93))
"""How the payload of a tagged value with three parts begins."""


def _leaf(value: Value) -> Value:
    match value:
        case dt.datetime() | dt.date() | dt.time():
            return value.isoformat()
        case dt.timedelta():
            return value.total_seconds()
        case decimal.Decimal():
            return float(value)
        case str() | int():
            return value
    return str(value)


_decode: Final[Callable[[bytes], Value]] = msgspec.msgpack.Decoder(ext_hook=_untag).decode
