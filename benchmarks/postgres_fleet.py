"""Some recorders of one process, each into PostgreSQL and beside it into a file, at a rate.

    python -m benchmarks.postgres_fleet FIRST COUNT CALLS_A_SECOND SECONDS FOLDER OUT < ADDRESS

Recorder number K writes the history `fleet-K`; each state holds `n`, counted from 0. The address is read from standard
input, since it may hold a password. OUT gets the times of all calls in seconds, and what was warned of.
"""

from __future__ import annotations

import gc
import json
import sys
import time
import warnings
from contextlib import ExitStack
from itertools import chain, repeat
from pathlib import Path

from benchmarks.loads import State, synthetic_loads
from unspool import Recorder


def main() -> None:
    """Record."""
    first, count, rate, seconds = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), float(sys.argv[4])
    folder, out = Path(sys.argv[5]), Path(sys.argv[6])
    address = sys.stdin.readline().strip()
    load = synthetic_loads(quick=True)[0]
    states = chain.from_iterable(load.states() for _ in repeat(None))
    times: dict[str, list[float]] = {"server": [], "file": []}
    with ExitStack() as stack, warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        pairs: list[tuple[Recorder, Recorder]] = []
        for number in range(first, first + count):
            server = Recorder(f"{address}&history=fleet-{number}", spool=folder / "spools", close_timeout=60)
            pairs.append((server, Recorder(folder / f"fleet-{number}.unspool")))
            stack.callback(pairs[-1][1].close)
            stack.callback(server.close)
        gc.collect()
        gc.freeze()
        entries = _paced(pairs, states, times, rate, seconds)
    facts = {"entries": entries, "told": sorted({str(one.message).partition(" (")[0] for one in told}), **times}
    out.write_text(json.dumps(facts))


def _paced(
    pairs: list[tuple[Recorder, Recorder]],
    states: chain[State],
    times: dict[str, list[float]],
    rate: float,
    seconds: float,
) -> int:
    """Record into one pair after the other, and return how many entries each got."""
    due = time.perf_counter()
    rounds = int(rate * seconds)
    for n in range(rounds):
        for pair in pairs:
            state = {**next(states), "n": n}
            rest = due - time.perf_counter()
            if rest > 0:
                time.sleep(rest)
            # Which of the two comes first changes, so that neither always meets a cold cache.
            order = (("server", pair[0]), ("file", pair[1]))
            for name, recorder in order if n % 2 else order[::-1]:
                started = time.perf_counter()
                recorder.record(state)
                times[name].append(time.perf_counter() - started)
            due += 1 / (rate * len(pairs))
    return rounds


if __name__ == "__main__":
    main()
