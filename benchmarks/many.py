"""A history of very many entries, recorded through the public recorder.

    python -m benchmarks.many OUT.unspool COUNT

prints one JSON line: seconds taken and the largest resident memory, in MB.
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.loads import State
from benchmarks.process_facts import peak_resident_mb
from benchmarks.words import word
from unspool import Recorder

HOT = "counter.0"
"""The atom that most entries change."""
COLD = "counter.99"
"""An atom that hardly any entry changes."""
_ATOMS = 100
_START_NS = 1_700_000_000 * 10**9
_STEP_NS = 10_000_000


def states(count: int) -> Iterator[tuple[str, State]]:
    """Yield actions and states: 100 atoms, of which a few are changed very often and most seldom."""
    rng = random.Random(106)
    state: State = {f"counter.{number}": number for number in range(_ATOMS)}
    state["label"] = "start"
    actions = [f"tick {word(rng)}" for _ in range(12)]
    draw, choose = rng.random, rng.choice
    for step in range(count):
        yield actions[step % 12], state
        # The fourth power of an even draw: atom 0 takes a third of all writes, atom 99 one in 400.
        number = int(draw() ** 4 * _ATOMS)
        state[f"counter.{number}"] = step
        if step % 4 == 0:
            state[f"counter.{int(draw() ** 4 * _ATOMS)}"] = -step
        if step % 10 == 0:
            state["label"] = choose(actions)


def record_many(path: Path, count: int) -> None:
    """Record them; memory does not grow with their number."""
    with Recorder(path, durability="fast", on_error="raise") as recorder:
        for step, (action, state) in enumerate(states(count)):
            recorder.record(state, action, timestamp_ns=_START_NS + step * _STEP_NS)


def main() -> None:
    """Record and say what it took."""
    path, count = Path(sys.argv[1]), int(sys.argv[2])
    started = time.perf_counter()
    record_many(path, count)
    print(json.dumps({"seconds": time.perf_counter() - started, "peak_mb": peak_resident_mb()}))


if __name__ == "__main__":
    main()
