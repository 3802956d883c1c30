"""Where a recording goes: a file, or a history in PostgreSQL."""

from __future__ import annotations

from pathlib import Path

from unspool.model.addresses import is_postgres
from unspool.store.file import Durability, FileStore
from unspool.store.protocol import Store


def store_at(target: str, durability: Durability, mode: int) -> Store:
    """Open a target for appending; see `Recorder`.

    Raises:
        UnspoolError: it cannot be opened, or another recorder holds it.
    """
    if not is_postgres(target):
        return FileStore.create(Path(target), durability=durability, mode=mode)
    # Its driver is an extra that only those who record there have.
    from unspool.store.postgres import PostgresStore

    return PostgresStore.create(target, durability=durability)
