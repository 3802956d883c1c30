"""The least Textual app there is: one line, changed by a key. What every Textual program pays."""

from __future__ import annotations

from textual.app import App, ComposeResult
from textual.events import Key
from textual.widgets import Static


class HelloApp(App[None]):
    """Counts keys."""

    position = 0

    def compose(self) -> ComposeResult:
        """Show where it is."""
        yield Static("Hello, pos 0")

    def on_key(self, event: Key) -> None:
        """Count, and show it."""
        if event.key == "q":
            self.exit()
            return
        self.position += 1
        self.query_one(Static).update(f"Hello, pos {self.position}")


if __name__ == "__main__":
    HelloApp().run()
