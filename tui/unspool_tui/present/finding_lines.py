"""Rows of what the doctor and the checkers find: one finding a line."""

from __future__ import annotations

from unspool_tui.present.glyphs import Glyphs
from unspool_tui.present.line import Row, on_grid, pad

_LONGEST = 400


def finding_heading() -> Row:
    """Return the names of the columns."""
    return Row(((f"   {'where':<24} {'severity':<9} what", "faint"),), ground="bar")


def finding_line(severity: str, place: str, meaning: str, where: str, glyphs: Glyphs) -> Row:
    """Return the line of one finding.

    Args:
        severity: how much it matters.
        place: the entries it concerns.
        meaning: what is the matter.
        where: the place in a foreign source; "" where the entries say it all.
        glyphs: how to draw.
    """
    style = {"error": "error", "warning": "warning"}.get(severity, "dim")
    told = f"{meaning}  ({where})" if where and where != place else meaning
    return Row(
        (
            (f" {glyphs.dot} ", style),
            (f"{pad(on_grid(place[:_LONGEST]), 24)} ", "text"),
            (f"{severity:<9} ", style),
            (on_grid(told[:_LONGEST]), "text"),
        )
    )


def check_heading() -> Row:
    """Return the names of the columns of what checkers find."""
    return Row(((f"   {'entry':<9} {'checker':<12} what", "faint"),), ground="bar")


def check_line(seq: int, checker: str, path: str, message: str) -> Row:
    """Return the line of one thing that a checker found."""
    return Row(
        (
            (f"   {f'#{seq:,}':<9} ", "dim"),
            (f"{pad(on_grid(checker[:_LONGEST]), 12)} ", "text"),
            (f"{on_grid(path[:_LONGEST])} ", "key"),
            (on_grid(message[:_LONGEST]), "dim"),
        )
    )
