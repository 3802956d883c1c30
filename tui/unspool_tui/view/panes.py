"""Focus, zoom and what is unfolded: pure functions from a view to the view after a toggle."""

from __future__ import annotations

from msgspec.structs import replace

from unspool.model.paths import Path
from unspool_tui.view.model import InspectMode, Pane, View, Width

_MODES = tuple(InspectMode)


def width_for(columns: int) -> Width:
    """Return the layout for a number of columns; the same steps as the main screen's breakpoints."""
    return Width.NARROW if columns < 100 else Width.WIDE if columns < 160 else Width.ULTRA


def shown_panes(view: View, width: Width) -> tuple[Pane, ...]:
    """Return the panes on the screen, in reading order."""
    if view.zoomed:
        return (view.focus,)
    if width is Width.NARROW:
        return (Pane.HISTORY, view.side)
    if width is Width.WIDE:
        lower = view.side if view.side is Pane.STATS else Pane.INSPECT
        return (Pane.HISTORY, Pane.CHANGES, lower)
    return tuple(Pane)


def focus(view: View, pane: Pane) -> View:
    """Give a pane the movement keys; where it was hidden it takes the side place."""
    side = view.side if pane is Pane.HISTORY else pane
    return replace(view, focus=pane, side=side)


def cycle_focus(view: View, width: Width, by: int) -> View:
    """Focus the next pane; a narrow screen goes through those that share the side place too."""
    panes = tuple(Pane) if width is not Width.WIDE or view.zoomed else shown_panes(view, width)
    place = panes.index(view.focus) if view.focus in panes else 0
    return focus(view, panes[(place + by) % len(panes)])


def toggle_zoom(view: View) -> View:
    """Show only the focused pane, or all again."""
    return replace(view, zoomed=not view.zoomed)


def next_mode(view: View) -> View:
    """Cycle Inspect through tree, JSON and raw."""
    return replace(view, mode=_MODES[(_MODES.index(view.mode) + 1) % len(_MODES)])


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
