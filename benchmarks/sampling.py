"""Neighbouring states out of a load, as objects of their own."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from benchmarks.loads import Load, State

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(dict).decode


def pairs(load: Load, samples: int) -> Iterator[tuple[State, State]]:
    """Yield a state and the one after it, at places spread evenly over a load; both are private copies."""
    stride = max(1, load.count // samples)
    wanted = range(stride, load.count, stride)
    old = b""
    for number, state in enumerate(load.states()):
        if number in wanted:
            yield _decode(old), _decode(_encode(state))
        if number + 1 in wanted:
            old = _encode(state)


def encoded_at(load: Load, places: set[int]) -> dict[int, bytes]:
    """Return the states at some places as msgpack."""
    return {number: _encode(state) for number, state in enumerate(load.states()) if number in places}
