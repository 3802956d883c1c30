"""The characters of the chrome, in Unicode and in plain ASCII."""

from __future__ import annotations

from typing import Final

from msgspec import Struct


class Glyphs(Struct, frozen=True):
    """One set of characters; each is one cell wide in every terminal, but for words such as the ASCII arrow.

    Attributes:
        corners: top left, top right, bottom left, bottom right of a frame.
        bars: eight heights of the overview, lowest first.
    """

    full: str = "F"
    delta: str = "·"
    note: str = "○"
    base: str = "b"
    bookmark: str = "◆"
    hit: str = "▴"
    head: str = "┃"
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


UNICODE: Final = Glyphs()
ASCII: Final = Glyphs(
    delta=".",
    note="o",
    bookmark="*",
    hit="^",
    head="|",
    opened="v",
    closed=">",
    moved="=",
    arrow="->",
    ellipsis="~",
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
)


PLAIN: Final = str.maketrans("…→←↑↓–·µ×", "~><^v-.ux")
"""What stands in texts of the app itself, as ASCII; each takes the one cell that it took before."""


def glyphs(*, ascii_only: bool) -> Glyphs:
    """Return the set to draw with."""
    return ASCII if ascii_only else UNICODE
