"""Whether Python source is safe to hand to a parser that recurses: native parsers overflow their stack, and die."""

from __future__ import annotations

import re
from typing import Final

MAX_BRACKETS: Final = 60
MAX_RUN: Final = 300
"""Tokens between two commas: an upper bound of how deep operators, calls and attributes can nest there."""
MAX_CHAINED: Final = 100
"""`lambda`s and `for`s in one logical line; `elif`s of one `if`."""

# No possessive quantifiers: Python 3.11.2 misreads them around alternatives. Three quotes are never the empty text and
# a quote, or a long text without an end would be gone through again behind each of them.
_TOKEN: Final = re.compile(
    r'''(?P<newline>\r\n|\r|\n)
      | (?P<comment>\#[^\r\n]*)
      | (?P<string>[A-Za-z]{0,3}(?:"""[^"\\]*(?:(?:\\.|"(?!""))[^"\\]*)*"""|\'\'\'[^'\\]*(?:(?:\\.|'(?!''))[^'\\]*)*\'\'\'
            |"(?!"")[^"\\\r\n]*(?:\\.[^"\\\r\n]*)*"|'(?!\'\')[^'\\\r\n]*(?:\\.[^'\\\r\n]*)*'))
      | (?P<word>\w+)
      | (?P<open>[(\[{])
      | (?P<close>[)\]}])
      | (?P<comma>[,;])
      | (?P<other>[^\s\w])''',
    re.VERBOSE | re.DOTALL,
)
_FORMATTED: Final = re.compile(r"[A-Za-z]*[fFtT]")
_QUOTES: Final = frozenset({"'", '"'})
_CHAINING: Final = frozenset({"lambda", "for"})


def is_shallow(text: str) -> bool:
    """Say whether nothing in Python source nests deeper than a recursive parser can follow. Errs to the safe side."""
    runs = [0]
    chained = 0
    line_start = 0
    first_word = ""
    elifs: dict[int, int] = {}
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup
        if kind == "newline":
            if len(runs) == 1:
                runs, chained, first_word, line_start = [0], 0, "", match.end()
            continue
        if kind == "comment":
            continue
        if kind == "open":
            runs.append(0)
        elif kind == "close" and len(runs) > 1:
            runs.pop()
        elif kind == "comma":
            runs[-1] = -1
        elif kind == "word":
            chained += match[0] in _CHAINING
            if not first_word:
                first_word = match[0]
                _count_elif(elifs, first_word, match.start() - line_start)
        runs[-1] += 1
        # A quote of its own opens a text that never ends: no Python, and looking for its end again and again takes long.
        is_odd = match[0] in _QUOTES or (kind == "string" and not _is_shallow_string(match[0]))
        if is_odd or len(runs) > MAX_BRACKETS or runs[-1] > MAX_RUN or chained > MAX_CHAINED:
            return False
    return all(count <= MAX_CHAINED for count in elifs.values())


def _count_elif(elifs: dict[int, int], word: str, indent: int) -> None:
    """Keep the longest chain of `elif` at each indentation; chains there are added up, to be safe."""
    if word == "elif":
        elifs[indent] = elifs.get(indent, 0) + 1
    elif word == "if" and elifs.get(indent, 0) <= MAX_CHAINED:
        elifs[indent] = 0


def _is_shallow_string(token: str) -> bool:
    """Look into a formatted string, whose fields are code."""
    if not _FORMATTED.match(token):
        return True
    depth = run = 0
    for character in token.replace("{{", "").replace("}}", ""):
        if character == "{" or (depth and character in "(["):
            depth += 1
        elif character in ")]}":
            depth = max(0, depth - 1)
        run = run + 1 if depth else 0
        if depth > MAX_BRACKETS or run > MAX_RUN:
            return False
    return True
