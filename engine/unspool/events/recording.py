"""Recording the saves of a file: the first as a genesis, each later one as the diff to the one before."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from unspool.errors import UnreadableSource
from unspool.events.appending import find_space
from unspool.events.canonical import sha256_hex
from unspool.events.diff_storage import write_diff_event, write_genesis_event
from unspool.events.log import EventLog
from unspool.events.records import Event
from unspool.events.replay import source_hash
from unspool.events.source_states import find_state
from unspool.events.syntax.ast_diff import ast_diff
from unspool.events.syntax.tree import JSON, PYTHON, TEXT

NO_COMPILED_OUTPUT: Final = "none"
"""What a genesis names as the hash of its compiled output where nothing was compiled."""
MAX_SOURCE_BYTES: Final = 16 * 1024 * 1024

_LANGUAGES: Final = {".py": PYTHON, ".pyi": PYTHON, ".pyw": PYTHON, ".json": JSON}


def record_file(
    log: EventLog,
    path: str | Path,
    *,
    space_id: str | None = None,
    timestamp: str | None = None,
    language: str | None = None,
    max_bytes: int = MAX_SOURCE_BYTES,
) -> Event | None:
    """Record what a file holds now, if that is new.

    Args:
        log: the event log.
        path: the file. Bytes that are no UTF-8 are kept as lone surrogates; `source_bytes` gives them back.
        space_id: the file's space; by default the path as given, with forward slashes.
        timestamp: ISO 8601; by default the log's clock.
        language: `python`, `json` or `text`; by default told by the file's suffix.
        max_bytes: a larger file is refused.

    Returns:
        The event that was written; None where nothing changed, or where the file is empty and has no genesis yet.

    Raises:
        UnreadableSource: the file cannot be read, or is too large.
        InvalidEvent: the space holds something that no source can follow.
    """
    path = Path(path)
    source = read_source(path, max_bytes=max_bytes)
    rule = language or _LANGUAGES.get(path.suffix.lower(), TEXT)
    return write_source(log, space_id or path.as_posix(), timestamp or log.config.clock(), source, rule)


def write_source(
    log: EventLog, space_id: str, timestamp: str, source: str, language: str | None = None
) -> Event | None:
    """Record a version of a source: a genesis for a new space, a diff for one that is there.

    Returns:
        The event; None where nothing changed, or where an empty source would be a genesis.

    Raises:
        InvalidEvent: the space holds something that no source can follow, or an argument is refused.
    """
    while True:
        head = log.head(space_id)
        if head is None:
            if not source:
                return None
            with log.database.writing():
                if log.head(space_id) is None:
                    digest = sha256_hex(source)
                    return write_genesis_event(log, space_id, timestamp, source, digest, NO_COMPILED_OUTPUT)
            continue
        state = find_state(log, space_id, None, "either")
        if state.text == source:
            return None
        operations, scope = ast_diff(state.text, source, language)
        # Finding the diff takes its time, so it is done without the lock; another writer means doing it again.
        with log.database.writing():
            space = find_space(log.database, space_id)
            if space is not None and space.head_hash == head.hash:
                return write_diff_event(log, space_id, timestamp, operations, scope, source_hash(source))


def read_source(path: Path, *, max_bytes: int = MAX_SOURCE_BYTES) -> str:
    """Read a file as source text, byte for byte: no line end is touched, a byte order mark stays.

    Raises:
        UnreadableSource: the file cannot be read, or is too large.
    """
    try:
        size = path.stat().st_size
        if size > max_bytes:
            raise UnreadableSource(f"{path}: {size} bytes are more than {max_bytes}; raise max_bytes to record it")
        return path.read_bytes().decode("utf-8", "surrogateescape")
    except OSError as error:
        raise UnreadableSource(f"{path}: {error.strerror}; check the path and its permissions") from error


def source_bytes(source: str) -> bytes:
    """Return the bytes of a file whose source was read with `read_source`."""
    return source.encode("utf-8", "surrogateescape")
