"""One opening of a history in a fresh process, timed.

    python -m benchmarks.opening FILE HOT COLD

prints one JSON line of milliseconds and megabytes.
"""

from __future__ import annotations

import json
import sys
import time
from collections import deque
from collections.abc import Callable

from benchmarks.process_facts import resident_mb

_ROWS = 200
"""Entries of a tall screen, and then some."""
_BINS = 118
"""Columns of a timeline on a screen of 120."""


def main() -> None:
    """Open a file, look at it as the app does, and say how long each look took."""
    path, hot, cold = sys.argv[1:4]
    from unspool import open_history

    facts = {"base_mb": resident_mb()}

    def note(name: str, work: Callable[[], object]) -> None:
        started = time.perf_counter()
        work()
        facts[name] = (time.perf_counter() - started) * 1000

    started = time.perf_counter()
    history = open_history(path)
    newest = history[-_ROWS:]
    facts["newest"] = (time.perf_counter() - started) * 1000
    if len(newest) != min(_ROWS, len(history)):
        raise AssertionError(f"{path}: {len(newest)} newest entries instead of {_ROWS}")
    note("when_hot", lambda: deque(history.writes(hot), maxlen=0))
    note("when_cold", lambda: deque(history.writes(cold), maxlen=0))
    note("next_cold", lambda: history.next_write(cold, len(history) // 2))
    note("columns", history.columns)
    sizes, total = history.columns().stored, len(history)
    bins = min(_BINS, total)
    note("bins", lambda: [max(sizes[part * total // bins : (part + 1) * total // bins]) for part in range(bins)])
    note("far_state", lambda: history.state(total // 3))
    note("close", history.close)
    facts["resident_mb"] = resident_mb()
    print(json.dumps(facts))


if __name__ == "__main__":
    main()
