"""Leaving secrets out of a recording, where values have become bytes: whatever container held them, they look alike there.

Nothing of a state reaches the store, or a message, by another way. Keys are compared, never the objects of the app, so
no code of the app runs in here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from fnmatch import translate
from typing import Final

import msgspec

from unspool.errors import ConfigError
from unspool.model.values import Tagged, Value
from unspool.model.wire import decode, encode
from unspool.model.wire_objects import REFERENCE

REDACTED: Final = "[redacted]"
"""What stands in the place of what was left out."""

ERROR_TEXTS: Final = b"args"
"""Field of an exception whose texts may quote what was left out elsewhere."""
_SHORTEST_SECRET: Final = 4
"""Letters of a value left out from which it is looked for in texts; shorter ones are parts of ordinary words."""
_MOST_LEARNED: Final = 1000
_MOST_KEYS: Final = 4096
_LITERAL: Final = re.compile(r"[^*?\[\]]+")


class Cursor(msgspec.Struct, frozen=True):
    """How far path patterns match on the way to a value.

    Attributes:
        depth: steps taken.
        active: path patterns that match all of them and have more.
    """

    depth: int
    active: tuple[int, ...] = ()


class Redaction:
    """Patterns of what to leave out.

    A pattern without a dot names a key, field or attribute at any depth (`password`), also as the first of two items
    (`("password", "…")`); one with dots is a path from the state's root, or from `meta` (`user.*.token`). `*`, `?` and
    `[…]` match within one step. Values that were left out are taken out of the action, the entry's id and the meta of
    the same call too, and so is what follows a named key in such a text (`password=…`).
    """

    def __init__(self, patterns: Iterable[str] = (), *, ignore_case: bool = False, text: Iterable[str] = ()) -> None:
        """Compile patterns.

        Args:
            patterns: keys and paths.
            ignore_case: compare keys without regard to letter case.
            text: regular expressions; what they match is taken out of every text: values, keys, actions, ids, meta.

        Raises:
            ConfigError: a pattern is no text, or no regular expression.
        """
        if isinstance(patterns, str):
            raise ConfigError(f"redact is {patterns!r}; give a list of patterns, as in redact=[{patterns!r}]")
        known = tuple(patterns)
        for pattern in known:
            if not isinstance(pattern, str) or not pattern:
                raise ConfigError(f"redact holds {type(pattern).__name__} {pattern!r}; give texts such as 'password'")
        self._fold = ignore_case
        split = [tuple(pattern.split(".")) for pattern in known]
        keys = [parts[0] for parts in split if len(parts) == 1]
        paths = [parts for parts in split if len(parts) > 1]
        self._keys = tuple(map(self._step_pattern, keys))
        self._paths = tuple(tuple(map(self._step_pattern, parts)) for parts in paths)
        self._key_needles = tuple(self._needle((key,)) for key in keys)
        self._path_needles = tuple(self._needle(parts[1:]) for parts in paths)
        self._known: dict[str, bool] = {}
        flags = re.IGNORECASE if ignore_case else 0
        self._assigned = tuple(
            re.compile(rf"(\b{_word(key)}\b[\"']?\s*[=:]\s*)(\"[^\"]*\"|'[^']*'|[^\s,;&\"']+)", flags) for key in keys
        )
        try:
            self._texts = tuple(re.compile(expression) for expression in text)
        except (re.error, TypeError) as error:
            raise ConfigError(f"redact: {error}; text holds regular expressions") from None

    def _step_pattern(self, pattern: str) -> re.Pattern[str]:
        return re.compile(translate(pattern.lower() if self._fold else pattern))

    def _needle(self, steps: tuple[str, ...]) -> bytes:
        """Return bytes without which nothing can match: a run of letters of a step that no position can match."""
        runs = [run for step in steps for run in self._runs(step)]
        return max(runs, key=len, default="").encode("utf-8", "surrogatepass")

    def _runs(self, step: str) -> Iterator[str]:
        if "[" in step:
            return
        for run in _LITERAL.findall(step):
            if not all(letter.isdigit() for letter in step if letter not in "*?"):
                # Lower case of bytes is that of ASCII; `i` and `k` are lower cases of other letters too.
                yield from re.findall(r"[!-hjl-~]+", run.lower()) if self._fold else [run]

    def may_touch(self, atom: str | None, data: bytes) -> bool:
        """Say whether anything in a wire form may have to be left out.

        Args:
            atom: whose it is; None for that of a whole state.
            data: the wire form; its keys are text.
        """
        if self._texts or (atom is not None and self._is_key(atom)):
            return True
        held = data.lower() if self._fold else data
        if any(needle in held for needle in self._key_needles):
            return True
        for path, needle in zip(self._paths, self._path_needles, strict=True):
            if needle in held and (atom is None or self._matches(path[0], atom)):
                return True
        return False

    def apply(self, root: str, data: bytes, secrets: set[str], *, is_named: bool = True) -> bytes:
        """Return a wire form without what the patterns name.

        Args:
            root: the atom's name, or `meta`: the first step of paths.
            data: the wire form.
            secrets: gets the texts that were left out; those in it already are taken out of every text.
            is_named: the root is a name of the app's own, that patterns may name.
        """
        value = decode(data)
        if is_named and self._is_key(root):
            _learn(value, secrets)
            return encode(REDACTED)
        active = tuple(number for number, path in enumerate(self._paths) if self._matches(path[0], root))
        clean = self._rebuilt(value, Cursor(1, active), secrets, scrub=not is_named)
        return encode(clean)

    def clean_text(self, text: str, secrets: Iterable[str]) -> str:
        """Return a text without secrets, what follows the name of one, and what the expressions for texts match."""
        for secret in sorted(secrets, key=len, reverse=True):
            text = text.replace(secret, REDACTED)
        for assigned in self._assigned:
            text = assigned.sub(rf"\g<1>{REDACTED}", text)
        return self._without_matches(text)

    def _without_matches(self, text: str) -> str:
        for expression in self._texts:
            text = expression.sub(REDACTED, text)
        return text

    def _rebuilt(self, value: Value, cursor: Cursor, secrets: set[str], *, scrub: bool) -> Value:
        """Rebuild a value from its leaves up, without recursion but for keys that are no text."""
        root: list[Value] = [None]
        made: list[tuple[type, Value, list[Value], list[Value], int]] = []
        todo: list[tuple[Value, Cursor, list[Value], int]] = [(value, cursor, root, 0)]
        quoting: list[tuple[list[Value], int]] = []
        while todo:
            item, here, into, at = todo.pop()
            kind = type(item)
            if kind is dict:
                parts: list[Value] = [None] * len(item)
                keys = [self._clean_key(key, here, secrets) for key in item]
                made.append((kind, keys, parts, into, at))
                for place, (key, part) in enumerate(item.items()):
                    self._go_on(part, self._step(here, _key_texts(key), is_key=True), parts, place, todo, secrets)
            elif kind in _SEQUENCES:
                parts = [None] * len(item)
                made.append((kind, None, parts, into, at))
                is_pair = len(parts) == 2 and kind in _PAIRS and type(item[0]) is str and self._is_key(item[0])
                for place, part in enumerate(item):
                    inner = None if is_pair and place == 1 else self._step(here, (str(place),), is_key=False)
                    self._go_on(part, inner, parts, place, todo, secrets)
            elif kind is Tagged:
                if item.type_name == REFERENCE and here.active:
                    # What it stands for is written elsewhere, under a path that other patterns are for.
                    into[at] = REDACTED
                    continue
                parts = [None]
                made.append((kind, item, parts, into, at))
                if _quotes(item.value):
                    quoting.append((into, at))
                todo.append((item.value, here, parts, 0))
            elif kind is str:
                into[at] = self.clean_text(item, secrets) if scrub else self._without_matches(item)
            else:
                into[at] = item
        # Parts are made after what holds them.
        for kind, facts, parts, into, at in reversed(made):
            into[at] = _made(kind, facts, parts)
            if quoting and quoting[-1] == (into, at):
                quoting.pop()
                into[at] = self._without_quotes(into[at], secrets)
        return root[0]

    def _without_quotes(self, error: Tagged, secrets: set[str]) -> Tagged:
        texts = tuple(self.clean_text(text, secrets) if type(text) is str else text for text in error.value["args"])
        return replace(error, value={**error.value, "args": texts})

    def _go_on(
        self,
        part: Value,
        inner: Cursor | None,
        parts: list[Value],
        place: int,
        todo: list[tuple[Value, Cursor, list[Value], int]],
        secrets: set[str],
    ) -> None:
        if inner is None:
            parts[place] = REDACTED
            _learn(part, secrets)
        else:
            todo.append((part, inner, parts, place))

    def _clean_key(self, key: Value, here: Cursor, secrets: set[str]) -> Value:
        if type(key) is str:
            return self._without_matches(key)
        return self._rebuilt(key, here, secrets, scrub=False) if type(key) in _HOLDING else key

    def _step(self, cursor: Cursor, texts: tuple[str, ...], *, is_key: bool) -> Cursor | None:
        """Return the cursor one step further; None where what stands there is left out."""
        if is_key and any(map(self._is_key, texts)):
            return None
        if not cursor.active:
            return cursor
        active = []
        for number in cursor.active:
            path = self._paths[number]
            if any(self._matches(path[cursor.depth], text) for text in texts):
                if len(path) == cursor.depth + 1:
                    return None
                active.append(number)
        return Cursor(cursor.depth + 1, tuple(active))

    def _is_key(self, text: str) -> bool:
        known = self._known.get(text)
        if known is None:
            if len(self._known) >= _MOST_KEYS:
                self._known.clear()
            known = self._known[text] = any(self._matches(key, text) for key in self._keys)
        return known

    def _matches(self, pattern: re.Pattern[str], text: str) -> bool:
        return pattern.match(text.lower() if self._fold else text) is not None


_PAIRS: Final = (list, tuple)
_SEQUENCES: Final = (list, tuple, set, frozenset)
_HOLDING: Final = (tuple, frozenset, Tagged)


def _made(kind: type, facts: Value, parts: list[Value]) -> Value:
    if kind is dict:
        return dict(zip(facts, parts, strict=True))
    if kind is Tagged:
        return replace(facts, value=parts[0])
    return parts if kind is list else kind(parts)


def _quotes(content: Value) -> bool:
    """Say whether an object is kept as an exception is: its arguments are texts for people."""
    return type(content) is dict and type(content.get("args")) is tuple


def _word(pattern: str) -> str:
    """Return the expression of a key's pattern inside a text."""
    return "".join(r"\w*" if letter == "*" else r"\w" if letter == "?" else re.escape(letter) for letter in pattern)


