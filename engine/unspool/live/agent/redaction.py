"""Leaving secrets out before anything leaves the program, by the patterns that a recorder knows too."""

from __future__ import annotations

import fnmatch
import re
from typing import Any

Cursor = tuple[tuple[int, int], ...]
"""How far each path pattern matches on the way to a value: pairs of a pattern's number and steps matched."""

REDACTED = "[redacted]"
_SHORTEST = 4
"""Letters of a value left out from which it is looked for in texts."""
_MOST_SECRETS = 1000
_MANGLED = re.compile(r"_+[^\W_]\w*?__(\w+)\Z")


class Redaction:
    """Patterns of what to leave out: keys at any depth (`password`), paths (`user.*.token`), and texts."""

    def __init__(self, patterns: list[str | list[str]], texts: list[str], *, ignore_case: bool) -> None:
        """Compile patterns.

        Args:
            patterns: of keys and of paths: each the list of its steps, or a text with dots between them.
            texts: regular expressions of what is taken out of every text.
            ignore_case: compare keys without regard to letter case.
        """
        flags = re.IGNORECASE if ignore_case else 0
        split = [pattern.split(".") if isinstance(pattern, str) else pattern for pattern in patterns if pattern]
        self._keys = [re.compile(fnmatch.translate(parts[0]), flags) for parts in split if len(parts) == 1]
        self._paths = [
            [re.compile(fnmatch.translate(part), flags) for part in parts] for parts in split if len(parts) > 1
        ]
        self._texts = [re.compile(text) for text in texts]
        names = "|".join(re.escape(parts[0]).replace(r"\*", r"\w*").replace(r"\?", r"\w") for parts in split)
        value = r"""('?\[redacted\]'?|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|[^\s,;&)\]}]+)"""
        self._assigned = re.compile(rf"((?:{names})\w*['\"]?\]?\s*(?:=|:|,)\s*){value}", flags) if names else None
        self._known: dict[str, bool] = {}
        self._secrets: set[str] = set()
        self.is_active = bool(split or texts)

    def start(self) -> Cursor:
        """Return the cursor at the state itself."""
        return tuple((number, 0) for number in range(len(self._paths)))

    def step(self, cursor: Cursor, key: Any, *, is_key: bool) -> Cursor | None:
        """Return the cursor one step further, or None where what stands there is left out.

        Args:
            cursor: where the container stands.
            key: key, name or position in it.
            is_key: it is a key or a name, that patterns of keys may match.
        """
        texts = _spellings(key)
        if is_key and any(map(self._is_key, texts)):
            return None
        if not cursor:
            return cursor
        found = []
        for number, depth in cursor:
            path = self._paths[number]
            if any(path[depth].match(text) for text in texts):
                if len(path) == depth + 1:
                    return None
                found.append((number, depth + 1))
        return tuple(found)

    def _is_key(self, text: str) -> bool:
        known = self._known.get(text)
        if known is None:
            if len(self._known) > 4096:
                self._known.clear()
            known = self._known[text] = any(pattern.match(text) for pattern in self._keys)
        return known

    def learn(self, value: Any) -> None:
        """Remember the texts of a value that is left out, to take them out of actions and messages too."""
        todo = [value]
        seen = 0
        while todo and seen < 100 and len(self._secrets) < _MOST_SECRETS:
            item = todo.pop()
            seen += 1
            kind = type(item)
            if kind is str:
                if len(item) >= _SHORTEST:
                    self._secrets.add(item)
            elif kind in (int, float):
                if len(text := repr(item)) >= _SHORTEST:
                    self._secrets.add(text)
            elif kind in (list, tuple):
                todo.extend(item[:100])
            elif kind is dict:
                todo.extend(item.copy().values())

    def clean(self, text: str) -> str:
        """Return a text of a value without what the expressions for texts match."""
        for pattern in self._texts:
            text = pattern.sub(REDACTED, text)
        return text

    def clean_all(self, text: str) -> str:
        """Return an action, a line of source or a message without secrets that are known or assigned in it."""
        if not self.is_active:
            return text
        for secret in sorted(self._secrets, key=len, reverse=True):
            text = text.replace(secret, REDACTED)
        if self._assigned is not None:
            text = self._assigned.sub(lambda match: match[1] + REDACTED, text)
        return self.clean(text)


def _spellings(key: Any) -> tuple[str, ...]:
    """Return how a key may be named in a pattern: private names also without what Python puts before them."""
    kind = type(key)
    if kind is tuple:
        return tuple(text for item in key for text in _spellings(item))
    if kind is bytes:
        return (key.decode("utf-8", "replace"),)
    if kind is not str:
        return (repr(key),) if kind in (int, float, bool, type(None)) else ()
    if not key.startswith("_") or key.endswith("__"):
        return (key,)
    match = _MANGLED.match(key)
    return (key, key.lstrip("_"), match[1], f"__{match[1]}") if match else (key, key.lstrip("_"))
