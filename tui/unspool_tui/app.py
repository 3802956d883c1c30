"""The app object: tabs, the screen of the one in front, theme, colours, and what Textual reports.

Everything else belongs to the main screens.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from time import time
from typing import TYPE_CHECKING, Any, Final, Protocol

from msgspec.structs import replace
from textual import events, on
from textual.app import App
from textual.message import Message
from textual.screen import Screen

from unspool.errors import ConfigError, EntryNotFound
from unspool.history.history import History
from unspool_tui.actions import Keymap
from unspool_tui.first_run import CardView, card_named, remember_closed
from unspool_tui.panes.scene import Appearance, Scene
from unspool_tui.rendering.header import tab_row
from unspool_tui.rendering.line import ASCII, Glyphs, glyphs
from unspool_tui.rendering.paint import Pen
from unspool_tui.rendering.palette import MONOCHROME, UNSPOOL, UNSPOOL_LIGHT, palette_from, user_themes
from unspool_tui.screens.follower import after
from unspool_tui.screens.main import MainScreen
from unspool_tui.screens.modal import Modal
from unspool_tui.screens.protocols import Controls
from unspool_tui.session import PlaceRestorer, SourceSession, forget_gone
from unspool_tui.settings import Settings, UiOptions, config_folder, nearest
from unspool_tui.source import NamedSource, keep_choice, keep_identity, state_folder
from unspool_tui.tabs import Tab, Tabs, UnopenedSource
from unspool_tui.view import moves
from unspool_tui.view.model import Pane, RecordingProgram, View
from unspool_tui.widgets.panel import TabLine
from unspool_tui.worker import QuestionKind, Reply

if TYPE_CHECKING:
    from unspool.history.history import History
    from unspool_tui.live_programs import AttachedProgram
    from unspool_tui.tabs import TabLink


class TabbedApp(Protocol):
    """The app whose screens they are, as far as they need it."""

    main: MainScreen

    @property
    def pen(self) -> Pen:
        """What to draw with."""

    @property
    def screen(self) -> Screen[Any]:
        """What is in front of everything."""

    def know_mode(self, name: str, screen: Callable[[], MainScreen]) -> None:
        """Let Textual know a stack of screens."""

    def switch_mode(self, mode: str) -> object:
        """Bring a stack of screens to the front."""

    def remove_mode(self, mode: str) -> object:
        """Forget a stack of screens."""

    def post_message(self, message: Message) -> bool:
        """Have a message handled in the app's turn; safe from any thread."""


class TabTold(Message):
    """A thread has something about a tab: it is open, it was refused, or it has grown."""

    def __init__(self, tab: Tab) -> None:
        self.tab = tab
        super().__init__()


