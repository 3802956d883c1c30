"""Relations between columns: whether one holds in a row, how well it was tried, and where it broke."""

from __future__ import annotations

import math
import re
import sys
from collections import Counter
from collections.abc import Container
from dataclasses import dataclass, field
from difflib import get_close_matches
from enum import StrEnum
from functools import lru_cache
from typing import Final

from unspool.model.values import Value
from unspool.query.mining.columns import Place, Row, is_number, number_in

_DISTINCT: Final = 64
"""Different values remembered of one column."""
_SINCE_NEW: Final = 6
"""Changes that a relation must have withstood since anything new was seen."""
_BREAKS: Final = 1000
"""Breaks of one relation that are kept."""


class Kind(StrEnum):
    """What a relation says."""

    SUM = "sum"
    PRODUCT = "product"
    EQUAL = "equal"
    ORDER = "order"
    LEAST = "least"
    RISES = "rises"
    VALUES = "values"
    REFERENCE = "reference"
    KEEPS = "keeps"
    AT_MOST = "at most"


@dataclass(slots=True)
class Break:
    """One record in which a relation that held no longer does.

    Attributes:
        seq: the entry.
        place: the record.
        actor: who brought it about.
        support: changes that the relation had withstood.
        known: how many of them were this actor's.
        told: the values, for people.
        is_mild: something new came with the entry, or a count began anew, so that it may be meant.
        is_tried: the relation was tried well enough to be believed.
        healed: the entry at which it held in this record again.
    """

    seq: int
    place: Place
    actor: str
    support: int
    known: int
    told: str
    is_mild: bool = False
    is_tried: bool = False
    healed: int | None = None


