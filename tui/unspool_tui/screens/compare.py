"""Where two sources part: the same question as `unspool compare A B`, asked of two tabs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from unspool.model.keys import format_path
from unspool.model.values import MISSING, Value
from unspool_tui import questions
from unspool_tui.rendering.line import BLANK, Glyphs, Row, Span, Spans, crop, on_grid, pad
from unspool_tui.rendering.values import preview_text
from unspool_tui.screens.page import Page, Tell
from unspool_tui.view import moves

if TYPE_CHECKING:
    from unspool.query.compare import Divergence, PathDifference, Side
    from unspool_tui.screens.protocols import HistoryScreen
    from unspool_tui.tabs import Tabs


class CompareScreen(Page):
    """The first entries at which this tab's history and another's differ, and the values that do."""

    TITLE_OF_LIST = "What differs there"
    KEYS = (("Enter", "go there"), ("o", "go there in the other tab"))

    def __init__(self, main: HistoryScreen, tabs: Tabs, other: int) -> None:
        super().__init__(main)
        self._tabs = tabs
        self._other = other
        self._names = (tabs.name(tabs.front), tabs.name(other))
        self._found: Divergence | None = None

    def on_mount(self) -> None:
        """Begin to compare."""
        super().on_mount()
        first, second = self.main_screen.scene.history, self._tabs.all[self._other].history
        withdrawn, total = self.main_screen.worker.withdrawn, self.main_screen.view.total

        def compare(tell: Tell) -> Divergence | None:
            return None if second is None else questions.part(first, second, lambda n: tell(n, total), withdrawn)

        self.work(compare, self._take)

    def _take(self, found: Divergence | None) -> None:
        self._found = found

    def count(self) -> int:
        """See `Page.count`."""
        return 0 if self._found is None else len(self._found.differences)

    def row(self, index: int, width: int) -> Row:
        """See `Page.row`."""
        return BLANK if self._found is None else compare_row(self._found.differences[index], width, self.pen.glyphs)

    def heading(self, width: int) -> Row:
        """See `Page.heading`."""
        return compare_heading(self._names, width)

    def told(self, width: int) -> list[Row]:
        """Return how the two relate."""
        if self._found is None:
            return [Row(((" not compared: Escape goes back", "dim"),))]
        return compare_summary(self._found, self._names, width, self.pen.glyphs)

    def letter(self, character: str) -> bool:
        """Go to where the other history parts."""
        if character != "o":
            return False
        seq = None if self._found is None else self._found.second.seq
        self.dismiss(None)
        self.unspool_app.tab_screens.show(self._other, at=seq)
        return True

    def choose(self) -> None:
        """Go to where this history parts."""
        if self._found is not None and self._found.first.seq is not None:
            self.main_screen.apply(moves.jump_to(self.main_screen.view, self._found.first.seq))
            self.dismiss(None)


_RELATIONS: Final = {
    "same": "both go through the same states",
    "first ends": "the first is a beginning of the second",
    "second ends": "the second is a beginning of the first",
    "diverged": "they part after what they have in common",
    "different": "they differ from the first entry on",
    "unrelated": "they have nothing in common, not even the name of an atom",
}
_VALUE: Final = 200


def compare_summary(found: Divergence, names: tuple[str, str], width: int, glyphs: Glyphs) -> list[Row]:
    """Return what is told above the list: the relation, and each history where they part."""
    relation = "stopped before that was known" if found.relation is None else _RELATIONS[str(found.relation)]
    again = "" if found.meet_again is None else "  the same again at #{:,} and #{:,}".format(*found.meet_again)
    rows = [
        Row(
            (
                (f" {relation}", "strong"),
                (f"  {_entries(found.common)} in common{again}", "dim"),
            )
        )
    ]
    for name, side, style in ((names[0], found.first, "removed"), (names[1], found.second, "added")):
        rows.append(Row(((f"   {pad(on_grid(name), min(28, width // 3))}  ", style), *_side(side))))
    if found.problems:
        rows.append(Row(((f" {_entries(len(found.problems))} could not be read", "warning"),)))
    return rows


def _entries(number: int) -> str:
    return f"{number:,} entry" if number == 1 else f"{number:,} entries"


def _side(side: Side) -> Spans:
    after = "" if side.last_common is None else f"  after #{side.last_common:,}"
    told: Span = ("ends", "dim") if side.seq is None else (f"#{side.seq:,} {on_grid(side.action[:_VALUE])}", "text")
    return told, (after, "faint")


def compare_heading(names: tuple[str, str], width: int) -> Row:
    """Return the names of the columns."""
    path, value = _columns(width)
    first, second = (on_grid(name) for name in names)
    return Row(((f" {pad('where', path)} {pad(first, value)}  {pad(second, value)}", "faint"),), ground="bar")


def compare_row(part: PathDifference, width: int, glyphs: Glyphs) -> Row:
    """Return the line of one value that differs."""
    path, value = _columns(width)
    at = part.first_path if part.second_path is None else part.second_path
    name = crop(on_grid(format_path((at or ())[-12:], root="")), path, glyphs.ellipsis)
    writers = [write.seq for write in (part.first_write, part.second_write) if write is not None]
    return Row(
        (
            (f" {pad(name, path)} ", "text"),
            (pad(_told(part.first, value, glyphs), value), "removed"),
            ("  ", "text"),
            (pad(_told(part.second, value, glyphs), value), "added"),
        ),
        ((f" set at {' / '.join(f'#{seq:,}' for seq in writers)} ", "faint"),) if writers else (),
    )


def _columns(width: int) -> tuple[int, int]:
    room = max(30, width - 26)
    path = room * 2 // 5
    return path, (room - path) // 2


def _told(value: Value, width: int, glyphs: Glyphs) -> str:
    text = "not there" if value is MISSING else preview_text(value, min(width, _VALUE))
    return crop(text, width, glyphs.ellipsis)
