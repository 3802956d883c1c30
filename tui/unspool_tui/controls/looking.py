"""How things are shown: zoom, modes, unchanged atoms, sentences, wrapping, gaps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from unspool_tui.scene.lanes import MOST_LANES, ROOM_FOR_LANES
from unspool_tui.view import moves
from unspool_tui.view.model import Pane
from unspool_tui.view.outline import value_at

if TYPE_CHECKING:
    from unspool_tui.screens.main import MainScreen


def zoom(main: MainScreen) -> None:
    """Give the focused pane the whole screen, or take it back."""
    main.apply(moves.toggle_zoom(main.view))


def mode(main: MainScreen) -> None:
    """Show the state as a tree, as JSON or raw."""
    view = moves.focus(main.view, Pane.INSPECT) if main.view.side is Pane.STATS else main.view
    main.apply(moves.next_mode(replace(view, inspect_row=0)))


def unchanged(main: MainScreen) -> None:
    """List the atoms that did not change, or hide them."""
    main.apply(replace(main.view, unchanged=not main.view.unchanged))


def words(main: MainScreen) -> None:
    """Explain the changes in sentences, or show them."""
    main.apply(replace(main.view, words=not main.view.words, change_row=0))


def wrap(main: MainScreen) -> None:
    """Give long values as many lines as they need, or one."""
    main.apply(replace(main.view, wrap=not main.view.wrap))


def gaps(main: MainScreen) -> None:
    """Show gaps instead of the clock, or the clock again."""
    main.apply(replace(main.view, gaps=not main.view.gaps))


def plot(main: MainScreen) -> None:
    """Draw the selected number over the history."""
    from unspool_tui.screens.plot import PlotScreen

    value = value_at(main.scene.detail.state, main.view.selected)
    if isinstance(value, bool) or not isinstance(value, int | float):
        main.flash("plot: only a number can be drawn; select one in Changes or Inspect", "warning")
    else:
        main.open(PlotScreen(main, main.view.selected))


def pin(main: MainScreen) -> None:
    """Give the selected atom a lane in the timeline, or take it away."""
    atom = str(main.view.selected[0])
    main.apply(moves.toggle_pin(main.view, atom, MOST_LANES))
    if atom not in main.view.pinned:
        main.flash(f"no longer pinned: {atom}")
    elif main.size.width < ROOM_FOR_LANES:
        main.flash(f"pinned: {atom}; its lane shows from {ROOM_FOR_LANES} columns on", "warning")
    else:
        main.flash(f"pinned: {atom}")


def chains(main: MainScreen) -> None:
    """Open the chains screen."""
    from unspool_tui.screens.chains import ChainsScreen

    if main.scene.ledger.ready:
        main.open(ChainsScreen(main))
    else:
        main.flash("the history is still being read", "warning")


def simulate(main: MainScreen) -> None:
    """Open the simulator."""
    from unspool_tui.screens.simulator import SimulatorScreen

    main.open(SimulatorScreen(main))


def footprint(main: MainScreen) -> None:
    """Open the page that tells where the bytes are."""
    from unspool_tui.screens.footprint import FootprintScreen

    main.open(FootprintScreen(main))


CONTROLS: Final[Mapping[str, Callable[[MainScreen], None]]] = {
    "pane.zoom": zoom,
    "inspect.mode": mode,
    "changes.unchanged": unchanged,
    "changes.words": words,
    "wrap": wrap,
    "history.gaps": gaps,
    "chains": chains,
    "simulate": simulate,
    "bytes": footprint,
    "plot": plot,
    "pin": pin,
}
