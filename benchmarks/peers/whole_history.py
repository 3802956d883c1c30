"""The limit: xz -9 over the whole history at once, which nobody can read an entry of."""

from __future__ import annotations

import lzma
from collections.abc import Iterable

import orjson

from benchmarks.loads import State


def xz_bytes(states: Iterable[State]) -> int:
    """Return the bytes of all states as JSON Lines under xz -9."""
    compressor = lzma.LZMACompressor(preset=9)
    size = 0
    for state in states:
        size += len(compressor.compress(orjson.dumps(state) + b"\n"))
    return size + len(compressor.flush())
