"""Moving: through time, inside the focused pane, and by clicks on keys, words and numbers of entries."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from unspool.model.keys import Path
from unspool_tui import questions
from unspool_tui.actions import BY_ID, key_of_shown
from unspool_tui.controls import results
from unspool_tui.panes.change_list import Item, Shown
from unspool_tui.panes.changes import address_of
from unspool_tui.rendering.line import Pointed
from unspool_tui.view import moves
from unspool_tui.view.axis import LaneKind
from unspool_tui.view.model import SPEEDS, InspectMode, Pane, View, Width
from unspool_tui.view.outline import container_of
from unspool_tui.worker import QuestionKind, Reply

if TYPE_CHECKING:
    from unspool.history.history import History
    from unspool_tui.screens.protocols import HistoryScreen

Look = Callable[["History", Path, int, Callable[[], bool]], questions.Arrival | None]
"""Finds the entry before or after one that sets a value."""


def step_prev(main: HistoryScreen) -> None:
    """Go one entry back."""
    main.apply(moves.step(main.view, main.rows, -1))


def step_next(main: HistoryScreen) -> None:
    """Go one entry forward."""
    main.apply(moves.step(main.view, main.rows, 1))


def full_prev(main: HistoryScreen) -> None:
    """Go to the full snapshot before."""
    _to_full(main, main.scene.ledger.previous_full(main.view.head), "before")


def full_next(main: HistoryScreen) -> None:
    """Go to the full snapshot after."""
    _to_full(main, main.scene.ledger.next_full(main.view.head), "after")


def _to_full(main: HistoryScreen, seq: int | None, where: str) -> None:
    if not main.scene.ledger.ready:
        main.flash("the history is still being read", "warning")
    elif seq is None:
        main.flash(f"no full snapshot {where} this one", "warning")
    else:
        main.apply(moves.jump_to(main.view, seq))


def atom_prev(main: HistoryScreen) -> None:
    """Go to the last entry before that set what is selected."""
    _travel(main, questions.previous_write, "before")


def atom_next(main: HistoryScreen) -> None:
    """Go to the next entry that sets what is selected."""
    _travel(main, questions.next_write, "after")


class _Journey:
    """Going from write to write: keys typed faster than the history answers are gone through one after the other."""

    def __init__(self, main: HistoryScreen) -> None:
        self._main = main
        self._ahead: list[tuple[Look, str]] = []
        self.under_way = False

    def go(self, look: Look, where: str) -> None:
        """Ask for the next place, or remember to ask for it."""
        self._ahead.append((look, where))
        if not self.under_way:
            self._ask()

    def _ask(self) -> None:
        main = self._main
        history, address, head, withdrawn = (
            main.scene.history,
            main.view.selected,
            main.view.head,
            main.worker.withdrawn,
        )
        look, _ = self._ahead[0]
        self.under_way = True
        main.ask(QuestionKind.TRAVEL, lambda: look(history, address, head, withdrawn), self)

    def __call__(self, reply: Reply) -> None:
        """Go where the answer leads, and on from there."""
        main, (_, where) = self._main, self._ahead.pop(0)
        self.under_way = False
        if reply.error is not None or reply.value is None:
            self._ahead.clear()
        if reply.error is None and reply.value is None:
            main.flash(f"this value is not set {where} this entry", "warning")
        elif reply.error is None:
            # A record of a list is followed to where it stands there.
            main.apply(moves.reveal(moves.jump_to(main.view, reply.value.seq), reply.value.address))
        if self._ahead:
            self._ask()


def _travel(main: HistoryScreen, look: Look, where: str) -> None:
    journey = main.askers.get(QuestionKind.TRAVEL)
    if not isinstance(journey, _Journey) or not journey.under_way:
        journey = _Journey(main)
    journey.go(look, where)


def go_first(main: HistoryScreen) -> None:
    """Go to the first entry."""
    main.apply(moves.edge(main.view, main.rows, last=False))


def go_last(main: HistoryScreen) -> None:
    """Go to the newest entry."""
    main.apply(moves.edge(main.view, main.rows, last=True))


def jump_back(main: HistoryScreen) -> None:
    """Return to where the last jump began."""
    main.apply(moves.jump_back(main.view))


def jump_forward(main: HistoryScreen) -> None:
    """Undo a jump back."""
    main.apply(moves.jump_forward(main.view))


def follow(main: HistoryScreen) -> None:
    """Follow or stop following."""
    main.apply(moves.toggle_follow(main.view))


def play(main: HistoryScreen) -> None:
    """Start or stop playing."""
    main.apply(moves.toggle_play(main.view))
    main.follower.schedule(main.view)


def play_faster(main: HistoryScreen) -> None:
    """Play faster."""
    _speed(main, 1)


def play_slower(main: HistoryScreen) -> None:
    """Play slower."""
    _speed(main, -1)


def _speed(main: HistoryScreen, by: int) -> None:
    main.apply(moves.change_speed(main.view, by))
    main.follower.schedule(main.view)
    speed = SPEEDS[main.view.speed]
    main.flash(f"plays {f'{speed:g} entries a second' if speed else 'with the real gaps'}")


def stop_playing(main: HistoryScreen) -> None:
    """Stop playing."""
    main.apply(replace(main.view, playing=False))
    main.follower.schedule(main.view)


def by_rows(main: HistoryScreen, rows: int) -> None:
    """Move the cursor of the focused pane; Stats has none and scrolls, and the timeline goes from lane to lane."""
    view, pane = main.view, main.view.focus
    if view.timeline_focused:
        by_lane(main, rows)
    elif pane is Pane.STATS:
        panel = main.panels[pane]
        main.scroll_memory.scroll(pane, view, max(0, min(panel.top + rows, panel.count - panel.page)))
        main.repaint()
    elif pane is Pane.RESULTS:
        results.to_row(main, view.dock.cursor + rows)
    elif pane is Pane.HISTORY:
        tell_beginning(main, is_there=rows < 0 and view.head == view.first)
        main.apply(moves.step(view, main.rows, rows))
    else:
        main.apply(at(main, view, pane, row(main, pane) + rows))


def by_cell(main: HistoryScreen, by: int) -> None:
    """Move the head by a cell of the timeline; cells without entries are passed over."""
    seq = main.timeline.axis.beside(main.view.head, by)
    tell_beginning(main, is_there=by < 0 and main.view.head == main.view.first)
    main.apply(moves.move_to(main.view, seq))


def by_lane(main: HistoryScreen, by: int) -> None:
    """Select the atom of the next lane of the timeline."""
    atoms = [lane.name for lane in main.timeline.lanes if lane.kind is LaneKind.ATOM]
    if not atoms:
        return
    selected = str(main.view.selected[0]) if main.view.selected else ""
    place = atoms.index(selected) + by if selected in atoms else (0 if by > 0 else len(atoms) - 1)
    main.apply(moves.reveal(main.view, (atoms[max(0, min(place, len(atoms) - 1))],)))


def tell_beginning(main: HistoryScreen, *, is_there: bool) -> None:
    """Say where somebody wants to go further back that what was there was dropped."""
    if is_there and main.view.first:
        main.flash(main.scene.history.told_dropped(), "warning")


def by_half_page(main: HistoryScreen, direction: int) -> None:
    """Move half a page."""
    by_rows(main, direction * max(1, main.panels[main.view.focus].page // 2))


def to_edge(main: HistoryScreen, *, last: bool) -> None:
    """Move to the first or last row."""
    pane = main.view.focus
    if pane is Pane.HISTORY:
        main.apply(moves.edge(main.view, main.rows, last=last))
        tell_beginning(main, is_there=not last and main.view.head == main.view.first)
    else:
        by_rows(main, count(main, pane) if last else -count(main, pane))


def fold(main: HistoryScreen) -> None:
    """Fold the row; what is folded already moves to what is around it, and text scrolls. In the timeline, move a cell back."""
    view, pane = main.view, main.view.focus
    if view.timeline_focused:
        by_cell(main, -1)
        return
    if pane is Pane.CHANGES:
        item = _item(main)
        if item is not None and item.address:
            main.apply(moves.set_open(replace(view, selected=item.address[:1]), item.address[:1], open_=False))
    elif pane is Pane.INSPECT:
        node = main.scene.inspect.node(row(main, pane))
        if node is None:
            sideways(main, -1)
        elif node.unfolded and container_of(node.value) is not None:
            main.apply(moves.set_unfolded(view, node.address, open_=False))
        elif len(node.address) > 1:
            main.apply(replace(view, selected=node.address[:-1]))


def unfold(main: HistoryScreen) -> None:
    """Unfold the row; what is unfolded already moves into it, and text scrolls. In the timeline, move to the next cell."""
    view, pane = main.view, main.view.focus
    if view.timeline_focused:
        by_cell(main, 1)
    elif pane is Pane.HISTORY:
        focus(main, Pane.CHANGES)
    elif pane is Pane.CHANGES:
        item = _item(main)
        if item is not None and item.shown in (Shown.ATOM, Shown.MORE) and not item.open:
            main.apply(moves.set_open(view, item.address, open_=True))
        elif item is not None:
            by_rows(main, 1)
    elif pane is Pane.INSPECT:
        node = main.scene.inspect.node(row(main, pane))
        if node is None:
            sideways(main, 1)
        elif container_of(node.value) is not None and node.unfolded:
            by_rows(main, 1)
        elif container_of(node.value) is not None:
            main.apply(moves.set_unfolded(view, node.address, open_=True))


def sideways(main: HistoryScreen, direction: int) -> None:
    """Scroll the lines of Inspect to the left (`+1`) or right (`-1`), where it shows text."""
    main.apply(main.scene.inspect.scrolled(main.view, direction))


def toggle(main: HistoryScreen) -> None:
    """Fold what is open, unfold what is not."""
    view, pane = main.view, main.view.focus
    if pane is Pane.CHANGES:
        item = _item(main)
        if item is not None and item.shown is Shown.COUNT:
            main.apply(replace(view, unchanged=not view.unchanged))
        elif item is not None and item.address:
            opening = item.shown is Shown.MORE or (item.shown is Shown.ATOM and not item.open)
            main.apply(moves.set_open(view, item.address[:1], open_=opening))
    elif pane is Pane.INSPECT:
        node = main.scene.inspect.node(row(main, pane))
        if node is not None and container_of(node.value) is not None:
            main.apply(moves.set_unfolded(view, node.address, open_=not node.unfolded))


def open_row(main: HistoryScreen) -> None:
    """Go deeper: from an entry to its changes, from a change to the value, from a value to who set it."""
    view, pane = main.view, main.view.focus
    if pane is Pane.HISTORY:
        focus(main, Pane.CHANGES)
    elif pane is Pane.CHANGES:
        item = _item(main)
        if item is None:
            return
        if item.shown in (Shown.COUNT, Shown.MORE):
            toggle(main)
        elif item.address:
            main.apply(moves.focus(moves.reveal(view, item.address), Pane.INSPECT))
    elif pane is Pane.INSPECT:
        _open_value(main, view)
    elif pane is Pane.RESULTS:
        results.choose(main)


def _open_value(main: HistoryScreen, view: View) -> None:
    node = main.scene.inspect.node(row(main, Pane.INSPECT))
    if node is None:
        return
    if container_of(node.value) is not None:
        main.apply(moves.set_unfolded(view, node.address, open_=not node.unfolded))
        return
    origin = main.scene.inspect.origin(node, view)
    if origin.seq is None or origin.seq == view.head:
        # Not looked up yet, or set here: then Enter goes on to the write before.
        main.apply(replace(view, selected=node.address))
        atom_prev(main)
    else:
        main.apply(moves.jump_to(replace(view, selected=node.address), origin.seq))


def _item(main: HistoryScreen) -> Item | None:
    items = main.scene.changes.items
    place = row(main, Pane.CHANGES)
    return items[place] if place < len(items) else None


def focus(main: HistoryScreen, pane: Pane) -> None:
    """Focus a pane."""
    view = moves.focus(main.view, pane)
    if pane in (Pane.CHANGES, Pane.INSPECT) and not view.selected:
        view = at(main, view, pane, 0)
    main.apply(view)


def cycle(main: HistoryScreen, by: int) -> None:
    """Focus the next or previous pane."""
    width: Width = main.width_class
    focus(main, moves.cycle_focus(main.view, width, by).focus)


def count(main: HistoryScreen, pane: Pane) -> int:
    """Return how many rows a pane has."""
    match pane:
        case Pane.HISTORY:
            return len(main.rows)
        case Pane.CHANGES:
            return len(main.scene.changes.items)
        case Pane.INSPECT:
            return main.scene.inspect.count()
        case Pane.RESULTS:
            return main.view.dock.count
    return main.panels[pane].count


def row(main: HistoryScreen, pane: Pane) -> int:
    """Return the row a pane's cursor is on; the first where it is on none."""
    match pane:
        case Pane.HISTORY:
            return min(main.rows.position(main.view.head), max(0, len(main.rows) - 1))
        case Pane.CHANGES:
            return main.scene.changes.cursor(main.view) or 0
        case Pane.INSPECT:
            return main.scene.inspect.cursor(main.view) or 0
        case Pane.RESULTS:
            return main.view.dock.cursor
    return main.panels[pane].top


