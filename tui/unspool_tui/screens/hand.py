"""Panels scrolled by wheel: they stay where they were put until their cursor moves."""

from __future__ import annotations

from unspool_tui.view.model import Pane, View


class Hand:
    """Remembers the first visible row of panels that were scrolled by hand, and for which cursor that was."""

    __slots__ = ("_tops",)

    def __init__(self) -> None:
        self._tops: dict[Pane, tuple[int, object]] = {}

    def top(self, pane: Pane, view: View) -> int | None:
        """Return the row a panel was scrolled to, or None when its cursor decides."""
        held = self._tops.get(pane)
        if held is None:
            return None
        top, cursor = held
        if cursor != _cursor(pane, view):
            del self._tops[pane]
            return None
        return top

    def scroll(self, pane: Pane, view: View, top: int) -> None:
        """Scroll a panel to a row."""
        self._tops[pane] = (max(0, top), _cursor(pane, view))


def _cursor(pane: Pane, view: View) -> object:
    match pane:
        case Pane.HISTORY:
            return view.head, view.filter.text
        case Pane.CHANGES:
            return view.selected, view.change_row, view.folded, view.opened
        case Pane.INSPECT:
            return view.selected, view.inspect_row, view.unfolded, view.mode
    return None
