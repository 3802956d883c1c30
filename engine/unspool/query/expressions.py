"""Expressions over a state: JMESPath, with comparisons written as people write them.

`cart.total > 100`, `user.name == "bob"`, `items[?qty > 3]`, `length(cart.items) > 2 && !cart.paid`. Beyond JMESPath,
what stands right of a comparison may be a bare number, `true`, `false`, `null` or a text in double quotes (plain
JMESPath wants backticks round them), a number may stand left of one, `$` is the state as a whole, also inside a filter
(`queue[?lookup($.library, song).secs > 300]`), and `!a.b` means `!(a.b)`. Functions for arithmetic and more are listed in
`unspool.query.expression_functions`.

What holds: everything except null, false, an empty text, an empty list and an empty object; 0 holds. This is
JMESPath's rule. Where a function is given what it cannot take, as `length` of null, the answer does not hold.
"""

from __future__ import annotations

import builtins
import dis
from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass
from time import monotonic
from types import CodeType
from typing import Any, Final, Protocol, runtime_checkable

from jmespath.exceptions import JMESPathError
from jmespath.visitor import Options, TreeInterpreter

from unspool.errors import EvaluationStopped, ExpressionError, nearest
from unspool.history.history import History
from unspool.model.encoding import encode
from unspool.model.limits import in_force
from unspool.model.paths import content_of
from unspool.model.values import Tagged, Value
from unspool.model.wire import decode
from unspool.query.expression_functions import (
    ExpressionFunctions,
    Member,
    may_have_members,
    other_key,
    plain,
    without_members,
)
from unspool.query.expression_text import DoubtWatch, Node, is_root, parse
from unspool.query.lineage import Wire

_VISITS: Final = 64
"""Parts worked out between two looks at the clock."""


@dataclass(frozen=True, slots=True)
class StateAnswer:
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


@runtime_checkable
class Predicate(Protocol):
    """Something that can be asked of every state."""

    @property
    def reads(self) -> frozenset[str] | None:
        """The atoms that answers depend on; None when that is not known before asking."""

    def ask(self, state: Wire) -> StateAnswer:
        """Ask one state."""


