"""Rows to strips: the only place where styled text becomes what a terminal shows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Final

from msgspec import Struct
from rich.cells import cell_len
from rich.color import ColorSystem
from rich.console import COLOR_SYSTEMS, Console
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from unspool_tui.rendering.line import ASCII, PLAIN, UNICODE, Glyphs, Row, Spans, crop_spans, on_grid
from unspool_tui.rendering.palette import MONOCHROME, Palette


class Pen(Struct, frozen=True, eq=False):
    """What everything is drawn with; a new theme makes a new pen, so strips can be cached by it.

    Attributes:
        palette: the colours.
        glyphs: the characters.
    """

    palette: Palette = MONOCHROME
    glyphs: Glyphs = UNICODE


def paint_row(row: Row, width: int, pen: Pen) -> Strip:
    """Draw a row over a whole width."""
    return CompactStrip(segments(row, width, pen), width)


def paint_framed(row: Row, width: int, pen: Pen, edges: tuple[tuple[str, str], tuple[str, str]]) -> Strip:
    """Draw a row between the left and right edge of a frame.

    Args:
        row: what is inside.
        width: the whole width, edges included.
        pen: what to draw with.
        edges: character and style name of the left and of the right edge.
    """
    (left, left_style), (right, right_style) = edges
    inside = segments(row, width - 2, pen)
    style = pen.palette.style
    return CompactStrip([Segment(left, style(left_style)), *inside, Segment(right, style(right_style))], width)


def segments(row: Row, width: int, pen: Pen) -> list[Segment]:
    """Return a row as segments that fill a width exactly; neighbours of one style are joined."""
    ellipsis, palette = pen.glyphs.ellipsis, pen.palette
    right, right_width = crop_spans(_harmless(row.right), width, ellipsis)
    left, left_width = crop_spans(_harmless(row.left), width - right_width - (1 if right else 0), ellipsis)
    gap = width - left_width - right_width
    spans = (*left, (row.fill * gap, row.fill_style), *right)
    if pen.glyphs is ASCII:
        spans = tuple((text.translate(PLAIN), name) for text, name in spans)
    drawn: list[Segment] = []
    pending, pending_style = "", None
    for text, name in spans:
        if not text:
            continue
        style: Style = palette.style(name, row.ground)
        if style is pending_style:
            pending += text
            continue
        if pending:
            drawn.append(Segment(pending, pending_style))
        pending, pending_style = text, style
    if pending:
        drawn.append(Segment(pending, pending_style))
    return drawn


def _harmless(spans: Spans) -> Spans:
    """Return spans without anything that acts on a terminal, also where whoever made the row left it in."""
    if all(text.isprintable() for text, _ in spans):
        return spans
    return tuple((text if text.isprintable() else on_grid(text), name) for text, name in spans)


_ATTRIBUTES: Final = (
    ("bold", "1"),
    ("dim", "2"),
    ("italic", "3"),
    ("underline", "4"),
    ("blink", "5"),
    ("blink2", "6"),
    ("reverse", "7"),
    ("conceal", "8"),
    ("strike", "9"),
    ("underline2", "21"),
    ("frame", "51"),
    ("encircle", "52"),
    ("overline", "53"),
)
"""Attributes of a style with the number that a terminal knows each by."""
_UNSEEN_ON_BLANKS: Final = frozenset(("1", "2", "3", "5", "6"))
_RESET: Final = "\x1b[0m"

Look = tuple[str, str, str, str]
"""Numbers of a style for a terminal: attributes, colour, background; and what of them a blank shows."""
_PLAIN: Final[Look] = ("", "39", "49", "49")


class CompactStrip(Strip):
    """A strip for the terminal: a page of rows in truecolor takes half the bytes of Textual's own.

    Textual writes the whole style before each piece of text and resets it behind. Colours that stay are not written
    again here; a truecolor one takes nineteen bytes.
    """

    __slots__ = ("_written",)

    def render(self, console: Console) -> str:
        """Return the sequences that draw the strip; they begin and end with no style set."""
        written: str | None = getattr(self, "_written", None)
        if written is None:
            system = COLOR_SYSTEMS.get(console.color_system or "", ColorSystem.TRUECOLOR)
            written = self._written = _sequences(self, system)
        return written

    def crop(self, start: int, end: int | None = None) -> Strip:
        """Return a part of the strip, compact as well.

        Rich splits the last piece also where it ends, and remembers 16,384 of such answers, which nobody asks for again.
        """
        start, end = max(0, start), self.cell_length if end is None else min(self.cell_length, end)
        if start == 0 and end == self.cell_length:
            return self
        kept: list[Segment] = []
        at = 0
        for segment in self:
            if at >= end:
                break
            size = cell_len(segment.text)
            low, high = max(0, start - at), min(size, end - at)
            at += size
            if low >= high:
                # What takes no cell belongs to the piece before it.
                kept += [segment] if kept and not size else []
                continue
            if high < size:
                segment = segment.split_cells(high)[0]
            kept.append(segment.split_cells(low)[1] if low else segment)
        return CompactStrip(kept, max(0, end - start))

    def divide(self, cuts: Iterable[int]) -> Sequence[Strip]:
        """Return the parts between cuts, compact as well."""
        inside = [cut for cut in cuts if cut <= self.cell_length]
        if inside == [self.cell_length]:
            # Textual would keep this answer in the strip: a circle, which the collector gets to see late.
            return [self]
        return [CompactStrip(part, part.cell_length) for part in super().divide(inside)]


def _sequences(strip: Strip, system: ColorSystem) -> str:
    pieces: list[str] = []
    now = _PLAIN
    for text, style, control in strip:
        look = _PLAIN if style is None else _look(style, system)
        if look is not now and not (look[3] == now[3] and not control and text.isspace()):
            pieces.append(_change(now, look))
            now = look
        pieces.append(text)
    if now is not _PLAIN:
        pieces.append(_RESET)
    return "".join(pieces)


@lru_cache(maxsize=1024)
def _look(style: Style, system: ColorSystem) -> Look:
    numbers = [number for name, number in _ATTRIBUTES if getattr(style, name)]
    colour = ";".join(style.color.downgrade(system).get_ansi_codes()) if style.color else "39"
    ground = ";".join(style.bgcolor.downgrade(system).get_ansi_codes(foreground=False)) if style.bgcolor else "49"
    on_blanks = [number for number in numbers if number not in _UNSEEN_ON_BLANKS]
    if on_blanks:
        # Lines are drawn in the colour of the text, and reversed blanks are filled with it.
        on_blanks.append(colour)
    return ";".join(numbers), colour, ground, ";".join((*on_blanks, ground))


@lru_cache(maxsize=4096)
def _change(before: Look, after: Look) -> str:
    if before[0] != after[0]:
        # What is set stays set, so attributes begin anew; then the defaults need no mention.
        parts = ["0" if before is not _PLAIN else "", after[0]]
        parts += [part for part, default in zip(after[1:3], _PLAIN[1:3], strict=True) if part != default]
    else:
        parts = [new for old, new in zip(before[1:3], after[1:3], strict=True) if old != new]
    found = ";".join(part for part in parts if part)
    return f"\x1b[{found}m" if found else ""
