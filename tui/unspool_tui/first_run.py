"""The card of a first run: three keys in three sentences above the last line, until somebody closes it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct
from textual import events
from textual.geometry import Size

from unspool.errors import UnspoolError
from unspool_tui.actions import Keymap
from unspool_tui.rendering.line import Glyphs, Row, Span, on_grid, pad, width_of, wrap_words
from unspool_tui.source import keep, state_folder
from unspool_tui.widgets.lines import LinesView

LEAST_HEIGHT: Final = 20
"""Lines of a terminal from which there is room for the card beside what it tells about."""
_KEYS: Final = 7
"""Cells of the column of keys."""
_MOST_LINES: Final = 3
"""Lines of one sentence."""


class Card(Struct, frozen=True):
    """What is told at first.

    Attributes:
        name: what it is called where closed ones are remembered; empty where it is not remembered.
        title: what it is about.
        told: actions whose keys it shows, each with a sentence.
    """

    name: str
    title: str
    told: tuple[tuple[tuple[str, ...], str], ...]


APP: Final = Card(
    "app",
    "Three keys to begin with",
    (
        (("step.prev", "step.next"), "go back and on by one entry; all panes show that moment."),
        (("search",), "finds a name, a value or an action in all entries."),
        (("help",), "tells what else can be done from here."),
    ),
)
"""For whoever opens a history for the first time."""

DEMO: Final = Card(
    "",
    "Some customers are charged too much. Which line does that?",
    (
        (("check",), "finds where a total begins to be more than its items add up to."),
        (("open",), "on that finding goes there: a thing leaves a cart, and its total rises."),
        (("step.prev", "step.next"), "show the moments around it. The mistake is just above demo_bug.py:19."),
    ),
)
"""For the demo with its planted mistake; it ends at the line that makes it."""

CARDS: Final = {"app": APP, "demo": DEMO}


class _Closed(Struct):
    cards: list[str] = []


def _memory() -> Path:
    return state_folder() / "closed-cards.json"


def _closed() -> list[str]:
    with suppress(OSError, msgspec.MsgspecError):
        return msgspec.json.decode(_memory().read_bytes(), type=_Closed).cards
    return []


def card_named(name: str) -> Card | None:
    """Return a card that is to be shown; None where there is none, or it was closed before."""
    card = CARDS.get(name)
    return None if card is None or (card.name and card.name in _closed()) else card


def remember_closed(card: Card) -> None:
    """Remember that a card was closed; a folder that cannot be written is no reason to trouble anyone."""
    if card.name:
        with suppress(UnspoolError):
            keep(_memory(), msgspec.json.encode(_Closed(sorted({*_closed(), card.name}))))


def card_rows(card: Card, keymap: Keymap, width: int, glyphs: Glyphs) -> list[Row]:
    """Return the lines of a card; keys are those of the settings."""
    closes = f"{keymap.shown('escape')} closes this"
    title = wrap_words(card.title, max(8, width - width_of(closes) - 4), _MOST_LINES)
    rows = [Row(((f" {line}", "title.focus"),), ground="bar") for line in title]
    rows[0] = rows[0]._replace(right=((f"{closes} ", "faint"),))
    for ids, sentence in card.told:
        keys = " ".join(shown for shown in map(keymap.shown, ids) if shown)
        first, *rest = wrap_words(on_grid(sentence), max(8, width - _KEYS - 2), _MOST_LINES)
        sign: Span = (f" {pad(keys or glyphs.dot, _KEYS - 1)} ", "key")
        rows.append(Row((sign, (first, "text")), ground="bar"))
        rows += [Row(((" " * (_KEYS + 1), "text"), (line, "text")), ground="bar") for line in rest]
    return rows


class CardView(LinesView):
    """Shows a card above the last line, as high as its text, where there is room for it."""

    DEFAULT_CSS = "CardView { height: 4; width: 1fr; display: none; }"

    def __init__(self, card: Card, keymap: Keymap, close: Callable[[], object]) -> None:
        """Show nothing yet; `close` is called when it is clicked."""
        super().__init__(id="card")
        self._card = card
        self._keymap = keymap
        self._close = close

    def show_card(self, size: Size) -> None:
        """Show the card on a screen of a size."""
        self.display = size.height >= LEAST_HEIGHT
        if not self.display:
            return
        rows = card_rows(self._card, self._keymap, size.width, self.pen.glyphs)
        height = self.styles.height
        if height is None or height.value != len(rows):
            self.styles.height = len(rows)
        self.show_rows(rows)

    def on_click(self, event: events.Click) -> None:
        """Be closed."""
        self._close()
