"""Widgets of lines: rows that repaint only where they changed, and a line to type into that loses no key."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import zip_longest
from operator import itemgetter
from typing import ClassVar, Final, NamedTuple

from rich.console import Console
from rich.text import Text
from textual import events
from textual._compositor import Compositor, CompositorUpdate
from textual.geometry import Region, Size
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget
from textual.widgets import Input

from unspool_tui.rendering.line import BLANK, Pointed, Row, differs_until, pointed_at
from unspool_tui.rendering.paint import Pen, paint_row
from unspool_tui.rendering.sanitize import without_active

_STRIPS_KEPT: Final = 160
"""Drawn lines kept by a widget. More would only give the garbage collector work."""
_NEARLY_ALL: Final = 1.25
"""How much longer than its changed part a line must be for that part to be written alone."""


class LinesView(Widget, can_focus=False):
    """Rows drawn through the Line API without a style cache of Textual's own."""

    class WordClicked(Message):
        """Something that is written was clicked."""

        def __init__(self, lines: LinesView, pointed: Pointed) -> None:
            self.lines = lines
            self.pointed = pointed
            super().__init__()

    ALLOW_SELECT: ClassVar[bool] = False
    DEFAULT_CSS = "LinesView { overflow: hidden; }"

    class Resized(Message):
        """A widget has a new size, so rows for another width are due."""

        def can_replace(self, message: Message) -> bool:
            """One paint serves all widgets."""
            return isinstance(message, LinesView.Resized)

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's own name for it
        super().__init__(id=id)
        self._pen = Pen()
        self._rows: tuple[Row, ...] = ()
        self._strips: dict[tuple[Row, int], Strip] = {}
        self._drawn: dict[int, Strip] = {}
        """The strips in sight by line: most lines stay, and looking a row up in `_strips` goes through all its text."""
        self._known: Size | None = None
        self._seen = False
        self.rows_due: Callable[[], object] | None = None
        """Shows rows, when the widget is drawn for the first time and has none: so no frame shows it empty."""

    @property
    def columns(self) -> int:
        """Cells of a line."""
        return self._measured().width

    @property
    def lines(self) -> int:
        """Lines there are."""
        return self._measured().height

    def _measured(self) -> Size:
        # Textual works the size out anew each time it is asked for it; a step asks a thousand times.
        if self._known is None:
            size = self.size
            if size.width and size.height:
                self._known = size
            return size
        return self._known

    def set_pen(self, pen: Pen) -> None:
        """Draw with other colours or characters from now on."""
        if pen is not self._pen:
            self._pen = pen
            self._forget()
            self.refresh()

    @property
    def pen(self) -> Pen:
        """What the rows are drawn with."""
        return self._pen

    def show_rows(self, rows: Sequence[Row]) -> None:
        """Show these rows from the top; lines that stay the same are not repainted."""
        new = tuple(rows)
        old, self._rows = self._rows, new
        if not self._seen:
            # What was never drawn will be drawn whole.
            return
        width = self.columns
        changed = []
        for y, (before, after) in zip(range(self.lines), zip_longest(old, new, fillvalue=BLANK), strict=False):
            if before is not after and before != after:
                self._drawn.pop(y, None)
                until = differs_until(before, after, width)
                # A strip cut just before its end costs more than the few cells it saves.
                changed.append(Region(0, y, until if until * _NEARLY_ALL < width else width, 1))
        if changed:
            self.draw_soon(changed)

    def draw_soon(self, regions: Sequence[Region]) -> None:
        """Have parts of the widget drawn with the next frame.

        What `refresh` does by three messages a widget, of which all would arrive before that frame anyway.
        """
        if not self.is_running or not self.display:
            self.refresh(*regions)
            return
        self._set_dirty(*regions)
        screen = self.screen
        screen._dirty_widgets.add(self)
        screen.check_idle()

    def render(self) -> Text:
        """Return nothing: `render_lines` does the work."""
        return Text("")

    def render_lines(self, crop: Region) -> list[Strip]:
        """Return the drawn lines of a part of the widget."""
        if not self._seen:
            if not self._rows and self.rows_due is not None:
                self.rows_due()
            self._seen = True
        width = self.columns
        drawn = self._drawn
        lines = [drawn.get(y) or self._line(y, width) for y in range(crop.y, crop.bottom)]
        if crop.x == 0 and crop.width == width:
            return lines
        return [line.crop(crop.x, crop.right) for line in lines]

    def line_at(self, y: int) -> Strip | None:
        """Return a drawn line; None while the widget was never drawn as a whole."""
        return (self._drawn.get(y) or self._line(y, self.columns)) if self._seen else None

    def _line(self, y: int, width: int) -> Strip:
        row = self._rows[y] if y < len(self._rows) else BLANK
        key = (row, width)
        strip = self._strips.get(key)
        if strip is None:
            if len(self._strips) >= _STRIPS_KEPT:
                self._strips.pop(next(iter(self._strips)))
            strip = self._strips[key] = self.draw(row, width)
        self._drawn[y] = strip
        return strip

    def written_at(self, x: int, y: int) -> Pointed | None:
        """Return what is written at a place; None beside it."""
        return pointed_at(self._rows[y], x, self.columns) if 0 <= y < len(self._rows) else None

    def draw(self, row: Row, width: int) -> Strip:
        """Draw one row; called once for each row that is not in the cache."""
        return paint_row(row, width, self._pen)

    def on_click(self, event: events.Click) -> None:
        """Tell what is written where it was clicked; widgets of rows to choose from tell the row besides."""
        pointed = self.written_at(event.x, event.y)
        if event.chain == 1 and pointed is not None and pointed.span.strip():
            self.post_message(self.WordClicked(self, pointed))

    def _forget(self) -> None:
        self._strips.clear()
        self._drawn.clear()

    def on_resize(self, event: events.Resize) -> None:
        """Forget lines of the old width and ask for new rows."""
        if event.size != self._known:
            self._known = event.size
            self._forget()
        self.post_message(self.Resized())


