"""The timeline: what it takes the keys for, which part of history it shows and by what, and its lanes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from unspool_tui.panes.history import MOST_LANES, ROOM_FOR_LANES
from unspool_tui.view import moves
from unspool_tui.view.axis import shown_count

if TYPE_CHECKING:
    from unspool_tui.screens.protocols import HistoryScreen


def focus(main: HistoryScreen) -> None:
    """Give the timeline the keys, or the pane that had them."""
    main.apply(moves.focus_timeline(main.view))


def closer(main: HistoryScreen) -> None:
    """Show half as many entries."""
    zoom(main, 1)


def wider(main: HistoryScreen) -> None:
    """Show twice as many entries."""
    zoom(main, -1)


def zoom(main: HistoryScreen, by: int) -> None:
    """Show fewer (`+1`) or more (`-1`) entries, and say how many."""
    view = moves.zoom_timeline(main.view, by)
    shown = shown_count(view.count, view.timeline_zoom)
    if view.timeline_zoom == main.view.timeline_zoom:
        main.flash(f"the timeline cannot show fewer than {shown:,} entries", "warning")
    else:
        main.flash(f"the timeline shows {shown:,} of {view.count:,} entries")
    main.apply(view)


def whole(main: HistoryScreen) -> None:
    """Show all entries."""
    main.apply(replace(main.view, timeline_zoom=0))


def axis(main: HistoryScreen) -> None:
    """Change between equal parts of time and equal numbers of entries."""
    view = replace(main.view, timeline_by_time=not main.view.timeline_by_time)
    main.apply(view)
    main.flash(f"the timeline is by {'time' if view.timeline_by_time else 'entry'}")


def pin(main: HistoryScreen) -> None:
    """Give the selected atom a lane in the timeline, or take it away."""
    atom = str(main.view.selected[0])
    main.apply(moves.toggle_pin(main.view, atom, MOST_LANES))
    if atom not in main.view.pinned:
        main.flash(f"no longer pinned: {atom}")
    elif main.size.width < ROOM_FOR_LANES:
        main.flash(f"pinned: {atom}; its lane shows from {ROOM_FOR_LANES} columns on", "warning")
    else:
        main.flash(f"pinned: {atom}")


CONTROLS: Final[Mapping[str, Callable[[HistoryScreen], None]]] = {
    "timeline": focus,
    "timeline.in": closer,
    "timeline.out": wider,
    "timeline.whole": whole,
    "timeline.axis": axis,
    "pin": pin,
}
