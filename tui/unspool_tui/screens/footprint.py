"""Where the bytes of a history are: the same answer as `unspool bytes`, page by page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from unspool_tui import questions
from unspool_tui.present import humane
from unspool_tui.present.glyphs import Glyphs
from unspool_tui.present.line import BLANK, Row, crop, on_grid, pad
from unspool_tui.screens.page import Page

if TYPE_CHECKING:
    from unspool.query.footprint_facts import Footprint, Share, Spent
    from unspool_tui.screens.main import MainScreen

_LISTS = {"a": "atoms", "p": "paths", "w": "actions", "c": "codecs"}


class FootprintScreen(Page):
    """Atoms, kinds of paths, actions and codecs by the bytes that go to them, the largest first."""

    TITLE_OF_LIST = "Where the bytes are"
    KEYS = (("a", "atoms"), ("p", "paths"), ("w", "actions"), ("c", "codecs"))

    def __init__(self, main: MainScreen) -> None:
        super().__init__(main)
        self._found: Footprint | None = None
        self._list = "a"

    def on_mount(self) -> None:
        """Begin to count: that is what the page was opened for."""
        super().on_mount()
        history, withdrawn = self.main_screen.scene.history, self.main_screen.desk.withdrawn
        self.work(lambda tell: questions.bytes_of(history, tell, withdrawn), self._take)

    def _take(self, found: Footprint) -> None:
        self._found = found

    def count(self) -> int:
        """See `Page.count`."""
        return 0 if self._found is None else len(getattr(self._found, _LISTS[self._list]))

    def row(self, index: int, width: int) -> Row:
        """See `Page.row`."""
        found = self._found
        if found is None:
            return BLANK
        if self._list in "ap":
            shares = found.atoms if self._list == "a" else found.paths
            return share_row(shares[index], found.stored_bytes, width, self.pen.glyphs)
        spent = found.actions if self._list == "w" else found.codecs
        return spent_row(spent[index], found.stored_bytes, width, self.pen.glyphs)

    def heading(self, width: int) -> Row:
        """See `Page.heading`."""
        return footprint_heading(_LISTS[self._list], width, counts_changes=self._list in "ap")

    def told(self, width: int) -> list[Row]:
        """Return how much there is in all."""
        if self._found is None:
            return [Row(((" not counted to the end: Escape goes back", "dim"),))]
        return footprint_summary(self._found)

    def letter(self, character: str) -> bool:
        """Show another list."""
        if character not in _LISTS:
            return False
        self._list, self.cursor = character, 0
        self.paint()
        return True


_BAR: Final = 6
_ROOM_FOR_BARS: Final = 100
_NUMBERS: Final = 42
"""Columns that the numbers take, to the left of the names."""


def footprint_summary(found: Footprint) -> list[Row]:
    """Return what is told above the list."""
    entries = "1 entry" if found.entries == 1 else f"{found.entries:,} entries"
    text = f" {humane.size(found.stored_bytes)} in records of {entries}"
    rows = [Row(((text, "strong"), (f", {humane.size(found.full_bytes)} as whole states", "dim")))]
    if found.problems:
        first = found.problems[0].place
        rows.append(Row(((f" partial: {len(found.problems):,} could not be read, from {first} on", "warning"),)))
    return rows


def footprint_heading(name: str, width: int, *, counts_changes: bool) -> Row:
    """Return the names of the columns."""
    counts = f"{'changes':>9} {'alone':>9}" if counts_changes else f"{'entries':>9} {'':>9}"
    bar = f"{'':{_BAR + 1}}" if width >= _ROOM_FOR_BARS else ""
    return Row(((f" {'bytes':>10} {'share':>8} {counts}  {bar}{name}", "faint"),), ground="bar")


def share_row(share: Share, whole: int, width: int, glyphs: Glyphs) -> Row:
    """Return the line of an atom, or of a kind of path."""
    counts = f"{share.changes:>9,} {share.alone:>9,}"
    right = ""
    if share.rewritten:
        times = humane.count(share.rewritten, "time")
        right = f"rewritten unchanged {times}, {humane.size(share.rewritten_bytes)} "
    return _row(share.stored_bytes, whole, counts, share.name, right, width, glyphs)


def spent_row(spent: Spent, whole: int, width: int, glyphs: Glyphs) -> Row:
    """Return the line of an action, or of a codec."""
    counts = f"{spent.entries:>9,} {'':>9}"
    return _row(spent.stored_bytes, whole, counts, spent.name or "(none)", "", width, glyphs)


def _row(spent: int, whole: int, counts: str, name: str, right: str, width: int, glyphs: Glyphs) -> Row:
    share = spent / whole if whole else 0.0
    has_bars = width >= _ROOM_FOR_BARS
    bar = f"{pad(glyphs.bar_full * round(share * _BAR), _BAR)} " if has_bars else ""
    told = right if width - _NUMBERS - len(bar) - len(right) > len(name[:200]) else ""
    room = max(8, width - _NUMBERS - len(bar) - len(told))
    return Row(
        (
            (f" {humane.size(spent):>10} {share:>8.1%} {counts}  ", "text"),
            (bar, "accent"),
            (crop(on_grid(name[:200]), room, glyphs.ellipsis), "strong"),
        ),
        ((told, "faint"),) if told else (),
    )
