"""What speaks for a guess or against it: earlier writes of the value, other records of its list, when its sources were set."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final

from unspool.model.keys import Path, Step
from unspool.model.paths import child_of, parts_inside
from unspool.model.wire import decode
from unspool.query.path_writes import PathWrite, WriteKind
from unspool.query.why_formulas import (
    Formula,
    FormulaKind,
    FormulaMoment,
    Term,
    is_near,
    members_of,
    number_of,
    patterns_of,
)
from unspool.query.why_guesses import Goal, Weighed, information, number_bits

_RECORDS: Final = 6
"""Other records of a list that are looked at."""
_WRITES: Final = 3
"""Earlier writes that are looked at."""
_MOST_ALIKE: Final = 64
_BELIEF: Final = 0.7
"""How much of what a value says counts for a formula that gives it elsewhere too."""
_MOST_BELIEF: Final = 7.0
_AGAINST: Final = 0.4
"""What a formula is worth after each place at which it does not hold."""
_TURNED_ROUND: Final = 0.35
"""How often a difference or a quotient of what the entry wrote is the cause of its part."""
_AT_ONCE: Final = 0.85
"""How often what an entry wrote is made of other values that it wrote, and none of them of it."""
_TELLING: Final = 3.5
"""Bits that a value must say for it to speak for a formula or against it."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """At how many other places a formula holds.

    Attributes:
        held: earlier writes at which it gives the value.
        writes: earlier writes at which it could be tried.
        alike: other records in which it gives the value.
        records: other records in which it could be tried.
        belief: what all this multiplies its weight by.
        trust: how likely it is that a relation that holds is the cause: not the other way round, and not met by chance.
    """

    held: int = 0
    writes: int = 0
    alike: int = 0
    records: int = 0
    belief: float = 1.0
    trust: float = 1.0


MomentAt = Callable[[int], FormulaMoment | None]
"""Gives the states before and after an entry; None where they cannot be read or the time is over."""
WritesOf = Callable[[Path], Iterator[PathWrite]]
"""Gives the writes of a value before the entry, newest first."""


def evidence_for(
    weighed: Weighed, goal: Goal, moment: FormulaMoment, writes_of: WritesOf, states_at: MomentAt
) -> Evidence:
    """Look at other places where a formula should hold.

    Args:
        weighed: the formula.
        goal: the value that it gives.
        moment: the entry that wrote it.
        writes_of: where earlier writes come from; at most a few of them are taken.
        states_at: where states come from.
    """
    if weighed.formula.kind is FormulaKind.STEP or weighed.turned:
        # That c = a * b holds elsewhere too says nothing for a = c / b.
        return Evidence(trust=_TURNED_ROUND if weighed.turned else 1.0)
    held = writes = alike = records = 0
    belief = 1.0
    for outcome, bits in _elsewhere(weighed.formula, goal, moment):
        records += 1
        alike += outcome
        belief *= _worth(outcome, bits, 5.0)
    at_once = all(known.written and not known.before for known in weighed.known)
    is_equal = at_once and _is_copy(weighed.formula) and not weighed.formula.onto
    for outcome, bits in _earlier(weighed.formula, goal, writes_of(goal.path), states_at, alone=is_equal):
        writes += 1
        held += outcome
        belief *= _worth(outcome, bits, _MOST_BELIEF)
    trust = (1 + held + alike) / (1 + writes + records)
    if is_equal:
        trust = _direction(weighed, goal, held, writes, writes_of, states_at)
    elif at_once and weighed.formula.terms and not weighed.formula.onto:
        trust *= _AT_ONCE if all(term.sign > 0 for term in weighed.formula.terms) else _TURNED_ROUND
    return Evidence(held, writes, alike, records, belief, trust)


def _direction(
    weighed: Weighed, goal: Goal, held: int, writes: int, writes_of: WritesOf, states_at: MomentAt
) -> float:
    """Return how likely it is that of two equal values that an entry wrote the second came from the first.

    What was written before without the other did not come from it then.
    """
    (known,) = weighed.known
    turned = Formula(FormulaKind.COPY, (Term(goal.path),))
    source = Goal(known.path, known.encoded, None)
    outcomes = [outcome for outcome, _ in _earlier(turned, source, writes_of(known.path), states_at, alone=True)]
    forth = (1 + held) / (2 + writes)
    back = (1 + sum(outcomes)) / (2 + len(outcomes))
    return forth / (forth + back)


def _worth(holds: bool, bits: float, most: float) -> float:
    return float(2 ** min(bits * _BELIEF, most)) if holds else _AGAINST


def _elsewhere(formula: Formula, goal: Goal, moment: FormulaMoment) -> Iterator[tuple[bool, float]]:
    """Yield whether a formula within one record gives the same field of other records."""
    size = _record_size(goal.path)
    record = goal.path[:size]
    if not size or formula.onto or any(term.before for term in formula.terms):
        return
    if not any(term.path[:size] == record for term in formula.terms):
        return
    is_within = all(term.path[:size] == record for term in formula.terms)
    for step in islice(_other_steps(moment, record), _RECORDS):
        other = (*record[:-1], step)
        value = _at(moment, (*other, *goal.path[size:]))
        if value is None or value == goal.encoded:
            continue
        bits = information(decode(value))
        moved = formula.moved(record, other)
        outcome = moved.gives(value, None, moment.before, moment.after)
        # Where something outside of the record is used, another record may use another: that one is wrong says nothing.
        if outcome is not None and bits >= _TELLING and (outcome or is_within):
            yield outcome, bits


def _record_size(path: Path) -> int:
    """Return how many steps of a path lead to the record of a list, or of an object of records, that it is in."""
    indices = [at for at, step in enumerate(path) if isinstance(step, int)]
    if indices and indices[-1] < len(path) - 1:
        return indices[-1] + 1
    return len(path) - 1 if len(path) > 2 else 0


def _other_steps(moment: FormulaMoment, record: Path) -> Iterator[Step]:
    holder = _at(moment, record[:-1])
    parts = None if holder is None else parts_inside(holder)
    steps = parts if isinstance(parts, dict) else range(len(parts or ()))
    yield from (step for step in steps if step != record[-1])


def _at(moment: FormulaMoment, path: Path) -> bytes | None:
    value = moment.after.get(str(path[0])) if path else None
    for step in path[1:]:
        found = None if value is None else child_of(value, step)
        if found is None:
            return None
        value = found[1]
    return value


def _earlier(
    formula: Formula, goal: Goal, earlier: Iterator[PathWrite], states_at: MomentAt, *, alone: bool = False
) -> Iterator[tuple[bool, float]]:
    """Yield whether a formula gives what earlier writes of the same value set; `alone`: also where it has no values."""
    for write in islice(earlier, _WRITES):
        if write.new_bytes is None or write.new_bytes == goal.encoded:
            continue
        bits = _said_by(formula, write.old_bytes, write.new_bytes)
        states = states_at(write.seq) if bits >= _TELLING else None
        if states is None:
            continue
        moved = formula
        if write.path != goal.path:
            size = 1 + max(at for at, (one, two) in enumerate(zip(write.path, goal.path, strict=True)) if one != two)
            moved = formula.moved(goal.path[:size], write.path[:size])
        # What went away at one write may have stood at another.
        terms = tuple(replace(term, before=False) for term in moved.terms)
        outcomes = [
            made.gives(write.new_bytes, write.old_bytes, states.before, states.after)
            for made in (moved, replace(moved, terms=terms))
        ]
        if any(outcomes):
            yield True, bits
        elif alone or any(outcome is not None for outcome in outcomes):
            among = _among_alike(moved, write, states) if _is_copy(formula) else 0
            # What a value begins as says nothing of how it is made later.
            if among or write.kind is not WriteKind.ADDED:
                yield among > 0, bits - math.log2(among or 1)


def _said_by(formula: Formula, old: bytes | None, new: bytes) -> float:
    """Return how many bits a write says of a formula: where that gives only what is added, the sum says nothing of it."""
    if not formula.onto:
        return information(decode(new))
    before, after = None if old is None else number_of(old), number_of(new)
    return 0.0 if before is None or after is None else number_bits(abs(after - before)) or 0.0


def _is_copy(formula: Formula) -> bool:
    return formula.kind in (FormulaKind.COPY, FormulaKind.ELEMENT, FormulaKind.MOVE)


def _among_alike(formula: Formula, write: PathWrite, states: FormulaMoment) -> int:
    """Return among how many values alike (the same field of other records) one gives what a write set; 0 for none."""
    (term,) = formula.terms
    wanted = None if write.new_bytes is None else number_of(write.new_bytes)
    for pattern in () if formula.onto else patterns_of(term.path)[:2]:
        members = [form for _, form in islice(members_of(states.after, pattern), _MOST_ALIKE)]
        if any(form == write.new_bytes or is_near(number_of(form), wanted) for form in members):
            return len(members)
    return 0
