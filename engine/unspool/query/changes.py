"""Questions about changes: an expression over an entry and what it did, such as `after.total < before.total`.

An expression sees one object: `before` and `after`, the states round the entry, `action`, `time` (ISO 8601 in UTC, so that
`time > "2026-05-01"` compares) and `meta`. At the first entry `before` is empty;
where older entries were dropped, an expression that reads it is not asked of an entry that follows one of those.
"""

from __future__ import annotations

from difflib import get_close_matches
from itertools import islice
from typing import Final

from unspool.history.history import History
from unspool.model.entries import iso_time
from unspool.model.values import Value
from unspool.model.wire import encode
from unspool.query.bisect_flips import Bisection, Flip
from unspool.query.doubts import refuse_unknown
from unspool.query.errors import ExpressionError
from unspool.query.expression_values import plain
from unspool.query.expressions import Answer, Expression
from unspool.query.reading import Cancelled, Progress, Wire, never, untold
from unspool.query.search_hits import Hit, result_hit

FIELDS: Final = ("before", "after", "action", "time", "meta")
"""What an expression about a change sees."""


class ChangeQuestion:
    """An expression over an entry and the states round it."""

    def __init__(self, text: str) -> None:
        """Compile an expression.

        Raises:
            ExpressionError: it does not parse, or reads what a change does not have.
        """
        self._expression = Expression(text)
        self.text = text
        reads = self._expression.reads
        self._reads = frozenset(FIELDS) if reads is None else reads
        unknown = sorted(self._reads.difference(FIELDS))
        if unknown:
            near = get_close_matches(unknown[0].lower(), FIELDS, n=1, cutoff=0.7)
            hint = f"did you mean {near[0]}?" if near else f"write after.{unknown[0]} or before.{unknown[0]}"
            raise ExpressionError(f"{text[:80]!r}: a change has no {unknown[0]}; it has {', '.join(FIELDS)}: {hint}")
        self._atoms = {side: self._expression.reads_below(side) for side in ("before", "after")}
        if reads is None:
            self._atoms = dict.fromkeys(self._atoms)
        self._last: tuple[tuple[object, ...], Answer] | None = None

    def fresh(self) -> ChangeQuestion:
        """Return the same question with nothing noticed yet."""
        return ChangeQuestion(self.text)

    def doubts(self) -> tuple[str, ...]:
        """Return a sentence for each part of it that can hardly be meant, as far as it was asked."""
        return self._expression.watch.doubts()

    @property
    def reads_before(self) -> bool:
        """Whether it asks about the state before an entry."""
        return "before" in self._reads

    def refuse_unknown(self, history: History) -> None:
        """Refuse a question about an atom that no entry has.

        Raises:
            ExpressionError: names the atom, and the nearest name.
        """
        for side in ("before", "after"):
            refuse_unknown(self._expression.watch, self._atoms[side], history)

    def ask(self, history: History, seq: int, before: Wire, after: Wire) -> Answer:
        """Ask one entry.

        Args:
            history: where it is.
            seq: the entry.
            before: the state that it followed.
            after: the state that it left.

        Raises:
            EvaluationStopped: it takes longer than the limits allow.
        """
        sides = {"before": self._read("before", before), "after": self._read("after", after)}
        facts = self._facts(history, seq)
        key = (*facts.values(), *(pair for side in sides.values() for pair in side.items()))
        if self._last is not None and self._last[0] == key:
            return self._last[1]
        values: dict[str, Value] = dict(facts)
        for side, atoms in sides.items():
            if side in self._reads:
                values[side] = {atom: self._expression.value(f"{side} {atom}", form) for atom, form in atoms.items()}
        answer = self._expression.ask_values(values)
        self._last = (key, answer)
        return answer

    def _read(self, side: str, state: Wire) -> dict[str, bytes]:
        atoms = self._atoms[side]
        if side not in self._reads:
            return {}
        return dict(state) if atoms is None else {atom: state[atom] for atom in atoms if atom in state}

    def _facts(self, history: History, seq: int) -> dict[str, Value]:
        if self._reads.isdisjoint(("action", "time", "meta")):
            return {}
        entry = history[seq]
        facts: dict[str, Value] = {}
        if "action" in self._reads:
            facts["action"] = entry.action
        if "time" in self._reads:
            facts["time"] = iso_time(entry.timestamp_ns)
        if "meta" in self._reads:
            facts["meta"] = plain(encode(dict(entry.meta)))
        return facts


class ChangeLook:
    """Looks for entries at which a question about changes holds.

    Attributes:
        needs_before: see `Look`.
    """

    def __init__(self, history: History, question: ChangeQuestion) -> None:
        """Look in a history."""
        self._history = history
        self._question = question
        self.needs_before = question.reads_before
        self.asked = 0
        self.failures = 0
        self.failure = ""
        self.answers: dict[int, Answer] = {}
        """The answers of the entries at which it holds, until they are taken."""
        self.first: bool | None = None
        self.last: bool | None = None

    def hits(self, seq: int, old: Wire, new: Wire) -> list[Hit]:
        """See `Look.hits`."""
        answer = self._question.ask(self._history, seq, old, new)
        self.asked += 1
        if answer.failure:
            self.failures += 1
            self.failure = self.failure or f"entry {seq}: {answer.failure}"
        self.first = answer.holds if self.first is None else self.first
        self.last = answer.holds
        if not answer.holds:
            return []
        self.answers[seq] = answer
        return [result_hit(seq, answer.value)]


def changes_where(
    history: History,
    question: ChangeQuestion | str,
    *,
    most: int | None = None,
    skip_damaged: bool = False,
    progress: Progress = untold,
    cancelled: Cancelled = never,
) -> Bisection:
    """Find the entries at which a question about changes holds, oldest first.

    Args:
        history: where to look; forks are compared with what they follow.
        question: an expression over `before`, `after`, `action`, `time` and `meta`.
        most: end after so many.
        skip_damaged: step over entries that cannot be read instead of raising.
        progress: told how many entries of how many are done.
        cancelled: ends it when it says yes; `complete` is then False.

    Returns:
        A flip for each entry at which it holds; what it gave there is `new`.

    Raises:
        ExpressionError: it does not parse, or names what no entry has.
        CorruptHistory: an entry cannot be read.
    """
    from unspool.query.search import Search

    asked = ChangeQuestion(question) if isinstance(question, str) else question.fresh()
    asked.refuse_unknown(history)
    look = ChangeLook(history, asked)
    search = Search(history, look, skip_damaged=skip_damaged, cancelled=cancelled, progress=progress)
    flips: list[Flip] = []
    for hit in islice(search, most):
        parent = history[hit.seq].parent_seq
        flips.append(Flip(hit.seq, parent, True, None, look.answers.pop(hit.seq).value))
    ended_early = cancelled() or (most is not None and len(flips) >= most)
    return Bisection(
        flips=tuple(flips),
        holds_first=look.first,
        holds_last=None if ended_early else look.last,
        asked=look.asked,
        avoided=max(0, len(history) - history.first - look.asked),
        complete=search.complete,
        failures=look.failures,
        failure=look.failure,
        problems=search.problems,
        doubts=asked.doubts(),
    )
