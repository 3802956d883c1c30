"""Reading the text of an expression: into JMESPath's tree, with what people write beside JMESPath, or refused with a hint.

The module `unspool.query.expressions` describes what may be written.

Expressions that cannot be meant are doubted: a mistyped path reads as null, and null gives a confident wrong answer. An
atom that no entry has is refused before anything is asked. Everything else is watched while states are asked: a field
that was looked for and never there, a comparison of a number with a text, a text that differs in upper and lower case
only. What was never reached (the right side of an `&&` that was never true) is not doubted.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections.abc import Iterator
from typing import Any, Final

import jmespath
from jmespath.exceptions import EmptyExpressionError, LexerError, ParseError

from unspool.errors import CorruptHistory, ExpressionError, PathSyntaxError, nearest
from unspool.history.history import History
from unspool.model.keys import Key, format_path, spell_key
from unspool.model.paths import read_key, value_parts
from unspool.model.values import Value
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
"""What stands in texts that do not parse, and what to write for it; the first that is found is reported."""
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
        from difflib import get_close_matches  # only a name that is none needs it

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


_SPELLINGS: Final = {
    "True": "true", "TRUE": "true", "False": "false", "FALSE": "false",
    "None": "null", "NULL": "null", "nil": "null", "undefined": "null", "NaN": "null",
}  # fmt: skip
_LITERALS: Final = frozenset(("true", "false", "null"))
_MOST_NAMES: Final = 64
"""Names and texts remembered of one place, to suggest from."""
_WITH_INNER: Final = frozenset(("projection", "value_projection", "filter_projection", "flatten"))
_KINDS: Final = {
    bool: "true or false",
    int: "a number",
    float: "a number",
    str: "text",
    list: "a list",
    dict: "an object",
}


class DoubtWatch:
    """Watches an expression being asked, and reports afterwards the parts of it that can hardly be meant."""

    def __init__(self, tree: Node, text: str) -> None:
        """Watch an expression.

        Args:
            tree: its tree.
            text: as it was written, for messages.
        """
        self.text = text
        self._places: dict[int, str] = {}
        self._missing: dict[int, tuple[str, set[str]]] = {}
        self._clashing: dict[int, tuple[Value, Value] | None] = {}
        self._texts: dict[int, tuple[str, set[str]]] = {}
        self._compared: list[Node] = []
        self._failure = ""
        self._was_answered = False
        self._walk(tree, "")

    def _walk(self, node: Node, prefix: str) -> str:
        """Note the path of every field below a node, given the path it starts from; return the path it leads to."""
        kind, inner = node["type"], [child for child in node["children"] if isinstance(child, dict)]
        if is_root(node):
            return ""
        if kind == "field":
            step = format_path((node["value"],), root="")
            path = self._places[id(node)] = f"{prefix}.{step}" if prefix and step[0] != "[" else prefix + step
            return path
        if kind in ("subexpression", "index_expression", "pipe"):
            for child in inner:
                prefix = self._walk(child, prefix)
            return prefix
        if kind in _WITH_INNER:
            base = f"{self._walk(inner[0], prefix)}[*]"
            ends = [self._walk(child, base) for child in inner[1:]]
            return ends[0] if ends else base
        if kind == "comparator":
            self._compared.append(node)
        for child in inner:
            self._walk(child, prefix)
        return prefix

    @property
    def right_sides(self) -> frozenset[str]:
        """Names that stand alone right of a comparison, where a value is usual."""
        return self._names(1)

    @property
    def left_sides(self) -> frozenset[str]:
        """Names that stand alone left of a comparison."""
        return self._names(0)

    def _names(self, side: int) -> frozenset[str]:
        sides = (node["children"][side] for node in self._compared)
        return frozenset(str(child["value"]) for child in sides if child["type"] == "field")

    def field(self, node: Node, value: Value) -> None:
        """Note that a field was looked for in a value."""
        if not isinstance(value, dict):
            return
        known = self._missing.get(id(node))
        if node["value"] in value:
            self._missing[id(node)] = ("", set())
        elif known is None or known[0]:
            names = known[1] if known is not None else set()
            if len(names) < _MOST_NAMES:
                names.update(list(value)[:_MOST_NAMES])
            self._missing[id(node)] = (self._places.get(id(node), str(node["value"])), names)

    def comparison(self, node: Node, left: Value, right: Value) -> None:
        """Note that two values were compared."""
        if left is None or right is None:
            return
        kind = _KINDS.get(type(left))
        ordered = node["value"] not in ("eq", "ne")
        fits = kind == _KINDS.get(type(right)) and (not ordered or kind in _ORDERED)
        if fits:
            self._clashing[id(node)] = None
        elif id(node) not in self._clashing:
            self._clashing[id(node)] = (left, right)
        if fits and isinstance(left, str) and isinstance(right, str):
            self._note_text(node, left, right)

    def _note_text(self, node: Node, left: str, right: str) -> None:
        if node["children"][1]["type"] != "literal":
            return
        known = self._texts.setdefault(id(node), (right, set()))
        if len(known[1]) < _MOST_NAMES:
            known[1].add(left)

    def failed(self, failure: str) -> None:
        """Note that a state could not be asked."""
        self._failure = self._failure or failure

    def answered(self) -> None:
        """Note that a state could be asked."""
        self._was_answered = True

    def doubts(self) -> tuple[str, ...]:
        """Return a sentence for each part of the expression that can hardly be meant, as far as it was asked."""
        failed = (f"it could be worked out at no entry: {self._failure}",) if self._failure else ()
        return (*(() if self._was_answered else failed), *self._absent(), *self._mixed(), *self._other_case())

    def _absent(self) -> Iterator[str]:
        for path, names in self._missing.values():
            if path:
                yield f"no entry that was asked has {path}{nearest(path.rpartition('.')[2], names)}"

    def _mixed(self) -> Iterator[str]:
        for node in self._compared:
            pair = self._clashing.get(id(node))
            if pair is None:
                continue
            (left, right), sign = pair, _SIGNS[node["value"]]
            kinds = (_KINDS.get(type(left), "a value"), _KINDS.get(type(right), "a value"))
            place = self._places_below(node["children"][0])
            if kinds[0] == kinds[1]:
                yield f"{place} is {kinds[0]}, and {sign} compares numbers and texts only"
                continue
            hint = _retyped(left, right)
            told = f"; write {sign} {hint}" if hint else ""
            yield f"{place} is {kinds[0]} and is compared with {kinds[1]}{told}"

    def _places_below(self, node: Node) -> str:
        found = [self._places[id(node)]] if id(node) in self._places else []
        pending = [child for child in node["children"] if isinstance(child, dict)]
        while pending:
            child = pending.pop()
            found += [self._places[id(child)]] if id(child) in self._places else []
            pending.extend(item for item in child["children"] if isinstance(item, dict))
        return max(found, key=len, default="what stands left")

    def _other_case(self) -> Iterator[str]:
        for node in self._compared:
            wanted, seen = self._texts.get(id(node), ("", set()))
            if not wanted or wanted in seen:
                continue
            near = next((text for text in sorted(seen) if text.strip().casefold() == wanted.strip().casefold()), None)
            if near is not None:
                yield f'{self._places_below(node["children"][0])} is never "{wanted}"; it is "{near}"'


_ORDERED: Final = frozenset(("a number", "text"))
_SIGNS: Final = {"eq": "==", "ne": "!=", "lt": "<", "gt": ">", "lte": "<=", "gte": ">="}


def _retyped(left: Value, right: Value) -> str:
    """Return the right side as the left side's kind, where it reads as that; else ""."""
    if isinstance(right, str) and isinstance(left, bool):
        return right.lower() if right.lower() in ("true", "false") else ""
    if isinstance(right, str) and isinstance(left, int | float):
        try:
            float(right)
        except ValueError:
            return ""
        return right.strip()
    if isinstance(left, str) and isinstance(right, int | float):
        return f'"{str(right).lower() if isinstance(right, bool) else right}"'
    if isinstance(left, bool) and right in (0, 1):
        return "true" if right else "false"
    return ""


