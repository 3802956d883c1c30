"""Questions over the whole history: where an answer changes, what the checkers find."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from unspool.model.paths import format_path
from unspool_tui.controls.finding import go, offering
from unspool_tui.desk import Kind, Reply
from unspool_tui.questions import Turn, check_question, turns, writes
from unspool_tui.questions import Write as ValueWrite
from unspool_tui.view import moves
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

    hint = "where does this change? such as cart.total > 100 or length(cart.items); Tab completes paths"
    complete = offering(main)
    main.open(Prompt("?", hint, check=check_question, history=main.typed["bisect"], complete=complete), typed)


def start_bisect(main: MainScreen, text: str) -> None:
    """Find where the answer to a question changes; the places become hits to travel between, as they are found."""
    hits = array("q")
    found: list[Turn] = []
    main.hit_paths = {}
    main.view = replace(main.view, search=Search(f"? {text}", hits, 0, True))

    def take(reply: Reply) -> None:
        search, told, complete = main.view.search, "", True
        if reply.value is not None:
            found.extend(reply.value.turns)
            hits.extend(turn.seq for turn in reply.value.turns)
            search = replace(search, found=len(hits), looked_at=reply.value.looked_at)
            told, complete = reply.value.told, reply.value.complete
        if reply.done and not found:
            search = Search()
        main.apply(replace(main.view, search=replace(search, running=not reply.done)))
        if told:
            many = "1 entry" if len(found) == 1 else f"{len(found):,} entries"
            where = f"changes at {many}" if found else "the answer never changes"
            main.flash(f"{text}: {where}; {told}", "text" if complete else "warning")
        # Whoever types into something else by now must not lose keys to a menu; n and N travel between the places.
        if reply.done and found and reply.error is None and main.app.screen is main:
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


_MARKS: Final = {"added": "+", "modified": "~", "deleted": "-", "unchanged": "=", "older": "<"}


def list_writes(main: MainScreen) -> None:
    """List the entries that wrote the selected value up to the head, those that left it as it was too."""
    from unspool_tui.screens.menu import Choice, Menu

    history, address, head, withdrawn = main.scene.history, main.view.selected, main.view.head, main.desk.withdrawn

    def take(reply: Reply) -> None:
        if reply.error is not None:
            return
        found: list[ValueWrite] = reply.value[0]
        short = reply.value[1]
        by_seq = {str(write.seq): write for write in found}
        choices = [
            Choice("", f"#{write.seq} {_MARKS[write.kind]} {write.told[:40]}", str(write.seq), write.action[:30])
            for write in found
        ]

        def chosen(seq: str | None) -> None:
            if seq is not None:
                write = by_seq[seq]
                main.apply(replace(moves.jump_to(main.view, write.seq), selected=write.address))

        title = f"Writes of {format_path(address[-3:], root='')[:40]}{', ' if short else ''}{short}"
        main.open(Menu(title, choices, at=str(head)), chosen)

    main.ask(Kind.TRAVEL, lambda: writes(history, address, head, withdrawn), take)


def ask_checks(main: MainScreen) -> None:
    """Have the checkers look for faults of the app that recorded."""
    from unspool_tui.screens.checks import ChecksScreen

    main.open(ChecksScreen(main))


def ask_why(main: MainScreen) -> None:
    """Follow the causes of the selected value back from the head."""
    from unspool_tui.screens.why import WhyScreen

    main.open(WhyScreen(main, main.view.selected, main.view.head))


CONTROLS: Final[Mapping[str, Callable[[MainScreen], None]]] = {
    "bisect": ask_bisect,
    "check": ask_checks,
    "why": ask_why,
    "writes": list_writes,
}
