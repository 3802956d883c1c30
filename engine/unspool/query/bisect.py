"""Find the first entry where an answer changes, by expression or by a callable of one's own."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Final

from unspool.errors import CorruptHistory
from unspool.history.history import History, StateView
from unspool.history.verdict import Problem
from unspool.model.limits import Cancelled, Progress, never
from unspool.model.values import Value
from unspool.query.expression_text import refuse_unknown
from unspool.query.expressions import Expression, Predicate, PythonQuestion, StateAnswer
from unspool.query.lineage import (
    Places,
    StateReader,
    Stretch,
    Wire,
    concerns,
    line_to,
    stretches_back,
    touching,
    windows,
)


@dataclass(frozen=True, slots=True)
class Flip:
    """An entry at which the answer changes.

    Attributes:
        seq: the entry.
        parent_seq: the entry it follows; None for the first one behind damage at the beginning.
        holds: whether the question holds from here on.
        old: the result before.
        new: the result here.
        certain: False when entries that cannot be read lie in between, so that one of them may be where it flips.
    """

    seq: int
    parent_seq: int | None
    holds: bool
    old: Value
    new: Value
    certain: bool = True


@dataclass(frozen=True, slots=True)
class Bisection:
    """Where an answer flips.

    Attributes:
        flips: in the order of entries.
        holds_first: whether the question holds at the first entry that is kept; None when no entry was asked.
        holds_last: whether it holds at the last one; None when no entry was asked or it ended early.
        asked: entries that were rebuilt and asked.
        avoided: entries that did not have to be rebuilt.
        complete: whether all entries in question were asked or could be left out.
        single: whether one flip was taken for granted.
        failures: entries at which the question could not be answered, which counts as not holding.
        failure: why, the first time.
        problems: entries that could not be read and were stepped over.
        doubts: parts of the expression that can hardly be meant: paths that no entry has, kinds that never compare.
    """

    flips: tuple[Flip, ...]
    holds_first: bool | None
    holds_last: bool | None
    asked: int
    avoided: int
    complete: bool
    single: bool = False
    failures: int = 0
    failure: str = ""
    problems: tuple[Problem, ...] = ()
    doubts: tuple[str, ...] = ()

    @property
    def first(self) -> Flip | None:
        """The first flip."""
        return self.flips[0] if self.flips else None

    @property
    def last(self) -> Flip | None:
        """The last flip."""
        return self.flips[-1] if self.flips else None


Function = Callable[[Mapping[str, Value]], object]
"""Takes a state, to be looked at and not changed; its answer counts as Python's `bool` says."""


class _Watched(Mapping[str, Value]):
    """A state that remembers which atoms were looked at."""

    def __init__(self, state: Wire) -> None:
        self._view = StateView(0, dict(state))
        self.looked_at: set[str] | None = set()

    def __getitem__(self, atom: str) -> Value:
        if self.looked_at is not None:
            self.looked_at.add(atom)
        return self._view[atom]

    def __contains__(self, atom: object) -> bool:
        if self.looked_at is not None:
            self.looked_at.add(str(atom))
        return atom in self._view

    def __iter__(self) -> Iterator[str]:
        self.looked_at = None
        return iter(self._view)

    def __len__(self) -> int:
        self.looked_at = None
        return len(self._view)


class FunctionPredicate:
    """A Python function as a `Predicate`; it must answer the same for the same state."""

    reads = None

    def __init__(self, function: Function) -> None:
        """Ask a function; what it raises is raised."""
        self._function = function

    def ask(self, state: Wire) -> StateAnswer:
        """See `Predicate.ask`."""
        watched = _Watched(state)
        value = self._function(watched)
        reads = None if watched.looked_at is None else frozenset(watched.looked_at)
        return StateAnswer(value, bool(value), reads)


Told = Callable[[int, StateAnswer], object]
"""Gets an entry that was asked, and what it answered."""
_WINDOW: Final = 1024
"""Entries whose changed atoms are looked up at once."""


class _Asking:
    """One question put to entries of one history, with what came of it."""

    def __init__(self, history: History, predicate: Predicate, skip_damaged: bool, told: Told | None = None) -> None:
        self.told = told
        self.history = history
        self.predicate = predicate
        self.reader = StateReader(history, skip_damaged=skip_damaged)
        self.is_note = history.notes()
        self.flips: list[Flip] = []
        self.failures = 0
        self.failure = ""
        self.first: StateAnswer | None = None
        self.last: StateAnswer | None = None

    def ask(self, seq: int) -> StateAnswer | None:
        state = self.reader.state(seq)
        if state is None:
            return None
        answer = self.predicate.ask(state)
        if answer.failure:
            self.failures += 1
            self.failure = self.failure or f"entry {seq}: {answer.failure}"
        self.first = self.first or answer
        self.last = answer
        if self.told is not None:
            self.told(seq, answer)
        return answer

    def result(
        self, entries: int, complete: bool, *, single: bool = False, doubts: tuple[str, ...] = ()
    ) -> Bisection:
        asked, problems = self.reader.rebuilt, self.reader.problems
        return Bisection(
            flips=tuple(self.flips),
            holds_first=None if self.first is None else self.first.holds,
            holds_last=None if self.last is None or not complete else self.last.holds,
            asked=asked,
            avoided=max(0, entries - asked),
            complete=complete and not problems,
            single=single,
            failures=self.failures,
            failure=self.failure,
            problems=problems,
            doubts=doubts,
        )