def _key_texts(key: Value) -> tuple[str, ...]:
    """Return how a key may be named: a member of an enumeration by name and value, a tuple by any of its items."""
    if type(key) is str:
        return (key,)
    if type(key) is bytes:
        return (key.decode("utf-8", "replace"),)
    if type(key) is Tagged:
        texts = _key_texts(tuple(key.value) if isinstance(key.value, list) else key.value)
        # Members of enumerations are named in capitals, whatever they stand for.
        return (*texts, *(text.lower() for text in texts))
    if isinstance(key, tuple | frozenset):
        return tuple(text for item in key for text in _key_texts(item))
    if isinstance(key, Mapping):
        return tuple(text for item in key.values() for text in _key_texts(item))
    return (str(key),)


def _learn(value: Value, secrets: set[str]) -> None:
    """Add the texts of a value that is left out."""
    todo, seen = [value], 0
    while todo and seen < _MOST_LEARNED:
        item = todo.pop()
        seen += 1
        if isinstance(item, Mapping):
            todo.extend(item.values())
        elif isinstance(item, list | tuple | set | frozenset):
            todo.extend(item)
        elif type(item) is Tagged:
            todo.append(item.value)
        elif item is not None and not isinstance(item, bool):
            text = item.decode("utf-8", "replace") if isinstance(item, bytes | bytearray) else str(item)
            if len(text) >= _SHORTEST_SECRET and text != REDACTED:
                secrets.add(text)
