"""Scrubbing: one entry forward or back, against decoding a whole state."""

from __future__ import annotations

import time
from collections.abc import Iterable

import msgspec

from benchmarks.context import Context
from benchmarks.loads import Load
from benchmarks.measure import median, quiet_collector, timed
from benchmarks.report import Row, times_better
from benchmarks.sampling import encoded_at
from unspool.history import History
from unspool.store import FileStore

TITLE = "Steps: entry after entry in a loop, atoms left encoded until they are looked at"

_STEPS = 400
_FORWARD_LEAST, _BACK_LEAST = 10.0, 35.0
_decode = msgspec.msgpack.Decoder().decode


def run(context: Context) -> list[Row]:
    """Measure every load."""
    return [row for load in context.loads for row in _one_load(context, load)]


def _one_load(context: Context, load: Load) -> list[Row]:
    last = min(load.count, _STEPS) - 1
    states = encoded_at(load, set(range(0, last, max(1, last // 50))))
    store = FileStore.open(context.recorded(load).path)
    with quiet_collector():
        decode = median([timed(_decode, data) for data in states.values()]) * 1e6
        forward = median(_walk(History(store), range(last + 1)))
        back = median(_walk(History(store), range(last, -1, -1)))
        again = median([timed(_decode, data) * 1e6 for data in states.values()])
    store.close()
    decode = median([decode, again])
    return [
        times_better(f"{load.name}: forward, p50", forward, decode, "µs", "decode", least=_FORWARD_LEAST),
        times_better(f"{load.name}: back, p50", back, decode, "µs", "decode", least=_BACK_LEAST),
    ]


def _walk(history: History, places: Iterable[int]) -> list[float]:
    """Return the microseconds of each step."""
    times = []
    for seq in places:
        started = time.perf_counter()
        history.view(seq)
        times.append((time.perf_counter() - started) * 1e6)
    return times
