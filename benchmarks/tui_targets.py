"""The programs that the terminal measurements start: a Textual hello-world, and the app on histories of any length."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks.context import ManyEntries
from benchmarks.pty_latency import Session

NEXT, PREVIOUS = b".", b","
PAGE_DOWN, PAGE_UP = b"\x1b[6~", b"\x1b[5~"
HISTORY_PANE, INSPECT_PANE, CURSOR_DOWN, CURSOR_UP = b"1", b"3", b"j", b"k"
INSPECT_HAS_KEYS = r"v mode"
"""What the footer says while Inspect takes the keys, and only then."""
QUIT = b"q"
MOUSE = b"\x1b[<"
TIMELINE_ROW = 1
TIMELINE_FROM, TIMELINE_TO = 12, 112
"""Where the timeline lies on a screen of 120 columns, in cells from 0."""


@dataclass(frozen=True, slots=True)
class Target:
    """A program to be measured.

    Attributes:
        name: as in tables.
        command: what starts it.
        position: pattern of the position it shows.
        ready: pattern of what its first paint shows.
        environment: set for it.
    """

    name: str
    command: tuple[str, ...]
    position: str
    ready: str
    environment: dict[str, str]

    def start(self) -> Session:
        """Start it."""
        return Session(self.command, self.position, environment=self.environment)

    def start_ready(self) -> Session:
        """Start it and wait until it has painted all there is.

        Raises:
            ProgramEnded: it did not get there.
        """
        session = self.start()
        session.wait_for(self.ready)
        session.settle(0.5, 20.0)
        session.frames()
        return session


def hello() -> Target:
    """Return the Textual hello-world."""
    return Target("hello", (sys.executable, "-m", "benchmarks.hello_app"), r"pos (\d+)", "Hello", {})


def app(history: ManyEntries, home: Path) -> Target:
    """Return the app on a history, opened in the middle; its settings and memory of places go to a folder of ours."""
    return app_at(history.path, home, f"{history.count:,} entries", "--at", str(history.count // 2), "--no-follow")


def app_at(path: Path, home: Path, name: str, *options: str) -> Target:
    """Return the app on a file with options."""
    places = {f"XDG_{kind}_HOME": str(home / kind.lower()) for kind in ("CONFIG", "STATE", "DATA", "CACHE")}
    closed = home / "state" / "unspool" / "closed-cards.json"
    closed.parent.mkdir(parents=True, exist_ok=True)
    # What a first run tells takes lines that later ones have for the panes.
    closed.write_text('{"cards": ["app"]}')
    command = (sys.executable, "-m", "unspool_tui.cli", "open", str(path), *options)
    return Target(name, command, r"unspool .*? ([\d,]+)/[\d,]+ ", r"unspool .*? [\d,]+/[\d,]+ ", places)


def press_mouse(column: int) -> bytes:
    """Return the report of a button going down on the timeline."""
    return b"\x1b[<0;%d;%dM" % (column + 1, TIMELINE_ROW + 1)


def move_mouse(column: int) -> bytes:
    """Return the report of a drag to a column of the timeline."""
    return b"\x1b[<32;%d;%dM" % (column + 1, TIMELINE_ROW + 1)


def release_mouse(column: int) -> bytes:
    """Return the report of the button going up."""
    return b"\x1b[<0;%d;%dm" % (column + 1, TIMELINE_ROW + 1)
