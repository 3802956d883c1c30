"""A framed list of rows with a cursor: the base of the four panels and of the small screens in front of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, Protocol

from msgspec import Struct
from msgspec.structs import replace
from textual import events
from textual.containers import Container
from textual.message import Message
from textual.strip import Strip

from unspool_tui.rendering.header import TabRow
from unspool_tui.rendering.line import BLANK, PaneFrame, Row, bottom_row, crop, lettered, top_row
from unspool_tui.rendering.paint import paint_framed, paint_row
from unspool_tui.view.model import Pane, View
from unspool_tui.view.moves import keep_visible, thumb
from unspool_tui.widgets.lines import LinesView

_EDGES: Final = {
    (False, False): "line",
    (False, True): "line held",
    (True, False): "focus",
    (True, True): "focus held",
}
"""Focus and scroll bar folded into the row, so that one comparison tells whether a line must be repainted."""


class RowSource(Protocol):
    """Rows by number, made when they are seen."""

    def __len__(self) -> int: ...

    def row(self, index: int, width: int) -> Row: ...


class Listed(Struct, frozen=True):
    """Rows that are all there already."""

    rows: list[Row]

    def __len__(self) -> int:
        return len(self.rows)

    def row(self, index: int, width: int) -> Row:
        """Return a row."""
        return self.rows[index]


class Made(Struct, frozen=True):
    """Rows made by a function of number and width."""

    count: int
    make: Callable[[int, int], Row]

    def __len__(self) -> int:
        return self.count

    def row(self, index: int, width: int) -> Row:
        """Make a row."""
        return self.make(index, width)


class Framed(LinesView):
    """A frame with a title, a scrolled list of rows and a cursor.

    It decides only which rows fit; what they say and which one is selected comes from outside.
    """

    DEFAULT_CSS = "Framed { width: 1fr; height: 1fr; }"

    class Clicked(Message):
        """A row was clicked (-1: none), at a cell between the edges; a second click on it opens it."""

        def __init__(self, framed: Framed, row: int, column: int, *, twice: bool) -> None:
            self.framed = framed
            self.row = row
            self.column = column
            self.twice = twice
            super().__init__()

    class Wheeled(Message):
        """The wheel turned."""

        def __init__(self, framed: Framed, by: int) -> None:
            self.framed = framed
            self.by = by
            super().__init__()

    class Pushed(Message):
        """The wheel turned to the right (`+1`) or left (`-1`): with Shift held, or one that can."""

        def __init__(self, framed: Framed, by: int) -> None:
            self.framed = framed
            self.by = by
            super().__init__()

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's own name for it
        super().__init__(id=id)
        self.top = 0
        self.count = 0
        self.said = ""
        """Stands at the lower edge in place of the footing, for a moment."""
        self._edged: list[tuple[Row, str, str, Row]] = []
        """Rows as they came, their ground and edge, and what was made of them, by line."""
        self.letters: Mapping[int, str] = {}
        """By row, the letter that stands in its first cell while a row is chosen by one."""

    @property
    def page(self) -> int:
        """How many rows fit."""
        return max(1, self.lines - 2)

    @property
    def inner_width(self) -> int:
        """Cells of a row between the edges."""
        return max(1, self.columns - 2)

    def show(self, source: RowSource, frame: PaneFrame, cursor: int | None, *, top: int | None = None) -> None:
        """Show rows of a source.

        Args:
            source: all rows.
            frame: title and footing.
            cursor: the selected row; None where nothing is selected.
            top: the first visible row, where the panel is scrolled by hand; else the cursor is kept in sight.
        """
        height = self.lines
        if height < 2:
            return
        count, page, width = len(source), self.page, self.inner_width
        self.place(count, cursor, top=top)
        rows = [top_row(frame, self.pen.glyphs)]
        first, length = thumb(self.top, page, count)
        on_cursor = "cursor" if frame.focused else "blurred"
        edges = _EDGES[frame.focused, False], _EDGES[frame.focused, True]
        edged: list[tuple[Row, str, str, Row]] = []
        before = iter(self._edged)
        for place in range(page):
            index = self.top + place
            row = source.row(index, width) if index < count else BLANK
            if self.letters and index in self.letters:
                row = lettered(row, self.letters[index])
            ground = on_cursor if index == cursor and index < count else row.ground
            edge = edges[first <= place < first + length]
            known = next(before, None)
            # The very row of the last time spares comparing all its text to find that it need not be drawn.
            if known is None or known[0] is not row or known[1] != ground or known[2] != edge:
                known = (row, ground, edge, Row(row.left, row.right, ground, row.fill, row.fill_style, edge))
            edged.append(known)
            rows.append(known[3])
        self._edged = edged
        if self.said:
            frame = replace(frame, left=((crop(self.said, max(1, width - 4)), "warning"),), right=())
        rows.append(bottom_row(frame, self.pen.glyphs))
        self.show_rows(rows)

    def place(self, count: int, cursor: int | None, *, top: int | None = None) -> None:
        """Decide which of `count` rows are in sight, without drawing them; see `show`."""
        page = self.page
        self.count = count
        self.top = keep_visible(self.top, cursor, page, count) if top is None else max(0, min(top, count - page))

    def draw(self, row: Row, width: int) -> Strip:
        """Draw a row between the edges of the frame; the first and last row are the frame itself."""
        if not row.edge:
            return paint_row(row, width, self.pen)
        glyphs = self.pen.glyphs
        suffix, held = (".focus" if "focus" in row.edge else ""), "held" in row.edge
        left = (glyphs.vertical, f"border{suffix}")
        right = (glyphs.thumb, f"thumb{suffix}") if held else left
        return paint_framed(row, width, self.pen, (left, right))

    def row_at(self, y: int) -> int | None:
        """Return the row at a line of the widget, or None outside the rows."""
        index = self.top + y - 1
        return index if 1 <= y <= self.page and index < self.count else None

    def on_click(self, event: events.Click) -> None:
        """Tell which row was clicked."""
        row = self.row_at(event.y)
        self.post_message(self.Clicked(self, -1 if row is None else row, event.x - 1, twice=event.chain > 1))

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """Tell that the wheel turned."""
        self._wheeled(event, 1, sideways=event.shift)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """Tell that the wheel turned."""
        self._wheeled(event, -1, sideways=event.shift)

    def on_mouse_scroll_right(self, event: events.MouseScrollRight) -> None:
        """Tell that the wheel turned to the right."""
        self._wheeled(event, 1, sideways=True)

    def on_mouse_scroll_left(self, event: events.MouseScrollLeft) -> None:
        """Tell that the wheel turned to the left."""
        self._wheeled(event, -1, sideways=True)

    def _wheeled(self, event: events.MouseEvent, by: int, *, sideways: bool) -> None:
        event.stop()
        self.post_message(self.Pushed(self, by) if sideways else self.Wheeled(self, by))


class StripView(Framed):
    """The answer strip: lines with or without a frame; a line of code in them can be clicked."""

    DEFAULT_CSS = "StripView { width: 1fr; height: 2; }"

    class Chosen(Message):
        """A line of code was clicked: that of the entry on the first line, of the value on the second."""

        def __init__(self, line: int) -> None:
            self.line = line
            super().__init__()

    def on_click(self, event: events.Click) -> None:
        """Tell that a line of code was hit."""
        written = self.written_at(event.x, event.y)
        if written is not None and written.style == "place":
            event.stop()
            self.post_message(self.Chosen(event.y))


class Panel(Framed):
    """One of the four panels of the main screen."""

    def __init__(self, pane: Pane) -> None:
        super().__init__(id=pane.name.lower())
        self.pane = pane


class Box(Container):
    """Lays out what is in it."""

    BLANK = True


class TabLine(LinesView):
    """Shows the tabs and says which one was clicked."""

    DEFAULT_CSS = "TabLine { height: 1; width: 1fr; }"

    def __init__(self, choose: Callable[[int], object], *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        """Show nothing yet; `choose` is called with the number of a tab that was clicked."""
        super().__init__(id=id)
        self._choose = choose
        self._shown: TabRow | None = None

    def show(self, line: TabRow) -> None:
        """Show a line of tabs."""
        self._shown = line
        self.show_rows([line.row])

    def on_click(self, event: events.Click) -> None:
        """Tell which tab was clicked."""
        tab = None if self._shown is None else self._shown.tab_at(event.x)
        if tab is not None:
            self._choose(tab)


class ScrollMemory:
    """Remembers the first visible row of panels that were scrolled by hand, and for which cursor that was."""

    __slots__ = ("_tops",)

    def __init__(self) -> None:
        self._tops: dict[Pane, tuple[int, object]] = {}

    def top(self, pane: Pane, view: View) -> int | None:
        """Return the row a panel was scrolled to, or None when its cursor decides."""
        held = self._tops.get(pane)
        if held is None:
            return None
        top, cursor = held
        if cursor != _cursor(pane, view):
            del self._tops[pane]
            return None
        return top

    def scroll(self, pane: Pane, view: View, top: int) -> None:
        """Scroll a panel to a row."""
        self._tops[pane] = (max(0, top), _cursor(pane, view))


def _cursor(pane: Pane, view: View) -> object:
    match pane:
        case Pane.HISTORY:
            return view.head, view.filter.text
        case Pane.CHANGES:
            return view.selected, view.change_row, view.folded, view.opened
        case Pane.INSPECT:
            return view.selected, view.inspect_row, view.unfolded, view.mode
        case Pane.RESULTS:
            return view.dock.cursor
    return None
