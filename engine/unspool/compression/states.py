"""States that callers hand in: checked, copied so that nothing writable is shared, and compared with what bytes keep."""

from __future__ import annotations

import copy
import datetime as dt
import decimal
import enum
import uuid
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from unspool.codec.state_codec import ContradictoryRecord, CorruptRecord, UnsupportedRecordValue
from unspool.errors import CorruptHistory, DeltaCompressionError, UnsupportedValue
from unspool.model.encoding import encode
from unspool.model.keys import Path, Step
from unspool.model.values import State, Value
from unspool.model.wire import decode

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
            copied[name] = value if type(value) in _LEAVES else detach(value)
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


def require_state(state: Any, what: str) -> Mapping[str, Value]:
    """Return a mapping from text to values as it is.

    Args:
        state: what the caller gave.
        what: what it is, for the message: `"the old state"`.

    Raises:
        DeltaCompressionError: it is no mapping, or has a key that is no text.
    """
    if not isinstance(state, Mapping):
        raise DeltaCompressionError(f"{what} is a {type(state).__name__}; it must be a dict of key to value")
    for key in state:
        if type(key) is not str:
            raise DeltaCompressionError(
                f"{what} has the key {key!r} of type {type(key).__name__}; the keys of a state must be text"
            )
    return state


def require_keys(keys: Any, what: str) -> list[str]:
    """Return a copy of a list of keys.

    Raises:
        DeltaCompressionError: it is no list, tuple or set of text.
    """
    if not isinstance(keys, Collection) or isinstance(keys, str | bytes | bytearray | Mapping):
        raise DeltaCompressionError(f"{what} is a {type(keys).__name__}; it must be a list of keys")
    for key in keys:
        if type(key) is not str:
            raise DeltaCompressionError(f"{what} holds {key!r} of type {type(key).__name__}; keys must be text")
    return list(keys)


def require_agreement(changes: Mapping[str, Value], removed: Collection[str]) -> None:
    """Refuse a delta that both sets and removes a key.

    Raises:
        ContradictoryRecord: there is such a key.
    """
    both = sorted(changes.keys() & set(removed))
    if both:
        raise ContradictoryRecord(f"the delta both changes and removes {both[0]!r}; keep one of the two")


def require_timestamp(timestamp: Any) -> float:
    """Return a time in seconds as it is.

    Raises:
        DeltaCompressionError: it is no number.
    """
    if type(timestamp) not in (int, float):
        raise DeltaCompressionError(f"the timestamp {timestamp!r} is no number of seconds")
    return timestamp  # type: ignore[no-any-return]


def decode_state(encoded: Mapping[str, bytes]) -> State:
    """Return a state from its wire form; the result shares nothing with any other.

    Raises:
        CorruptRecord: a value does not decode; the message names the key.
    """
    state: State = {}
    for name, data in encoded.items():
        try:
            state[name] = decode(data)
        except CorruptHistory as error:
            raise CorruptRecord(f"key {name!r}: {error}") from None
    return state


def encode_state(state: Mapping[str, Value], what: str) -> dict[str, bytes]:
    """Return a state in wire form.

    Raises:
        UnsupportedRecordValue: a value that has no wire form; the message names the key and the path in it.
    """
    encoded: dict[str, bytes] = {}
    for name, value in state.items():
        try:
            encoded[name] = encode(value)
        except UnsupportedValue as error:
            raise UnsupportedRecordValue(f"{what}, key {name!r}: {error}") from None
    return encoded


_Trail = tuple["_Trail", Step] | None
_PLAIN_LEAVES: Final = frozenset({type(None), bool, int, str, bytes})


def first_difference(one: Value, other: Value) -> Path | None:
    """Return the path of a place where two values differ, types included; None where they are the same.

    Lists, tuples, sets and objects are looked into; anything else is compared by type and wire form. Any depth.
    """
    pending: list[tuple[Value, Value, _Trail]] = [(one, other, None)]
    while pending:
        left, right, trail = pending.pop()
        kind = type(left)
        if kind is not type(right):
            return _path(trail)
        if kind in _PLAIN_LEAVES:
            if left != right:
                return _path(trail)
            continue
        parts = _parts(left, right)
        if parts is None:
            return _path(trail)
        pending.extend((mine, its, (trail, step)) for step, mine, its in parts)
    return None


def _parts(left: Value, right: Value) -> list[tuple[Step, Value, Value]] | None:
    """Return what is left to compare inside two values of one type; None where they already differ."""
    kind = type(left)
    if kind is dict:
        return _items(left, right)
    if kind is list or kind is tuple:
        if len(left) != len(right):
            return None
        return [(index, mine, its) for index, (mine, its) in enumerate(zip(left, right, strict=True))]
    if kind is set or kind is frozenset:
        if len(left) != len(right):
            return None
        pairs = zip(sorted(left, key=encode), sorted(right, key=encode), strict=True)
        return [(index, mine, its) for index, (mine, its) in enumerate(pairs)]
    both_nan = kind is float and left != left and right != right
    return [] if both_nan or encode(left) == encode(right) else None


def _items(left: dict[Value, Value], right: dict[Value, Value]) -> list[tuple[Step, Value, Value]] | None:
    if len(left) != len(right):
        return None
    if all(type(key) is str for key in left) and all(type(key) is str for key in right):
        if left.keys() != right.keys():
            return None
        return [(key, value, right[key]) for key, value in left.items()]
    # 1 and True are one key to a dict; their wire forms are two.
    mine = {encode(key): (key, value) for key, value in left.items()}
    its = {encode(key): (key, value) for key, value in right.items()}
    if mine.keys() != its.keys():
        return None
    pairs: list[tuple[Step, Value, Value]] = []
    for name, (key, value) in mine.items():
        pairs += [(str(key), key, its[name][0]), (str(key), value, its[name][1])]
    return pairs


def _path(trail: _Trail) -> Path:
    steps: list[Step] = []
    while trail is not None:
        trail, step = trail
        steps.append(step)
    return tuple(reversed(steps))
