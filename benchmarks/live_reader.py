"""Follows a growing history in a process of its own, and says when it saw each entry.

    python -m benchmarks.live_reader FILE SECONDS poll|events

prints `seq seconds` lines on the system's monotonic clock, then `cpu SECONDS ELAPSED`.
"""

from __future__ import annotations

import resource
import sys
import threading
import time
from collections.abc import Callable

from unspool import open_history
from unspool.history import History

_POLL_S = 0.005
_FALLBACK_S = 0.1


def main() -> None:
    """Follow for some seconds."""
    path, seconds, manner = sys.argv[1], float(sys.argv[2]), sys.argv[3]
    history = open_history(path)
    print("ready", flush=True)
    seen: list[tuple[int, float]] = []
    before, started = _processor_time(), time.monotonic()
    follow = _follow_events if manner == "events" else _follow_polling
    follow(history, seen, lambda: time.monotonic() < started + seconds)
    used, elapsed = _processor_time() - before, time.monotonic() - started
    history.close()
    for count, moment in seen:
        print(count, moment)
    print("cpu", used, elapsed)


def _follow_polling(history: History, seen: list[tuple[int, float]], going_on: Callable[[], bool]) -> None:
    while going_on():
        if history.refresh():
            seen.append((len(history), time.monotonic()))
        time.sleep(_POLL_S)


def _follow_events(history: History, seen: list[tuple[int, float]], going_on: Callable[[], bool]) -> None:
    from unspool.sources.watch import FileWatcher

    woken = threading.Event()
    with FileWatcher(history.watch_paths, woken.set):
        while going_on():
            woken.wait(_FALLBACK_S)
            woken.clear()
            if history.refresh():
                seen.append((len(history), time.monotonic()))


def _processor_time() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main()
