"""Why a value is what it is: its last write, the values that explain what was written, their writes, and so on.

A write is a fact: the entry is known, unless that says itself that other code may have done it. That another value explains what was written is a guess, and says so, with how
sure it is and why (`unspool.query.why_guesses`). The likeliest guesses are followed first; a chain ends where nothing
explains a value, and says where it was ended by a bound on its length, its depth, the values looked at, or time.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from time import monotonic
from typing import Final

from unspool.errors import PathNotFound
from unspool.history.diff import fork_base
from unspool.history.history import History
from unspool.history.verdict import Problem
from unspool.model.entries import SourceLine, caller_of, passed_over_in
from unspool.model.keys import Path
from unspool.model.limits import Cancelled, Progress, never, no_progress
from unspool.model.values import MISSING, Value
from unspool.model.wire import FormShape, decode, shape_of
from unspool.query.lineage import StateReader
from unspool.query.path_writes import PathWrite, WriteKind, follow_back
from unspool.query.value_parts import differences, find, leaves
from unspool.query.why_formulas import Formula, FormulaKind, FormulaMoment, members_of, number_of, written_by
from unspool.query.why_guesses import Evidence, Goal, Weighed, evidence_for, information, number_bits, weigh

_REFINED: Final = 6
"""Formulas of one value for which evidence is sought."""
_TOLD: Final = 4
"""Guesses of one value that are reported."""
_FOLLOWED: Final = 3
"""Guesses of one value that are followed."""
_LEAST_TOLD: Final = 0.05
_LEAST_FOLLOWED: Final = 0.15
_SUREST: Final = 0.99
"""A guess is never certain."""
_NOTHING: Final = 0.6
"""How likely it is, before looking, that a value comes from nowhere in the state."""
_TRIVIAL: Final = 3.5
"""Bits up to which a value is too usual for another that equals it to explain it."""
_STEPS: Final = 0.2
"""How likely a number that comes from nowhere is a step from the one before."""
_MOST_SOURCES: Final = 4
"""Members of a column, or parts of a container, that are followed."""
_GLANCE: Final = 0.2
"""Seconds to look for the write of a value that only may be used."""
_AGEING: Final = 0.35
_LATELY: Final = 12
"""Entries before one whose writes are likelier to be used than others."""
_MOST_WRITTEN: Final = 500
"""Places that one of them wrote, of which it is known."""
_PART_SURENESS: Final = 0.95
"""What following a part of a container is worth beside its whole, for the order in which links are followed."""
_WORDS: Final = ((0.9, "very likely"), (0.6, "likely"), (0.3, "possible"), (0.0, "weak"))


@dataclass(frozen=True, slots=True)
class Bounds:
    """How far a chain of causes is followed.

    Attributes:
        links: values in it.
        depth: steps from the value asked about.
        seconds: time.
        values: values of entries looked at.
    """

    links: int = 48
    depth: int = 16
    seconds: float = 10.0
    values: int = 2_000_000


@dataclass(frozen=True, slots=True)
class GuessedValue:
    """A value that a guess names.

    Attributes:
        path: where it stands.
        before: whether it is the value from before the entry.
        link: the number of its link; None where it was not followed.
    """

    path: Path
    before: bool
    link: int | None


@dataclass(frozen=True, slots=True)
class Guess:
    """What may explain what an entry wrote. Never a fact.

    Attributes:
        formula: how.
        sureness: from 0 to 1, never 1.
        reasons: what speaks for it and against it.
        sources: the values it names, those that were followed first.
        left_out: values that it names and that are not listed.
    """

    formula: Formula
    sureness: float
    reasons: tuple[str, ...]
    sources: tuple[GuessedValue, ...]
    left_out: int = 0

    @property
    def word(self) -> str:
        """How sure it is, in words."""
        return next(word for least, word in _WORDS if self.sureness >= least)


@dataclass(slots=True)
class CauseLink:
    """A value in a chain of causes, with the entry that wrote it, which is a fact, and what may explain it.

    Attributes:
        number: its place in the chain; 0 for the value asked about.
        path: where it stands after it was written.
        encoded: its wire form.
        write: the write that set it; None where it was not found.
        action: why that entry happened.
        timestamp_ns: when.
        caller: the line of code that recorded it, where the recording kept it.
        passed_over: calls before that entry which the recorder left out.
        doubt: why other code than what that entry names may have set it; empty where nothing says so.
        depth: steps from the value asked about.
        parent: number of the link that it explains; None for the value asked about.
        is_part: whether it is a part of that link, which is a fact; else that it explains it is a guess.
        sureness: how sure it is that it belongs to the chain: the guesses on the way to it multiplied.
        guesses: what may explain it, the likeliest first.
        parts: numbers of the links that are the parts of it which the entry wrote.
        end: why it is not followed further; empty where it is.
    """

    number: int
    path: Path
    encoded: bytes
    write: PathWrite | None = None
    action: str = ""
    timestamp_ns: int = 0
    caller: SourceLine | None = None
    passed_over: int = 0
    doubt: str = ""
    depth: int = 0
    parent: int | None = None
    is_part: bool = False
    sureness: float = 1.0
    guesses: tuple[Guess, ...] = ()
    parts: tuple[int, ...] = ()
    end: str = ""

    @property
    def value(self) -> Value:
        """The value."""
        return decode(self.encoded)

    @property
    def certain(self) -> bool:
        """Whether it is a fact that the entry of its write set it; a doubt, or damage on the way, leaves that open."""
        return self.write is not None and self.write.certain and not self.doubt

    @property
    def old(self) -> Value:
        """What stood there before; `MISSING` for nothing."""
        return MISSING if self.write is None else self.write.old


@dataclass(frozen=True, slots=True)
class Why:
    """The chain of causes behind a value.

    Attributes:
        at: the entry asked about.
        path: the value asked about, as that entry's state spells it.
        links: in the order they were found; the first is the value asked about.
        stopped: why the chain may go on beyond what is reported; empty where it does not.
        looked_at: values of entries that were looked at.
        problems: entries that could not be read and were stepped over.
    """

    at: int
    path: Path
    links: tuple[CauseLink, ...]
    stopped: str = ""
    looked_at: int = 0
    problems: tuple[Problem, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether every link was followed to its end, and every entry on the way could be read."""
        return not self.stopped and not self.problems

    def in_order(self) -> Iterator[CauseLink]:
        """Yield every link below the one that it was reached from."""
        below: dict[int, list[CauseLink]] = {}
        for link in self.links[1:]:
            below.setdefault(link.parent or 0, []).append(link)
        pending = [self.links[0]]
        while pending:
            link = pending.pop()
            yield link
            pending.extend(reversed(below.get(link.number, [])))

    def main_line(self) -> list[CauseLink]:
        """Return the likeliest chain, from the value asked about to the first that nothing explains."""
        line, seen = [self.links[0]], {0}
        while True:
            here = line[-1]
            known = [source.link for guess in here.guesses[:1] for source in guess.sources]
            known += here.parts
            onward = [self.links[number] for number in known if number is not None and number not in seen]
            if not onward:
                return line
            # What was written last brought it about; the others only stood there.
            line.append(max(onward, key=lambda one: one.write.seq if one.write is not None else -1))
            seen.add(line[-1].number)


