"""When an atom changed: from the postings of blocks and tail, without reading a record."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, repeat
from typing import Concatenate, Final, ParamSpec, Protocol, TypeVar

from unspool.store.blocks import KIND_BITS, may_name
from unspool.store.tail import read_rows

_BATCHES: Final = (8, 32, 256)
"""Blocks whose bitmaps are read at a time; few at first, since whoever wants the nearest write finds it there."""

P = ParamSpec("P")
R = TypeVar("R")


class BlockSource(Protocol):
    """What is needed of a file's reader."""

    def call(self, query: Callable[Concatenate[sqlite3.Connection, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run a query in one consistent view."""

    def writes_in(self, first: int, count: int, number: int) -> list[int]:
        """Return the entries of a block that changed an atom."""


def writes_of(source: BlockSource, number: int, start: int, stop: int, *, backwards: bool) -> Iterator[int]:
    """Yield the entries from `start` to `stop - 1` that changed an atom, in order or backwards.

    Args:
        source: the file.
        number: the atom's number.
        start: first entry.
        stop: one past the last entry.
        backwards: newest first.
    """
    for first, count in _spans(source, number, start, stop, backwards):
        if count:
            hits = source.writes_in(first, count, number)
        else:
            rows = source.call(read_rows, max(first, start), stop)
            hits = [row.seq for row in rows if _names(row.changed, number)]
        for seq in reversed(hits) if backwards else hits:
            if start <= seq < stop:
                yield seq


def _spans(source: BlockSource, number: int, start: int, stop: int, backwards: bool) -> Iterator[tuple[int, int]]:
    """Yield the blocks that may name an atom, as (first, count), and the tail as (first, 0)."""
    tail = (source.call(_sealed_stop), 0)
    if backwards and tail[0] < stop:
        yield tail
    after, before = start, stop
    for size in chain(_BATCHES, repeat(_BATCHES[-1])):
        found = source.call(_bitmaps, after, before, backwards, size)
        yield from ((first, count) for first, count, bitmap in found if may_name(bitmap, number))
        if len(found) < size:
            break
        last, count, _ = found[-1]
        after, before = (after, last) if backwards else (last + count, before)
    if not backwards and tail[0] < stop:
        yield tail


def _sealed_stop(connection: sqlite3.Connection) -> int:
    row = connection.execute("SELECT first + count FROM block ORDER BY first DESC LIMIT 1").fetchone()
    return int(row[0]) if row else 0


def _bitmaps(
    connection: sqlite3.Connection, after: int, before: int, backwards: bool, most: int
) -> list[tuple[int, int, bytes]]:
    order = "DESC" if backwards else "ASC"
    # The first condition finds the place in the index; without it every block from the beginning on is looked at.
    query = (
        "SELECT first, count, atoms FROM block "  # noqa: S608 - no user text
        "WHERE first >= ifnull((SELECT max(first) FROM block WHERE first <= ?1), ?1) AND first + count > ?1 "
        f"AND first < ?2 ORDER BY first {order} LIMIT ?3"
    )
    return connection.execute(query, (after, before, most)).fetchall()


def _names(postings: Iterable[int], number: int) -> bool:
    return any(item >> KIND_BITS == number for item in postings)
