"""Leaving secrets out of a recording before they are encoded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Final

from unspool.model.values import State, Value

REDACTED: Final = "[redacted]"
"""What stands in the place of a value that was left out."""


class Redaction:
    """Patterns of what to leave out.

    A pattern without a dot names a key at any depth (`password`); one with dots is a path from the state's root
    (`user.*.token`). `*` and `?` match within one step.
    """

    def __init__(self, patterns: Iterable[str]) -> None:
        """Compile patterns."""
        split = [tuple(pattern.split(".")) for pattern in patterns]
        self._keys = tuple(parts[0] for parts in split if len(parts) == 1)
        self._paths = tuple(parts for parts in split if len(parts) > 1)

    def apply(self, state: Mapping[str, Value]) -> State:
        """Return a copy of the state without what the patterns name; other containers on the way are copied."""
        root: State = {}
        pending: list[tuple[tuple[str, ...], Value, Value]] = [((), state, root)]
        seen: dict[int, Value] = {}
        while pending:
            path, source, target = pending.pop()
            items = source.items() if isinstance(source, Mapping) else enumerate(source)
            for key, value in items:
                here = (*path, str(key))
                if self._matches(here):
                    kept: Value = REDACTED
                elif type(value) in (dict, list):
                    known = seen.get(id(value))
                    kept = ({} if type(value) is dict else []) if known is None else known
                    if known is None:
                        seen[id(value)] = kept
                        pending.append((here, value, kept))
                else:
                    kept = value
                if isinstance(target, dict):
                    target[key] = kept
                else:
                    target.append(kept)
        return root

    def _matches(self, path: tuple[str, ...]) -> bool:
        if any(fnmatchcase(path[-1], key) for key in self._keys):
            return True
        return any(len(path) == len(pattern) and all(map(fnmatchcase, path, pattern)) for pattern in self._paths)
