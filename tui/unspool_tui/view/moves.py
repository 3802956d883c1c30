"""Pure moves: from a view and an event to the next view."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

from msgspec.structs import replace

from unspool.model.keys import Path
from unspool_tui.view.axis import deepest_zoom
from unspool_tui.view.model import (
    SPEEDS,
    Against,
    Dock,
    InspectMode,
    Jumps,
    Pane,
    PaneSize,
    ResultRow,
    StartPlace,
    View,
    Width,
)
from unspool_tui.view.overview import Rows

JUMP_LIMIT = 100
"""How many places the jump list remembers."""


def clamp(view: View, seq: int) -> int:
    """Return the entry number nearest to `seq` that exists; 0 for an empty history."""
    return max(view.first, min(seq, view.tip))


def move_to(view: View, seq: int) -> View:
    """Put the head on an entry; any move off the tip pauses following.

    What was found stays in front, so this does not follow from the tip on; see `follow_at_end`.
    """
    head = clamp(view, seq)
    if head == view.head:
        return view
    paused = view.follow and head != view.tip
    return replace(
        view,
        head=head,
        follow=view.follow and not paused,
        paused_total=view.total if paused else view.paused_total,
    )


def follow_at_end(view: View) -> View:
    """Go on with the entries that arrive, where somebody who moves through time has come to the newest of all."""
    if view.follow or not view.total or view.head != view.tip:
        return view
    return replace(view, follow=True, playing=False)


def jump_to(view: View, seq: int) -> View:
    """Put the head on a far entry and remember where it was."""
    head = clamp(view, seq)
    if head == view.head:
        return view
    back = (*view.jumps.back, view.head)[-JUMP_LIMIT:]
    return replace(move_to(view, head), jumps=Jumps(back, ()))


def step(view: View, rows: Rows, count: int) -> View:
    """Move by `count` entries of the (filtered) list; forward to the newest of all, or against the end, follows."""
    if not len(rows):
        return view
    position = rows.position(view.head)
    # Off the list (the filter hides the head), one step goes to the neighbour on that side.
    on_list = position < len(rows) and rows[position] == view.head
    if not on_list and count > 0:
        position -= 1
    moved = move_to(view, rows[max(0, min(position + count, len(rows) - 1))])
    return follow_at_end(moved) if count > 0 else moved


def onto_rows(view: View, rows: Rows) -> View:
    """Put the head on the nearest entry of a (filtered) list, and remember where it was."""
    if not len(rows):
        return view
    position = rows.position(view.head)
    beside = [rows[row] for row in (position - 1, position) if 0 <= row < len(rows)]
    return jump_to(view, min(beside, key=lambda seq: abs(seq - view.head)))


def edge(view: View, rows: Rows, *, last: bool) -> View:
    """Jump to the first or last entry of the list; at the newest of all, go on with those that arrive."""
    if not len(rows):
        return view
    moved = jump_to(view, rows[len(rows) - 1 if last else 0])
    return follow_at_end(moved) if last else moved


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


_MODES = tuple(InspectMode)


def width_for(columns: int) -> Width:
    """Return the layout for a number of columns; the same steps as the main screen's breakpoints."""
    return Width.NARROW if columns < 100 else Width.WIDE if columns < 160 else Width.ULTRA


def shown_panes(view: View, width: Width) -> tuple[Pane, ...]:
    """Return the panes on the screen, in reading order."""
    if view.zoomed:
        return (view.focus,)
    if width is Width.NARROW:
        return (Pane.HISTORY, Pane.RESULTS if view.focus is Pane.RESULTS else view.side)
    strip = (Pane.RESULTS,) if view.dock.open else ()
    if width is Width.WIDE:
        lower = view.side if view.side is Pane.STATS else Pane.INSPECT
        return (Pane.HISTORY, Pane.CHANGES, lower, *strip)
    return (Pane.HISTORY, Pane.CHANGES, Pane.INSPECT, Pane.STATS, *strip)


def focus(view: View, pane: Pane) -> View:
    """Give a pane the movement keys; where it was hidden it takes the side place."""
    if pane is Pane.RESULTS:
        return focus_results(view)
    if view.focus is Pane.RESULTS:
        view = stay(view)
    side = view.side if pane is Pane.HISTORY else pane
    return replace(view, focus=pane, side=side, timeline_focused=False)


def cycle_focus(view: View, width: Width, by: int) -> View:
    """Focus the next pane; a narrow screen goes through those that share the side place too."""
    every = tuple(pane for pane in Pane if pane is not Pane.RESULTS or view.dock.open)
    panes = every if width is not Width.WIDE or view.zoomed else shown_panes(view, width)
    place = panes.index(view.focus) if view.focus in panes else 0
    return focus(view, panes[(place + by) % len(panes)])


