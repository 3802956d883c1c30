"""A line to type into that loses no key typed ahead of the screen."""

from __future__ import annotations

from textual import events
from textual.message import Message
from textual.widgets import Input

from unspool_tui.present.inert import without_active


class LineInput(Input):
    """Hands Enter over at once: Textual's own way goes round through the app, and keys typed right after it come first."""

    class Entered(Message):
        """Enter was pressed."""

    def validate_value(self, value: str) -> str:
        """Let nothing in that acts on the terminal: what is pasted may come from anywhere."""
        return without_active(value)

    async def _on_key(self, event: events.Key) -> None:
        from unspool_tui.screens.modal import Modal

        screen = self.screen
        if isinstance(screen, Modal) and (screen.over or event.key == "enter"):
            event.stop()
            event.prevent_default()
            screen.typed_ahead(event) if screen.over else screen.enter(self.value)
            return
        await super()._on_key(event)
