"""The small screens in front of the main one: a line to type into, a text to read, a menu, letters beside rows to go to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from string import ascii_letters
from typing import TYPE_CHECKING, ClassVar, Final, cast

from msgspec import Struct
from textual import events, on
from textual.app import ComposeResult
from textual.await_complete import AwaitComplete
from textual.containers import Horizontal
from textual.css.query import NoMatches
from textual.screen import ModalScreen
from textual.widgets import Input

from unspool.errors import UnspoolError
from unspool_tui.actions import show_key
from unspool_tui.rendering.line import ASCII, PaneFrame, Row, on_grid, width_of, wrap_words
from unspool_tui.rendering.paint import Pen
from unspool_tui.screens.protocols import HistoryApp, Result
from unspool_tui.widgets.lines import LineInput, LinesView
from unspool_tui.widgets.panel import Framed, Listed, Made, Panel

if TYPE_CHECKING:
    from unspool_tui.screens.protocols import HistoryScreen


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
    def unspool_app(self) -> HistoryApp:
        """The app, by its own type."""
        return cast("HistoryApp", self.app)

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

    def line(self, text: str = "", *, placeholder: str = "", id: str) -> LineInput:  # noqa: A002 - Textual's name
        """Make a line to type into, which gives this screen its keys."""
        return LineInput(text, first=self._before_line, after=self._after_line, placeholder=placeholder, id=id)

    def _before_line(self, event: events.Key, text: str) -> bool:
        """Take a key that the line got: it may be for the screen behind, or end the line."""
        self.seen = event
        if self.over:
            self.typed_ahead(event)
        elif event.key == "enter":
            self.enter(text)
        else:
            return False
        return True

    def _after_line(self, event: events.Key) -> bool:
        return self.press(event.key, None)

    def take_ahead(self, key: str, character: str | None) -> None:
        """Take a key that went to the screen behind because this one was not up yet, in the order of typing."""
        if self.over:
            self.unspool_app.main.take_key(key, character)
        elif not self.up:
            self.ahead = (*self.ahead, (key, character))
        elif key == "escape":
            self.leave()
        elif not self.press(key, character) and not self._write(key, character):
            self.refuse(key, character)

    def use_pen(self, pen: Pen) -> None:
        """Draw in other colours."""
        for lines in self.query(LinesView):
            lines.set_pen(pen)
        # An app that is left while a screen opens takes parts of it down before all of them are up.
        with suppress(NoMatches):
            self.paint()

    @on(LinesView.Resized)
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
        else:
            self._unsay()
            if self.press(event.key, event.character) or self._into_line(event):
                event.stop()
                event.prevent_default()
            else:
                self.refuse(event.key, event.character)

    def refuse(self, key: str, character: str | None) -> None:
        """Say that a key means nothing here, until another one does; lines to type into take any key."""
        framed = self.query(Framed)
        if framed and not self.query(Input):
            shown = character if character is not None and character.isprintable() else self.show_key(key)
            framed.first().said = f"{on_grid(shown)} does nothing; Esc leaves"
            self.paint()

    def show_key(self, key: str) -> str:
        """Return a key as people read it, in the characters that the screen is drawn with."""
        return show_key(key, plain=self.pen.glyphs is ASCII)

    def _unsay(self) -> None:
        for framed in self.query(Framed):
            if framed.said:
                framed.said = ""
                self.paint()

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


Check = Callable[[str], str]
"""Returns a hint for what is typed so far, or raises an UnspoolError that says what is wrong with it."""
Complete = Callable[[str], list[str]]
"""Returns what a line may go on with, each as the whole line."""
_MOST_HINTS: Final = 3
"""Lines that the help above a prompt may take."""
_OFFERED: Final = 30
"""Lines that are told while there are several; no screen has room for more."""


class Prompt(Modal[str]):
    """Asks for a line of text; what was typed before comes back with the arrow keys, and Tab completes."""

    AUTO_FOCUS = "Input"

    def __init__(
        self,
        sign: str,
        hint: str,
        *,
        text: str = "",
        check: Check | None = None,
        history: Sequence[str] = (),
        complete: Complete | None = None,
    ) -> None:
        """Make a prompt.

        Args:
            sign: what stands before the line, such as `/`.
            hint: help shown above it.
            text: what the line holds at first.
            check: looks at every change.
            history: lines typed before, newest last.
            complete: tells what Tab may go on with; None where there is nothing to complete.
        """
        super().__init__()
        self._sign = sign
        self._hint = hint
        self._text = text
        self._check = check
        self._before = list(history)
        self._place = len(self._before)
        self._complete = complete
        self._completed = ""
        self._said: tuple[str, str] = (hint, "dim")

    def compose(self) -> ComposeResult:
        """Lay out the hint and the line."""
        yield LinesView(id="hint")
        with Horizontal(id="prompt"):
            yield LinesView(id="sign")
            yield self.line(self._text, id="line")

    def paint(self) -> None:
        """Show the sign and the hint."""
        text, style = self._said
        hint, sign = self.query_one("#hint", LinesView), self.query_one("#sign", LinesView)
        lines = wrap_words(text, max(8, self.app.size.width - 2), _MOST_HINTS)
        hint.styles.height = len(lines)
        hint.show_rows([Row(((" ", "text"), (line, style)), ground="bar") for line in lines])
        sign.styles.width = width_of(self._sign) + 2
        sign.show_rows([Row(((f" {self._sign} ", "key"),), ground="bar")])

    @on(Input.Changed)
    def _changed(self, event: Input.Changed) -> None:
        # What Tab tells stays until something else is typed; word of earlier letters may come after it.
        if event.value == event.input.value != self._completed:
            self._look(event.value)

    def _look(self, text: str) -> bool:
        """Tell what the text would do; say whether it is valid."""
        valid = True
        try:
            said = self._check(text) if self._check is not None and text.strip() else ""
            self._said = (on_grid(said) or self._hint, "text" if said else "dim")
        except UnspoolError as error:
            self._said = (on_grid(str(error)), "warning")
            valid = False
        self.paint()
        return valid

    def enter(self, text: str) -> None:
        """Close with the line, if it is valid."""
        if self._look(text):
            self.dismiss(text)

    def press(self, key: str, character: str | None) -> bool:
        """Bring back lines typed before, and complete what is typed."""
        if key == "tab" and self._complete is not None:
            self._go_on(self._complete)
            return True
        if key not in ("up", "down"):
            return False
        self._place = max(0, min(self._place + (1 if key == "down" else -1), len(self._before)))
        self._write_line(self._before[self._place] if self._place < len(self._before) else "")
        return True

    def _write_line(self, text: str) -> None:
        line = self.query_one("#line", Input)
        line.value = text
        line.cursor_position = len(line.value)

    def _go_on(self, complete: Complete) -> None:
        """Add all that the lines offered have in common, and tell them apart where there are several."""
        typed = self.query_one("#line", Input).value
        offered = complete(typed)
        if not offered:
            self._said = ("nothing there begins so", "warning")
        else:
            # What all have in common is what the first and the last in order have in common.
            first, last = min(offered), max(offered)
            shared = next((at for at in range(len(first)) if first[at] != last[at : at + 1]), len(first))
            self._completed = first[:shared] if len(offered) > 1 else ""
            self._write_line(first[:shared])
            step = max(typed.rfind(mark) for mark in " .") + 1
            more = f"  and {len(offered) - _OFFERED} more" if len(offered) > _OFFERED else ""
            told = "  ".join(line[step:] for line in offered[:_OFFERED]) + more
            self._said = (on_grid(told) if len(offered) > 1 else self._hint, "text")
        self.paint()


class ReaderScreen(Modal[None]):
    """Shows rows: help, the message log."""

    def __init__(self, title: str, make: Callable[[int], list[Row]], *, at_end: bool = False) -> None:
        """Make a reader.

        Args:
            title: what there is to read.
            make: returns the lines for a width, so that none is cut.
            at_end: begin with the last lines.
        """
        super().__init__()
        self._title = title
        self._make = make
        self._at_end = at_end
        self._lines: list[Row] = []
        self._width = 0
        self._top = 0

    def compose(self) -> ComposeResult:
        """Lay out the frame."""
        yield Framed(id="reader")

    def paint(self) -> None:
        """Show the rows from where the reader is."""
        framed = self.query_one(Framed)
        if framed.inner_width != self._width:
            self._width = framed.inner_width
            self._lines = self._make(self._width)
            if self._at_end:
                self._top = len(self._lines)
        self._top = max(0, min(self._top, len(self._lines) - framed.page))
        frame = PaneFrame(0, self._title, right=(("Esc leaves", "faint"),), focused=True)
        framed.show(Listed(self._lines), frame, None, top=self._top)

    def press(self, key: str, character: str | None) -> bool:
        """Scroll or leave."""
        page = self.query_one(Framed).page
        steps = {
            "down": 1,
            "j": 1,
            "up": -1,
            "k": -1,
            "pagedown": page,
            "space": page,
            "pageup": -page,
            "ctrl+d": page // 2,
            "ctrl+u": -(page // 2),
            "home": -len(self._lines),
            "g": -len(self._lines),
            "end": len(self._lines),
        }
        if character == "G":
            self._scroll(len(self._lines))
        elif key in steps:
            self._scroll(steps[key])
        elif key in ("q", "f1", "enter") or character in ("?", "!"):
            self.leave()
        else:
            return False
        return True

    def _scroll(self, by: int) -> None:
        self._at_end = False
        self._top += by
        self.paint()

    @on(Framed.Wheeled)
    def _wheeled(self, message: Framed.Wheeled) -> None:
        self._scroll(3 * message.by)


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


LETTERS: Final = "".join(letter for letter in ascii_letters if letter != "q")
"""Letters in the order in which rows get them; `q` leaves, as everywhere."""


def letters_of(top: int, page: int, count: int) -> dict[int, str]:
    """Return the letters of the rows in sight, by row; rows beyond the letters there are get none."""
    return dict(zip(range(top, min(top + page, count)), LETTERS, strict=False))


class RowLetters(Modal[int]):
    """Shows a letter beside each row of a panel, and returns the row whose letter is pressed."""

    def __init__(self, main: HistoryScreen, panel: Panel) -> None:
        super().__init__()
        self._main = main
        self._panel = panel
        self._rows = {letter: row for row, letter in letters_of(panel.top, panel.page, panel.count).items()}
        self._said = ("a letter goes to its row; Esc leaves", "dim")

    def compose(self) -> ComposeResult:
        """Lay out the line that tells what to press."""
        yield LinesView(id="hint")

    def on_mount(self) -> None:
        """Put the letters beside the rows."""
        super().on_mount()
        self._panel.letters = {row: letter for letter, row in self._rows.items()}
        self._main.repaint()

    def paint(self) -> None:
        """Tell what to press."""
        self.query_one("#hint", LinesView).show_rows([Row(((" ", "text"), self._said), ground="bar")])

    def press(self, key: str, character: str | None) -> bool:
        """Return the row of a letter; `q` leaves."""
        if character is not None and character in self._rows:
            self.dismiss(self._rows[character])
        elif character == "q":
            self.leave()
        else:
            self._said = (f"{on_grid(character or key)[:20]} stands beside no row; Esc leaves", "warning")
            self.paint()
        return True

    def dismiss(self, result: int | None = None) -> AwaitComplete:
        """Close, and take the letters away."""
        self._panel.letters = {}
        self._main.repaint()
        return super().dismiss(result)
