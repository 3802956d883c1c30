"""Searching all entries and asking them all a question, a few milliseconds at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from time import perf_counter
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from unspool.model.paths import Path
from unspool_tui.present.values import preview_text
from unspool_tui.questions import asked
from unspool_tui.view.history_port import HistoryPort

if TYPE_CHECKING:
    from unspool.history.verdict import Problem
    from unspool.query.bisect_flips import Flip
    from unspool.query.expressions import Expression

Cancelled = Callable[[], bool]
PART_SECONDS: Final = 0.006
"""How long a search looks before it hands over what it found; shorter than the worker's slices."""


def check_search(text: str) -> str:
    """Return a hint for a search as typed so far.

    Raises:
        UnspoolError: it cannot be looked for.
    """
    from unspool.query.expressions import Expression
    from unspool.query.search import TextQuery, parse_search

    query = parse_search(text.strip())
    if isinstance(query, Expression):
        return f"finds where results appear; {_reads(query) or 'asks the whole state'}"
    return "" if isinstance(query, TextQuery) else "compares the value at that path; Enter searches all entries"


def _reads(expression: Expression) -> str:
    return f"reads {', '.join(sorted(expression.reads))[:80]}" if expression.reads else ""


class Found(Struct, frozen=True):
    """A part of the answer to a search.

    Attributes:
        seqs: entries with hits.
        paths: where the first hit of each stands.
        looked_at: entries looked at so far.
        unread: what of the history cannot be read and was stepped over; empty for nothing.
    """

    seqs: list[int]
    paths: list[Path]
    looked_at: int
    unread: str = ""


def unread(problems: Sequence[Problem]) -> str:
    """Return in words what a question stepped over; empty for nothing."""
    if not problems:
        return ""
    many = "1 entry" if len(problems) == 1 else f"{len(problems):,} entries"
    return f"partial: {many} could not be read, from {problems[0].place} on"


def search(history: HistoryPort, text: str, cancelled: Cancelled) -> Iterator[Found]:
    """Yield hits as they are found, a few milliseconds' worth at a time."""
    from unspool.query.search import parse_search
    from unspool.query.search import search as start

    running = start(asked(history), parse_search(text), skip_damaged=True, cancelled=cancelled)
    seqs: list[int] = []
    paths: list[Path] = []
    until = perf_counter() + PART_SECONDS
    for seq, hits in running.by_entry():
        if hits:
            seqs.append(seq)
            paths.append(hits[0].path)
        if perf_counter() >= until:
            yield Found(seqs, paths, running.looked_at)
            seqs, paths = [], []
            until = perf_counter() + PART_SECONDS
    yield Found(seqs, paths, running.looked_at, unread(running.problems))


class Turn(Struct, frozen=True):
    """An entry at which the answer to a question changes.

    Attributes:
        seq: the entry.
        holds: the answer from there on.
        old: the result before, as text.
        new: the result there, as text.
    """

    seq: int
    holds: bool
    old: str
    new: str


class Turns(Struct, frozen=True):
    """A part of the answer to where a question changes its answer.

    Attributes:
        turns: entries at which it does, since the part before.
        looked_at: entries done so far.
        told: with the last part: how much work it was, and what could not be answered or read.
        complete: whether everything could be read.
    """

    turns: list[Turn]
    looked_at: int
    told: str = ""
    complete: bool = True


def check_question(text: str) -> str:
    """Return a hint for a question as typed so far.

    Raises:
        UnspoolError: it does not parse; the message names the column.
    """
    from unspool.query.expressions import Expression

    return _reads(Expression(text.strip()))


def turns(history: HistoryPort, text: str, cancelled: Cancelled) -> Iterator[Turns]:
    """Yield the entries at which the answer to a question changes, a few milliseconds' worth at a time.

    Raises:
        UnspoolError: the question does not parse.
    """
    from unspool.query.bisect import Bisecting

    running = Bisecting(asked(history), text, skip_damaged=True, cancelled=cancelled)
    told = done = 0
    until = perf_counter() + PART_SECONDS
    for done in running.steps():
        if perf_counter() >= until:
            yield Turns([_turn(flip) for flip in running.flips[told:]], done)
            told = len(running.flips)
            until = perf_counter() + PART_SECONDS
    found = running.result()
    words = [*found.doubts, f"{found.asked:,} entries rebuilt, {found.avoided:,} left out"]
    if found.failures:
        words.append(f"not answered at {found.failures:,}: {found.failure}")
    words += [unread(found.problems)] if found.problems else []
    yield Turns([_turn(flip) for flip in running.flips[told:]], done, "; ".join(words), found.complete)


def _turn(flip: Flip) -> Turn:
    return Turn(flip.seq, flip.holds, preview_text(flip.old, 30), preview_text(flip.new, 30))
