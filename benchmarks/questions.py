"""How long questions take: blame, search, bisect, compare, where the bytes are.

Each question is asked of a history opened anew, as the first thing after opening; medians of a few. Every answer is
checked against the states before its time is reported. `python -m benchmarks.questions [FILE.unspool]`.
"""

from __future__ import annotations

import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from unspool.history import History
from unspool.model.paths import Path as ValuePath
from unspool.query.bisect import bisect
from unspool.query.blame import blame
from unspool.query.divergence import compare
from unspool.query.footprint import footprint
from unspool.query.path_writes import last_write
from unspool.query.search import TextQuery, search
from unspool.recorder import Recorder
from unspool.store.file import FileStore

RECORDS, VERSIONS = 150, 2_500
LONG = 100_000
ASKED = 5
Row = tuple[str, float, str]
R = TypeVar("R")


def run(history: Path | None = None) -> list[Row]:
    """Measure questions to a history, or to one that is made up: a list of records, one of which changes a step."""
    with tempfile.TemporaryDirectory(prefix="unspool-bench-") as folder:
        path = history or _record_list(Path(folder) / "records.unspool")
        rows = [*_blame(path), *_search(path), *_rest(path)]
        if history is None:
            rows += _bisect(_record_counter(Path(folder) / "counter.unspool"))
    return rows


def _record_list(path: Path) -> Path:
    rng = random.Random(1)
    rows = [
        {"id": number, "name": f"record {number}", "note": "text " * 60, **{f"field{n}": n for n in range(30)}}
        for number in range(RECORDS)
    ]
    state: dict[str, Any] = {"rows": rows, "count": 0, "owner": "ann"}
    with Recorder(path, on_error="raise") as recorder:
        for step in range(VERSIONS):
            row = rng.choice(rows)
            row[f"field{rng.randrange(30)}"] = step
            if step % 10 == 0:
                rows.insert(rng.randrange(RECORDS), rows.pop(rng.randrange(RECORDS)))
            if step == VERSIONS // 2:
                rows[0]["name"] = "needle"
            state["count"] = step
            recorder.record(state, f"action {step % 7}")
    return path


def _record_counter(path: Path) -> Path:
    rng = random.Random(2)
    state: dict[str, Any] = {f"atom{number}": {"value": 0} for number in range(100)} | {"counter": 0}
    with Recorder(path, on_error="raise", durability="fast") as recorder:
        for step in range(LONG):
            state[f"atom{rng.randrange(100)}"]["value"] = step
            if step % 50 == 0:
                state["counter"] = step
            recorder.record(state, "tick")
    return path


def _timed(path: Path, ask: Callable[[History], R]) -> tuple[float, R]:
    """Ask a history opened anew a few times; return the median in milliseconds and the answer."""
    seconds = []
    for _ in range(ASKED):
        with History(FileStore.open(path)) as history:
            started = time.perf_counter()
            answer = ask(history)
            seconds.append(time.perf_counter() - started)
    return statistics.median(seconds) * 1000, answer


def _widest(path: Path) -> int:
    with History(FileStore.open(path)) as history:
        sizes = history.columns().full_bytes
        return max(range(len(sizes)), key=sizes.__getitem__)


def _blame(path: Path) -> list[Row]:
    at = _widest(path)
    elapsed, whole = _timed(path, lambda history: blame(history, at))
    rows: list[Row] = [(f"blame, all {len(whole.values)} leaves of entry {at}", elapsed, "ms")]
    by_age = sorted(whole.values, key=lambda value: value.seq)
    for name, value in (("median", by_age[len(by_age) // 2]), ("oldest", by_age[0])):
        rows.append(_one_leaf(path, value.path, at, value.seq, name))
    return rows


def _one_leaf(path: Path, leaf: ValuePath, at: int, expected: int, name: str) -> Row:
    elapsed, write = _timed(path, lambda history: last_write(history, leaf, at))
    if write.seq != expected:
        raise AssertionError(f"{leaf}: set at {expected} by one way of asking and at {write.seq} by the other")
    return f"blame, one leaf of {name} age, set {at - expected} entries before", elapsed, "ms"


def _search(path: Path) -> list[Row]:
    rows: list[Row] = []
    for label, text in (("a word that is there", "needle"), ("a word that is nowhere", "nowhere at all")):
        elapsed, hits = _timed(path, lambda history, text=text: sum(1 for _ in search(history, TextQuery(text))))  # type: ignore[misc]
        rows.append((f"search, {label}, {hits} hits, all entries", elapsed, "ms"))
    elapsed, _ = _timed(path, lambda history: next(iter(search(history, TextQuery("a"))), None))
    rows.append(("search, first hit of a common letter", elapsed, "ms"))
    return rows


def _rest(path: Path) -> list[Row]:
    compared, found = _timed(path, lambda history: compare(history, history))
    counted, where = _timed(path, footprint)
    if found.differences or not where.complete:
        raise AssertionError("a history differs from itself, or was not counted to its end")
    return [
        (f"compare with itself, {found.common} entries", compared, "ms"),
        (f"where the bytes are, {where.entries} entries", counted, "ms"),
    ]


def _bisect(path: Path) -> list[Row]:
    rows: list[Row] = []
    for label, single in (("every flip", False), ("a single flip", True)):
        elapsed, found = _timed(
            path,
            lambda history, single=single: bisect(history, "counter > 60000", assume_single_flip=single),  # type: ignore[misc]
        )
        if [flip.seq for flip in found.flips] != [60_050]:
            raise AssertionError(f"bisect found {found.flips}")
        rows.append((f"bisect, {label} of {LONG} entries, {found.asked} rebuilt", elapsed, "ms"))
    return rows


if __name__ == "__main__":
    for label, value, unit in run(Path(sys.argv[1]) if len(sys.argv) > 1 else None):
        print(f"{label:70} {value:12,.1f} {unit}")
