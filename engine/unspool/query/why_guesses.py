"""What may explain a value that an entry wrote: every formula over other values that gives it, weighed.

A formula is a guess. How sure it is follows from what else would give the value by chance: a value says so many bits
(`true` one, 1299.5 fourteen), naming the values of a formula costs so many, and all formulas that give the value share
what is left with "none of them". Values that the entry wrote, that stand in the same record, or have the same name cost
least to name. So a trivial value explains nothing, and where several explain it alike none is sure. Evidence for or against
a guess is what earlier writes of the value and other records of its list show, and when its sources were set.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final

from unspool.model.keys import Path, Step
from unspool.model.paths import child_of, content_of, parts_inside
from unspool.model.values import Value
from unspool.model.wire import FormShape, decode, shape_of
from unspool.query.path_writes import PathWrite, WriteKind
from unspool.query.why_formulas import (
    STAR,
    Formula,
    FormulaKind,
    FormulaMoment,
    Known,
    Term,
    decimals_of,
    fits,
    is_near,
    members_of,
    number_of,
    patterns_of,
    term_of,
    text_of,
)

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


_POOL: Final = 240
"""Numbers that are tried in pairs, the nearest first."""
_NEAREST: Final = 24
"""Numbers that are tried in threes."""
_SCALED: Final = 60
"""Numbers that are tried with usual rates."""
_MOST_BITS: Final = 40.0
_ZERO: Final = 1.0
"""Bits that a zero at the end of a whole number says."""
_LETTERS: Final = 1.2
"""Bits that a letter of a lower-case word says, beyond three for the word."""
_SIGNS: Final = 2.5
"""Bits that a character of any other text says."""
_WRITTEN, _LATELY, _RECORD, _ATOM, _STATE, _BEFORE = 0.3, 0.2, 0.2, 0.1, 0.12, 0.08
"""How often a value that explains another was written by the entry or shortly before, stands in its record, its atom, or
anywhere, or went."""
_OPERATIONS: Final = {
    FormulaKind.COPY: 0.35, FormulaKind.ELEMENT: 0.35, FormulaKind.MOVE: 0.35, FormulaKind.NEGATION: 0.01, FormulaKind.SUM: 0.12, FormulaKind.PRODUCT: 0.08,
    FormulaKind.PERCENT: 0.03, FormulaKind.QUOTIENT: 0.02, FormulaKind.SCALED: 0.02, FormulaKind.COLUMN_SUM: 0.12, FormulaKind.COLUMN_PRODUCT: 0.015,
    FormulaKind.LENGTH: 0.04, FormulaKind.TEXT: 0.05, FormulaKind.STEP: 0.1,
}  # fmt: skip
_THREES: Final = 0.25
"""What a sum of three is worth beside one of two."""
_ONTO: Final = 0.5
"""What adding to the value before is worth beside setting it."""
_SAME_NAME: Final = 4.0
_FROM_BEFORE: Final = 10.0
"""What a copy of something older is worth beside one of what the same entry wrote."""
_MOVED: Final = 20.0
"""What a copy is worth of what the same entry took away, beside one of what it only changed."""
_CLOCKWORK: Final = 3
"""Of so many entries before one in which a value was written too, it is half as likely to be used for having been written."""
_COPIES: Final = frozenset((FormulaKind.COPY, FormulaKind.ELEMENT, FormulaKind.MOVE))


def _named(worth: float, words: str) -> tuple[float, frozenset[str]]:
    return worth, frozenset(words.split())


_NAMED: Final[dict[FormulaKind, tuple[float, frozenset[str]]]] = {
    FormulaKind.SCALED: _named(8, "tax vat fee discount tip share rate percent commission interest margin gross net"),
    FormulaKind.PERCENT: _named(8, "tax vat fee discount tip share commission interest margin"),
    FormulaKind.SUM: _named(3, "total sum balance amount due subtotal grand gross net remaining left score"),
    FormulaKind.COLUMN_SUM: _named(5, "total sum subtotal balance all score used spent weight"),
    FormulaKind.COLUMN_PRODUCT: _named(5, "total sum subtotal value worth cost"),
    FormulaKind.PRODUCT: _named(3, "total amount cost line sum value price area damage"),
    FormulaKind.LENGTH: _named(8, "count size len length number num total n rows items"),
    FormulaKind.QUOTIENT: _named(6, "average avg mean ratio rate share per each unit"),
}
"""Words in a name that tell how a value is made, and how much that is worth."""
_USUAL: Final = (
    0.05, 0.07, 0.075, 0.08, 0.1, 0.15, 0.19, 0.2, 0.21, 0.25, 0.5, 0.9, 0.8, 1.1, 1.19, 1.2, 100.0, 0.01,
)  # fmt: skip
_COUNTS: Final = tuple(map(float, range(2, 13)))
_RATES: Final = tuple(
    sorted(({rate / 200 for rate in range(1, 61)} | {rate / 100 for rate in range(1, 151)}) - {1.0, *_USUAL})
)
_FACTORS: Final = ((_USUAL, 0.45), (_COUNTS, 0.3), (_RATES, 0.25))
"""Factors that the state need not have: usual rates, small counts, other rates; and how often each kind is used."""
_NOT_OF_THE_STATE: Final = 0.1
"""What a rate is worth that the state has as a value of its own."""
_TURNED: Final = {FormulaKind.QUOTIENT: 0.03, FormulaKind.SUM: 0.4}
"""What a quotient or a difference is worth whose first value the entry wrote: that one may well be the product or the sum."""
_ENOUGH_BITS: Final = 5.0
"""What a value must say for arithmetic to be tried on it."""


_WORD: Final = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[^\W\d_]+")


@dataclass(frozen=True, slots=True)
class Weighed:
    """A formula that gives a value.

    Attributes:
        formula: the formula.
        known: the values it uses.
        weight: how likely it is, beside the others.
        turned: whether the entry may as well have made one of them out of it: c = a * b also gives a = c / b.
    """

    formula: Formula
    known: tuple[Known, ...]
    weight: float
    turned: bool = False


@dataclass(frozen=True, slots=True)
class Goal:
    """A value to be explained.

    Attributes:
        path: where it stands after the entry.
        encoded: its wire form.
        own: what stood there before; None for nothing.
        barred: paths that must not explain it: those that it explains already.
    """

    path: Path
    encoded: bytes
    own: bytes | None
    barred: frozenset[Path] = frozenset()

    @property
    def words(self) -> frozenset[str]:
        """The words of its name."""
        return _words(self.path)


def _words(path: Path) -> frozenset[str]:
    names = [step for step in path[-2:] if isinstance(step, str)]
    return frozenset(word.lower() for name in names for word in _WORD.findall(name))


_QUANTITIES: Final = frozenset(
    [
        "qty",
        "quantity",
        "count",
        "number",
        "units",
        "times",
        "pieces",
        "amount",
        "hours",
        "days",
        "rate",
        "factor",
        "gain",
    ]
)
"""Words in the names of what other values are multiplied by."""
_COUNTED: Final = 4.0


def information(value: Value) -> float:
    """Return how many bits a value says: how unlikely it is to be met by chance."""
    content = content_of(value)
    if content is None or isinstance(content, bool) or content == "" or content == [] or content == {}:
        return 1.0
    if isinstance(content, str):
        word = content.isalpha() and content.islower()
        return min(_MOST_BITS, 3 + (_LETTERS if word else _SIGNS) * len(content))
    number = number_bits(content)
    return 24.0 if number is None else number


def number_bits(content: Value) -> float | None:
    """Return how many bits a number says: round ones say little."""
    if isinstance(content, bool) or not isinstance(content, int | float):
        try:
            digits = str(content) if not isinstance(content, str) and hasattr(content, "as_tuple") else ""
        except ValueError:
            digits = ""
        if not digits:
            return None
    else:
        if isinstance(content, int) and abs(content) > 10**18:
            return _MOST_BITS
        # A difference of two whole numbers is a float and says no more than they do.
        digits = repr(int(content) if isinstance(content, float) and content.is_integer() else content)
    whole = digits.lower().partition("e")[0].replace(".", "").replace("-", "").lstrip("0")
    mantissa = whole.rstrip("0")
    if not mantissa.isdigit():
        return 1.0
    zeros = 0 if "." in digits else len(whole) - len(mantissa)
    bits = 2 + math.log2(int(mantissa[:15]) + 1) + (1 if "." in digits else 0) + _ZERO * zeros
    return min(_MOST_BITS, bits)


def weigh(moment: FormulaMoment, goal: Goal) -> list[Weighed]:
    """Return the formulas that give a value, the likeliest first."""
    best: dict[tuple[object, ...], Weighed] = {}
    for one in _Weighing(moment, goal).found():
        formula = one.formula
        terms = frozenset(formula.terms) if formula.kind in (FormulaKind.SUM, FormulaKind.PRODUCT) else formula.terms
        known = best.setdefault((formula.kind, terms, formula.factor, formula.onto), one)
        if one.weight > known.weight:
            best[formula.kind, terms, formula.factor, formula.onto] = one
    return sorted(_rather_from_before(list(best.values())), key=lambda one: -one.weight)


def _rather_from_before(found: list[Weighed]) -> list[Weighed]:
    """Where a value stood elsewhere before the entry and the entry wrote it twice, it rather came from there."""
    copies = [one for one in found if one.formula.kind in _COPIES and not one.formula.onto]
    if all(one.known[0].written for one in copies) or not any(one.known[0].written for one in copies):
        return found
    return [
        replace(one, weight=one.weight * _FROM_BEFORE) if one in copies and not one.known[0].written else one
        for one in found
    ]


class _Weighing:
    """Looks for what gives one value."""

    def __init__(self, moment: FormulaMoment, goal: Goal) -> None:
        self._moment = moment
        self._goal = goal
        self._value = decode(goal.encoded)
        self._number = number_of(goal.encoded)
        self._own = None if goal.own is None else number_of(goal.own)
        self._decimals = decimals_of(self._value) if self._number is not None else 0
        self._bits = information(self._value)
        self._words = goal.words
        record, atom = goal.path[:-1], goal.path[:1]
        usable = [known for known in moment.values if self._may_use(known)]
        self._shares = _shares(usable, record, atom, moment.lately)
        self._usable = usable
        self._places = {id(known): place for place, known in enumerate(usable)}
        self._counts = Counter(known.number for known in usable if known.number is not None)

    def _may_use(self, known: Known) -> bool:
        path, own = known.path, self._goal.path
        if known.before:
            return path != own
        size = min(len(path), len(own))
        return path[:size] != own[:size] and path not in self._goal.barred

    def _share(self, known: Known) -> float:
        """Return how likely it is that a value is copied, before looking at it."""
        same = known.path[-1] == self._goal.path[-1] and isinstance(known.path[-1], str)
        return min(self._shares(known) * (_SAME_NAME if same else 1.0), 1.0)

    def found(self) -> Iterator[Weighed]:
        yield from self._copies()
        if self._number is None:
            yield from self._texts()
            return
        if self._bits < _ENOUGH_BITS and self._number == 0:
            return
        yield from self._lengths(self._number)
        yield from self._arithmetic(self._number, self._decimals, 0)
        own = self._own
        if own and not is_near(own, self._number):
            delta = self._number - own
            sign = 1 if delta > 0 else -1
            decimals = max(self._decimals, decimals_of(decode(self._goal.own or b"\xc0")))
            yield from self._steps(abs(delta), sign)
            size = round(abs(delta), min(decimals, 9)) if decimals <= 9 else abs(delta)
            yield from self._onto_copies(size, sign)
            yield from self._arithmetic(size, decimals, sign)

    def _made(self, kind: FormulaKind, known: Sequence[Known], weight: float, *, signs: Sequence[int] = (), factor: float = 1.0,
              onto: int = 0) -> Weighed:  # fmt: skip
        if kind in (FormulaKind.SUM, FormulaKind.PRODUCT) and -1 not in signs:
            known = sorted(known, key=lambda one: self._places[id(one)])
        terms = tuple(term_of(one, sign) for one, sign in zip(known, signs or [1] * len(known), strict=True))
        worth, words = _NAMED.get(kind, (1.0, frozenset()))
        if words & self._words:
            weight *= worth
        scale = _OPERATIONS[kind] * (_ONTO if onto else 1.0)
        if kind is FormulaKind.PRODUCT and any(_words(one.path) & _QUANTITIES for one in known):
            scale *= _COUNTED
        formula = Formula(kind, terms, factor, onto)
        turned = _is_turned(formula, known, self._counts)
        return Weighed(formula, tuple(known), weight * scale * (_TURNED[kind] if turned else 1.0), turned)

    def _copies(self) -> Iterator[Weighed]:
        candidates: Sequence[Known] = self._usable
        if shape_of(self._goal.encoded) in (FormShape.MAP, FormShape.LIST):
            candidates = [known for known in self._moment.containers if self._may_use(known)]
        for known in candidates:
            if known.encoded == self._goal.encoded or (
                self._number is not None and is_near(known.number, self._number)
            ):
                kind = FormulaKind.COPY
                if known.before and known.path not in self._after_paths():
                    kind = FormulaKind.MOVE
                elif isinstance(known.path[-1], int):
                    kind = FormulaKind.ELEMENT
                yield self._made(kind, (known,), self._share(known) * (_MOVED if kind is FormulaKind.MOVE else 1.0))
            elif self._number and known.number is not None and is_near(-known.number, self._number):
                yield self._made(FormulaKind.NEGATION, (known,), self._share(known))

    def _after_paths(self) -> Collection[Path]:
        if not hasattr(self, "_after"):
            self._after = frozenset(known.path for known in self._moment.values if not known.before)
        return self._after

    def _texts(self) -> Iterator[Weighed]:
        if not isinstance(self._value, str) or len(self._value) > 2_000:
            return
        for known in self._usable:
            if known.encoded == self._goal.encoded or len(known.encoded) > 600 or known.length >= 0:
                continue
            text = text_of(known.encoded)
            if len(text) < 2 or text not in self._value:
                continue
            bits = information(decode(known.encoded))
            if bits >= _ENOUGH_BITS:
                # Only the part that stands in it is explained, so the part's bits count, and the whole's are for nothing.
                told = 2.0 ** (min(bits, self._bits) - self._bits)
                yield self._made(FormulaKind.TEXT, (known,), self._share(known) * told)

    def _lengths(self, target: float) -> Iterator[Weighed]:
        if target < 1 or target != int(target):
            return
        same = [one for one in self._moment.containers if one.length == target and self._may_use(one)]
        all_of_them = max(1, len(self._moment.containers))
        for known in same:
            share = 0.5 / all_of_them + (0.3 / len(same) if known.written else 0.0)
            if known.path[:-1] == self._goal.path[:-1]:
                share += 0.2 / len(same)
            yield self._made(FormulaKind.LENGTH, (known,), share)

    def _steps(self, size: float, sign: int) -> Iterator[Weighed]:
        if size in (1.0, 2.0, 5.0, 10.0):
            yield self._made(FormulaKind.STEP, (), 0.5 / (1 + size), factor=size, onto=sign)

    def _onto_copies(self, size: float, sign: int) -> Iterator[Weighed]:
        for known in self._usable:
            if known.number and is_near(abs(known.number), size):
                onto = sign if known.number > 0 else -sign
                yield self._made(FormulaKind.COPY, (known,), self._share(known), onto=onto)

    def _arithmetic(self, target: float, decimals: int, onto: int) -> Iterator[Weighed]:
        """Yield formulas of several numbers that give a number."""
        if target == 0 or (number_bits(target) or 0) <= _ENOUGH_BITS - 2:
            return
        yield from self._column_sums(target, onto)
        ranked = sorted(
            ((self._shares(known), known) for known in self._usable if known.number),
            key=lambda pair: -pair[0],
        )[:_POOL]
        pool = [(known.number or 0.0, share, known) for share, known in ranked]
        by_number = sorted(pool, key=lambda item: item[0])
        numbers = [item[0] for item in by_number]
        yield from self._pairs(target, decimals, onto, pool, by_number, numbers)
        yield from self._threes(target, onto, pool[:_NEAREST])
        yield from self._scaled(target, decimals, onto, pool[:_SCALED])

    def _pairs(self, target: float, decimals: int, onto: int, pool: list[_Item], by_number: list[_Item],
               numbers: list[float]) -> Iterator[Weighed]:  # fmt: skip
        slack = max(1.0 if decimals == 0 else 10.0**-decimals, abs(target) * 1e-9)
        for number, share, known in pool:
            for sign in (1, -1):
                # target = number + sign * other; a sum is met from both ends, so one of them is enough.
                wanted = (target - number) * sign
                for _, other_share, other in _near(by_number, numbers, wanted, abs(target) * 1e-9 + 1e-9):
                    if other is known or (sign > 0 and self._places[id(other)] < self._places[id(known)]):
                        continue
                    yield self._made(FormulaKind.SUM, (known, other), share * other_share, signs=(1, sign), onto=onto)
            for kind, wanted, factor in (
                (FormulaKind.PRODUCT, target / number, 1.0),
                (FormulaKind.PERCENT, target / number * 100, 0.01),
                (FormulaKind.QUOTIENT, number / target, 1.0),
            ):
                width = (
                    abs(slack / number) if kind is not FormulaKind.QUOTIENT else abs(slack * number / target / target)
                )
                for other_number, other_share, other in _near(
                    by_number, numbers, wanted, width * (100 if factor < 1 else 1)
                ):
                    if other is known or abs(other_number) == 1 or abs(number) == 1:
                        continue
                    if kind is FormulaKind.PRODUCT and self._places[id(other)] < self._places[id(known)]:
                        continue
                    made = number / other_number if kind is FormulaKind.QUOTIENT else number * other_number * factor
                    if fits(made, target, decimals, True):
                        exact = 1.0 if is_near(made, target) else 0.5
                        yield self._made(kind, (known, other), share * other_share * exact, factor=factor, onto=onto)

    def _threes(self, target: float, onto: int, pool: list[_Item]) -> Iterator[Weighed]:
        by_number = sorted(pool, key=lambda item: item[0])
        numbers = [item[0] for item in by_number]
        for at, (one, share, known) in enumerate(pool):
            for two, second_share, second in pool[at + 1 :]:
                for signs in ((1, 1, 1), (1, 1, -1), (1, -1, 1), (1, -1, -1), (-1, 1, 1)):
                    wanted = (target - signs[0] * one - signs[1] * two) * signs[2]
                    for _, third_share, third in _near(by_number, numbers, wanted, abs(target) * 1e-9 + 1e-9):
                        if third is known or third is second or (
                            signs[2] == signs[1] and self._places[id(third)] < self._places[id(second)]
                        ):  # fmt: skip
                            continue
                        weight = share * second_share * third_share * _THREES
                        yield self._made(FormulaKind.SUM, (known, second, third), weight, signs=signs, onto=onto)

    def _scaled(self, target: float, decimals: int, onto: int, pool: list[_Item]) -> Iterator[Weighed]:
        if (number_bits(target) or 0) < _ENOUGH_BITS:
            return
        for number, share, known in pool:
            ratio = target / number
            for rates, worth in _FACTORS:
                for rate in rates:
                    if abs(ratio - rate) > 0.02 * rate + 1 / abs(number):
                        continue
                    made = number * rate
                    if fits(made, target, decimals, True) and (not onto or rate != int(rate)):
                        weight = share * worth / len(rates) * (1.0 if is_near(made, target) else 0.5)
                        weight *= _NOT_OF_THE_STATE if rate % 1 and rate in self._counts else 1.0
                        yield self._made(FormulaKind.SCALED, (known,), weight, factor=rate, onto=onto)

    def _column_sums(self, target: float, onto: int) -> Iterator[Weighed]:
        own, barred = self._goal.path, self._goal.barred
        columns = [
            one for one in self._moment.columns if not _holds(one, own) and not any(_holds(one, p) for p in barred)
        ]
        written = sum(one.written for one in columns)
        for column in columns:
            if column.members > 1 or len(columns) < 8:
                share = 0.4 / len(columns) + (0.6 / written if column.written else 0.0)
                # One member is a copy told in a roundabout way.
                share *= 1.0 if column.members > 1 else 0.1
                if column.number is not None and is_near(column.number, target):
                    yield self._made(FormulaKind.COLUMN_SUM, (column,), share, onto=onto)
        yield from self._column_products(target, onto, columns)

    def _column_products(self, target: float, onto: int, columns: list[Known]) -> Iterator[Weighed]:
        by_list: dict[tuple[Path, bool, int], list[Known]] = {}
        for column in columns:
            star = column.path.index(STAR)
            if column.path.count(STAR) == 1 and star < len(column.path) - 1:
                by_list.setdefault((column.path[:star], column.before, column.members), []).append(column)
        pairs = [
            (one, two)
            for group in list(by_list.values())[:40]
            for at, one in enumerate(group[:12])
            for two in group[at + 1 : 12]
            if one.members > 1
        ]
        for one, two in pairs:
            formula = Formula(FormulaKind.COLUMN_PRODUCT, (term_of(one), term_of(two)))
            number = self._sum_of_products(formula)
            if number is not None and is_near(number, target):
                yield self._made(FormulaKind.COLUMN_PRODUCT, (one, two), 0.5 / len(pairs), onto=onto)

    def _sum_of_products(self, formula: Formula) -> float | None:
        return formula.number(self._moment.before, self._moment.after)


def _is_turned(formula: Formula, known: Sequence[Known], counts: Mapping[float, int]) -> bool:
    """Whether the entry may as well have made the first value of a formula out of the one to be explained."""
    if formula.kind is FormulaKind.QUOTIENT:
        return known[0].written and not known[0].before and counts.get(known[0].number or 0.0, 0) < 2
    if formula.kind is not FormulaKind.SUM or all(term.sign > 0 for term in formula.terms):
        return False
    first = next(one for one, term in zip(known, formula.terms, strict=True) if term.sign > 0)
    if len({one.path for one in known}) < len(known):
        return True
    # What stands elsewhere as well was more likely taken from there.
    return first.written and not first.before and counts.get(first.number or 0.0, 0) < 2


_Item = tuple[float, float, Known]
"""A number, its share, and the value."""


def _near(items: list[_Item], numbers: list[float], wanted: float, width: float) -> Iterator[_Item]:
    """Yield the items whose number is near another one."""
    if not math.isfinite(wanted):
        return
    at = bisect_left(numbers, wanted - width)
    while at < len(items) and numbers[at] <= wanted + width:
        yield items[at]
        at += 1


def _holds(column: Known, path: Path) -> bool:
    """Whether a value is a member of a column, or holds one, or is held by one."""
    if column.before:
        return False
    return all(one in (STAR, other) for one, other in zip(column.path, path, strict=False))


def _is_below(path: Path, roots: Collection[Path]) -> bool:
    return any(path[:size] in roots for size in range(1, len(path) + 1))


def _times(path: Path, lately: Mapping[Path, int]) -> int:
    """Return in how many of the entries shortly before a value was written."""
    return max(lately.get(path[:size], 0) for size in range(1, len(path) + 1))


def _shares(
    usable: Sequence[Known], record: Path, atom: Path, lately: Mapping[Path, int]
) -> Callable[[Known], float]:
    """Return a weight for how likely each value is to be used: the fewer are as near, the likelier each of them."""
    size = len(record)
    written = sum(one.written and not one.before for one in usable) or 1
    gone = sum(one.before for one in usable) or 1
    # Values that are atoms themselves are the fields of one record.
    near_by = {id(one) for one in usable if (one.path[:size] == record if size else len(one.path) == 1)}
    near = len(near_by) or 1
    inside = sum(one.path[:1] == atom for one in usable) or 1
    everywhere = len(usable) or 1
    fresh = {id(one) for one in usable if not one.before and _is_below(one.path, lately)}

    def share(one: Known) -> float:
        found = _STATE / everywhere
        if one.before:
            return found + _BEFORE / gone
        if one.written:
            found += _WRITTEN / written / (1 + _times(one.path, lately) / _CLOCKWORK)
        elif id(one) in fresh:
            found += _LATELY / len(fresh)
        if id(one) in near_by:
            found += _RECORD / near
        if one.path[:1] == atom:
            found += _ATOM / inside
        return found

    return share
