"""Region files in one SQLite file: for worlds with more regions than a directory is comfortable with."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from unspool.files.private import make_if_missing
from unspool.regions.errors import RegionStorageError

_TABLE: Final = "CREATE TABLE IF NOT EXISTS regions (key TEXT PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID"


class SqliteStorage:
    """One row a key, in one file. Each write is a transaction."""

    def __init__(self, path: str | Path) -> None:
        """Open a file, and make it if it is not there.

        Raises:
            RegionStorageError: it cannot be opened, or is no database.
        """
        self._path = str(path)
        with self._refusing():
            if self._path != ":memory:":
                make_if_missing(Path(path))
            self._connection = sqlite3.connect(self._path, isolation_level=None)
            try:
                self._connection.execute(_TABLE)
            except sqlite3.Error:
                self._connection.close()
                raise

    @contextmanager
    def _refusing(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            said = error.strerror if isinstance(error, OSError) else error
            raise RegionStorageError(f"{self._path}: {said}; nothing was changed") from None

    def read(self, key: str) -> bytes | None:
        """Return what is stored under a key, or None."""
        with self._refusing():
            row = self._connection.execute("SELECT body FROM regions WHERE key = ?", (key,)).fetchone()
        return None if row is None else bytes(row[0])

    def write(self, key: str, data: bytes) -> None:
        """Store bytes under a key, wholly or not at all."""
        with self._refusing():
            self._connection.execute(
                "INSERT INTO regions VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET body = excluded.body", (key, data)
            )

    def rename(self, key: str, new_key: str) -> None:
        """Give a row another key that is not taken."""
        with self._refusing():
            changed = self._connection.execute("UPDATE regions SET key = ? WHERE key = ?", (new_key, key)).rowcount
        if changed != 1:
            raise RegionStorageError(f"{self.place(key)}: there is nothing to rename")

    def list_keys(self) -> tuple[str, ...]:
        """Return all keys, in order."""
        with self._refusing():
            return tuple(row[0] for row in self._connection.execute("SELECT key FROM regions ORDER BY key"))

    def place(self, key: str) -> str:
        """Name the file and the key in it."""
        return f"{self._path}, region {key}"

    def close(self) -> None:
        """Close the file."""
        self._connection.close()
