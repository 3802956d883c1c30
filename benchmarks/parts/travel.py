"""What an app pays for being one that can be put back: nothing while it is not, and how long a jump takes."""

from __future__ import annotations

import itertools
import threading
import time
import timeit
from pathlib import Path
from typing import Any

from benchmarks.context import Context
from benchmarks.measure import median, p99
from benchmarks.report import Row, against, alone
from unspool import Recorder
from unspool.control import ControlClient

TITLE = (
    "Putting an app back: `poll` while nobody asks, `record` with a channel and without, a jump among 10,000 objects"
)

_POLLS = 200_000
_POLL_NS = 150.0
_JUMP_MS = 50.0
_OBJECTS = 10_000
_ENTRIES = 64
_MOST_RATIO = 1.05


def run(context: Context) -> list[Row]:
    """Measure."""
    jumps = 10 if context.seconds < 5 else 60
    return [_polling(context.folder), _recording(context.folder), *_jumping(context.folder, jumps)]


def _polling(folder: Path) -> Row:
    with Recorder(folder / "poll.unspool", on_travel=lambda state, seq: None, on_error="raise") as recorder:
        recorder.record({"n": 1})
        poll = min(timeit.repeat(recorder.poll, number=_POLLS, repeat=9))
    return alone("poll while nobody asks, the call included", poll / _POLLS * 1e9, "ns", most=_POLL_NS)


def _recording(folder: Path) -> Row:
    """Record the same states with a channel and without, a call of each in turn."""
    states = [{"n": n, "rows": [{"id": row, "n": n + row} for row in range(50)]} for n in range(2_000)]
    with (
        Recorder(folder / "with.unspool", on_travel=lambda state, seq: None, on_error="raise") as served,
        Recorder(folder / "without.unspool", on_error="raise") as bare,
    ):
        spent: dict[str, list[float]] = {"with": [], "without": []}
        for state in states:
            for name, recorder in (("with", served), ("without", bare)):
                began = time.perf_counter()
                recorder.record(state)
                spent[name].append(time.perf_counter() - began)
    ours, theirs = median(spent["with"]) * 1e6, median(spent["without"]) * 1e6
    return against("record with a channel that nobody uses", ours, theirs, "µs", "without one", most=_MOST_RATIO)


def _jumping(folder: Path, jumps: int) -> list[Row]:
    state: dict[str, Any] = {"orders": {str(n): {"n": n, "name": f"order {n}"} for n in range(_OBJECTS)}}
    file = folder / "jump.unspool"
    round_trips: list[float] = []

    def peer() -> None:
        with ControlClient(file) as client:
            for seq in itertools.islice(itertools.cycle((3, 40, 17, 61, 5)), jumps):
                began = time.perf_counter()
                client.look(seq)
                round_trips.append((time.perf_counter() - began) * 1e3)

    in_app: list[float] = []
    with Recorder(file, on_travel=lambda found, seq: state.update(found), on_error="raise") as recorder:
        for n in range(_ENTRIES):
            state["orders"][str(n)]["n"] += 1
            recorder.record(state)
        asked = threading.Event()
        recorder.wake = asked.set
        thread = threading.Thread(target=peer)
        thread.start()
        while thread.is_alive():
            if asked.wait(0.05):
                asked.clear()
                began = time.thread_time()
                recorder.poll()
                in_app.append((time.thread_time() - began) * 1e3)
        thread.join()
    return [
        alone("a jump, processor time in the app: median", median(in_app), "ms", most=_JUMP_MS),
        alone("a jump, from asking to the answer: median", median(round_trips), "ms"),
        alone("a jump, from asking to the answer: p99", p99(round_trips), "ms"),
    ]
