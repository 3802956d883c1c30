"""What each action of the registry does to the main screen."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from unspool_tui.controls import (
    app,
    asking,
    choosing,
    comparing,
    finding,
    identity,
    looking,
    moving,
    sharing,
    tabbing,
    traveling,
)

if TYPE_CHECKING:
    from unspool_tui.screens.main import MainScreen

Control = Callable[["MainScreen"], None]

CONTROLS: Final[Mapping[str, Control]] = {
    **traveling.CONTROLS,
    **moving.CONTROLS,
    **looking.CONTROLS,
    **comparing.CONTROLS,
    **finding.CONTROLS,
    **asking.CONTROLS,
    **sharing.CONTROLS,
    **tabbing.CONTROLS,
    **identity.CONTROLS,
    **choosing.CONTROLS,
    **app.CONTROLS,
}
"""Every action id with what it does; a test holds it to the registry."""
