"""Boxes that only lay out: they draw nothing of their own, so Textual need not keep styles for their lines."""

from __future__ import annotations

from textual.containers import Container


class Box(Container):
    """Lays out what is in it."""

    BLANK = True
