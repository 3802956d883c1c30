"""Where the head goes: pure functions from a view to the view after a move."""

from __future__ import annotations

from msgspec.structs import replace

from unspool_tui.view.model import Jumps, View
from unspool_tui.view.rows import Rows

JUMP_LIMIT = 100
"""How many places the jump list remembers."""


def clamp(seq: int, total: int) -> int:
    """Return the entry number nearest to `seq` that exists; 0 for an empty history."""
    return max(0, min(seq, total - 1))


def move_to(view: View, seq: int) -> View:
    """Put the head on an entry; any move off the tip pauses following, and the tip does not resume it."""
    head = clamp(seq, view.total)
    if head == view.head:
        return view
    paused = view.follow and head != view.tip
    return replace(
        view,
        head=head,
        follow=view.follow and not paused,
        paused_total=view.total if paused else view.paused_total,
    )


def jump_to(view: View, seq: int) -> View:
    """Put the head on a far entry and remember where it was."""
    head = clamp(seq, view.total)
    if head == view.head:
        return view
    back = (*view.jumps.back, view.head)[-JUMP_LIMIT:]
    return replace(move_to(view, head), jumps=Jumps(back, ()))


def step(view: View, rows: Rows, count: int) -> View:
    """Move by `count` entries of the (filtered) list."""
    if not len(rows):
        return view
    position = rows.position(view.head)
    # Off the list (the filter hides the head), one step goes to the neighbour on that side.
    on_list = position < len(rows) and rows[position] == view.head
    if not on_list and count > 0:
        position -= 1
    return move_to(view, rows[max(0, min(position + count, len(rows) - 1))])


def edge(view: View, rows: Rows, *, last: bool) -> View:
    """Jump to the first or last entry of the list; at the newest of all, go on with those that arrive."""
    if not len(rows):
        return view
    moved = jump_to(view, rows[len(rows) - 1 if last else 0])
    if last and moved.head == moved.tip and not moved.follow:
        return replace(moved, follow=True, playing=False)
    return moved


def jump_back(view: View) -> View:
    """Return to where the head jumped from."""
    if not view.jumps.back:
        return view
    *rest, target = view.jumps.back
    moved = move_to(view, target)
    return replace(moved, jumps=Jumps(tuple(rest), (*view.jumps.forward, view.head)))


def jump_forward(view: View) -> View:
    """Undo a `jump_back`."""
    if not view.jumps.forward:
        return view
    *rest, target = view.jumps.forward
    moved = move_to(view, target)
    return replace(moved, jumps=Jumps((*view.jumps.back, view.head), tuple(rest)))


def next_hit(view: View, step_by: int) -> int | None:
    """Return the search hit after (`+1`) or before (`-1`) the head, going round at the ends."""
    found = view.search.found
    if not found:
        return None
    low, high = 0, found
    hits = view.search.hits
    # Hits are ascending: a bisection finds the first one beyond the head.
    while low < high:
        middle = (low + high) // 2
        if hits[middle] < view.head + (1 if step_by > 0 else 0):
            low = middle + 1
        else:
            high = middle
    index = low if step_by > 0 else low - 1
    return hits[index % found]
