"""What to look for: a text, a pattern, or a comparison of values at a path."""

from __future__ import annotations

import json
import operator
import re
import warnings
from collections.abc import Callable
from copy import copy
from functools import lru_cache
from typing import Final, Protocol

from unspool.errors import EvaluationStopped, ExpressionError, PathSyntaxError, QuestionError
from unspool.model.keys import Path, format_path
from unspool.model.limits import in_force
from unspool.model.paths import parse_path
from unspool.model.values import Tagged, Value, json_equal
from unspool.query.patterns import BoundedPattern

_LONGEST: Final = 20_000
"""Characters of what can be looked for; nobody types more."""
Span = tuple[int, int]
"""Where in a text a match starts and ends."""


class Query(Protocol):
    """Decides whether texts and values match."""

    @property
    def looks_at_names(self) -> bool:
        """Whether actions, callers, keys and paths are looked for too, not only values."""

    def may_be_in(self, atom: str, encoded: bytes) -> bool:
        """Whether anything of an atom may match, from its wire form or a piece of it; False is certain."""

    @property
    def size(self) -> int:
        """The most bytes that `may_be_in` looks for in a row."""

    def find(self, text: str) -> Span | None:
        """Return where an action, key or path matches, or None."""

    def find_value(self, path: Path, value: Value, text: str) -> Span | None:
        """Return where a leaf, given as value and as text, matches, or None."""


class TextQuery:
    """A text anywhere in what is `SEARCHED`. Upper case counts only where the text has some."""

    looks_at_names = True

    def __init__(self, text: str) -> None:
        """Look for a text.

        Raises:
            QuestionError: it is empty, or longer than anybody types.
        """
        if not text:
            raise QuestionError("there is nothing to look for; give a text, or --expr with an expression")
        _check_length(text)
        self.text = text
        self._any_case = text == text.lower()
        self._pattern = re.compile(re.escape(text), re.IGNORECASE)
        self._raw = _raw_form(text, self._any_case)
        # A letter with an odd case takes up to three bytes for one.
        self.size = 1 if self._raw is None else 3 * len(self._raw)
        # The same atoms come with every entry.
        self._in_name = lru_cache(maxsize=4096)(self.find)

    def may_be_in(self, atom: str, encoded: bytes) -> bool:
        """See `Query.may_be_in`."""
        raw = self._raw
        if raw is None or self._in_name(atom) is not None:
            return True
        if not self._any_case:
            return raw in encoded
        return raw in encoded.lower() or _KELVIN in encoded or _DOTTED in encoded

    def find(self, text: str) -> Span | None:
        """See `Query.find`."""
        if not self._any_case:
            start = text.find(self.text)
            return None if start < 0 else (start, start + len(self.text))
        if self.text not in text.lower():
            return None
        # Lower case may be longer than the text it comes from, so places are looked for in the text itself.
        match = self._pattern.search(text)
        return (0, len(text)) if match is None else match.span()

    def find_value(self, path: Path, value: Value, text: str) -> Span | None:
        """See `Query.find_value`."""
        return self.find(text)


def _raw_form(text: str, any_case: bool) -> bytes | None:
    """Return the bytes without which a wire form cannot hold a text; None where there are none.

    Keys and texts stand in wire forms as they are, numbers and what JSON spells with words of its own do not. So
    words say for certain that they are missing, if they are no part of such spellings. (Bytes inside a tuple or a set
    are spelled in base64, and are not looked for this way.)
    """
    words = text.replace(" ", "").replace("_", "")
    spelled = text.lower()
    if not words.isalpha() or set(spelled) <= _HEX or any(spelled in word for word in _SPELLINGS):
        return None
    return None if any_case and not text.isascii() else text.encode(errors="surrogatepass")


_HEX: Final = frozenset("abcdef")
_SPELLINGS: Final = (
    "null", "true", "false", "nanj", "infj", "float", "int", "tuple", "frozenset", "bytes", "pairs", "type", "value",
    "unrepresentable", "reason", "enum", "none", "wire", "tagged", "datetime", "timedelta", "decimal", "uuid", "complex",
)  # fmt: skip
"""Words in the JSON text of values that have no text of their own."""
_KELVIN, _DOTTED = "\u212a".encode(), "\u0130".encode()
"""The letters outside ASCII whose lower case holds one of ASCII: the Kelvin sign, and I with a dot."""


