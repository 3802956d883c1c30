"""The main screen and the app, as controls, pages and the parts of the main screen know them; see `screens.main` and `app`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from msgspec import Struct
from textual.app import App
from textual.geometry import Size

from unspool.model.entries import SourceLine
from unspool.model.keys import Path
from unspool_tui.actions import Action, Keymap
from unspool_tui.panes.scene import Scene
from unspool_tui.rendering.line import Pointed
from unspool_tui.rendering.paint import Pen
from unspool_tui.screens.follower import Pump, SourceFollower
from unspool_tui.screens.messages import MessageLog, Work
from unspool_tui.source import NamedSource
from unspool_tui.tabs import Tabs
from unspool_tui.view.model import Pane, RecordingProgram, View, Width
from unspool_tui.view.overview import Keep, Rows
from unspool_tui.widgets.panel import Panel, ScrollMemory
from unspool_tui.widgets.timeline import TimelineView
from unspool_tui.worker import QuestionKind, Reply, Worker

if TYPE_CHECKING:
    from unspool_tui.first_run import CardView
    from unspool_tui.live_programs import AttachedProgram
    from unspool_tui.shown_notes import NoteDesk
    from unspool_tui.tabs import TabLink

Result = TypeVar("Result")


class Dialog(Protocol[Result]):
    """A small screen that gives a result, None when it was left with Escape."""

    then: Callable[[Result | None], None] | None


class TabSwitcher(Protocol):
    """The screens of the tabs; see `app.TabScreens`."""

    passing: str
    """Of sources that go away when the person leaves, what would keep them; empty for those that stay."""

    def show(self, number: int, at: int | None = None) -> None:
        """Bring a tab to the front, at an entry where one is given."""

    def open(self, source: NamedSource, program: RecordingProgram | None = None) -> None:
        """Bring a source to the front, as a tab of its own unless it is one already; and which of its programs is asked."""

    def show_line(self) -> None:
        """Draw the line of tabs."""

    @property
    def link(self) -> TabLink | None:
        """The tabs that are scrubbed together; None where none are."""

    def join(self, link: TabLink | None) -> None:
        """Scrub two tabs together from now on, or none any more; again to show what was found since."""

    def told_link(self) -> str:
        """Return what the first line says of the link of the tab in front; empty where it has none."""

    def settle(self) -> None:
        """Give the tab in front its own screen as soon as it is open."""

    def reopen(self, select: Mapping[str, str]) -> None:
        """Show another part of the source in front."""

    def close_card(self) -> None:
        """Take what is told at first away, for good."""

    def remember_theme(self, name: str) -> None:
        """Keep a theme for the sources that are open."""

    def remember_identity(self, identity: Mapping[str, str]) -> None:
        """Keep identity keys for the source in front."""


class HistoryApp(Protocol):
    """The app that shows histories."""

    theme: str

    @property
    def main(self) -> HistoryScreen:
        """The main screen in front."""

    @property
    def pen(self) -> Pen:
        """What to draw with."""

    @property
    def tabs(self) -> Tabs:
        """All sources."""

    @property
    def tab_screens(self) -> TabSwitcher:
        """Their screens."""

    @property
    def attached(self) -> dict[int, AttachedProgram]:
        """Programs that were attached to from the screen, by process."""

    def theme_names(self) -> list[str]:
        """Return the themes to choose from."""


class HistoryScreen(Pump, Protocol):
    """The main screen of one history.

    Attributes:
        view: what is shown; assign it only together with `repaint`, and call `apply` otherwise.
        scene: the history, and what the panes show of it.
        rows: the entries that the filter lets through.
        keep: the filter itself; None for none.
        keymap: which key does what.
        pen: what to draw with.
        messages: what was said so far.
        flash_text: the passing word in the footer and its style.
        worker: answers questions about the history.
        askers: who takes the answers to questions of a kind.
        work: what takes long.
        follower: follows the source.
        typed: lines typed before, by prompt.
        hit_paths: where the first hit of each found entry stands; empty where only a fact of the entry matches.
        panels: the four panels.
        scroll_memory: panels that were scrolled by hand.
        first_filter: the filter to begin with.
        timeline: what is above the panes.
        unchecked: identity keys given just now; what they do not match is said once the source is read.
        notes: reads and writes notes; None before they were asked for.
        at_end: called when the screen stops.
        card: what is told at first, until it is closed.
    """

    view: View
    scene: Scene
    rows: Rows
    keep: Keep | None
    keymap: Keymap
    pen: Pen
    messages: MessageLog
    flash_text: tuple[str, str] | None
    worker: Worker
    askers: dict[QuestionKind, Callable[[Reply], None]]
    work: Work
    follower: SourceFollower
    typed: dict[str, list[str]]
    hit_paths: dict[int, Path]
    panels: dict[Pane, Panel]
    scroll_memory: ScrollMemory
    timeline: TimelineView
    first_filter: str
    unchecked: Mapping[str, str]
    notes: NoteDesk | None
    at_end: list[Callable[[], object]]
    card: CardView | None

    @property
    def app(self) -> App[Any]:
        """The app, by Textual's type."""

    @property
    def unspool_app(self) -> HistoryApp:
        """The app, by its own."""

    @property
    def size(self) -> Size:
        """Columns and lines of the screen."""

    @property
    def is_uncovered(self) -> bool:
        """No small screen lies in front of it."""

    @property
    def width_class(self) -> Width:
        """The layout for the terminal's width."""

    def apply(self, view: View) -> None:
        """Make this the view; the screen follows with one paint for all changes that are pending."""

    def repaint(self) -> None:
        """Paint the view again, because something beside it changed."""

    def flash(self, text: str, style: str = "text") -> None:
        """Say something in the footer for a moment, and keep it in the message log."""

    def ask(
        self, kind: QuestionKind, work: Callable[[], Any], then: Callable[[Reply], None], *, told: str = ""
    ) -> None:
        """Have the worker answer a question; a newer one of the same kind replaces it."""

    def open(self, dialog: Dialog[Result], then: Callable[[Result | None], None] | None = None) -> None:
        """Put a small screen in front; `then` takes what it returns."""

    def run(self, action: Action) -> None:
        """Do an action, or say why it does not apply."""

    def do(self, action_id: str) -> None:
        """Do an action without asking whether it applies."""

    def open_line(self, place: SourceLine) -> None:
        """Open a line of code in the person's editor, or say why that is refused."""

    def take_key(self, key: str, character: str | None) -> bool:
        """Do what a key means; say whether it meant something."""


Control = Callable[[HistoryScreen], None]
"""Does what an action is for."""


class Controls(Struct, frozen=True):
    """What the main screen does when something happens; handed to it, since controls open pages that know the screen.

    Attributes:
        actions: by the id of an action, what it does.
        begun: the first paint is done.
        is_read: all of the source that is there was read.
        grown: entries from the first number to before the second are new.
        beat: a second has passed.
        edit: a line of code shall be opened in the person's editor.
        clicked: a row of a panel was hit, -1 beside the rows; whether it was hit twice.
        word_clicked: something written was hit, in the widget of an id.
    """

    actions: Mapping[str, Control]
    begun: Control
    is_read: Control
    grown: Callable[[HistoryScreen, int, int], None]
    beat: Control
    edit: Callable[[HistoryScreen, SourceLine], None]
    clicked: Callable[[HistoryScreen, Pane, int, bool], None]
    word_clicked: Callable[[HistoryScreen, str, Pointed], None]
