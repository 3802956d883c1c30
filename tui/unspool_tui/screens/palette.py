"""The command palette: a place to go to, or any action by name, with its key and why it does not apply."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.fuzzy import Matcher
from textual.widgets import Input

from unspool_tui.actions import ACTIONS, Action
from unspool_tui.present.line import Frame, Row, pad
from unspool_tui.screens.modal import Modal
from unspool_tui.view.moves import SHAPES, looks_like_place
from unspool_tui.widgets.line_input import LineInput
from unspool_tui.widgets.lines import Lines
from unspool_tui.widgets.panel import Framed, Made

if TYPE_CHECKING:
    from unspool_tui.screens.main import MainScreen


class Palette(Modal[str]):
    """Returns what was typed when it is a place, else the id of the chosen action."""

    AUTO_FOCUS = "Input"

    def __init__(self, main: MainScreen) -> None:
        super().__init__()
        self._main = main
        self._found: list[Action] = list(ACTIONS)
        self._cursor = 0
        self._typed = ""

    def compose(self) -> ComposeResult:
        """Lay out the line and the list."""
        with Vertical(id="palette"):
            with Horizontal(id="palette-row"):
                yield Lines(id="sign")
                yield LineInput(placeholder=f"an action, or {SHAPES}", id="palette-line", select_on_focus=False)
            yield Framed(id="palette-list")

    def paint(self) -> None:
        """Show the matching actions."""
        self.query_one("#sign", Lines).show_rows([Row(((" : ", "key"),), ground="bar")])
        place = looks_like_place(self._typed)
        title = f"Enter goes to {self._typed.strip()}" if place else "Actions"
        frame = Frame(0, title, right=((f"{len(self._found)}", "dim"),), focused=True)
        self.query_one(Framed).show(Made(len(self._found), self._row), frame, None if place else self._cursor)

    def _row(self, index: int, width: int) -> Row:
        action = self._found[index]
        why = action.refusal(self._main.view)
        left = (
            (f" {pad(self._main.keymap.shown(action.id), 6)} ", "key"),
            (pad(action.label, 18), "faint" if why else "strong"),
            (why or action.help, "warning" if why else "dim"),
        )
        return Row(left)

    @on(Input.Changed)
    def _changed(self, event: Input.Changed) -> None:
        self._look(event.value)

    def _look(self, text: str) -> None:
        """Show what fits what is typed; also when Enter comes before the change was told."""
        if text.strip() != self._typed.strip():
            self._cursor = 0
        self._typed = text
        query = text.strip()
        self._found = self._matching(query) if query and not looks_like_place(query) else list(ACTIONS)
        self.paint()

    def _matching(self, query: str) -> list[Action]:
        matcher = Matcher(query)
        scored = [(max(matcher.match(f"{a.label} {a.id}"), 0.6 * matcher.match(a.help)), a) for a in ACTIONS]
        return [action for score, action in sorted(scored, key=lambda pair: -pair[0]) if score > 0]

    def enter(self, text: str) -> None:
        """Close with the place, or with the action under the cursor."""
        typed = text.strip()
        if typed != self._typed.strip():
            self._look(typed)
        if looks_like_place(typed) or not self._found:
            self.dismiss(typed or None)
        else:
            self.dismiss(self._found[self._cursor].id)

    def press(self, key: str, character: str | None) -> bool:
        """Move through the list."""
        steps = {"down": 1, "up": -1, "pagedown": 10, "pageup": -10, "tab": 1, "shift+tab": -1}
        if key not in steps:
            return False
        self._cursor = max(0, min(self._cursor + steps[key], len(self._found) - 1))
        self.paint()
        return True

    @on(Framed.Clicked)
    def _clicked(self, message: Framed.Clicked) -> None:
        if message.row >= 0:
            self.dismiss(self._found[message.row].id)
