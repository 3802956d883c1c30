"""Kinds of paths: what all records of a list, or all entries of a large table, have in common."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Final

from unspool.model.encoded import text_size
from unspool.model.paths import Path, format_path
from unspool.query.parts import leaves

Kind = tuple[str | int, ...]
"""A path in which `EACH` stands for every item of a list and `MANY` for the keys of a table."""
EACH: Final = -1
MANY: Final = -2
_MANY: Final = 64
"""Keys that an object may have had; with more they are taken for data, not for names of fields."""
_EMPTY: Final = frozenset((b"\x80", b"\x90"))
"""Wire forms of an object and a list without parts."""


class Kinds:
    """Tells the kind of a path. A path keeps its kind, so that what was added for it can be taken away again."""

    def __init__(self) -> None:
        """Start without tables."""
        self._keys: defaultdict[Kind, set[str]] = defaultdict(set)
        self._tables: set[Kind] = set()

    def of(self, path: Path) -> Kind:
        """Return the kind of a path."""
        kind: Kind = (str(path[0]),)
        for step in path[1:]:
            if not isinstance(step, str):
                kind = (*kind, EACH)
                continue
            keys = self._keys[kind]
            if step not in keys:
                if len(keys) >= _MANY:
                    self._tables.add(kind)
                    kind = (*kind, MANY)
                    continue
                keys.add(step)
            kind = (*kind, step)
        return kind

    def sizes(self, value: bytes, path: Path) -> Iterator[tuple[Kind, int]]:
        """Yield the kinds of the leaves of a value, each with its bytes and those of its key; what is empty is none."""
        for leaf, part in leaves(value, path):
            if part not in _EMPTY:
                yield self.of(leaf), len(part) + (text_size(leaf[-1]) if isinstance(leaf[-1], str) else 0)

    def folded(self, kind: Kind) -> Kind:
        """Return a kind with the keys of what turned out to be tables as `MANY`."""
        return tuple(
            MANY if at and step != EACH and kind[:at] in self._tables else step for at, step in enumerate(kind)
        )


def spell(kind: Kind) -> str:
    """Spell a kind of path: `rows[*].name`, `users.*.name`."""
    known = {EACH: "[*]", MANY: ".*"}
    parts = [known[step] if isinstance(step, int) else format_path((step,), root="$")[1:] for step in kind]
    return "".join(parts).removeprefix(".")


def as_path(kind: Kind) -> Path:
    """Return a kind as a path that patterns can be held against."""
    return tuple("*" if isinstance(step, int) else step for step in kind)
