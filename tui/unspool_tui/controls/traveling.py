"""Moving the head: steps, full snapshots, the entries that changed what is selected, jumps, follow and play."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from unspool.model.paths import Path
from unspool_tui import questions
from unspool_tui.desk import Kind, Reply
from unspool_tui.view import live, moves
from unspool_tui.view.history_port import HistoryPort
from unspool_tui.view.model import SPEEDS

if TYPE_CHECKING:
    from unspool_tui.screens.main import MainScreen

Look = Callable[[HistoryPort, Path, int, Callable[[], bool]], questions.Arrival | None]
"""Finds the entry before or after one that sets a value."""


def step_prev(main: MainScreen) -> None:
    """Go one entry back."""
    main.apply(moves.step(main.view, main.rows, -1))


def step_next(main: MainScreen) -> None:
    """Go one entry forward."""
    main.apply(moves.step(main.view, main.rows, 1))


def full_prev(main: MainScreen) -> None:
    """Go to the full snapshot before."""
    _to_full(main, main.scene.ledger.previous_full(main.view.head), "before")


def full_next(main: MainScreen) -> None:
    """Go to the full snapshot after."""
    _to_full(main, main.scene.ledger.next_full(main.view.head), "after")


def _to_full(main: MainScreen, seq: int | None, where: str) -> None:
    if not main.scene.ledger.ready:
        main.flash("the history is still being read", "warning")
    elif seq is None:
        main.flash(f"no full snapshot {where} this one", "warning")
    else:
        main.apply(moves.jump_to(main.view, seq))


def atom_prev(main: MainScreen) -> None:
    """Go to the last entry before that set what is selected."""
    _travel(main, questions.previous_write, "before")


def atom_next(main: MainScreen) -> None:
    """Go to the next entry that sets what is selected."""
    _travel(main, questions.next_write, "after")


class _Journey:
    """Going from write to write: keys typed faster than the history answers are gone through one after the other."""

    def __init__(self, main: MainScreen) -> None:
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
            main.desk.withdrawn,
        )
        look, _ = self._ahead[0]
        self.under_way = True
        main.ask(Kind.TRAVEL, lambda: look(history, address, head, withdrawn), self)

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


def _travel(main: MainScreen, look: Look, where: str) -> None:
    journey = main.askers.get(Kind.TRAVEL)
    if not isinstance(journey, _Journey) or not journey.under_way:
        journey = _Journey(main)
    journey.go(look, where)


def go_first(main: MainScreen) -> None:
    """Go to the first entry."""
    main.apply(moves.edge(main.view, main.rows, last=False))


def go_last(main: MainScreen) -> None:
    """Go to the newest entry."""
    main.apply(moves.edge(main.view, main.rows, last=True))


def jump_back(main: MainScreen) -> None:
    """Return to where the last jump began."""
    main.apply(moves.jump_back(main.view))


def jump_forward(main: MainScreen) -> None:
    """Undo a jump back."""
    main.apply(moves.jump_forward(main.view))


def follow(main: MainScreen) -> None:
    """Follow or stop following."""
    main.apply(live.toggle_follow(main.view))


def play(main: MainScreen) -> None:
    """Start or stop playing."""
    main.apply(live.toggle_play(main.view))
    main.follower.schedule(main.view)


def play_faster(main: MainScreen) -> None:
    """Play faster."""
    _speed(main, 1)


def play_slower(main: MainScreen) -> None:
    """Play slower."""
    _speed(main, -1)


def _speed(main: MainScreen, by: int) -> None:
    main.apply(live.change_speed(main.view, by))
    main.follower.schedule(main.view)
    speed = SPEEDS[main.view.speed]
    main.flash(f"plays {f'{speed:g} entries a second' if speed else 'with the real gaps'}")


def stop_playing(main: MainScreen) -> None:
    """Stop playing."""
    main.apply(replace(main.view, playing=False))
    main.follower.schedule(main.view)


CONTROLS: Final[Mapping[str, Callable[[MainScreen], None]]] = {
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
}
