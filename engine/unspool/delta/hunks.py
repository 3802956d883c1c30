"""How two texts differ, line by line and inside a line: what a person is shown of a long text.

The lines are matched as `diff -u` does it, by longest runs that stand in both (Ratcliff and Obershelp, by `difflib`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Final

from unspool.delta.structural import splice_of

SHORT_TEXT: Final = 60
"""Characters up to which a text is shown whole."""
_MOST_PAIRS: Final = 4_000_000
"""Pairs of lines up to which the lines between two equal ends are matched; beyond, they are one hunk."""
_AROUND: Final = 16
"""Characters that are shown on each side of the changed part of a line."""


@dataclass(frozen=True, slots=True)
class Hunk:
    """Lines of a text that were replaced, removed or added together.

    Attributes:
        old_line: number of the first removed line in the old text, from 1; where lines were only added, that of the
            line they stand before.
        new_line: the same in the new text.
        removed: the lines that are gone, without their ends.
        added: the lines in their place.
    """

    old_line: int
    new_line: int
    removed: tuple[str, ...]
    added: tuple[str, ...]


def is_long_text(old: object, new: object) -> bool:
    """Whether two values are texts of which a person cannot be shown the whole."""
    return isinstance(old, str) and isinstance(new, str) and max(len(old), len(new)) > SHORT_TEXT


def is_told_by_lines(old: object, new: object) -> bool:
    """Whether a change is told by the lines that differ: of two texts that are long, or of which one has three lines."""
    if not isinstance(old, str) or not isinstance(new, str):
        return False
    breaks = max(old.count("\n"), new.count("\n"))
    return breaks > 1 or (breaks > 0 and is_long_text(old, new))


def text_hunks(old: str, new: str) -> list[Hunk]:
    """Return the lines in which two texts differ, in order; empty where they are equal."""
    before, after = old.split("\n"), new.split("\n")
    lead = _shared(before, after)
    trail = _shared(before[lead:][::-1], after[lead:][::-1])
    inner, fresh = before[lead : len(before) - trail], after[lead : len(after) - trail]
    return [
        Hunk(lead + start + 1, lead + begin + 1, tuple(inner[start:stop]), tuple(fresh[begin:end]))
        for start, stop, begin, end in _differing(inner, fresh)
    ]


def _shared(before: list[str], after: list[str]) -> int:
    pairs = zip(before, after, strict=False)
    return next((place for place, (one, other) in enumerate(pairs) if one != other), min(len(before), len(after)))


def _differing(before: list[str], after: list[str]) -> Iterator[tuple[int, int, int, int]]:
    if len(before) * len(after) > _MOST_PAIRS:
        yield 0, len(before), 0, len(after)
        return
    for kind, start, stop, begin, end in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if kind != "equal":
            yield start, stop, begin, end


def changed_part(old: str, new: str) -> tuple[str, str]:
    """Return the parts in which two texts differ with a little of what surrounds them; `…` stands for what is left out."""
    at, cut, put = splice_of(old, new)
    return _around(old, at, len(cut)), _around(new, at, len(put))


def _around(text: str, at: int, length: int) -> str:
    start, end = max(0, at - _AROUND), min(len(text), at + length + _AROUND)
    start, end = start if start > 1 else 0, end if end < len(text) - 1 else len(text)
    return f"{'…' if start else ''}{text[start:end]}{'…' if end < len(text) else ''}"
