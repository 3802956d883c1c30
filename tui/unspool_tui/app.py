"""The app object: theme, colours, what Textual tells; tabs are `tab_screens`'s, everything else is the main screens'."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final

from textual import events, on
from textual.app import App

from unspool.errors import ConfigError
from unspool_tui.rendering.line import glyphs
from unspool_tui.rendering.paint import Pen
from unspool_tui.rendering.palette import MONOCHROME, UNSPOOL, UNSPOOL_LIGHT, palette_from, user_themes
from unspool_tui.screens.follower import after
from unspool_tui.screens.main import MainScreen
from unspool_tui.screens.modal import Modal
from unspool_tui.session import config_folder
from unspool_tui.settings import Settings, UiOptions, nearest
from unspool_tui.tab_screens import TabScreens, TabTold
from unspool_tui.tabs import Tab, Tabs
from unspool_tui.view import moves
from unspool_tui.view.model import Pane

if TYPE_CHECKING:
    from unspool.history.history import History
    from unspool_tui.live_programs import AttachedProgram

COLLECT_AFTER: Final = (20_000, 50, 1_000)
"""Garbage collection thresholds: drawing makes thousands of short-lived strips, which the defaults collect mid-frame."""


_BY_SIGNAL: Final = 128
"""What shells add to the number of the signal that a program ended by."""
FREEZE_AFTER: Final = 0.15
"""Seconds after the start; the first paint must not wait for it."""


class UnspoolApp(App[None]):
    """Shows one history, or several as tabs."""

    TITLE = "unspool"
    ENABLE_COMMAND_PALETTE = False
    ALLOW_SELECT = False
    CSS_PATH = "styles/main.tcss"
    DEFAULT_MODE = "first"

    def __init__(
        self,
        history: History | None,
        settings: Settings,
        options: UiOptions,
        *,
        at: int | None,
        follow: bool,
        tabs: Tabs | None = None,
    ) -> None:
        """Make the app.

        Args:
            history: what is in front at first; None for a source to which nothing has been written yet.
            settings: what the person settled once.
            options: what the caller asks for; goes before the settings.
            at: the entry to begin at, negative ones from the end; None begins where the person left.
            follow: keep up with new entries.
            tabs: all sources, where there are several; the one in front holds `history`.

        Raises:
            ConfigError: there is no theme of the name that is set.
            EntryNotFound: `at` names no entry.
        """
        super().__init__()
        self._glyphs = glyphs(ascii_only=settings.ascii if options.ascii is None else options.ascii)
        self._monochrome = bool(options.no_color) or not settings.color or "NO_COLOR" in os.environ
        self.wants_mouse = settings.mouse if options.no_mouse is None else not options.no_mouse
        self.attached: dict[int, AttachedProgram] = {}
        self.tabs = tabs if tabs is not None else Tabs([Tab(None, at, history)])
        self.tab_screens = TabScreens(self, self.tabs, settings, options, self._glyphs, follow=follow)
        chosen = "" if history is None else self.tab_screens.session_of(self.tabs.front_tab, history).theme
        for theme in (UNSPOOL, UNSPOOL_LIGHT, *user_themes(config_folder() / "themes")):
            self.register_theme(theme)
        if settings.theme not in self.available_themes:
            raise ConfigError(f"there is no theme {settings.theme!r}: {nearest(settings.theme, self.theme_names())}")
        self._begin_with(chosen if chosen in self.available_themes else settings.theme)
        self.pen = self._make_pen()
        self.main = self.tab_screens.first_screen(history, self.DEFAULT_MODE)
        if options.select:
            self.main.view = moves.focus(moves.reveal(self.main.view, options.select), Pane.INSPECT)

    def _begin_with(self, theme: str) -> None:
        """Take a theme as the default one: to set it would have Textual read and apply all styles a second time."""
        if self.available_themes[theme].ansi:
            self.theme = theme
            return
        self.set_reactive(App.theme, theme)
        dark = self.current_theme.dark
        self.stylesheet.set_variables(self.get_css_variables())
        self.set_class(dark, "-dark-mode", update=False)
        self.set_class(not dark, "-light-mode", update=False)
        self.add_class(f"-theme-{theme}", update=False)

    def get_default_screen(self) -> MainScreen:
        """Begin with the main screen."""
        return self.main

    def on_load(self) -> None:
        """Be ready to be told to leave before anything is drawn."""
        self._leave_when_told()

    def on_ready(self) -> None:
        """Leave the interpreter's housekeeping, and the other sources, for when the first screen stands."""
        after(self, FREEZE_AFTER, _spare_the_collector)
        self.tab_screens.begin()

    def _leave_when_told(self) -> None:
        """Put the terminal back, and keep the places, also where the program is told to end from outside."""
        loop = asyncio.get_running_loop()
        for name in ("SIGTERM", "SIGHUP"):
            # Windows has no SIGHUP and no handlers of loops; other threads than the first get no signals.
            with suppress(AttributeError, NotImplementedError, RuntimeError, ValueError):
                number = getattr(signal, name)
                loop.add_signal_handler(number, partial(self.exit, return_code=_BY_SIGNAL + number))

    def on_resize(self, event: events.Resize) -> None:
        """Draw everything anew where the terminal has the size again that it had: on the way there it lost its cells."""
        if event.size == self.main.size:
            self.screen.refresh()

    def on_unmount(self) -> None:
        """Remember the places, and leave the programs that were attached to from here."""
        self.tab_screens.end()
        for program in self.attached.values():
            program.forget()

    @on(TabTold)
    def _told(self, message: TabTold) -> None:
        self.tab_screens.told(message.tab)

    def know_mode(self, name: str, screen: Callable[[], MainScreen]) -> None:
        """Let Textual know a stack of screens, unless it does."""
        if name not in self._modes:
            self.add_mode(name, screen)

    def theme_names(self) -> list[str]:
        """Return the themes to choose from, the app's own first."""
        own = [UNSPOOL.name, UNSPOOL_LIGHT.name]
        return own + sorted(name for name in self.available_themes if name not in own)

    def watch_theme(self) -> None:
        """Draw in the colours of a new theme."""
        if not hasattr(self, "main"):
            return
        self.pen = self._make_pen()
        for main in self.tab_screens.screens():
            main.use_pen(self.pen)
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
