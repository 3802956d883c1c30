"""Reading the text of an expression: into JMESPath's tree, with what people write beside JMESPath, or refused with a hint.

The module `unspool.query.expressions` says what may be written.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from difflib import get_close_matches
from typing import Any, Final

import jmespath
from jmespath.exceptions import EmptyExpressionError, LexerError, ParseError

from unspool.errors import PathSyntaxError
from unspool.model.keys import Key, spell_key
from unspool.model.paths import read_key
from unspool.query.errors import ExpressionError
from unspool.query.expression_functions import ARITIES, ExpressionFunctions

Node = dict[str, Any]
"""A node of JMESPath's tree: `type`, `children`, and `value` where it has one."""

_DEEPEST: Final = 100
"""Levels of an expression beyond which evaluating it might exhaust the stack."""

_LONGEST: Final = 20_000
"""Characters of an expression; nobody types more, and the parser takes a second for each megabyte."""
_MOST_COPIES: Final = 1_000_000
"""How often an expression may put its parts side by side: `[@, @]` twelve times over is 4,096 times the state."""

# A text that does not end is taken to the end of the expression, so that no quote inside it is tried as a beginning.
_TERM: Final = re.compile(
    r"""(?P<kept>'(?:[^'\\]|\\.)*+(?:'|\Z) | `(?:[^`\\]|\\.)*+(?:`|\Z))
      | (?P<sign>==|!=|<=|>=|<|>) (?P<gap>\s*+)
        (?P<bare>-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?(?![\w.\[])
          | (?:true|false|null)(?![\w.\[(])
          | "(?:[^"\\]|\\.)*+"(?!\s*[.\[(]))
      | (?P<left>(?<![\w.\])"'`-])-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)(?=\s*+(?:==|!=|<=|>=|<|>))
      | (?P<before>(?:[(,]|\[(?=\s*+-?[\d.]++\s*+,))\s*+)(?P<given>(?:-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?|true|false|null)(?=\s*+[],)]))
      | !(?!=)\s*+(?P<chain>(?:[A-Za-z_]\w*+|"(?:[^"\\]|\\.)*+")(?:\.(?:[A-Za-z_]\w*+|"(?:[^"\\]|\\.)*+")|\[-?\d+\])++)
      | (?P<quoted>"(?:[^"\\]|\\.)*+(?:"|\Z))
      | (?P<root>(?<![\w"$])\$(?=\.|\[|\s|[)|&,=!<>]|\Z))
      | (?<=[\w"\])$])\[(?P<key>\((?:[^][()"']|\((?:[^][()"'])*+\)|'(?:[^'\\]|\\.)*+'|"(?:[^"\\]|\\.)*+")*+\)
          | "(?:[^"\\]|\\.)*+" | '(?:[^'\\]|\\.)*+' | None|True|False|-?\d+\.\d+|b'(?:[^'\\]|\\.)*+'|b"(?:[^"\\]|\\.)*+"|\d{4}-\d\d-\d\d[\dT:.+-]*+)\]""",
    re.VERBOSE | re.DOTALL,
)
_HINTS: Final = {
    "=": "write ==",
    "and": "write &&",
    "or": "write ||",
    "not": "write !",
    "&": "write &&",
    "is": "write ==",
}
_HINTS_IN: Final = tuple(
    (re.compile(pattern), hint)
    for pattern, hint in (
        (r"\bnot\s+in\b", "write !contains(list, value)"),
        (r"\bfor\b.*\bin\b|\bif\b.*\belse\b|\blambda\b", "that is Python: --python takes it"),
        (r"\bin\b", "write contains(list, value)"),
        (r"\s\*\*\s|\w\s*\*\s*[\w(]", "write mul(a, b)"),
        (r"//", "write floor(div(a, b))"),
        (r"\+", "write add(a, b)"),
        (r"/", "write div(a, b)"),
        (r"%", "write mod(a, b)"),
        (r"[\w)\]]\s+-\s*[\w(]|[)\]]-", "write sub(a, b)"),
        (r"\?\.|->|::", "write a.b"),
        (r"\?[^\]]*:", "that is a choice: ask each of its cases by itself"),
        (r"\d[_,]\d", "write a number without separators"),
        (r"0[xob]\d", "write a number in decimal digits"),
        (r"(?<!\d)\.\d", "write a digit before the point: 0.5"),
        (r"\d\.(?!\d)", "write a digit behind the point: 5.0"),
    )
)
"""What stands in texts that do not parse, and what to write for it; the first that is found is told."""
_HINTS_AT: Final = {"=>": "write >=", "=<": "write <=", "===": "write ==", "<>": "write !="}
_FUNCTIONS: Final = {
    "len": "length",
    "size": "length",
    "count": "length",
    "str": "to_string",
    "int": "to_number",
    "average": "avg",
    "mean": "avg",
    "plus": "add",
    "minus": "sub",
    "subtract": "sub",
    "times": "mul",
    "multiply": "mul",
    "divide": "div",
    "modulo": "mod",
    "distinct": "unique",
    "uniq": "unique",
    "set": "unique",
    "get": "lookup",
    "group_by": "count_by",
    "groupby": "count_by",
    "Counter": "count_by",
    "sorted": "sort",
    "float": "to_number",
    "includes": "contains",
    "startswith": "starts_with",
    "endswith": "ends_with",
    "list": "to_array",
    "concat": "join",
}


