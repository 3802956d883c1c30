"""Base and what the head is compared with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from unspool_tui.view import moves
from unspool_tui.view.model import Against

if TYPE_CHECKING:
    from unspool_tui.screens.main import MainScreen


def mark(main: MainScreen) -> None:
    """Mark the head as base and compare against it."""
    main.apply(moves.mark_base(main.view))
    main.flash(f"#{main.view.head} is the base now; every entry is compared with it until M clears it")


def clear(main: MainScreen) -> None:
    """Forget the base."""
    main.apply(moves.clear_base(main.view))


def swap(main: MainScreen) -> None:
    """Let head and base change places."""
    main.apply(moves.swap_base(main.view))


def against(main: MainScreen) -> None:
    """Choose what the head is compared with."""
    from unspool_tui.screens.menu import Choice, Menu

    view = main.view
    choices = [Choice("p", "the previous entry", str(Against.PREVIOUS))]
    if view.base is not None:
        choices.append(Choice("b", f"the base, #{view.base}", str(Against.BASE)))
    choices.append(Choice("l", f"live: the newest entry, #{view.tip}", str(Against.LIVE)))

    def chosen(name: str | None) -> None:
        if name is not None:
            main.apply(moves.compare_against(main.view, Against(name)))

    main.open(Menu("Compare with", choices, at=str(view.against)), chosen)


CONTROLS: Final[Mapping[str, Callable[[MainScreen], None]]] = {
    "base.mark": mark,
    "base.clear": clear,
    "base.swap": swap,
    "against": against,
}
