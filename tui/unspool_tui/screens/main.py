"""The main screen: it holds the view, takes keys and the mouse, asks the worker and paints."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Final, cast

from msgspec.structs import replace
from rich.style import Style
from textual import events, getters, on
from textual.app import ComposeResult
from textual.message import Message
from textual.screen import Screen

from unspool.errors import SourceReplaced, UnspoolError
from unspool.model.entries import SourceLine
from unspool.model.keys import Path
from unspool_tui.actions import BY_ID, Action, Keymap
from unspool_tui.panes.detail import request_of
from unspool_tui.panes.scene import Scene, full_ledger
from unspool_tui.rendering.header import short_name
from unspool_tui.rendering.paint import Pen
from unspool_tui.screens.follower import SourceChanged, SourceFollower, after
from unspool_tui.screens.main_paint import Painter, pane_classes
from unspool_tui.screens.messages import MessageLog, ToldProblems, Work, told_as
from unspool_tui.screens.modal import Modal
from unspool_tui.screens.protocols import Controls, Dialog, HistoryApp, Result
from unspool_tui.view import moves
from unspool_tui.view.axis import LaneKind
from unspool_tui.view.model import Pane, View, Width
from unspool_tui.view.overview import Keep, Rows
from unspool_tui.widgets.lines import LinesCompositor, LinesView
from unspool_tui.widgets.panel import Box, Framed, Panel, ScrollMemory, StripView, TabLine
from unspool_tui.widgets.timeline import TimelineView, height_for, lane_room
from unspool_tui.worker import QuestionKind, Reply, Worker

if TYPE_CHECKING:
    from unspool.history.stats import HistoryStats
    from unspool_tui.first_run import CardView
    from unspool_tui.session import PlaceRestorer
    from unspool_tui.shown_notes import NoteDesk

WHEEL_ROWS: Final = 3
"""Rows that one notch of the wheel scrolls."""


FLASH_SECONDS: Final = 3.0
"""How long a passing word stays in the footer."""


class Goto(Message):
    """Show the view as it is now; any number of them in a row is one."""

    def can_replace(self, message: Message) -> bool:
        """Only the newest view is worth painting."""
        return isinstance(message, Goto)


class Answered(Message):
    """The worker has something."""

    def __init__(self, reply: Reply) -> None:
        self.reply = reply
        super().__init__()


class MainScreen(Screen[None]):
    """Holds the view; every key changes the view, and the view alone decides what is painted."""

    BLANK = True
    AUTO_FOCUS: ClassVar[str | None] = ""
    HORIZONTAL_BREAKPOINTS = [(0, "-tiny"), (60, "-narrow"), (100, "-wide"), (160, "-ultra")]
    VERTICAL_BREAKPOINTS = [(0, "-low"), (16, "-tall")]

    header = getters.query_one("#header", LinesView)
    strip = getters.query_one("#strip", StripView)
    left = getters.query_one("#left", Box)
    footer = getters.query_one("#footer", LinesView)
    notice = getters.query_one("#too-small", LinesView)

    def __init__(
        self, scene: Scene, view: View, keymap: Keymap, pen: Pen, load_controls: Callable[[], Controls]
    ) -> None:
        """Make the screen.

        Args:
            scene: the history, and what the panes show of it.
            view: what is shown at first.
            keymap: which key does what.
            pen: what to draw with.
            load_controls: gives what happens on keys and clicks; asked for right after the first paint, or with the
                first key, so that neither waits for the other.
        """
        width, lines = shutil.get_terminal_size()
        shown = moves.shown_panes(view, moves.width_for(width))
        super().__init__(classes=" ".join((f"-{moves.width_for(width).value}", "-tall", *pane_classes(shown))))
        self._compositor = LinesCompositor()
        self._was_in_front = False
        self._load_controls = load_controls
        self.scene = scene
        self.view = view
        self.rows = Rows(view.total, first=view.first)
        self.keymap = keymap
        self.pen = pen
        self.messages = MessageLog()
        self.flash_text: tuple[str, str] | None = None
        self.worker = Worker(lambda reply: self.post_message(Answered(reply)))
        self.typed: dict[str, list[str]] = {"search": [], "filter": [], "bisect": []}
        self.askers: dict[QuestionKind, Callable[[Reply], None]] = {}
        self.work = Work(self)
        self.problems = ToldProblems()
        self.hit_paths: dict[int, Path] = {}
        self.keep: Keep | None = None
        self.first_filter = ""
        self.restorer: PlaceRestorer | None = None
        self.card: CardView | None = None
        self.unchecked: Mapping[str, str] = {}
        self.follower = SourceFollower(self)
        self.notes: NoteDesk | None = None
        self.at_end: list[Callable[[], object]] = []
        self.panels = {pane: Panel(pane) for pane in Pane}
        self.scroll_memory = ScrollMemory()
        self.painter = Painter(self)
        self.timeline = TimelineView(height_for(lines, lane_room(lines, len(view.pinned))), id="timeline")

    def compose(self) -> ComposeResult:
        """Lay out the lines and the panels."""
        if self.view.tabs > 1:
            yield TabLine(self.unspool_app.tab_screens.show, id="tabs")
        yield LinesView(id="header")
        yield self.timeline
        yield StripView(id="strip")
        with Box(id="body"):
            yield self.panels[Pane.HISTORY]
            with Box(id="details"):
                with Box(id="left"):
                    yield self.panels[Pane.CHANGES]
                    yield self.panels[Pane.STATS]
                yield self.panels[Pane.INSPECT]
            yield self.panels[Pane.RESULTS]
        if self.card is not None:
            yield self.card
        yield LinesView(id="footer")
        yield LinesView(id="too-small")

    def on_mount(self) -> None:
        """Begin to answer questions and to watch the source."""
        self.worker.start()
        for lines in self.query(LinesView):
            # Their sizes are known only when the first of them is drawn; it fills all.
            lines.rows_due = self.painter.paint
        self.use_pen(self.pen)
        self.call_after_refresh(self._begin)

    def _begin(self) -> None:
        """Do what the first paint need not wait for."""
        controls = self._load_controls()
        self.follower.start()
        self.follower.read_on()
        if not self.scene.ledger.ready:
            self.worker.ask(QuestionKind.LEDGER, lambda: full_ledger(self.scene.history))
        controls.begun(self)

    def on_unmount(self) -> None:
        """Stop; what is under way is not waited for."""
        self.stop()

    def stop(self) -> None:
        """Stop watching and answering; stopping twice is fine."""
        self.follower.stop()
        while self.at_end:
            self.at_end.pop()()
        self.worker.close()

    def go_behind(self) -> None:
        """Let another tab come to the front: the head stays where it is, unless it follows."""
        if self.view.playing:
            self.apply(replace(self.view, playing=False))
            self.follower.schedule(self.view)
        self.scene.spare()

    @property
    def width_class(self) -> Width:
        """The layout for the terminal's width."""
        return moves.width_for(self.app.size.width)

    @property
    def unspool_app(self) -> HistoryApp:
        """The app, by its own type."""
        return cast("HistoryApp", self.app)

    @property
    def is_in_front(self) -> bool:
        """It is the screen of the tab that is looked at."""
        return self.unspool_app.main is self

    @property
    def is_uncovered(self) -> bool:
        """No small screen lies in front of it."""
        return self.app.screen is self

    def use_pen(self, pen: Pen) -> None:
        """Draw everything with other colours."""
        self.pen = pen
        for lines in self.query(LinesView):
            lines.set_pen(pen)
        self.repaint()

    def apply(self, view: View) -> None:
        """Make this the view; the screen follows with one paint for all changes that are pending."""
        if view is not self.view:
            self.view = view
            self.post_message(Goto())

    def repaint(self) -> None:
        """Paint the view again, because something beside it changed."""
        self.post_message(Goto())

    def ask(
        self, kind: QuestionKind, work: Callable[[], Any], then: Callable[[Reply], None], *, told: str = ""
    ) -> None:
        """Have the worker answer a question; a newer one of the same kind replaces it, and Escape what is `told`."""
        self.askers[kind] = then
        self.work.begin(kind, told)
        self.worker.ask(kind, work)

    def is_read(self) -> None:
        """Do what needs all that is there: look whether the chains are sound, and which given keys match nothing."""
        if self.scene.stats.wants_a_look(self.view):
            self.worker.ask(QuestionKind.STATS, self.scene.history.stats)
        self._load_controls().is_read(self)

    def beat(self) -> None:
        """Look at what is kept beside the source, once that was read."""
        if self.notes is not None:
            self._load_controls().beat(self)

    def grown(self, before: int, total: int) -> None:
        """Let new entries into a filtered list, when the filter lets them through."""
        if self.keep is not None and not self.view.filter.running:
            self._load_controls().grown(self, before, total)

    @on(SourceChanged)
    def _source_changed(self) -> None:
        self.follower.changed()

    @on(Goto)
    def _paint(self) -> None:
        if self.is_in_front:
            self.painter.paint()
        else:
            # Nobody sees it; its label in the line of tabs is what may have changed.
            self.unspool_app.main.repaint()

    def show_tabs(self, count: int) -> None:
        """Show the line of tabs, which is not there while there is one source only."""
        if not self.query(TabLine) and self.is_mounted:
            self.mount(TabLine(self.unspool_app.tab_screens.show, id="tabs"), before="#header")
        self.apply(replace(self.view, tabs=count))

    def on_screen_resume(self, event: events.ScreenResume) -> None:
        """Paint what changed while another tab was in front."""
        if not self._was_in_front:
            # Styles were applied as the widgets were made, just now.
            self._was_in_front, event.refresh_styles = True, False
        if self.view.tabs > 1:
            self.unspool_app.tab_screens.settle()
        self.repaint()

    @on(LinesView.Resized)
    def _resized(self) -> None:
        self.repaint()

    @on(Answered)
    def _answered(self, message: Answered) -> None:
        if self.worker.is_current(message.reply):
            _take_reply(self, message.reply)

    def get_style_at(self, x: int, y: int) -> Style:
        """Return no style: Textual looks for one of what a click on it does, and no line here holds any."""
        return Style.null()

    def on_key(self, event: events.Key) -> None:
        """Do what a key means; keys without a meaning go on to Textual."""
        if self.take_key(event.key, event.character):
            event.stop()
            event.prevent_default()

    def take_key(self, key: str, character: str | None) -> bool:
        """Do what a key means, or hand it to a screen that the key before it opened; say whether it meant something."""
        front = self.app.screen
        if front is not self and not getattr(front, "over", False):
            # Typed faster than the screen opened: the key was on its way here already.
            if isinstance(front, Modal):
                front.take_ahead(key, character)
            else:
                front.post_message(events.Key(key, character))
            return True
        action = self.keymap.action(key, character)
        if action is not None:
            self.run(action)
        return action is not None

    def run(self, action: Action) -> None:
        """Do an action, or say why it does not apply."""
        reason = action.refusal(self.view)
        if reason:
            self.flash(f"{action.label}: {reason}", "warning")
        else:
            self._do_or_tell(action)

    def do(self, action_id: str) -> None:
        """Do an action without asking whether it applies."""
        self._load_controls().actions[action_id](self)

    def _do_or_tell(self, action: Action) -> None:
        try:
            self.do(action.id)
        except OSError as error:
            # Every screen is loaded when it is first wanted, and where no descriptor is left it cannot be.
            self.flash(f"{action.label}: {told_as(error)}", "error")

    def open(self, dialog: Dialog[Result], then: Callable[[Result | None], None] | None = None) -> None:
        """Put a small screen in front; `then` takes what it returns, None when it was left with Escape."""
        dialog.then = then
        self.app.push_screen(cast("Screen[Result]", dialog))
        self.repaint()

    def flash(self, text: str, style: str = "text") -> None:
        """Say something in the footer for a moment, and keep it in the message log."""
        self.messages.add(text, style)
        self.show_briefly(text, style)

    def show_briefly(self, text: str, style: str) -> None:
        """Say something in the footer for a moment that the message log has already, or tells otherwise."""
        self.flash_text = (text, style)
        self.repaint()
        after(self, FLASH_SECONDS, lambda: self._end_flash(text))

    def _end_flash(self, text: str) -> None:
        if self.flash_text is not None and self.flash_text[0] == text:
            self.flash_text = None
            self.repaint()

    @on(Framed.Clicked)
    def _clicked(self, message: Framed.Clicked) -> None:
        if isinstance(message.framed, Panel):
            self._load_controls().clicked(self, message.framed.pane, message.row, message.twice)

    @on(StripView.Chosen)
    def _line_chosen(self, message: StripView.Chosen) -> None:
        place = self.scene.line_of_code(self.view, of_value=message.line > 0)
        if place is not None:
            self.open_line(place)

    def open_line(self, place: SourceLine) -> None:
        """Open a line of code in the person's editor, or say why that is refused."""
        reason = BY_ID["line.open"].refusal(self.view)
        if reason:
            self.flash(reason, "warning")
        else:
            self._load_controls().edit(self, place)

    @on(LinesView.WordClicked)
    def _word_clicked(self, message: LinesView.WordClicked) -> None:
        self._load_controls().word_clicked(self, message.lines.id or "", message.pointed)

    @on(Framed.Wheeled)
    def _wheeled(self, message: Framed.Wheeled) -> None:
        if isinstance(message.framed, Panel):
            self._wheel(message.framed, message.by)

    @on(Framed.Pushed)
    def _pushed(self, message: Framed.Pushed) -> None:
        if message.framed is self.panels[Pane.INSPECT]:
            self.apply(self.scene.inspect.scrolled(self.view, message.by))

    def _wheel(self, panel: Panel, by: int) -> None:
        """Scroll a panel; head and cursor stay where they are."""
        view = self.view
        if panel.pane is Pane.HISTORY and view.follow and by < 0:
            # Looking back pauses, or the next entry would pull the list away.
            view = moves.toggle_follow(view)
        last = max(0, panel.count - panel.page)
        if panel.pane is Pane.HISTORY and by > 0 and panel.top + by * WHEEL_ROWS >= last:
            # A head that was left where following stopped goes on from there; any other is somebody's place.
            view = moves.follow_at_end(replace(view, head=view.tip) if view.head == view.paused_total - 1 else view)
        self.scroll_memory.scroll(panel.pane, view, min(last, panel.top + by * WHEEL_ROWS))
        self.view = view
        self.repaint()

    @on(TimelineView.Scrubbed)
    def _scrubbed(self, message: TimelineView.Scrubbed) -> None:
        move = moves.jump_to if message.jump else moves.move_to
        view, seq = self.view, message.seq
        if message.lane is not None:
            lane, axis, column = message.lane
            seq = self.scene.lanes.entry_for(lane, axis, column)
            if lane.kind is LaneKind.ATOM:
                view = moves.reveal(view, (lane.name,))
        self.apply(moves.follow_at_end(move(view, seq)))

    @on(TimelineView.Turned)
    def _turned(self, message: TimelineView.Turned) -> None:
        self.apply(moves.step(self.view, self.rows, message.by))

    @on(TimelineView.Zoomed)
    def _zoomed(self, message: TimelineView.Zoomed) -> None:
        self.apply(moves.zoom_timeline(self.view, message.by))

    @on(TimelineView.Pointed)
    def _pointed(self) -> None:
        self.repaint()


