"""The base of the small screens in front of the main one: Escape always leaves, no key typed ahead is lost."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, ClassVar, TypeVar, cast

from textual import events, on
from textual.await_complete import AwaitComplete
from textual.css.query import NoMatches
from textual.screen import ModalScreen
from textual.widgets import Input

from unspool_tui.present.paint import Pen
from unspool_tui.widgets.line_input import LineInput
from unspool_tui.widgets.lines import Lines

if TYPE_CHECKING:
    from unspool_tui.window import UnspoolApp

Result = TypeVar("Result")


class Modal(ModalScreen[Result]):
    """A small screen that paints rows like the main one does."""

    CSS_PATH = "../styles/modal.tcss"
    AUTO_FOCUS: ClassVar[str | None] = ""
    up = False
    """The screen is mounted; keys typed before that wait in `ahead`."""
    ahead: tuple[tuple[str, str | None], ...] = ()
    seen: events.Key | None = None
    """The newest key that the line has looked at; one that it has no use for comes on to the screen."""
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
        """Draw in the app's colours, then take the keys that were typed ahead, before the line can have the focus."""
        self.use_pen(self.pen)
        self.up = True
        waiting, self.ahead = self.ahead, ()
        for key, character in waiting:
            self.take_ahead(key, character)

    def take_ahead(self, key: str, character: str | None) -> None:
        """Take a key that went to the screen behind because this one was not up yet, in the order of typing."""
        if self.over:
            self.unspool_app.main.take_key(key, character)
        elif not self.up:
            self.ahead = (*self.ahead, (key, character))
        elif key == "escape":
            self.leave()
        elif not self.press(key, character):
            self._write(key, character)

    def use_pen(self, pen: Pen) -> None:
        """Draw in other colours."""
        for lines in self.query(Lines):
            lines.set_pen(pen)
        # An app that is left while a screen opens takes parts of it down before all of them are up.
        with suppress(NoMatches):
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
        elif not self.up:
            # The screen has its keys already, and not what they are for.
            event.stop()
            event.prevent_default()
            self.take_ahead(event.key, event.character)
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
        # A key on its way here when the line got the focus never reached the line.
        return line is not None and event is not self.seen and self._write(event.key, event.character)

    def _write(self, key: str, character: str | None) -> bool:
        """Type a key into the line, if there is one."""
        line = self.query(LineInput).first() if self.query(LineInput) else None
        if line is None:
            return False
        if key == "enter":
            self.enter(line.value)
        elif not line.edit(key) and character is not None and character.isprintable():
            line.insert_text_at_cursor(character)
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
