"""The app object: theme, colours, the remembered places, which tab is in front; everything else is the main screens'."""

from __future__ import annotations

import gc
import os
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace
from textual import on
from textual.app import App
from textual.message import Message

from unspool.errors import ConfigError, EntryNotFound
from unspool_tui.keymap import Keymap
from unspool_tui.options import UiOptions
from unspool_tui.places import config_folder, state_folder
from unspool_tui.present.glyphs import glyphs
from unspool_tui.present.paint import Pen
from unspool_tui.present.palette import MONOCHROME, palette_from
from unspool_tui.returning import Returning
from unspool_tui.scene.scene import Look, Scene
from unspool_tui.screens.main import MainScreen
from unspool_tui.screens.modal import Modal
from unspool_tui.session import Session
from unspool_tui.settings import Settings, nearest
from unspool_tui.tabs import Tab, Tabs
from unspool_tui.themes import DEFAULT, UNSPOOL, UNSPOOL_LIGHT, user_themes
from unspool_tui.view import panes
from unspool_tui.view.model import Pane, View

if TYPE_CHECKING:
    from unspool_tui.view.history_port import HistoryPort

COLLECT_AFTER: Final = (20_000, 50, 1_000)
"""Garbage collection thresholds: drawing makes thousands of short-lived strips, which the defaults collect mid-frame."""


FREEZE_AFTER: Final = 0.15
"""Seconds after the start; the first paint must not wait for it."""


class TabTold(Message):
    """A thread has something about a tab: it is open, it was refused, or it has grown."""

    def __init__(self, tab: Tab) -> None:
        self.tab = tab
        super().__init__()


