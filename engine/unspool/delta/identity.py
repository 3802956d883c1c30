"""Identity keys set by hand: how people write them, in the one form in which lists are looked up."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from unspool.errors import PathSyntaxError
from unspool.model.paths import Path, Step, format_path, parse_path

ANY: Final = "[*]"
"""Stands for every item of a list."""
_PIECES: Final = re.compile(r'"(?:[^"\\]|\\.)*"|\[\*?\]')
"""Quoted keys, which may hold anything, and the marks for every item."""

Steps = tuple[Step | None, ...]
"""A pattern of paths; None stands for every item of a list."""


def identity_pattern(text: str) -> str:
    """Return the pattern of a list's path in the form in which it is looked up: `orders[*].lines`.

    Args:
        text: as people write it: `Incidents[*]`, `$.Incidents`, `orders[*].lines[*]` or `/orders/*/lines`.

    Raises:
        PathSyntaxError: it is no path, or names no list.
    """
    steps = pattern_steps(text)
    while steps and steps[-1] is None:
        steps = steps[:-1]
    if not steps:
        raise PathSyntaxError(f"{text!r} names no list; write Incidents[*] or orders[*].lines")
    return spell_pattern(steps)


def pattern_steps(text: str) -> Steps:
    """Return the steps of a pattern.

    Raises:
        PathSyntaxError: it is no path.
    """
    if text.startswith("/"):
        return tuple(None if step == "*" else step for step in parse_path(text))
    steps: list[Step | None] = []
    start = 0
    for match in _PIECES.finditer(text):
        if match[0].startswith('"'):
            continue
        steps += [*_parsed(text, start, match.start()), None]
        start = match.end()
    return (*steps, *_parsed(text, start, len(text)))


def _parsed(text: str, start: int, stop: int) -> tuple[Step, ...]:
    try:
        return parse_path(text[start:stop]) if start < stop else ()
    except PathSyntaxError:
        raise PathSyntaxError(
            f'{text!r} is no path of a list; write Incidents[*], orders[*].lines or $["odd key"]'
        ) from None


def spell_pattern(steps: Steps) -> str:
    """Spell a pattern in the form in which lists are looked up."""
    parts = [ANY if step is None else format_path((step,), root="") for step in steps]
    return ".".join(parts).replace(".[", "[")


def pattern_of(path: Path) -> str:
    """Return the pattern of the lists that stand where one does: `orders[*].lines` for `orders[3].lines`."""
    return spell_pattern(tuple(None if isinstance(step, int) else step for step in path))


def canonical_identity(given: Mapping[str, str] | None) -> dict[str, str]:
    """Return identity keys by pattern in the form in which they are looked up; an empty key leaves it to detection.

    Raises:
        PathSyntaxError: a pattern is no path, or names no list.
    """
    return {identity_pattern(pattern): key for pattern, key in (given or {}).items()}