class Bisecting:
    """A running bisection: go through `steps`, then take the `result`; what was found so far is there at any time."""

    def __init__(
        self,
        history: History,
        question: Expression | PythonQuestion | Predicate | Function | str,
        *,
        at: int | None = None,
        since: int = 0,
        assume_single_flip: bool = False,
        most: int | None = None,
        skip_damaged: bool = False,
        cancelled: Cancelled = never,
        told: Told | None = None,
    ) -> None:
        """Prepare; see `bisect` for the other arguments and what is raised.

        Args:
            question: what is asked; a `Predicate` besides what `bisect` takes.
            since: where all entries are asked, the first of them; those before it were asked already.
            told: gets every entry that is asked, with its answer.
        """
        if isinstance(question, str):
            question = Expression(question)
        elif isinstance(question, Expression):
            # What is noticed while it is asked belongs to this asking.
            question = question.fresh()
        self._doubts: Callable[[], tuple[str, ...]] = tuple
        predicate: Predicate
        if isinstance(question, Expression):
            refuse_unknown(question.watch, question.reads, history)
            predicate, self._doubts = question, question.watch.doubts
        elif isinstance(question, PythonQuestion):
            question = question.fresh()
            question.refuse_unknown(history)
            predicate, self._doubts = question, question.doubts
        elif isinstance(question, Predicate):
            predicate = question
        else:
            predicate = FunctionPredicate(question)
        self._asking = _Asking(history, predicate, skip_damaged, told)
        self._since = since
        self._single = assume_single_flip
        self._most = most
        self._cancelled = cancelled
        self._complete = False
        self._line: Places | None = None
        if at is not None:
            self._line = Places(line_to(history, history.resolve(at), predicate.reads))
        elif assume_single_flip and len(history):
            self._line = Places(line_to(history, len(history) - 1, predicate.reads))
        self.entries = len(history) - max(since, history.first) if self._line is None else len(self._line)
        """Entries in question."""

    def steps(self) -> Iterator[int]:
        """Yield now and then how many entries are done.

        Raises:
            CorruptHistory: an entry cannot be read, and damage is not to be skipped.
        """
        asking, line = self._asking, self._line
        if self._single and line is not None:
            self._complete = _halve(asking, line, self._cancelled)
            yield self.entries
            return
        stretches = _as_read(asking, self._since) if line is None else line.pieces(_WINDOW)
        for done in _scan(asking, stretches):
            if self._cancelled() or self._has_enough():
                return
            yield done
        self._complete = True

    def _has_enough(self) -> bool:
        return self._most is not None and len(self._asking.flips) >= self._most

    @property
    def flips(self) -> list[Flip]:
        """Flips found so far, in the order of entries; grows."""
        return self._asking.flips

    def result(self) -> Bisection:
        """Return what came of it so far."""
        single = self._single and self._line is not None
        return self._asking.result(self.entries, self._complete, single=single, doubts=self._doubts())


def bisect(
    history: History,
    question: Expression | PythonQuestion | Function | str,
    *,
    at: int | None = None,
    assume_single_flip: bool = False,
    most: int | None = None,
    skip_damaged: bool = False,
    progress: Progress | None = None,
    cancelled: Cancelled = never,
) -> Bisection:
    """Find the entries at which the answer to a question about the state changes.

    Args:
        history: where to look.
        question: an expression, or a function of the state that always answers the same for the same state.
        at: look only along the line that leads to this entry; None means all entries, forks included, or for a
            single flip the line to the last one.
        assume_single_flip: take for granted that the answer flips once between the first and the last entry of the
            line, and search in halves. If it flips more often, one of the flips is found.
        most: end after so many flips, the first in the order of entries; `complete` is then False.
        skip_damaged: step over entries that cannot be read instead of raising.
        progress: called with how many entries of how many are done.
        cancelled: ends the search when it says yes; `complete` is then False.

    Raises:
        ExpressionError: the expression does not parse, or reads an atom that no entry has.
        EntryNotFound: there is no such entry.
        CorruptHistory: an entry cannot be read.
    """
    running = Bisecting(
        history,
        question,
        at=at,
        assume_single_flip=assume_single_flip,
        most=most,
        skip_damaged=skip_damaged,
        cancelled=cancelled,
    )
    for done in running.steps():
        if progress is not None:
            progress(done, running.entries)
    return running.result()


