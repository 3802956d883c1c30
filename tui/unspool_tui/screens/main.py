"""The main screen: it holds the view, takes keys and the mouse, asks the worker and paints."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Final, cast

from msgspec.structs import replace
from textual import events, getters, on
from textual.app import ComposeResult
from textual.message import Message
from textual.screen import Screen

from unspool.model.paths import Path
from unspool_tui.actions import Action, Keymap
from unspool_tui.panes.scene import Scene, full_ledger
from unspool_tui.rendering.paint import Pen
from unspool_tui.screens.follower import Follower, SourceChanged, after
from unspool_tui.screens.main_paint import Painter, pane_classes
from unspool_tui.screens.modal import Modal, Result
from unspool_tui.screens.replies import MessageLog, Work, take_reply, told_as
from unspool_tui.view import moves
from unspool_tui.view.filters import Keep, Rows
from unspool_tui.view.model import Pane, View, Width
from unspool_tui.widgets.lines import Lines
from unspool_tui.widgets.panel import Box, Framed, Panel
from unspool_tui.widgets.timeline import Timeline
from unspool_tui.worker import Kind, Reply, Worker

if TYPE_CHECKING:
    from unspool_tui.app import UnspoolApp
    from unspool_tui.session import PlaceRestorer

WHEEL_ROWS: Final = 3
"""Rows that one notch of the wheel scrolls."""


def click(main: MainScreen, pane: Pane, row: int, *, twice: bool) -> None:
    """Focus a panel and select the row that was hit; a second click opens it. `row` is -1 beside the rows."""
    from unspool_tui.controls import navigation

    view = moves.focus(main.view, pane)
    main.apply(view if row < 0 else navigation.at(main, view, pane, row))
    if twice and row >= 0:
        main.do("open")


def wheel(main: MainScreen, panel: Panel, by: int) -> None:
    """Scroll a panel; head and cursor stay where they are."""
    view = main.view
    if panel.pane is Pane.HISTORY and view.follow and by < 0:
        # Looking back pauses, or the next entry would pull the list away.
        view = moves.toggle_follow(view)
    last = max(0, panel.count - panel.page)
    main.painter.scroll_memory.scroll(panel.pane, view, min(last, panel.top + by * WHEEL_ROWS))
    main.view = view
    main.repaint()


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

    header = getters.query_one("#header", Lines)
    timeline = getters.query_one("#timeline", Timeline)
    footer = getters.query_one("#footer", Lines)
    notice = getters.query_one("#too-small", Lines)

    def __init__(self, scene: Scene, view: View, keymap: Keymap, pen: Pen) -> None:
        width = shutil.get_terminal_size().columns
        shown = moves.shown_panes(view, moves.width_for(width))
        super().__init__(classes=" ".join((f"-{moves.width_for(width).value}", "-tall", *pane_classes(shown))))
        self.scene = scene
        self.view = view
        self.rows = Rows(view.total, first=view.first)
        self.keymap = keymap
        self.pen = pen
        self.messages = MessageLog()
        self.flash_text: tuple[str, str] | None = None
        self.worker = Worker(lambda reply: self.post_message(Answered(reply)))
        self.typed: dict[str, list[str]] = {"search": [], "filter": [], "bisect": []}
        self.askers: dict[Kind, Callable[[Reply], None]] = {}
        self.work = Work(self)
        self.problems_told = 0
        self.hit_paths: dict[int, Path] = {}
        self.keep: Keep | None = None
        self.first_filter = ""
        self.restorer: PlaceRestorer | None = None
        self.unchecked: Mapping[str, str] = {}
        self.follower = Follower(self)
        self.panels = {pane: Panel(pane) for pane in Pane}
        self.painter = Painter(self)

    def compose(self) -> ComposeResult:
        """Lay out the lines and the four panels."""
        if self.view.tabs > 1:
            from unspool_tui.widgets.panel import TabLine

            yield TabLine(self.unspool_app.tab_screens.show, id="tabs")
        yield Lines(id="header")
        yield Timeline(id="timeline")
        with Box(id="body"):
            yield self.panels[Pane.HISTORY]
            with Box(id="details"):
                yield self.panels[Pane.CHANGES]
                yield self.panels[Pane.INSPECT]
                yield self.panels[Pane.STATS]
        yield Lines(id="footer")
        yield Lines(id="too-small")

    def on_mount(self) -> None:
        """Begin to answer questions and to watch the source."""
        self.worker.start()
        for lines in self.query(Lines):
            # Their sizes are known only when the first of them is drawn; it fills all.
            lines.rows_due = self.painter.paint
        self.use_pen(self.pen)
        self.call_after_refresh(self._begin)

    def _begin(self) -> None:
        """Do what the first paint need not wait for."""
        import unspool_tui.controls  # noqa: F401 - see `do`

        self.follower.start()
        self.follower.read_on()
        if self.first_filter:
            from unspool_tui.controls import search

            search.restore_filter(self, self.first_filter)
        if not self.scene.ledger.ready:
            self.worker.ask(Kind.LEDGER, lambda: full_ledger(self.scene.history))
        if self.scene.history.is_foreign:
            from unspool_tui.controls import tabs

            tabs.offer_many(self)

    def on_unmount(self) -> None:
        """Stop; what is under way is not waited for."""
        self.stop()

    def stop(self) -> None:
        """Stop watching and answering; stopping twice is fine."""
        self.follower.stop()
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
    def unspool_app(self) -> UnspoolApp:
        """The app, by its own type."""
        return cast("UnspoolApp", self.app)

    def use_pen(self, pen: Pen) -> None:
        """Draw everything with other colours."""
        self.pen = pen
        for lines in self.query(Lines):
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

    def ask(self, kind: Kind, work: Callable[[], Any], then: Callable[[Reply], None], *, told: str = "") -> None:
        """Have the worker answer a question; a newer one of the same kind replaces it, and Escape what is `told`."""
        self.askers[kind] = then
        self.work.begin(kind, told)
        self.worker.ask(kind, work)

    def is_read(self) -> None:
        """Do what needs all that is there: look whether the chains are sound, and which given keys match nothing."""
        if self.scene.stats.wants_a_look(self.view):
            self.worker.ask(Kind.STATS, self.scene.history.stats)
        if self.unchecked:
            from unspool_tui.controls import view

            view.check_identity(self, self.unchecked)

    def grown(self, before: int, total: int) -> None:
        """Let new entries into a filtered list, when the filter lets them through."""
        if self.keep is not None and not self.view.filter.running:
            from unspool_tui.controls import search

            search.extend_rows(self, before, total)

    @on(SourceChanged)
    def _source_changed(self) -> None:
        self.follower.changed()

    @on(Goto)
    def _paint(self) -> None:
        app = self.unspool_app
        if app.main is self:
            self.painter.paint()
        else:
            # Nobody sees it; its label in the line of tabs is what may have changed.
            app.main.repaint()

    def on_screen_resume(self) -> None:
        """Paint what changed while another tab was in front."""
        if self.view.tabs > 1:
            self.unspool_app.tab_screens.settle()
            self.repaint()

    @on(Lines.Resized)
    def _resized(self) -> None:
        self.repaint()

    @on(Answered)
    def _answered(self, message: Answered) -> None:
        if self.worker.is_current(message.reply):
            take_reply(self, message.reply)

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
        # What keys do is loaded with the first of them, or right after the first paint; neither waits for the other.
        from unspool_tui.controls import CONTROLS

        CONTROLS[action_id](self)

    def _do_or_tell(self, action: Action) -> None:
        try:
            self.do(action.id)
        except OSError as error:
            # Every screen is loaded when it is first wanted, and where no descriptor is left it cannot be.
            self.flash(f"{action.label}: {told_as(error)}", "error")

    def open(self, modal: Modal[Result], then: Callable[[Result | None], None] | None = None) -> None:
        """Put a small screen in front; `then` takes what it returns, None when it was left with Escape."""
        modal.then = then
        self.app.push_screen(modal)

    def flash(self, text: str, style: str = "text") -> None:
        """Say something in the footer for a moment, and keep it in the message log."""
        self.messages.add(text, style)
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
            click(self, message.framed.pane, message.row, twice=message.twice)

    @on(Framed.Wheeled)
    def _wheeled(self, message: Framed.Wheeled) -> None:
        if isinstance(message.framed, Panel):
            wheel(self, message.framed, message.by)

    @on(Timeline.Scrubbed)
    def _scrubbed(self, message: Timeline.Scrubbed) -> None:
        move = moves.jump_to if message.jump else moves.move_to
        self.apply(move(self.view, message.seq))

    @on(Timeline.Turned)
    def _turned(self, message: Timeline.Turned) -> None:
        self.apply(moves.step(self.view, self.rows, message.by))