_INSTEAD: Final = {
    "exists": "write path != null",
    "isnull": "write path == null",
    "is_null": "write path == null",
    "any": "write list[?condition], which holds where there is one",
    "some": "write list[?condition], which holds where there is one",
    "all": "write !(list[?!(condition)])",
    "every": "write !(list[?!(condition)])",
    "filter": "write list[?condition]",
    "first": "write list[0]",
    "last": "write list[-1]",
    "lower": "texts compare as they are written; list[?contains(name, 'x')] looks for a part",
    "upper": "texts compare as they are written; list[?contains(name, 'x')] looks for a part",
}
"""What to write for functions of other languages that have no counterpart of their own."""
_ORDERS: Final = frozenset(("lt", "gt", "lte", "gte"))


def parse(text: str) -> Node:
    """Return the tree of an expression.

    Raises:
        ExpressionError: it does not parse, or would fail at every state; the message names the column.
    """
    if len(text) > _LONGEST:
        raise ExpressionError(f"{text[:40]!r}... has {len(text):,} characters; at most {_LONGEST:,} can be asked")
    rewritten, starts, origins = _rewrite(text)
    try:
        tree: Node = jmespath.compile(rewritten).parsed
    except EmptyExpressionError:
        raise ExpressionError("the expression is empty; write something like cart.total > 100") from None
    except ParseError as error:
        place = max(bisect_right(starts, error.lex_position) - 1, 0)
        column = origins[place] + error.lex_position - starts[place] + 1
        raise ExpressionError(_explain(text, min(column, len(text) + 1), error)) from None
    except RecursionError:
        raise ExpressionError(_too_deep(text)) from None
    except ValueError as error:
        raise ExpressionError(f"{text[:80]!r} does not parse: {error}") from None
    _check(tree, text)
    return tree


def is_root(node: Node) -> bool:
    """Whether a node is the state as a whole, written `$`."""
    return bool(node["type"] == "function_expression" and node["value"] == "root")


def _rewrite(text: str) -> tuple[str, list[int], list[int]]:
    """Turn bare literals into JMESPath's; also return where pieces start in the result and in the text."""
    pieces: list[str] = []
    starts, origins = [0], [0]
    size = last = 0

    def put(piece: str, start: int, end: int) -> None:
        nonlocal size, last
        for part, origin in ((text[last:start], last), (piece, start)):
            starts.append(size)
            origins.append(origin)
            pieces.append(part)
            size += len(part)
        last = end

    for match in _TERM.finditer(text):
        if match["bare"] is not None:
            put(f"`{match['bare'].replace('`', chr(92) + '`')}`", match.start("bare"), match.end("bare"))
        elif match["left"] is not None:
            put(f"`{match['left']}`", match.start(), match.end())
        elif match["given"] is not None:
            put(f"`{match['given']}`", match.start("given"), match.end("given"))
        elif match["key"] is not None:
            spelled = _key_spelled(match["key"])
            if spelled:
                put(spelled, match.start(), match.end())
        elif match["root"] is not None:
            put("root()", match.start(), match.end())
        elif match["chain"] is not None:
            put("(", match.start("chain"), match.start("chain"))
            put(")", match.end("chain"), match.end("chain"))
    put("", len(text), len(text))
    return "".join(pieces), starts, origins


def _key_spelled(text: str) -> str:
    """Return a key in brackets, as paths have it, as the field that stands for it; "" where it is no such key."""
    if text[0] in "\"'":
        quote = text[0]
        return f".{json.dumps(text[1:-1].replace(chr(92) + quote, quote))}"
    try:
        key = read_key(text)
    except PathSyntaxError:
        return ""
    return f".{json.dumps(spell_key(key))}" if isinstance(key, Key) else ""


