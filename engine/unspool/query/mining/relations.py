"""Relations between columns: whether one holds in a row, how well it was tried, and where it broke."""

from __future__ import annotations

import math
import re
import sys
from collections import Counter
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from enum import StrEnum
from functools import lru_cache
from itertools import combinations
from typing import Final

from unspool.delta.identity import names_identity
from unspool.model.values import Value
from unspool.query.mining.columns import ITSELF, KEY, Columns, Place, RecordRow, is_number, number_in

_DISTINCT: Final = 64
"""Different values remembered of one column."""
_SINCE_NEW: Final = 6
"""Changes that a relation must have withstood since anything new was seen."""
_BREAKS: Final = 1000
"""Breaks of one relation that are kept."""


class RelationKind(StrEnum):
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

    kind: RelationKind
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
            case RelationKind.SUM:
                return f"{a} + {b} == {c}"
            case RelationKind.PRODUCT:
                return f"{a} * {b} == {c}"
            case RelationKind.EQUAL:
                sign = "+" if self.number > 0 else "-"
                return f"{a} == {b}" + (f" {sign} {abs(self.number):g}" if self.number else "")
            case RelationKind.ORDER | RelationKind.AT_MOST:
                return f"{a} < {b}" if self.number else f"{a} <= {b}"
            case RelationKind.LEAST:
                return f"{a} >= {self.number:g}"
            case RelationKind.RISES:
                return f"{a} never falls"
            case RelationKind.VALUES:
                return f"{a} is one of {', '.join(sorted(map(repr, self.seen)))}"
            case RelationKind.REFERENCE:
                return f"{a} is in {self.target}"
        return f"{a} stays the same"

    def holds_in(self, row: RecordRow, targets: Container[Value] = ()) -> bool | None:
        """Whether the relation holds in a row; None where it cannot be asked."""
        value = row.columns.get(self.columns[0])
        if self.kind is RelationKind.VALUES:
            return self._is_usual(value)
        if self.kind is RelationKind.REFERENCE:
            return None if not isinstance(value, str | int) or isinstance(value, bool) else value in targets
        numbers = [number for number in map(number_in, map(row.columns.get, self.columns)) if number is not None]
        if len(numbers) < len(self.columns):
            return None
        a, b, c = (*numbers, 0, 0)[:3]
        match self.kind:
            case RelationKind.SUM:
                return self._same(a + b, c)
            case RelationKind.PRODUCT:
                return self._same(a * b, c)
            case RelationKind.EQUAL:
                return self._same(a - self.number, b)
            case RelationKind.ORDER | RelationKind.AT_MOST:
                return a + self.number <= b or (not self.number and math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-9))
            case RelationKind.LEAST:
                return a >= self.number
        before = number_in(row.before.get(self.columns[0]))
        if before is None or row.is_new or not row.is_certain:
            return None
        return a >= before if self.kind is RelationKind.RISES else self._same(a, before)

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

    def keep(self, row: RecordRow, actor: str, epoch: int) -> None:
        """Note that the relation held in a row."""
        self.support = self.support + 1 if epoch == self.epoch else 1
        self.epoch = epoch
        self.total += 1
        self.holds_by[actor] += 1
        value = row.columns.get(self.columns[0])
        if self.kind is RelationKind.VALUES:
            self.since_new = self.since_new + 1 if value in self.seen else 0
        if value in self.seen or len(self.seen) < _DISTINCT:
            self.seen[value] += 1
        if self.kind in (RelationKind.ORDER, RelationKind.AT_MOST):
            self.visits += self._is_met(row)
        elif self.kind is RelationKind.LEAST:
            self.visits += value == self.number and self.columns[0] in row.changed

    def _is_met(self, row: RecordRow) -> bool:
        """Whether an order was tried to its edge: both sides are as near as they may be and were not before."""
        a, b = self.columns
        left, right = row.columns[a] + self.number, row.columns[b]
        was = (row.before.get(a, row.columns[a]), row.before.get(b, right))
        was_met = all(map(is_number, was)) and was[0] + self.number == was[1]
        is_other = row.is_new or not was_met or self.kind is RelationKind.AT_MOST
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
            case RelationKind.SUM | RelationKind.PRODUCT | RelationKind.EQUAL:
                return 60 if self.number else 20, 6, 0
            case RelationKind.KEEPS:
                return 12, 1, 0
            case RelationKind.ORDER:
                return (25, 3, 2) if is_bound_of(a, self.columns[1]) else (60, 3, 8)
            case RelationKind.LEAST:
                return (30, 4, 0) if _COUNT.search(a) else (60, 4, 6)
            case RelationKind.RISES:
                return 25, 6, 0
            case RelationKind.VALUES:
                return 20 + max(0, 20 - self.since_new), 2, 0
            case RelationKind.REFERENCE:
                return 20, 4, 0
        return sys.maxsize, 0, 0

    def broke(self, row: RecordRow, seq: int, actor: str, epoch: int, is_new: bool) -> Break:
        """Return the break that a row is."""
        is_tried = epoch == self.epoch and self.is_tried()
        told = ", ".join(f"{name} is {_brief(row.columns.get(name))}" for name in self.columns)
        before = row.before.get(self.columns[0])
        value = row.columns.get(self.columns[0])
        is_mild = is_new
        if self.kind in (RelationKind.RISES, RelationKind.KEEPS):
            told = f"{self.columns[0]} goes from {_brief(before)} to {_brief(value)}"
        if self.kind is RelationKind.RISES:
            # A count that begins anew is no fault, whoever does it.
            is_mild = is_mild or value == 0 or value == self.first.get(row.place)
        if self.kind is RelationKind.VALUES:
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


