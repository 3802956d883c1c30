"""Values as the agent writes them in JSON, its cells, as wire forms; and states as cells, for a program that is put back to one.

A cell is JSON's own value, `[7]` for node 7 of the mirror, or a list that begins with what it is, such as
`["decimal", "1.00"]`. Reading one runs no code of the program and imports none of its classes.
"""

from __future__ import annotations

import array
import base64
import binascii
import datetime as dt
import decimal
import math
import uuid
from collections.abc import Callable, Mapping
from typing import Final

from unspool.errors import CorruptHistory, UnspoolError
from unspool.model.encoding import REFERENCE, encode
from unspool.model.keys import format_path
from unspool.model.tags import Tag, Tagged, array_header, extension, leaf_form, standard_contents
from unspool.model.values import Unrepresentable, Value
from unspool.model.wire import decode, encode_json

Cell = Value
"""A value as the agent writes it."""

REDACTED: Final = "[redacted]"
MORE: Final = "…"
"""Key, or type of a marker, that says that a container is not all there is."""
_DEEPEST_INLINE: Final = 8
"""Levels of cells within cells: the agent writes short tuples and members of enumerations inline."""
CUTS: Final = {
    "depth": "more levels than the agent follows",
    "nodes": "more parts than the agent follows",
    "time": "more than the agent has time for",
}


class NotOfTheAgent(UnspoolError):
    """A message that the agent does not write."""


def node_of(cell: Cell) -> int | None:
    """Return the node that a cell stands for; None for one that is a value itself."""
    if type(cell) is list and len(cell) == 1 and type(cell[0]) is int:
        return cell[0]
    return None


def is_unset(cell: Cell) -> bool:
    """Whether a cell says that nothing is there."""
    return type(cell) is list and len(cell) == 1 and cell[0] == "unset"


def cell_form(cell: Cell, depth: int = 0) -> bytes:
    """Return the wire form of a cell that is no node.

    Raises:
        NotOfTheAgent: it means nothing.
    """
    kind = type(cell)
    if kind is not list and kind is not dict:
        form = encode_json(cell)
        return encode(cell) if form is None else form
    if kind is not list or not cell or type(cell[0]) is not str or depth > _DEEPEST_INLINE:
        raise NotOfTheAgent("a cell that means nothing")
    read = _READERS.get(cell[0])
    if read is None:
        raise NotOfTheAgent(f"a cell of the unknown kind {cell[0][:40]!r}")
    try:
        return read(cell, depth)
    except (TypeError, ValueError, IndexError, ArithmeticError, binascii.Error, CorruptHistory) as error:
        raise NotOfTheAgent(f"a cell of kind {cell[0]!r} that does not read ({type(error).__name__})") from None


def marker_form(kind: str, reason: str) -> bytes:
    """Return the wire form of what stands in the place of something that is not kept."""
    return encode(Unrepresentable(kind, reason))


def tagged_form(kind: str, content: bytes) -> bytes:
    """Return the wire form of an object of a class, whose content is in wire form."""
    return extension(Tag.TAGGED, array_header(2) + encode(kind) + content)


def reference_form(path: tuple[Value, ...]) -> bytes:
    """Return the wire form of what stands where an object stands inside itself.

    Args:
        path: where it is written: the atom, then steps.
    """
    return tagged_form(REFERENCE, encode(format_path(path)))


def bytes_form(cells: list[Cell], kind: str | None) -> bytes:
    """Return the wire form of bytes that are written in base 64.

    Args:
        cells: the bytes, and of an array the code of what it holds.
        kind: the class that they are of; None for plain bytes.

    Raises:
        NotOfTheAgent: they do not read.
    """
    try:
        data = base64.b64decode(cells[0], validate=True)
    except (TypeError, ValueError, IndexError) as error:
        raise NotOfTheAgent(f"bytes that do not read ({type(error).__name__})") from None
    if kind == "array.array" and len(cells) > 1 and type(cells[1]) is str:
        return extension(Tag.STANDARD, encode(["array", [cells[1], data]]))
    if kind == "builtins.bytearray":
        return encode(bytearray(data))
    return encode(data) if kind is None else tagged_form(kind, encode(data))


