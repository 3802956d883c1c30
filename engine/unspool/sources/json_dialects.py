"""JSON as people write it by hand: comments and commas at the end (JSONC), and what JSON5 allows besides."""

from __future__ import annotations

import json
import re
from typing import Final

_PIECE: Final = re.compile(
    r"""(?P<text>"(?:[^"\\\n]++|\\.)*+")
      | (?P<single>'(?:[^'\\\n]++|\\(?:.|\n))*+')
      | (?P<comment>//[^\n]*+|/\*.*?(?:\*/|\Z))
      | (?P<comma>,)(?=(?:\s++|//[^\n]*+|/\*.*?(?:\*/|\Z))*+[\]}])
      | (?P<key>(?<![\w$])[A-Za-z_$][\w$]*+)(?=\s*+:)
      | (?P<number>(?<![\w$.])[-+]?(?:0[xX][0-9a-fA-F]{1,16}|\.\d++(?:[eE][-+]?\d++)?|\d++\.(?:[eE][-+]?\d++)?(?!\d)|(?<=\+)\d++(?:\.\d++)?|\+(?=Infinity|NaN|\d)))
      """,
    re.VERBOSE | re.DOTALL,
)
_ESCAPE: Final = re.compile(r"\\(u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}|\n|.)", re.DOTALL)
_ESCAPED: Final = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "v": "\v", "0": "\0", "\n": ""}


def plain_json(data: bytes) -> bytes | None:
    """Return text in a dialect of JSON as plain JSON; None where it holds nothing of a dialect, or is no UTF-8.

    Each piece that is replaced keeps its line, so that messages about what is still wrong name the right one. Nothing is
    closed that was left open: half a document stays half.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return None
    plain = _PIECE.sub(_replaced, text)
    return None if plain == text else plain.encode()


def _replaced(match: re.Match[str]) -> str:
    kind, piece = match.lastgroup, match[0]
    if kind == "text":
        return piece
    if kind == "single":
        return json.dumps(_ESCAPE.sub(_unescaped, piece[1:-1]))
    if kind == "key":
        return json.dumps(piece)
    if kind == "number":
        return _number(piece)
    return "\n" * piece.count("\n") or " "


def _unescaped(match: re.Match[str]) -> str:
    code = match[1]
    if len(code) > 1:
        return chr(int(code[1:], 16))
    return _ESCAPED.get(code, code)


def _number(piece: str) -> str:
    sign = "-" if piece.startswith("-") else ""
    digits = piece.lstrip("+-")
    if digits[:2] in ("0x", "0X"):
        return f"{sign}{int(digits, 16)}"
    if digits.startswith("."):
        return f"{sign}0{digits}"
    return sign + re.sub(r"\.(?=[eE]|$)", ".0", digits)
