"""The frame of a panel: title above, footing below."""

from __future__ import annotations

from msgspec import Struct

from unspool_tui.present.glyphs import Glyphs
from unspool_tui.present.line import Row, Span, Spans


class Frame(Struct, frozen=True):
    """What is written on a panel's frame.

    Attributes:
        digit: the key that focuses it; 0 where there is none.
        title: its name.
        more: what it shows just now, after the name.
        left: footing on the left.
        right: footing on the right.
        focused: movement keys go to it.
    """

    digit: int
    title: str
    more: Spans = ()
    left: Spans = ()
    right: Spans = ()
    focused: bool = False

    @property
    def border(self) -> str:
        """Style name of the line."""
        return "border.focus" if self.focused else "border"


def top_row(frame: Frame, glyphs: Glyphs) -> Row:
    """Return the upper edge."""
    start, end = glyphs.corners[0], glyphs.corners[1]
    suffix = ".focus" if frame.focused else ""
    title: list[Span] = [
        (start, frame.border),
        (glyphs.horizontal, frame.border),
        (f" {frame.digit} " if frame.digit else " ", f"badge{suffix}"),
        (f"{frame.title} ", f"title{suffix}"),
        *frame.more,
    ]
    if frame.more:
        title.append((" ", "text"))
    return Row(tuple(title), ((end, frame.border),), fill=glyphs.horizontal, fill_style=frame.border)


def bottom_row(frame: Frame, glyphs: Glyphs) -> Row:
    """Return the lower edge."""
    start, end = glyphs.corners[2], glyphs.corners[3]
    left: Spans = ((start, frame.border), *_padded(frame.left, glyphs, frame.border))
    right: Spans = (*_padded(frame.right, glyphs, frame.border), (end, frame.border))
    return Row(left, right, fill=glyphs.horizontal, fill_style=frame.border)


def _padded(spans: Spans, glyphs: Glyphs, border: str) -> Spans:
    if not spans:
        return ()
    return ((glyphs.horizontal, border), (" ", "text"), *spans, (" ", "text"), (glyphs.horizontal, border))
