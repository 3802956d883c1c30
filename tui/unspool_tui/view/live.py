"""Following a growing history and playing: pure functions from a view to the view after time passed."""

from __future__ import annotations

from msgspec.structs import replace

from unspool_tui.view.filters import Rows
from unspool_tui.view.model import SPEEDS, Against, View
from unspool_tui.view.moves import move_to

LONGEST_GAP = 5.0
"""Seconds that playing with real gaps waits at most, so that a night's pause is not replayed."""
SHORTEST_GAP = 1 / 120
"""Seconds between two steps at least; faster than this no screen shows."""


def grown(view: View, total: int, first: int = 0) -> View:
    """Take note of new (or, after a truncation, fewer) entries, and of the first one that is kept."""
    head = total - 1 if view.follow else view.head
    base = view.base if view.base is not None and first <= view.base < total else None
    return replace(
        view,
        total=total,
        first=first,
        head=max(first, min(head, total - 1)),
        base=base,
        against=Against.PREVIOUS if base is None and view.against is Against.BASE else view.against,
        paused_total=min(view.paused_total, total),
        bookmarks=tuple(mark for mark in view.bookmarks if first <= mark < total),
    )


def toggle_follow(view: View) -> View:
    """Follow the newest entry, or stay where the head is."""
    if view.follow:
        return replace(view, follow=False, paused_total=view.total)
    return replace(view, follow=True, playing=False, head=max(0, view.tip))


def toggle_play(view: View) -> View:
    """Start or stop playing; at the tip playing starts over from the first entry."""
    if view.playing:
        return replace(view, playing=False)
    at_end = view.head >= view.tip
    return replace(move_to(view, view.first) if at_end else view, playing=True, follow=False, paused_total=view.total)


def change_speed(view: View, by: int) -> View:
    """Play faster or slower; the last speed keeps the real gaps."""
    return replace(view, speed=max(0, min(view.speed + by, len(SPEEDS) - 1)))


def played(view: View, rows: Rows) -> View:
    """Advance one entry while playing; the end stops it."""
    position = rows.position(view.head + 1)
    if position >= len(rows):
        return replace(view, playing=False)
    return move_to(view, rows[position])


def wait_before(view: View, now_ns: int, next_ns: int) -> float:
    """Return the seconds until the next step while playing.

    Args:
        view: the view; its speed decides.
        now_ns: time of the entry under the head.
        next_ns: time of the entry after it.
    """
    speed = SPEEDS[view.speed]
    if speed:
        return 1 / speed
    return max(SHORTEST_GAP, min(LONGEST_GAP, (next_ns - now_ns) / 1e9))
