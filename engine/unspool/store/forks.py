"""Which entries do not follow the one before them, told without making an object of every entry.

A block says in its metadata what is unusual about its entries; a parent is part of that only at a fork. So a block
without forks costs decompressing its metadata and one search in it, whatever else its entries carry.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Final, NamedTuple

import msgspec

from unspool.errors import CorruptHistory
from unspool.model import wire
from unspool.model.entries import PASSED_OVER, Entry, passed_over_in
from unspool.model.values import Value
from unspool.store.blocks import part_of
from unspool.store.bulk_columns import decode_extras
from unspool.store.file import FileStore
from unspool.store.layout import FileConnection
from unspool.store.protocol import HOLE, Columns, Store
from unspool.store.tail import readable_rows


class Fork(NamedTuple):
    """An entry that does not follow the one before it.

    Attributes:
        seq: the entry.
        parent: the entry it follows; None for the first one, and where that entry was dropped.
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


_PARENT: Final = b"parent"
_FAR: Final = 1 << 62


def forks_of(store: Store, start: int, stop: int) -> list[Fork]:
    """Return each entry from `start` to `stop - 1` that does not follow the one before it, with its parent.

    The first entry counts as one; an entry that cannot be read does not.

    Args:
        store: where the entries are.
        start: the first entry to look at.
        stop: one past the last one.
    """
    if isinstance(store, FileStore):
        return store.reader.call(_forks_in_file, start, min(stop, len(store)), store.first)
    start, stop = max(start, 0), min(stop, len(store))
    return [fork for first in range(start, stop, _BATCH) for fork in _in_entries(store, first, stop)]


def _forks_in_file(connection: FileConnection, start: int, stop: int, origin: int) -> list[Fork]:
    """Return the forks of a file; what follows an entry before `origin`, the first one kept, follows nothing that is known."""
    start = max(start, origin)
    if start >= stop:
        return []
    is_told = start == origin and _reads_first(connection, origin)
    unusual = [item for item in _unusual(connection, start, stop, _PARENT) if "parent" in item[1]]
    found = [Fork.of(seq, extra) for seq, extra in unusual if seq > origin or not is_told]
    rebased = [fork if fork.parent is None or fork.parent >= origin else fork._replace(parent=None) for fork in found]
    return [Fork(origin, None), *rebased] if is_told else rebased


def passed_over_by(store: Store) -> int:
    """Return how many calls the recorders of a history passed over, as its entries say; those that do not read say nothing."""
    if isinstance(store, FileStore):
        metas = (extra.get("meta") for _, extra in store.reader.call(_all_unusual, store.first, PASSED_OVER.encode()))
        return sum(passed_over_in(meta) for meta in metas if isinstance(meta, Mapping))
    entries = chain.from_iterable(_readable(store, first) for first in range(0, len(store), _BATCH))
    return sum(passed_over_in(entry.meta) for entry in entries)


def _all_unusual(connection: FileConnection, first: int, word: bytes) -> list[tuple[int, Mapping[str, Value]]]:
    return list(_unusual(connection, first, _FAR, word))


def _unusual(
    connection: FileConnection, start: int, stop: int, word: bytes
) -> Iterator[tuple[int, Mapping[str, Value]]]:
    """Yield the unusual facts of entries from `start` to `stop - 1` that hold a word, as far as they read."""
    sealed = connection.execute("SELECT first + count FROM block ORDER BY first DESC LIMIT 1").fetchone()
    for first, extras in connection.layout.unusual(connection, start, stop):
        if not isinstance(extras, CorruptHistory):
            yield from ((seq, extra) for seq, extra in _in_extras(first, extras, word) if start <= seq < stop)
    tail = start if sealed is None else max(start, sealed[0])
    if tail < stop:
        yield from ((row.seq, row.extra) for row in readable_rows(connection, tail, stop) if row.extra)


def _reads_first(connection: FileConnection, origin: int) -> bool:
    """Whether the first entry can be read."""
    for first, extras in connection.layout.unusual(connection, origin, origin + 1):
        return first <= origin and not isinstance(extras, CorruptHistory)
    return bool(readable_rows(connection, origin, origin + 1))


def _in_extras(first: int, extras: bytes, word: bytes) -> Iterator[tuple[int, Mapping[str, Value]]]:
    if word not in extras:
        return
    try:
        unusual = {at: wire.decode(extra) for at, extra in decode_extras(extras).items() if word in extra}
    except (CorruptHistory, msgspec.MsgspecError, ValueError):
        return
    for at, extra in sorted(unusual.items()):
        yield first + at, extra


def _readable(store: Store, start: int) -> list[Entry]:
    """Return a batch of entries without those that cannot be read."""
    stop = min(start + _BATCH, len(store))
    try:
        return store.entries(start, stop)
    except CorruptHistory:
        columns = Columns()
        store.fill(columns)
        return [store.entries(seq, seq + 1)[0] for seq in range(start, stop) if columns.codec[seq] != HOLE]


def _in_entries(store: Store, start: int, stop: int) -> Iterator[Fork]:
    for entry in _readable(store, start):
        if entry.seq < stop and (entry.parent_seq is None or entry.parent_seq != entry.seq - 1):
            yield Fork(entry.seq, entry.parent_seq, None if entry.part is None else frozenset(entry.part))
