"""Computing what changed between two states, paths and all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from benchmarks.context import Context
from benchmarks.loads import Load, State
from benchmarks.measure import Evictor, median, race
from benchmarks.peers import PeerAbsent, deepdiff_log
from benchmarks.peers.jsonpatch_log import patch_maker
from benchmarks.report import Row, absent, times_better
from benchmarks.sampling import pairs
from unspool.delta.apply import state_patch
from unspool.delta.structural import diff_encoded, diff_values
from unspool.model.encoding import encode

TITLE = "Deltas of two states with paths, both states ready made, caches flushed"

_SAMPLES = 120
_PATCH_LEAST, _DEEPDIFF_LEAST = 10.0, 50.0

Pair = tuple[State, State]


def run(context: Context) -> list[Row]:
    """Measure S1, and a load from a file where there is one."""
    loads = context.telling_loads()
    return [row for load in loads for row in _one_load(load, 20 if context.quick else _SAMPLES)]


def _one_load(load: Load, samples: int) -> list[Row]:
    found: list[Pair] = list(pairs(load, samples))[:samples]
    wire = {id(pair): (encode(pair[0]), encode(pair[1])) for pair in found}
    contenders: dict[str, Callable[[Pair], Any]] = {
        "values": lambda pair: diff_values(*pair),
        "encoded": lambda pair: diff_encoded(*wire[id(pair)]),
        "patch": lambda pair: state_patch(*pair),
        "deepdiff": lambda pair: deepdiff_log.delta_bytes(*pair),
    }
    try:
        make_patch = patch_maker()
        contenders["jsonpatch"] = lambda pair: make_patch(*pair)
    except PeerAbsent as why:
        rows = [absent(f"{load.name}: against jsonpatch.make_patch", str(why))]
    else:
        rows = []
    us = {name: median(times) * 1e6 for name, times in race(contenders, found, evict=Evictor()).items()}
    for ours, what in (("values", "diff_values"), ("encoded", "diff_encoded"), ("patch", "state_patch")):
        if "jsonpatch" in us:
            rows.append(
                times_better(f"{load.name}: {what}", us[ours], us["jsonpatch"], "µs", "jsonpatch", least=_PATCH_LEAST)
            )
        rows.append(
            times_better(
                f"{load.name}: {what}", us[ours], us["deepdiff"], "µs", "DeepDiff + Delta", least=_DEEPDIFF_LEAST
            )
        )
    return rows
