"""What happens with each answer of the worker."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from msgspec.structs import replace

from unspool.errors import UnspoolError
from unspool_tui.desk import Kind, Reply
from unspool_tui.present.header import short_name
from unspool_tui.scene.detail import request_of
from unspool_tui.screens.messages import told_as
from unspool_tui.view import live
from unspool_tui.view.filters import Rows

if TYPE_CHECKING:
    from unspool.history.stats import HistoryStats
    from unspool_tui.screens.main import MainScreen


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
        grown = live.grown(view, total, first)
        if cut:
            grown = replace(grown, search=replace(grown.search, text="", hits=(), found=0, running=False))
        if not view.filter.text:
            main.rows = Rows(total, first=first)
        elif first != view.first:
            main.rows.begin_at(first)
        main.apply(grown)
        main.grown(view.total, total)
    if main.returning is not None and main.returning.arrived(main):
        main.returning = None
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
        self._main.desk.cancel(kind)
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