def at(main: HistoryScreen, view: View, pane: Pane, place: int) -> View:
    """Return the view with a pane's cursor on a row."""
    last = count(main, pane) - 1
    if last < 0:
        return view
    place = max(0, min(place, last))
    match pane:
        case Pane.HISTORY:
            return moves.follow_at_end(moves.move_to(view, main.rows[place]))
        case Pane.CHANGES:
            address = address_of(main.scene.changes.items, place)
            return replace(view, change_row=place, selected=address or view.selected)
        case Pane.INSPECT:
            node = main.scene.inspect.node(place)
            return replace(view, inspect_row=place, selected=node.address if node is not None else view.selected)
        case Pane.RESULTS:
            return moves.preview(view, place, main.scene.results.list[place])
    return view


def click(main: HistoryScreen, pane: Pane, place: int, twice: bool) -> None:
    """Focus a panel and select the row that was hit; a second click opens it. `place` is -1 beside the rows."""
    view = moves.focus(main.view, pane)
    main.apply(view if place < 0 else at(main, view, pane, place))
    if twice and place >= 0:
        main.do("open")


def jump_to_row(main: HistoryScreen) -> None:
    """Put letters beside the rows of the focused pane, and go to the row whose letter is pressed."""
    from unspool_tui.screens.modal import RowLetters  # loaded when it is first opened

    pane = main.view.focus
    if pane is Pane.STATS or not count(main, pane):
        main.flash("jump to row: this pane has no rows to go to", "warning")
        return

    def chosen(place: int | None) -> None:
        if place is not None:
            click(main, pane, place, twice=False)

    main.open(RowLetters(main, main.panels[pane]), chosen)


