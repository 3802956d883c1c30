"""The app object: theme, colours, the remembered place; everything else is the main screen's."""

from __future__ import annotations

import gc
import os
from typing import TYPE_CHECKING, Final

from textual.app import App

from unspool.errors import ConfigError, EntryNotFound
from unspool_tui.keymap import Keymap
from unspool_tui.options import UiOptions
from unspool_tui.places import config_folder, state_folder
from unspool_tui.present.glyphs import glyphs
from unspool_tui.present.paint import Pen
from unspool_tui.present.palette import MONOCHROME, palette_from
from unspool_tui.scene.scene import Look, Scene
from unspool_tui.screens.main import MainScreen
from unspool_tui.screens.modal import Modal
from unspool_tui.session import Session
from unspool_tui.settings import Settings, nearest
from unspool_tui.themes import DEFAULT, UNSPOOL, UNSPOOL_LIGHT, user_themes
from unspool_tui.view.model import View

if TYPE_CHECKING:
    from unspool_tui.view.history_port import HistoryPort

COLLECT_AFTER: Final = (20_000, 50, 1_000)
"""Garbage collection thresholds: drawing makes thousands of short-lived strips, which the defaults collect mid-frame."""


FREEZE_AFTER: Final = 0.15
"""Seconds after the start; the first paint must not wait for it."""


class UnspoolApp(App[None]):
    """Shows one history."""

    TITLE = "unspool"
    ENABLE_COMMAND_PALETTE = False
    ALLOW_SELECT = False
    CSS_PATH = "styles/main.tcss"

    def __init__(
        self, history: HistoryPort, settings: Settings, options: UiOptions, *, at: int | None, follow: bool
    ) -> None:
        super().__init__()
        self._glyphs = glyphs(ascii_only=settings.ascii if options.ascii is None else options.ascii)
        self._monochrome = bool(options.no_color) or not settings.color or "NO_COLOR" in os.environ
        self.wants_mouse = settings.mouse if options.no_mouse is None else not options.no_mouse
        keep = options.remember and settings.remember
        self.session = Session.of(history, state_folder() if keep else None)
        scene = Scene(history, Look(self._glyphs, options.zone))
        place = None if at is None else _resolved(at, len(history))
        view = self.session.restore(View(total=len(history)), at=place, follow=follow)
        for theme in (UNSPOOL, UNSPOOL_LIGHT, *user_themes(config_folder() / "themes")):
            self.register_theme(theme)
        if settings.theme not in self.available_themes:
            raise ConfigError(f"there is no theme {settings.theme!r}: {nearest(settings.theme, self.theme_names())}")
        self.theme = self.session.theme if self.session.theme in self.available_themes else settings.theme
        self.pen = self._make_pen()
        self.main = MainScreen(scene, view, Keymap(settings.keys), self.pen)
        self.main.follower.poll = options.poll if options.poll is not None else settings.poll or None
        self.main.follower.enabled = follow
        self.main.first_filter = self.session.filter if at is None else ""

    def get_default_screen(self) -> MainScreen:
        """Begin with the main screen."""
        return self.main

    def on_ready(self) -> None:
        """Leave the interpreter's housekeeping for when the first screen stands."""
        self.set_timer(FREEZE_AFTER, _spare_the_collector)

    def on_unmount(self) -> None:
        """Remember the place."""
        self.session.save(self.main.view, self.theme)

    def theme_names(self) -> list[str]:
        """Return the themes to choose from, the app's own first."""
        own = [UNSPOOL.name, UNSPOOL_LIGHT.name]
        return own + sorted(name for name in self.available_themes if name not in own)

    def watch_theme(self) -> None:
        """Draw in the colours of a new theme."""
        if not hasattr(self, "main"):
            return
        self.pen = self._make_pen()
        self.main.use_pen(self.pen)
        for screen in self.screen_stack:
            if isinstance(screen, Modal):
                screen.use_pen(self.pen)

    def _make_pen(self) -> Pen:
        if self._monochrome:
            return Pen(MONOCHROME, self._glyphs)
        theme = self.current_theme
        return Pen(palette_from(self.get_css_variables(), dark=theme.dark, ansi=theme.ansi), self._glyphs)


def _spare_the_collector() -> None:
    """Take everything that is there to stay out of the garbage collector's sight."""
    gc.collect()
    gc.freeze()
    gc.enable()
    gc.set_threshold(*COLLECT_AFTER)


def _resolved(at: int, total: int) -> int:
    seq = at + total if at < 0 else at
    if not 0 <= seq < total:
        known = f"entries 0 to {total - 1}" if total else "no entry yet"
        raise EntryNotFound(f"--at {at}: the history has {known}")
    return seq


__all__ = ["DEFAULT", "UnspoolApp"]
