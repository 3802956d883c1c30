"""Expressions over a state: JMESPath, with comparisons written as people write them.

`cart.total > 100`, `user.name == "bob"`, `items[?qty > 3]`, `length(cart.items) > 2 && !cart.paid`. Beyond JMESPath,
what stands right of a comparison may be a bare number, `true`, `false`, `null` or a text in double quotes (plain
JMESPath wants backticks round them), a number may stand left of one, a path may begin with `$.`, and `!a.b` means `!(a.b)`.

What holds: everything except null, false, an empty text, an empty list and an empty object; 0 holds. This is
JMESPath's rule. Where a function is given what it cannot take, as `length` of null, the answer does not hold.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from dataclasses import dataclass
from difflib import get_close_matches
from time import monotonic
from typing import Any, Final, Protocol

import jmespath
from jmespath.exceptions import EmptyExpressionError, JMESPathError, LexerError, ParseError
from jmespath.functions import Functions
from jmespath.visitor import TreeInterpreter

from unspool.errors import PathSyntaxError
from unspool.model.keys import Key, read_key, spell_key
from unspool.model.limits import in_force
from unspool.model.values import Value
from unspool.query.doubts import Watch
from unspool.query.errors import EvaluationStopped, ExpressionError
from unspool.query.expression_values import Member, may_have_members, other_key, plain, without_members
from unspool.query.reading import Wire

_DEEPEST: Final = 100
"""Levels of an expression beyond which evaluating it might exhaust the stack."""

_LONGEST: Final = 20_000
"""Characters of an expression; nobody types more, and the parser takes a second for each megabyte."""
_VISITS: Final = 64
"""Parts worked out between two looks at the clock."""
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
      | !(?!=)\s*+(?P<chain>(?:[A-Za-z_]\w*+|"(?:[^"\\]|\\.)*+")(?:\.(?:[A-Za-z_]\w*+|"(?:[^"\\]|\\.)*+")|\[-?\d+\])++)
      | (?P<quoted>"(?:[^"\\]|\\.)*+(?:"|\Z))
      | (?P<root>(?<![\w"])\$\.)
      | (?<=[\w"\])])\[(?P<key>\((?:[^][()"']|\((?:[^][()"'])*+\)|'(?:[^'\\]|\\.)*+'|"(?:[^"\\]|\\.)*+")*+\)
          | None|True|False|-?\d+\.\d+|b'(?:[^'\\]|\\.)*+'|b"(?:[^"\\]|\\.)*+"|\d{4}-\d\d-\d\d[\dT:.+-]*+)\]""",
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
_HINTS_AT: Final = {"=>": "write >=", "=<": "write <=", "===": "write ==", "<>": "write !="}
_FUNCTIONS: Final = {
    "len": "length",
    "size": "length",
    "count": "length",
    "str": "to_string",
    "int": "to_number",
    "average": "avg",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of asking one state.

    Attributes:
        value: the result; None where there was none.
        holds: whether it counts as true.
        reads: the atoms it depends on; None when it may depend on any.
        failure: why the question could not be answered; empty when it could.
    """

    value: Value
    holds: bool
    reads: frozenset[str] | None
    failure: str = ""


class Predicate(Protocol):
    """Something that can be asked of every state."""

    @property
    def reads(self) -> frozenset[str] | None:
        """The atoms that answers depend on; None when that is not known before asking."""

    def ask(self, state: Wire) -> Answer:
        """Ask one state."""


class _BoundedInterpreter(TreeInterpreter):  # type: ignore[misc]
    """Works an expression out, and ends one that takes too long: nested projections and maps multiply their items."""

    def __init__(self, text: str, watch: Watch) -> None:
        super().__init__()
        self._text = text
        self._watch = watch
        self._visits = 0
        self._until = 0.0
        self.has_members = False

    def begin(self) -> None:
        """Start the clock."""
        self._until = monotonic() + in_force().expression_seconds

    def visit(self, node: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        """Work a part out.

        Raises:
            EvaluationStopped: the time is over.
        """
        self._visits += 1
        if not self._visits % _VISITS and monotonic() > self._until:
            told = in_force().told("expression_seconds")
            raise EvaluationStopped(
                f"{self._text[:80]!r} takes too long at one entry; ask for fewer parts, or: {told}"
            )
        return super().visit(node, *args, **kwargs)

    def visit_field(self, node: dict[str, Any], value: Any) -> Any:
        """Look for a field."""
        name = node["value"]
        if isinstance(value, dict) and name in value and other_key(name) in value:
            raise ExpressionError(
                f"{self._text[:80]!r}: {name!r} is a key of one object both as a text and as another type, so it is not "
                f'known which is meant; ask for its path: blame, writes and search tell [{name}] from ["{name}"]'
            )
        self._watch.field(node, value)
        return super().visit_field(node, value)

    def visit_index(self, node: dict[str, Any], value: Any) -> Any:
        """Look for the item of a list, or for an integer key."""
        if isinstance(value, dict):
            text = str(node["value"])
            return value.get(other_key(text), value.get(text))
        return super().visit_index(node, value)

    def visit_function_expression(self, node: dict[str, Any], value: Any) -> Any:
        """Call a function; members of enumerations are their values to it."""
        given = [self.settled(self.visit(child, value)) for child in node["children"]]
        return self._functions.call_function(node["value"], given)

    def settled(self, value: Any) -> Any:
        """Return a result in which members of enumerations are their values."""
        return without_members(value) if self.has_members else value

    def visit_comparator(self, node: dict[str, Any], value: Any) -> Any:
        """Compare; only numbers and texts have an order."""
        left, right = (self.visit(child, value) for child in node["children"])
        left, right = _compared(left, right), _compared(right, left)
        self._watch.comparison(node, left, right)
        compare = self.COMPARATOR_FUNC[node["value"]]
        if node["value"] in self._EQUALITY_OPS or (_has_order(left) and _has_order(right)):
            return compare(left, right)
        return None


def _compared(value: Any, other: Any) -> Any:
    """Return what of a value is compared with another: a member of an enumeration is known by name or by value."""
    return value.beside(other) if isinstance(value, Member) else value


def _has_order(value: Any) -> bool:
    return isinstance(value, int | float | str) and not isinstance(value, bool)


class Expression:
    """A compiled expression."""

    def __init__(self, text: str) -> None:
        """Compile an expression.

        Args:
            text: as the module describes.

        Raises:
            ExpressionError: it does not parse; the message names the column.
        """
        if len(text) > _LONGEST:
            raise ExpressionError(f"{text[:40]!r}... has {len(text):,} characters; at most {_LONGEST:,} can be asked")
        self.text = text
        rewritten, starts, origins = _rewrite(text)
        try:
            self._tree: Any = jmespath.compile(rewritten).parsed
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
        _check(self._tree, text)
        self.reads = _atoms_read(self._tree)
        self.watch = Watch(self._tree, text)
        """What was noticed while states were asked."""
        self._interpreter = _BoundedInterpreter(text, self.watch)
        self._decoded: dict[str, tuple[bytes, Value]] = {}

    def __repr__(self) -> str:
        return f"Expression({self.text!r})"

    def ask(self, state: Wire) -> Answer:
        """See `Predicate.ask`.

        Raises:
            EvaluationStopped: it takes longer than the limits allow.
        """
        self._interpreter.begin()
        wanted = state if self.reads is None else [atom for atom in state if atom in self.reads]
        values = {atom: self._value(atom, state[atom]) for atom in wanted}
        try:
            value = self._interpreter.visit(self._tree, values)
        except (JMESPathError, TypeError, ArithmeticError, RecursionError) as error:
            return Answer(None, False, self.reads, str(error) or type(error).__name__)
        value = self._interpreter.settled(value)
        return Answer(value, holds(value), self.reads)

    def _value(self, atom: str, encoded: bytes) -> Value:
        known = self._decoded.get(atom)
        if known is None or known[0] != encoded:
            known = self._decoded[atom] = (encoded, plain(encoded))
            self._interpreter.has_members = self._interpreter.has_members or may_have_members(encoded)
        return known[1]


def holds(value: Value) -> bool:
    """Say whether the result of an expression counts as true; see the module."""
    return not (value is None or value is False or (isinstance(value, str | list | dict) and not value))


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
        elif match["key"] is not None:
            spelled = _key_spelled(match["key"])
            if spelled:
                put(spelled, match.start(), match.end())
        elif match["root"] is not None:
            put("", match.start(), match.end())
        elif match["chain"] is not None:
            put("(", match.start("chain"), match.start("chain"))
            put(")", match.end("chain"), match.end("chain"))
    put("", len(text), len(text))
    return "".join(pieces), starts, origins


def _key_spelled(text: str) -> str:
    """Return a key in brackets, as paths have it, as the field that stands for it; "" where it is no such key."""
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
    told = next((_HINTS_AT[sign] for sign in _HINTS_AT if sign in near), _HINTS.get(token, ""))
    if not told and re.search(r"\bnot\s+$", text[: column - 1]):
        told = _HINTS["not"]
    elif not told and text[: column - 1].rstrip().endswith("["):
        told = f"a key is written after a dot: .{token}"
    hint = f"; {told}" if told else ""
    if token.startswith("-"):
        hint = '; names with other signs than letters, digits and _ are written in double quotes: "a-b"'
    elif token.isdigit():
        hint = "; a number stands right of a comparison"
    return f"{text[:80]!r} does not parse at column {column}: {reason}{hint}"


def _too_deep(text: str) -> str:
    return f"{text[:40]!r}... is nested more than {_DEEPEST} levels deep; ask simpler questions one by one"


def _check(tree: dict[str, Any], text: str) -> None:
    """Refuse what would fail at every state: unknown functions, too deep a nesting, results too large for any memory."""
    copies = 1
    pending: list[tuple[dict[str, Any], int]] = [(tree, 1)]
    while pending:
        node, depth = pending.pop()
        if depth > _DEEPEST:
            raise ExpressionError(_too_deep(text))
        if node["type"] == "function_expression":
            _check_call(node, text)
        if node["type"] in ("multi_select_list", "multi_select_dict"):
            copies *= max(1, len(node["children"]))
        if copies > _MOST_COPIES:
            raise ExpressionError(f"{text[:40]!r}... puts its parts side by side too often; ask for fewer at a time")
        pending.extend((child, depth + 1) for child in node["children"] if isinstance(child, dict))


def _check_call(node: dict[str, Any], text: str) -> None:
    name, given = node["value"], len(node["children"])
    found = re.search(rf"\b{re.escape(name)}\s*\(", text)
    column = found.start() + 1 if found else 1
    known = Functions.FUNCTION_TABLE.get(name)
    if known is None:
        names = sorted(Functions.FUNCTION_TABLE)
        near = _FUNCTIONS.get(name) or next(iter(get_close_matches(name, names, n=1, cutoff=0.7)), "")
        hint = f"did you mean {near}?" if near else f"there are {', '.join(names)}"
        raise ExpressionError(f"{text[:80]!r}: no function is called {name!r} (column {column}); {hint}")
    takes = known["signature"]
    variadic = bool(takes) and bool(takes[-1].get("variadic"))
    if given != len(takes) and not (variadic and given >= len(takes)):
        raise ExpressionError(f"{text[:80]!r}: {name} (column {column}) takes {len(takes)} arguments, not {given}")


_PASSES_ON: Final = frozenset(
    ("subexpression", "pipe", "index_expression", "projection", "value_projection", "filter_projection")
)
"""Nodes whose first part is asked of what they are asked of, and whose other parts of what it gives."""
_WHOLE: Final = frozenset(("current", "identity"))


def _atoms_read(tree: dict[str, Any]) -> frozenset[str] | None:
    """Return the atoms that an expression may read; None when it may read any."""
    found: set[str] = set()
    pending = [tree]
    while pending:
        node = pending.pop()
        kind, inner = node["type"], node["children"]
        if kind in _WHOLE or (kind == "value_projection" and inner[0]["type"] in _WHOLE):
            return None
        if kind == "field":
            found.add(node["value"])
        elif kind in _PASSES_ON:
            # `@.a` reads what `a` reads: what stands first gives the whole state on.
            whole = kind in ("subexpression", "pipe") and inner[0]["type"] in _WHOLE and len(inner) > 1
            if whole:
                pending.append({"type": kind, "children": inner[1:]} if len(inner) > 2 else inner[1])
            else:
                pending.append(inner[0])
        elif kind != "expref":
            pending.extend(child for child in inner if isinstance(child, dict))
    return frozenset(found)
