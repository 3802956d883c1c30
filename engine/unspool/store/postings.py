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
    for span in _spans(source, number, start, stop, backwards):
        hits = span if isinstance(span, list) else source.writes_in(*span, number)
        for seq in reversed(hits) if backwards else hits:
            if start <= seq < stop:
                yield seq


def _spans(
    source: BlockSource, number: int, start: int, stop: int, backwards: bool
) -> Iterator[tuple[int, int] | list[int]]:
    """Yield the blocks that may name an atom, as (first, count), and the writes that the tail holds, as entries.

    A writer may seal the tail between two looks at the file: blocks count up to where they ended in one view, and
    the tail is read from there on in that same view.
    """
    if backwards:
        sealed, hits = source.call(_tail_writes, number, start, stop)
        yield hits
        yield from _blocks(source, number, start, min(sealed, stop), backwards)
        return
    after, sealed = start, source.call(_sealed_stop)
    while True:
        yield from _blocks(source, number, after, min(sealed, stop), backwards)
        after = max(after, sealed)
        sealed, hits = source.call(_tail_writes, number, after, stop)
        if sealed <= after or after >= stop:
            yield hits
            return


def _blocks(source: BlockSource, number: int, after: int, before: int, backwards: bool) -> Iterator[tuple[int, int]]:
    for size in chain(_BATCHES, repeat(_BATCHES[-1])):
        found = source.call(_bitmaps, after, before, backwards, size)
        yield from ((first, count) for first, count, bitmap in found if may_name(bitmap, number))
        if len(found) < size:
            return
        last, count, _ = found[-1]
        after, before = (after, last) if backwards else (last + count, before)


def _tail_writes(connection: sqlite3.Connection, number: int, start: int, stop: int) -> tuple[int, list[int]]:
    """Return where the blocks end, and the entries behind them that changed an atom."""
    sealed = _sealed_stop(connection)
    rows = read_rows(connection, max(sealed, start), stop)
    return sealed, [row.seq for row in rows if _names(row.changed, number)]


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