def _text(given: Cell) -> str:
    if type(given) is not str:
        raise TypeError
    return given


def _of_leaf(value: Value) -> bytes:
    form = leaf_form(value)
    return encode(value) if form is None else form


def _moment(cell: Cell, _: int) -> bytes:
    zone = cell[2] if len(cell) > 2 else None
    if zone is None:
        form = extension(Tag.DATETIME, _text(cell[1]).encode())
    else:
        form = extension(Tag.ZONED, f"{_text(cell[1])}|{_text(zone)}".encode())
    decode(form)
    return form


def _time(cell: Cell, _: int) -> bytes:
    form = extension(Tag.TIME, _text(cell[1]).encode())
    decode(form)
    return form


def _items(cell: Cell, depth: int, tag: Tag) -> bytes:
    forms = [cell_form(item, depth + 1) for item in cell[1]]
    if tag is Tag.FROZENSET:
        forms.sort()
    return extension(tag, array_header(len(forms)) + b"".join(forms))


def _member(cell: Cell, depth: int) -> bytes:
    content = array_header(2) + encode(_text(cell[2])) + cell_form(cell[3], depth + 1)
    return extension(Tag.TAGGED, array_header(3) + encode(_text(cell[1])) + content + encode(True))


def _standard(cell: Cell, depth: int) -> bytes:
    """Return a value of the standard library, as `unspool.model.tags` names it."""
    name = _text(cell[1])
    content = cell_form(_text(cell[2]) if name not in _IN_PARTS else cell[2], depth + 1)
    if name in _IN_PARTS:
        parts = [cell_form(part, depth + 1) for part in cell[2:]]
        content = array_header(len(parts)) + b"".join(parts)
    form = extension(Tag.STANDARD, array_header(2) + encode(name) + content)
    decode(form)
    return form


def _cut(cell: Cell, _: int) -> bytes:
    if cell[1] == "text":
        length = f"{cell[3]:,}" if len(cell) > 3 and type(cell[3]) is int else "more"
        return marker_form("str", f"{length} letters, of which these are the first: {_text(cell[2])}")
    said = CUTS.get(cell[1], "left out by the agent")
    text = _text(cell[2]) if len(cell) > 2 else ""
    return marker_form("", f"{said}: {text}" if text else said)


_IN_PARTS: Final = ("fraction", "range", "slice")
"""Values of the standard library that are kept as several."""
_READERS: Final[dict[str, Callable[[Cell, int], bytes]]] = {
    "int": lambda cell, _: _of_leaf(int(_text(cell[1]), 0)),
    "float": lambda cell, _: encode(float(_text(cell[1]))),
    "bytes": lambda cell, _: bytes_form(cell[1:2], None),
    "of": lambda cell, depth: tagged_form(_text(cell[1]), cell_form(cell[2], depth + 1)),
    "std": _standard,
    "complex": lambda cell, _: encode(complex(float(_text(cell[1])), float(_text(cell[2])))),
    "datetime": _moment,
    "date": lambda cell, _: encode(dt.date.fromisoformat(_text(cell[1]))),
    "time": _time,
    "timedelta": lambda cell, _: encode(dt.timedelta(int(cell[1]), int(cell[2]), int(cell[3]))),
    "decimal": lambda cell, _: encode(decimal.Decimal(_text(cell[1]))),
    "uuid": lambda cell, _: encode(uuid.UUID(_text(cell[1]))),
    "enum": _member,
    "tuple": lambda cell, depth: _items(cell, depth, Tag.TUPLE),
    "frozenset": lambda cell, depth: _items(cell, depth, Tag.FROZENSET),
    "other": lambda cell, _: marker_form(_text(cell[1]), _text(cell[2])),
    "cut": _cut,
    "redacted": lambda cell, _: encode(REDACTED),
}


def state_cell(state: Mapping[str, Value]) -> Cell:
    """Return a state as one cell with everything inline, as the agent takes it to put its program there.

    Args:
        state: atoms by name, as a history gives them.
    """
    return ["state", list(state), _all(list(state.values()))]


