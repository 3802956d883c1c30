"""Rows to strips: the only place where styled text becomes what a terminal shows."""

from __future__ import annotations

from msgspec import Struct
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from unspool_tui.present.glyphs import ASCII, PLAIN, UNICODE, Glyphs
from unspool_tui.present.lean import LeanStrip
from unspool_tui.present.line import Row, crop_spans
from unspool_tui.present.palette import MONOCHROME, Palette


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
    return LeanStrip(segments(row, width, pen), width)


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
    return LeanStrip([Segment(left, style(left_style)), *inside, Segment(right, style(right_style))], width)


def segments(row: Row, width: int, pen: Pen) -> list[Segment]:
    """Return a row as segments that fill a width exactly; neighbours of one style are joined."""
    ellipsis, palette = pen.glyphs.ellipsis, pen.palette
    right, right_width = crop_spans(row.right, width, ellipsis)
    left, left_width = crop_spans(row.left, width - right_width - (1 if right else 0), ellipsis)
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
