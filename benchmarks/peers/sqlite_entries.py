"""SQLite as many apps would use it for very many entries: one row of metadata each."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.many import states

_QUERIES = (
    ("newest", "SELECT * FROM entry ORDER BY seq DESC LIMIT 200"),
    ("overview", "SELECT at / 100000, max(size) FROM entry GROUP BY 1"),
    ("columns", "SELECT * FROM entry"),
)


def build(path: Path, count: int) -> None:
    """Write the metadata that a history of `benchmarks.many` would show, without its states."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute(
        "CREATE TABLE entry(seq INTEGER PRIMARY KEY, at INTEGER, action TEXT, changed INTEGER, size INTEGER)"
    )
    connection.execute("BEGIN")
    connection.executemany("INSERT INTO entry VALUES (?, ?, ?, ?, ?)", _entries(count))
    connection.execute("COMMIT")
    connection.close()


def _entries(count: int) -> Iterator[tuple[int, int, str, int, int]]:
    for seq, (action, _) in enumerate(states(count)):
        yield seq, 1_700_000_000_000 + seq * 10, action, 2, 32


def look(path: Path) -> dict[str, float]:
    """Return the milliseconds that the same looks take as in `benchmarks.opening`."""
    facts: dict[str, float] = {}
    connection: sqlite3.Connection | None = None
    for name, query in _QUERIES:
        started = time.perf_counter()
        connection = connection or sqlite3.connect(path)
        connection.execute(query).fetchall()
        facts[name] = (time.perf_counter() - started) * 1000
    if connection is not None:
        connection.close()
    return facts