_VARIED: Final = 40
"""Numeric columns of one record that are looked at together, those that changed most."""
_TERMS: Final = 24
"""Columns of which sums and products of two are formed."""
_PAIRS: Final = 64
"""Numbers of a record times sums in it, beyond which they are not compared each with each."""
_ROWS: Final = 8
"""Rows in which both sides must be there."""

Vectors = dict[str, list[float | None]]


def seeds(scope: str, sample: Sequence[Columns]) -> Iterator[Relation]:
    """Yield the relations of numbers and values that hold in a sample of rows of one kind of record."""
    names = {name: None for columns in sample for name in columns if name not in (KEY,)}
    vectors: Vectors = {}
    for name in names:
        values = [columns.get(name) for columns in sample]
        kept: list[float | None] = [number_in(value) for value in values]
        if sum(value is not None for value in kept) >= _ROWS and not names_identity(name):
            vectors[name] = kept
        elif any(isinstance(value, str) for value in values) and not names_identity(name) and name != ITSELF:
            yield Relation(RelationKind.VALUES, scope, (name,))
    varied = sorted(vectors, key=lambda name: (-len(set(vectors[name])), len(name)))[:_VARIED]
    yield from _alone(scope, varied, vectors)
    yield from _equalities(scope, varied, vectors)
    yield from _of_three(scope, varied[:_TERMS], vectors)
    yield from _orders(scope, varied, vectors)


def _alone(scope: str, names: Sequence[str], vectors: Vectors) -> Iterator[Relation]:
    for name in names:
        values = [value for value in vectors[name] if value is not None]
        if min(values) >= 0:
            yield Relation(RelationKind.LEAST, scope, (name,), 0.0)
        if "(" not in name and len(set(values)) > 1:
            yield Relation(RelationKind.RISES, scope, (name,))


def _equalities(scope: str, names: Sequence[str], vectors: Vectors) -> Iterator[Relation]:
    distinct = {name: len(set(vectors[name]) - {None}) for name in names}
    for a, b in combinations(names, 2):
        number = _difference(vectors[a], vectors[b])
        is_small = number is not None and abs(number) <= 16 and number == int(number)
        if number is not None and is_small and distinct[a] >= (5 if number else 3):
            first, second = sorted((a, b), key=lambda name: ("(" in name, len(name)))
            yield Relation(RelationKind.EQUAL, scope, (first, second), number if first == a else -number)


def _difference(left: Sequence[float | None], right: Sequence[float | None]) -> float | None:
    """Return by how much one column is always more than another; None where that is not always the same."""
    found: float | None = None
    rows = 0
    for a, b in zip(left, right, strict=True):
        if a is None or b is None:
            continue
        rows += 1
        if found is None:
            found = a - b
        elif abs(a - b - found) > 1e-6:
            return None
    return round(found, 6) if found is not None and rows >= _ROWS else None


