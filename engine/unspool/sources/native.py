"""The program's own files as sources: how one is known, also where it is damaged, and how it becomes a history."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from unspool.model.addresses import is_postgres
from unspool.opened import OpenHistory
from unspool.store.file import FileStore
from unspool.store.schema import APPLICATION_ID
from unspool.store.wal import kept_log

_SQLITE_MAGIC: Final = b"SQLite format 3\x00"
_APPLICATION_ID_AT: Final = slice(68, 72)
"""Where an SQLite header keeps the application id."""
NATIVE_NAMES: Final = ("unspool", "native")
"""What the format is called where a person names it."""
_NATIVE_SUFFIX: Final = ".unspool"
_SCHEMA_BYTES: Final = 1 << 16
_NATIVE_TABLES: Final = (b"segment(", b"block(", b"block_data(", b"tail(")


def is_native(source: str, format_name: str | None) -> bool:
    """Whether a source is to be opened as a native file: by its content, or because the user says so."""
    if format_name is not None and not is_postgres(source):
        return format_name in NATIVE_NAMES
    path = Path(source)
    try:
        # Opening a pipe would wait for whoever writes to it.
        if not path.is_file():
            return False
        with path.open("rb") as stream:
            head = stream.read(_APPLICATION_ID_AT.stop)
    except (OSError, ValueError):
        # Not a file, or one that cannot be read: why is told where it is opened.
        return False
    return head.startswith(_SQLITE_MAGIC) and head[_APPLICATION_ID_AT] == APPLICATION_ID.to_bytes(4)


def was_native(source: str) -> bool:
    """Whether a file that is damaged may have been a native one, or its log: by its name, or the tables it tells of."""
    path = Path(source)
    try:
        if is_postgres(source) or not path.is_file():
            return False
        if path.suffix == _NATIVE_SUFFIX or kept_log(path) is not None:
            return True
        with path.open("rb") as stream:
            head = stream.read(_SCHEMA_BYTES)
    except (OSError, ValueError):
        return False
    return head.startswith(_SQLITE_MAGIC) and all(b"CREATE TABLE " + table in head for table in _NATIVE_TABLES)


def open_native(path: Path, identity: Mapping[str, str]) -> OpenHistory:
    """Open a native file.

    Args:
        path: the file.
        identity: keys of lists that go before those which the file was recorded with; an empty key leaves a list to
            detection again.

    Raises:
        CorruptHistory: it is damaged.
        UnreadableSource: it cannot be read.
    """
    store = FileStore.open(path)
    return OpenHistory(store, identity={**store.identity(), **identity}, path=path)
