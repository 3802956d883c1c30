"""What one `record()` costs the app that calls it."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.context import Context
from benchmarks.loads import Load, State, many_small_edits
from benchmarks.measure import Evictor, median, p99, quiet_collector, race, ratio_interval, timed
from benchmarks.peers import PeerAbsent, deep_copy, deepdiff_log
from benchmarks.peers.jsonpatch_log import patch_maker
from benchmarks.peers.sqlite_rows import SqliteRows
from benchmarks.report import Row, absent, against, alone, times_better
from benchmarks.sampling import pairs
from unspool import Recorder

TITLE = "record(): the call inside the app, caches flushed before each, contenders in random order"

_STEPS = 300
_SLOW_SECONDS = 6.0
"""Longest that a slow peer may be sampled on one load."""
_SAMPLES = 40
_encode = msgspec.msgpack.Encoder().encode


def run(context: Context) -> list[Row]:
    """Measure every load, and the two cases of a 10 KB state that hardly changes."""
    steps = _STEPS // 5 if context.quick else _STEPS
    budget = _SLOW_SECONDS / 10 if context.quick else _SLOW_SECONDS
    rows: list[Row] = []
    for load in context.loads:
        rows.extend(_against_cheap(load, context.folder, steps))
        rows.extend(_against_slow(load, budget, rows[-1].ours or 0.0))
    return [*rows, *_small_cases(context.folder, steps)]


def _against_cheap(load: Load, folder: Path, steps: int) -> list[Row]:
    table = SqliteRows(folder / f"record-{load.name}.sqlite")
    with Recorder(folder / f"record-{load.name}.unspool", on_error="raise") as recorder:
        contenders: dict[str, Callable[[State], object]] = {
            "ours": recorder.record,
            "encode": _encode,
            "row": table.record,
            "deepcopy": deep_copy.keep,
        }
        times = race(contenders, load.states(steps), evict=Evictor())
    table.close()
    # The first call makes the file's tables and writes everything; it happens once a recording.
    micro = {name: [value * 1e6 for value in values[1:]] for name, values in times.items()}
    ours = micro["ours"]
    low, high = ratio_interval(ours, micro["encode"])
    name = f"{load.name}: record()"
    p50, encoded = median(ours), median(micro["encode"])
    return [
        against(f"{name} p50, against msgspec encode", p50, encoded, "µs", "msgspec", most=3.0,
                note=f"90 % interval {low:.2f}-{high:.2f}"),
        against(f"{name} p50, against a full row in SQLite", p50, median(micro["row"]), "µs", "orjson row", most=1.0),
        against(f"{name} p99, against a full row in SQLite", p99(ours), p99(micro["row"]), "µs", "orjson row"),
        against(f"{name} p50, against copy.deepcopy", p50, median(micro["deepcopy"]), "µs", "deepcopy"),
        alone(f"{name} max", max(ours), "µs"),
        alone(f"{name} p50", p50, "µs"),
    ]  # fmt: skip


def _against_slow(load: Load, budget: float, ours: float) -> list[Row]:
    name = f"{load.name}: record() p50"
    slow, count = _sample(load, deepdiff_log.delta_bytes, budget)
    rows = [times_better(f"{name}, against DeepDiff + Delta", ours, slow, "µs", "DeepDiff", least=50,
                         note=f"{count} samples")]  # fmt: skip
    try:
        slow, count = _sample(load, patch_maker(), budget)
    except PeerAbsent as why:
        return [*rows, absent(f"{name}, against jsonpatch.make_patch", str(why))]
    row = times_better(f"{name}, against jsonpatch.make_patch", ours, slow, "µs", "jsonpatch", least=10,
                       note=f"{count} samples")  # fmt: skip
    return [*rows, row]


def _sample(load: Load, work: Callable[[State, State], Any], budget: float) -> tuple[float, int]:
    """Return the median of a slow peer in microseconds over steps spread through a load, and how many they were."""
    evict = Evictor()
    seconds: list[float] = []
    for old, new in pairs(load, _SAMPLES):
        # The peer gets both states ready made: keeping the old one is not charged to it.
        evict()
        with quiet_collector():
            seconds.append(timed(work, old, new))
        if sum(seconds) > budget:
            break
    return median(seconds) * 1e6, len(seconds)


def _small_cases(folder: Path, steps: int) -> list[Row]:
    rows = []
    for case, title in (("same", "10 KB, nothing changed"), ("slight", "10 KB, one number changed")):
        state = next(many_small_edits())
        inputs = (_slightly_changed(state, number if case == "slight" else 0) for number in range(steps))
        with Recorder(folder / f"record-{case}.unspool", on_error="raise") as recorder:
            times = race({"ours": recorder.record, "encode": _encode}, islice(inputs, steps), evict=Evictor())
        ours, peer = ([value * 1e6 for value in times[name][1:]] for name in ("ours", "encode"))
        rows.append(against(f"{title}: record() p50", median(ours), median(peer), "µs", "msgspec", most=3.0))
        rows.append(alone(f"{title}: record() p99", p99(ours), "µs"))
    return rows


def _slightly_changed(state: State, number: int) -> State:
    state["item07"]["score"] = number
    return state
