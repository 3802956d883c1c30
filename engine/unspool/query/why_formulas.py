"""What an entry could have used: the values it left, those it took away, the columns of lists, and their numbers.

`unspool.query.why` looks here for what explains a value. Everything is taken from wire forms, once an entry, and bounded:
atoms that the entry changed come first, then the small ones.
"""

from __future__ import annotations

import math
import operator
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum
from itertools import islice
from typing import Final

from unspool.delta.structural import Identity
from unspool.model.keys import Path
from unspool.model.paths import DEEPEST, PathPattern, content_of, parts_inside, places, spell_pattern
from unspool.model.values import Value
from unspool.model.wire import FormShape, decode, shape_of
from unspool.query.lineage import Wire
from unspool.query.value_parts import children, differences

STAR: Final = "\0*"
"""Stands in a pattern for every item of a list or value of an object; no path that a person writes holds it."""
MOST_VALUES: Final = 20_000
"""Values of one entry that are looked at."""
_MOST_MEMBERS: Final = 2_000
"""Members of a column that is added up."""
_LARGEST: Final = 1e15
"""Numbers beyond which doubles no longer tell whole numbers apart."""
_DECIMAL_TEXT: Final = re.compile(r"-?\d{1,13}\.\d{1,9}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Known:
    """A value that an entry could have used.

    Attributes:
        path: where it stands; stars in it for the column of a list.
        encoded: its wire form; empty for a column.
        number: as a number; None where it is none. The sum, for a column.
        before: whether it is what stood there before the entry, and the entry changed it or took it away.
        written: whether the entry wrote it.
        members: how many values a column has; 0 for a single value.
        length: how many parts it has; -1 for a leaf.
    """

    path: Path
    encoded: bytes
    number: float | None
    before: bool
    written: bool
    members: int = 0
    length: int = -1


class FormulaMoment:
    """What was there when an entry was made."""

    def __init__(
        self,
        seq: int,
        before: Wire,
        after: Wire,
        identity: Identity | None = None,
        lately: Mapping[Path, int] | None = None,
    ) -> None:
        """Take the states before and after an entry apart.

        Args:
            seq: the entry.
            before: the state that it followed.
            after: the state that it left.
            identity: identity keys of lists set by hand.
            lately: what the entries shortly before it wrote, and how many of them did.
        """
        self.lately: Mapping[Path, int] = lately or {}
        self.seq = seq
        self.before = before
        self.after = after
        self.looked_at = 0
        self.is_whole = True
        """Whether all values were looked at; False where there are too many."""
        self.values: list[Known] = []
        self.containers: list[Known] = []
        changed = [atom for atom, value in after.items() if before.get(atom) != value]
        changed += [atom for atom in before if atom not in after]
        gone: list[tuple[Path, bytes]] = []
        for atom in changed:
            roots = set()
            parts = differences(before.get(atom), after.get(atom), (atom,), identity)
            for part in islice(parts, MOST_VALUES - len(gone)):
                if part.new_path is not None:
                    roots.add(part.new_path)
                if part.old_path is not None and part.old_bytes is not None:
                    gone.append((part.old_path, part.old_bytes))
            if atom in after:
                self._take((atom,), after[atom], roots, before=False)
        for path, value in gone:
            self._take(path, value, {path}, before=True)
        written = set(changed)
        for atom in sorted(after, key=lambda name: len(after[name])):
            if atom not in written:
                self._take((atom,), after[atom], frozenset(), before=False)
        order = {atom: place for place, atom in enumerate(dict.fromkeys((*after, *before)))}
        self.values.sort(key=lambda known: order[str(known.path[0])])
        self.columns = list(_columns(self.values))

    def _take(self, path: Path, value: bytes, roots: set[Path] | frozenset[Path], *, before: bool) -> None:
        pending = [(path, value, False)]
        while pending:
            place, form, written = pending.pop()
            if self.looked_at >= MOST_VALUES:
                self.is_whole = False
                return
            self.looked_at += 1
            written = written or place in roots
            parts = parts_inside(form) if len(place) < DEEPEST else None
            if parts:
                self.containers.append(Known(place, form, None, before, written, length=len(parts)))
                pending.extend(reversed([((*place, step), part, written) for step, part in children(parts)]))
            else:
                self.values.append(Known(place, form, number_of(form), before, written))

    def state(self, *, before: bool) -> Wire:
        """Return the state before or after the entry."""
        return self.before if before else self.after


def written_by(before: Wire, after: Wire, identity: Identity | None = None) -> Iterator[Path]:
    """Yield the places that an entry wrote: what stands below them is new or another value."""
    for atom, value in after.items():
        if before.get(atom) != value:
            for part in differences(before.get(atom), value, (atom,), identity):
                if part.new_path is not None:
                    yield part.new_path


def number_of(form: bytes) -> float | None:
    """Return a leaf as a number: integers, floats, decimals, and texts such as `12.50`; None for everything else."""
    if shape_of(form) not in (FormShape.LEAF, FormShape.TEXT) or len(form) > 64:
        return None
    return as_number(decode(form))


def as_number(value: Value) -> float | None:
    """Return a decoded value as a number; see `number_of`."""
    content: Value = content_of(value)
    if isinstance(content, str):
        content = Decimal(content) if _DECIMAL_TEXT.fullmatch(content) else None
    if isinstance(content, bool) or not isinstance(content, int | float | Decimal):
        return None
    if isinstance(content, Decimal) and not content.is_finite():
        return None
    if isinstance(content, int) and abs(content) > _LARGEST:
        return None
    number = float(content)
    return number if math.isfinite(number) and abs(number) <= _LARGEST else None


def decimals_of(value: Value) -> int:
    """Return how many digits a number has behind its point."""
    content = content_of(value)
    text = format(content, "f") if isinstance(content, Decimal) else str(content)
    _, point, digits = text.partition(".")
    if not point or "e" in text.lower():
        return 0
    return len(digits) if isinstance(content, str | Decimal) else len(digits.rstrip("0"))


def _columns(values: Iterable[Known]) -> Iterator[Known]:
    """Yield the columns of lists and objects whose values are numbers, with their sums."""
    members: defaultdict[tuple[Path, bool], list[Known]] = defaultdict(list)
    for known in values:
        if known.number is not None:
            for pattern in patterns_of(known.path):
                column = members[pattern, known.before]
                if len(column) < _MOST_MEMBERS:
                    column.append(known)
    for (pattern, before), column in members.items():
        if len(column) < _MOST_MEMBERS:
            total = math.fsum(known.number or 0.0 for known in column)
            written = any(known.written for known in column)
            yield Known(pattern, b"", total, before, written, members=len(column))


def patterns_of(path: Path) -> list[Path]:
    """Return the columns that a value is in: of its list, of all lists around it, of the object that holds its record."""
    indices = [at for at, step in enumerate(path) if isinstance(step, int)]
    found: list[Path] = []
    if indices:
        innermost = indices[-1]
        found.append((*path[:innermost], STAR, *path[innermost + 1 :]))
    if len(indices) > 1:
        found.append(tuple(STAR if isinstance(step, int) else step for step in path))
    if len(path) > 2 and isinstance(path[-2], str):
        found.append((*path[:-2], STAR, path[-1]))
    if len(path) > 1 and isinstance(path[-1], str):
        found.append((*path[:-1], STAR))
    return found


def members_of(state: Mapping[str, bytes], pattern: Path) -> Iterator[tuple[Path, bytes]]:
    """Yield what stands at a path in a state; where it has stars, everything that it fits."""
    return places(_pattern(pattern), state, parts_inside)


def _pattern(path: Path) -> PathPattern:
    return tuple(None if step == STAR else step for step in path)


def spell_starred(pattern: Path) -> str:
    """Spell a path that may hold stars: `$.lines[*].total`."""
    return spell_pattern(_pattern(pattern), root="$")


_NEAR: Final = 1e-9
_MOST_DECIMALS: Final = 6


class FormulaKind(StrEnum):
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

    def spelled(self) -> str:
        """Return it as text."""
        return spell_starred(self.path) + (" before" if self.before else "")


@dataclass(frozen=True, slots=True)
class Formula:
    """How a value may have been made.

    Attributes:
        kind: what of.
        terms: the values it uses, without the value's own.
        factor: what they are multiplied by.
        onto: 1 or -1 where the result was added to, or taken from, the value that stood there before; else 0.
    """

    kind: FormulaKind
    terms: tuple[Term, ...]
    factor: float = 1.0
    onto: int = 0

    def spelled(self) -> str:
        """Return the formula as text: `$.cart.price * $.cart.qty`."""
        text = self._core()
        if not self.onto:
            return text
        inner = f"({text})" if len(self.terms) > 1 and self.kind is FormulaKind.SUM else text
        return f"its value before {'+' if self.onto > 0 else '-'} {inner}"

    def _core(self) -> str:
        names = [term.spelled() for term in self.terms]
        match self.kind:
            case FormulaKind.NEGATION:
                return f"-{names[0]}"
            case FormulaKind.SUM:
                signs = ["-" if term.sign < 0 else "+" for term in self.terms]
                first = names[0] if signs[0] == "+" else f"-{names[0]}"
                return first + "".join(f" {sign} {name}" for sign, name in zip(signs[1:], names[1:], strict=True))
            case FormulaKind.PRODUCT:
                return " * ".join(names)
            case FormulaKind.PERCENT:
                return f"{names[0]} * {names[1]} %"
            case FormulaKind.QUOTIENT:
                return " / ".join(names)
            case FormulaKind.SCALED:
                return f"{names[0]} * {self.factor:.12g}"
            case FormulaKind.COLUMN_SUM:
                return f"sum of {names[0]}"
            case FormulaKind.COLUMN_PRODUCT:
                return f"sum of {names[0]} * {names[1]}"
            case FormulaKind.LENGTH:
                return f"length of {names[0]}"
            case FormulaKind.TEXT:
                return f"text with {' and '.join(names)}"
            case FormulaKind.STEP:
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
        """Whether the formula gives a value, with other states in the place of those it was found in.

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
        if self.kind in (FormulaKind.COPY, FormulaKind.ELEMENT, FormulaKind.MOVE) and not self.onto:
            form = found[0][0][1]
            return form == encoded or is_near(number_of(form), number_of(encoded))
        if self.kind is FormulaKind.TEXT:
            text = decode(encoded)
            return isinstance(text, str) and all(text_of(part[0][1]) in text for part in found)
        if self.kind is FormulaKind.LENGTH:
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
        return self.kind in (
            FormulaKind.PRODUCT,
            FormulaKind.PERCENT,
            FormulaKind.QUOTIENT,
            FormulaKind.SCALED,
            FormulaKind.COLUMN_PRODUCT,
        )

    def _number(self, terms: list[list[float | None]]) -> float | None:
        columns = [[number for number in term if number is not None] for term in terms]
        if self.kind is FormulaKind.STEP:
            return abs(self.factor)
        if not all(columns):
            return None
        sums = [math.fsum(column) for column in columns]
        match self.kind:
            case FormulaKind.SUM:
                return math.fsum(term.sign * number for term, number in zip(self.terms, sums, strict=True))
            case FormulaKind.PRODUCT | FormulaKind.PERCENT:
                return math.prod(sums) * self.factor
            case FormulaKind.QUOTIENT:
                return sums[0] / sums[1] if sums[1] else None
            case FormulaKind.COLUMN_PRODUCT:
                return math.fsum(map(operator.mul, *columns)) if len(columns[0]) == len(columns[1]) else None
            case FormulaKind.NEGATION:
                return -sums[0]
        return sums[0] * self.factor


def is_near(one: float | None, other: float | None) -> bool:
    """Whether two numbers are the same but for what doubles lose."""
    return one is not None and other is not None and abs(one - other) <= _NEAR * max(1.0, abs(one), abs(other))


def fits(number: float, target: float, decimals: int, rounded: bool) -> bool:
    """Whether a number is a value, maybe rounded to the digits that the value has."""
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


__all__ = [
    "MOST_VALUES",
    "STAR",
    "FormulaMoment",
    "Known",
    "as_number",
    "decimals_of",
    "members_of",
    "number_of",
    "patterns_of",
    "written_by",
]