@dataclass(slots=True, eq=False)
class Relation:
    """A relation that has always held so far, or held well and then broke.

    Attributes:
        kind: what it says.
        scope: the kind of record.
        columns: the columns it is about, in the order in which `kind` takes them.
        number: a bound or a difference, where the kind has one.
    """

    kind: Kind
    scope: str
    columns: tuple[str, ...]
    number: float = 0.0
    target: str = ""
    support: int = 0
    total: int = 0
    epoch: int = -1
    exact: bool = True
    is_dead: bool = False
    holds_by: Counter[str] = field(default_factory=Counter)
    seen: Counter[Value] = field(default_factory=Counter)
    visits: int = 0
    cascades: int = 0
    since_new: int = 0
    broken: dict[Place, Break] = field(default_factory=dict)
    breaks: list[Break] = field(default_factory=list)
    first: dict[Place, float] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The relation for people."""
        a, *rest = self.columns
        b, c = (*rest, "", "")[:2]
        match self.kind:
            case Kind.SUM:
                return f"{a} + {b} == {c}"
            case Kind.PRODUCT:
                return f"{a} * {b} == {c}"
            case Kind.EQUAL:
                sign = "+" if self.number > 0 else "-"
                return f"{a} == {b}" + (f" {sign} {abs(self.number):g}" if self.number else "")
            case Kind.ORDER | Kind.AT_MOST:
                return f"{a} < {b}" if self.number else f"{a} <= {b}"
            case Kind.LEAST:
                return f"{a} >= {self.number:g}"
            case Kind.RISES:
                return f"{a} never falls"
            case Kind.VALUES:
                return f"{a} is one of {', '.join(sorted(map(repr, self.seen)))}"
            case Kind.REFERENCE:
                return f"{a} is in {self.target}"
        return f"{a} stays the same"

    def holds_in(self, row: Row, targets: Container[Value] = ()) -> bool | None:
        """Say whether the relation holds in a row; None where it cannot be asked."""
        value = row.columns.get(self.columns[0])
        if self.kind is Kind.VALUES:
            return self._is_usual(value)
        if self.kind is Kind.REFERENCE:
            return None if not isinstance(value, str | int) or isinstance(value, bool) else value in targets
        numbers = [number for number in map(number_in, map(row.columns.get, self.columns)) if number is not None]
        if len(numbers) < len(self.columns):
            return None
        a, b, c = (*numbers, 0, 0)[:3]
        match self.kind:
            case Kind.SUM:
                return self._same(a + b, c)
            case Kind.PRODUCT:
                return self._same(a * b, c)
            case Kind.EQUAL:
                return self._same(a - self.number, b)
            case Kind.ORDER | Kind.AT_MOST:
                return a + self.number <= b or (not self.number and math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-9))
            case Kind.LEAST:
                return a >= self.number
        before = number_in(row.before.get(self.columns[0]))
        if before is None or row.is_new or not row.is_certain:
            return None
        return a >= before if self.kind is Kind.RISES else self._same(a, before)

    def _same(self, left: float, right: float) -> bool:
        if left == right:
            return True
        # Programs round to cents, and sums of rounded numbers differ by the rounding.
        is_same = math.isclose(left, right, rel_tol=1e-9, abs_tol=1e-6)
        self.exact = self.exact and not is_same
        return is_same

    def _is_usual(self, value: Value) -> bool | None:
        if value is None:
            return None
        return value in self.seen or self.since_new < 20 or len(self.seen) > 8

    def keep(self, row: Row, actor: str, epoch: int) -> None:
        """Note that the relation held in a row."""
        self.support = self.support + 1 if epoch == self.epoch else 1
        self.epoch = epoch
        self.total += 1
        self.holds_by[actor] += 1
        value = row.columns.get(self.columns[0])
        if self.kind is Kind.VALUES:
            self.since_new = self.since_new + 1 if value in self.seen else 0
        if value in self.seen or len(self.seen) < _DISTINCT:
            self.seen[value] += 1
        if self.kind in (Kind.ORDER, Kind.AT_MOST):
            self.visits += self._is_met(row)
        elif self.kind is Kind.LEAST:
            self.visits += value == self.number and self.columns[0] in row.changed

    def _is_met(self, row: Row) -> bool:
        """Whether an order was tried to its edge: both sides are as near as they may be and were not before."""
        a, b = self.columns
        left, right = row.columns[a] + self.number, row.columns[b]
        was = (row.before.get(a, row.columns[a]), row.before.get(b, right))
        was_met = all(map(is_number, was)) and was[0] + self.number == was[1]
        is_other = row.is_new or not was_met or self.kind is Kind.AT_MOST
        return bool(left == right and is_other and (left or right))

    def is_tried(self) -> bool:
        """Whether the relation was tried well enough to be believed, by the changes it withstood.

        Most of them may lie before something new was last seen, but some have to lie after it.
        """
        changes, distinct, visits = self._wanted()
        is_tried = self.total >= changes and self.support >= max(_SINCE_NEW, changes // 4)
        return is_tried and len(self.seen) >= distinct and self.visits >= visits

    def _wanted(self) -> tuple[int, int, int]:
        """Return how many changes, how many values and how often the edge it takes to believe this."""
        a = self.columns[0]
        match self.kind:
            case Kind.SUM | Kind.PRODUCT | Kind.EQUAL:
                return 60 if self.number else 20, 6, 0
            case Kind.KEEPS:
                return 12, 1, 0
            case Kind.ORDER:
                return (25, 3, 2) if is_bound_of(a, self.columns[1]) else (60, 3, 8)
            case Kind.LEAST:
                return (30, 4, 0) if _COUNT.search(a) else (60, 4, 6)
            case Kind.RISES:
                return 25, 6, 0
            case Kind.VALUES:
                return 20 + max(0, 20 - self.since_new), 2, 0
            case Kind.REFERENCE:
                return 20, 4, 0
        return sys.maxsize, 0, 0

    def broke(self, row: Row, seq: int, actor: str, epoch: int, is_new: bool) -> Break:
        """Return the break that a row is."""
        is_tried = epoch == self.epoch and self.is_tried()
        told = ", ".join(f"{name} is {_brief(row.columns.get(name))}" for name in self.columns)
        before = row.before.get(self.columns[0])
        value = row.columns.get(self.columns[0])
        is_mild = is_new
        if self.kind in (Kind.RISES, Kind.KEEPS):
            told = f"{self.columns[0]} goes from {_brief(before)} to {_brief(value)}"
        if self.kind is Kind.RISES:
            # A count that begins anew is no fault, whoever does it.
            is_mild = is_mild or value == 0 or value == self.first.get(row.place)
        if self.kind is Kind.VALUES:
            usual = [known for known in self.seen if isinstance(known, str)]
            is_mild = not (isinstance(value, str) and _is_misspelt(value, usual))
        return Break(seq, row.place, actor, self.total, self.holds_by[actor], told, is_mild, is_tried)

    def take(self, found: Break) -> None:
        """Keep a break."""
        if len(self.breaks) < _BREAKS:
            self.breaks.append(found)


_COUNT: Final = re.compile(
    r"(?:^|[._(*@])(?:qty|quantity|stock|left|count|hp|health|lives|ammo|available|remaining|seats|free|on_hand|inventory|"
    r"retries|attempts|size|capacity|length|tickets|units|pending|reserved|in_stock|energy|mana|fuel|index|idx|cursor|"
    r"offset)\b|_(?:qty|count|left|stock|hp|index|size)\b|^@$",
    re.IGNORECASE,
)
"""Names of what is counted or counts, and so never below zero."""
_BOUND: Final = re.compile(r"(?:maximum|max|limit|capacity|cap)", re.IGNORECASE)
"""What a name has beside the name of what it bounds."""
_TOTAL: Final = re.compile(r"(?:^|[._])(?:total|size|count|length)$|_(?:count|total|size)$", re.IGNORECASE)
_LENGTH: Final = re.compile(r"length\([^\[?*]+\)")
_POINTER: Final = re.compile(
    r"(?:^|[._])(?:index|idx|cursor|line|row|col|column|offset|current|selected)$|_(?:index|idx)$", re.IGNORECASE
)
"""Names of what points into a list."""
_PART: Final = re.compile(
    r"(?:^|[._])(?:used|reserved|done|completed|processed|filled|sold|paid|active|busy|read|sent|acked)$|_(?:done|used)$",
    re.IGNORECASE,
)
"""Names of what counts up to a total."""


@lru_cache(maxsize=65536)
def is_bound_of(name: str, bound: str) -> bool:
    """Whether a column is called what bounds another: `max_hp` of `hp`, `capacity` of `used`, the length of what is indexed."""
    last = bound.rpartition(".")[2].casefold()
    if _BOUND.search(last):
        stem = re.sub("[^a-z]", "", _BOUND.sub("", last))
        return stem in name.casefold() and "(" not in name if stem else bool(_PART.search(name))
    if _POINTER.search(name):
        return bool(_TOTAL.search(bound) or _LENGTH.fullmatch(bound))
    return bool(_PART.search(name) and _TOTAL.search(bound))


def _is_misspelt(value: str, usual: list[str]) -> bool:
    if any(character.isdigit() for character in value):
        return False
    folded = [known.casefold() for known in usual]
    return value.casefold() in folded or bool(get_close_matches(value.casefold(), folded, n=1, cutoff=0.75))


def _brief(value: Value) -> str:
    if isinstance(value, float):
        return f"{value:.10g}"
    return repr(value)[:40]
