"""What callers hand in, looked at before it is used: every refusal is one type of error with a place in it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from unspool.codec.errors import (
    ContradictoryRecord,
    CorruptRecord,
    DeltaCompressionError,
    UnsupportedRecordValue,
)
from unspool.errors import CorruptHistory, UnsupportedValue
from unspool.model.values import State, Value
from unspool.model.wire import decode, encode


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