def why(
    history: History,
    path: Path,
    at: int = -1,
    *,
    bounds: Bounds | None = None,
    skip_damaged: bool = False,
    cancelled: Cancelled = never,
    progress: Progress = no_progress,
) -> Why:
    """Follow the causes of a value back: writes are facts, what explains them are guesses.

    Args:
        history: where to look.
        path: where the value stands at entry `at`.
        at: the entry from which to look back, along the line that leads to it.
        bounds: how far to go.
        skip_damaged: step over entries that cannot be read instead of raising.
        cancelled: ends it when it says yes; what was found by then is returned.
        progress: called with how many of the links that are known were followed.

    Raises:
        QuestionError: the path is empty.
        PathNotFound: nothing is there.
        EntryNotFound: there is no such entry.
        CorruptHistory: an entry on the way cannot be read.
    """
    return _Chain(history, bounds or Bounds(), skip_damaged, cancelled).follow(path, history.resolve(at), progress)


@dataclass
class _Writer:
    """The write that set a value, and the ones before it."""

    write: PathWrite | None
    rest: Iterator[PathWrite]
    taken: list[PathWrite] = field(default_factory=list)

    def earlier(self) -> Iterator[PathWrite]:
        """Yield the writes before; as often as it is asked."""
        yield from self.taken
        for write in self.rest:
            self.taken.append(write)
            yield write


