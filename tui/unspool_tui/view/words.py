"""What changed inside a string, word by word."""

from __future__ import annotations

import re
from difflib import SequenceMatcher
from typing import Final, NamedTuple

_UNSPACED: Final = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
"""Chinese and Japanese characters: they stand without spaces, so each is a word here."""
_WORD: Final = re.compile(rf"[{_UNSPACED}]|[^\W{_UNSPACED}]+|\s+|[^\w\s]")
MOST_WORDS: Final = 400
"""Words compared; a longer text is compared by its common beginning and end only, in linear time."""
LEAST_ALIKE: Final = 0.3
"""Below this share of common words the whole text counts as new: scattered highlights would not read."""


class Part(NamedTuple):
    """A piece of a text; `changed` when the other side does not have it."""

    text: str
    changed: bool


Parts = tuple[Part, ...]


def word_diff(old: str, new: str) -> tuple[Parts, Parts]:
    """Split two texts into kept and changed pieces.

    Returns:
        The pieces of the old and of the new text; joined they are the texts again.
    """
    old_words, new_words = _WORD.findall(old[: MOST_WORDS * 20]), _WORD.findall(new[: MOST_WORDS * 20])
    if max(len(old_words), len(new_words)) > MOST_WORDS or len(old) + len(new) > MOST_WORDS * 20:
        return _edges(old, new)
    matcher = SequenceMatcher(None, old_words, new_words, autojunk=False)
    if matcher.ratio() < LEAST_ALIKE:
        return _all(old), _all(new)
    left: list[Part] = []
    right: list[Part] = []
    for tag, old_start, old_end, new_start, new_end in matcher.get_opcodes():
        _push(left, "".join(old_words[old_start:old_end]), tag != "equal")
        _push(right, "".join(new_words[new_start:new_end]), tag != "equal")
    return tuple(left), tuple(right)


def _push(parts: list[Part], text: str, changed: bool) -> None:
    if text:
        parts.append(Part(text, changed))


def _all(text: str) -> Parts:
    return (Part(text, True),) if text else ()


def _edges(old: str, new: str) -> tuple[Parts, Parts]:
    shorter = min(len(old), len(new))
    start = _common(old, new, shorter)
    end = _common(old[::-1], new[::-1], shorter - start)
    return _cut(old, start, end), _cut(new, start, end)


def _common(left: str, right: str, limit: int) -> int:
    low, high = 0, limit
    while low < high:
        middle = (low + high + 1) // 2
        if left[:middle] == right[:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _cut(text: str, start: int, end: int) -> Parts:
    parts: list[Part] = []
    _push(parts, text[:start], False)
    _push(parts, text[start : len(text) - end], True)
    _push(parts, text[len(text) - end :] if end else "", False)
    return tuple(parts)
