"""Values that Redux DevTools write as `{"$jsan": …}` and `{"__serializedType__": …}`, as plain typed values.

The letters are those of the `jsan` package; functions come back as their text and are never run.
"""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Callable
from typing import Final

from unspool.model.limits import Limits, in_force
from unspool.model.tags import Tagged, Unrepresentable
from unspool.model.values import Value
from unspool.sources.json_exact import BrokenText, parse
from unspool.sources.reviving import DROP, Frame, Leaf, Reference, plain_frame, revive_with

JSAN: Final = "$jsan"
SERIALIZED_TYPE: Final = "__serializedType__"
_STEP: Final = re.compile(r"\.(\w+)|\[(\d{1,18})\]|\[\"((?:[^\\\"]|\\.)*)\"\]")
_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def _date(text: str) -> Value:
    try:
        return _EPOCH + dt.timedelta(milliseconds=int(text))
    except (ValueError, OverflowError):
        return Tagged("Date", text)


def _regular_expression(text: str) -> Value:
    flags, _, source = text.partition(",")
    # JavaScript tells flags in the order of the alphabet, whatever order they were written in.
    return Tagged("RegExp", {"source": source, "flags": "".join(sorted(flags))})


def _nested(type_name: str) -> Callable[[str], Value]:
    def restore(text: str) -> Value:
        try:
            return Tagged(type_name, revive(parse(text.encode("utf-8", "surrogatepass")).value))
        except BrokenText:
            return Tagged(type_name, text)

    return restore


_RESTORE: Final[dict[str, Callable[[str], Value]]] = {
    "d": _date,
    "r": _regular_expression,
    "f": lambda text: Tagged("Function", text),
    "u": lambda _: DROP,
    "e": lambda text: Tagged("Error", text),
    "s": lambda text: Tagged("Symbol", text),
    "g": lambda text: Tagged("Symbol.for", text),
    "m": _nested("Map"),
    "l": _nested("Set"),
    "n": lambda _: math.nan,
    "i": lambda _: math.inf,
    "y": lambda _: -math.inf,
}


def _target(root: Value, path: str) -> Value:
    """Follow a reference such as `$.computedStates[0].state` through the raw document."""
    current = root
    position = 1
    while position < len(path):
        match = _STEP.match(path, position)
        if match is None:
            return DROP
        position = match.end()
        if isinstance(current, list) and match[2] is not None and int(match[2]) < len(current):
            current = current[int(match[2])]
            continue
        key = match[1] or match[2] or re.sub(r"\\(.)", r"\1", match[3] or "")
        if not isinstance(current, dict) or key not in current:
            return DROP
        current = current[key]
    return current


def _open(value: Value) -> Frame:
    if not isinstance(value, dict):
        return plain_frame(value)
    # A user's own key of that name is written as a list of one.
    items = {
        key: item[0] if key == JSAN and isinstance(item, list) and len(item) == 1 else item
        for key, item in value.items()
    }
    type_name = items.get(SERIALIZED_TYPE)
    if not isinstance(type_name, str):
        return Frame(iter(items.items()), {})
    del items[SERIALIZED_TYPE]
    return Frame(iter(items.items()), {}, lambda content: Tagged(type_name, content))


def revive(document: Value, limits: Limits | None = None) -> Value:
    """Return a copy of a document with its markers turned into values.

    References are followed; where they run in a circle, an `Unrepresentable` stands for the second visit.

    Raises:
        TooMuch: references unfold to more than a state may hold.
    """

    def marker_of(value: dict[str, Value]) -> Leaf | Reference | None:
        marker = value.get(JSAN)
        if not isinstance(marker, str) or not marker or len(value) != 1:
            return None
        if not marker.startswith("$"):
            restore = _RESTORE.get(marker[0])
            return Leaf(Tagged(JSAN, marker) if restore is None else restore(marker[1:]))
        target = _target(document, marker)
        if target is DROP:
            return Leaf(Unrepresentable("reference", f"{marker} leads nowhere in the file"))
        return Reference(target)

    return revive_with(document, marker_of, _open, limits or in_force())
