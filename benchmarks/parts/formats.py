"""Opening histories of other tools: how soon something is to be seen, and how soon all of it."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import ormsgpack
import zstandard

from benchmarks.context import Context, run_module
from benchmarks.loads import Load, State
from benchmarks.measure import median
from benchmarks.peers.deepdiff_log import delta
from benchmarks.report import Row, alone, times_better

TITLE = "Opening foreign sources: a fresh process each"

_RUNS = 3
_FIRST_MS, _THREAD_MS, _LEAST_CHEAPER, _PEAK_MB = 1000.0, 500.0, 3.0, 400.0
_STEPS = 200
"""Steps of the LangGraph thread."""
_PEER_SECONDS = 10.0
"""How long the peer may work; a part of the history that it got through counts for all of it."""
_TABLES = """
CREATE TABLE checkpoints (thread_id TEXT NOT NULL, checkpoint_ns TEXT NOT NULL DEFAULT '', checkpoint_id TEXT NOT NULL,
  parent_checkpoint_id TEXT, type TEXT, checkpoint BLOB, metadata BLOB,
  PRIMARY KEY (thread_id, checkpoint_ns, checkpoint_id));
CREATE TABLE writes (thread_id TEXT NOT NULL, checkpoint_ns TEXT NOT NULL DEFAULT '', checkpoint_id TEXT NOT NULL,
  task_id TEXT NOT NULL, idx INTEGER NOT NULL, channel TEXT NOT NULL, type TEXT, value BLOB,
  PRIMARY KEY (thread_id, checkpoint_ns, checkpoint_id, task_id, idx));
"""


def run(context: Context) -> list[Row]:
    """Measure JSON Lines of each telling load, and a LangGraph thread."""
    rows = [row for load in context.telling_loads() for row in _lines(context.folder, load)]
    path = context.folder / "thread.sqlite"
    _write_thread(path)
    found = [run_module("benchmarks.foreign_opening", str(path)) for _ in range(_RUNS)]
    took = median([facts["all_ms"] for facts in found])
    return [*rows, alone(f"a LangGraph thread of {_STEPS} steps: all read", took, "ms", most=_THREAD_MS)]


def _lines(folder: Path, load: Load) -> Iterator[Row]:
    """Measure a load as JSON Lines in zstd, unfolded on the fly."""
    path = folder / f"{load.name}.jsonl.zst"
    size = _write_lines(path, load.states())
    found = [run_module("benchmarks.foreign_opening", str(path)) for _ in range(_RUNS)]
    first, whole = (median([facts[name] for facts in found]) for name in ("first_ms", "all_ms"))
    what = f"{load.name} as JSON Lines in zstd, {size / 1e6:,.0f} MB unfolded"
    yield alone(f"{what}: first entry", first, "ms", most=_FIRST_MS)
    peer, share = _peer_ms(path, load.count)
    note = f"the peer got through {share:.0%} in {_PEER_SECONDS:g} s; its time is what all of it would take"
    name = "json.loads + deepdiff"
    yield times_better(
        f"{what}: all read", whole, peer, "ms", name, least=_LEAST_CHEAPER, note=note if share < 1 else ""
    )
    peak = max(facts["peak_mb"] for facts in found)
    base = median([facts["base_mb"] for facts in found])
    yield alone(f"{what}: peak memory", peak, "MB", most=_PEAK_MB, note=f"{base:.0f} MB of it before opening")


def _write_lines(path: Path, states: Iterator[State]) -> int:
    with path.open("wb") as file, zstandard.ZstdCompressor(level=3).stream_writer(file) as out:
        return sum(out.write(json.dumps(state).encode() + b"\n") for state in states)


def _peer_ms(path: Path, count: int) -> tuple[float, float]:
    """Return the milliseconds that reading each line and comparing it with the one before take, and the share done."""
    done = 0
    old: Any = None
    started = time.perf_counter()
    with path.open("rb") as file, zstandard.ZstdDecompressor().stream_reader(file) as stream:
        for line in _split(stream):
            new = json.loads(line)
            if old is not None:
                delta(old, new)
            old = new
            done += 1
            if time.perf_counter() - started > _PEER_SECONDS:
                break
    return (time.perf_counter() - started) * 1000 * count / done, done / count


def _split(stream: Any) -> Iterator[bytes]:
    rest = b""
    while piece := stream.read(1 << 20):
        *lines, rest = (rest + piece).split(b"\n")
        yield from lines
    if rest:
        yield rest


def _write_thread(path: Path) -> None:
    """Write a conversation that grows by a message a step, as LangGraph's saver keeps it."""
    messages: list[dict[str, str]] = []
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(_TABLES)
        for step in range(_STEPS):
            identity = f"1ef4f797-8335-{0x6000 + step // 4096:04x}-{0x8000 + step % 4096:04x}-8a1503f9b875"
            messages = [*messages, {"type": "ai", "content": f"answer {step} " * 40, "id": f"m{step}"}]
            packed = [ormsgpack.Ext(5, ormsgpack.packb(("langchain_core.messages.ai", "AIMessage", message,
                                                        "model_validate_json"))) for message in messages]  # fmt: skip
            checkpoint = {
                "v": 4, "ts": f"2024-05-04T06:{step // 60:02}:{step % 60:02}+00:00", "id": identity,
                "channel_values": {"messages": packed, "steps": step}, "channel_versions": {"messages": step},
                "versions_seen": {},
            }  # fmt: skip
            row = ("t", "", identity, None, "msgpack", ormsgpack.packb(checkpoint), b'{"source": "loop"}')
            connection.execute("INSERT INTO checkpoints VALUES (?, ?, ?, ?, ?, ?, ?)", row)
        connection.commit()
