"""A line to type into that loses no key typed ahead of the screen."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from textual import events
from textual.message import Message
from textual.widgets import Input

from unspool_tui.rendering.sanitize import without_active

_EDITS: Final[Mapping[str, Callable[[Input], None]]] = {
    "backspace": Input.action_delete_left,
    "delete": Input.action_delete_right,
    "left": Input.action_cursor_left,
    "right": Input.action_cursor_right,
    "home": Input.action_home,
    "end": Input.action_end,
    "ctrl+u": Input.action_delete_left_all,
    "ctrl+k": Input.action_delete_right_all,
    "ctrl+w": Input.action_delete_left_word,
}


class LineInput(Input):
    """Takes Enter, editing keys and those of its screen at once: Textual's own way goes round through the app, and letters typed right after
    them come first.
    """

    class Entered(Message):
        """Enter was pressed."""

    def validate_value(self, value: str) -> str:
        """Let nothing in that acts on the terminal: what is pasted may come from anywhere."""
        return without_active(value)

    async def _on_key(self, event: events.Key) -> None:
        from unspool_tui.screens.modal import Modal

        screen = self.screen
        if isinstance(screen, Modal):
            screen.seen = event
        if isinstance(screen, Modal) and (screen.over or event.key == "enter"):
            event.stop()
            event.prevent_default()
            screen.typed_ahead(event) if screen.over else screen.enter(self.value)
            return
        if self.edit(event.key) or (
            isinstance(screen, Modal) and not event.is_printable and screen.press(event.key, None)
        ):
            event.stop()
            event.prevent_default()
            return
        await super()._on_key(event)

    def edit(self, key: str) -> bool:
        """Do what an editing key does; say whether it is one."""
        action = _EDITS.get(key)
        if action is not None:
            action(self)
        return action is not None
