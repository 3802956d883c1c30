"""Deep copies that share nothing writable, at any depth."""

from __future__ import annotations

import copy
import datetime as dt
import decimal
import enum
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from unspool.codec.errors import UnsupportedRecordValue
from unspool.model.values import State, Value

_LEAVES: Final[frozenset[type]] = frozenset(
    {type(None), bool, int, float, complex, str, bytes, frozenset}
    | {dt.datetime, dt.date, dt.time, dt.timedelta, decimal.Decimal, uuid.UUID}
)
_SEQUENCES: Final[frozenset[type]] = frozenset({dict, list, tuple})


@dataclass(slots=True)
class _Frame:
    """A container being copied: what it is, what is left of it, and the copies made so far."""

    source: Value
    left: Iterator[Value]
    done: list[Value]

    def close(self) -> Value:
        if type(self.source) is dict:
            return dict(zip(self.source, self.done, strict=True))
        return tuple(self.done) if type(self.source) is tuple else self.done


def detach_state(state: Mapping[str, Value]) -> State:
    """Return a copy of a state that shares nothing writable with it.

    Raises:
        UnsupportedRecordValue: a value contains itself or cannot be copied; the message names the key.
    """
    copied: State = {}
    for name, value in state.items():
        try:
            copied[name] = detach(value)
        except UnsupportedRecordValue as error:
            raise UnsupportedRecordValue(f"key {name!r}: {error}") from None
    return copied


def detach(value: Value) -> Value:
    """Return a copy that shares nothing writable with the original.

    Keys of objects and members of sets are hashable and therefore shared. Types other than the plain ones are
    copied as `copy.deepcopy` does.

    Raises:
        UnsupportedRecordValue: the value contains itself, or an object in it cannot be copied.
    """
    frames: list[_Frame] = []
    on_path: set[int] = set()
    current = value
    while True:
        if type(current) in _SEQUENCES:
            if id(current) in on_path:
                raise UnsupportedRecordValue("the value contains itself; record a copy without the cycle")
            on_path.add(id(current))
            content = current.values() if type(current) is dict else current
            frames.append(_Frame(current, iter(content), []))
        else:
            copied = _copy_leaf(current)
            if not frames:
                return copied
            frames[-1].done.append(copied)
        while len(frames[-1].done) == len(frames[-1].source):
            frame = frames.pop()
            on_path.discard(id(frame.source))
            if not frames:
                return frame.close()
            frames[-1].done.append(frame.close())
        current = next(frames[-1].left)


def _copy_leaf(value: Value) -> Value:
    kind = type(value)
    if kind in _LEAVES or isinstance(value, enum.Enum):
        return value
    if kind is set:
        return set(value)
    try:
        return copy.deepcopy(value)
    except (TypeError, ValueError, AttributeError, RecursionError, NotImplementedError) as error:
        raise UnsupportedRecordValue(
            f"a value of type {kind.__name__} cannot be copied ({error}); convert it to plain data"
        ) from None
