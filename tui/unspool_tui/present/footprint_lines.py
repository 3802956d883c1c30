"""Rows of the page that tells where the bytes are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from unspool_tui.present import humane
from unspool_tui.present.glyphs import Glyphs
from unspool_tui.present.grid import on_grid
from unspool_tui.present.line import Row, crop, pad

if TYPE_CHECKING:
    from unspool.query.footprint_facts import Footprint, Share, Spent

_BAR: Final = 6
_ROOM_FOR_BARS: Final = 100
_NUMBERS: Final = 42
"""Columns that the numbers take, to the left of the names."""


def footprint_summary(found: Footprint) -> list[Row]:
    """Return what is told above the list."""
    entries = "1 entry" if found.entries == 1 else f"{found.entries:,} entries"
    text = f" {humane.size(found.stored_bytes)} in records of {entries}"
    rows = [Row(((text, "strong"), (f", {humane.size(found.full_bytes)} as whole states", "dim")))]
    if found.problems:
        first = found.problems[0].place
        rows.append(Row(((f" partial: {len(found.problems):,} could not be read, from {first} on", "warning"),)))
    return rows


def footprint_heading(name: str, width: int, *, counts_changes: bool) -> Row:
    """Return the names of the columns."""
    counts = f"{'changes':>9} {'alone':>9}" if counts_changes else f"{'entries':>9} {'':>9}"
    bar = f"{'':{_BAR + 1}}" if width >= _ROOM_FOR_BARS else ""
    return Row(((f" {'bytes':>10} {'share':>8} {counts}  {bar}{name}", "faint"),), ground="bar")


def share_row(share: Share, whole: int, width: int, glyphs: Glyphs) -> Row:
    """Return the line of an atom, or of a kind of path."""
    counts = f"{share.changes:>9,} {share.alone:>9,}"
    right = ""
    if share.rewritten:
        times = humane.count(share.rewritten, "time")
        right = f"rewritten unchanged {times}, {humane.size(share.rewritten_bytes)} "
    return _row(share.stored_bytes, whole, counts, share.name, right, width, glyphs)


def spent_row(spent: Spent, whole: int, width: int, glyphs: Glyphs) -> Row:
    """Return the line of an action, or of a codec."""
    counts = f"{spent.entries:>9,} {'':>9}"
    return _row(spent.stored_bytes, whole, counts, spent.name or "(none)", "", width, glyphs)


def _row(spent: int, whole: int, counts: str, name: str, right: str, width: int, glyphs: Glyphs) -> Row:
    share = spent / whole if whole else 0.0
    has_bars = width >= _ROOM_FOR_BARS
    bar = f"{pad(glyphs.bar_full * round(share * _BAR), _BAR)} " if has_bars else ""
    told = right if width - _NUMBERS - len(bar) - len(right) > len(name[:200]) else ""
    room = max(8, width - _NUMBERS - len(bar) - len(told))
    return Row(
        (
            (f" {humane.size(spent):>10} {share:>8.1%} {counts}  ", "text"),
            (bar, "accent"),
            (crop(on_grid(name[:200]), room, glyphs.ellipsis), "strong"),
        ),
        ((told, "faint"),) if told else (),
    )