def refuse_unknown(watch: DoubtWatch, reads: frozenset[str] | None, history: History) -> None:
    """Refuse an expression that reads an atom which no entry has.

    Args:
        watch: the watch over the expression, for its text and its comparisons.
        reads: the atoms it reads; None when it may read any.
        history: where it is to be asked; nothing is refused while more of its source is still being read.

    Raises:
        ExpressionError: names the atom and, where there is one, the nearest name or the usual spelling.
    """
    if not reads or not len(history) or not history.progress.is_finished:
        return
    for atom in sorted(reads):
        if history.store.atom_number(atom) is None:
            raise ExpressionError(f"{watch.text[:80]!r}: {_unknown(watch, atom, history)}")


def _unknown(watch: DoubtWatch, atom: str, history: History) -> str:
    told = f"no entry has {format_path((atom,), root='')}"
    names = _names(history)
    if atom in _SPELLINGS:
        return f"{told}; write {_SPELLINGS[atom]}"
    if atom in _LITERALS and atom in watch.left_sides:
        return f"{told}; write the value {atom} right of the comparison"
    near = nearest(atom, names)
    if f'"{atom}"' in watch.text and "did you mean" not in near:
        if atom in watch.left_sides:
            return f'{told}; write the text right of the comparison: path == "{atom}"'
        return f"{told}; a text given to a function stands in single quotes: '{atom}'"
    if atom in watch.right_sides and "did you mean" not in near:
        return f'{told}; a text is written in double quotes: "{atom}"'
    if "did you mean" not in near:
        holder = next((name for name in names if _holds(history, name, atom)), None)
        if holder is not None:
            return f"{told}; did you mean {format_path((holder, atom), root='')}?"
    return f"{told}{near}"


def _holds(history: History, name: str, field: str) -> bool:
    """Whether an atom of the newest state is an object with a field of that name."""
    try:
        value = history.view(-1).get(name)
    except CorruptHistory:
        return False
    parts = value_parts(value)
    return isinstance(parts, dict) and field in parts


def _names(history: History) -> list[str]:
    """Return names of atoms: those of the newest and the first state that read."""
    names: dict[str, None] = {}
    for seq in (len(history) - 1, history.first):
        try:
            names.update(dict.fromkeys(history.view(seq)))
        except CorruptHistory:
            continue
    return list(names)
