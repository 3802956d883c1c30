"""Which parts of two sequences are the same, in order: fast on what is alike, bounded on what is not."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from difflib import SequenceMatcher
from typing import Final

Block = tuple[int, int, int]
"""Start in the old sequence, start in the new one, and length of a common run."""

_MAX_PRODUCT: Final = 100_000
"""Stretches without a unique common item are compared item by item only up to this many pairs."""


def common_blocks(old: Sequence[str], new: Sequence[str]) -> list[Block]:
    """Find common runs, in order and without crossing.

    What is alike at both ends is taken first, then items that occur once on either side hold the rest together
    (the patience rule); only small stretches between them are searched exhaustively.
    """
    blocks: list[Block] = []
    pending = [(0, len(old), 0, len(new))]
    while pending:
        old_start, old_end, new_start, new_end = pending.pop()
        head = _alike(old, new, range(old_start, old_end), range(new_start, new_end))
        if head:
            blocks.append((old_start, new_start, head))
        old_start, new_start = old_start + head, new_start + head
        tail = _alike(old, new, range(old_end - 1, old_start - 1, -1), range(new_end - 1, new_start - 1, -1))
        if tail:
            blocks.append((old_end - tail, new_end - tail, tail))
        old_end, new_end = old_end - tail, new_end - tail
        if old_start == old_end or new_start == new_end:
            continue
        anchors = _anchors(old, new, old_start, old_end, new_start, new_end)
        if anchors:
            pending.extend(_between(anchors, old_start, old_end, new_start, new_end))
        elif (old_end - old_start) * (new_end - new_start) <= _MAX_PRODUCT:
            matcher = SequenceMatcher(None, old[old_start:old_end], new[new_start:new_end], autojunk=False)
            blocks.extend(
                (old_start + block.a, new_start + block.b, block.size)
                for block in matcher.get_matching_blocks()
                if block.size
            )
    blocks.sort()
    return blocks


def _alike(old: Sequence[str], new: Sequence[str], lefts: range, rights: range) -> int:
    """Count how far two stretches are alike, walking them in the given direction."""
    count = 0
    for left, right in zip(lefts, rights, strict=False):
        if old[left] != new[right]:
            break
        count += 1
    return count


def gaps(blocks: Sequence[Block], old_length: int, new_length: int) -> list[tuple[int, int, int, int]]:
    """Return the stretches between common runs: old start and end, new start and end."""
    found: list[tuple[int, int, int, int]] = []
    old_start = new_start = 0
    for old_block, new_block, size in (*blocks, (old_length, new_length, 0)):
        if old_start < old_block or new_start < new_block:
            found.append((old_start, old_block, new_start, new_block))
        old_start, new_start = old_block + size, new_block + size
    return found


def _anchors(
    old: Sequence[str], new: Sequence[str], old_start: int, old_end: int, new_start: int, new_end: int
) -> list[tuple[int, int]]:
    """Find the longest run, in order on both sides, of items that occur once on each."""
    old_counts = Counter(old[old_start:old_end])
    new_counts = Counter(new[new_start:new_end])
    old_places = {old[index]: index for index in range(old_start, old_end) if old_counts[old[index]] == 1}
    pairs = [
        (old_places[new[index]], index)
        for index in range(new_start, new_end)
        if new_counts[new[index]] == 1 and new[index] in old_places
    ]
    return _longest_rising(pairs)


def _longest_rising(pairs: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Keep the longest subsequence whose first numbers rise; the second ones do already."""
    tails: list[int] = []
    tail_indices: list[int] = []
    before: list[int] = []
    for index, (old_place, _) in enumerate(pairs):
        rank = bisect_left(tails, old_place)
        before.append(tail_indices[rank - 1] if rank else -1)
        if rank == len(tails):
            tails.append(old_place)
            tail_indices.append(index)
        else:
            tails[rank] = old_place
            tail_indices[rank] = index
    chosen: list[tuple[int, int]] = []
    index = tail_indices[-1] if tail_indices else -1
    while index >= 0:
        chosen.append(pairs[index])
        index = before[index]
    chosen.reverse()
    return chosen


def _between(
    anchors: Sequence[tuple[int, int]], old_start: int, old_end: int, new_start: int, new_end: int
) -> list[tuple[int, int, int, int]]:
    """Cut a stretch at its anchors: each piece starts with one, so that the common head takes it."""
    cuts = [(old_start, new_start), *anchors, (old_end, new_end)]
    return [
        (cuts[index][0], cuts[index + 1][0], cuts[index][1], cuts[index + 1][1])
        for index in range(len(cuts) - 1)
        if cuts[index] != cuts[index + 1]
    ]
