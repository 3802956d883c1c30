"""Paths into a value: object keys of any type, fields of objects, and indices of lists."""

from __future__ import annotations

import re
from typing import Final

from unspool.errors import PathSyntaxError
from unspool.model.keys import Key, Step, read_key, spell_key

Path = tuple[Step, ...]
"""Steps from a state (or an atom) down to a value."""

_PLAIN_KEY: Final = re.compile(r"[^\W\d][\w-]*\Z")
_TOKEN: Final = re.compile(
    r"""\.?(?P<key>[^\W\d][\w-]*) | \[(?P<index>-?\d+)\] | \["(?P<quoted>(?:[^"\\]|\\.)*)"\] | \.(?P<digits>\d+)""",
    re.VERBOSE,
)


def format_path(path: Path, *, root: str = "$") -> str:
    """Spell a path for people.

    Args:
        path: the steps.
        root: what stands for the value the path starts at; `""` drops the leading dot too.

    Returns:
        Text such as `$.cart.items[2].qty`; keys that are not plain words are quoted: `$["a b"]`; keys that are no text
        stand in brackets as Python spells them: `$.grid[(1, 2)]`.
    """
    parts: list[str] = [root]
    for step in path:
        if not isinstance(step, str):
            parts.append(f"[{spell_key(step)}]")
        elif _PLAIN_KEY.match(step):
            parts.append(f".{step}" if parts != [""] else step)
        else:
            escaped = step.replace("\\", "\\\\").replace('"', '\\"')
            parts.append(f'["{escaped}"]')
    return "".join(parts)


def parse_path(text: str) -> Path:
    """Read a path as `format_path` spells it, with or without the leading `$`, or an RFC 6901 pointer.

    In brackets a number is the index of a list or the integer key of an object, whichever is there; a key that is a
    text and looks like a number is quoted: `["2"]`.

    Raises:
        PathSyntaxError: the text is no path; the message names the column.
    """
    if text.startswith("/"):
        return parse_pointer(text)
    body = text[1:] if text.startswith("$") else text
    offset = len(text) - len(body)
    steps: list[Step] = []
    position = 0
    while position < len(body):
        match = _TOKEN.match(body, position)
        if match is None:
            key, position = key_at(text, position + offset)
            steps.append(key)
            position -= offset
            continue
        if match["key"] is not None:
            steps.append(match["key"])
        elif match["quoted"] is not None:
            steps.append(re.sub(r"\\(.)", r"\1", match["quoted"]))
        else:
            steps.append(_number(match["index"] if match["index"] is not None else match["digits"]))
        position = match.end()
    return tuple(steps)


def key_at(text: str, start: int) -> tuple[Step, int]:
    """Read a key in brackets, and return where they end.

    Raises:
        PathSyntaxError: there is none; the message names the column.
    """
    end = _bracket_end(text, start)
    reason = ""
    if end is not None:
        try:
            return read_key(text[start + 1 : end - 1]), end
        except PathSyntaxError as error:
            reason = f": {error}"
    raise PathSyntaxError(f"{text!r} is no path: stuck at column {start + 1}{reason}; {_remedy(text, start)}")


_REMEDIES: Final = (
    (r"->", "write one dot between names"),
    (
        r"\s*(?:[<>=!]=?|&&|\|\||and\b|or\b)",
        "a path names a value; a comparison goes with `bisect` or `search --expr`",
    ),
    (r"\(", "a path names a value; a function goes with `bisect` or `search --expr`"),
    (r"\[(?:\*|\]|-?\d*:)", "a path names one value: write the index of an item, items[0]"),
    (r"/", "write dots between names, or a JSON Pointer that begins with a slash"),
    (r"\.?\s", 'leave out the blank, or quote the name: $["odd key"]'),
    (r"::|\.\.|\?", "write one dot between names"),
    (r"@", "write a path from the state on: cart.total, or $.cart.total"),
)
"""What is written where a path ends, and what to write instead."""


def _remedy(text: str, start: int) -> str:
    rest = text[start - 1 :] if text[start - 1 : start + 1] == "->" else text[start:]
    found = (remedy for pattern, remedy in _REMEDIES if re.match(pattern, rest))
    return next(found, 'write $.cart.items[2].qty, $["odd key"] or $.grid[(1, 2)]')


_PIECES: Final = re.compile(r"""[bB]?(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|[\[({]|[])}]|[^][(){}"']+""", re.DOTALL)


def _bracket_end(text: str, start: int) -> int | None:
    """Return where a key in brackets ends, behind its bracket; None where none begins or it does not end."""
    if not text.startswith("[", start):
        return None
    depth = 0
    for match in _PIECES.finditer(text, start):
        if match.start() != start:
            return None
        start = match.end()
        depth += (match[0] in _OPENING) - (match[0] in _CLOSING)
        if depth == 0:
            return start if match[0] == "]" else None
    return None


_OPENING: Final = ("[", "(", "{")
_CLOSING: Final = ("]", ")", "}")


def _number(digits: str) -> int:
    try:
        return int(digits)
    except ValueError:
        raise PathSyntaxError(f"a path with a number of {len(digits):,} digits; write such a key as [0x…]") from None


def to_pointer(path: Path) -> str:
    """Spell a path as an RFC 6901 JSON Pointer; a key that is no text stands there by its spelling."""
    return "".join(f"/{spell_key(step).replace('~', '~0').replace('/', '~1')}" for step in path)


def parse_pointer(pointer: str) -> Path:
    """Read an RFC 6901 JSON Pointer; steps that look like list indices come back as integers.

    Raises:
        PathSyntaxError: the text does not start with a slash.
    """
    if pointer == "":
        return ()
    if not pointer.startswith("/"):
        raise PathSyntaxError(f"{pointer!r} is no JSON Pointer: it must start with a slash")
    raw = (part.replace("~1", "/").replace("~0", "~") for part in pointer[1:].split("/"))
    return tuple(_number(part) if re.fullmatch(r"0|[1-9]\d*", part) else part for part in raw)


__all__ = ["Key", "Path", "Step", "format_path", "key_at", "parse_path", "parse_pointer", "to_pointer"]
