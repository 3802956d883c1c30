"""Values in other notations, whose markers stand for what plain JSON lacks: read back into values, and written.

Reading unfolds shared parts and brings back types; writing is the walk that all notations with markers share. Nothing
recurses.
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import decimal
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from unspool.errors import UnreadableSource
from unspool.model.json_exact import BrokenText, TooMuch, parse
from unspool.model.json_text import to_json
from unspool.model.limits import Limits
from unspool.model.tags import Tagged, Unrepresentable
from unspool.model.values import MISSING, Value
from unspool.snapshots.snapshot import AnySnapshot, snapshot_from_dict
from unspool.sources.entries import UnusableRecord

_SPECIAL: Final = (set, frozenset, tuple)


class Size(NamedTuple):
    """What a value comes to.

    Attributes:
        nodes: values and keys.
        characters: length of all texts and byte strings.
    """

    nodes: int
    characters: int

    def plus(self, other: Size) -> Size:
        """Return both together."""
        return Size(self.nodes + other.nodes, self.characters + other.characters)

    def check(self, limits: Limits, what: str) -> None:
        """Refuse what is larger than a state may be.

        Args:
            limits: bounds.
            what: what made it so large, as the start of a sentence: "its aliases".

        Raises:
            TooMuch: it is.
        """
        if self.nodes > limits.nodes:
            raise TooMuch(f"{what} unfold to more than {limits.nodes:,} values; {limits.remedy('nodes')}")
        if self.characters > limits.document_bytes:
            raise TooMuch(f"{what} unfold to {self.characters:,} characters; {limits.remedy('document_bytes')}")


NOTHING: Final = Size(0, 0)


def leaf_size(value: Value) -> Size:
    """Return the size of a value that holds no others."""
    return Size(1, len(value) if isinstance(value, str | bytes) else 0)


def unfolded_size(value: Value) -> Size:
    """Return the size of a value with shared parts counted as often as they stand in it; each is looked at once.

    Raises:
        BrokenText: it contains itself.
    """
    sizes: dict[int, Size] = {}
    on_path: set[int] = set()
    pending: list[tuple[Value, bool]] = [(value, False)]
    while pending:
        current, is_done = pending.pop()
        identity = id(current)
        if is_done:
            on_path.discard(identity)
            nodes, characters = 1, 0
            for child in _children(current):
                size = sizes.get(id(child)) or leaf_size(child)
                nodes += size.nodes
                characters += size.characters
            sizes[identity] = Size(nodes, characters)
        elif identity in on_path:
            raise BrokenText("it contains itself, which no history can keep")
        elif identity not in sizes and (children := _children(current)):
            on_path.add(identity)
            pending.append((current, True))
            pending.extend((child, False) for child in children)
    return sizes.get(id(value)) or leaf_size(value)


def _children(value: Value) -> list[Value]:
    if isinstance(value, dict):
        return [*value, *value.values()]
    if isinstance(value, list):
        return value
    if isinstance(value, Tagged):
        return [value.value]
    return list(value) if isinstance(value, _SPECIAL) else []


DROP: Final = object()
"""Stands for an undefined value: no key in an object, a gap in a list."""
_FREE_LEVELS: Final = 3
"""Levels above the states (the file, its list of states, the item of one): together they may be of any size."""
_MAX_HOPS: Final = 32
_MARK: Final = leaf_size(None)


@dataclass(frozen=True, slots=True)
class Leaf:
    """A marker that stands for a finished value."""

    value: Value


@dataclass(frozen=True, slots=True)
class Reference:
    """A marker that stands for another part of the document."""

    target: Value


@dataclass(slots=True)
class CopiedContainer:
    """A container being copied.

    Attributes:
        items: keys and values still to be copied.
        content: the copy so far.
        wrap: what the finished copy is turned into; None leaves it as it is.
        source: the container in the document.
        key: the key being copied.
        size: what was copied so far comes to, shared parts counted in full.
    """

    items: Iterator[tuple[str | int, Value]]
    content: Value
    wrap: Callable[[Value], Value] | None = None
    source: Value = None
    key: str | int = 0
    size: Size = _MARK

    def put(self, value: Value, size: Size) -> None:
        """Store the value of the current key."""
        self.size = self.size.plus(size)
        if isinstance(self.content, list):
            self.content.append(None if value is DROP else value)
        elif value is not DROP:
            self.content[self.key] = value


MarkerOf = Callable[[dict[str, Value]], Leaf | Reference | None]
"""Returns what a marker object stands for; None for an ordinary object."""
Opener = Callable[[Value], CopiedContainer]
"""Begins the copy of an object or list."""


def plain_frame(value: Value) -> CopiedContainer:
    """Begin the copy of an ordinary object or list."""
    if isinstance(value, list):
        return CopiedContainer(iter(enumerate(value)), [])
    return CopiedContainer(iter(value.items()), {})


class _Walk:
    def __init__(self, marker_of: MarkerOf, opener: Opener, limits: Limits) -> None:
        self._marker_of = marker_of
        self._opener = opener
        self._limits = limits
        self._stack: list[CopiedContainer] = []
        self._active: set[int] = set()
        self._done: dict[int, tuple[Value, Size]] = {}

    def run(self, root: Value) -> Value:
        holder = CopiedContainer(iter(()), [])
        self._stack.append(holder)
        self._visit(root)
        while len(self._stack) > 1:
            frame = self._stack[-1]
            member = next(frame.items, None)
            if member is None:
                self._finish()
            else:
                frame.key = member[0]
                self._visit(member[1])
        return holder.content[0]

    def _finish(self) -> None:
        frame = self._stack.pop()
        if len(self._stack) > _FREE_LEVELS:
            frame.size.check(self._limits, "its references")
        value = frame.content if frame.wrap is None else frame.wrap(frame.content)
        self._active.discard(id(frame.source))
        self._done[id(frame.source)] = value, frame.size
        self._stack[-1].put(value, frame.size)

    def _visit(self, value: Value) -> None:
        """Hand a value to the frame on top, or put a frame for it on top of that."""
        top = self._stack[-1]
        hops = 0
        while isinstance(value, dict) and (marker := self._marker_of(value)) is not None:
            hops += 1
            if isinstance(marker, Leaf):
                top.put(marker.value, unfolded_size(marker.value))
                return
            value = marker.target
            if hops > _MAX_HOPS:
                top.put(Unrepresentable("reference", "it leads to nothing but other references"), _MARK)
                return
        if not isinstance(value, dict | list):
            top.put(value, leaf_size(value))
        elif id(value) in self._done:
            top.put(*self._done[id(value)])
        elif id(value) in self._active:
            top.put(Unrepresentable("circular reference", "the value contains itself here"), _MARK)
        else:
            frame = self._opener(value)
            frame.source = value
            self._active.add(id(value))
            self._stack.append(frame)


def revive_with(document: Value, marker_of: MarkerOf, opener: Opener, limits: Limits) -> Value:
    """Return a copy of a document with its markers turned into values.

    Args:
        document: the parsed document; not changed, and not shared with the result.
        marker_of: says which objects are markers, and for what.
        opener: begins the copy of each other object and list.
        limits: bounds what shared parts may unfold to inside one state.

    Raises:
        TooMuch: references unfold to more than a state may hold.
    """
    return _Walk(marker_of, opener, limits).run(document)


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
