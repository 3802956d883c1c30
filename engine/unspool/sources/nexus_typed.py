"""nexus-state's typed JSON (`__id`, `__type`, `__ref`) as plain typed values. Function sources are never evaluated."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Final

from unspool.model.limits import Limits, in_force
from unspool.model.tags import Tagged, Unrepresentable
from unspool.model.values import Value
from unspool.sources.reviving import Frame, Leaf, Reference, plain_frame, revive_with

_ID, _TYPE, _REF, _ESCAPE = "__id", "__type", "__ref", "__esc_"
MAP: Final = "Map"


def _date(value: dict[str, Value]) -> Value:
    text = value.get("value")
    try:
        return dt.datetime.fromisoformat(text) if isinstance(text, str) else Tagged("Date", text)
    except ValueError:
        return Tagged("Date", text)


def _big_integer(value: dict[str, Value]) -> Value:
    try:
        return int(value.get("value", ""))
    except (ValueError, TypeError):
        return Tagged("BigInt", value.get("value"))


def _named(value: dict[str, Value]) -> Value:
    return Tagged(value[_TYPE], {key: item for key, item in value.items() if key not in (_TYPE, _ID)})


def _too_deep(value: dict[str, Value]) -> Value:
    return Unrepresentable("MaxDepthExceeded", str(value.get("__message", "nested deeper than the app wrote out")))


_LEAVES: Final[dict[str, Callable[[dict[str, Value]], Value]]] = {
    "Date": _date,
    "BigInt": _big_integer,
    "RegExp": _named,
    "Error": _named,
    "Function": _named,
    "MaxDepthExceeded": _too_deep,
}
_COLLECTIONS: Final = {MAP: "entries", "Set": "values"}


def is_marked(value: dict[str, Value]) -> bool:
    """Say whether an object is a value as the package's serialiser writes one: named by its type, and by an id or content."""
    name = value.get(_TYPE)
    return isinstance(name, str) and (_ID in value or name in _LEAVES or name in _COLLECTIONS)


def _open(value: Value) -> Frame:
    if not isinstance(value, dict):
        return plain_frame(value)
    type_name = value.get(_TYPE)
    if isinstance(type_name, str) and type_name in _COLLECTIONS:
        items = value.get(_COLLECTIONS[type_name])
        # What has more than its items is no collection of the package, and is kept whole.
        if isinstance(items, list) and len(value) <= 2 + (_ID in value):
            return Frame(iter(enumerate(items)), [], lambda content: Tagged(type_name, content))
    if _ID not in value or not isinstance(type_name, str):
        return plain_frame(value)
    members = ((key.removeprefix(_ESCAPE), item) for key, item in value.items() if key not in (_ID, _TYPE))
    wrap = None if type_name == "Object" else lambda content: Tagged(type_name, content)
    return Frame(iter(members), {}, wrap)


def _objects_by_id(document: Value) -> dict[str, Value]:
    found: dict[str, Value] = {}
    pending = [document]
    while pending:
        value = pending.pop()
        if isinstance(value, dict):
            if isinstance(value.get(_ID), str):
                found[value[_ID]] = value
            pending.extend(value.values())
        elif isinstance(value, list):
            pending.extend(value)
    return found


def revive_typed(document: Value, limits: Limits | None = None) -> tuple[Value, int]:
    """Return a copy of a document with typed values restored, and how many values the file does not hold.

    A Map becomes `Tagged("Map", [[key, value], …])`, a Set `Tagged("Set", […])`, a Date a datetime. Lists carry no
    id in this format, so a reference to one stands for something that cannot be found again.

    Raises:
        TooMuch: references unfold to more than a state may hold.
    """
    objects = _objects_by_id(document)
    lost = 0

    def marker_of(value: dict[str, Value]) -> Leaf | Reference | None:
        nonlocal lost
        reference = value.get(_REF)
        if len(value) == 1 and isinstance(reference, str):
            if reference in objects:
                return Reference(objects[reference])
            lost += 1
            return Leaf(Unrepresentable("reference", f"{reference} is not in the file; lists carry no id"))
        type_name = value.get(_TYPE)
        restore = _LEAVES.get(type_name) if isinstance(type_name, str) else None
        if restore is None:
            return None
        lost += restore is _too_deep
        return Leaf(restore(value))

    return revive_with(document, marker_of, _open, limits or in_force()), lost
