"""What the app told, kept for reading again."""

from __future__ import annotations

import errno
from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

from msgspec import Struct

from unspool.errors import UnspoolError
from unspool_tui.present.line import BLANK, Row, on_grid, wrap_words
from unspool_tui.view.history_port import Verdict

_KEPT: Final = 500


class Told(Struct, frozen=True):
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
        self._told: deque[Told] = deque(maxlen=_KEPT)

    def add(self, text: str, style: str) -> None:
        """Keep a message; the same one again and again is kept once."""
        if not self._told or self._told[-1].text != text:
            self._told.append(Told(self._now(), text, style))

    def all(self) -> list[Told]:
        """Return the messages, oldest first."""
        return list(self._told)


_STAMP = 10
_MOST_PROBLEMS = 200


def log_rows(told: Sequence[Told], verdict: Verdict, width: int) -> list[Row]:
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
