"""Small menus to choose from, those too whose choices are still being looked up."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec import Struct
from textual import on
from textual.app import ComposeResult

from unspool_tui.rendering.line import PaneFrame, Row, on_grid, width_of
from unspool_tui.screens.modal import Modal
from unspool_tui.widgets.panel import Framed, Made

_MOST_ROWS = 18


class MenuLine(Struct, frozen=True):
    """One line of a menu.

    Attributes:
        key: the key that chooses it; empty for none of its own.
        label: what it says.
        value: what choosing it means.
        more: said after the label, dimmer.
    """

    key: str
    label: str
    value: str
    more: str = ""


class Menu(Modal[str]):
    """Shows choices and returns the value of the chosen one."""

    def __init__(
        self,
        title: str,
        choices: Sequence[MenuLine],
        *,
        at: str = "",
        preview: Callable[[str], None] | None = None,
    ) -> None:
        """Make a menu.

        Args:
            title: what is being chosen.
            choices: the lines.
            at: value of the line the cursor starts on.
            preview: called with the value under the cursor each time it moves.
        """
        super().__init__()
        self._title = title
        self._preview = preview
        self._take(choices, at)

    def _take(self, choices: Sequence[MenuLine], at: str) -> None:
        self._choices = list(choices)
        self._cursor = next((row for row, choice in enumerate(choices) if choice.value == at), 0)

    def compose(self) -> ComposeResult:
        """Lay out the list."""
        box = Framed(id="menu")
        self._fit(box)
        yield box

    def _fit(self, box: Framed) -> None:
        widest = max((width_of(choice.label) + width_of(choice.more) for choice in self._choices), default=0)
        box.styles.width = max(len(self._title) + 10, min(90, widest + 12))
        box.styles.height = min(_MOST_ROWS, len(self._choices)) + 2

    def paint(self) -> None:
        """Show the choices."""
        place = f"{self._cursor + 1} of {len(self._choices)}" if len(self._choices) > _MOST_ROWS else ""
        frame = PaneFrame(0, self._title, right=((place, "dim"),) if place else (), focused=True)
        self.query_one(Framed).show(Made(len(self._choices), self._row), frame, self._cursor)

    def _row(self, index: int, width: int) -> Row:
        choice = self._choices[index]
        left = ((f" {choice.key or ' '} ", "key"), (f" {on_grid(choice.label)}", "text"))
        return Row(left, ((f"{on_grid(choice.more)} ", "dim"),) if choice.more else ())

    def press(self, key: str, character: str | None) -> bool:
        """Move, choose, or choose by key."""
        moves = {"down": 1, "up": -1, "pagedown": 10, "pageup": -10}
        for row, choice in enumerate(self._choices):
            if character is not None and choice.key == character:
                self._choose(row)
                return True
        if key in ("j", "k"):
            self._move(1 if key == "j" else -1)
        elif key in moves:
            self._move(moves[key])
        elif key in ("enter", "space"):
            self._choose(self._cursor)
        elif key == "q":
            self.leave()
        else:
            return False
        return True

    def _move(self, by: int) -> None:
        self._cursor = max(0, min(self._cursor + by, len(self._choices) - 1))
        if self._preview is not None and self._choices:
            self._preview(self._choices[self._cursor].value)
        self.paint()

    def _choose(self, row: int) -> None:
        self.dismiss(self._choices[row].value if self._choices else None)

    @on(Framed.Clicked)
    def _clicked(self, message: Framed.Clicked) -> None:
        if message.row >= 0:
            self._choose(message.row)

    @on(Framed.Wheeled)
    def _wheeled(self, message: Framed.Wheeled) -> None:
        self._move(message.by)


class LateMenu(Menu):
    """A menu whose choices are still being looked up; keys typed meanwhile wait for them."""

    def __init__(self, title: str) -> None:
        super().__init__(title, ())
        self._typed: list[tuple[str, str | None]] | None = []
        self._known = False

    def on_mount(self) -> None:
        """Show choices that were there sooner than the screen."""
        super().on_mount()
        if self._known:
            self._settle()

    def fill(self, choices: Sequence[MenuLine], *, at: str) -> None:
        """Show the choices, and do what was typed before they were there."""
        self._take(choices, at)
        self._known = True
        if self.up:
            self._settle()

    def _settle(self) -> None:
        self._fit(self.query_one(Framed))
        self.paint()
        typed, self._typed = self._typed or [], None
        for key, character in typed:
            if not self.over:
                self.press(key, character)

    def press(self, key: str, character: str | None) -> bool:
        """Wait with keys until there is something to choose from."""
        if self._typed is None:
            return super().press(key, character)
        self._typed.append((key, character))
        return True