class TabScreens:
    """The tabs of an app and their screens; the one in front is `app.main`."""

    def __init__(
        self, app: TabbedApp, tabs: Tabs, settings: Settings, options: UiOptions, look: Glyphs, *, follow: bool
    ) -> None:
        """Prepare to show tabs.

        Args:
            app: whose screens they are.
            tabs: all sources.
            settings: what the person settled once.
            options: what the caller asks for.
            look: characters to draw with.
            follow: keep up with new entries.
        """
        self.tabs = tabs
        self.passing = options.passing
        self.remembers = options.remember and settings.remember and not options.permits.visitor
        self._app = app
        self._settings = settings
        self._options = options
        self._glyphs = look
        self._follow = follow
        self._screens: dict[Tab, MainScreen] = {}
        self._modes: dict[MainScreen, str] = {}
        may_tell = settings.remember and not options.permits.visitor
        self._card = card_named(options.card) if may_tell and options.card else None
        self._link: TabLink | None = None
        self._in_step: dict[Tab, View] = {}
        """What linked tabs showed when they were last in step."""
        self.chosen_theme: str | None = None
        """The theme chosen since the start, empty when it is that of the settings; None when none was."""

    def session_of(self, tab: Tab, history: History) -> SourceSession:
        """Return the remembered place of a tab, reading it at first."""
        if tab.session is None:
            key = tab.source.place_key if tab.source is not None else None
            tab.session = SourceSession.of(history, state_folder() if self.remembers else None, key)
        return tab.session

    def first_screen(self, history: History | None, mode: str) -> MainScreen:
        """Make the screen that the app begins with; without a history, that of a source which is to come.

        Raises:
            EntryNotFound: the entry to begin at is not there.
        """
        tab = self.tabs.front_tab
        if history is None:
            main = self._keep(tab, self._stand_in(tab))
        else:
            main = self._keep(tab, self._screen_for(tab, history, self.session_of(tab, history)))
        self._modes[main] = mode
        return main

    def screens(self) -> list[MainScreen]:
        """Return the screens that there are."""
        return list(self._screens.values())

    def screen_of(self, tab: Tab) -> MainScreen | None:
        """Return the screen of a tab; None before it was looked at."""
        return self._screens.get(tab)

    def _keep(self, tab: Tab, main: MainScreen) -> MainScreen:
        self._screens[tab] = main
        tab.shown = lambda: main.view.total
        return main

    def _drop(self, tab: Tab) -> MainScreen | None:
        tab.shown = None
        return self._screens.pop(tab, None)

    def _screen_for(self, tab: Tab, history: History, session: SourceSession) -> MainScreen:
        scene = Scene(history, Appearance(self._glyphs, self._options.zone))
        place = None if tab.at is None else _resolved(tab.at, history)
        empty = View(
            total=len(history),
            first=history.first,
            tabs=len(self.tabs),
            permits=self._options.permits,
            program=tab.program,
        )
        view = session.restore(empty, at=place, follow=self._follow)
        if self._link is not None:
            view = replace(view, parting=self._link.parting_of(tab))
        # A foreign source is read beside the screen: more entries than are known here may be there by now.
        waits = tab.at is None and session.furthest >= (view.tip if history.is_foreign else view.total)
        if waits:
            view = replace(view, follow=False)
        main = MainScreen(
            scene, view, Keymap(self._settings.keys, plain=self._glyphs is ASCII), self._app.pen, _load_controls
        )
        if self._card is not None:
            main.card = CardView(self._card, main.keymap, self.close_card)
        poll = self._options.poll
        main.follower.poll = poll if poll is not None else self._settings.poll or None
        main.follower.enabled = self._follow
        main.first_filter = session.filter if tab.at is None else ""
        main.unchecked = tab.given
        conflicts = main.keymap.told_conflicts()
        for told in conflicts[:-1]:
            main.messages.add(told, "warning")
        for told in conflicts[-1:]:
            more = f"{len(conflicts)} keys were taken, ! lists them: " if len(conflicts) > 1 else ""
            main.call_later(main.flash, more + told, "warning")
        if tab.note:
            main.call_later(main.flash, tab.note, "warning")
            tab.note = ""
        if waits:
            main.restorer = PlaceRestorer(session, view, follow=self._follow)
        return main

    def begin(self) -> None:
        """Open the other sources, and forget the places of those that are gone, now that the first screen stands."""
        self.tabs.begin(lambda tab: self._app.post_message(TabTold(tab)))
        if self.remembers:
            threading.Thread(
                target=forget_gone, args=(state_folder(), time()), name="unspool-places", daemon=True
            ).start()

    def end(self) -> None:
        """Remember the places, and stop what works for tabs behind the one in front."""
        for tab in self.tabs.all:
            self._save(tab)
        for main in self._screens.values():
            if main is not self._app.main:
                main.stop()

    def _save(self, tab: Tab) -> None:
        main = self._screens.get(tab)
        if main is not None and tab.session is not None:
            tab.session.save(main.view, self.chosen_theme)

    def show(self, number: int, at: int | None = None) -> None:
        """Bring a tab to the front; its screen is made when it is looked at for the first time.

        Args:
            number: which tab; where there is none, nothing is done.
            at: the entry to show there; None leaves the place as it is.
        """
        if number == self.tabs.front or not 0 <= number < len(self.tabs):
            return
        left, entered = self.tabs.front_tab, self.tabs.all[number]
        linked = self._counterpart_in(entered) if at is None else None
        self._leave(self.tabs.front_tab)
        self.tabs.front = number
        main = self._screens.get(self.tabs.front_tab)
        if at is not None and main is not None:
            main.apply(moves.jump_to(main.view, at))
        elif at is not None:
            self.tabs.front_tab.at = at
        elif linked is not None and main is not None:
            main.apply(moves.move_to(main.view, linked))
        elif linked is not None:
            self.tabs.front_tab.at = linked
        self._bring(self.tabs.front_tab)
        if at is None and self.link is not None and self.link.other(left) is entered:
            self._keep_in_step(left, entered)

    def open(self, source: NamedSource, program: RecordingProgram | None = None) -> None:
        """Bring a source to the front, as a tab of its own unless it is one already.

        Args:
            source: what to show.
            program: which of the programs that record into it is asked for something; None for any.
        """
        number = self.tabs.place_of(source)
        tab = self.tabs.all[number]
        tab.program = program
        main = self._screens.get(tab)
        if main is not None and program is not None:
            main.apply(replace(main.view, program=program))
        for other in self._screens.values():
            if other.view.tabs != len(self.tabs):
                other.show_tabs(len(self.tabs))
        self.show(number)

    @property
    def link(self) -> TabLink | None:
        """The tabs that are scrubbed together; None where none are, or one of them shows something else by now."""
        if self._link is not None and not self._link.holds:
            self.join(None)
        return self._link

    def join(self, link: TabLink | None) -> None:
        """Scrub two tabs together from now on, or none any more; again to show what was found since."""
        before, self._link = self._link, link
        if link is not before:
            self._in_step.clear()
            self._keep_in_step(*(() if link is None else link.tabs))
        self.tabs.linked = () if link is None else link.tabs
        for tab in {*(before.tabs if before else ()), *self.tabs.linked}:
            main = self._screens.get(tab)
            if main is not None:
                main.apply(replace(main.view, parting=None if link is None else link.parting_of(tab)))
        self._app.main.repaint()

    def _keep_in_step(self, *tabs: Tab) -> None:
        """Note where tabs are that are in step with each other: whoever only looks at one of them moves neither."""
        for tab in tabs:
            main = self._screens.get(tab)
            if main is not None:
                self._in_step[tab] = main.view

    def _has_moved(self, tab: Tab, view: View) -> bool:
        """Whether somebody moved the head of a linked tab since the two were in step; entries that arrive move it for nobody."""
        before = self._in_step.get(tab)
        if before is None:
            return True
        return view.head != before.head and not (view.follow and before.follow)

    def _counterpart_in(self, tab: Tab) -> int | None:
        """Return where the head of a tab is to go with that of the tab in front; None where it stays."""
        link, front = self.link, self.tabs.front_tab
        if link is None or link.other(front) is not tab:
            return None
        main = self._screens.get(front)
        if main is None or not self._has_moved(front, main.view):
            return None
        return link.counterpart(front, main.view.head)

    def told_link(self) -> str:
        """Return what the first line says of the link of the tab in front; empty where it has none."""
        link, front = self.link, self.tabs.front_tab
        other, main = None if link is None else link.other(front), self._screens.get(front)
        if link is None or other is None or main is None:
            return ""
        if link.is_behind and not main.worker.owes(QuestionKind.LINK):
            main.ask(QuestionKind.LINK, lambda: link.catch_up(main.worker.withdrawn), self._caught_up)
        return link.told(front, self.tabs.name(self.tabs.all.index(other)), main.view.head)

    def _caught_up(self, reply: Reply) -> None:
        if reply.error is not None:
            # The screen tells why; to try again with every paint would tell it for ever.
            self.join(None)
        elif reply.done:
            self._app.main.repaint()

    def _leave(self, tab: Tab) -> None:
        main = self._screens.get(tab)
        if main is None:
            return
        if tab.history is None:
            # A stand-in costs nothing to make again.
            self._drop(tab)
            return
        tab.seen = main.view.total
        main.go_behind()

    def _bring(self, tab: Tab) -> None:
        """Put a tab's screen in front, making it first where there is none."""
        main = self._screens.get(tab)
        if main is None:
            main = self._keep(tab, self._new_screen(tab) if tab.history is not None else self._stand_in(tab))
        before, self._app.main = self._app.main, main
        # Textual calls a stack of screens a mode. The first one is known to it only from here on.
        for screen in (before, main):
            self._app.know_mode(self._modes.setdefault(screen, f"tab-{id(screen)}"), partial(_itself, screen))
        self._app.switch_mode(self._modes[main])
        if before not in self._screens.values():
            self._app.remove_mode(self._modes.pop(before))

    def _new_screen(self, tab: Tab) -> MainScreen:
        """Make the screen of an open tab; an entry asked for that is not there is told, not raised."""
        assert tab.history is not None
        self.tabs.release(tab)
        session = self.session_of(tab, tab.history)
        try:
            main = self._screen_for(tab, tab.history, session)
        except EntryNotFound as error:
            tab.at = None
            main = self._screen_for(tab, tab.history, session)
            main.call_later(main.flash, str(error), "warning")
        return main

    def _stand_in(self, tab: Tab) -> MainScreen:
        """Make the screen of a tab that is not open: what it is called, and why it was refused."""
        if not tab.error and not tab.waits:
            self.tabs.want(tab)
        history = History.without_entries(UnopenedSource(tab, self.tabs.want))
        main = self._screen_for(Tab(tab.source), history, SourceSession.of(history, None))
        _say_why(tab, main)
        return main

    def told(self, tab: Tab) -> None:
        """Take note of what a thread has about a tab."""
        if tab is self.tabs.front_tab:
            self.settle()
        elif tab.history is not None and tab not in self._screens and self._follow:
            self.tabs.watch(tab)
        self._app.main.repaint()

    def settle(self) -> None:
        """Give the tab in front its own screen as soon as it is open, or tell why it was refused."""
        tab = self.tabs.front_tab
        main = self._screens.get(tab)
        if main is None or main.scene.history is tab.history or self._app.screen is not self._app.main:
            return
        if tab.history is not None:
            self._drop(tab)
            self._bring(tab)
        elif tab.error or tab.waits:
            main.follower.start()
            _say_why(tab, main)
            main.repaint()

    def reopen(self, select: Mapping[str, str]) -> None:
        """Show another part of the source in front: it is opened anew, and has a place of its own."""
        tab = self.tabs.front_tab
        if tab.source is None or tab.opening:
            return
        self._save(tab)
        old = tab.history, self._drop(tab)
        tab.source = replace(tab.source, select=dict(select))
        tab.history = tab.session = tab.at = None
        tab.error, tab.given = "", {}
        self._bring(tab)
        _close_behind(*old)
        if self.remembers:
            keep_choice(tab.source, select)

    def remember_theme(self, name: str) -> None:
        """Keep a theme for the sources that are open; the settings' own is not kept, so that it can be changed there."""
        self.chosen_theme = "" if name == self._settings.theme else name

    def close_card(self) -> None:
        """Take what is told at first away, for good."""
        if self._card is not None:
            remember_closed(self._card)
            self._card = None
        for main in self.screens():
            if main.card is not None:
                main.card.display = False
                main.card = None

    def remember_identity(self, identity: Mapping[str, str]) -> None:
        """Keep identity keys for the source in front."""
        source = self.tabs.front_tab.source
        if source is not None and self.remembers:
            keep_identity(source, identity)

    def show_line(self) -> None:
        """Draw the line of tabs."""
        line = self._app.main.query_one(TabLine)
        line.show(tab_row(self.tabs.labels(), self.tabs.front, line.columns, self._glyphs))


