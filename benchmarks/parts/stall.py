"""The longest that `record()` ever holds up the app, in a recording of a minute."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from itertools import chain, repeat
from pathlib import Path

import msgspec

from benchmarks.context import Context
from benchmarks.loads import Load, State
from benchmarks.measure import percentile
from benchmarks.peers.sqlite_rows import SqliteRows
from benchmarks.report import Row, against, alone
from unspool import Recorder

TITLE = "Longest stall of record() while recording at a steady rate"

_RATE = 200
"""Calls a second: a lively app. Sleeps in between let the sealing thread run, as they do there."""
_SLICES = 6
_MOST_MS = 10.0


def run(context: Context) -> list[Row]:
    """Measure a load of small edits, and the largest states there are."""
    chosen = context.telling_loads()
    rows: list[Row] = []
    gc.collect()
    # Python's collector looks at all there is now and then; what the benchmarks keep is not the app's.
    gc.freeze()
    try:
        for load in chosen:
            rows.extend(_one_load(load, context.folder, context.seconds / len(chosen)))
    finally:
        gc.unfreeze()
    return rows


def _one_load(load: Load, folder: Path, seconds: float) -> list[Row]:
    encode = msgspec.msgpack.Encoder().encode
    table = SqliteRows(folder / f"stall-{load.name}.sqlite")
    states = _endless(load)
    times: dict[str, list[float]] = {"ours": [], "row": [], "encode": []}
    with Recorder(folder / f"stall-{load.name}.unspool", on_error="raise") as recorder:
        works: dict[str, tuple[Callable[[State], object], float]] = {
            "ours": (recorder.record, 1.0),
            "row": (table.record, 0.5),
            "encode": (encode, 0.25),
        }
        for _ in range(_SLICES):
            for name, (work, share) in works.items():
                times[name].extend(_paced(work, states, seconds * share / _SLICES))
    table.close()
    ms = {name: [value * 1000 for value in values] for name, values in times.items()}
    name = f"{load.name}, {len(ms['ours']):,} calls at {_RATE}/s"
    noise = max(ms["encode"])
    return [
        alone(f"{name}: longest record()", max(ms["ours"]), "ms", most=_MOST_MS,
              note=f"longest msgspec encode beside it {noise:.2f} ms: the machine's own noise"),
        against(f"{name}: p99.9", percentile(ms["ours"], 0.999), percentile(ms["row"], 0.999), "ms", "orjson row"),
        against(f"{name}: longest", max(ms["ours"]), max(ms["row"]), "ms", "orjson row"),
    ]  # fmt: skip


def _paced(work: Callable[[State], object], states: Iterator[State], seconds: float) -> list[float]:
    times: list[float] = []
    due = time.perf_counter()
    stop = due + seconds
    while due < stop:
        state = next(states)
        rest = due - time.perf_counter()
        if rest > 0:
            time.sleep(rest)
        started = time.perf_counter()
        work(state)
        times.append(time.perf_counter() - started)
        due += 1 / _RATE
    return times


def _endless(load: Load) -> Iterator[State]:
    return chain.from_iterable(load.states() for _ in repeat(None))
