"""Finding names by a few letters: exact ones first, then beginnings, words inside, initials, parts, letters in order.

Thousands of names are held against what is typed with each key, so they lie in one text that is searched as a whole:
100,000 names take 3 ms where the letters stand together, and 45 ms where they are only in order.
"""

from __future__ import annotations

import re
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from enum import IntEnum
from itertools import accumulate, islice
from typing import Final, NamedTuple

_LONGEST: Final = 300
"""Characters of a name that are looked at."""
_LONGEST_QUERY: Final = 200
_ENOUGH: Final = 10
_MOST_LOOKED_AT: Final = 20_000
_MOST_INITIALS: Final = 8
_MOST_RANKED: Final = 2_000
"""Names of one closeness that are put in order; those after them are left out."""
_BREAKS: Final = "._-[/ \"':$"
"""Characters after which a word begins inside a name."""


class Closeness(IntEnum):
    """How well a name fits, best first."""

    EXACT = 0
    BEGINNING = 1
    WORD = 2
    INITIALS = 3
    PART = 4
    WORDS = 5
    LETTERS = 6


class Match(NamedTuple):
    """A name that fits.

    Attributes:
        closeness: how well.
        length: characters of the name; of two that fit alike the shorter is meant sooner.
        row: its place among the names.
    """

    closeness: Closeness
    length: int
    row: int


class NameIndex:
    """Names to be found; the same letters always give the same names in the same order."""

    __slots__ = ("_starts", "_text")

    def __init__(self, names: Iterable[str]) -> None:
        """Lay the names out for searching; letter case does not count."""
        lines = [name[:_LONGEST].lower().replace("\n", " ") for name in names]
        # A break before the first and after the last: every name is found by what stands around it.
        self._text = "\n" + "\n".join(lines) + "\n"
        self._starts = array("q", accumulate((len(line) + 1 for line in lines), initial=1))

    def __len__(self) -> int:
        return len(self._starts) - 1

    def find(self, query: str, most: int) -> list[Match]:
        """Return the names that fit what is typed, the best first, at most `most`."""
        words = query[:_LONGEST_QUERY].lower().split()
        if not words or not len(self):
            return []
        found: dict[int, Match] = {}
        for closeness, rows in self._stages(words):
            fresh = (row for row in rows if row not in found)
            ranked = sorted((self._length(row), row) for row, _ in zip(fresh, range(_MOST_RANKED), strict=False))
            for length, row in ranked:
                found[row] = Match(closeness, length, row)
            if len(found) >= (_ENOUGH if closeness >= Closeness.PART else most):
                # Letters that are only in order are looked for where hardly anything is closer.
                break
        return sorted(found.values())[:most]

    def _stages(self, words: Sequence[str]) -> Iterator[tuple[Closeness, Iterable[int]]]:
        query = " ".join(words)
        yield Closeness.EXACT, self._rows_with(f"\n{query}\n")
        yield Closeness.BEGINNING, self._rows_with(f"\n{query}")
        yield Closeness.WORD, self._rows_with_word(query)
        if 1 < len(query) <= _MOST_INITIALS and len(words) == 1:
            yield Closeness.INITIALS, self._rows_with_initials(query)
        yield Closeness.PART, self._rows_with(query)
        if len(words) > 1:
            rarest = min(words, key=self._text.count)
            some = islice(self._rows_with(rarest), _MOST_LOOKED_AT)
            yield Closeness.WORDS, (row for row in some if all(word in self._line(row) for word in words))
        yield Closeness.LETTERS, self._rows_in_order("".join(words))

    def _rows_with(self, part: str) -> Iterator[int]:
        """Yield the names that hold a part, each once; a break in it is the edge of a name."""
        text, starts = self._text, self._starts
        at = text.find(part)
        while at >= 0:
            row = bisect_right(starts, at + (part[0] == "\n")) - 1
            yield row
            # The break that ends this name begins the next one.
            at = text.find(part, starts[row + 1] - 1)

    def _rows_with_word(self, part: str) -> Iterator[int]:
        """Yield the names in which a word begins with a part, inside of the name."""
        literal = re.escape(part)
        for match in re.finditer(rf"{literal}(?<=[{re.escape(_BREAKS)}]{literal})", self._text):
            yield bisect_right(self._starts, match.start()) - 1

    def _rows_with_initials(self, letters: str) -> Iterator[int]:
        """Yield the names in which words next to each other begin with the letters: `at` finds `carts.ada.total`."""
        breaks = re.escape(_BREAKS)
        between = rf"[^\n{breaks}]*+[{breaks}]++"
        first, *others = map(re.escape, letters)
        # A letter first, and then what is before it: letters are searched for many times faster than places.
        pattern = between.join((rf"{first}(?<=[\n{breaks}]{first})", *others))
        for match in re.finditer(pattern, self._text):
            yield bisect_right(self._starts, match.start()) - 1

    def _rows_in_order(self, letters: str) -> Iterator[int]:
        """Yield the names that hold all letters, in order and with anything between them."""
        # Each letter is the first of its kind after the one before, so no other place is ever tried.
        steps = "".join(rf"[^\n{re.escape(letter)}]*+{re.escape(letter)}" for letter in letters)
        for match in re.finditer(rf"^{steps}", self._text, re.MULTILINE):
            yield bisect_right(self._starts, match.start()) - 1

    def _line(self, row: int) -> str:
        return self._text[self._starts[row] : self._starts[row + 1] - 1]

    def _length(self, row: int) -> int:
        return self._starts[row + 1] - self._starts[row] - 1