def _take_reply(main: MainScreen, reply: Reply) -> None:
    """Let the newest answer of its kind change the view; errors are told, never raised."""
    if reply.done:
        main.work.end(reply.kind)
    if reply.error is not None:
        _tell(main, reply)
        return
    match reply.kind:
        case QuestionKind.DETAIL:
            if reply.value.request == request_of(main.view):
                main.scene.take(reply.value)
                main.repaint()
        case QuestionKind.REFRESH:
            _take_total(main, reply.value)
        case QuestionKind.ROWS:
            main.scene.book.learn(reply.value)
            main.repaint()
        case QuestionKind.RESULTS:
            main.scene.results.learn(reply.value)
            main.repaint()
        case QuestionKind.HEADLINES:
            if reply.value is not None:
                main.scene.book.learn_headlines(reply.value)
            main.repaint()
        case QuestionKind.ORIGINS:
            head, found = reply.value
            main.scene.origins.learn(found, head)
            main.painter.origins_known()
        case QuestionKind.LEDGER:
            main.scene.ledger = reply.value
            main.scene.ledger.catch_up(main.view.total)
            main.repaint()
        case QuestionKind.LANES:
            main.painter.lanes_known(done=reply.done)
        case QuestionKind.LEAVES:
            main.scene.leaves.learn(*reply.value)
            main.painter.origins_known()
        case QuestionKind.STATS:
            _take_stats(main, reply.value)
        case QuestionKind.WATCHED | QuestionKind.COURSES:
            if reply.value is not None:
                main.scene.watches.learn(reply.value)
            main.painter.watches_known(reply)
        case QuestionKind.STORY:
            if reply.value is not None:
                main.scene.inspect.story = reply.value
                main.painter.story_known()
        case (
            QuestionKind.TRAVEL
            | QuestionKind.PATHS
            | QuestionKind.NOTES
            | QuestionKind.LINK
            | QuestionKind.FILTER
            | QuestionKind.SEARCH
            | QuestionKind.ACTIONS
            | QuestionKind.CHAINS
            | QuestionKind.TASK
            | QuestionKind.EXPORT
        ):
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
    if reply.kind is QuestionKind.LANES:
        main.painter.lanes_known(done=True, failed=True)
    if reply.kind is QuestionKind.DETAIL and error is not None:
        main.painter.detail_failed(told_as(error))
    if reply.kind in (QuestionKind.WATCHED, QuestionKind.COURSES):
        main.painter.watches_failed(reply)
    if reply.kind in (
        QuestionKind.STORY,
        QuestionKind.LEAVES,
        QuestionKind.ORIGINS,
        QuestionKind.LANES,
    ) and isinstance(error, UnspoolError):
        # Asked unasked, beside what the person does: a value that is not there needs no word.
        return
    assert error is not None
    text = told_as(error)
    if reply.kind is QuestionKind.REFRESH:
        replaced = isinstance(error, SourceReplaced)
        main.follower.looked(failure=text, unread="source replaced" if replaced else "source unreadable")
        main.repaint()
    else:
        main.flash(text, "error")
    if reply.kind in main.askers:
        main.askers[reply.kind](reply)


def _take_total(main: MainScreen, total: int) -> None:
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
    if main.restorer is not None:
        back = main.restorer.place(main.view, has_all=main.follower.has_all)
        if back is not None:
            main.restorer = None
            main.apply(back)
    main.follower.looked()
    _tell_problems(main)


def _tell_problems(main: MainScreen) -> None:
    """Say once what could not be read, as soon as it is known; all of it is in the message log."""
    verdict = main.scene.history.verdict
    if verdict == main.problems.verdict:
        return
    # The header tells it too, for as long as it holds.
    main.repaint()
    fresh = main.problems.fresh(verdict)
    for text in fresh:
        main.messages.add(text, "warning")
    if fresh:
        count = len(verdict.problems) + len(verdict.notes)
        more = f"  ({count} in all: ! lists them)" if count > 1 else ""
        main.show_briefly(_brief(fresh[-1]) + more, "warning")


def _brief(text: str) -> str:
    """Leave folders out of the place that a message begins with: the footer has one line, the message log all of it."""
    place, sign, message = text.partition(": ")
    return f"{short_name(place)}{sign}{message}"
