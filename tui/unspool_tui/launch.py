"""The way into the terminal app: tune the interpreter, then load Textual, show one history, leave tidily."""

from __future__ import annotations

import gc
import os
import select
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, TextIO

from unspool_tui.settings import UiOptions

if TYPE_CHECKING:
    from unspool.history.history import History
    from unspool_tui.tabs import Tabs

DEFAULTS: Final = UiOptions()
FRAMES_A_SECOND: Final = "240"
"""Textual holds frames to slots of this rate; at its default of 60 a held key beats against the slots."""
_DESCRIPTORS: Final = 6
"""File descriptors that a screen needs at least: an event loop, and one to load modules with."""
SWITCH_SECONDS: Final = 0.0005
"""How long the worker may keep the interpreter while the screen waits for it."""


def run_app(
    history: History | None,
    *,
    at: int | None = None,
    follow: bool = True,
    options: UiOptions = DEFAULTS,
    tabs: Tabs | None = None,
) -> int:
    """Show a history, or several as tabs, in the terminal until the person leaves.

    Args:
        history: what is shown first; an `unspool.history.History`, or None for the front tab's, which is
            to come. It is not closed.
        at: the entry to begin at, negative ones from the end; None begins where the person left, or at the newest.
        follow: keep up with new entries.
        options: see `UiOptions`.
        tabs: all sources, where there are several; they are not closed either.

    Returns:
        0, or 128 and the number of the signal that the app was told to end by.

    Raises:
        ConfigError: the settings file or a theme is not valid.
        EntryNotFound: `at` names no entry.
        OSError: too few file descriptors are left for a screen.
    """
    _check_descriptors()
    gc.disable()
    os.environ.setdefault("TEXTUAL_FPS", FRAMES_A_SECOND)
    # Nothing above may import Textual: it reads the variable when it is imported, and imports faster uncollected.
    with _without_tls():
        import textual.app  # noqa: F401
    from unspool_tui.settings import load_settings  # nothing is loaded before the collector is tuned

    settings = load_settings(options.config)
    if options.no_color or not settings.color:
        # Textual reads the variable when an app is made.
        os.environ["NO_COLOR"] = "1"
    from unspool_tui.app import UnspoolApp  # Textual reads its variables when it is loaded

    switching = sys.getswitchinterval()
    try:
        app = UnspoolApp(history, settings, options, at=at, follow=follow, tabs=tabs)
        sys.setswitchinterval(SWITCH_SECONDS)
        with end_on_terminal_loss():
            app.run(mouse=app.wants_mouse)
            return app.return_code or 0
    finally:
        sys.setswitchinterval(switching)
        gc.enable()


def _check_descriptors() -> None:
    """Find out now whether a screen can be run: an event loop that fails half-way complains from its remains.

    Raises:
        OSError: too few file descriptors are left.
    """
    taken: list[int] = []
    try:
        for _ in range(_DESCRIPTORS):
            taken.append(os.dup(1))
    finally:
        for descriptor in taken:
            os.close(descriptor)


@contextmanager
def _without_tls() -> Iterator[None]:
    """Let asyncio do without TLS, which a terminal app never speaks: OpenSSL costs 4 MB and a part of the start.

    asyncio makes do by itself where Python has no `ssl`; whoever imports that module later gets it as always.
    """
    if "ssl" in sys.modules:
        yield
        return
    sys.modules["ssl"] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules["ssl"]


class LossTolerantOutput:
    """A terminal's output that takes what is written also when nobody is there: who draws must never wait for it."""

    def __init__(self, output: TextIO) -> None:
        """Write to `output` as long as it lasts."""
        self._output = output

    def write(self, text: str) -> int:
        """Write, or do as if."""
        try:
            return self._output.write(text)
        except OSError:
            return len(text)

    def flush(self) -> None:
        """Flush, or do as if."""
        try:
            self._output.flush()
        except OSError:
            return

    def __getattr__(self, name: str) -> Any:
        return getattr(self._output, name)


@contextmanager
def end_on_terminal_loss() -> Iterator[None]:
    """Tell this process with SIGHUP when its terminal goes away, and let what is drawn meanwhile be lost."""
    output = sys.__stderr__
    if output is None or sys.platform == "win32" or not os.isatty(0):
        yield
        return
    threading.Thread(target=_signal_terminal_loss, args=(0,), name="unspool-terminal", daemon=True).start()
    sys.__stderr__ = LossTolerantOutput(output)  # type: ignore[assignment,misc]
    try:
        yield
    finally:
        sys.__stderr__ = output  # type: ignore[misc]


def _signal_terminal_loss(descriptor: int) -> None:
    """Sleep until a terminal hangs up; asked for no event, `poll` tells of nothing else."""
    poll = select.poll()
    poll.register(descriptor, 0)
    if poll.poll():
        os.kill(os.getpid(), signal.SIGHUP)


__all__ = ["UiOptions", "run_app"]
