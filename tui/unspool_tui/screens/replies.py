"""What the worker answers, put where it belongs; the log of what the app said."""

from __future__ import annotations

import errno
from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Final

from msgspec import Struct
from msgspec.structs import replace

from unspool.errors import UnspoolError
from unspool_tui.panes.detail import request_of
from unspool_tui.rendering.header import short_name
from unspool_tui.rendering.line import BLANK, Row, on_grid, wrap_words
from unspool_tui.view import moves
from unspool_tui.view.filters import Rows
from unspool_tui.view.history_port import Verdict
from unspool_tui.worker import Kind, Reply

if TYPE_CHECKING:
    from unspool.history.stats import HistoryStats
    from unspool_tui.screens.main import MainScreen

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


def take_reply(main: MainScreen, reply: Reply) -> None:
    """Let the newest answer of its kind change the view; errors are told, never raised."""
    if reply.done:
        main.work.end(reply.kind)
    if reply.error is not None:
        _tell(main, reply)
        return
    match reply.kind:
        case Kind.DETAIL:
            if reply.value.request == request_of(main.view):
                main.scene.take(reply.value)
                main.repaint()
        case Kind.REFRESH:
            take_total(main, reply.value)
        case Kind.ROWS:
            main.scene.book.learn(reply.value)
            main.repaint()
        case Kind.ORIGINS:
            head, found = reply.value
            main.scene.origins.learn(found, head)
            main.painter.origins_known()
        case Kind.LEDGER:
            main.scene.ledger = reply.value
            main.scene.ledger.catch_up(main.view.total)
            main.repaint()
        case Kind.LEAVES:
            main.scene.leaves.learn(*reply.value)
            main.painter.origins_known()
        case Kind.STATS:
            _take_stats(main, reply.value)
        case Kind.STORY:
            if reply.value is not None:
                main.scene.inspect.story = reply.value
                main.painter.origins_known()
        case Kind.TRAVEL | Kind.PATHS | Kind.FILTER | Kind.SEARCH | Kind.TASK | Kind.EXPORT:
            main.askers[reply.kind](reply)


def _take_stats(main: MainScreen, stats: HistoryStats) -> None:
    """Show what was measured; damage is kept in the message log too, with the way to more of it."""
    was_known = bool(main.scene.stats.ailment)
    main.scene.stats.learn(stats)
    if main.scene.stats.ailment and not was_known:
        main.messages.add(f"damaged: {stats.problems[0]}; c and then D examine every entry", "error")
    main.repaint()


def _tell(main: MainScreen, reply: Reply) -> None:
    error = reply.error
    if reply.kind in (Kind.STORY, Kind.LEAVES, Kind.ORIGINS) and isinstance(error, UnspoolError):
        # Asked unasked, beside what the person does: a value that is not there needs no word.
        return
    assert error is not None
    text = told_as(error)
    if reply.kind is Kind.REFRESH:
        main.follower.looked(failure=text)
    else:
        main.flash(text, "error")
    if reply.kind in main.askers:
        main.askers[reply.kind](reply)


def take_total(main: MainScreen, total: int) -> None:
    """Show that the history has grown, or was cut."""
    view = main.view
    first = main.scene.history.first
    if (first, total) != (view.first, view.total):
        cut = total < view.total
        main.scene.grown(total, cut=cut)
        grown = moves.grown(view, total, first)
        if cut:
            grown = replace(grown, search=replace(grown.search, text="", hits=(), found=0, running=False))
        if not view.filter.text:
            main.rows = Rows(total, first=first)
        elif first != view.first:
            main.rows.begin_at(first)
        main.apply(grown)
        main.grown(view.total, total)
    if main.restorer is not None and main.restorer.arrived(main):
        main.restorer = None
    main.follower.looked()
    tell_problems(main)


def tell_problems(main: MainScreen) -> None:
    """Say once what could not be read, as soon as it is known; all of it is in the message log."""
    verdict = main.scene.history.verdict
    count = len(verdict.problems) + len(verdict.notes)
    if count == main.problems_told:
        return
    # The header tells it too, for as long as it holds.
    main.repaint()
    if count < main.problems_told:
        main.problems_told = count
        return
    told = [f"{problem.place}: {problem.message}" for problem in verdict.problems] + list(verdict.notes)
    for text in told[main.problems_told :]:
        main.messages.add(text, "warning")
    main.problems_told = count
    more = f"  ({count} in all: ! lists them)" if count > 1 else ""
    main.flash(_brief(told[-1]) + more, "warning")


def _brief(text: str) -> str:
    """Leave folders out of the place that a message begins with: the footer has one line, the message log all of it."""
    place, sign, message = text.partition(": ")
    return f"{short_name(place)}{sign}{message}"


class Work:
    """Keeps one piece of work of each kind in sight, and files that wait to be written."""

    def __init__(self, main: MainScreen) -> None:
        self._main = main
        self._running: dict[Kind, str] = {}
        self._writes: list[Callable[[], None]] = []

    def begin(self, kind: Kind, told: str) -> None:
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

    def end(self, kind: Kind) -> None:
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
        if kind is Kind.EXPORT:
            self._writes.clear()
        self._main.flash(f"stopped: {told}", "warning")
        return True

    def write(self, start: Callable[[], None]) -> None:
        """Begin to write a file, after those that are still being written."""
        self._writes.append(start)
        if Kind.EXPORT not in self._running:
            self.write_next()

    def write_next(self) -> None:
        """Begin with the next file that waits."""
        if self._writes:
            self._writes.pop(0)()
