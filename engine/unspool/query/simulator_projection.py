"""From a sample to the whole: the bytes a file of all entries would take.

Entries differ: a sample may hold more busy ones than the rest. The file that the sample was taken from tells by how
much, since it is known with which settings it was recorded: what the sample takes with these very settings, against
what the file really takes for each entry.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from unspool.codec.binary_patch import binary_available
from unspool.codec.strategies import DeltaStrategy
from unspool.errors import ConfigError, UnspoolError
from unspool.history.history import History
from unspool.query.doctor_rules import rule_named
from unspool.store.file import FileStore
from unspool.store.layout import FileConnection
from unspool.store.schema import connect_reader

_QUERY: Final = (
    "SELECT (SELECT total(count) FROM block), (SELECT coalesce(max(count), 0) FROM block),"
    " (SELECT count(*) FROM meta WHERE key = 'repaired_from')"
)
_LARGEST_BLOCK: Final = 128
"""Entries of the largest block that a recorder writes; larger ones come from compacting."""
_ENOUGH: Final = 64
"""Sealed entries from which on a file tells how dense it is."""


@dataclass(frozen=True, slots=True)
class Density:
    """What the sealed blocks of a file hold.

    Attributes:
        bytes: bytes in them.
        entries: entries in them.
    """

    bytes: float
    entries: float

    @property
    def per_entry(self) -> float:
        """Bytes of an entry."""
        return self.bytes / max(self.entries, 1.0)


@dataclass(frozen=True, slots=True)
class Reference:
    """What is known of the file that a history is read from.

    Attributes:
        codec: how its entries were written.
        strategy: when a full snapshot was stored.
        density: what its blocks hold.
    """

    codec: str
    strategy: str
    density: Density


def _facts(connection: FileConnection) -> tuple[float, float, int, int]:
    """Return bytes and entries of all blocks, the entries of the largest, and whether a repair wrote the file."""
    return (connection.layout.stored_bytes(connection), *connection.execute(_QUERY).fetchone())


def density_of(path: Path) -> Density:
    """Return what the blocks of a finished file hold."""
    connection, _ = connect_reader(path, live=False)
    try:
        size, entries, _, _ = _facts(connection)
    finally:
        connection.close()
    return Density(size, entries)


def reference_of(history: History) -> Reference | None:
    """Return what a history's own file tells; None where it is not as one recorder with one setting wrote it."""
    store = history.store
    if not isinstance(store, FileStore):
        return None
    try:
        recordings = store.recordings()
        size, entries, largest, repaired = store.reader.call(_facts)
        if len(recordings) != 1 or repaired or largest > _LARGEST_BLOCK or entries < _ENOUGH:
            return None
        codec, strategy = DeltaStrategy(recordings[0].codec), recordings[0].strategy
        rule_named(strategy)
    except (UnspoolError, ConfigError, sqlite3.Error, ValueError):
        return None
    if codec is DeltaStrategy.BINARY and not binary_available():
        return None
    # These store every state whole, whatever the strategy.
    is_whole = codec in (DeltaStrategy.NONE, DeltaStrategy.COMPRESS)
    return Reference(codec.value, "auto" if is_whole else strategy, Density(size, entries))