CONTROLS: Final[Mapping[str, Callable[[HistoryScreen], None]]] = {
    "step.prev": step_prev,
    "step.next": step_next,
    "atom.prev": atom_prev,
    "atom.next": atom_next,
    "full.prev": full_prev,
    "full.next": full_next,
    "go.first": go_first,
    "go.last": go_last,
    "jump.back": jump_back,
    "jump.forward": jump_forward,
    "follow": follow,
    "play": play,
    "play.faster": play_faster,
    "play.slower": play_slower,
    "move.up": partial(by_rows, rows=-1),
    "move.down": partial(by_rows, rows=1),
    "move.page_up": partial(by_half_page, direction=-1),
    "move.page_down": partial(by_half_page, direction=1),
    "move.top": partial(to_edge, last=False),
    "move.bottom": partial(to_edge, last=True),
    "fold": fold,
    "unfold": unfold,
    "toggle": toggle,
    "jump.row": jump_to_row,
    "pane.next": partial(cycle, by=1),
    "pane.prev": partial(cycle, by=-1),
    "pane.history": partial(focus, pane=Pane.HISTORY),
    "pane.changes": partial(focus, pane=Pane.CHANGES),
    "pane.inspect": partial(focus, pane=Pane.INSPECT),
    "pane.stats": partial(focus, pane=Pane.STATS),
}