def _explain(text: str, column: int, error: ParseError) -> str:
    token = str(error.token_value or "")
    reason = error.message if isinstance(error, LexerError) else f"{token!r} is not expected there"
    if column > len(text):
        reason = "it ends too early"
    near = text[max(column - 2, 0) : column + 2]
    told = next((hint for pattern, hint in _HINTS_IN[:2] if pattern.search(_without_texts(text))), "")
    told = told or next((_HINTS_AT[sign] for sign in _HINTS_AT if sign in near), _HINTS.get(token, ""))
    if not told and re.search(r"\bnot\s+$", text[: column - 1]):
        told = _HINTS["not"]
    elif not told and text[: column - 1].rstrip().endswith("["):
        told = f"a key is written after a dot: .{token}"
    if not told:
        told = next((hint for pattern, hint in _HINTS_IN if pattern.search(_without_texts(text))), "")
    hint = f"; {told}" if told else ""
    if token.startswith("-") and not told:
        hint = '; names with other signs than letters, digits and _ are written in double quotes: "a-b"'
    elif token.isdigit() and not told:
        hint = "; a number stands right of a comparison"
    return f"{text[:80]!r} does not parse at column {column}: {reason}{hint}"


def _without_texts(text: str) -> str:
    """Return the beginning of an expression with nothing in its texts, so that what they say is not taken for its own."""
    return _TEXTS.sub("''", text)[:_HINTED]


_HINTED: Final = 2_000
"""Characters in which the spelling of another language is looked for."""
# As in `_TERM`, a text that does not end is taken to the end.
_TEXTS: Final = re.compile(
    r"""'(?:[^'\\]|\\.)*+(?:'|\Z)|"(?:[^"\\]|\\.)*+(?:"|\Z)|`(?:[^`\\]|\\.)*+(?:`|\Z)""", re.DOTALL
)


def _too_deep(text: str) -> str:
    return f"{text[:40]!r}... is nested more than {_DEEPEST} levels deep; ask simpler questions one by one"


def _check(tree: Node, text: str) -> None:
    """Refuse what would fail at every state: unknown functions, too deep a nesting, results too large for any memory."""
    copies = 1
    compared: list[Node] = []
    pending: list[tuple[Node, int]] = [(tree, 1)]
    while pending:
        node, depth = pending.pop()
        if depth > _DEEPEST:
            raise ExpressionError(_too_deep(text))
        if node["type"] == "function_expression":
            _check_call(node, text)
        if node["type"] == "comparator":
            compared.append(node)
        if node["type"] in ("multi_select_list", "multi_select_dict"):
            copies *= max(1, len(node["children"]))
        if copies > _MOST_COPIES:
            raise ExpressionError(f"{text[:40]!r}... puts its parts side by side too often; ask for fewer at a time")
        pending.extend((child, depth + 1) for child in node["children"] if isinstance(child, dict))
    for node in compared:
        _check_comparison(node, text)


def _check_call(node: Node, text: str) -> None:
    name, given = node["value"], len(node["children"])
    found = re.search(rf"\b{re.escape(name)}\s*\(", text)
    column = found.start() + 1 if found else 1
    known = ExpressionFunctions.FUNCTION_TABLE.get(name)
    if known is None and name != "root":
        names = sorted(ExpressionFunctions.FUNCTION_TABLE)
        near = _FUNCTIONS.get(name) or next(iter(get_close_matches(name, names, n=1, cutoff=0.7)), "")
        hint = _INSTEAD.get(name) or (f"did you mean {near}?" if near else f"there are {', '.join(names)}")
        raise ExpressionError(f"{text[:80]!r}: no function is called {name!r} (column {column}); {hint}")
    least, most = _arity(name)
    if given < least or (most is not None and given > most):
        many = f"{least}" if least == most else f"{least} or more" if most is None else f"{least} or {most}"
        hint = f"; write {name}(value)" if not given else ""
        hint = next((f"; {told}" for pattern, told in _HINTS_IN[:2] if pattern.search(_without_texts(text))), hint)
        if not hint and most == 1 and given > 1 and name in ("max", "min", "sum", "avg"):
            hint = f"; write {name}([a, b])"
        raise ExpressionError(f"{text[:80]!r}: {name} (column {column}) takes {many} arguments, not {given}{hint}")


def _arity(name: str) -> tuple[int, int | None]:
    """Return how many arguments a function takes: at least, and at most."""
    if name in ARITIES:
        return ARITIES[name]
    takes = ExpressionFunctions.FUNCTION_TABLE[name]["signature"]
    variadic = bool(takes) and bool(takes[-1].get("variadic"))
    return len(takes), None if variadic else len(takes)


def _check_comparison(node: Node, text: str) -> None:
    """Refuse `1 < a < 3`, which compares true or false with 3."""
    left = node["children"][0]
    if left["type"] != "comparator" or "(" in text:
        return
    if node["value"] in _ORDERS or left["value"] in _ORDERS:
        raise ExpressionError(f"{text[:80]!r} compares an answer with a value; write 1 < a && a < 3")
    raise ExpressionError(f"{text[:80]!r} compares an answer with a value; write a == b && b == c")


__all__ = ["Node", "is_root", "parse"]
