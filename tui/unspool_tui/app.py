"""The way into the terminal app: tune the interpreter, then load Textual, show one history, leave tidily."""

from __future__ import annotations

import gc
import os
import sys
from typing import TYPE_CHECKING, Final

from unspool_tui.options import UiOptions

if TYPE_CHECKING:
    from unspool_tui.view.history_port import HistoryPort

__all__ = ["UiOptions", "run_app"]

DEFAULTS: Final = UiOptions()
FRAMES_A_SECOND: Final = "240"
"""Textual holds frames to slots of this rate; at its default of 60 a held key beats against the slots."""
SWITCH_SECONDS: Final = 0.0005
"""How long the worker may keep the interpreter while the screen waits for it."""


def run_app(
    history: HistoryPort, *, at: int | None = None, follow: bool = True, options: UiOptions = DEFAULTS
) -> None:
    """Show a history in the terminal until the person leaves.

    Args:
        history: what is shown; an `unspool.history.History`. It is not closed.
        at: the entry to begin at, negative ones from the end; None begins where the person left, or at the newest.
        follow: keep up with new entries.
        options: see `UiOptions`.

    Raises:
        ConfigError: the settings file or a theme is not valid.
        EntryNotFound: `at` names no entry.
    """
    gc.disable()
    os.environ.setdefault("TEXTUAL_FPS", FRAMES_A_SECOND)
    # Nothing above may import Textual: it reads the variable when it is imported, and imports faster uncollected.
    from unspool_tui.settings import load_settings

    settings = load_settings(options.config)
    if options.no_color or not settings.color:
        # Textual reads the variable when an app is made.
        os.environ["NO_COLOR"] = "1"
    from unspool_tui.window import UnspoolApp

    switching = sys.getswitchinterval()
    try:
        app = UnspoolApp(history, settings, options, at=at, follow=follow)
        sys.setswitchinterval(SWITCH_SECONDS)
        app.run(mouse=app.wants_mouse)
    finally:
        sys.setswitchinterval(switching)
        gc.enable()
