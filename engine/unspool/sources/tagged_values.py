"""Writing values in another notation: the walk that all notations with markers share. Nothing recurses."""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import decimal
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from unspool.errors import UnreadableSource
from unspool.model.json_exact import BrokenText, parse
from unspool.model.json_text import to_json
from unspool.model.tags import Tagged, Unrepresentable
from unspool.model.values import MISSING, Value
from unspool.snapshots.snapshot import AnySnapshot, snapshot_from_dict
from unspool.sources.entries import UnusableRecord


@dataclass(slots=True)
class Part:
    """A container to be written in another way.

    Attributes:
        members: the values in it, which are rewritten first.
        build: makes the result of them.
        done: members rewritten so far.
    """

    members: Iterator[Value]
    build: Callable[[list[Value]], Value]
    done: list[Value] = field(default_factory=list)


def object_part(keys: list[str], values: Iterator[Value]) -> Part:
    """Return the part that makes an object of these keys."""
    return Part(values, lambda done: dict(zip(keys, done, strict=True)))


def list_part(items: list[Value]) -> Part:
    """Return the part that makes a list."""
    return Part(iter(items), list)


def rewritten(value: Value, part_of: Callable[[Value], Part | Value]) -> Value:
    """Return a value in another notation.

    Args:
        value: any value; not changed.
        part_of: returns what a leaf is written as, or the part that a container is made of.
    """
    stack = [Part(iter((value,)), lambda done: done[0])]
    while True:
        part = stack[-1]
        member = next(part.members, MISSING)
        if member is not MISSING:
            opened = part_of(member)
            if isinstance(opened, Part):
                stack.append(opened)
            else:
                part.done.append(opened)
            continue
        stack.pop()
        built = part.build(part.done)
        if not stack:
            return built
        stack[-1].done.append(built)


TAGGED: Final = "tagged"
"""The key of a record that says its values carry tags."""
_PLAIN: Final = (str, bool, int, type(None))
_PAIRS: Final = "$pairs"


def to_tagged(value: Value) -> tuple[Value, bool]:
    """Return a value as JSON with tags, and whether there are any."""
    is_tagged = False

    def part_of(member: Value) -> Part | Value:
        nonlocal is_tagged
        kind = type(member)
        if kind in _PLAIN or (kind is float and member - member == 0):
            # Integers of thousands of digits are the only plain values that JSON text tags.
            is_tagged = is_tagged or (kind is int and to_json(member).startswith("{"))
            return member
        if kind is list:
            return list_part(member)
        if kind is dict and all(type(key) is str for key in member):
            if not any(key.startswith("$") for key in member):
                return object_part(list(member), iter(member.values()))
            is_tagged = True
            return _pairs(member)
        is_tagged = True
        return _tagged_part(member)

    return rewritten(value, part_of), is_tagged


def _pairs(value: dict[Value, Value]) -> Part:
    return Part(iter([[key, item] for key, item in value.items()]), lambda done: {_PAIRS: done})


def _tagged_part(value: Value) -> Part | Value:
    match value:
        case tuple():
            return Part(iter(value), lambda done: {"$tuple": done})
        case set() | frozenset():
            name = "$set" if isinstance(value, set) else "$frozenset"
            return Part(iter(sorted(value, key=repr)), lambda done: {name: done})
        case dict():
            return _pairs(value)
        case Tagged():
            more = {"enum": True} if value.is_member else {}
            return Part(iter((value.value,)), lambda done: {"$type": value.type_name, "value": done[0], **more})
        case dt.datetime() | dt.time() if value.fold:
            return {f"${type(value).__name__}": f"{value.isoformat()}~"}
    return value


_LEAVES: Final[dict[str, Callable[[Value], Value]]] = {
    "$float": float,
    "$int": lambda text: int(text, 16),
    "$bytes": lambda text: base64.b64decode(text, validate=True),
    "$bytearray": lambda text: bytearray(base64.b64decode(text, validate=True)),
    "$tuple": tuple,
    "$set": set,
    "$frozenset": frozenset,
    _PAIRS: dict,
    "$datetime": lambda text: dt.datetime.fromisoformat(text.removesuffix("~")).replace(fold=int(text.endswith("~"))),
    "$date": dt.date.fromisoformat,
    "$time": lambda text: dt.time.fromisoformat(text.removesuffix("~")).replace(fold=int(text.endswith("~"))),
    "$timedelta": lambda parts: dt.timedelta(*parts),
    "$decimal": decimal.Decimal,
    "$uuid": uuid.UUID,
    "$complex": complex,
}


def from_tagged(value: Value) -> Value:
    """Return a value whose tags are turned back into what they stand for.

    Raises:
        UnusableRecord: a tag does not hold what it must.
    """
    try:
        return rewritten(value, _untagged_part)
    except (ValueError, TypeError, ArithmeticError, AttributeError, binascii.Error) as error:
        raise UnusableRecord(f"a tagged value does not read ({error})") from None


def _untagged_part(value: Value) -> Part | Value:
    if isinstance(value, list):
        return list_part(value)
    if not isinstance(value, dict):
        return value
    keys = list(value)
    if len(keys) == 1 and keys[0] in _LEAVES:
        restore = _LEAVES[keys[0]]
        return Part(iter((value[keys[0]],)), lambda done: restore(done[0]))
    if keys == ["$type", "value"] or (keys == ["$type", "value", "enum"] and value["enum"] is True):
        return Part(iter((value["value"],)), lambda done: Tagged(str(value["$type"]), done[0], len(keys) > 2))
    if keys == ["$unrepresentable", "reason"]:
        return Unrepresentable(str(value["$unrepresentable"]), str(value["reason"]))
    return object_part(keys, iter(value.values()))


def snapshot_to_json(snapshot: AnySnapshot, *, indent: int | None = None) -> str:
    """Return a snapshot or delta as JSON that keeps every value exactly: what JSON lacks is tagged.

    The plain shape, `json.dumps(snapshot.to_dict())`, is what other tools read; it refuses sets, makes tuples lists, and
    makes keys that are no text into texts.

    Args:
        snapshot: what to write.
        indent: spaces for each level; None for one line.

    Raises:
        UnsupportedValue: a value has no wire form.
    """
    return to_json(to_tagged(snapshot.to_dict())[0], indent=indent)


def snapshot_from_json(text: str) -> AnySnapshot:
    """Read what `snapshot_to_json` wrote.

    Raises:
        UnreadableSource: it is no JSON, or neither a snapshot nor a delta.
    """
    try:
        data = from_tagged(parse(text.encode("utf-8", "surrogatepass")).value)
    except (BrokenText, UnusableRecord) as error:
        raise UnreadableSource(f"the JSON of a snapshot does not read: {error}") from None
    return snapshot_from_dict(data)