_ENTRY: Final = re.compile(r"#(\d[\d,]*)\+?")
_OWN_STYLES: Final = frozenset(
    ("accent", "dim", "faint", "good", "key", "modified", "title", "title.focus", "warning")
)
"""Styles of what the app itself says; what was recorded may look like a number of an entry and be none."""
_CHIPS: Final[tuple[tuple[str, str], ...]] = (
    ("LIVE", "follow"),
    ("POLL", "follow"),
    ("FOLLOW", "follow"),
    ("PAUSED", "follow"),
    ("FILTER", "filter"),
    ("/", "pane.results"),
    ("vs", "against"),
    ("APP", "program.back"),
    ("RECORDING", "program.pause"),
)
"""How chips of the header begin, and the action that a click on one does."""
_HEADER_WORDS: Final[Mapping[str, str]] = {"unspool": "help", "!": "log", "stored": "bytes", "chain": "chains"}


def word_clicked(main: HistoryScreen, where: str, pointed: Pointed) -> None:
    """Do what a click on something written means; most of what is written means nothing."""
    if where == "footer" and main.flash_text is None:
        if pointed.key:
            key = key_of_shown(pointed.key)
            main.take_key(key, key if len(key) == 1 else None)
    elif where == "header":
        _header_clicked(main, pointed)
    elif where == "inspect" and _mode_clicked(main, pointed):
        return
    elif where == "footer" or (where in _NUMBERED and pointed.style in _OWN_STYLES):
        named = _ENTRY.search(pointed.word)
        if named is not None:
            _go(main, named[1].replace(",", ""))


