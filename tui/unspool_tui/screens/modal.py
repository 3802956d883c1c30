"""The base of the small screens in front of the main one: Escape always leaves, no key typed ahead is lost."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, TypeVar, cast

from textual import events, on
from textual.await_complete import AwaitComplete
from textual.screen import ModalScreen
from textual.widgets import Input

from unspool_tui.present.paint import Pen
from unspool_tui.widgets.lines import Lines

if TYPE_CHECKING:
    from unspool_tui.window import UnspoolApp

Result = TypeVar("Result")


class Modal(ModalScreen[Result]):
    """A small screen that paints rows like the main one does."""

    CSS_PATH = "../styles/modal.tcss"
    AUTO_FOCUS: ClassVar[str | None] = ""
    over = False
    """The result is given; keys that still come here belong to the screen behind."""
    then: Callable[[Result | None], None] | None = None
    """Takes the result at once. Textual's own callbacks come after keys that were typed ahead, which is too late."""

    @property
    def unspool_app(self) -> UnspoolApp:
        """The app, by its own type."""
        return cast("UnspoolApp", self.app)

    @property
    def pen(self) -> Pen:
        """What to draw with."""
        return self.unspool_app.pen

    def on_mount(self) -> None:
        """Draw in the app's colours."""
        self.use_pen(self.pen)

    def use_pen(self, pen: Pen) -> None:
        """Draw in other colours."""
        for lines in self.query(Lines):
            lines.set_pen(pen)
        self.paint()

    @on(Lines.Resized)
    def _resized(self) -> None:
        self.paint()

    def paint(self) -> None:
        """Show what there is to show."""
        raise NotImplementedError

    def on_key(self, event: events.Key) -> None:
        """Leave on Escape; pass other keys to `press`, and those typed before the line had focus to the line."""
        if self.over:
            self.typed_ahead(event)
        elif event.key == "escape":
            event.stop()
            self.leave()
        elif self.press(event.key, event.character) or self._into_line(event):
            event.stop()
            event.prevent_default()

    def typed_ahead(self, event: events.Key) -> None:
        """Give a key to the screen behind, which the person already sees or expects."""
        event.stop()
        event.prevent_default()
        self.unspool_app.main.take_key(event.key, event.character)

    def _into_line(self, event: events.Key) -> bool:
        line = self.query(Input).first() if self.query(Input) else None
        if line is None or line.has_focus:
            return False
        if event.key == "enter":
            self.enter(line.value)
        elif event.character is not None and event.is_printable:
            line.insert_text_at_cursor(event.character)
        return True

    def dismiss(self, result: Result | None = None) -> AwaitComplete:
        """Close with a result."""
        self.over = True
        closing = super().dismiss(result)
        if self.then is not None:
            self.then(result)
        return closing

    def leave(self) -> None:
        """Close without a result."""
        self.dismiss(None)

    def press(self, key: str, character: str | None) -> bool:
        """Handle a key; say whether it meant something."""
        return False

    def enter(self, text: str) -> None:
        """Take the typed line."""
