"""JSON text to values as JavaScript reads it: numbers are doubles, any depth, nothing beyond the standard."""

from __future__ import annotations

import json
import math
import re
from typing import Final, NoReturn

from unspool.model.limits import in_force, json_holds_more_than
from unspool.model.values import Value

_SAFE_DIGITS: Final = 15
"""Integers of so many digits are exact doubles."""
_BLANK: Final = " \t\n\r"
_TOKEN: Final = re.compile(
    r"""[ \t\n\r]*(?:
        (?P<mark>[\[\]{},:])
      | (?P<text>"(?:[^"\\\x00-\x1f]|\\.)*+")
      | (?P<word>true|false|null)
      | (?P<number>-?(?:0|[1-9][0-9]*)(?P<rest>(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?))
    )""",
    re.VERBOSE,
)
_WORDS: Final[dict[str, Value]] = {"true": True, "false": False, "null": None}


def parse_json(text: str) -> Value:
    """Read JSON text.

    Integers beyond 2^53 come back as the integer that their double is; what overflows as infinity.

    Raises:
        ValueError: the text is no JSON; the message says where.
    """
    limits = in_force()
    if found := json_holds_more_than(text.encode("utf-8", "surrogatepass"), limits.nodes):
        raise ValueError(f"too much: it holds about {found:,} values and keys; {limits.told('nodes')}")
    try:
        return json.loads(text, parse_int=_integer, parse_constant=_refuse_constant)
    except RecursionError:
        return _parse_deep(text)


def parse_json_container(text: str) -> Value | None:
    """Read text that is a JSON object or list.

    Returns:
        The dict or list; None where the text is anything else.
    """
    if text.lstrip(_BLANK)[:1] not in {"{", "["}:
        return None
    try:
        return parse_json(text)
    except ValueError:
        return None


def _integer(digits: str) -> float:
    if len(digits) <= _SAFE_DIGITS:
        return int(digits)
    double = float(digits)
    return int(double) if math.isfinite(double) else double


def _refuse_constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is not JSON; write null or text")


class _Reader:
    """Reads one document with a stack of its own, for depths at which the C scanner gives up."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.position = 0

    def token(self) -> re.Match[str]:
        """Read the next token."""
        match = _TOKEN.match(self.text, self.position)
        if match is None:
            raise ValueError(f"not JSON at character {self.position}")
        self.position = match.end()
        return match

    def refuse(self, match: re.Match[str]) -> NoReturn:
        """Say that a token stands where it may not."""
        raise ValueError(f"not JSON at character {match.end() - 1}: unexpected {match[0].strip(_BLANK)!r}")


def _scalar(reader: _Reader, match: re.Match[str]) -> Value:
    if match["text"] is not None:
        return json.loads(match["text"])
    if match["word"] is not None:
        return _WORDS[match["word"]]
    if match["number"] is None:
        reader.refuse(match)
    return float(match["number"]) if match["rest"] else _integer(match["number"])


def _parse_deep(text: str) -> Value:
    reader = _Reader(text)
    root: list[Value] = []
    stack: list[dict[str, Value] | list[Value]] = [root]
    key = ""
    limit = in_force().depth
    while True:
        match = reader.token()
        if match["mark"] in {"{", "["}:
            child: dict[str, Value] | list[Value] = {} if match["mark"] == "{" else []
            _put(stack[-1], key, child)
            if len(stack) > limit:
                raise ValueError(f"too deep: {in_force().told('depth')}")
            stack.append(child)
            opening = True
        else:
            _put(stack[-1], key, _scalar(reader, match))
            opening = False
        key = _continue(reader, stack, opening=opening)
        if len(stack) == 1:
            break
    if text[reader.position :].strip(_BLANK):
        raise ValueError(f"not JSON at character {reader.position}: more text after the document")
    return root[0]


def _put(container: dict[str, Value] | list[Value], key: str, value: Value) -> None:
    if isinstance(container, dict):
        container[key] = value
    else:
        container.append(value)


def _continue(reader: _Reader, stack: list[dict[str, Value] | list[Value]], *, opening: bool) -> str:
    """Read up to where the next value starts, closing what ends; return the key it will stand under."""
    while len(stack) > 1:
        container = stack[-1]
        closing = "}" if isinstance(container, dict) else "]"
        before = reader.position
        match = reader.token()
        if match["mark"] == closing:
            stack.pop()
            opening = False
            continue
        if opening:
            reader.position = before
        elif match["mark"] != ",":
            reader.refuse(match)
        return _key(reader) if isinstance(container, dict) else ""
    return ""


def _key(reader: _Reader) -> str:
    match = reader.token()
    if match["text"] is None:
        reader.refuse(match)
    colon = reader.token()
    if colon["mark"] != ":":
        reader.refuse(colon)
    key: str = json.loads(match["text"])
    return key