class _Chain:
    """A chain of causes being followed."""

    def __init__(self, history: History, bounds: Bounds, skip_damaged: bool, cancelled: Cancelled) -> None:
        self._history = history
        self._bounds = bounds
        self._cancelled = cancelled
        self._until = monotonic() + bounds.seconds
        self._reader = StateReader(history, skip_damaged=skip_damaged)
        self._moments: dict[int, FormulaMoment] = {}
        self._written: dict[int, tuple[Path, ...]] = {}
        self._writers: dict[tuple[Path, int], _Writer] = {}
        self._links: list[CauseLink] = []
        self._by_write: dict[tuple[Path, int], int] = {}
        self._pending: list[tuple[float, int]] = []
        self._looked_at = 0
        self._stopped = ""

    def follow(self, path: Path, at: int, progress: Progress) -> Why:
        first = self._link(path, at, None, 1.0)
        while self._pending and not self._is_over():
            progress(len(self._links) - len(self._pending), len(self._links))
            _, number = heapq.heappop(self._pending)
            self._explain(self._links[number])
        for _, number in self._pending:
            self._links[number].end = f"not followed: {self._stopped}"
        # What was judged in a hurry may have other causes than those found.
        self._is_over()
        found = self._links[first or 0].path
        return Why(at, found, tuple(self._links), self._stopped, self._looked_at, self._reader.problems)

    def _is_over(self) -> bool:
        if self._cancelled():
            self._stopped = "it was interrupted"
        elif monotonic() > self._until:
            self._stopped = f"{self._bounds.seconds:g} seconds are over"
        elif self._looked_at > self._bounds.values:
            self._stopped = f"{self._bounds.values:,} values were looked at"
        return bool(self._stopped)

    def _is_late(self) -> bool:
        return self._cancelled() or monotonic() > self._until

    def _link(
        self, path: Path, at: int, parent: CauseLink | None, sureness: float, *, is_part: bool = False
    ) -> int | None:
        """Return the number of the link for a value as of an entry, making it where it is not there yet."""
        writer = self._writer(path, at)
        write = writer.write
        if write is None and not self._is_late():
            return None
        key = (path, at) if write is None else (write.path, write.seq)
        known = self._by_write.get(key)
        if known is not None:
            return known
        if len(self._links) >= self._bounds.links:
            self._stopped = self._stopped or f"it has {self._bounds.links} links"
            return None
        depth = 0 if parent is None else parent.depth + 1
        link = CauseLink(len(self._links), key[0], b"\xc0", write, depth=depth, sureness=sureness, is_part=is_part)
        link.parent = None if parent is None else parent.number
        self._links.append(link)
        self._by_write[key] = link.number
        if write is None or write.new_bytes is None:
            state = self._reader.state(at)
            link.path, link.encoded = find(state or {}, path, f"entry {at}")
            link.end = "its write was not found in time"
            self._is_over()
            return link.number
        if write.kind is WriteKind.OLDER:
            # Why that entry happened says nothing of a value that may be older.
            link.encoded, link.timestamp_ns = write.new_bytes, self._history[write.seq].timestamp_ns
            link.end = f"set at that entry or before it: {self._history.told_dropped()}"
            self._stopped = self._stopped or self._history.told_dropped()
            return link.number
        entry = self._history[write.seq]
        link.encoded, link.action, link.timestamp_ns = write.new_bytes, entry.action, entry.timestamp_ns
        link.caller, link.passed_over = caller_of(entry.meta), passed_over_in(entry.meta)
        link.doubt = entry.doubt
        if depth >= self._bounds.depth:
            link.end = f"not followed: it is {depth} steps away"
            self._stopped = self._stopped or f"{depth} steps were followed"
        else:
            heapq.heappush(self._pending, (-sureness, link.number))
        return link.number

    def _writer(self, path: Path, at: int) -> _Writer:
        known = self._writers.get((path, at))
        if known is None:
            writes = follow_back(self._reader, path, at, cancelled=self._is_late)
            try:
                known = _Writer(next(writes, None), writes)
            except PathNotFound:
                if not self._links:
                    raise
                known = _Writer(None, iter(()))
            self._writers[path, at] = known
        return known

    def _moment(self, seq: int) -> FormulaMoment | None:
        if seq not in self._moments:
            states = self._states(seq)
            if states is None:
                return None
            lately = Counter(self._written_before(seq))
            self._moments[seq] = moment = FormulaMoment(seq, states[0], states[1], self._history.identity, lately)
            self._looked_at += moment.looked_at
        return self._moments[seq]

    def _written_before(self, seq: int) -> Iterator[Path]:
        """Yield what the entries shortly before one wrote."""
        for _ in range(_LATELY):
            parent = self._history[seq].parent_seq
            if parent is None or parent < self._history.first or self._is_late():
                return
            seq = parent
            if self._history[seq].parent_seq is None:
                # The first entry wrote everything: that says nothing of any of it.
                return
            if seq not in self._written:
                states = self._states(seq)
                found = () if states is None else written_by(*states, self._history.identity)
                self._written[seq] = tuple(islice(found, _MOST_WRITTEN))
            yield from self._written[seq]

    def _states(self, seq: int) -> tuple[dict[str, bytes], dict[str, bytes]] | None:
        entry = self._history[seq]
        after, before = self._reader.state(seq), self._reader.state(entry.parent_seq)
        if before is not None and entry.part is not None:
            last = self._reader.state(seq - 1)
            before = None if last is None else fork_base(last, before, entry.part)
        return None if after is None or before is None else (dict(before), dict(after))

    def _states_at(self, seq: int) -> FormulaMoment | None:
        """Return the states before and after an entry without taking them apart."""
        if seq in self._moments or self._is_late():
            return self._moments.get(seq)
        states = self._states(seq)
        return None if states is None else _Untaken(seq, *states)

    def _explain(self, link: CauseLink) -> None:
        write = link.write
        moment = None if write is None else self._moment(write.seq)
        if write is None or moment is None:
            link.end = "the entry that it was made in cannot be read"
            return
        goal = Goal(link.path, link.encoded, write.old_bytes, self._barred(link, write.seq))
        guesses = self._guesses(link, goal, moment)
        is_container = shape_of(link.encoded) in (FormShape.MAP, FormShape.LIST)
        if is_container and not (guesses and guesses[0][1] > 0.5):
            self._follow_parts(link, write)
            return
        is_telling = _bits(link.encoded) > _TRIVIAL
        link.guesses = tuple(
            self._told(
                link, moment, weighed, sureness, evidence,
                followed=place < _FOLLOWED and sureness >= _LEAST_FOLLOWED and (is_telling or evidence.held > 1),
            )
            for place, (weighed, sureness, evidence) in enumerate(guesses)
        )  # fmt: skip
        if not any(source.link is not None for guess in link.guesses for source in guess.sources):
            link.end = link.end or _ending(link)
        link.guesses = tuple(_with_doubt(guess, link.guesses, moment) for guess in link.guesses)

    def _barred(self, link: CauseLink, seq: int) -> frozenset[Path]:
        """Return the values that the same entry wrote and that a link explains already: they do not explain it in turn."""
        barred: set[Path] = set()
        pending = [link.number]
        while pending:
            number = pending.pop()
            for other in self._links:
                is_explained = other.write is not None and other.write.seq == seq and other.path not in barred
                if is_explained and any(source.link == number for guess in other.guesses for source in guess.sources):
                    barred.add(other.path)
                    pending.append(other.number)
        return frozenset(barred)

    def _guesses(self, link: CauseLink, goal: Goal, moment: FormulaMoment) -> list[tuple[Weighed, float, Evidence]]:
        """Return what may explain a value, with how sure each is."""
        found = weigh(moment, goal)
        nothing = _NOTHING * _from_nowhere(goal)

        def writes_of(path: Path) -> Iterator[PathWrite]:
            return self._writer(path, moment.seq).earlier()

        judged: list[tuple[Weighed, float, Evidence]] = []
        for weighed in found[:_REFINED]:
            evidence = evidence_for(weighed, goal, moment, writes_of, self._states_at)
            judged.append((weighed, weighed.weight * evidence.belief, evidence))
        if len(judged) > 1:
            # Of formulas over values that are equal the likeliest is over those that were set last.
            ages = [self._age(weighed, moment) for weighed, _, _ in judged]
            judged = [
                (one, weight * min(ages) / age, found) for (one, weight, found), age in zip(judged, ages, strict=True)
            ]
        whole = nothing + sum(weight for _, weight, _ in judged) + sum(one.weight for one in found[_REFINED:])
        judged.sort(key=lambda one: -one[1])
        sure = [(one, min(_SUREST, weight / whole * found.trust), found) for one, weight, found in judged]
        sure.sort(key=lambda one: -one[1])
        return [one for one in sure[:_TOLD] if one[1] >= _LEAST_TOLD]

    def _age(self, weighed: Weighed, moment: FormulaMoment) -> float:
        """Return what counts against a formula because of how long ago its values were set; at least 1."""
        age = 1.0
        for known in weighed.known:
            if known.members or (known.written and not known.before) or self._is_late():
                continue
            write = self._glance(known.path, self._as_of(known.path, moment.seq, before=known.before))
            age *= (1 + moment.seq - (0 if write is None else write.seq)) ** _AGEING
        return age

    def _glance(self, path: Path, at: int) -> PathWrite | None:
        """Return the write that set a value, where it is found at once; only to tell which of several is younger."""
        known = self._writers.get((path, at))
        if known is not None:
            return known.write
        until = monotonic() + _GLANCE
        hasty = follow_back(self._reader, path, at, cancelled=lambda: monotonic() > until or self._is_late())
        try:
            write = next(hasty, None)
        except PathNotFound:
            return None
        if write is not None:
            onward = follow_back(self._reader, write.path, write.seq, cancelled=self._is_late)
            self._writers[path, at] = _Writer(write, islice(onward, 1, None))
        return write

    def _as_of(self, path: Path, seq: int, *, before: bool) -> int:
        """Return the entry at which a value that an entry used stood where it did."""
        if not before:
            return seq
        entry = self._history[seq]
        atom = str(path[0])
        follows = entry.parent_seq if entry.part is None or atom in entry.part else seq - 1
        return seq if follows is None else follows

    def _told(self, link: CauseLink, moment: FormulaMoment, weighed: Weighed, sureness: float, evidence: Evidence,
              *, followed: bool) -> Guess:  # fmt: skip
        """Make a guess of a formula, and links of what it names where it is followed."""
        wanted: list[tuple[Path, bool]] = []
        for term in weighed.formula.terms:
            if term.is_column:
                wanted += [(path, term.before) for path in self._column(term.path, moment, before=term.before)]
            else:
                wanted.append((term.path, term.before))
        along = link.sureness * sureness
        sources = [
            GuessedValue(path, before, self._follow(link, moment, path, before, along) if followed else None)
            for path, before in wanted[: _MOST_SOURCES * max(1, len(weighed.formula.terms))]
        ]
        reasons = tuple(_reasons(link, weighed, evidence))
        return Guess(weighed.formula, sureness, reasons, tuple(sources), len(wanted) - len(sources))

    def _follow(
        self, link: CauseLink, moment: FormulaMoment, path: Path, before: bool, sureness: float
    ) -> int | None:
        as_of = self._as_of(path, moment.seq, before=before)
        return None if before and as_of == moment.seq else self._link(path, as_of, link, sureness)

    def _column(self, pattern: Path, moment: FormulaMoment, *, before: bool) -> list[Path]:
        """Return the members of a column: what the entry wrote first, then what was written last."""
        places = [path for path, _ in members_of(moment.state(before=before), pattern)]
        written = {known.path for known in moment.values if known.written and known.before is before}
        mine = [path for path in places if path in written]
        others = [path for path in places if path not in written]
        if len(mine) < _MOST_SOURCES and len(others) > 1:
            as_of = self._as_of(pattern, moment.seq, before=before)
            latest = {path: self._writer(path, as_of).write for path in others[-12:] if not self._is_late()}
            others.sort(key=lambda path: -(write.seq if (write := latest.get(path)) is not None else -1))
        return mine + others

    def _follow_parts(self, link: CauseLink, write: PathWrite) -> None:
        """Go on with the parts of a list or object that the entry wrote: that it wrote them is a fact."""
        found: list[Path] = []
        for part in differences(write.old_bytes, write.new_bytes, link.path, self._history.identity):
            if part.new_path is not None and part.new_bytes is not None:
                found += [path for path, _ in islice(leaves(part.new_bytes, part.new_path), _MOST_SOURCES * 2)]
            if len(found) > _MOST_SOURCES * 2:
                break
        parts = [
            self._link(path, write.seq, link, link.sureness * _PART_SURENESS, is_part=True)
            for path in found[: _MOST_SOURCES * 2]
            if path != link.path
        ]
        link.parts = tuple(number for number in parts if number is not None)
        if not link.parts:
            link.end = "nothing in that entry explains it"