class UnspoolApp(App[None]):
    """Shows one history, or several as tabs."""

    TITLE = "unspool"
    ENABLE_COMMAND_PALETTE = False
    ALLOW_SELECT = False
    CSS_PATH = "styles/main.tcss"
    DEFAULT_MODE = "first"

    def __init__(
        self,
        history: HistoryPort,
        settings: Settings,
        options: UiOptions,
        *,
        at: int | None,
        follow: bool,
        tabs: Tabs | None = None,
    ) -> None:
        """Make the app.

        Args:
            history: what is in front at first.
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
        self._settings = settings
        self._options = options
        self._follow = follow
        self._glyphs = glyphs(ascii_only=settings.ascii if options.ascii is None else options.ascii)
        self._monochrome = bool(options.no_color) or not settings.color or "NO_COLOR" in os.environ
        self.wants_mouse = settings.mouse if options.no_mouse is None else not options.no_mouse
        self.tabs = tabs if tabs is not None else Tabs([Tab(None, at, history)])
        tab = self.tabs.front_tab
        session = tab.session = self._session_of(tab, history)
        for theme in (UNSPOOL, UNSPOOL_LIGHT, *user_themes(config_folder() / "themes")):
            self.register_theme(theme)
        if settings.theme not in self.available_themes:
            raise ConfigError(f"there is no theme {settings.theme!r}: {nearest(settings.theme, self.theme_names())}")
        self._begin_with(session.theme if session.theme in self.available_themes else settings.theme)
        self.pen = self._make_pen()
        self.main = tab.main = self._screen_for(tab, history, session)
        if options.select:
            self.main.view = panes.focus(panes.reveal(self.main.view, options.select), Pane.INSPECT)
        self._modes_of = {self.main: self.DEFAULT_MODE}

    def _session_of(self, tab: Tab, history: HistoryPort) -> Session:
        keep = self._options.remember and self._settings.remember
        key = tab.source.key if tab.source is not None else None
        return Session.of(history, state_folder() if keep else None, key)

    def _screen_for(self, tab: Tab, history: HistoryPort, session: Session) -> MainScreen:
        scene = Scene(history, Look(self._glyphs, self._options.zone))
        place = None if tab.at is None else _resolved(tab.at, len(history))
        empty = View(total=len(history), tabs=len(self.tabs))
        view = session.restore(empty, at=place, follow=self._follow)
        is_read = history.progress.is_finished
        waits = tab.at is None and session.furthest >= (view.total if is_read else view.tip)
        if waits:
            view = replace(view, follow=False)
        main = MainScreen(scene, view, Keymap(self._settings.keys), self.pen)
        poll = self._options.poll
        main.follower.poll = poll if poll is not None else self._settings.poll or None
        main.follower.enabled = self._follow
        main.first_filter = session.filter if tab.at is None else ""
        main.unchecked = tab.given
        if waits:
            main.returning = Returning(session, view, follow=self._follow)
        return main

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

    def on_ready(self) -> None:
        """Leave the interpreter's housekeeping, and the other sources, for when the first screen stands."""
        self.set_timer(FREEZE_AFTER, _spare_the_collector)
        self.tabs.begin(lambda tab: self.post_message(TabTold(tab)))

    def on_unmount(self) -> None:
        """Remember the places, and stop what works for tabs behind the one in front."""
        for tab in self.tabs.all:
            if tab.main is not None:
                if tab.session is not None:
                    tab.session.save(tab.main.view, self.theme)
                if tab.main is not self.main:
                    tab.main.stop()

    def show_tab(self, number: int) -> None:
        """Bring a tab to the front; what stands on its screen for the first time is made now."""
        if number == self.tabs.front or not 0 <= number < len(self.tabs):
            return
        self._leave(self.tabs.front_tab)
        self.tabs.front = number
        self._bring(self.tabs.front_tab)

    def _leave(self, tab: Tab) -> None:
        if tab.main is None:
            return
        if tab.history is None:
            # A stand-in costs nothing to make again.
            tab.main = None
            return
        tab.seen = tab.main.view.total
        tab.main.go_behind()

    def _bring(self, tab: Tab) -> None:
        """Put a tab's screen in front, making it first where there is none."""
        if tab.main is None:
            tab.main = self._new_screen(tab) if tab.history is not None else self._stand_in(tab)
        self._switch_to(tab.main)

    def _switch_to(self, main: MainScreen) -> None:
        """Show a screen; that of a tab without a history is not kept."""
        before, self.main = self.main, main
        # Textual calls a stack of screens a mode. The first one is known to it only from here on.
        for screen in (before, main):
            name = self._modes_of.setdefault(screen, f"tab-{len(self._modes_of)}-{id(screen)}")
            if name not in self._modes:
                self.add_mode(name, partial(_itself, screen))
        self.switch_mode(self._modes_of[main])
        if not any(tab.main is before for tab in self.tabs.all):
            self.remove_mode(self._modes_of.pop(before))

    def _new_screen(self, tab: Tab) -> MainScreen:
        """Make the screen of an open tab; an entry asked for that is not there is told, not raised."""
        assert tab.history is not None
        self.tabs.release(tab)
        session = tab.session = tab.session or self._session_of(tab, tab.history)
        try:
            return self._screen_for(tab, tab.history, session)
        except EntryNotFound as error:
            tab.at = None
            main = self._screen_for(tab, tab.history, session)
            main.call_later(main.flash, str(error), "warning")
            return main

    def _stand_in(self, tab: Tab) -> MainScreen:
        """Make the screen of a tab that is not open: what it is called, and why it was refused."""
        from unspool_tui.absent import AbsentHistory

        absent = AbsentHistory(tab.name, lambda: self.tabs.want(tab))
        if tab.error:
            absent.refused(tab.error)
        else:
            self.tabs.want(tab)
        main = self._screen_for(Tab(tab.source), absent, Session.of(absent, None))
        main.scene.say(tab.error, main.view)
        return main

    @on(TabTold)
    def _told(self, message: TabTold) -> None:
        tab = message.tab
        if tab is self.tabs.front_tab:
            self.settle()
        elif tab.history is not None and tab.main is None and self._follow:
            self.tabs.watch(tab)
        self.main.repaint()

    def settle(self) -> None:
        """Give the tab in front its own screen as soon as it is open, or tell why it was refused."""
        tab = self.tabs.front_tab
        if tab.main is None or tab.main.scene.history is tab.history or self.screen is not self.main:
            return
        if tab.history is not None:
            tab.main = None
            self._bring(tab)
        elif tab.error:
            absent = tab.main.scene.history
            absent.refused(tab.error)  # type: ignore[attr-defined]
            tab.main.scene.say(tab.error, tab.main.view)
            tab.main.repaint()

    def remember_identity(self, identity: Mapping[str, str]) -> None:
        """Keep identity keys for the source in front."""
        source = self.tabs.front_tab.source
        if source is not None and self._options.remember and self._settings.remember:
            from unspool_tui.remembered import keep_identity

            keep_identity(source, identity)

    def show_tab_line(self) -> None:
        """Draw the line of tabs."""
        from unspool_tui.present.tab_row import tab_row
        from unspool_tui.widgets.tab_line import TabLine

        line = self.main.query_one(TabLine)
        line.show(tab_row(self.tabs.labels(), self.tabs.front, line.columns, self._glyphs))

    def theme_names(self) -> list[str]:
        """Return the themes to choose from, the app's own first."""
        own = [UNSPOOL.name, UNSPOOL_LIGHT.name]
        return own + sorted(name for name in self.available_themes if name not in own)

    def watch_theme(self) -> None:
        """Draw in the colours of a new theme."""
        if not hasattr(self, "main"):
            return
        self.pen = self._make_pen()
        for tab in self.tabs.all:
            if tab.main is not None:
                tab.main.use_pen(self.pen)
        for screen in self.screen_stack:
            if isinstance(screen, Modal):
                screen.use_pen(self.pen)

    def _make_pen(self) -> Pen:
        if self._monochrome:
            return Pen(MONOCHROME, self._glyphs)
        theme = self.current_theme
        return Pen(palette_from(self.get_css_variables(), dark=theme.dark, ansi=theme.ansi), self._glyphs)


def _itself(screen: MainScreen) -> MainScreen:
    """Return a screen where Textual asks for a function that makes one."""
    return screen


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
