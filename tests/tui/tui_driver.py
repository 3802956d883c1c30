"""Drives the real app without a terminal: keys by the shortest way in, the screen as text, waiting on conditions."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic
from typing import Any

from textual._context import visible_screen_stack
from textual.pilot import Pilot

from support.keys import press_keys
from unspool.history.history import History
from unspool.store.file import FileStore
from unspool_tui.app import UnspoolApp
from unspool_tui.settings import Settings, UiOptions
from unspool_tui.view.model import Pane, View

PATIENCE = 60.0
"""Seconds until a condition that does not come true fails the test."""


def open_file(path: Path) -> History:
    """Open a native file as the app would."""
    return History(FileStore.open(path), path=path)


def make_app(history: Any, *, at: int | None = None, follow: bool | None = None, **options: Any) -> UnspoolApp:
    """Make the app over a history; nothing is remembered and clock times are UTC unless asked otherwise."""
    settings = options.pop("settings", Settings())
    options.setdefault("remember", False)
    chosen = UiOptions(zone=dt.UTC, **options)
    return UnspoolApp(history, settings, chosen, at=at, follow=at is None if follow is None else follow)


def keep_still(app: UnspoolApp) -> None:
    """Have an app watch nothing although it says it does: pictures must not depend on when a look was."""
    follower = app.main.follower
    follower.start = follower.pulse = str  # type: ignore[method-assign,assignment]


class Driver:
    """One running app."""

    def __init__(self, app: UnspoolApp, pilot: Pilot[None]) -> None:
        self.app = app
        self.pilot = pilot

    @property
    def view(self) -> View:
        """What the main screen looks at."""
        return self.app.main.view

    async def press(self, *keys: str) -> None:
        """Press keys and wait until everything they caused is on the screen."""
        await press_keys(self.pilot, *keys)
        await self.settle()

    async def type(self, text: str) -> None:
        """Type a text, letter by letter."""
        await self.press(*("space" if letter == " " else letter for letter in text))

    async def settle(self) -> None:
        """Wait until no message is under way, the worker is idle and the details are those of the head."""
        quiet, end = 0, monotonic() + PATIENCE
        while quiet < 2 and not self.app._exit:
            busy = self._under_way()
            if not any(busy.values()):
                # Asks every widget, which costs more than all the rest: only where nothing else is known to be under way.
                await self.pilot._wait_for_screen()
                await asyncio.sleep(0)
                busy = self._under_way()
            quiet = 0 if any(busy.values()) else quiet + 1
            if not quiet:
                await asyncio.sleep(0.002)
            assert monotonic() < end, f"the app never came to rest: {busy}; the screen shows:\n{self.text()}"

    def _under_way(self) -> dict[str, bool]:
        main = self.app.main
        pumps = [self.app, *self.app.screen_stack, *self.app.screen.walk_children()]
        laid_out = not self.app.screen._layout_required and not self.app.screen._dirty_widgets
        # A screen that opens over one that was never laid out keeps the empty picture of it.
        laid_out = laid_out and all(screen._compositor.size for screen in (self.app.screen, main))
        return {
            "messages": any(pump.message_queue_size for pump in pumps),
            "layout": not laid_out,
            "worker": not main.worker.idle,
            "details": main.painter.stale or main.painter.unsettled,
        }

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for a condition."""
        end = monotonic() + PATIENCE
        while not condition():
            assert monotonic() < end, f"this never came true; the screen shows:\n{self.text()}"
            await asyncio.sleep(0.005)

    def text(self) -> str:
        """Return what the screen shows."""
        # Without its surroundings a dialog would be drawn over nothing, and keep that picture.
        visible_screen_stack.set(self.app._background_screens)
        return "\n".join(strip.text for strip in self.app.screen._compositor.render_strips())

    def line(self, number: int) -> str:
        """Return one line of the screen."""
        return self.text().split("\n")[number]

    def panel(self, pane: Pane) -> str:
        """Return what a panel shows."""
        panel = self.app.main.panels[pane]
        x, y, width, height = panel.region
        return "\n".join(line[x : x + width] for line in self.text().split("\n")[y : y + height])

    async def click(self, widget: Any, x: int, y: int, times: int = 1) -> None:
        """Click at a place of a widget."""
        await self.pilot.click(widget, offset=(x, y), times=times)
        await self.settle()


@asynccontextmanager
async def drive(app: UnspoolApp, size: tuple[int, int] = (120, 40), *, settles: bool = True) -> AsyncIterator[Driver]:
    """Run an app without a terminal; one that reads a large source does not come to rest before it is read."""
    try:
        async with app.run_test(size=size) as pilot:
            driver = Driver(app, pilot)
            if settles:
                await driver.settle()
            yield driver
    finally:
        # The process of an app ends with it; this one goes on, and would run out of descriptors.
        for tab in app.tabs.all:
            if tab.history is not None:
                tab.history.close()