_NUMBERED: Final = frozenset(("changes", "inspect", "strip"))
"""Where the numbers of entries are words of the app, besides the line that tells something for a moment."""


def _go(main: HistoryScreen, digits: str) -> None:
    view = main.view
    seq = int(digits) if len(digits) < 19 else view.total
    if not view.first <= seq < view.total:
        main.flash(f"there is no entry #{digits[:20]} in this history", "warning")
    elif seq != view.head:
        main.apply(moves.jump_to(view, seq))


def _header_clicked(main: HistoryScreen, pointed: Pointed) -> None:
    said = pointed.span.strip()
    if pointed.style.startswith(("chip.", "base")):
        name = next((name for start, name in _CHIPS if said.startswith(start)), _HEADER_WORDS.get(said))
    elif pointed.style == "accent":
        name = "palette"
    else:
        name = _HEADER_WORDS.get(pointed.word) or _HEADER_WORDS.get(said.partition(" ")[0])
    if name is not None:
        main.run(BY_ID[name])


def _mode_clicked(main: HistoryScreen, pointed: Pointed) -> bool:
    """Show the state in the way whose name in the title was clicked; return whether one was."""
    word = pointed.span.strip("[] ")
    if pointed.style not in ("accent", "faint") or word not in set(InspectMode):
        return False
    main.apply(replace(moves.focus(main.view, Pane.INSPECT), mode=InspectMode(word), inspect_row=0))
    return True
