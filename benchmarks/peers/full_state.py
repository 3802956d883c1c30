"""Keeping every state whole, each compressed on its own: JSON and msgpack, with zstd at level 3."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
import orjson
import zstandard

from benchmarks.loads import State

_LEVEL = 3


def whole_state_bytes(states: Iterable[State]) -> tuple[int, int]:
    """Return the bytes that all states take as JSON and as msgpack, each state zstd-compressed alone."""
    compress = zstandard.ZstdCompressor(level=_LEVEL).compress
    encode = msgspec.msgpack.Encoder().encode
    as_json = as_msgpack = 0
    for state in states:
        as_json += len(compress(orjson.dumps(state)))
        as_msgpack += len(compress(encode(state)))
    return as_json, as_msgpack