def focus_results(view: View) -> View:
    """Give the list of results the movement keys, and remember where that was."""
    start = view.dock.start or StartPlace(
        view.head, view.follow, view.paused_total, view.selected, view.unfolded, view.jumps, view.focus
    )
    return replace(view, focus=Pane.RESULTS, dock=replace(view.dock, open=True, start=start))


def list_results(view: View) -> View:
    """Show a new list of results, still empty, with the focus; what an earlier list led to is kept."""
    if view.focus is Pane.RESULTS:
        view = stay(view)
    return focus_results(replace(view, dock=Dock(running=True)))


def preview(view: View, row: int, result: ResultRow) -> View:
    """Put the cursor of the list on a row and the head on its entry."""
    there = replace(move_to(view, result.seq), dock=replace(view.dock, cursor=row))
    return reveal(there, result.address) if result.address else there


def stay(view: View) -> View:
    """Leave the list for where it led: the jump list leads back."""
    start = view.dock.start
    if start is None:
        return view
    focus = start.focus if start.focus is not Pane.RESULTS else Pane.HISTORY
    jumps = view.jumps
    if view.head != start.head and start.head not in jumps.back[-1:]:
        jumps = Jumps((*jumps.back, start.head)[-JUMP_LIMIT:], ())
    return replace(view, focus=focus, jumps=jumps, dock=replace(view.dock, start=None))


def return_to_start(view: View) -> View:
    """Close the list and go back to where going through it began."""
    start, closed = view.dock.start, replace(view.dock, open=False, start=None)
    if start is None:
        return replace(view, dock=closed)
    following = start.follow and view.tip >= 0
    return replace(
        view,
        head=view.tip if following else clamp(view, start.head),
        follow=following,
        paused_total=start.paused_total,
        selected=start.selected,
        unfolded=start.unfolded,
        jumps=start.jumps,
        focus=start.focus if start.focus is not Pane.RESULTS else Pane.HISTORY,
        dock=closed,
    )


def sized_pane(view: View, width: Width) -> tuple[Pane, int]:
    """Return whose size changes when the focused pane is made wider (`1`), and whether it shrinks then (`-1`)."""
    pane = view.focus
    if pane is Pane.HISTORY or (pane is Pane.RESULTS and width is not Width.NARROW):
        return pane, 1
    if width is not Width.ULTRA:
        return Pane.HISTORY, -1
    # Stats stands below Changes, and Inspect takes what they leave.
    return Pane.CHANGES, -1 if pane is Pane.INSPECT else 1


def give_size(view: View, width: Width, pane: Pane, cells: int) -> View:
    """Give a pane a size of its own in a layout."""
    others = tuple(size for size in view.sizes if (size.layout, size.pane) != (width, pane))
    return replace(view, sizes=(*others, PaneSize(width, pane, cells)))


def toggle_zoom(view: View) -> View:
    """Show only the focused pane, or all again."""
    return replace(view, zoomed=not view.zoomed)


def next_mode(view: View) -> View:
    """Cycle Inspect through tree, JSON and raw."""
    return replace(view, mode=_MODES[(_MODES.index(view.mode) + 1) % len(_MODES)], sideways=0)


def toggle_wrap(view: View) -> View:
    """Give long lines of Inspect as many lines as they need, or one, where it has the focus; else those of Changes."""
    if view.focus is Pane.INSPECT:
        return replace(view, wrap_text=not view.wrap_text, sideways=0, inspect_row=0)
    return replace(view, wrap=not view.wrap)


def select(view: View, address: Path) -> View:
    """Select an address in Changes and Inspect."""
    return view if address == view.selected else replace(view, selected=address)


def reveal(view: View, address: Path) -> View:
    """Select an address and unfold what is around it in Inspect."""
    around = {address[:depth] for depth in range(1, len(address))}
    return replace(view, selected=address, unfolded=view.unfolded | around)


def set_unfolded(view: View, address: Path, *, open_: bool) -> View:
    """Unfold or fold an address in Inspect."""
    if open_:
        return replace(view, unfolded=view.unfolded | {address})
    return replace(view, unfolded=view.unfolded - {address})


def set_open(view: View, address: Path, *, open_: bool) -> View:
    """Open or fold an address in Changes, against what it would be by itself."""
    if open_:
        return replace(view, opened=view.opened | {address}, folded=view.folded - {address})
    return replace(view, opened=view.opened - {address}, folded=view.folded | {address})


