"""Rows of the chains screen: one chain a line, its size against its limits, and what the doctor says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from unspool_tui.rendering import format_units
from unspool_tui.rendering.chain_wall import STYLES, WORDS, sign
from unspool_tui.rendering.line import Glyphs, Row, Spans, on_grid, pad, wrap_words

if TYPE_CHECKING:
    from unspool.query.chain_table import ChainFigures

_BAR = 9
_NAME = 17
_VERDICT = 16
_ROOM_FOR_ALL = 104
"""Width of the terminal from which age and both sizes are shown."""
_MOST_LINES = 3
"""Lines that one finding may take."""


def chain_heading(width: int) -> Row:
    """Return the names of the columns."""
    roomy = width >= _ROOM_FOR_ALL
    text = f"  {'entries':<{_NAME}} {'deltas':>7}  "
    text += f"{'age':>8}  {'full size':>10}  {'delta size':>10}  " if roomy else f"{'size':>9}  "
    text += f"{'of limit':<{_BAR}}  {'verdict':<{_VERDICT}}  why"
    return Row(((text, "faint"),), ground="bar")


def chain_row(chain: ChainFigures, width: int, glyphs: Glyphs) -> Row:
    """Return the line of one chain; a narrow one leaves out what matters less than its verdict."""
    style = STYLES[chain.health]
    reason: Spans = ((f"  {on_grid(chain.reason[:200])}", "dim"),) if chain.reason else ()
    sizes: Spans = ((f"{format_units.size(chain.full_bytes + chain.delta_bytes):>9}  ", "dim"),)
    if width + 2 >= _ROOM_FOR_ALL:
        sizes = (
            (f"{format_units.duration(chain.age_ns):>8}  ", "dim"),
            (f"{format_units.size(chain.full_bytes):>10}  ", "full"),
            (f"{format_units.size(chain.delta_bytes):>10}  ", "dim"),
        )
    told = f"{sign(chain.health, glyphs)} {WORDS[chain.health]}"
    return Row(
        (
            (f" {pad(f'#{chain.first:,}–{chain.last:,}', _NAME)} ", "text"),
            (f"{chain.deltas:>7,}  ", "dim"),
            *sizes,
            *_share(chain, glyphs),
            (f"  {pad(told, _VERDICT)}", style),
            *reason,
        )
    )


def _share(chain: ChainFigures, glyphs: Glyphs) -> Spans:
    if not chain.share:
        return ((pad("", _BAR), "text"),)
    filled = round(min(1.0, chain.share) * _BAR)
    return ((glyphs.bar_full * filled, STYLES[chain.health]), (glyphs.bar_rest * (_BAR - filled), "border"))


def finding_rows(severity: str, place: str, meaning: str, remedy: str, width: int, glyphs: Glyphs) -> list[Row]:
    """Return the lines of one thing that the doctor found: what it is, then what helps."""
    style = {"error": "error", "warning": "warning"}.get(severity, "dim")
    lines = wrap_words(on_grid(f"{place}: {meaning}"[:400]), width - 4, _MOST_LINES)
    signs = (f" {glyphs.dot} ", *["   "] * len(lines))
    told = [Row(((sign, style), (line, style))) for sign, line in zip(signs, lines, strict=False)]
    helps = wrap_words(on_grid(remedy[:400]), width - 4, _MOST_LINES)
    return [*told, *(Row((("   ", "text"), (line, "dim"))) for line in helps)]


def progress_row(done: int, total: int, width: int, glyphs: Glyphs, left: str = "") -> Row:
    """Return a bar of how far some work is; `left` says how long the rest takes."""
    room = max(10, min(40, width - 40))
    filled = done * room // max(1, total)
    return Row(
        (
            (" examining ", "text"),
            (glyphs.bar_full * filled, "key"),
            (glyphs.bar_rest * (room - filled), "border"),
            (f" {done:,} of {total:,}", "dim"),
        ),
        ((f"{left}  Esc stops " if left else "Esc stops ", "faint"),),
    )


def summary_row(verdict: str, entries: int, readable: int, chains: int, *, complete: bool) -> Row:
    """Return the doctor's verdict in one line; one that was stopped before the end calls nothing healthy."""
    if not complete and verdict == "healthy":
        verdict = "stopped: nothing wrong so far"
    style = {"healthy": "good", "degraded": "warning", "broken": "error"}.get(verdict, "warning")
    said = f"{readable:,} of {entries:,} entries read  {format_units.count(chains, 'chain')}"
    return Row(((f" {verdict} ", style), (f" {said}", "dim")))


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
