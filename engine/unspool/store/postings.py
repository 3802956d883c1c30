"""When an atom changed: from the postings of blocks and tail, without reading a record."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import chain, repeat
from typing import Concatenate, Final, ParamSpec, Protocol, TypeVar

from unspool.store.blocks import KIND_BITS, may_name
from unspool.store.layout import FileConnection, Piece
from unspool.store.tail import missing_entry, read_rows

_BATCHES: Final = (8, 32, 256)
"""Blocks whose bitmaps are read at a time; few at first, since whoever wants the nearest write finds it there."""

P = ParamSpec("P")
R = TypeVar("R")


class BlockSource(Protocol):
    """What is needed of a file's reader."""

    def call(self, query: Callable[Concatenate[FileConnection, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run a query in one consistent view."""

    def writes_in(self, piece: Piece, number: int) -> list[int]:
        """Return the entries of a piece that changed an atom."""


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
        hits = source.writes_in(span, number) if isinstance(span, Piece) else span
        for seq in reversed(hits) if backwards else hits:
            if start <= seq < stop:
                yield seq


def _spans(source: BlockSource, number: int, start: int, stop: int, backwards: bool) -> Iterator[Piece | list[int]]:
    """Yield the blocks and spans that may name an atom, and the writes that the tail holds, as entries.

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


def _blocks(source: BlockSource, number: int, after: int, before: int, backwards: bool) -> Iterator[Piece]:
    """Yield the blocks and spans from `after` to `before - 1` that may name an atom.

    Raises:
        CorruptHistory: between them entries are missing, and nobody can say whether these changed the atom.
    """
    for size in chain(_BATCHES, repeat(_BATCHES[-1])):
        if after >= before:
            return
        found = source.call(_pieces, after, before, backwards, size)
        for piece in found:
            if backwards:
                if piece.stop < before:
                    raise missing_entry(before - 1)
                before = piece.first
            else:
                if piece.first > after:
                    raise missing_entry(after)
                after = piece.stop
            if may_name(piece.atoms, number):
                yield piece
        if len(found) < size:
            break
    if after < before:
        raise missing_entry(before - 1 if backwards else after)


def _tail_writes(connection: FileConnection, number: int, start: int, stop: int) -> tuple[int, list[int]]:
    """Return where the blocks end, and the entries behind them that changed an atom."""
    sealed = _sealed_stop(connection)
    rows = read_rows(connection, max(sealed, start), stop)
    for seq, row in enumerate(rows, max(sealed, start)):
        if row.seq != seq:
            raise missing_entry(seq)
    if len(rows) < stop - max(sealed, start):
        raise missing_entry(max(sealed, start) + len(rows))
    return sealed, [row.seq for row in rows if _names(row.changed, number)]


def _pieces(connection: FileConnection, after: int, before: int, backwards: bool, most: int) -> list[Piece]:
    return connection.layout.pieces(connection, after, before, backwards=backwards, most=most)


def _sealed_stop(connection: FileConnection) -> int:
    row = connection.execute("SELECT first + count FROM block ORDER BY first DESC LIMIT 1").fetchone()
    return int(row[0]) if row else 0


def _names(postings: Iterable[int], number: int) -> bool:
    return any(item >> KIND_BITS == number for item in postings)
