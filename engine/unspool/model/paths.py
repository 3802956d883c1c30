"""Paths into a value: a tuple of object keys (str) and list indices (int)."""

from __future__ import annotations

import re
from typing import Final

from unspool.errors import PathSyntaxError

Step = str | int
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
        Text such as `$.cart.items[2].qty`; keys that are not plain words are quoted: `$["a b"]`.
    """
    parts: list[str] = [root]
    for step in path:
        if isinstance(step, int):
            parts.append(f"[{step}]")
        elif _PLAIN_KEY.match(step):
            parts.append(f".{step}" if parts != [""] else step)
        else:
            escaped = step.replace("\\", "\\\\").replace('"', '\\"')
            parts.append(f'["{escaped}"]')
    return "".join(parts)


def parse_path(text: str) -> Path:
    """Read a path as `format_path` spells it, with or without the leading `$`, or an RFC 6901 pointer.

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
            raise PathSyntaxError(
                f"{text!r} is no path: stuck at column {offset + position + 1}; "
                'write $.cart.items[2].qty or $["odd key"]'
            )
        if match["key"] is not None:
            steps.append(match["key"])
        elif match["quoted"] is not None:
            steps.append(re.sub(r"\\(.)", r"\1", match["quoted"]))
        else:
            steps.append(int(match["index"] if match["index"] is not None else match["digits"]))
        position = match.end()
    return tuple(steps)


def to_pointer(path: Path) -> str:
    """Spell a path as an RFC 6901 JSON Pointer."""
    return "".join(f"/{str(step).replace('~', '~0').replace('/', '~1')}" for step in path)


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
    return tuple(int(part) if re.fullmatch(r"0|[1-9]\d*", part) else part for part in raw)
