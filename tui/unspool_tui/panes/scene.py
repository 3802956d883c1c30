"""Everything that the main screen shows of one history, ready to be turned into rows."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from time import monotonic
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from unspool.history.stats import Sizes
from unspool.model.entries import SourceLine
from unspool_tui.panes.answer import AnswerStrip, EntryAnswer
from unspool_tui.panes.changes import ChangesPane
from unspool_tui.panes.detail import NOTHING, QUICK_SECONDS, Decoded, Detail, LoadingPace, request_of
from unspool_tui.panes.history import EARLY_FROM, EarlyColumns, EntryBook, HistoryPane, ResultsPane, always, knows
from unspool_tui.panes.inspect import NO_STORY, InspectPane, LeafBook, OriginBook
from unspool_tui.panes.lanes import LaneBook
from unspool_tui.panes.names import ActionCounts
from unspool_tui.panes.stats import StatsPane
from unspool_tui.panes.watches import WatchBook
from unspool_tui.rendering.line import Glyphs
from unspool_tui.view.model import View
from unspool_tui.view.overview import EntryLedger

if TYPE_CHECKING:
    from unspool.history.history import History


_WEIGH_SECONDS: Final = 1.0
"""Seconds between two looks at the size on disk."""


class Appearance(Struct, frozen=True):
    """How things are drawn.

    Attributes:
        glyphs: the characters.
        zone: time zone of clock times; None is the machine's.
    """

    glyphs: Glyphs
    zone: dt.tzinfo | None = None


class Scene:
    """One history, its running facts, and what each panel makes of them."""

    def __init__(self, history: History, look: Appearance) -> None:
        self.history = history
        self.look = look
        self.ledger = (
            EntryLedger(EarlyColumns(history), history.first) if len(history) >= EARLY_FROM else full_ledger(history)
        )
        self.book = EntryBook(history)
        self.origins = OriginBook(history, self.book)
        self.leaves = LeafBook()
        self.decoded = Decoded()
        self.pace = LoadingPace()
        self.detail: Detail = NOTHING
        self.list = HistoryPane(self.book, look.glyphs, look.zone)
        self.changes = ChangesPane(look.glyphs)
        self.inspect = InspectPane(self.origins, self.leaves, look.glyphs)
        self.results = ResultsPane(self.book, look.glyphs, look.zone)
        self.stats = StatsPane(history, look.glyphs)
        self.strip = AnswerStrip(look.glyphs)
        self.watches = WatchBook()
        self.lanes = LaneBook(history)
        self.actions = ActionCounts()
        self.changes.identity = history.identity
        self._on_disk, self._weighed = history.file_bytes(), monotonic()
        self.unweighed = False
        """The source was looked at since it was weighed; who stops writing makes its files smaller at last."""
        self._rests: Callable[[], bool] = always
        self._may_ask: bool | None = None
        self.book.may_ask = self.lanes.may_ask = self.may_ask

    def weigh(self) -> None:
        """Find out what the history takes on disk; safe in the worker, and no more often than somebody could read it."""
        now = monotonic()
        self.unweighed = now - self._weighed < _WEIGH_SECONDS
        if not self.unweighed:
            self._weighed = now
            self._on_disk = self.history.file_bytes()

    def sizes(self) -> Sizes:
        """Return what the history takes, as far as that is known."""
        return Sizes(self._on_disk, self.ledger.stored, self.ledger.as_full)

    def wrong(self) -> bool:
        """Whether the source could not be read completely."""
        return str(self.history.verdict.status) != "complete"

    def reading(self) -> str:
        """Return how far reading the source has come; empty when it is read."""
        progress = self.history.progress
        if progress.is_finished:
            return ""
        return f"{min(99, progress.done * 100 // progress.total)}%" if progress.total else "…"

    def wants_detail(self, view: View) -> bool:
        """Whether the detail at hand is not what the view shows."""
        return self.detail.request != request_of(view)

    def may_ask(self) -> bool:
        """Whether painting may ask the history itself: the worker does not read it meanwhile.

        Found out once a paint; see `begin_paint`.
        """
        if self._may_ask is None:
            self._may_ask = self._rests()
        return self._may_ask

    def begin_paint(self, rests: Callable[[], bool]) -> None:
        """Find out anew whether the history may be asked, when that is first wanted to be known.

        Args:
            rests: says whether nobody else reads the history.
        """
        self._rests, self._may_ask = rests, None
        if isinstance(self.ledger.columns, EarlyColumns):
            self.ledger.columns.pages.may_ask = self.may_ask

    def load_now(self, view: View) -> bool:
        """Load the detail of a view at once if that is quick; say whether it is there."""
        if not self.wants_detail(view):
            return True
        if self.pace.expected(self._size(view)) > QUICK_SECONDS or not self.may_ask():
            return False
        self.take(self.load_later(view))
        return True

    def load_later(self, view: View) -> Detail:
        """Load the detail of a view; safe in the worker."""
        return self.pace.timed_load(self.history, self.decoded, request_of(view), self._size(view))

    def _size(self, view: View) -> int:
        return self.ledger.columns.full_bytes[view.head] if 0 <= view.head < view.total else 0

    def answer(self, view: View) -> EntryAnswer:
        """Return what is known of the head without waiting for its details."""
        head, columns = view.head, self.ledger.columns
        if not 0 <= head < view.total:
            return EntryAnswer(-1, "no entry can be read" if self.detail.problem else "no entry yet")
        detail = self.detail
        late = self.wants_detail(view)
        action = self.book.action(head) if late else detail.action
        since = head - 1 if late or view.other is not None or detail.from_seq < 0 else detail.from_seq
        gap = None
        if since >= view.first and knows(columns, head) and knows(columns, since):
            gap = columns.timestamp_ns[head] - columns.timestamp_ns[since]
        return EntryAnswer(
            head, action, gap, since, None if late else detail.caller, late, not late and detail.unseen
        )

    def line_of_code(self, view: View, *, of_value: bool) -> SourceLine | None:
        """Return the line of code that wrote the value in question, or that recorded the head; None where it is not known."""
        if self.wants_detail(view):
            return None
        address, head, origin = self.inspect.story
        asked = (self.strip.asked(view, self.detail), view.head)
        return origin.caller if of_value and (address, head) == asked else self.detail.caller

    def current(self, view: View) -> Detail:
        """Return the detail of a view, loaded now where the panes have not caught up with it yet."""
        return self.load_later(view) if self.wants_detail(view) else self.detail

    def take(self, detail: Detail) -> None:
        """Show a detail from now on, and learn from it who set what."""
        head = detail.request.head
        if detail.request.other is None and not detail.problem and not detail.unknown and head >= 0:
            changed = frozenset(change.atom for change in detail.changes)
            self.origins.extend(detail.state, head, changed)
            self.origins.stepped(head, detail.changes)
        self.detail = detail

    def identify(self, identity: Mapping[str, str]) -> None:
        """Tell the records of lists apart by other keys; what was found out by the old ones is forgotten."""
        self.history.identity = self.changes.identity = identity
        self.origins.forget()
        self.leaves.forget()
        self.inspect.story = NO_STORY
        self.detail = NOTHING

    def say(self, why: str, view: View, *, is_problem: bool = True) -> None:
        """Tell in Changes why there is nothing to show: what is wrong, or what is being waited for."""
        request = request_of(view)
        self.detail = Detail(request, problem=why) if is_problem else Detail(request, unknown=why)

    def spare(self) -> None:
        """Let go of what can be had again, while nobody looks."""
        self.decoded = Decoded()

    def grown(self, total: int, *, cut: bool) -> None:
        """Take note of new entries; after a cut, forget what was known of the old ones."""
        if cut:
            self.book.forget()
            self.origins.forget()
            self.leaves.forget()
            self.list.forget()
            self.watches.forget()
            self.results.forget()
            self.lanes.forget()
            self.detail = NOTHING
        self.ledger.begin_at(self.history.first)
        if self.ledger.ready:
            self.ledger.catch_up(total)


def full_ledger(history: History) -> EntryLedger:
    """Read all columns and sum them up; long histories have this done by the worker."""
    ledger = EntryLedger(history.columns(), history.first)
    ledger.catch_up(len(history))
    return ledger