class _Tile(NamedTuple):
    """Where a line of a widget stands in a line of the screen: first cell, one past the last, and which line it is."""

    start: int
    stop: int
    widget: LinesView
    line: int


class _LinesUpdate(CompositorUpdate):
    """Lines that are written over what stands there, each with its place."""

    def __init__(self, pieces: Sequence[tuple[int, int, Strip]]) -> None:
        self._pieces = pieces

    def render_segments(self, console: Console) -> str:
        """Return what the terminal is sent."""
        return "".join([f"\x1b[{y + 1};{x + 1}H{strip.render(console)}" for x, y, strip in self._pieces])


class LinesCompositor(Compositor):
    """Writes the changes on a screen that is all lines of `LinesView`, without laying the whole screen over itself first.

    Textual asks every widget for all its lines, and cuts all of them into pieces, to write the few that changed. Where
    lines do not stand beside each other alone, Textual does it its own way.
    """

    def __init__(self) -> None:
        super().__init__()
        self._tiles: list[list[_Tile]] = []
        self._tiled: object = None
        """The layout that the tiles are of."""

    def render_partial_update(self) -> CompositorUpdate | None:  # type: ignore[override]
        """Return what draws the parts that changed; None where nothing did."""
        spans = list(self._regions_to_spans(self._dirty_regions))
        pieces = self._pieces(spans) if spans else None
        if pieces is None:
            return super().render_partial_update()
        self._dirty_regions.clear()
        return _LinesUpdate(pieces)

    def _pieces(self, spans: Sequence[tuple[int, int, int]]) -> list[tuple[int, int, Strip]] | None:
        """Return the lines that lie in some spans of the screen; None where others than lines do."""
        tiles = self._lay_out()
        pieces = []
        for y, low, high in spans:
            if not 0 <= y < len(tiles) or not tiles[y]:
                return None
            for start, stop, widget, line in tiles[y]:
                if start < high and stop > low:
                    strip = widget.line_at(line)
                    if strip is None or strip.cell_length != stop - start:
                        return None
                    pieces.append((start, y, strip if stop <= high else strip.crop(0, high - start)))
        return pieces

    def _lay_out(self) -> list[list[_Tile]]:
        """Return by line of the screen what stands in it; nothing for a line that others than lines have a part of."""
        visible = self.visible_widgets
        if self._tiled is visible:
            return self._tiles
        width, height = self.size
        tiles: list[list[_Tile]] = [[] for _ in range(height)]
        odd: set[int] = set()
        before: list[Region] = []
        # What is in front comes first, and what holds a widget after it.
        for widget, (region, clip) in visible.items():
            seen = region.intersection(clip)
            if not isinstance(widget, LinesView):
                before.append(seen)
                if not widget.is_container:
                    odd.update(seen.line_range)
            elif seen != region or any(region.overlaps(other) for other in before):
                odd.update(seen.line_range)
            else:
                for y in region.line_range:
                    tiles[y].append(_Tile(region.x, region.right, widget, y - region.y))
        for y, line in enumerate(tiles):
            line.sort(key=itemgetter(0))
            edges = [0, *(tile.stop for tile in line)]
            if (
                y in odd
                or edges[-1] != width
                or any(tile.start != edge for tile, edge in zip(line, edges, strict=False))
            ):
                line.clear()
        self._tiles, self._tiled = tiles, visible
        return tiles


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
