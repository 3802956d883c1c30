"""Sources side by side: going from tab to tab, comparing two of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Final

from unspool_tui.present.tab_row import Label

if TYPE_CHECKING:
    from unspool_tui.screens.main import MainScreen
    from unspool_tui.tabs import Tabs

_DIGITS: Final = 9
"""Tabs that one key chooses in the menu."""


def beside(main: MainScreen, step: int) -> None:
    """Bring the next or previous tab to the front; behind the last comes the first."""
    app = main.unspool_app
    app.front.show((app.tabs.front + step) % len(app.tabs))


def choose(main: MainScreen) -> None:
    """Choose a tab from a list."""
    from unspool_tui.screens.menu import Choice, Menu

    app = main.unspool_app
    choices = [
        Choice(str(number + 1) if number < _DIGITS else "", label.name, str(number), _told(label, app.tabs, number))
        for number, label in enumerate(app.tabs.labels())
    ]

    def chosen(number: str | None) -> None:
        if number is not None:
            app.front.show(int(number))

    main.open(Menu("Sources", choices, at=str(app.tabs.front)), chosen)


def _told(label: Label, tabs: Tabs, number: int) -> str:
    if label.refused:
        return "cannot be opened"
    if label.opening:
        return "being opened"
    tab = tabs.all[number]
    if tab.history is None:
        return "not opened yet"
    return f"{len(tab.history):,} entries" + (f", {label.new:,} new" if label.new else "")


def compare(main: MainScreen) -> None:
    """Find where this history and that of the next tab part."""
    from unspool_tui.screens.parting import PartingScreen

    tabs = main.unspool_app.tabs
    number = (tabs.front + 1) % len(tabs)
    other = tabs.all[number]
    if other.history is None:
        tabs.want(other)
        why = "cannot be opened" if other.error else "is being opened; try again in a moment"
        main.flash(f"compare: {tabs.name(number)} {why}", "warning")
    elif not main.view.total or not len(other.history):
        main.flash("compare: one of the two histories has no entry yet", "warning")
    else:
        main.open(PartingScreen(main, tabs, number))


CONTROLS: Final[Mapping[str, Callable[[MainScreen], None]]] = {
    "tab.next": partial(beside, step=1),
    "tab.prev": partial(beside, step=-1),
    "tab.go": choose,
    "tab.compare": compare,
}
