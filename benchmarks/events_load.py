"""The event log under the seed's loads: P-E1 (bytes saved by diffs) and P-E2 (times of 1,000 events).

Every source is rebuilt and compared, every log verified, before a number is reported. The seed's own figures are in the
row names; times are medians and mean little across machines, ratios and bytes do.
"""

from __future__ import annotations

import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from unspool.events import (
    EventLog,
    reconstruct_source,
    source_history,
    write_source,
)

Row = tuple[str, float, str]

SPACE = "load"
SMALL, LARGE = 10_000, 50_000
SAVINGS = ((10, SMALL, 85), (100, SMALL, 94), (1000, LARGE, 99))
"""Edits, bytes of source, and the saving in percent that the seed's table promises for 0.5 KB a diff."""
LINES_PER_EDIT = {("0.5 KB", "python"): 1, ("0.5 KB", "text"): 1, ("5 KB", "python"): 32, ("5 KB", "text"): 80}
"""What makes an event of that size: statements are told one by one, lines together."""
REPEATS = 30


def timestamp(number: int) -> str:
    """Spell a moment so many seconds into a day."""
    return f"2026-02-14T{number // 3600:02}:{number // 60 % 60:02}:{number % 60:02}.000Z"


def program(size: int, rng: random.Random) -> str:
    """Write a Python module of about `size` bytes."""
    names = ("price", "amount", "total", "rate", "offset", "limit")
    parts = ["import math\n"]
    length = 0
    while length < size:
        body = "".join(
            f"    {rng.choice(names)} = {rng.choice(names)} {rng.choice('+-*/')} {rng.randrange(100)}\n"
            for _ in range(8)
        )
        parts.append(
            f"\n\ndef step_{len(parts)}({', '.join(sorted(rng.sample(names, 3)))}):\n{body}    return rate\n"
        )
        length += len(parts[-1])
    return "".join(parts)


def edited(source: str, lines: int, rng: random.Random) -> str:
    """Change so many lines in a row to others of the same kind."""
    listed = source.splitlines(keepends=True)
    assignments = [index for index, line in enumerate(listed) if " = " in line]
    start = rng.randrange(len(assignments) - lines)
    for index in assignments[start : start + lines]:
        listed[index] = f"    value = total - {rng.randrange(10**4)}\n"
    return "".join(listed)


def saving_rows(edits: int, size: int, promised: int, diff: str) -> list[Row]:
    """P-E1: keep `edits` versions of one source as diffs; bytes as JSON, as a file, and as an archive."""
    rng = random.Random(edits)
    source = program(size, rng)
    # Statements cost a parse; lines give the same bytes, and the long load is about bytes.
    language = "python" if edits <= 100 else "text"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log.db"
        full = genesis = 0
        with EventLog(path) as log:
            for number in range(edits + 1):
                write_source(log, SPACE, timestamp(number), source, language)
                full += len(source.encode()) if number else 0
                genesis = genesis or log.get_storage_usage().spaces[0].estimated_bytes
                last, source = source, edited(source, LINES_PER_EDIT[diff, language], rng)
            if reconstruct_source(log, SPACE).source != last or not log.verify_integrity().valid:
                raise AssertionError("the log does not give back what was written")
            events = log.get_storage_usage().spaces[0].estimated_bytes
            archive = len(log.export_archive(SPACE))
        name = f"P-E1 {edits} edits of {size // 1000} KB, {diff} diffs"
        promise = f" (seed: {promised} %)" if diff == "0.5 KB" else ""
        return [
            (f"{name}: saved by events as JSON{promise}", percent(events, full), "%"),
            (f"{name}: saved by the file{promise}", percent(path.stat().st_size, full), "%"),
            (f"{name}: saved by the archive{promise}", percent(archive, full), "%"),
            (f"{name}: a diff event as JSON", (events - genesis) / edits, "bytes"),
        ]


def percent(part: float, whole: float) -> float:
    """Return by how many percent a part is smaller than the whole."""
    return 100 * (1 - part / whole)


