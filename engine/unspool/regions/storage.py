"""Where region files lie: one small protocol, and a directory behind it."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Protocol

from unspool.errors import UnspoolError
from unspool.files.private import create_private, make_folder, make_if_missing
from unspool.files.whole import sync_folder, write_whole
from unspool.regions.errors import RegionStorageError

_SUFFIX: Final = ".region"


class RegionStorage(Protocol):
    """Named bytes at rest. A key is a file name without a suffix, such as `7-23-0-0-0`."""

    def read(self, key: str) -> bytes | None:
        """Return what is stored under a key, or None."""

    def write(self, key: str, data: bytes) -> None:
        """Store bytes under a key, wholly or not at all.

        Raises:
            RegionStorageError: the storage refused; nothing was changed.
        """

    def rename(self, key: str, new_key: str) -> None:
        """Give something another key.

        Raises:
            RegionStorageError: there is nothing under the key, or something under the new one.
        """

    def list_keys(self) -> tuple[str, ...]:
        """Return all keys, in order."""

    def place(self, key: str) -> str:
        """Say where a key lies, for people."""

    def close(self) -> None:
        """Let go of what is held open."""


def write_region(path: Path, data: bytes) -> None:
    """Write a region file whole or not at all; see `write_whole`.

    Raises:
        RegionStorageError: the disk refused; what was there before is untouched.
    """
    try:
        write_whole(path, (data,))
    except UnspoolError as error:
        raise RegionStorageError(str(error)) from None
    except OSError as error:
        raise RegionStorageError(
            f"{path}: {error.strerror or error}; nothing was changed, free the disk and try again"
        ) from None


class DirectoryStorage:
    """One file a key, in one directory."""

    def __init__(self, directory: str | Path) -> None:
        """Use a directory, and make it if it is not there.

        Raises:
            RegionStorageError: it cannot be made.
        """
        self._directory = Path(directory)
        try:
            make_folder(self._directory)
        except OSError as error:
            raise RegionStorageError(f"{directory}: {error.strerror or error}; name another directory") from None

    def read(self, key: str) -> bytes | None:
        """Return what is stored under a key, or None."""
        try:
            return self._path(key).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._refused(key, error) from None

    def write(self, key: str, data: bytes) -> None:
        """Store bytes under a key, wholly or not at all."""
        write_region(self._path(key), data)

    def rename(self, key: str, new_key: str) -> None:
        """Give a file another name that is not taken."""
        path, new_path = self._path(key), self._path(new_key)
        try:
            # Creating the new name first makes sure that nobody else's file is replaced.
            os.close(create_private(new_path))
        except OSError as error:
            raise self._refused(new_key, error) from None
        try:
            path.replace(new_path)
        except OSError as error:
            new_path.unlink()
            raise self._refused(key, error) from None
        try:
            sync_folder(self._directory)
        except OSError as error:
            raise RegionStorageError(
                f"{new_path}: {error.strerror}; it was renamed, but a power cut may undo that"
            ) from None

    def list_keys(self) -> tuple[str, ...]:
        """Return all keys, in order."""
        try:
            names = [path.name for path in self._directory.iterdir()]
        except OSError as error:
            raise RegionStorageError(f"{self._directory}: {error.strerror or error}") from None
        return tuple(
            sorted(
                name.removesuffix(_SUFFIX) for name in names if name.endswith(_SUFFIX) and not name.startswith(".")
            )
        )

    def place(self, key: str) -> str:
        """Return the path of a key."""
        return str(self._path(key))

    def close(self) -> None:
        """Nothing is held open."""

    def _path(self, key: str) -> Path:
        if not key or key != Path(key).name or key.startswith("."):
            raise RegionStorageError(f"{key!r} is no key of a region; a key is a plain file name")
        return self._directory / f"{key}{_SUFFIX}"

    def _refused(self, key: str, error: OSError) -> RegionStorageError:
        return RegionStorageError(f"{self._path(key)}: {error.strerror or error}; nothing was changed")


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