class PatternQuery:
    """A regular expression anywhere in what is `SEARCHED`. Upper case counts only where the pattern has some."""

    looks_at_names = True
    size = 1

    def __init__(self, pattern: str) -> None:
        """Look for a pattern.

        Raises:
            ExpressionError: it is no regular expression; the message names the column.
        """
        _check_length(pattern)
        literal = re.sub(r"\\.", "", pattern)
        flags = re.IGNORECASE if literal == literal.lower() else 0
        try:
            # Python warns of what may mean something else one day; whoever searches cannot do anything about it.
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self._pattern = BoundedPattern(pattern, flags)
        except re.error as error:
            column = (error.pos or 0) + 1
            raise ExpressionError(f"{pattern[:80]!r} is no pattern: {error.msg} at column {column}") from None
        except (RecursionError, OverflowError) as error:
            raise ExpressionError(f"{pattern[:80]!r} is no pattern: {error}") from None

    def may_be_in(self, atom: str, encoded: bytes) -> bool:
        """See `Query.may_be_in`."""
        return True

    def find(self, text: str) -> Span | None:
        """See `Query.find`.

        Raises:
            EvaluationStopped: the pattern takes longer on this text than the limits allow, or cannot be stopped in time here.
        """
        limits = in_force()
        try:
            return self._pattern.search(text, limits.pattern_seconds)
        except TimeoutError:
            raise EvaluationStopped(
                f"the pattern {self._pattern.pattern[:80]!r} takes too long on a text of {len(text):,} characters "
                f"({text[:20]!r}...); repeat fewer things inside repeated ones, or: {limits.remedy('pattern_seconds')}"
            ) from None
        except OSError as error:
            raise EvaluationStopped(
                f"the pattern {self._pattern.pattern[:80]!r} needs a process of its own on a text of {len(text):,} characters "
                f"({error.strerror or error}); repeat fewer things, or look for a text instead"
            ) from None

    def find_value(self, path: Path, value: Value, text: str) -> Span | None:
        """See `Query.find_value`."""
        return self.find(text)


def _check_length(text: str) -> None:
    if len(text) > _LONGEST:
        raise QuestionError(f"{text[:40]!r}... has {len(text):,} characters; at most {_LONGEST:,} can be looked for")


_SIGNS: Final[dict[str, Callable[[Value, Value], bool]]] = {
    "==": json_equal,
    "!=": lambda left, right: not json_equal(left, right),
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
}
_COMPARISON: Final = re.compile(
    r"""\s*(?P<path>(?:\["(?:[^"\\]|\\.)*"\]|\[[^]"]*\]|[^\s<>=![])++)(?<!-)"""
    r"""\s*(?P<sign>==|!=|<=|>=|<|>)\s*(?P<value>\S.*)\Z"""
)


class ComparisonQuery:
    """Values at paths that end in a given one, compared with a number, a text, true, false or null."""

    looks_at_names = False

    def __init__(self, path: Path, sign: str, value: Value) -> None:
        """Look for values at a path, as in `qty > 3`."""
        self.path = path
        self.value = value
        self._compare = _SIGNS[sign]
        self._orders = sign[0] in "<>"
        self.size = max(len(str(step).encode(errors="surrogatepass")) for step in path)
        self._name = next((step for step in reversed(path) if isinstance(step, str)), "")
        self._met: set[str] = set()

    def fresh(self) -> ComparisonQuery:
        """Return the same query with nothing noticed yet."""
        again = copy(self)
        again._met = set()
        return again

    def doubts(self) -> tuple[str, ...]:
        """Return why the comparison can hardly be meant: no value stood at its path, or none of its kind."""
        told, wanted = format_path(self.path, root=""), _order_of(self.value)
        if not self._met:
            return (f"no entry that was looked at has a value at a path that ends in {told}",)
        if wanted in ("number", "text") and self._met <= {"number", "text"} - {wanted}:
            kind, other = ("a number", "text") if wanted == "text" else ("text", "a number")
            return (f"{told} is {kind} and is compared with {other}",)
        return ()

    def may_be_in(self, atom: str, encoded: bytes) -> bool:
        """See `Query.may_be_in`."""
        return atom == self._name or self._name.encode(errors="surrogatepass") in encoded

    def find(self, text: str) -> Span | None:
        """See `Query.find`."""
        return None

    def find_value(self, path: Path, value: Value, text: str) -> Span | None:
        """See `Query.find_value`."""
        if path[-len(self.path) :] != self.path:
            return None
        value = self._compared(value)
        kind = _order_of(value)
        self._met.add(kind)
        if self._orders and kind != _order_of(self.value):
            return None
        return (0, len(text)) if self._compare(value, self.value) else None

    def _compared(self, value: Value) -> Value:
        """Return what of a value is compared: a member of an enumeration is known by name or by value."""
        while isinstance(value, Tagged):
            if value.is_member:
                name, value = value.value
                return name if name == self.value else value
            value = value.value
        return value


def _order_of(value: Value) -> str:
    """Return what a value can be ordered among."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return type(value).__name__ + " cannot be ordered"
    return "text" if isinstance(value, str) else "number"


def parse_query(text: str) -> Query:
    """Read what a person types: `qty > 3` compares, everything else is a text to look for.

    Raises:
        QuestionError: it is empty.
    """
    _check_length(text)
    match = _COMPARISON.match(text.rstrip())
    if match is not None:
        try:
            value = json.loads(match["value"])
            path = parse_path(match["path"])
        except (ValueError, PathSyntaxError, RecursionError):
            return TextQuery(text)
        if path and not isinstance(value, list | dict) and not (value is None and match["sign"][0] in "<>"):
            return ComparisonQuery(path, match["sign"], value)
    return TextQuery(text)