def time_rows() -> list[Row]:
    """P-E2: the original's own limits."""
    with tempfile.TemporaryDirectory() as folder, EventLog(Path(folder) / "log.db") as log:
        times = [timed(lambda number=number: write(log, number)) for number in range(1000)]  # type: ignore[misc]
        fill = EventLog(Path(folder) / "half.db")
        fill_times = [timed(lambda number=number: write(fill, number)) for number in range(500)]  # type: ignore[misc]
        archive = fill.export_archive(SPACE)
        rows = [
            ("P-E2 write one event (seed: < 50 ms), median", statistics.median(times) * 1e3, "ms"),
            ("P-E2 write one event, slowest of 1,000", max(times) * 1e3, "ms"),
            ("P-E2 100 writes (seed: < 2 s)", sum(fill_times[:100]), "s"),
            ("P-E2 query 1,000 events (seed: < 200 ms)", median(lambda: log.query_by_space(SPACE, limit=1000)), "ms"),
            ("P-E2 state from 500 events (seed: < 500 ms)", median(lambda: fill.reconstruct_state(SPACE)), "ms"),
            ("P-E2 verify 1,000 events (seed: < 5 s)", median(log.verify_integrity, 5) / 1e3, "s"),
            ("P-E2 export 500 events (seed: < 2 s)", median(lambda: fill.export_archive(SPACE), 5) / 1e3, "s"),
            ("P-E2 import 500 events (seed: < 2 s)", median(lambda: imported(archive), 5) / 1e3, "s"),
        ]
        fill.close()
        return rows


def write(log: EventLog, number: int) -> None:
    """Write one event as the original's benchmark does."""
    log.write_event("state_changed", SPACE, timestamp(number), {"index": number})


def imported(archive: bytes) -> None:
    """Import an archive into a new log."""
    with tempfile.TemporaryDirectory() as folder, EventLog(Path(folder) / "log.db") as log:
        if log.import_archive(archive).imported_events != 500:
            raise AssertionError("the archive was not imported wholly")


def rebuild_rows() -> list[Row]:
    """Rebuild a 50 KB source at its 1000th edit, against reading the same text from a file."""
    rng = random.Random(7)
    source = program(LARGE, rng)
    with tempfile.TemporaryDirectory() as folder:
        path, plain = Path(folder) / "log.db", Path(folder) / "plain.py"
        with EventLog(path) as log:
            for number in range(1001):
                write_source(log, SPACE, timestamp(number), source, "text")
                last, source = source, edited(source, 1, rng)
        plain.write_text(last)

        def first_read() -> None:
            """Open the log and rebuild the source, as a new process does."""
            with EventLog(path, read_only=True) as fresh:
                reconstruct_source(fresh, SPACE)

        with EventLog(path) as log:
            if reconstruct_source(log, SPACE).source != last:
                raise AssertionError("the source is not the one written")
            read = median(plain.read_text)
            return [
                ("P-E1 read 50 KB of text from a file", read * 1e3, "us"),
                (
                    "P-E1 rebuild edit 1000 of 50 KB, against reading it (goal: < 5x)",
                    median(lambda: reconstruct_source(log, SPACE)) / read,
                    "x",
                ),
                ("P-E1 rebuild it in a log just opened, opening included", median(first_read) * 1e3, "us"),
                ("P-E1 rebuild it at edit 999, 99 diffs after a kept state, once", once_at(path, 999), "ms"),
                (
                    "P-E1 tell all 1,001 versions as a history",
                    timed(lambda: sum(1 for _ in source_history(log, SPACE))),
                    "s",
                ),
            ]


def once_at(path: Path, number: int) -> float:
    """Rebuild a source at a moment in a log just opened; milliseconds."""
    with EventLog(path, read_only=True) as log:
        return timed(lambda: reconstruct_source(log, SPACE, timestamp(number))) * 1e3


def median(act: Callable[[], object], repeats: int = REPEATS) -> float:
    """Return the median time of a call in milliseconds."""
    return statistics.median(timed(act) for _ in range(repeats)) * 1e3


def timed(act: Callable[[], object]) -> float:
    """Return the time of a call in seconds."""
    started = time.perf_counter()
    act()
    return time.perf_counter() - started


def run() -> list[Row]:
    """Measure everything: name, value, unit."""
    rows = [
        row
        for edits, size, promised in SAVINGS
        for diff in ("0.5 KB", "5 KB")
        for row in saving_rows(edits, size, promised, diff)
    ]
    return [*rows, *rebuild_rows(), *time_rows()]


def main() -> None:
    """Print the measurements."""
    for name, value, unit in run():
        print(f"{name:90} {value:12.3f} {unit}")


if __name__ == "__main__":
    main()