def value_cell(value: Value) -> Cell:
    """Return a value as a cell with everything inline."""
    kind = type(value)
    if kind in _ALIKE:
        return value
    if kind is int:
        return value if _LEAST < value < _MOST else ["int", hex(value)]
    if kind is float:
        return value if math.isfinite(value) else ["float", str(value)]
    write = _WRITERS.get(kind)
    if write is not None:
        return write(value)
    known = standard_contents().get(kind)
    if known is not None:
        content = known[1](value)
        return ["std", known[0], *(_all(content) if isinstance(content, list) else [content])]
    return ["other", f"{kind.__module__}.{kind.__qualname__}", ""]


def _all(values: list[Value]) -> list[Cell]:
    # `value_cell`, without a call for each plain value.
    return [
        value
        if type(value) in _ALIKE
        or (type(value) is int and _LEAST < value < _MOST)
        or (type(value) is float and math.isfinite(value))
        else value_cell(value)
        for value in values
    ]


def _dict_cell(value: dict[Value, Value]) -> Cell:
    keys = list(value)
    if set(map(type, keys)) != {str}:
        keys = _all(keys)
    return ["dict", keys, _all(list(value.values())), None]


_ALIKE: Final = frozenset((str, bool, type(None)))
"""Types of values that are their own cells."""
_LEAST, _MOST = -(2**63), 2**63
"""Between them integers are their own cells."""


def _tagged_cell(value: Tagged) -> Cell:
    kind, content = value.type_name, value.value
    if kind == REFERENCE:
        return ["ref", str(content).removeprefix("$").removeprefix(".")]
    if value.is_member:
        return ["enum", kind, content[0], value_cell(content[1])]
    if kind == "collections.deque":
        items = content["items"] if isinstance(content, dict) and "items" in content else content
        return ["deque", _all(list(items)), kind]
    if isinstance(content, dict):
        if kind.startswith("collections."):
            return ["dict", _all(list(content)), _all(list(content.values())), kind]
        return ["object", kind, [str(name) for name in content], _all(list(content.values()))]
    if isinstance(content, list | tuple | set | frozenset):
        return [type(content).__name__, _all(list(content)), kind]
    if isinstance(content, bytes):
        return ["bytes", base64.b64encode(content).decode(), kind]
    return ["of", kind, value_cell(content)]


_WRITERS: Final[dict[type, Callable[[Value], Cell]]] = {
    list: lambda value: ["list", _all(value), None],
    tuple: lambda value: ["tuple", _all(list(value)), None],
    set: lambda value: ["set", _all(list(value)), None],
    frozenset: lambda value: ["frozenset", _all(list(value)), None],
    dict: _dict_cell,
    bytes: lambda value: ["bytes", base64.b64encode(value).decode()],
    bytearray: lambda value: ["bytes", base64.b64encode(value).decode(), "builtins.bytearray"],
    array.array: lambda value: ["bytes", base64.b64encode(value.tobytes()).decode(), "array.array", value.typecode],
    complex: lambda value: ["complex", repr(value.real), repr(value.imag)],
    dt.datetime: lambda value: ["datetime", *_moment_parts(value)],
    dt.date: lambda value: ["date", value.isoformat()],
    dt.time: lambda value: ["time", value.isoformat() + ("~" if value.fold else "")],
    dt.timedelta: lambda value: ["timedelta", value.days, value.seconds, value.microseconds],
    decimal.Decimal: lambda value: ["decimal", str(value)],
    uuid.UUID: lambda value: ["uuid", value.hex],
    Tagged: _tagged_cell,
    Unrepresentable: lambda value: ["other", value.type_name, value.reason],
}


def _moment_parts(value: dt.datetime) -> list[Cell]:
    zone = getattr(value.tzinfo, "key", None)
    return [value.isoformat() + ("~" if value.fold else ""), zone if isinstance(zone, str) else None]


__all__ = [
    "CUTS",
    "MORE",
    "REDACTED",
    "Cell",
    "NotOfTheAgent",
    "bytes_form",
    "cell_form",
    "is_unset",
    "marker_form",
    "node_of",
    "reference_form",
    "state_cell",
    "tagged_form",
    "value_cell",
]
