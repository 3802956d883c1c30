"""The timeline: what it takes the keys for, which part of history it shows and by what, and its lanes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from unspool_tui.screens.menu import Menu, MenuLine
from unspool_tui.view import moves
from unspool_tui.view.axis import shown_count
from unspool_tui.widgets.timeline import ROOM_FOR_PINNED, lane_room

if TYPE_CHECKING:
    from unspool_tui.screens.protocols import HistoryScreen

_DIGITS: Final = 9
"""Lines of a menu that a digit chooses."""


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
    """Give the selected atom a lane above all others, or let it go back among them."""
    atom = str(main.view.selected[0])
    main.apply(moves.toggle_pin(main.view, atom))
    if atom not in main.view.pinned:
        main.flash(f"no longer pinned: {atom}")
    elif not lane_room(main.size.height, pinned=1):
        main.flash(f"pinned: {atom}; its lane shows from {ROOM_FOR_PINNED} lines on", "warning")
    else:
        main.flash(f"pinned: {atom}")


_SHOWN: Final = "all"


def choose_part(main: HistoryScreen) -> None:
    """List the parts of the source: one that is chosen has the lanes for itself, and chosen again gives them up."""
    parts = main.scene.lanes.ranking.parts
    if not parts:
        main.flash("lanes: this source has no parts, such as threads or merged recordings", "warning")
        return
    hidden = main.view.hidden_parts
    lines = [MenuLine("a", "all parts", _SHOWN, "" if hidden else "shown")]
    for number, part in enumerate(parts, 1):
        more = "hidden" if part in hidden else "shown"
        lines.append(MenuLine(str(number) if number <= _DIGITS else "", part, f"={part}", more))

    def chosen(value: str | None) -> None:
        if value == _SHOWN:
            main.apply(replace(main.view, hidden_parts=frozenset()))
        elif value is not None:
            part = value.removeprefix("=")
            main.apply(moves.choose_part(main.view, part, tuple(parts)))
            main.flash(f"lanes: {'all but ' if part in main.view.hidden_parts else 'only '}{part}")

    main.open(Menu("Lanes of: one alone, and chosen again hidden", lines, at=_SHOWN), chosen)


CONTROLS: Final[Mapping[str, Callable[[HistoryScreen], None]]] = {
    "timeline": focus,
    "timeline.in": closer,
    "timeline.out": wider,
    "timeline.whole": whole,
    "timeline.axis": axis,
    "timeline.part": choose_part,
    "pin": pin,
}