def totals(scope: str, columns: Columns) -> Iterator[Relation]:
    """Yield for each number of a record that it is at most the sum of something in the record.

    These are judged in the end, by who breaks them: a fault may be there from the first entry on.
    """
    plain = [name for name in columns if "(" not in name and name != KEY and number_in(columns[name]) is not None]
    sums = [name for name in columns if name.startswith("sum(")]
    for name in plain if len(plain) * len(sums) <= _PAIRS else ():
        if not names_identity(name):
            yield from (Relation(RelationKind.AT_MOST, scope, (name, total)) for total in sums)


def _of_three(scope: str, names: Sequence[str], vectors: Vectors) -> Iterator[Relation]:
    full = {name: [value for value in vectors[name] if value is not None] for name in names}
    full = {name: values for name, values in full.items() if len(values) == len(vectors[name])}
    by_last: dict[float, list[str]] = {}
    for name, values in full.items():
        by_last.setdefault(round(values[-1], 5), []).append(name)
    for a, b in combinations(full, 2):
        for kind, last in (
            (RelationKind.SUM, full[a][-1] + full[b][-1]),
            (RelationKind.PRODUCT, full[a][-1] * full[b][-1]),
        ):
            for c in by_last.get(round(last, 5), ()):
                if c not in (a, b) and _is_made_of(kind, full[a], full[b], full[c]):
                    yield Relation(kind, scope, (a, b, c))


def _is_made_of(kind: RelationKind, left: Sequence[float], right: Sequence[float], made: Sequence[float]) -> bool:
    """Whether a column is the sum or product of two others in every row, and in enough of them not by zeros and ones."""
    trivial = (0,) if kind is RelationKind.SUM else (0, 1)
    told = 0
    for a, b, c in zip(left, right, made, strict=True):
        if abs((a + b if kind is RelationKind.SUM else a * b) - c) > 1e-5:
            return False
        told += a not in trivial and b not in trivial
    return told >= 4 and len(set(made)) >= 4


def _orders(scope: str, names: Sequence[str], vectors: Vectors) -> Iterator[Relation]:
    for pair in combinations(names, 2):
        for a, b in (pair, pair[::-1]):
            is_named = is_bound_of(a, b)
            if not is_named and ("(" in a or "(" in b or _parent(a) != _parent(b)):
                continue
            gaps = [right - left for left, right in _both(vectors[a], vectors[b])]
            if len(gaps) >= _ROWS and min(gaps) >= 0 and max(gaps) > 0:
                yield Relation(RelationKind.ORDER, scope, (a, b), 1.0 if is_named and min(gaps) == 1 else 0.0)


def _parent(name: str) -> str:
    """Return the object that a column stands in; a total stands in the one that holds its collection."""
    inside = name.partition("(")[2].rstrip(")") or name
    for mark in ("[", ".*"):
        inside = inside.partition(mark)[0]
    return inside.rpartition(".")[0]


def _both(left: Sequence[float | None], right: Sequence[float | None]) -> list[tuple[float, float]]:
    return [(a, b) for a, b in zip(left, right, strict=True) if a is not None and b is not None]


def references(
    scope: str, records: Sequence[Columns], targets: Mapping[str, tuple[str, frozenset[Value]]]
) -> Iterator[Relation]:
    """Yield the relations by which a column of some records holds ids of other records.

    Args:
        scope: the kind of record.
        records: all records of that kind that there are.
        targets: for each collection its kind of record and its ids, by what expressions call it.
    """
    names = {name: None for columns in records for name in columns}
    for name in names:
        values = {columns.get(name) for columns in records} - {None}
        texts = {value for value in values if isinstance(value, str)}
        numbers = {value for value in values if isinstance(value, int) and not isinstance(value, bool)}
        if values != texts and not (values == numbers and names_identity(name)):
            continue
        for target, (kind, ids) in targets.items():
            if kind != scope and len(values) >= 1 and values <= ids:
                yield Relation(RelationKind.REFERENCE, scope, (name,), target=target)
