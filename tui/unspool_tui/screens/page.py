"""The base of whole pages beside the main screen: something told above, a list, keys below, work with progress."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct
from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical

from unspool_tui.actions import key_of_shown
from unspool_tui.rendering.chain_lines import progress_row
from unspool_tui.rendering.header import footer
from unspool_tui.rendering.line import BLANK, PaneFrame, Row, spans_width, wrap_words
from unspool_tui.screens.follower import after
from unspool_tui.screens.messages import told_as
from unspool_tui.screens.modal import Modal
from unspool_tui.view.model import seconds_left
from unspool_tui.widgets.lines import LinesView
from unspool_tui.widgets.panel import Framed, Made
from unspool_tui.worker import QuestionKind, Reply

if TYPE_CHECKING:
    from unspool_tui.screens.protocols import HistoryScreen

Tell = Callable[[int, int], None]
"""Says how much of how much is done."""
_MOST_LINES: Final = 3
"""Lines that a row may take below the list."""
_LOOK_EVERY: Final = 0.1
"""Seconds between two looks at how far the worker is."""


class WorkProgress(Struct):
    """How far the worker is; written there, read here."""

    seen: tuple[int, int] = (0, 0)

    def tell(self, done: int, total: int) -> None:
        """Take note."""
        self.seen = (done, total)


class Page(Modal[None]):
    """A page with a list; Escape stops the work, then leaves."""

    TITLE_OF_LIST = ""
    KEYS: Sequence[tuple[str, str]] = ()

    def __init__(self, main: HistoryScreen) -> None:
        super().__init__()
        self.main_screen = main
        self.cursor = 0
        self._progress: tuple[int, int] | None = None
        self.failure = ""
        """Why the last work came to nothing; empty where it did not."""
        self._began = 0.0

    def compose(self) -> ComposeResult:
        """Lay out what is told, the heading, the list and the keys."""
        with Vertical(classes="page"):
            yield LinesView(id="told")
            yield LinesView(id="heading")
            yield Framed(id="list")
            yield LinesView(id="whole")
            yield LinesView(id="keys")

    def count(self) -> int:
        """Return how many rows the list has."""
        raise NotImplementedError

    def row(self, index: int, width: int) -> Row:
        """Return a row of the list."""
        raise NotImplementedError

    def told(self, width: int) -> list[Row]:
        """Return what is told above the list."""
        raise NotImplementedError

    def heading(self, width: int) -> Row:
        """Return the names of the columns."""
        raise NotImplementedError

    def choose(self) -> None:
        """Do what Enter does on the row under the cursor."""

    def letter(self, character: str) -> bool:
        """Handle a letter of the page's own; say whether it meant something."""
        return False

    def paint(self) -> None:
        """Show what is known so far."""
        width, above = self.app.size.width, self.query_one("#told", LinesView)
        rows = self.told(width) if self._progress is None else [self.progress_row(width)]
        above.styles.height = len(rows)
        above.show_rows(rows)
        self.query_one("#heading", LinesView).show_rows([self.heading(width)])
        self.paint_list()
        self.query_one("#keys", LinesView).show_rows([footer([("j k", "move"), *self.KEYS, ("Esc", "back")], width)])

    def progress_row(self, width: int) -> Row:
        """Return how far the work is, and how long the rest will take."""
        done, total = self._progress or (0, 0)
        return progress_row(done, total, width, self.pen.glyphs, seconds_left(done, total, monotonic() - self._began))

    def paint_list(self) -> None:
        """Show the list with its cursor."""
        place = f"{self.cursor + 1:,} of {self.count():,}" if self.count() else "none"
        frame = PaneFrame(0, self.title_of_list(), right=((place, "dim"),), focused=True)
        self.query_one(Framed).show(Made(self.count(), self.row), frame, self.cursor)
        self.tell_whole()

    def tell_whole(self) -> None:
        """Tell the row under the cursor below the list where the list has no room for all of it."""
        whole, room = self.query_one("#whole", LinesView), self.query_one(Framed).inner_width
        row = self.row(self.cursor, room) if self.cursor < self.count() else BLANK
        spans = (*row.left, *row.right)
        whole.display = spans_width(spans) > room
        if whole.display:
            said = " ".join("".join(text for text, _ in spans).split())
            lines = wrap_words(said, self.app.size.width - 2, _MOST_LINES)
            whole.styles.height = len(lines)
            whole.show_rows([Row(((f" {line}", "text"),)) for line in lines])

    def title_of_list(self) -> str:
        """Name what is listed."""
        return self.TITLE_OF_LIST

    def press(self, key: str, character: str | None) -> bool:
        """Move, choose, or do what the page's own letters do."""
        page, most = self.query_one(Framed).page, self.count()
        steps = {
            "j": 1,
            "down": 1,
            "k": -1,
            "up": -1,
            "pagedown": page,
            "pageup": -page,
            "ctrl+d": page // 2,
            "ctrl+u": -(page // 2),
            "g": -most,
            "home": -most,
            "end": most,
        }
        if character == "G":
            self.move(most)
        elif character is not None and self.letter(character):
            return True
        elif key in steps:
            self.move(steps[key])
        elif key == "enter":
            self.choose()
        elif key == "q":
            self.leave()
        else:
            return False
        return True

    def move(self, by: int) -> None:
        """Move the cursor."""
        self.cursor = max(0, min(self.cursor + by, self.count() - 1))
        self.paint()

    def leave(self) -> None:
        """Stop the work, or go back."""
        if self._progress is not None:
            self.main_screen.worker.cancel(QuestionKind.TASK)
            self._progress = None
            self.paint()
        else:
            self.dismiss(None)

    def work(self, work: Callable[[Tell], Any], then: Callable[[Any], None]) -> None:
        """Have the worker do something long, show how far it is, and take what comes of it."""
        progress = WorkProgress()

        def take(reply: Reply) -> None:
            self._progress = None
            self.failure = "" if reply.error is None else told_as(reply.error)
            if reply.error is None:
                then(reply.value)
            if self.is_current:
                self.paint()

        def watch() -> None:
            if self._progress is not None and self.is_attached:
                self._progress = progress.seen
                self.paint()
                after(self, _LOOK_EVERY, watch)

        self._progress, self._began = (0, self.main_screen.view.total), monotonic()
        self.main_screen.ask(QuestionKind.TASK, lambda: work(progress.tell), take)
        watch()

    @on(Framed.Clicked)
    def _clicked(self, message: Framed.Clicked) -> None:
        if self.point_at(message.row, message.column) and message.twice:
            self.choose()

    def point_at(self, row: int, column: int) -> bool:
        """Choose what is at a place of the list; return whether there is anything."""
        if row >= 0:
            self.cursor = row
            self.paint()
        return row >= 0

    @on(LinesView.WordClicked)
    def _key_clicked(self, message: LinesView.WordClicked) -> None:
        if message.lines.id == "keys" and message.pointed.key:
            key = key_of_shown(message.pointed.key)
            if key == "escape":
                self.leave()
            else:
                self.press(key, key if len(key) == 1 else None)

    @on(Framed.Wheeled)
    def _wheeled(self, message: Framed.Wheeled) -> None:
        self.move(message.by * 3)
