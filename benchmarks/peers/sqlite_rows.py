"""SQLite as many apps would use it: one full state as JSON in a row each, one commit each."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path
from typing import Any

import orjson

from benchmarks.loads import State


class SqliteRows:
    """A table of states. WAL and synchronous=NORMAL: the same promise as an unspool file by default."""

    def __init__(self, path: Path, *, synchronous: str = "NORMAL") -> None:
        """Open or make the table."""
        self._path = path
        self._connection = sqlite3.connect(path, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode = WAL").fetchall()
        self._connection.execute(f"PRAGMA synchronous = {synchronous}")
        self._connection.execute(
            "CREATE TABLE IF NOT EXISTS state(seq INTEGER PRIMARY KEY, at INTEGER NOT NULL, data BLOB NOT NULL)"
        )

    def record(self, state: State) -> None:
        """Append a state."""
        row = (time.time_ns(), orjson.dumps(state))
        self._connection.execute("INSERT INTO state(at, data) VALUES (?, ?)", row)

    def state(self, number: int) -> Any:
        """Return a state."""
        row = self._connection.execute("SELECT data FROM state WHERE seq = ?", (number + 1,)).fetchone()
        return orjson.loads(row[0])

    def close(self) -> int:
        """Close the file and return its bytes."""
        self._connection.close()
        return self._path.stat().st_size
