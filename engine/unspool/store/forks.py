"""Which entries do not follow the one before them, told without making an object of every entry.

A block says in its metadata what is unusual about its entries; a parent is part of that only at a fork. So a block
without forks costs decompressing its metadata and one search in it, whatever else its entries carry.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

import msgspec

from unspool.errors import CorruptHistory
from unspool.model import wire
from unspool.model.values import Value
from unspool.store.blocks import part_of
from unspool.store.file import FileStore
from unspool.store.layout import FileConnection
from unspool.store.protocol import HOLE, Columns, Store
from unspool.store.tail import readable_rows


class Fork(NamedTuple):
    """An entry that does not follow the one before it.

    Attributes:
        seq: the entry.
        parent: the entry it follows; None for the first one.
        part: the atoms for which that is so, where the others follow the entry before; None for all atoms.
    """

    seq: int
    parent: int | None
    part: frozenset[str] | None = None

    @classmethod
    def of(cls, seq: int, extra: Mapping[str, Value]) -> Fork:
        """Return the fork that an entry's unusual facts describe."""
        part = part_of(extra)
        return cls(seq, extra["parent"], None if part is None else frozenset(part))


_BATCH: Final = 1024
"""Entries that are asked for at once where a store tells nothing but whole entries."""


_decode_extras: Final = msgspec.msgpack.Decoder(dict[int, bytes]).decode
_PARENT: Final = b"parent"


def forks_of(store: Store, start: int, stop: int) -> list[Fork]:
    """Return each entry from `start` to `stop - 1` that does not follow the one before it, with its parent.

    Entry 0 counts as one; an entry that cannot be read does not.

    Args:
        store: where the entries are.
        start: the first entry to look at.
        stop: one past the last one.
    """
    start, stop = max(start, 0), min(stop, len(store))
    if start >= stop:
        return []
    if isinstance(store, FileStore):
        return store.reader.call(_in_file, start, stop)
    return [fork for first in range(start, stop, _BATCH) for fork in _in_entries(store, first, stop)]


def _in_file(connection: FileConnection, start: int, stop: int) -> list[Fork]:
    found: list[Fork] = [Fork(0, None)] if start == 0 and _reads_first(connection) else []
    sealed = connection.execute("SELECT first + count FROM block ORDER BY first DESC LIMIT 1").fetchone()
    for first, extras in connection.layout.unusual(connection, start, stop):
        if not isinstance(extras, CorruptHistory):
            found.extend(fork for fork in _in_extras(first, extras) if start <= fork.seq < stop)
    tail = start if sealed is None else max(start, sealed[0])
    if tail < stop:
        found.extend(
            Fork.of(row.seq, row.extra) for row in readable_rows(connection, tail, stop) if "parent" in row.extra
        )
    return found


def _reads_first(connection: FileConnection) -> bool:
    """Say whether entry 0 can be read."""
    for first, extras in connection.layout.unusual(connection, 0, 1):
        return first == 0 and not isinstance(extras, CorruptHistory)
    return bool(readable_rows(connection, 0, 1))


def _in_extras(first: int, extras: bytes) -> Iterator[Fork]:
    if _PARENT not in extras:
        return
    try:
        unusual = {at: wire.decode(extra) for at, extra in _decode_extras(extras).items() if _PARENT in extra}
    except (CorruptHistory, msgspec.MsgspecError, ValueError):
        return
    for at, extra in sorted(unusual.items()):
        if "parent" in extra:
            yield Fork.of(first + at, extra)


def _in_entries(store: Store, start: int, stop: int) -> Iterator[Fork]:
    stop = min(start + _BATCH, stop)
    try:
        entries = store.entries(start, stop)
    except CorruptHistory:
        columns = Columns()
        store.fill(columns)
        entries = [store.entries(seq, seq + 1)[0] for seq in range(start, stop) if columns.codec[seq] != HOLE]
    for entry in entries:
        if entry.parent_seq is None or entry.parent_seq != entry.seq - 1:
            yield Fork(entry.seq, entry.parent_seq, None if entry.part is None else frozenset(entry.part))