class _Untaken(FormulaMoment):
    """The states before and after an entry, not taken apart."""

    def __init__(self, seq: int, before: dict[str, bytes], after: dict[str, bytes]) -> None:
        self.seq, self.before, self.after = seq, before, after


def _from_nowhere(goal: Goal) -> float:
    """Return how easily a value is met by chance: as a whole, or as a step from the value before."""
    whole = 2.0 ** -_bits(goal.encoded)
    old, new = None if goal.own is None else number_of(goal.own), number_of(goal.encoded)
    if old is None or new is None:
        return float(whole)
    return float(max(whole, _STEPS * 2.0 ** -(number_bits(abs(new - old)) or 0.0)))


def _bits(encoded: bytes) -> float:
    if shape_of(encoded) in (FormShape.MAP, FormShape.LIST):
        total = 0.0
        for _, leaf in leaves(encoded):
            total += information(decode(leaf))
            if total > 40:
                return 40.0
        return total
    return information(decode(encoded))


def _ending(link: CauseLink) -> str:
    if _bits(link.encoded) > _TRIVIAL and any(guess.sureness >= _LEAST_FOLLOWED for guess in link.guesses):
        return "" if link.guesses[0].formula.terms else "counted on from the value before"
    if _bits(link.encoded) <= _TRIVIAL:
        return f"{_short(link)} is too usual a value for anything to explain it"
    return "nothing in that entry explains it" + (" surely enough" if link.guesses else "")


