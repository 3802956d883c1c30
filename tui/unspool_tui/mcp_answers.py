"""Answers that a language model can read: JSON of a bounded size, cut where it must be and saying so."""

from __future__ import annotations

from time import monotonic
from typing import Final

from unspool.model.json_text import to_json
from unspool.model.values import Value

MOST_CHARACTERS: Final = 60_000
"""Characters of one answer: whoever asks reads all of it."""
PATIENCE_SECONDS: Final = 20.0
"""How long a question over all entries may take; what was found by then is the answer."""
_NOTE: Final = 200
"""Characters that saying what was cut may take."""
_TEXT: Final = 2_000
"""Characters of a long text that are told."""


class Patience:
    """Says that a question has taken long enough."""

    def __init__(self) -> None:
        """Start to wait."""
        self._until = monotonic() + PATIENCE_SECONDS
        self.ended = False

    def __call__(self) -> bool:
        """Say whether to end now."""
        self.ended = self.ended or monotonic() > self._until
        return self.ended


def answer(shape: dict[str, Value], part: str = "", instead: str = "") -> str:
    """Return an answer as JSON of at most `MOST_CHARACTERS`.

    Args:
        shape: the answer.
        part: which of its items is cut when the whole is too long: items of a list from the end, the largest values
            of an object, the end of a text.
        instead: how to ask for less; told with what was cut.
    """
    text = to_json(shape)
    if len(text) <= MOST_CHARACTERS:
        return text
    room = MOST_CHARACTERS - _NOTE - len(to_json({**shape, part: None}))
    content = shape.get(part)
    if isinstance(content, list):
        kept: Value = _first(content, room)
        told = f"the first {len(kept):,} of {len(content):,} {part}"
    elif isinstance(content, dict):
        kept, left = _smallest(content, room)
        told = f"{len(content) - left:,} of {len(content):,} values of {part}; null stands for the others"
    elif isinstance(content, str):
        kept = content[: min(_TEXT, max(room, 0) // 6)]
        told = f"the first {len(kept):,} of {len(content):,} characters"
    else:
        kept, told = None, "nothing"
    short = to_json({**shape, part: kept, "cut": f"only {told} told; ask for {instead}"})
    if len(short) <= MOST_CHARACTERS:
        return short
    return whole(shape, instead)


def whole(value: Value, instead: str) -> str:
    """Return an answer that makes no sense in part: all of it as JSON, or that it is too long."""
    text = to_json(value)
    if len(text) <= MOST_CHARACTERS:
        return text
    return to_json({"cut": f"the answer has {len(text):,} characters; nothing of it is told; ask for {instead}"})


def _first(items: list[Value], room: int) -> list[Value]:
    kept: list[Value] = []
    for item in items:
        room -= len(to_json(item)) + 1
        if room < 0:
            break
        kept.append(item)
    return kept


def _smallest(content: dict[str, Value], room: int) -> tuple[dict[str, Value], int]:
    """Keep as many values as there is room for, the smallest first; say how many are left out."""
    sizes = {key: len(to_json(value)) for key, value in content.items()}
    room -= sum(len(to_json(key)) + len(":null,") for key in content)
    kept: set[str] = set()
    for key in sorted(sizes, key=sizes.__getitem__):
        room -= sizes[key]
        if room < 0:
            break
        kept.add(key)
    return {key: value if key in kept else None for key, value in content.items()}, len(content) - len(kept)
