"""Invariants: expressions that a person says must hold at every entry."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from operator import itemgetter

from unspool.history.history import History
from unspool.query.checkers_findings import CheckFinding, Scope
from unspool.query.checkers_moments import Moment
from unspool.query.doubts import refuse_unknown
from unspool.query.errors import ExpressionError
from unspool.query.expressions import Answer, Expression


class Invariant:
    """Asks an expression at every entry that changes an atom it reads, and reports once where and how long it is broken.

    It is asked from the first entry on that has all atoms it reads. What cannot be worked out there, as the length of null,
    does not hold.
    """

    def __init__(self, scope: Scope, *, expression: str, when: str = "", message: str = "") -> None:
        """Prepare.

        Args:
            scope: what its finding is called by.
            expression: what must hold.
            when: asked first; where it does not hold, the other is not asked. Empty for everywhere.
            message: what to say where it is broken; empty for the expression.

        Raises:
            ExpressionError: one of the two does not parse.
        """
        self._scope = scope
        self._asked = Expression(expression)
        self._guard = Expression(when) if when else None
        self._message = " ".join(message.split())
        guard_reads = self._guard.reads if self._guard is not None else frozenset()
        known = self._asked.reads is not None and guard_reads is not None
        self._reads = (self._asked.reads or frozenset()) | (guard_reads or frozenset()) if known else None
        self._has_begun = False
        self._changes: list[tuple[int, bool | None]] = []
        self._broken = 0
        self._stretches = 0
        self._first: tuple[int, str] | None = None

    @property
    def name(self) -> str:
        """What the rule is called."""
        return self._scope.name

    def refuse_unknown(self, history: History) -> None:
        """Refuse to be asked of a history in which no entry has an atom that is read.

        Raises:
            ExpressionError: names the rule, the atom and the nearest name.
        """
        for expression in filter(None, (self._guard, self._asked)):
            try:
                refuse_unknown(expression.watch, expression.reads, history)
            except ExpressionError as error:
                raise ExpressionError(f"rule {self.name!r}: {error}") from None

    def see(self, moment: Moment) -> Iterator[CheckFinding]:
        """See `Checker.see`.

        Raises:
            EvaluationStopped: it takes longer than the limits allow.
        """
        seq = moment.entry.seq
        follows = moment.entry.parent_seq in (None, seq - 1)
        before = self._at(seq - 1 if follows else moment.entry.parent_seq)
        is_touched = self._reads is None or any(change.atom in self._reads for change in moment.diff.changes)
        if self._has_begun and follows and not is_touched:
            self._broken += before is False
            return iter(())
        wire = moment.view.wire
        if not self._has_begun:
            self._has_begun = self._reads is None or all(atom in wire for atom in self._reads)
        answer: Answer | None = None
        if self._has_begun and (self._guard is None or self._guard.ask(wire).holds):
            answer = self._asked.ask(wire)
        self._note(seq, before, answer)
        return iter(())

    def _at(self, seq: int | None) -> bool | None:
        """Return whether it held at an entry; None where it was not asked."""
        place = bisect_right(self._changes, -1 if seq is None else seq, key=itemgetter(0))
        return self._changes[place - 1][1] if place else None

    def _note(self, seq: int, before: bool | None, answer: Answer | None) -> None:
        holds = None if answer is None else answer.holds
        if not self._changes or self._changes[-1][1] is not holds:
            self._changes.append((seq, holds))
        if answer is None or holds:
            return
        self._broken += 1
        self._stretches += before is not False
        if self._first is None:
            self._first = (seq, answer.failure)

    def finish(self) -> Iterator[CheckFinding]:
        """See `Checker.finish`: how long it was broken is known then."""
        if self._first is None:
            return
        seq, failure = self._first
        entries = "1 entry" if self._broken == 1 else f"{self._broken:,} entries"
        often = "" if self._stretches == 1 else f" in {self._stretches:,} stretches"
        last = max(place for place, (_, holds) in enumerate(self._changes) if holds is False)
        recovered = self._changes[last + 1][0] if last + 1 < len(self._changes) else None
        ended = "to the end" if recovered is None else f"and no longer from entry {recovered} on"
        told = self._message or "does not hold"
        why = f" ({failure})" if failure else ""
        text = f"{told}{why}: broken at {entries}{often}, {ended}"
        yield CheckFinding(
            self.name, seq, self._asked.text, text, seq,
            severity="error", entries=self._broken, recovered_at=recovered,
        )  # fmt: skip

    def doubts(self) -> tuple[str, ...]:
        """Return why what the rule says can hardly be meant, or why it was never asked; nothing where it is broken."""
        if self._first is not None:
            return ()
        watched = [expression.watch for expression in (self._guard, self._asked) if expression is not None]
        doubts = [f"rule {self.name!r}: {doubt}" for watch in watched for doubt in watch.doubts()]
        if not doubts and all(holds is None for _, holds in self._changes):
            why = "no entry has all that it reads" if not self._has_begun else "its `when` never holds"
            doubts = [f"rule {self.name!r} was never asked: {why}"]
        return tuple(doubts)
