"""Formulas that may have made a value out of others: what they are called, and what they give at another entry or record."""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from unspool.model.parts import parts_inside
from unspool.model.paths import Path
from unspool.model.wire import decode
from unspool.query.reading import Wire
from unspool.query.why_moments import STAR, Known, decimals_of, members_of, number_of, spell_pattern

_NEAR: Final = 1e-9
_MOST_DECIMALS: Final = 6


class Kind(StrEnum):
    """How a value may come from others."""

    COPY = "copy"
    ELEMENT = "element"
    MOVE = "move"
    NEGATION = "negation"
    SUM = "sum"
    PRODUCT = "product"
    PERCENT = "percent"
    QUOTIENT = "quotient"
    SCALED = "scaled"
    COLUMN_SUM = "column sum"
    COLUMN_PRODUCT = "sum of products"
    LENGTH = "length"
    TEXT = "text"
    STEP = "step"


@dataclass(frozen=True, slots=True)
class Term:
    """A value that a formula uses.

    Attributes:
        path: where it stands; stars in it for a column.
        before: whether it is the value from before the entry.
        sign: 1 or -1.
    """

    path: Path
    before: bool = False
    sign: int = 1

    @property
    def is_column(self) -> bool:
        """Whether it is a column."""
        return STAR in self.path

    def told(self) -> str:
        """Return it as text."""
        return spell_pattern(self.path) + (" before" if self.before else "")


@dataclass(frozen=True, slots=True)
class Formula:
    """How a value may have been made.

    Attributes:
        kind: what of.
        terms: the values it uses, without the value's own.
        factor: what they are multiplied by.
        onto: 1 or -1 where the result was added to, or taken from, the value that stood there before; else 0.
    """

    kind: Kind
    terms: tuple[Term, ...]
    factor: float = 1.0
    onto: int = 0

    def told(self) -> str:
        """Return the formula as text: `$.cart.price * $.cart.qty`."""
        text = self._core()
        if not self.onto:
            return text
        inner = f"({text})" if len(self.terms) > 1 and self.kind is Kind.SUM else text
        return f"its value before {'+' if self.onto > 0 else '-'} {inner}"

    def _core(self) -> str:
        names = [term.told() for term in self.terms]
        match self.kind:
            case Kind.NEGATION:
                return f"-{names[0]}"
            case Kind.SUM:
                signs = ["-" if term.sign < 0 else "+" for term in self.terms]
                first = names[0] if signs[0] == "+" else f"-{names[0]}"
                return first + "".join(f" {sign} {name}" for sign, name in zip(signs[1:], names[1:], strict=True))
            case Kind.PRODUCT:
                return " * ".join(names)
            case Kind.PERCENT:
                return f"{names[0]} * {names[1]} %"
            case Kind.QUOTIENT:
                return " / ".join(names)
            case Kind.SCALED:
                return f"{names[0]} * {self.factor:.12g}"
            case Kind.COLUMN_SUM:
                return f"sum of {names[0]}"
            case Kind.COLUMN_PRODUCT:
                return f"sum of {names[0]} * {names[1]}"
            case Kind.LENGTH:
                return f"length of {names[0]}"
            case Kind.TEXT:
                return f"text with {' and '.join(names)}"
            case Kind.STEP:
                return f"{abs(self.factor):.12g}"
        return names[0]

    def moved(self, old: Path, new: Path) -> Formula:
        """Return the formula with the values below one path taken from below another."""
        size = len(old)
        terms = tuple(
            replace(term, path=(*new, *term.path[size:])) if term.path[:size] == old else term for term in self.terms
        )
        return replace(self, terms=terms)

    def gives(self, encoded: bytes, own: bytes | None, before: Wire, after: Wire) -> bool | None:
        """Say whether the formula gives a value, with other states in the place of those it was found in.

        Args:
            encoded: the value.
            own: what stood there before; None for nothing.
            before: the state before the entry.
            after: the state after it.

        Returns:
            None where a value that it uses is not there.
        """
        states = {True: before, False: after}
        found = [list(members_of(states[term.before], term.path)) for term in self.terms]
        if not all(found):
            return None
        if self.kind in (Kind.COPY, Kind.ELEMENT, Kind.MOVE) and not self.onto:
            form = found[0][0][1]
            return form == encoded or is_near(number_of(form), number_of(encoded))
        if self.kind is Kind.TEXT:
            text = decode(encoded)
            return isinstance(text, str) and all(text_of(part[0][1]) in text for part in found)
        if self.kind is Kind.LENGTH:
            core: float | None = float(len(parts_inside(found[0][0][1]) or ()))
        else:
            core = self._number([[number_of(form) for _, form in part] for part in found])
        base = number_of(own) if own is not None and self.onto else 0.0
        target = number_of(encoded)
        if core is None or base is None or target is None or (self.onto and own is None):
            return None
        return fits(base + (self.onto or 1) * core, target, decimals_of(decode(encoded)), self.is_rounded)

    def number(self, before: Wire, after: Wire) -> float | None:
        """Return what the formula gives in two states, without what stood there before; None where it gives no number."""
        states = {True: before, False: after}
        return self._number(
            [[number_of(form) for _, form in members_of(states[t.before], t.path)] for t in self.terms]
        )

    @property
    def is_rounded(self) -> bool:
        """Whether what it gives may have been rounded."""
        return self.kind in (Kind.PRODUCT, Kind.PERCENT, Kind.QUOTIENT, Kind.SCALED, Kind.COLUMN_PRODUCT)

    def _number(self, terms: list[list[float | None]]) -> float | None:
        columns = [[number for number in term if number is not None] for term in terms]
        if self.kind is Kind.STEP:
            return abs(self.factor)
        if not all(columns):
            return None
        sums = [math.fsum(column) for column in columns]
        match self.kind:
            case Kind.SUM:
                return math.fsum(term.sign * number for term, number in zip(self.terms, sums, strict=True))
            case Kind.PRODUCT | Kind.PERCENT:
                return math.prod(sums) * self.factor
            case Kind.QUOTIENT:
                return sums[0] / sums[1] if sums[1] else None
            case Kind.COLUMN_PRODUCT:
                return math.fsum(map(operator.mul, *columns)) if len(columns[0]) == len(columns[1]) else None
            case Kind.NEGATION:
                return -sums[0]
        return sums[0] * self.factor


def is_near(one: float | None, other: float | None) -> bool:
    """Say whether two numbers are the same but for what doubles lose."""
    return one is not None and other is not None and abs(one - other) <= _NEAR * max(1.0, abs(one), abs(other))


def fits(number: float, target: float, decimals: int, rounded: bool) -> bool:
    """Say whether a number is a value, maybe rounded to the digits that the value has."""
    if is_near(number, target):
        return True
    if not rounded or decimals > _MOST_DECIMALS:
        return False
    unit = 10.0**-decimals if decimals else 1.0
    half = abs(number - target) <= 0.5 * unit * (1 + _NEAR)
    return half or (decimals == 0 and 0 <= number - target < 1)


def text_of(form: bytes) -> str:
    """Return a leaf as the text that would stand in a longer one."""
    value = decode(form)
    return value if isinstance(value, str) else str(value)


def term_of(known: Known, sign: int = 1) -> Term:
    """Return a known value as a term."""
    return Term(known.path, known.before, sign)