def _say_why(tab: Tab, main: MainScreen) -> None:
    """Tell in the place of a state why there is none."""
    to_come = f"{tab.name} is empty so far; it is shown as soon as something is written to it" if tab.waits else ""
    main.scene.say(tab.error or to_come, main.view, is_problem=not to_come or bool(tab.error))


def _load_controls() -> Controls:
    # Keys and clicks open pages: the first paint waits for none of them.
    from unspool_tui.controls import CONTROLS

    return CONTROLS


def _itself(screen: MainScreen) -> MainScreen:
    """Return a screen where Textual asks for a function that makes one."""
    return screen


def _close_behind(history: History | None, main: MainScreen | None) -> None:
    """Close a history that nothing shows any more, when its worker is done with it; nobody waits for that."""
    if main is not None:
        main.stop()
    if history is None:
        return

    def close() -> None:
        if main is not None:
            main.worker.join()
        history.close()

    threading.Thread(target=close, name="unspool-close", daemon=True).start()


def _resolved(at: int, history: History) -> int:
    first, total = history.first, len(history)
    seq = at + total if at < 0 else at
    if not first <= seq < total:
        known = f"entries {first} to {total - 1}" if total else "no entry yet"
        dropped = f"; {history.told_dropped()}" if first and seq < first else ""
        raise EntryNotFound(f"--at {at}: the history has {known}{dropped}")
    return seq


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

    def on_mount(self) -> None:
        """Be ready to be stopped and to go on, before anything is drawn."""
        if self._driver is not None and self._driver.can_suspend:
            # Other threads than the first get no signals.
            with suppress(NotImplementedError, RuntimeError, ValueError):
                asyncio.get_running_loop().add_signal_handler(signal.SIGCONT, self._go_on)

    def on_ready(self) -> None:
        """Leave the interpreter's housekeeping, and the other sources, for when the first screen stands."""
        after(self, FREEZE_AFTER, _spare_the_collector)
        self.tab_screens.begin()

    def _go_on(self) -> None:
        """Take the terminal again after a stop: what lies between is the shell's, which sets it as it likes.

        Textual does so where it was stopped by Ctrl-Z, and knows what to put back. Stopped from outside, it would take its own
        settings for those of the shell, leave them behind, and read the keys twice.
        """
        driver = self._driver
        if driver is None:
            return
        if not getattr(driver, "_must_signal_resume", True):
            driver.suspend_application_mode()
        driver.resume_application_mode()

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
