"""User text on a grid of cells: inert, and of a width that every terminal agrees on."""

from __future__ import annotations

from typing import Final

from unspool_tui.present.inert import visible

_JOINERS: Final = {0x200D: None, 0xFE0E: None, 0xFE0F: None}
"""Terminals disagree how wide joined emoji are; each part by itself has one width everywhere."""


def on_grid(text: str) -> str:
    """Return a text that shows as it is spelled and takes the cells that it is counted with."""
    clean = visible(text)
    return clean if clean.isascii() else clean.translate(_JOINERS)
