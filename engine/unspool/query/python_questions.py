"""Questions as Python expressions, typed by the person who asks: `sum(line["qty"] for line in cart["lines"]) > 3`.

The atoms are names, and `state` is all of them. The expression is executed with all that Python can do, so it is only ever
taken from whoever sits at the machine: never from a file that is opened, and not over MCP.
"""

from __future__ import annotations

import builtins
from collections.abc import Iterator
from types import CodeType
from typing import Any, Final

from unspool.history.history import History
from unspool.model.paths import content_of
from unspool.model.values import Tagged, Value
from unspool.model.wire import decode, encode
from unspool.query.errors import ExpressionError, nearest
from unspool.query.expressions import Answer
from unspool.query.reading import Wire

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

    def ask(self, state: Wire) -> Answer:
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
            return Answer(None, False, self.reads, failure)
        self._was_answered = True
        return Answer(told, holds, self.reads)

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
    import dis

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
    """Return a result as a value that can be told."""
    if isinstance(value, Iterator):
        value = [item for item, _ in zip(value, range(_MOST_ITEMS), strict=False)]
    try:
        encode(value)
    except (TypeError, ValueError, OverflowError, RecursionError):
        return repr(value)
    return value
