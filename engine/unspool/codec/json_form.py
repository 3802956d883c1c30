"""JSON as the original of seeds 001 and 002 writes it, and what it cannot keep."""

from __future__ import annotations

import json
import math
from typing import Final, NoReturn

from unspool.codec.errors import CorruptRecord
from unspool.model.paths import Step, format_path
from unspool.model.values import Value

MAX_JSON_DEPTH: Final = 200
"""Deeper values are not written as JSON: Python's own reader would run out of stack on them."""
_MAX_INT_BITS: Final = 14_000
"""About 4,200 digits: Python reads no longer integers from text."""

_Trail = tuple["_Trail", Step] | None


def json_obstacle(value: Value) -> str | None:
    """Say why JSON would not give a value back exactly; None where it would.

    Returns:
        One line with the place: `"a tuple at $.changes.a"`.
    """
    pending: list[tuple[Value, _Trail, int]] = [(value, None, 0)]
    while pending:
        item, trail, depth = pending.pop()
        if depth > MAX_JSON_DEPTH:
            return f"nesting deeper than {MAX_JSON_DEPTH} levels at {_place(trail)[:80]}…"
        kind = type(item)
        if kind is dict:
            odd = [key for key in item if type(key) is not str]
            if odd:
                return f"the key {odd[0]!r} of type {type(odd[0]).__name__} at {_place(trail)}"
            pending.extend((part, (trail, key), depth + 1) for key, part in item.items())
        elif kind is list:
            pending.extend((part, (trail, index), depth + 1) for index, part in enumerate(item))
        else:
            problem = _leaf_problem(item)
            if problem:
                return f"{problem} at {_place(trail)}"
    return None


def _leaf_problem(item: Value) -> str:
    kind = type(item)
    if item is None or kind is str or kind is bool:
        return ""
    if kind is int:
        return f"an integer of {item.bit_length()} bits" if item.bit_length() > _MAX_INT_BITS else ""
    if kind is float:
        return "" if math.isfinite(item) else f"the number {item}"
    return f"a value of type {kind.__name__}"


def _place(trail: _Trail) -> str:
    steps: list[Step] = []
    while trail is not None:
        trail, step = trail
        steps.append(step)
    return format_path(tuple(reversed(steps)))


def dump_sorted(value: Value) -> bytes:
    """Return sorted JSON with Python's default separators, all ASCII, byte for byte as the original wrote it.

    Raises:
        TypeError, ValueError, RecursionError: as `json.dumps`; `json_obstacle` tells beforehand.
    """
    return json.dumps(value, sort_keys=True).encode("ascii")


def load_object(data: bytes) -> dict[str, Value]:
    """Read a JSON object.

    `NaN` and `Infinity` are read as the numbers that Python meant when it wrote those bare words.

    Raises:
        CorruptRecord: no JSON object, bytes that are no UTF-8, a key twice in one object, or too deep nesting.
    """
    try:
        value = json.loads(data.decode("utf-8-sig"), object_pairs_hook=_object)
    except UnicodeDecodeError as error:
        _refuse(f"the text is no UTF-8 ({error.reason} at byte {error.start})")
    except json.JSONDecodeError as error:
        _refuse(f"the JSON breaks off at line {error.lineno}, column {error.colno} ({error.msg})")
    except (RecursionError, ValueError) as error:
        _refuse(f"the JSON cannot be read ({error})")
    if type(value) is not dict:
        _refuse(f"the JSON holds a {type(value).__name__} where an object belongs")
    return value


def _object(pairs: list[tuple[str, Value]]) -> dict[str, Value]:
    content = dict(pairs)
    if len(content) != len(pairs):
        raise ValueError("an object names a key twice")
    return content


def _refuse(problem: str) -> NoReturn:
    raise CorruptRecord(f"a delta record is damaged: {problem}")
