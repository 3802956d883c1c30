"""The whole history in a few columns: the largest value per bin, kept up as entries arrive."""

from __future__ import annotations

from collections.abc import Sequence

BLOCK = 512
"""Entries whose maximum is remembered together; a million entries make 2,000 blocks."""


class Overview:
    """Maxima over ranges of a growing column, without going over all entries again."""

    __slots__ = ("_bins", "_blocks", "_column", "_key")

    def __init__(self, column: Sequence[int]) -> None:
        """Summarise a growing column of sizes."""
        self._column = column
        self._blocks: list[int] = []
        self._key: tuple[int, int] = (-1, -1)
        self._bins: tuple[int, ...] = ()

    def bins(self, width: int) -> tuple[int, ...]:
        """Return the largest value of each of `width` equal parts of the history (fewer when it is shorter)."""
        total = len(self._column)
        if self._key != (total, width):
            self._extend(total)
            count = min(width, total)
            self._bins = tuple(
                self._largest(part * total // count, (part + 1) * total // count) for part in range(count)
            )
            self._key = (total, width)
        return self._bins

    def _extend(self, total: int) -> None:
        column, blocks = self._column, self._blocks
        if len(blocks) > total // BLOCK:
            blocks.clear()
        for start in range(len(blocks) * BLOCK, total - BLOCK + 1, BLOCK):
            blocks.append(max(column[start : start + BLOCK]))

    def _largest(self, start: int, stop: int) -> int:
        first_block, last_block = -(-start // BLOCK), stop // BLOCK
        if first_block >= last_block:
            return max(self._column[start:stop])
        middle = max(self._blocks[first_block:last_block])
        head = self._column[start : first_block * BLOCK]
        tail = self._column[last_block * BLOCK : stop]
        return max(middle, max(head, default=0), max(tail, default=0))


def bin_of(seq: int, total: int, width: int) -> int:
    """Return the bin that an entry falls into; the inverse of the ranges in `Overview.bins`."""
    count = min(width, total)
    if count <= 0:
        return 0
    # The bin p covers [p*total//count, (p+1)*total//count).
    place = seq * count // total
    return place if (place + 1) * total // count > seq else place + 1


def entry_at(column: int, total: int, width: int) -> int:
    """Return the entry that a click on a column of the overview means.

    The first column is the first entry and the last column the newest; between them the middle of the bin.
    """
    count = min(width, total)
    if count <= 1:
        return max(0, total - 1) if column > 0 else 0
    place = max(0, min(column, count - 1))
    if place == count - 1:
        return total - 1
    return 0 if place == 0 else (place * total // count + (place + 1) * total // count) // 2


def window_start(start: int, head: int, width: int, total: int) -> int:
    """Return the first entry of the chain strip.

    The window moves by half its width when the head leaves it, so that most steps repaint two cells, not all.
    """
    if total <= width:
        return 0
    if head < start or head >= start + width:
        start = head - width // 2
    return max(0, min(start, total - width))