def mark_base(view: View) -> View:
    """Make the entry under the head the base and compare against it."""
    return replace(view, base=view.head, against=Against.BASE)


def clear_base(view: View) -> View:
    """Forget the base and compare with the previous entry again."""
    against = Against.PREVIOUS if view.against is Against.BASE else view.against
    return replace(view, base=None, against=against)


def swap_base(view: View) -> View:
    """Let head and base change places."""
    if view.base is None or view.base == view.head:
        return view
    return replace(
        view,
        head=min(view.base, max(0, view.tip)),
        base=view.head,
        follow=False,
        paused_total=view.total if view.follow else view.paused_total,
    )


def compare_against(view: View, against: Against) -> View:
    """Choose what the head is compared with; the base must be marked first."""
    if against is Against.BASE and view.base is None:
        return view
    return replace(view, against=against)


def toggle_bookmark(view: View) -> View:
    """Set or remove a bookmark on the entry under the head."""
    marks = list(view.bookmarks)
    place = bisect_left(marks, view.head)
    if place < len(marks) and marks[place] == view.head:
        del marks[place]
    else:
        marks.insert(place, view.head)
    return replace(view, bookmarks=tuple(marks))


def focus_timeline(view: View) -> View:
    """Give the timeline the movement keys, or the pane that had them."""
    return replace(view, timeline_focused=not view.timeline_focused)


def zoom_timeline(view: View, by: int) -> View:
    """Show half (`+1`) or twice (`-1`) as many entries in the timeline, within what there is."""
    deepest = deepest_zoom(view.count)
    return replace(view, timeline_zoom=max(0, min(min(view.timeline_zoom, deepest) + by, deepest)))


def toggle_watch(view: View, text: str, limit: int) -> View:
    """Watch a path or an expression, or no longer; of too many the oldest goes."""
    if text in view.watches:
        return replace(view, watches=tuple(one for one in view.watches if one != text))
    return replace(view, watches=(*view.watches, text)[-limit:])


MOST_PINNED = 12
"""Atoms that can be pinned; there is no room for more lanes."""


def toggle_pin(view: View, atom: str) -> View:
    """Give an atom a lane above all others, or let it go back among them; the oldest of too many goes."""
    if atom in view.pinned:
        return replace(view, pinned=tuple(name for name in view.pinned if name != atom))
    return replace(view, pinned=(*view.pinned, atom)[-MOST_PINNED:])


def choose_part(view: View, part: str, parts: Sequence[str]) -> View:
    """Show the lanes of one part only; of that part alone already, hide its lanes and show all others."""
    others = frozenset(parts) - {part}
    alone = part not in view.hidden_parts and others <= view.hidden_parts
    return replace(view, hidden_parts=frozenset((part,)) if alone else others)


def keep_visible(top: int, cursor: int | None, page: int, total: int) -> int:
    """Return the first visible row so that the cursor stays in sight.

    When the cursor leaves the page, the window moves by half a page, not by one row: most steps then change two rows
    on the terminal, not all of them; and a far jump lands in the middle, where what is around it can be read.

    Args:
        top: the first visible row so far.
        cursor: the row that must be seen; None where nothing is selected.
        page: rows that fit.
        total: rows there are.
    """
    if cursor is not None and not top <= cursor < top + page:
        top = cursor - page // 2
    return max(0, min(top, total - page))


def thumb(top: int, page: int, total: int) -> tuple[int, int]:
    """Return the first row and the length of a scroll bar's thumb, within a page; length 0 when all fits."""
    if total <= page or page <= 0:
        return 0, 0
    length = max(1, page * page // total)
    reach = total - page
    return (page - length) * top // reach, length


LONGEST_GAP = 5.0
"""Seconds that playing with real gaps waits at most, so that a night's pause is not replayed."""
SHORTEST_GAP = 1 / 120
"""Seconds between two steps at least; faster than this no screen shows."""


def grown(view: View, total: int, first: int = 0) -> View:
    """Take note of new (or, after a truncation, fewer) entries, and of the first one that is kept."""
    head = total - 1 if view.follow else view.head
    base = view.base if view.base is not None and first <= view.base < total else None
    if total < view.total:
        # Results of entries that are gone lead nowhere.
        view = replace(view, dock=Dock(), focus=Pane.HISTORY if view.focus is Pane.RESULTS else view.focus)
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
    """Advance one entry while playing; the end stops it, and the newest of all goes on with those that arrive."""
    position = rows.position(view.head + 1)
    if position >= len(rows):
        return follow_at_end(replace(view, playing=False))
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