def _short(link: CauseLink) -> str:
    value = link.value
    return (
        repr(value) if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else str(value)[:20]
    )


def _reasons(link: CauseLink, weighed: Weighed, evidence: Evidence) -> Iterator[str]:
    """Yield what speaks for a guess, and against it."""
    if weighed.known and all(known.written and not known.before for known in weighed.known):
        yield "written in the same entry, so either may come from the other"
    elif any(known.written and not known.before for known in weighed.known):
        yield "partly written in the same entry"
    singles = [known for known in weighed.known if not known.members]
    if singles and all(known.path[:-1] == link.path[:-1] for known in singles):
        yield "in the same record"
    elif len(singles) == 1 and singles[0].path[-1] == link.path[-1] and isinstance(link.path[-1], str):
        yield "the same name"
    if evidence.writes:
        yield f"held at {evidence.held} of {evidence.writes} earlier writes"
    if evidence.records:
        yield f"holds in {evidence.alike} of {evidence.records} other records"
    if weighed.formula.kind is FormulaKind.SCALED:
        yield "the factor is none of the state"


def _with_doubt(guess: Guess, guesses: tuple[Guess, ...], moment: FormulaMoment) -> Guess:
    """Return a guess with what makes it doubtful beside the others."""
    others = [other for other in guesses if other is not guess and other.sureness >= guess.sureness * 0.5]
    reasons = list(guess.reasons)
    if others:
        more = f" and {len(others) - 1} more" if len(others) > 1 else ""
        reasons.append(f"{others[0].formula.spelled()}{more} explains it about as well")
    if not moment.is_whole:
        reasons.append(f"only {moment.looked_at:,} values of the state were looked at")
    return replace(guess, reasons=tuple(reasons))


__all__ = ["Bounds", "CauseLink", "Guess", "GuessedValue", "Why", "why"]
