"""How fast a history is examined, repaired, checked, and its strategies compared.

The load is a list of 120 records in one atom and twelve small atoms; a few records change a step, one comes and goes
now and then: about 24 KB a state.
"""

from __future__ import annotations

import copy
import random
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from unspool.history import History
from unspool.query.checkers import check
from unspool.query.doctor.diagnosis import diagnose
from unspool.query.repair import repair
from unspool.query.simulator import simulate
from unspool.recorder import Recorder
from unspool.store import FileStore

ENTRIES = 4000
Row = tuple[str, float, str]


def incidents(count: int) -> Iterator[dict[str, Any]]:
    """Yield states, each a copy of its own."""
    rng = random.Random(7)

    def record(number: int) -> dict[str, Any]:
        text = " ".join(f"word{rng.randrange(900)}" for _ in range(12))
        return {"id": f"incident-{number}", "text": text, "acres": rng.randrange(9000), "crews": 3, "open": True}

    state: dict[str, Any] = {"incidents": [record(number) for number in range(120)]}
    state.update({f"counter{number}": 0 for number in range(12)})
    for step in range(count):
        for _ in range(3):
            rng.choice(state["incidents"])["acres"] += rng.randrange(1, 40)
        state[f"counter{step % 12}"] += 1
        if step % 9 == 8:
            state["incidents"].pop(rng.randrange(len(state["incidents"])))
            state["incidents"].append(record(step + 1000))
        yield copy.deepcopy(state)


def run() -> list[Row]:
    """Measure; each number is of one run over the whole history."""
    with tempfile.TemporaryDirectory(prefix="unspool-bench-") as folder:
        path = Path(folder) / "incidents.unspool"
        with Recorder(path, on_error="raise") as recorder:
            for state in incidents(ENTRIES):
                recorder.record(state, "update")
        with History(FileStore.open(path)) as history:
            stored, full = sum(history.columns().stored), sum(history.columns().full_bytes)
        damaged = _damaged(path, Path(folder))
        rows: list[Row] = [
            ("history, record bytes", stored / 1e6, "MB"),
            ("history, as full states", full / 1e6, "MB"),
        ]
        seconds = _timed(lambda: diagnose(path))
        rows.append(("doctor, record bytes a second", stored / 1e6 / seconds, "MB/s"))
        rows.append(("doctor, file bytes a second", path.stat().st_size / 1e6 / seconds, "MB/s"))
        rows.append(("doctor, entries a second", ENTRIES / seconds, "1/s"))
        seconds = _timed(lambda: repair(damaged, Path(folder) / "out.unspool"))
        rows.append(("repair with a lost block, entries a second", ENTRIES / seconds, "1/s"))
        with History(FileStore.open(path)) as history:
            rows.append(("checkers, entries a second", ENTRIES / _timed(lambda: check(history, plugins={})), "1/s"))
            rows.append(("simulator, default sample", _timed(lambda: simulate(history)), "s"))
    return rows


def _damaged(path: Path, folder: Path) -> Path:
    copied = folder / "damaged.unspool"
    copied.write_bytes(path.read_bytes())
    with closing(sqlite3.connect(copied)) as connection, connection:
        connection.execute("DELETE FROM block_data WHERE first = (SELECT first FROM block LIMIT 1 OFFSET 5)")
    return copied


def _timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


if __name__ == "__main__":
    for label, value, unit in run():
        print(f"{label:<45} {value:>10.1f} {unit}")
