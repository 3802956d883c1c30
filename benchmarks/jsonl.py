"""Histories from JSON Lines files: bare states, or states in an envelope with `state` in it; plain or zstd."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import msgspec
import zstandard

from benchmarks.loads import Load, State

_ENVELOPE = frozenset(("state", "timestamp", "time", "ts", "action", "id", "seq", "meta"))
_decode = msgspec.json.Decoder().decode


def load_from_file(path: Path, *, quick: bool) -> Load:
    """Return the history in a file; a quick one is cut to a tenth, yet 100 states at least.

    Raises:
        ValueError: there is no state in it.
    """
    count = sum(1 for _ in _lines(path))
    if not count:
        raise ValueError(f"{path}: no line with a state; give a JSON Lines file, plain or .zst")
    name = path.name.removesuffix(".zst").removesuffix(".jsonl")
    load = Load(name, f"{count:,} states from a file", count, lambda: _states(path), from_file=True)
    return load.limited(max(100, count // 10)) if quick else load


def _states(path: Path) -> Iterator[State]:
    for line in _lines(path):
        record = _decode(line)
        if isinstance(record, dict) and isinstance(record.get("state"), dict) and record.keys() <= _ENVELOPE:
            yield record["state"]
        else:
            yield record if isinstance(record, dict) else {"value": record}


def _lines(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        is_zstd = file.read(4) == b"\x28\xb5\x2f\xfd"
        file.seek(0)
        if is_zstd:
            decompressor = zstandard.ZstdDecompressor(max_window_size=1 << 31)
            stream = io.BufferedReader(decompressor.stream_reader(file), 1 << 20)
            yield from (line for line in stream if line.strip())
        else:
            yield from (line for line in file if line.strip())
