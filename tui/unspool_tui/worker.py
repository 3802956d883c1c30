"""One worker thread for everything that asks the history at length; the newest question of a kind wins."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import nullcontext
from enum import IntEnum, auto
from time import perf_counter
from typing import Any, Final

from msgspec import Struct

from unspool.history.rebuild import aside

SLICE_SECONDS: Final = 0.010
"""How long a stream of answers runs before more urgent questions get a turn."""

_SHORT_SLICE_SECONDS: Final = 0.003
"""How long what nobody asked for runs before others get a turn: a key waits for the rest of a slice."""

PATIENCE_SECONDS: Final = 0.004
"""How long the screen waits for quick answers to be done, before it leaves to the worker what it would ask itself."""


class QuestionKind(IntEnum):
    """Kinds of questions, most urgent first."""

    DETAIL = auto()
    REFRESH = auto()
    ROWS = auto()
    RESULTS = auto()
    TRAVEL = auto()
    ORIGINS = auto()
    STORY = auto()
    WATCHED = auto()
    LEAVES = auto()
    PATHS = auto()
    NOTES = auto()
    FILTER = auto()
    SEARCH = auto()
    LINK = auto()
    ACTIONS = auto()
    LEDGER = auto()
    LANES = auto()
    STATS = auto()
    CHAINS = auto()
    HEADLINES = auto()
    COURSES = auto()
    TASK = auto()
    EXPORT = auto()


class Reply(Struct, frozen=True):
    """An answer on its way to the screen.

    Attributes:
        kind: which question.
        ticket: number of the question; a reply to an old one is not looked at.
        value: the answer, or the next part of it.
        error: what went wrong; None when nothing did.
        done: no further part follows.
    """

    kind: QuestionKind
    ticket: int
    value: Any = None
    error: Exception | None = None
    done: bool = True


class _Job(Struct):
    ticket: int
    work: Callable[[], Any]
    stream: Iterator[Any] | None = None


class Worker:
    """Takes questions, answers the most urgent first, hands replies over.

    Only the state that somebody looks at counts as a move of theirs; all else is read aside.

    A question is a function; when it returns an iterator, its items are parts of the answer, worked off in slices.
    """

    def __init__(self, deliver: Callable[[Reply], object]) -> None:
        """Start with nothing to do; `deliver` is called in the worker thread."""
        self._deliver = deliver
        self._jobs: dict[QuestionKind, _Job] = {}
        self._tickets: dict[QuestionKind, int] = {}
        self._dropped: list[_Job] = []
        self._wake = threading.Condition()
        self._at_rest = threading.Event()
        self._at_rest.set()
        self._closed = False
        self._busy: QuestionKind | None = None
        self._ticket = 0
        self._thread = threading.Thread(target=self._run, name="unspool-worker", daemon=True)

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def ask(self, kind: QuestionKind, work: Callable[[], Any]) -> int:
        """Put a question; it replaces an unanswered one of its kind. Returns its ticket."""
        with self._wake:
            ticket = self._tickets.get(kind, 0) + 1
            self._tickets[kind] = ticket
            self._forget(kind)
            self._jobs[kind] = _Job(ticket, work)
            self._at_rest.clear()
            self._wake.notify()
        return ticket

    def cancel(self, kind: QuestionKind) -> None:
        """Withdraw a question; parts still on their way become stale."""
        with self._wake:
            self._tickets[kind] = self._tickets.get(kind, 0) + 1
            self._forget(kind)
            self._wake.notify()

    def _forget(self, kind: QuestionKind) -> None:
        """Drop an unanswered question; what it holds open is let go by the thread that opened it."""
        job = self._jobs.pop(kind, None)
        if job is not None:
            self._dropped.append(job)

    def is_current(self, reply: Reply) -> bool:
        """Whether a reply answers the newest question of its kind."""
        return self._tickets.get(reply.kind) == reply.ticket

    def withdrawn(self) -> bool:
        """Whether nobody waits any more for what is being answered; asked by long work in the worker itself."""
        kind = self._busy
        return self._closed or (kind is not None and self._tickets.get(kind) != self._ticket)

    def owes(self, kind: QuestionKind) -> bool:
        """Whether a question of a kind waits or is being answered."""
        with self._wake:
            return kind in self._jobs or self._busy is kind

    @property
    def idle(self) -> bool:
        """Nothing is being answered or waits, and the last reply is handed over."""
        return self._at_rest.is_set() and not self._jobs

    def rests(self) -> bool:
        """Whether the thread does nothing, or will in a moment, so that asking beside it waits for no lock.

        Only whoever asks the questions may take this for granted until the next one.
        """
        return self._at_rest.wait(PATIENCE_SECONDS)

    def close(self) -> None:
        """Stop after the slice at hand; never waits for it."""
        with self._wake:
            self._closed = True
            self._dropped.extend(self._jobs.values())
            self._jobs.clear()
            self._wake.notify()

    def join(self) -> None:
        """Wait until the worker has ended; `close` must have been called."""
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while True:
            with self._wake:
                while not self._jobs and not self._closed and not self._dropped:
                    self._at_rest.set()
                    self._wake.wait()
                self._let_go()
                if self._closed:
                    self._at_rest.set()
                    return
                if not self._jobs:
                    continue
                kind = min(self._jobs)
                job = self._jobs[kind]
                if job.stream is None:
                    del self._jobs[kind]
                self._busy, self._ticket = kind, job.ticket
            self._work(kind, job)

    def _let_go(self) -> None:
        """Close the streams of questions that nobody waits for: a half-written file goes with its stream."""
        while self._dropped:
            stream = self._dropped.pop().stream
            if isinstance(stream, Generator):
                stream.close()

    def _work(self, kind: QuestionKind, job: _Job) -> None:
        try:
            with nullcontext() if kind is QuestionKind.DETAIL else aside():
                self._answer(kind, job)
        except Exception as error:  # noqa: BLE001 - told where the app can show it; this thread must go on
            self._drop(kind, job)
            self._hand_over(Reply(kind, job.ticket, error=error))

    def _answer(self, kind: QuestionKind, job: _Job) -> None:
        if job.stream is None:
            answer = job.work()
            if not isinstance(answer, Iterator):
                self._hand_over(Reply(kind, job.ticket, answer))
                return
            job.stream = answer
        self._slice(kind, job, job.stream)

    def _slice(self, kind: QuestionKind, job: _Job, stream: Iterator[Any]) -> None:
        until = perf_counter() + (_SHORT_SLICE_SECONDS if kind is QuestionKind.LANES else SLICE_SECONDS)
        for part in stream:
            if self._tickets.get(kind) != job.ticket:
                self._give_up(job)
                return
            if part is not None:
                self._deliver(Reply(kind, job.ticket, part, done=False))
            if perf_counter() >= until:
                with self._wake:
                    if self._tickets.get(kind) == job.ticket and not self._closed:
                        self._jobs[kind] = job
                    else:
                        self._dropped.append(job)
                    self._busy = None
                return
        self._drop(kind, job)
        self._hand_over(Reply(kind, job.ticket))

    def _give_up(self, job: _Job) -> None:
        """Stop in the middle of a stream; in its first slice nobody else knows that it is open."""
        with self._wake:
            self._dropped.append(job)
            self._busy = None

    def _hand_over(self, reply: Reply) -> None:
        """Deliver the last part of an answer; whoever gets it finds the worker free already."""
        self._busy = None
        self._deliver(reply)

    def _drop(self, kind: QuestionKind, job: _Job) -> None:
        with self._wake:
            if self._jobs.get(kind) is job:
                del self._jobs[kind]
