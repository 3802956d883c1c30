"""What the app says: the log of messages, and the work that takes long."""

from __future__ import annotations

import errno
import re
from collections import Counter, deque
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final, Protocol

from msgspec import Struct

from unspool.errors import UnspoolError
from unspool.history.verdict import COMPLETE, Problem, Verdict
from unspool_tui.rendering.header import short_name
from unspool_tui.rendering.line import BLANK, Row, on_grid, wrap_words
from unspool_tui.worker import QuestionKind, Worker

_KEPT: Final = 500


class LoggedMessage(Struct, frozen=True):
    """One message.

    Attributes:
        at: when.
        text: what.
        style: name of its style: `text`, `good`, `warning` or `error`.
    """

    at: datetime
    text: str
    style: str


def told_as(error: Exception) -> str:
    """Return what a person is told of an error: what is to be done where that is known, else that it is unexpected."""
    if isinstance(error, UnspoolError):
        return str(error)
    if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
        return (
            "no file descriptor is left for this; close other programs, or raise the limit (ulimit -n), and try again"
        )
    return f"unexpected {type(error).__name__}: {error}"


class MessageLog:
    """The last few hundred messages."""

    def __init__(self, now: Callable[[], datetime] = datetime.now) -> None:
        self._now = now
        self._told: deque[LoggedMessage] = deque(maxlen=_KEPT)

    def add(self, text: str, style: str) -> None:
        """Keep a message; the same one again and again is kept once."""
        if not self._told or self._told[-1].text != text:
            self._told.append(LoggedMessage(self._now(), text, style))

    def all(self) -> list[LoggedMessage]:
        """Return the messages, oldest first."""
        return list(self._told)


class ToldProblems:
    """What was told of the problems of a source, to tell each of them once.

    Problems have no numbers: some go away again, as that of a file that is gone for a moment, and others are told anew
    as they grow, with another figure in the same words. So they are counted by their words, figures aside.
    """

    def __init__(self) -> None:
        self.verdict = COMPLETE
        self._counts: Counter[str] = Counter()

    def fresh(self, verdict: Verdict) -> list[str]:
        """Return the problems that are new since the last call; what is lost comes last, behind what is only worth knowing.

        Args:
            verdict: all that there are now.
        """
        texts = [*verdict.notes, *map(told_problem, verdict.problems)]
        counts: Counter[str] = Counter()
        fresh = []
        for text in texts:
            words = _FIGURES.sub("0", text)
            counts[words] += 1
            if counts[words] > self._counts[words]:
                fresh.append(text)
        self.verdict, self._counts = verdict, counts
        return fresh


_FIGURES: Final = re.compile(r"\d[\d,.]*")


def told_problem(problem: Problem) -> str:
    """Return a problem with its place, which some messages begin with themselves, as those of the log beside a file do."""
    begins_with_it = problem.message.startswith((problem.place, short_name(problem.place)))
    return problem.message if begins_with_it else f"{problem.place}: {problem.message}"


_STAMP = 10
_MOST_PROBLEMS = 200


def log_rows(told: Sequence[LoggedMessage], verdict: Verdict, width: int) -> list[Row]:
    """Return all lines of the log."""
    rows: list[Row] = [Row(((" source: ", "dim"), (str(verdict.status), _status_style(str(verdict.status)))))]
    for problem in verdict.problems[:_MOST_PROBLEMS]:
        rows += _lines(f"{problem.place}: {problem.message}", "warning", "   ", width)
    for note in verdict.notes:
        rows += _lines(note, "dim", "   ", width)
    rows.append(BLANK)
    for message in told:
        first, *rest = _lines(message.text, message.style, " " * _STAMP, width)
        stamp = f" {message.at:%H:%M:%S} "
        rows += [Row(((stamp, "faint"), *first.left[1:])), *rest]
    if not told:
        rows.append(Row(((" nothing was told yet", "dim"),)))
    return rows


def _status_style(status: str) -> str:
    return {"complete": "good", "partial": "warning"}.get(status, "error")


def _lines(text: str, style: str, indent: str, width: int) -> list[Row]:
    pieces = wrap_words(on_grid(text[:4000]), width - len(indent) - 1, 40)
    return [Row(((indent, "text"), (piece, style))) for piece in pieces]


class Speaker(Protocol):
    """Whoever shows what takes long: the main screen."""

    flash_text: tuple[str, str] | None
    worker: Worker

    def flash(self, text: str, style: str = "text") -> None:
        """Say something in the footer for a moment, and keep it in the message log."""

    def repaint(self) -> None:
        """Show the footer anew."""


class Work:
    """Keeps one piece of work of each kind in sight, and files that wait to be written."""

    def __init__(self, main: Speaker) -> None:
        self._main = main
        self._running: dict[QuestionKind, str] = {}
        self._writes: list[Callable[[], None]] = []

    def begin(self, kind: QuestionKind, told: str) -> None:
        """Take note of new work, long where it is told; work of its kind that was under way is given up for it."""
        before = self._running.pop(kind, "")
        if before:
            self._main.flash(f"stopped: {before}", "warning")
        if told:
            self._running[kind] = told
            self.show(told)

    def show(self, text: str) -> None:
        """Show how far something has come, until it is done or something else is told."""
        self._main.flash_text = (f"{text}  (Esc stops)", "dim")
        self._main.repaint()

    def end(self, kind: QuestionKind) -> None:
        """Take note that something is done."""
        told, shown = self._running.pop(kind, ""), self._main.flash_text
        if told and shown is not None and shown[0].startswith(told):
            self._main.flash_text = None
            self._main.repaint()

    def stop(self) -> bool:
        """Stop what takes long, the newest first; say whether there was any."""
        if not self._running:
            return False
        kind, told = self._running.popitem()
        self._main.worker.cancel(kind)
        if kind is QuestionKind.EXPORT:
            self._writes.clear()
        self._main.flash(f"stopped: {told}", "warning")
        return True

    def write(self, start: Callable[[], None]) -> None:
        """Begin to write a file, after those that are still being written."""
        self._writes.append(start)
        if QuestionKind.EXPORT not in self._running:
            self.write_next()

    def write_next(self) -> None:
        """Begin with the next file that waits."""
        if self._writes:
            self._writes.pop(0)()
