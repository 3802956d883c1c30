"""Which relations are worth watching: those that hold in a sample of rows and are not true by chance."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Final

from unspool.delta.identity import names_identity
from unspool.model.values import Value
from unspool.query.mining.columns import ITSELF, KEY, Columns, number_in
from unspool.query.mining.relations import Kind, Relation, is_bound_of

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
            yield Relation(Kind.VALUES, scope, (name,))
    varied = sorted(vectors, key=lambda name: (-len(set(vectors[name])), len(name)))[:_VARIED]
    yield from _alone(scope, varied, vectors)
    yield from _equalities(scope, varied, vectors)
    yield from _of_three(scope, varied[:_TERMS], vectors)
    yield from _orders(scope, varied, vectors)


def _alone(scope: str, names: Sequence[str], vectors: Vectors) -> Iterator[Relation]:
    for name in names:
        values = [value for value in vectors[name] if value is not None]
        if min(values) >= 0:
            yield Relation(Kind.LEAST, scope, (name,), 0.0)
        if "(" not in name and len(set(values)) > 1:
            yield Relation(Kind.RISES, scope, (name,))


def _equalities(scope: str, names: Sequence[str], vectors: Vectors) -> Iterator[Relation]:
    distinct = {name: len(set(vectors[name]) - {None}) for name in names}
    for a, b in combinations(names, 2):
        number = _difference(vectors[a], vectors[b])
        is_small = number is not None and abs(number) <= 16 and number == int(number)
        if number is not None and is_small and distinct[a] >= (5 if number else 3):
            first, second = sorted((a, b), key=lambda name: ("(" in name, len(name)))
            yield Relation(Kind.EQUAL, scope, (first, second), number if first == a else -number)


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
            yield from (Relation(Kind.AT_MOST, scope, (name, total)) for total in sums)


def _of_three(scope: str, names: Sequence[str], vectors: Vectors) -> Iterator[Relation]:
    full = {name: [value for value in vectors[name] if value is not None] for name in names}
    full = {name: values for name, values in full.items() if len(values) == len(vectors[name])}
    by_last: dict[float, list[str]] = {}
    for name, values in full.items():
        by_last.setdefault(round(values[-1], 5), []).append(name)
    for a, b in combinations(full, 2):
        for kind, last in ((Kind.SUM, full[a][-1] + full[b][-1]), (Kind.PRODUCT, full[a][-1] * full[b][-1])):
            for c in by_last.get(round(last, 5), ()):
                if c not in (a, b) and _is_made_of(kind, full[a], full[b], full[c]):
                    yield Relation(kind, scope, (a, b, c))


def _is_made_of(kind: Kind, left: Sequence[float], right: Sequence[float], made: Sequence[float]) -> bool:
    """Whether a column is the sum or product of two others in every row, and in enough of them not by zeros and ones."""
    trivial = (0,) if kind is Kind.SUM else (0, 1)
    told = 0
    for a, b, c in zip(left, right, made, strict=True):
        if abs((a + b if kind is Kind.SUM else a * b) - c) > 1e-5:
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
                yield Relation(Kind.ORDER, scope, (a, b), 1.0 if is_named and min(gaps) == 1 else 0.0)


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
                yield Relation(Kind.REFERENCE, scope, (name,), target=target)
