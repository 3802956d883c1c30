"""One opening of a foreign source in a fresh process, timed.

    python -m benchmarks.foreign_opening SOURCE

prints one JSON line: milliseconds until there is a first entry, milliseconds until everything is read, processor
seconds of both, entries, and the largest resident memory.
"""

from __future__ import annotations

import json
import sys
import threading
import time

from benchmarks.process_facts import peak_resident_mb, resident_mb

_PAUSE_S = 0.01


def main() -> None:
    """Open a source as the app does, and wait until all of it is read."""
    from unspool import open_history

    facts = {"base_mb": resident_mb()}
    started, worked = time.perf_counter(), time.process_time()
    with open_history(sys.argv[1], follow=False, wait=False) as history:
        facts["first_ms"] = (time.perf_counter() - started) * 1000
        pause = threading.Event()
        while not history.progress.is_finished:
            pause.wait(_PAUSE_S)
        history.refresh()
        facts["all_ms"] = (time.perf_counter() - started) * 1000
        facts["worked_s"] = time.process_time() - worked
        facts["entries"] = len(history)
    facts["peak_mb"] = peak_resident_mb()
    print(json.dumps(facts))


if __name__ == "__main__":
    main()
