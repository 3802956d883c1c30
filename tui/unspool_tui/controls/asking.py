"""Questions over the whole history: where an answer changes, what the checkers find."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from unspool_tui.controls.finding import go
from unspool_tui.desk import Kind, Reply
from unspool_tui.questions import Fault, Turn, check_question, faults, turns
from unspool_tui.view.model import Search

if TYPE_CHECKING:
    from unspool_tui.screens.main import MainScreen

_MOST_LISTED: Final = 500
"""Lines of a menu of places; all of them are ticks in the timeline."""


def ask_bisect(main: MainScreen) -> None:
    """Ask a question about the state, and find the entries at which its answer changes."""
    from unspool_tui.screens.prompt import Prompt

    def typed(text: str | None) -> None:
        if text is not None and text.strip():
            main.typed["bisect"].append(text)
            start_bisect(main, text.strip())

    hint = "where does this change? such as cart.total > `100` or length(cart.items)"
    main.open(Prompt("?", hint, check=check_question, history=main.typed["bisect"]), typed)


def start_bisect(main: MainScreen, text: str) -> None:
    """Find where the answer to a question changes; the places become hits to travel between."""

    def take(reply: Reply) -> None:
        if reply.error is not None:
            return
        found: list[Turn] = reply.value
        hits = array("q", (turn.seq for turn in found))
        main.hit_paths = {}
        main.apply(replace(main.view, search=Search(f"? {text}", hits, len(hits)) if found else Search()))
        if not found:
            main.flash(f"{text}: the answer never changes")
        elif main.app.screen is not main:
            # Whoever types into something else by now must not lose keys to a menu.
            main.flash(f"{text}: changes at {len(found):,} entries; n and N travel between them", "good")
        else:
            _choose_turn(main, text, found)

    told = f"asking every entry: {text}"
    main.ask(Kind.SEARCH, lambda: turns(main.scene.history, text, main.desk.withdrawn), take, told=told)


def _choose_turn(main: MainScreen, text: str, found: list[Turn]) -> None:
    from unspool_tui.screens.menu import Choice, Menu

    choices = [
        Choice(
            "", f"#{turn.seq}  {'holds' if turn.holds else 'no longer'}", str(turn.seq), f"{turn.old} → {turn.new}"
        )
        for turn in found[:_MOST_LISTED]
    ]
    main.open(Menu(f"Where this changes: {text[:60]}", choices), lambda seq: go(main, seq))


def ask_checks(main: MainScreen) -> None:
    """Have the checkers look for faults of the app that recorded."""
    from unspool_tui.screens.menu import Choice, Menu

    def take(reply: Reply) -> None:
        if reply.error is not None:
            return
        found: list[Fault] = reply.value
        if not found:
            main.flash("the checkers found nothing", "good")
            return
        if main.app.screen is not main:
            main.flash(f"{len(found):,} findings; K lists them", "warning")
            return
        choices = [
            Choice("", f"#{one.seq}  {one.checker}  {one.path[:30]}", str(one.seq), one.message[:60])
            for one in found[:_MOST_LISTED]
        ]
        main.open(Menu(f"{len(found):,} findings", choices), lambda seq: go(main, seq))

    told = "checking every entry"
    main.ask(Kind.TASK, lambda: faults(main.scene.history, main.desk.withdrawn), take, told=told)


CONTROLS: Final[Mapping[str, Callable[[MainScreen], None]]] = {"bisect": ask_bisect, "check": ask_checks}
