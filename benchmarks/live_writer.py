"""Records small states at a rate, and says when it had recorded which.

    python -m benchmarks.live_writer FILE ENTRIES_A_SECOND SECONDS

prints `ready`, waits for a line on standard input, then prints `seq seconds` lines on the system's monotonic clock.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from unspool import Recorder

_BATCH_S = 0.005


def main() -> None:
    """Record."""
    path, rate, seconds = Path(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3])
    written: list[tuple[int, float]] = []
    counter = 0
    with Recorder(path, durability="fast", on_error="raise") as recorder:
        recorder.record({"counter": counter, "name": "arriving", "half": 0}, "start")
        print("ready", flush=True)
        sys.stdin.readline()
        due = time.monotonic()
        batch = max(1, int(rate * _BATCH_S))
        for _ in range(int(rate * seconds) // batch):
            for _ in range(batch):
                counter += 1
                seq = recorder.record({"counter": counter, "name": "arriving", "half": counter // 2}, "tick")
            written.append((seq or 0, time.monotonic()))
            due += _BATCH_S
            time.sleep(max(0.0, due - time.monotonic()))
        time.sleep(0.5)
    for seq, moment in written:
        print(seq, moment)


if __name__ == "__main__":
    main()
