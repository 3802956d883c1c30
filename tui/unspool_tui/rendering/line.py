"""Rows of styled text as plain values, which panels compare before they repaint; the characters of the chrome."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from msgspec import Struct
from rich.cells import cell_len, set_cell_size

from unspool_tui.rendering.sanitize import visible


class Glyphs(Struct, frozen=True):
    """One set of characters; each is one cell wide in every terminal, but for words such as the ASCII arrow.

    Attributes:
        corners: top left, top right, bottom left, bottom right of a frame.
        fulls: several full snapshots at one place.
        bars: eight heights of the timeline, lowest first.
        dotted: four heights of what nobody examined, lowest first.
    """

    full: str = "F"
    fulls: str = "≡"
    delta: str = "·"
    note: str = "○"
    base: str = "b"
    bookmark: str = "◆"
    written: str = "✎"
    parting: str = "≠"
    linked: str = "⇄"
    hit: str = "▴"
    head: str = "┃"
    head_above: str = "▼"
    gap: str = "┊"
    cursor: str = ">"
    opened: str = "▾"
    closed: str = "▸"
    added: str = "+"
    modified: str = "~"
    deleted: str = "-"
    moved: str = "»"
    arrow: str = "→"
    ellipsis: str = "…"
    horizontal: str = "─"
    vertical: str = "│"
    thumb: str = "┃"
    corners: str = "╭╮╰╯"
    bars: str = "▁▂▃▄▅▆▇█"
    heat: str = " ░▒▓█"
    block: str = "█"
    rail: str = "─"
    play: str = "▶"
    pause: str = "‖"
    tick: str = "✓"
    cross: str = "✗"
    dot: str = "•"
    bar_full: str = "━"
    bar_rest: str = "─"
    dotted: str = ".:░░"
    sound: str = "✓"
    near: str = "!"
    over: str = "▲"
    hole: str = "□"
    fork: str = "Y"
    limit: str = "┄"
    joint: str = "├"
    last_joint: str = "└"
    new_line: str = "⏎"


UNICODE: Final = Glyphs()
ASCII: Final = Glyphs(
    fulls="%",
    head_above="v",
    gap=":",
    delta=".",
    note="o",
    bookmark="*",
    written="i",
    parting="%",
    linked="<>",
    hit="^",
    head="|",
    opened="v",
    closed=">",
    moved="=",
    arrow="->",
    ellipsis="&",
    horizontal="-",
    vertical="|",
    thumb="#",
    corners="++++",
    bars="_.:-=+*#",
    heat=" .:*#",
    block="#",
    rail="-",
    play=">",
    pause="=",
    tick="ok",
    cross="x",
    dot="*",
    bar_full="=",
    bar_rest="-",
    dotted=".,:;",
    sound="v",
    over="^",
    hole="0",
    limit="'",
    joint="|",
    last_joint="`",
    new_line="\\n",
)


PLAIN: Final = str.maketrans("…–µ", "&-u")
"""What stands in texts of the app itself, as ASCII; each takes the one cell that it took before."""


def glyphs(*, ascii_only: bool) -> Glyphs:
    """Return the set to draw with."""
    return ASCII if ascii_only else UNICODE


Span = tuple[str, str]
"""Text and the name of its style; names are resolved by `unspool_tui.rendering.palette`."""
Spans = tuple[Span, ...]


class Row(NamedTuple):
    """One line of a panel.

    Attributes:
        left: what starts at the left edge; it is cut where the right part begins.
        right: what ends at the right edge.
        ground: name of the background; empty for the panel's own.
        fill: the character between left and right.
        fill_style: its style.
        edge: how the edges of a panel look beside it: empty for a line without, else words such as `focus`, `held`.
    """

    left: Spans = ()
    right: Spans = ()
    ground: str = ""
    fill: str = " "
    fill_style: str = "text"
    edge: str = ""


BLANK = Row()


def width_of(text: str) -> int:
    """Return the cells a text takes."""
    return len(text) if text.isascii() else cell_len(text)


def spans_width(spans: Iterable[Span]) -> int:
    """Return the cells that spans take."""
    total = 0
    for text, _ in spans:
        total += len(text) if text.isascii() else cell_len(text)
    return total


def lettered(row: Row, letter: str) -> Row:
    """Return a row with a letter in its first cell, which shows no part of a value."""
    (text, style), *rest = row.left or ((" ", "text"),)
    return row._replace(left=((letter, "match"), (text[1:], style), *rest))


class Pointed(NamedTuple):
    """What stands at a place of a row.

    Attributes:
        word: the characters there up to the next blanks; empty on a blank.
        span: the span that it is a part of.
        style: the style of that span.
        key: the key that is told last before that place, or there; empty where none is.
    """

    word: str
    span: str
    style: str
    key: str


def pointed_at(row: Row, x: int, width: int) -> Pointed | None:
    """Return what stands at a cell of a row; None beside what it shows.

    Args:
        row: the row.
        x: the cell, from the left.
        width: cells of the row, with its edges.
    """
    edge = 1 if row.edge else 0
    stop = width - edge - spans_width(row.right)
    spans, at = (row.left, edge) if x < stop else (row.right, stop)
    key = ""
    for text, style in spans:
        if style == "key" and text.strip():
            key = text.split()[0]
        size = width_of(text)
        if at <= x < at + size:
            before, after = text[: characters_within(text, x - at)], text[characters_within(text, x - at) :]
            word = "" if not after or after[0].isspace() else before.split(" ")[-1] + after.split(" ")[0]
            return Pointed(word, text, style, word if style == "key" and word else key)
        at += size
    return None


def characters_within(text: str, cells: int) -> int:
    """Return how many characters end at or before a cell."""
    return cells if text.isascii() else len(set_cell_size(text, cells))


def differs_until(before: Row, after: Row, width: int) -> int:
    """Return how many cells from the left can differ between two rows; those to the right need no repaint.

    Stepping moves one cell of the timeline and a few digits of the header: most of their cells stay.
    """
    if before[1:] != after[1:]:
        return width
    old, new = before.left, after.left
    old_width, new_width = spans_width(old), spans_width(new)
    edge = 1 if after.edge else 0
    if old_width != new_width or old_width + spans_width(after.right) + edge >= width:
        return width
    same = 0
    for one, other in zip(reversed(old), reversed(new), strict=False):
        if one != other:
            break
        same += width_of(one[0])
    return new_width - same + edge


def crop(text: str, width: int, ellipsis: str = "…") -> str:
    """Cut a text to a width in cells; a cut shows."""
    if width <= 0:
        return ""
    # A text longer than the width in code points can still fit when it holds marks of no width; measure it then only.
    if width_of(text) <= width:
        return text
    return _cut(text, width - 1) + ellipsis


def _cut(text: str, width: int) -> str:
    if text.isascii():
        return text[:width]
    return set_cell_size(text, width)


def crop_spans(spans: Spans, width: int, ellipsis: str = "…") -> tuple[Spans, int]:
    """Cut spans to a width.

    Returns:
        The spans that fit and the cells they take.
    """
    used = spans_width(spans)
    if used <= width:
        return spans, used
    kept: list[Span] = []
    left = width
    for index, (text, style) in enumerate(spans):
        size = width_of(text)
        if size < left or (size == left and not any(later for later, _ in spans[index + 1 :])):
            kept.append((text, style))
            left -= size
            continue
        if left > 0:
            cut = crop(text + (" " if size == left else ""), left, ellipsis)
            kept.append((cut, style))
            left -= width_of(cut)
        break
    return tuple(kept), width - left


def pad(text: str, width: int) -> str:
    """Pad or cut a text to exactly a width, on the right."""
    size = width_of(text)
    return text + " " * (width - size) if size <= width else crop(text, width)


def wrap_text(text: str, width: int, most: int) -> tuple[str, ...]:
    """Break a text into pieces of at most a width in cells, at most `most` of them, which together are the text again.

    A piece ends behind a space where that leaves it at least half as long as it could be, and else where the room does.
    """
    pieces: list[str] = []
    place, room = 0, max(1, width)
    while place < len(text) and len(pieces) < most:
        piece = _longest(text, place, room)
        stop = place + len(piece)
        if stop < len(text) and text[stop] != " " and (space := piece.rfind(" ") + 1) * 2 >= len(piece):
            piece = piece[:space]
        pieces.append(piece)
        place += len(piece)
    if place < len(text) and pieces:
        pieces[-1] = crop(pieces[-1] + text[place : place + width + 1], width)
    return tuple(pieces)


def wrap_words(text: str, width: int, most: int) -> tuple[str, ...]:
    """Break a sentence between words into lines of at most a width in cells, at most `most` of them.

    A word that is too long for a line breaks where the line ends, as a path does.
    """
    room = max(1, width)
    lines: list[str] = []
    line = ""
    for word in text.split(" "):
        longer = f"{line} {word}" if line else word
        if width_of(longer) <= room:
            line = longer
            continue
        if line:
            lines.append(line)
        *whole, line = wrap_text(word, room, most) or ("",)
        lines.extend(whole)
        if len(lines) > most:
            break
    lines.append(line)
    if len(lines) > most:
        lines[most - 1] = crop(f"{lines[most - 1]} {lines[most]}", room)
    return tuple(lines[:most])


def _longest(text: str, start: int, width: int) -> str:
    piece = text[start : start + width]
    if piece.isascii():
        return piece
    used = 0
    # Marks of no width never fill a line; they get a line of their own at this many.
    window = text[start : start + 4 * width]
    for index, character in enumerate(window):
        used += cell_len(character)
        if used > width:
            return window[: max(1, index)]
    return window


_JOINERS: Final = {0x200D: None, 0xFE0E: None, 0xFE0F: None}
"""Terminals disagree how wide joined emoji are; each part by itself has one width everywhere."""


def on_grid(text: str) -> str:
    """Return a text that shows as it is spelled and takes the cells that it is counted with."""
    clean = visible(text)
    return clean if clean.isascii() else clean.translate(_JOINERS)


class PaneFrame(Struct, frozen=True):
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


def top_row(frame: PaneFrame, glyphs: Glyphs) -> Row:
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


def bottom_row(frame: PaneFrame, glyphs: Glyphs) -> Row:
    """Return the lower edge."""
    start, end = glyphs.corners[2], glyphs.corners[3]
    left: Spans = ((start, frame.border), *_padded(frame.left, glyphs, frame.border))
    right: Spans = (*_padded(frame.right, glyphs, frame.border), (end, frame.border))
    return Row(left, right, fill=glyphs.horizontal, fill_style=frame.border)


def _padded(spans: Spans, glyphs: Glyphs, border: str) -> Spans:
    if not spans:
        return ()
    return ((glyphs.horizontal, border), (" ", "text"), *spans, (" ", "text"), (glyphs.horizontal, border))