def _as_read(asking: _Asking, since: int) -> Iterator[Stretch]:
    """Yield all entries as stretches; a part's fork counts where the question reads atoms of that part only."""
    for stretch in windows(asking.history, since, size=_WINDOW):
        if concerns(stretch.part, asking.predicate.reads):
            yield stretch
        else:
            yield Stretch(stretch.first, stretch.last, stretch.first - 1)


def _scan(asking: _Asking, stretches: Iterator[Stretch]) -> Iterator[int]:
    """Ask all entries that may answer otherwise than the one they follow; yield how far it is before each of them."""
    before: StateAnswer | None = None
    certain = True
    last, done = -1, 0
    for stretch in stretches:
        if stretch.parent is None:
            # The first of all, or what it follows was dropped: it is no flip, whatever it answers.
            before, certain = None, True
        elif stretch.parent != last:
            before, certain = _ask_before(asking, stretch.parent)
        ahead = deque(_candidates(asking, stretch))
        if not certain:
            _ask_next(ahead, stretch.first)
        while ahead:
            seq = ahead.popleft()
            yield done + seq - stretch.first
            if asking.is_note(seq):
                if seq < stretch.last and (before is None or not certain):
                    _ask_next(ahead, seq + 1)
                continue
            if certain and before is not None and not _may_differ(asking, before, seq):
                continue
            answer = asking.ask(seq)
            if answer is None:
                certain = False
                if seq < stretch.last:
                    _ask_next(ahead, seq + 1)
                continue
            if before is not None and before.holds is not answer.holds:
                parent = stretch.parent_of(seq)
                asking.flips.append(Flip(seq, parent, answer.holds, before.value, answer.value, certain))
            before, certain = answer, True
        last = stretch.last
        done += last - stretch.first + 1
        yield done
    asking.last = before


def _ask_before(asking: _Asking, parent: int) -> tuple[StateAnswer | None, bool]:
    """Ask the entry that a fork follows, or the nearest one before it that can be read; say whether it was that one."""
    certain = True
    for stretch in stretches_back(asking.history, parent, asking.predicate.reads):
        for seq in range(stretch.last, stretch.first - 1, -1):
            if asking.is_note(seq):
                continue
            answer = asking.ask(seq)
            if answer is not None:
                return answer, certain
            certain = False
    return None, False


def _ask_next(ahead: deque[int], seq: int) -> None:
    """Ask an entry next: behind one that cannot be read the answer may be another, whatever it changed itself."""
    if not ahead or ahead[0] != seq:
        ahead.appendleft(seq)


def _candidates(asking: _Asking, stretch: Stretch) -> Iterable[int]:
    """Return the entries of a stretch that may have to be asked."""
    reads = asking.predicate.reads
    if reads is None:
        return range(stretch.first, stretch.last + 1)
    history, every = asking.history, asking.reader.skip_damaged
    found = touching(history, tuple(reads), stretch.first, stretch.last + 1, every=every)
    return sorted(found | {stretch.first} if asking.first is None or stretch.parent is None else found)


def _may_differ(asking: _Asking, before: StateAnswer, seq: int) -> bool:
    """Whether an entry may answer otherwise than the one it follows, judged by what it changed."""
    if asking.predicate.reads is not None:
        return True
    try:
        changed = asking.history.changed_atoms(seq)
    except CorruptHistory:
        return True
    return bool(changed) if before.reads is None else any(atom in before.reads for atom, _ in changed)


def _halve(asking: _Asking, line: Places, cancelled: Cancelled) -> bool:
    """Search for one flip between the first and the last entry of a line that can be read."""
    low, before = _nearest(asking, line, range(len(line)))
    high, after = _nearest(asking, line, range(len(line) - 1, low, -1))
    asking.first = before
    end = asking.last = after or before
    if before is None or after is None or before.holds is after.holds:
        return True
    while high - low > 1:
        if cancelled():
            return False
        middle = (low + high) // 2
        place, answer = _nearest(asking, line, chain(range(middle, low, -1), range(middle + 1, high)))
        if answer is None:
            break
        if answer.holds is before.holds:
            low, before = place, answer
        else:
            high, after = place, answer
    asking.last = end
    seq, parent = line[high], line[high - 1]
    certain = all(asking.is_note(line[place]) for place in range(low + 1, high))
    asking.flips.append(Flip(seq, parent, after.holds, before.value, after.value, certain))
    return True


def _nearest(asking: _Asking, line: Places, places: Iterable[int]) -> tuple[int, StateAnswer | None]:
    """Return the first of some places that can be read, with its answer."""
    place = -1
    for place in places:
        if asking.is_note(line[place]):
            continue
        answer = asking.ask(line[place])
        if answer is not None:
            return place, answer
    return place, None


__all__ = ["Bisecting", "Bisection", "Flip", "Progress", "bisect"]
