"""A line to type into that loses no key typed ahead of the screen."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from textual import events
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

    def __init__(
        self,
        value: str = "",
        *,
        first: Callable[[events.Key, str], bool],
        after: Callable[[events.Key], bool],
        placeholder: str = "",
        id: str | None = None,  # noqa: A002 - Textual's name
    ) -> None:
        """Make a line.

        Args:
            value: what it holds at first.
            first: gets every key, with the line so far, before the line does; whether it took it.
            after: gets keys that write nothing and edit nothing; whether it took it.
            placeholder: shown while the line is empty.
            id: its name for styles.
        """
        super().__init__(value, placeholder=placeholder, id=id, select_on_focus=False)
        self._first = first
        self._after = after

    def validate_value(self, value: str) -> str:
        """Let nothing in that acts on the terminal: what is pasted may come from anywhere."""
        return without_active(value)

    async def _on_key(self, event: events.Key) -> None:
        if self._first(event, self.value) or self.edit(event.key) or (not event.is_printable and self._after(event)):
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
