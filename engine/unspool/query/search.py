"""Search through time: where in all entries keys, values or paths match.

A hit is told at the entry where what matches appears or changes, not at every entry that still holds it: after the
first entry only what differs from the entry before is looked at. Going away is no hit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from unspool.history.diff import fork_base
from unspool.history.history import History
from unspool.history.verdict import Problem
from unspool.query.changes import ChangeLook, ChangeQuestion
from unspool.query.doubts import refuse_unknown
from unspool.query.expressions import Expression
from unspool.query.lineage import Stretch, stretches_back, windows
from unspool.query.python_questions import PythonQuestion
from unspool.query.reading import EMPTY_STATE, Cancelled, Progress, StateReader, Wire, never, untold
from unspool.query.search_hits import MOST_HITS, Hit, HitKind, Look, ResultLook, TextLook
from unspool.query.search_queries import ComparisonQuery, PatternQuery, Query, TextQuery, parse_query

Asked = Query | Expression | ChangeQuestion | PythonQuestion | str
"""What can be looked for."""


class Search:
    """A running search: iterate over it for hits, oldest first.

    Attributes:
        looked_at: entries looked at so far.
        complete: whether all entries asked for were looked at, could be read, and told all their hits.
        cut: entries of which only the first `MOST_HITS` hits are told.
    """

    def __init__(
        self,
        history: History,
        look: Look,
        *,
        start: int = 0,
        stop: int | None = None,
        skip_damaged: bool = False,
        cancelled: Cancelled = never,
        progress: Progress = untold,
        doubts: Callable[[], tuple[str, ...]] = tuple,
    ) -> None:
        """Prepare; nothing is read before the first hit is asked for. See `search`."""
        self.looked_at = 0
        self.complete = False
        self.cut: list[int] = []
        self._look = look
        self._range = (start, len(history) if stop is None else min(stop, len(history)))
        self._reader = StateReader(history, skip_damaged=skip_damaged)
        self._is_note = history.notes()
        self._cancelled = cancelled
        self._progress = progress
        self._doubts = doubts

    @property
    def doubts(self) -> tuple[str, ...]:
        """Parts of an expression that can hardly be meant, as far as it was asked."""
        return self._doubts()

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Entries that could not be read and were stepped over."""
        return self._reader.problems

    def __iter__(self) -> Iterator[Hit]:
        for _, hits in self.by_entry():
            yield from hits

    def by_entry(self) -> Iterator[tuple[int, list[Hit]]]:
        """Yield every entry looked at with its hits, so that a caller can show progress.

        Raises:
            CorruptHistory: an entry cannot be read, and damage is not to be skipped.
        """
        last: tuple[int, Wire] = (-1, EMPTY_STATE)
        for seq, stretch in self._entries():
            if self._cancelled():
                return
            self._progress(seq - self._range[0], self._range[1] - self._range[0])
            if self._is_note(seq):
                # Behind damage it may be the first that reads, and yet nothing came with it.
                self.looked_at += 1
                last = (seq, last[1]) if stretch.parent_of(seq) == last[0] else last
                yield seq, []
                continue
            new = self._reader.state(seq)
            if new is None:
                yield seq, []
                continue
            if stretch.parent_of(seq) is None and self._reader.history.first:
                # What it followed was dropped: what matches may be older, and what it changed is not known.
                found = [] if self._look.needs_before else self._look.hits(seq, EMPTY_STATE, new)
                hits = [replace(hit, older=True) for hit in found]
            else:
                hits = self._look.hits(seq, self._base(seq, stretch, last), new)
            last = (seq, new)
            self.looked_at += 1
            if len(hits) >= MOST_HITS:
                self.cut.append(seq)
            yield seq, hits
        self.complete = not self.problems and not self.cut

    def _base(self, seq: int, stretch: Stretch, last: tuple[int, Wire]) -> Wire:
        """Return the state that an entry is compared with."""
        parent = stretch.parent_of(seq)
        base = last[1] if parent == last[0] else self._before(parent)
        if stretch.part is None or seq > stretch.first:
            return base
        before = last[1] if last[0] == seq - 1 else self._before(seq - 1)
        return fork_base(before, base, stretch.part)

    def _before(self, parent: int | None) -> Wire:
        """Return the state that an entry followed, or the nearest one before it that can be read."""
        if parent is not None:
            for stretch in stretches_back(self._reader.history, parent):
                for seq in range(stretch.last, stretch.first - 1, -1):
                    state = None if self._is_note(seq) else self._reader.state(seq)
                    if state is not None:
                        return state
        return EMPTY_STATE

    def _entries(self) -> Iterator[tuple[int, Stretch]]:
        for stretch in windows(self._reader.history, *self._range):
            for seq in range(stretch.first, stretch.last + 1):
                yield seq, stretch


def search(
    history: History,
    query: Asked,
    *,
    start: int = 0,
    stop: int | None = None,
    skip_damaged: bool = False,
    cancelled: Cancelled = never,
    progress: Progress = untold,
) -> Search:
    """Look for something in all entries.

    Args:
        history: where to look.
        query: a text, a `PatternQuery`, what `parse_query` reads, or an `Expression`: then its results that hold and
            were not there before are the hits. Of a `PythonQuestion` too; of a `ChangeQuestion` the entries at which it holds.
        start: the first entry to look at; what it holds counts only where it differs from the entry before.
        stop: one past the last entry to look at.
        skip_damaged: step over entries that cannot be read instead of raising.
        cancelled: ends the search when it says yes; `complete` then stays False.
        progress: told how far it is.

    Raises:
        QuestionError: there is nothing to look for, or an expression reads an atom that no entry has.
    """
    look, doubts = _looking(history, query)
    return Search(
        history,
        look,
        doubts=doubts,
        start=start,
        stop=stop,
        skip_damaged=skip_damaged,
        cancelled=cancelled,
        progress=progress,
    )


def _looking(history: History, query: Asked) -> tuple[Look, Callable[[], tuple[str, ...]]]:
    """Return what looks for a query, and what tells which parts of it can hardly be meant."""
    if isinstance(query, str):
        return TextLook(TextQuery(query), history.identity), tuple
    if isinstance(query, ComparisonQuery):
        comparison = query.fresh()
        return TextLook(comparison, history.identity), comparison.doubts
    if not isinstance(query, Expression | PythonQuestion | ChangeQuestion):
        return TextLook(query, history.identity), tuple
    # What is noticed while it is asked belongs to this search.
    if isinstance(query, Expression):
        expression = query.fresh()
        refuse_unknown(expression.watch, expression.reads, history)
        return ResultLook(expression), expression.watch.doubts
    question = query.fresh()
    question.refuse_unknown(history)
    look = ChangeLook(history, question) if isinstance(question, ChangeQuestion) else ResultLook(question)
    return look, question.doubts


def parse_search(text: str) -> Query | Expression:
    """Read what a person types where there is one line for it: `= E` asks an expression, else see `parse_query`.

    Raises:
        QuestionError: it is empty, or the expression does not parse; the message names the column.
    """
    stripped = text.lstrip()
    return Expression(stripped[1:].strip()) if stripped.startswith("=") else parse_query(text)


__all__ = ["Hit", "HitKind", "PatternQuery", "Search", "TextQuery", "parse_query", "parse_search", "search"]
