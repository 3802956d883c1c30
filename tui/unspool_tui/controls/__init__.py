"""The controls of each action of the registry, by what they do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from unspool_tui.controls import app, export, navigation, search, tabs, view

if TYPE_CHECKING:
    from unspool_tui.screens.main import MainScreen

Control = Callable[["MainScreen"], None]

CONTROLS: Final[Mapping[str, Control]] = {
    **navigation.CONTROLS,
    **search.CONTROLS,
    **view.CONTROLS,
    **tabs.CONTROLS,
    **export.CONTROLS,
    **app.CONTROLS,
}
"""Every action id with what it does; a test holds it to the registry."""
