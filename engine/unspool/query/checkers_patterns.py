"""Patterns of paths, as rules write them: `cart*.items[*].sku`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Final

from unspool.delta.identity import names_identity
from unspool.model.paths import Path, Step, format_path
from unspool.model.values import Value
from unspool.query.checkers_words import brief
from unspool.query.errors import ExpressionError

Pattern = tuple[str, ...]
"""Steps; `*` and `?` match within one step, and an item of a list is matched by its number or by `*`."""

_TOKEN: Final = re.compile(r"""\.?([^\s.\[\]"]+)|\[(\*|\d+)\]|\["((?:[^"\\]|\\.)*)"\]""")


def parse_pattern(text: str) -> Pattern:
    """Read a pattern.

    Raises:
        ExpressionError: the text is no pattern; the message names the column.
    """
    body = text[1:] if text.startswith("$") else text
    steps: list[str] = []
    place = 0
    while place < len(body):
        match = _TOKEN.match(body, place)
        if match is None:
            column = len(text) - len(body) + place + 1
            raise ExpressionError(f"{text!r} is no pattern: stuck at column {column}; write cart*.items[*].sku")
        steps.append(next(group for group in match.groups() if group is not None))
        place = match.end()
    return tuple(steps)


def covers(pattern: Pattern, path: Path) -> bool:
    """Say whether a path is what a pattern names, or inside it."""
    return len(pattern) <= len(path) and all(map(_fits, path, pattern))


def _fits(step: Step, pattern: str) -> bool:
    return fnmatchcase(str(step), pattern)


def found(pattern: Pattern, state: Mapping[str, Value]) -> Iterator[tuple[Path, Value]]:
    """Yield every place in a state that a pattern names, with its value, in the order of the state."""
    pending: list[tuple[Path, Value]] = [((), state)]
    while pending:
        path, value = pending.pop()
        if len(path) == len(pattern):
            yield path, value
            continue
        wanted = pattern[len(path)]
        if isinstance(value, Mapping):
            keys = [wanted] if not _is_wild(wanted) and wanted in value else list(value)
            inside = [((*path, key), value[key]) for key in keys if isinstance(key, str) and _fits(key, wanted)]
        elif isinstance(value, list):
            inside = [((*path, index), item) for index, item in enumerate(value) if _fits(index, wanted)]
        else:
            continue
        pending.extend(reversed(inside))


def _is_wild(step: str) -> bool:
    return any(mark in step for mark in "*?[")


def spell(path: Path) -> str:
    """Spell a path for people."""
    return format_path(path, root="")


def spell_in(path: Path, atom: Value) -> str:
    """Spell a path of a state; records of lists by what tells them apart, so that it stays when they move.

    Args:
        path: the path, which starts with the atom's name.
        atom: the atom's value, in which the records are looked up.
    """
    parts = [format_path(path[:1], root="")]
    value = atom
    for step in path[1:]:
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            value = None
        key = _key_of(value) if isinstance(step, int) else ""
        parts.append(f"[{key}]" if key else format_path((step,), root="$")[1:])
    return "".join(parts)


def _key_of(record: Value) -> str:
    """Return what tells a record from the others of its list, or "" where nothing does."""
    if not isinstance(record, Mapping):
        return ""
    for field, value in record.items():
        if isinstance(field, str) and isinstance(value, str | int) and names_identity(field):
            return f"{field}={brief(value)}"
    return ""


def shape_of_path(path: Path) -> str:
    """Spell a path with every list index as `[*]`: what all records of a list have in common."""
    parts = ["[*]" if isinstance(step, int) else format_path((step,), root="") for step in path]
    return ".".join(parts).replace(".[", "[")