class _BoundedInterpreter(TreeInterpreter):  # type: ignore[misc]
    """Works an expression out, and ends one that takes too long: nested projections and maps multiply their items."""

    def __init__(self, text: str, watch: DoubtWatch) -> None:
        super().__init__(Options(custom_functions=ExpressionFunctions()))
        self._text = text
        self._watch = watch
        self._visits = 0
        self._until = 0.0
        self._state: dict[str, Value] = {}
        self.has_members = False

    def begin(self, state: dict[str, Value]) -> None:
        """Start the clock, and remember what `$` is."""
        self._state = state
        self._until = monotonic() + in_force().expression_seconds

    def visit(self, node: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        """Work a part out.

        Raises:
            EvaluationStopped: the time is over.
        """
        self._visits += 1
        if not self._visits % _VISITS and monotonic() > self._until:
            told = in_force().remedy("expression_seconds")
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
        if is_root(node):
            return self._state
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
        self.text = text
        self._tree = parse(text)
        self.reads = _atoms_read(self._tree)
        self._begin()

    def _begin(self) -> None:
        self.watch = DoubtWatch(self._tree, self.text)
        """What was noticed while states were asked."""
        self._interpreter = _BoundedInterpreter(self.text, self.watch)
        self._decoded: dict[str, tuple[bytes, Value]] = {}

    def __repr__(self) -> str:
        return f"Expression({self.text!r})"

    def fresh(self) -> Expression:
        """Return the same question with nothing noticed yet, for whoever asks it beside others."""
        other = copy(self)
        other._begin()
        return other

    def reads_below(self, field: str) -> frozenset[str] | None:
        """Return the fields of one field of the state that it may read; None when it may read any."""
        return _fields_below(self._tree, field)

    def ask(self, state: Wire) -> StateAnswer:
        """See `Predicate.ask`.

        Raises:
            EvaluationStopped: it takes longer than the limits allow.
        """
        wanted = state if self.reads is None else [atom for atom in state if atom in self.reads]
        return self.ask_values({atom: self.value(atom, state[atom]) for atom in wanted})

    def ask_values(self, values: dict[str, Value]) -> StateAnswer:
        """Ask a state whose values are as `value` gives them; see `ask`."""
        self._interpreter.begin(values)
        try:
            value = self._interpreter.visit(self._tree, values)
        except (JMESPathError, TypeError, ArithmeticError, RecursionError) as error:
            failure = str(error) or type(error).__name__
            self.watch.failed(failure)
            return StateAnswer(None, False, self.reads, failure)
        self.watch.answered()
        value = self._interpreter.settled(value)
        return StateAnswer(value, holds(value), self.reads)

    def value(self, atom: str, encoded: bytes) -> Value:
        """Return a wire form as expressions see it; what was asked for last by the same name is remembered."""
        known = self._decoded.get(atom)
        if known is None or known[0] != encoded:
            known = self._decoded[atom] = (encoded, plain(encoded))
            self._interpreter.has_members = self._interpreter.has_members or may_have_members(encoded)
        return known[1]


def holds(value: Value) -> bool:
    """Whether the result of an expression counts as true; see the module."""
    return not (value is None or value is False or (isinstance(value, str | list | dict) and not value))


_PASSES_ON: Final = frozenset(
    ("subexpression", "pipe", "index_expression", "projection", "value_projection", "filter_projection")
)
"""Nodes whose first part is asked of what they are asked of, and whose other parts of what it gives."""
_WHOLE: Final = frozenset(("current", "identity"))


def _atoms_read(tree: Node) -> frozenset[str] | None:
    """Return the atoms that an expression may read; None when it may read any."""
    found: set[str] = set()
    # Each part with whether it is asked of the state itself, or of something inside it.
    pending = [(tree, True)]
    while pending:
        node, of_state = pending.pop()
        kind, inner = node["type"], [child for child in node["children"] if isinstance(child, dict)]
        if is_root(node) or (of_state and kind in _WHOLE):
            return None
        if kind == "field":
            if of_state:
                found.add(node["value"])
        elif kind in _PASSES_ON:
            first, *rest = inner
            if _is_state(first, of_state):
                # `@.a` and `$.a` read what `a` reads: what stands first gives the whole state on.
                if kind not in ("subexpression", "pipe") or not rest:
                    return None
                first, *rest = rest
                of_state = True
            pending.append((first, of_state))
            pending.extend((child, False) for child in rest)
        else:
            pending.extend((child, of_state and kind != "expref") for child in inner)
    return frozenset(found)


def _is_state(node: Node, of_state: bool) -> bool:
    return is_root(node) or (of_state and node["type"] in _WHOLE)


def _field_of(node: Node) -> str | None:
    """Return the field that a part of an expression begins with."""
    while node["type"] in _PASSES_ON:
        node = node["children"][0]
    return str(node["value"]) if node["type"] == "field" else None


def _fields_below(tree: Node, field: str) -> frozenset[str] | None:
    """Return the fields that an expression may read of one field, wherever it names it; None when it may read any."""
    found: set[str] = set()
    pending = [tree]
    while pending:
        node = pending.pop()
        if not isinstance(node, dict):
            continue
        inner = [child for child in node["children"] if isinstance(child, dict)]
        if node["type"] == "field" and node["value"] == field:
            return None
        if node["type"] == "subexpression":
            at = 1 if _is_state(inner[0], True) else 0
            if inner[at : at + 1] and _field_of(inner[at]) == field and inner[at]["type"] == "field":
                name = _field_of(inner[at + 1]) if len(inner) > at + 1 else None
                if name is None:
                    return None
                found.add(name)
                inner = inner[at + 2 :] + inner[at + 1]["children"][1:]
        if _is_state(node, False) or node["type"] in _WHOLE:
            continue
        pending.extend(inner)
    return frozenset(found)


_STATE: Final = "state"
_LONGEST: Final = 20_000
"""Characters of an expression; nobody types more."""
_MOST_ITEMS: Final = 100_000
"""Items of a result that is a generator."""


class PythonQuestion:
    """A Python expression as a `Predicate`: what it names is what it reads."""

    def __init__(self, text: str) -> None:
        """Compile an expression; it is executed when states are asked.

        Raises:
            ExpressionError: it is no Python expression; the message names the column.
        """
        if len(text) > _LONGEST:
            raise ExpressionError(f"{text[:40]!r}... has {len(text):,} characters; at most {_LONGEST:,} can be asked")
        try:
            self._code = compile(text.strip(), "<--python>", "eval", dont_inherit=True)
        except SyntaxError as error:
            raise ExpressionError(
                f"{text[:80]!r} is no Python expression: {error.msg} (column {error.offset})"
            ) from None
        except (ValueError, MemoryError, RecursionError) as error:
            raise ExpressionError(f"{text[:80]!r} is no Python expression: {error}") from None
        self.text = text
        self._names = frozenset(_names_in(self._code))
        self._failure = ""
        self._was_answered = False

    def fresh(self) -> PythonQuestion:
        """Return the same question with nothing noticed yet."""
        return PythonQuestion(self.text)

    @property
    def reads(self) -> frozenset[str] | None:
        """See `Predicate.reads`: a name of Python's may also be the name of an atom."""
        return None if _STATE in self._names else self._names

    def refuse_unknown(self, history: History) -> None:
        """Refuse an expression with a name that is none of an atom's, and none of Python's.

        Raises:
            ExpressionError: names it, and the nearest name.
        """
        if not len(history) or not history.progress.is_finished:
            return
        atoms = {name for name in self._free if history.store.atom_number(name) is not None}
        for name in sorted(self._free - atoms - {_STATE}):
            if not hasattr(builtins, name):
                told = nearest(name, (*history.view(-1), _STATE))
                raise ExpressionError(f"{self.text[:80]!r}: no entry has {name}{told}")

    @property
    def _free(self) -> frozenset[str]:
        return frozenset(_free_names(self._code))

    def ask(self, state: Wire) -> StateAnswer:
        """See `Predicate.ask`; an error of the expression is a failure to answer."""
        # Decoded anew each time: what an expression does to a value must not be there when it is asked again.
        wanted = state if self.reads is None else [atom for atom in state if atom in self._names]
        values = {atom: _native(decode(state[atom])) for atom in wanted}
        names = {atom: value for atom, value in values.items() if atom in self._names}
        if _STATE not in state:
            names[_STATE] = values
        try:
            # That it is executed is what it is for: whoever asks typed it.
            value = eval(self._code, {"__builtins__": builtins, **names})  # noqa: S307
            holds = bool(value)
            told = _kept(value)
        # What a person's own expression raises may be anything, and says that it cannot be answered there.
        except Exception as error:  # noqa: BLE001
            failure = f"{type(error).__name__}: {error}"
            self._failure = self._failure or failure
            return StateAnswer(None, False, self.reads, failure)
        self._was_answered = True
        return StateAnswer(told, holds, self.reads)

    def doubts(self) -> tuple[str, ...]:
        """Return why it could be worked out at no entry; empty where it could."""
        if self._was_answered or not self._failure:
            return ()
        return (f"it could be worked out at no entry: {self._failure}",)


def _names_in(code: CodeType) -> Iterator[str]:
    """Yield the names that an expression and what is nested in it use: of variables, and of attributes."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names_in(constant)


def _free_names(code: CodeType) -> Iterator[str]:
    """Yield the names that an expression looks up as variables that it does not set itself."""
    for step in dis.get_instructions(code):
        if step.opname in ("LOAD_NAME", "LOAD_GLOBAL"):
            yield str(step.argval)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _free_names(constant)


def _native(value: Value) -> Value:
    """Return a value with objects of any class as dicts of their fields, and members of enumerations as their values."""
    while type(value) is Tagged:
        value = value.value[1] if value.is_member else content_of(value)
    if isinstance(value, dict):
        return {key: _native(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(map(_native, value))
    return value


def _kept(value: Any) -> Value:
    """Return a result as a value that can be shown."""
    if isinstance(value, Iterator):
        value = [item for item, _ in zip(value, range(_MOST_ITEMS), strict=False)]
    try:
        encode(value)
    except (TypeError, ValueError, OverflowError, RecursionError):
        return repr(value)
    return value
