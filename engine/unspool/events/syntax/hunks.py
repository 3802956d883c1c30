"""Where two texts differ: whole lines, or the middle of one long line."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

from unspool.events.syntax.align import common_blocks, gaps

_LINE: Final = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")
_LONG: Final = 200
"""A changed stretch longer than this is cut down to what differs in it."""


@dataclass(frozen=True, slots=True)
class Hunk:
    """A stretch of the old text and what takes its place, as offsets into both; `line` is the old line's number."""

    start: int
    end: int
    new_start: int
    new_end: int
    line: int


def split_lines(text: str) -> list[str]:
    """Cut text into lines, ends included; only line feeds and carriage returns end one, as in Python's grammar."""
    return _LINE.findall(text)


def text_hunks(old: str, new: str) -> list[Hunk]:
    """Find what differs between two texts, in order."""
    old_lines, new_lines = split_lines(old), split_lines(new)
    old_offsets = [0, *accumulate(map(len, old_lines))]
    new_offsets = [0, *accumulate(map(len, new_lines))]
    found: list[Hunk] = []
    for old_start, old_end, new_start, new_end in gaps(
        common_blocks(old_lines, new_lines), len(old_lines), len(new_lines)
    ):
        hunk = Hunk(
            old_offsets[old_start], old_offsets[old_end], new_offsets[new_start], new_offsets[new_end], old_start
        )
        found.append(_trimmed(hunk, old, new))
    return found


def _trimmed(hunk: Hunk, old: str, new: str) -> Hunk:
    if min(hunk.end - hunk.start, hunk.new_end - hunk.new_start) <= _LONG:
        return hunk
    before, after = old[hunk.start : hunk.end], new[hunk.new_start : hunk.new_end]
    head = _common_head(before, after)
    tail = _common_head(before[head:][::-1], after[head:][::-1])
    return Hunk(hunk.start + head, hunk.end - tail, hunk.new_start + head, hunk.new_end - tail, hunk.line)


def _common_head(one: str, other: str) -> int:
    """Return the length of the common start, by comparing ever smaller slices."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
