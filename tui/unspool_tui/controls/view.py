"""How things are shown: panes, modes, wrapping, the timeline and its lanes; the base and what is compared; identity keys."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from unspool.delta.identity import identity_pattern, pattern_of
from unspool.errors import ConfigError
from unspool_tui.screens.modal import Menu, MenuLine, Prompt
from unspool_tui.view import moves
from unspool_tui.view.axis import shown_count
from unspool_tui.view.model import Against, Pane, Width
from unspool_tui.view.outline import value_at
from unspool_tui.widgets.timeline import ROOM_FOR_PINNED, lane_room
from unspool_tui.worker import QuestionKind, Reply

if TYPE_CHECKING:
    from unspool_tui.screens.protocols import HistoryScreen


def zoom(main: HistoryScreen) -> None:
    """Give the focused pane the whole screen, or take it back."""
    main.apply(moves.toggle_zoom(main.view))


_STEP: Final = {Pane.RESULTS: 2}
_LEAST_WIDTH: Final = 20
_LEAST_HEIGHT: Final = 4
_LEFT_LINES: Final = 10
"""Lines that are left to the panes above the list of results."""


def resize(main: HistoryScreen, by: int) -> None:
    """Make the focused pane wider (`1`) or narrower (`-1`); the list of results higher or lower."""
    view, width = main.view, main.width_class
    if view.zoomed:
        main.flash("a pane that has the whole screen has no other size (z gives it back)", "warning")
        return
    pane, sign = moves.sized_pane(view, width)
    region = main.panels[pane].region
    # Keys may come faster than the screen is laid out anew.
    wanted = next((size.cells for size in view.sizes if (size.layout, size.pane) == (width, pane)), None)
    if pane is Pane.RESULTS:
        now, least = wanted or region.height, _LEAST_HEIGHT
        most = region.bottom - main.timeline.region.bottom - _LEFT_LINES
    else:
        # Inspect stands beside Changes where there is the room.
        others = 2 if width is Width.ULTRA else 1
        now, least = wanted or region.width, _LEAST_WIDTH
        most = main.size.width - others * _LEAST_WIDTH
    cells = max(least, min(now + by * sign * _STEP.get(pane, 4), most))
    if cells == now:
        main.flash(f"this pane cannot be made {'larger' if by > 0 else 'smaller'}", "warning")
    else:
        main.apply(moves.give_size(view, width, pane, cells))


def mode(main: HistoryScreen) -> None:
    """Show the state as a tree, as JSON or raw."""
    view = moves.focus(main.view, Pane.INSPECT) if main.view.side is Pane.STATS else main.view
    main.apply(moves.next_mode(replace(view, inspect_row=0)))


def unchanged(main: HistoryScreen) -> None:
    """List the atoms that did not change, or hide them."""
    main.apply(replace(main.view, unchanged=not main.view.unchanged))


def words(main: HistoryScreen) -> None:
    """Explain the changes in sentences, or show them."""
    main.apply(replace(main.view, words=not main.view.words, change_row=0))


def wrap(main: HistoryScreen) -> None:
    """Give long values of the focused pane as many lines as they need, or one."""
    main.apply(moves.toggle_wrap(main.view))


def gaps(main: HistoryScreen) -> None:
    """Show gaps instead of the clock, or the clock again."""
    main.apply(replace(main.view, gaps=not main.view.gaps))


def plot(main: HistoryScreen) -> None:
    """Draw the selected number over the history."""
    from unspool_tui.screens.plot import PlotScreen  # loaded when it is first opened

    value = value_at(main.scene.detail.state, main.view.selected)
    if isinstance(value, bool) or not isinstance(value, int | float):
        main.flash("plot: only a number can be drawn; select one in Changes or Inspect", "warning")
    else:
        main.open(PlotScreen(main, main.view.selected))


def chains(main: HistoryScreen) -> None:
    """Open the chains screen."""
    from unspool_tui.screens.chains import ChainsScreen  # loaded when it is first opened

    if main.scene.ledger.ready:
        main.open(ChainsScreen(main))
    else:
        main.flash("the history is still being read", "warning")


def simulate(main: HistoryScreen) -> None:
    """Open the simulator."""
    from unspool_tui.screens.disk_usage import SimulatorScreen  # loaded when it is first opened

    main.open(SimulatorScreen(main))


def footprint(main: HistoryScreen) -> None:
    """Open the page that tells where the bytes are."""
    from unspool_tui.screens.disk_usage import FootprintScreen  # loaded when it is first opened

    main.open(FootprintScreen(main))


def mark_base(main: HistoryScreen) -> None:
    """Mark the head as base and compare against it."""
    main.apply(moves.mark_base(main.view))
    main.flash(f"#{main.view.head} is the base now; every entry is compared with it until M clears it")


def clear_base(main: HistoryScreen) -> None:
    """Forget the base."""
    main.apply(moves.clear_base(main.view))


def swap_base(main: HistoryScreen) -> None:
    """Let head and base change places."""
    main.apply(moves.swap_base(main.view))


def against(main: HistoryScreen) -> None:
    """Choose what the head is compared with."""
    view = main.view
    choices = [MenuLine("p", "the previous entry", str(Against.PREVIOUS))]
    if view.base is not None:
        choices.append(MenuLine("b", f"the base, #{view.base}", str(Against.BASE)))
    choices.append(MenuLine("l", f"live: the newest entry, #{view.tip}", str(Against.LIVE)))

    def chosen(name: str | None) -> None:
        if name is not None:
            main.apply(moves.compare_against(main.view, Against(name)))

    main.open(Menu("Compare with", choices, at=str(view.against)), chosen)


def ask_identity(main: HistoryScreen) -> None:
    """Ask for the key of a list; the list at the selected place is proposed, with the key it is compared by now."""

    def typed(text: str | None) -> None:
        if text is not None and text.strip():
            main.typed.setdefault("identity", []).append(text)
            apply_identity(main, *_pair(text))

    hint = "which key tells the records of a list apart? such as orders[*]=number; nothing after = detects it again"
    main.open(Prompt("I", hint, text=_proposal(main), check=_check, history=main.typed.get("identity", ())), typed)


def _proposal(main: HistoryScreen) -> str:
    path, key = main.scene.changes.aligned(main.view)
    return f"{pattern_of(path)}[*]={key}" if path else ""


def _check(text: str) -> str:
    pattern, key = _pair(text)
    if not key:
        return f"the key of {pattern}[*] is detected again"
    return f"the records of {pattern}[*] are told apart by {key}; Enter compares and remembers"


def _pair(text: str) -> tuple[str, str]:
    """Take `PATH=KEY` apart.

    Raises:
        ConfigError: there is no equals sign in it.
        PathSyntaxError: the path is none.
    """
    path, mark, key = text.strip().rpartition("=")
    if not mark:
        raise ConfigError("write PATH=KEY, such as orders[*]=number")
    return identity_pattern(path), key


def apply_identity(main: HistoryScreen, pattern: str, key: str) -> None:
    """Compare by a key from now on, and remember it unless it tells nothing apart."""
    main.scene.identify({**(main.scene.history.identity or {}), pattern: key})
    main.repaint()
    said = f"{pattern}[*] is compared by {key}" if key else f"the key of {pattern}[*] is detected again"
    check_identity(main, {pattern: key}, said)


def check_identity(main: HistoryScreen, identity: Mapping[str, str], said: str = "") -> None:
    """Look in the worker whether keys tell anything apart; when all of them do they are remembered, and `said` is told."""

    def take(reply: Reply) -> None:
        if reply.error is None and reply.value:
            for sentence in reply.value:
                main.flash(f"identity: {sentence}; it is not remembered", "warning")
            return
        if reply.error is None:
            main.unspool_app.tab_screens.remember_identity(identity)
        if said:
            main.flash(said, "good")

    def look() -> tuple[str, ...]:
        from unspool.query.entry_names import unmatched  # asked in the worker, which loads it too

        return unmatched(main.scene.history, identity)

    main.ask(QuestionKind.TASK, look, take)


_DIGITS: Final = 9
"""Lines of a menu that a digit chooses."""


def focus(main: HistoryScreen) -> None:
    """Give the timeline the keys, or the pane that had them."""
    main.apply(moves.focus_timeline(main.view))


def closer(main: HistoryScreen) -> None:
    """Show half as many entries."""
    zoom_timeline(main, 1)


def wider(main: HistoryScreen) -> None:
    """Show twice as many entries."""
    zoom_timeline(main, -1)


def zoom_timeline(main: HistoryScreen, by: int) -> None:
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
    "pane.zoom": zoom,
    "pane.wider": partial(resize, by=1),
    "pane.narrower": partial(resize, by=-1),
    "inspect.mode": mode,
    "changes.unchanged": unchanged,
    "changes.words": words,
    "wrap": wrap,
    "history.gaps": gaps,
    "chains": chains,
    "simulate": simulate,
    "bytes": footprint,
    "plot": plot,
    "base.mark": mark_base,
    "base.clear": clear_base,
    "base.swap": swap_base,
    "against": against,
    "identity": ask_identity,
    "timeline": focus,
    "timeline.in": closer,
    "timeline.out": wider,
    "timeline.whole": whole,
    "timeline.axis": axis,
    "timeline.part": choose_part,
    "pin": pin,
}
