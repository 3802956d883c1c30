"""Where region files lie: one small protocol, and a directory behind it."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Final, Protocol

from unspool.errors import UnspoolError
from unspool.files import create_private, make_folder, make_if_missing, sync_folder, write_whole
from unspool.model.values import Value
from unspool.regions.address import InvalidRegionValue, RegionFileError, RegionStorageError
from unspool.regions.records import (
    MAGIC,
    RECORD_HEAD_SIZE,
    ByteOrder,
    HeaderlessRecords,
    ListPath,
    decode_binary,
    dump_json,
    encode_binary,
    load_json,
    read_records,
)
from unspool.regions.region_file import (
    COMPONENT_SCHEMA,
    COMPONENT_TYPE,
    MultiplayerRegionDelta,
    RegionDeltaComponent,
    RegionDeltaFile,
)
from unspool.regions.state import SNAPSHOT_FORM, RegionSnapshot
from unspool.regions.table import STANDARD_ACTIONS, ActionTable

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


RegionDocument = RegionDeltaFile | MultiplayerRegionDelta | RegionDeltaComponent | RegionSnapshot
"""What the JSON form and the binary form can hold."""


class FileForm(StrEnum):
    """How a region document is written."""

    JSON = "json"
    BINARY = "binary"


_JSON_STARTS: Final = (b"{", b"\xef\xbb\xbf")


def encode_region(document: RegionDocument, form: FileForm | str, byte_order: ByteOrder = "little") -> bytes:
    """Return a document in a form; both hold everything, and either can be turned into the other.

    Raises:
        OutOfRange: a number does not fit the binary form.
        ValueError: there is no such form.
    """
    if FileForm(form) is FileForm.JSON:
        return dump_json(document.to_json())
    return encode_binary(document.to_json(), _list_paths(document), byte_order)


def _list_paths(document: RegionDocument) -> tuple[ListPath, ...]:
    if isinstance(document, MultiplayerRegionDelta):
        return (("sharedDeltas",), *(("personalDeltas", player) for player in document.players))
    if isinstance(document, RegionDeltaComponent):
        return (("data", "deltas"),)
    return (("folded",),) if isinstance(document, RegionSnapshot) else (("deltas",),)


def decode_region(
    data: bytes,
    source: str = "region file",
    *,
    actions: ActionTable = STANDARD_ACTIONS,
    byte_order: ByteOrder | None = None,
) -> RegionDocument | HeaderlessRecords:
    """Read a region file of any form.

    Args:
        data: the whole file.
        source: what it is called in messages.
        actions: which actions may occur.
        byte_order: of records without a header, if it is known.

    Raises:
        RegionFileError: it is damaged, or no region file.
        InvalidRegionValue: a field is missing or malformed, or an action unknown; the message says where.
    """
    if not data:
        raise RegionFileError(f"{source}: empty; restore it from a backup, or delete it")
    if data.startswith(MAGIC):
        return _read_document(decode_binary(data, source), source, actions)
    # Text has no zero byte; the head of a record nearly always has one, whatever its first byte.
    head = data[:RECORD_HEAD_SIZE]
    if b"\0" not in head and data.lstrip(b" \t\r\n").startswith(_JSON_STARTS):
        return _read_document(load_json(data, source), source, actions)
    return read_records(data, byte_order, source)


def _read_document(raw: Value, source: str, actions: ActionTable) -> RegionDocument:
    if not isinstance(raw, dict):
        raise RegionFileError(f"{source}: no region file: its JSON is not an object")
    try:
        if raw.get("$schema") == COMPONENT_SCHEMA or raw.get("type") == COMPONENT_TYPE:
            return RegionDeltaComponent.from_json(raw, actions)
        if raw.get("form") == SNAPSHOT_FORM:
            return RegionSnapshot.from_json(raw, actions)
        if "sharedDeltas" in raw or "personalDeltas" in raw:
            return MultiplayerRegionDelta.from_json(raw, actions)
        if "deltas" in raw:
            return RegionDeltaFile.from_json(raw, actions)
    except InvalidRegionValue as error:
        raise type(error)(f"{source}: {error}") from None
    raise RegionFileError(f"{source}: no region file: it has neither deltas nor sharedDeltas")


def read_region_file(
    path: str | Path,
    *,
    actions: ActionTable = STANDARD_ACTIONS,
    byte_order: ByteOrder | None = None,
) -> RegionDocument | HeaderlessRecords:
    """Read a region file of any form from disk.

    Raises:
        RegionStorageError: it cannot be read.
        RegionFileError: it is damaged, or no region file.
        InvalidRegionValue: a field is missing or malformed, or an action unknown; the message says where.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise RegionStorageError(f"{path}: {error.strerror or error}; check the path and its permissions") from None
    return decode_region(data, str(path), actions=actions, byte_order=byte_order)


def write_region_file(path: str | Path, document: RegionDocument, form: FileForm | str = FileForm.JSON) -> None:
    """Write a region file in one step: a reader sees the old file or the new one, never a part.

    Raises:
        OutOfRange: a number does not fit the binary form.
        RegionStorageError: the disk refused; the old file is untouched.
    """
    write_region(Path(path), encode_region(document, form))
