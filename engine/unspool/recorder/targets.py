"""Where a recording goes: a file, or by way of a spool a history in PostgreSQL."""

from __future__ import annotations

from pathlib import Path

from unspool.model.addresses import is_postgres
from unspool.store.file import Durability, FileStore
from unspool.store.postgres import SpoolOptions
from unspool.store.protocol import Sink


def store_at(target: str, durability: Durability, mode: int, spool: SpoolOptions) -> Sink:
    """Open a target for appending; see `Recorder`.

    Args:
        target: a file's path, or an address.
        durability: see `Recorder`.
        mode: permissions of a new file; a spool is always private.
        spool: how a recording into PostgreSQL is spooled.

    Raises:
        UnspoolError: it cannot be opened, or another recorder holds it.
    """
    if not is_postgres(target):
        return FileStore.create(Path(target), durability=durability, mode=mode)
    # Its driver is an extra that only those who record there have.
    from unspool.store.postgres.shipping import SpooledStore

    return SpooledStore.open(target, durability=durability, options=spool)
