"""A program in a real pseudo-terminal, timed: when it paints what after which key. Standard library only, Linux.

A time is taken right after a read returns. Nothing is parsed before a paint is over, so the screen's own cost is in no
result (except while waiting for a text, where it may add a millisecond).
"""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from benchmarks.bytecode import as_installed
from benchmarks.process_facts import processor_seconds, resident_mb, wake_ups
from benchmarks.pty_screen import Screen

now = time.monotonic

_SETTLED_S = 0.06
"""Quiet that ends a paint."""
_NO_ANSWER_S = 1.0
_NOT_HANDED_ON = ("NO_COLOR", "LINES", "COLUMNS")
_WORKING_SHARE = 0.01
"""Share of a processor above which a program is still busy with something."""


class ProgramEnded(Exception):
    """The program ended, or never showed what was waited for; the message holds its screen."""


@dataclass(frozen=True, slots=True)
class Paint:
    """What followed a key.

    Attributes:
        first_ms: from the key to the first read that changed a cell.
        last_ms: from the key to the last one before it was quiet.
        bytes: what the program wrote.
    """

    first_ms: float
    last_ms: float
    bytes: int


@dataclass(frozen=True, slots=True)
class Frame:
    """A change of the screen: when, and which position it shows (None where none is shown)."""

    moment: float
    position: int | None


class Session:
    """A running program and its screen."""

    def __init__(
        self, command: Sequence[str], position: str, *, columns: int = 120, rows: int = 36,
        environment: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        """Start a program.

        Args:
            command: what to run.
            position: pattern whose group 1 is the number of the position the program shows.
            columns: width of its terminal.
            rows: height of its terminal.
            environment: set besides this process's own.
        """
        self._position = re.compile(position)
        self._chunks: list[tuple[float, bytes]] = []
        self.written = 0
        own = as_installed({name: value for name, value in os.environ.items() if name not in _NOT_HANDED_ON})
        own |= {"TERM": "xterm-256color", "COLORTERM": "truecolor"} | dict(environment or {})
        self._terminal, side = pty.openpty()
        fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.screen = Screen(columns, rows, self.send)
        self.started = now()
        self._process = subprocess.Popen(
            command, stdin=side, stdout=side, stderr=side, env=own, start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )  # fmt: skip
        os.close(side)
        self.alive = True

    def send(self, keys: bytes) -> None:
        """Type."""
        try:
            os.write(self._terminal, keys)
        except OSError:
            self.alive = False

    def read(self, seconds: float) -> bool:
        """Read once, waiting no longer than some seconds; say whether something came."""
        ready, _, _ = select.select([self._terminal], [], [], max(0.0, seconds))
        if not ready:
            return False
        try:
            data = os.read(self._terminal, 1 << 16)
        except OSError:
            data = b""
        if not data:
            self.alive = False
            return False
        self._chunks.append((now(), data))
        self.written += len(data)
        return True

    def read_until(self, moment: float) -> None:
        """Read until a moment on the clock."""
        while self.alive and (rest := moment - now()) > 0:
            self.read(rest)

    def settle(self, quiet: float = _SETTLED_S, limit: float = 5.0) -> None:
        """Read until nothing came for a while."""
        end = now() + limit
        while self.alive and now() < end and self.read(quiet):
            pass

    def rest(self, limit: float) -> None:
        """Read until the program neither writes nor works."""
        end = now() + limit
        while self.alive and now() < end:
            used, written = self.processor_seconds(), self.written
            self.read_until(now() + 0.5)
            if self.written == written and self.processor_seconds() - used < 0.5 * _WORKING_SHARE:
                return

    def shown_after(self, keys: bytes, pattern: str, seconds: float) -> float | None:
        """Type while the screen never rests; return the milliseconds to the read that brought a text, or None."""
        wanted = re.compile(pattern)
        self.frames()
        pressed = now()
        self.send(keys)
        self.read_until(pressed + seconds)
        found = None
        for moment, data in self._chunks:
            self.screen.feed(data)
            if found is None and wanted.search(self.screen.text()):
                found = (moment - pressed) * 1000
        self._chunks.clear()
        return found

    def frames(self) -> list[Frame]:
        """Show what was read, and return each read that changed the screen."""
        found = []
        before = self.screen.cells()
        for moment, data in self._chunks:
            self.screen.feed(data)
            cells = self.screen.cells()
            if cells != before:
                found.append(Frame(moment, self.position()))
                before = cells
        self._chunks.clear()
        return found

    def position(self) -> int | None:
        """Return the position the screen shows."""
        found = self._position.search(self.screen.text())
        return int(found[1].replace(",", "")) if found else None

    def wait_for(self, pattern: str, seconds: float = 60.0) -> float:
        """Return the milliseconds from the start to the read that brought a text onto the screen.

        Raises:
            ProgramEnded: it did not come.
        """
        wanted = re.compile(pattern)
        end = now() + seconds
        while self.alive and now() < end:
            self.read(0.02)
            while self._chunks:
                moment, data = self._chunks.pop(0)
                self.screen.feed(data)
                if wanted.search(self.screen.text()):
                    return (moment - self.started) * 1000
        raise ProgramEnded(f"{pattern!r} was not shown; the screen:\n{self.screen.text()}")

    def press(self, keys: bytes) -> Paint | None:
        """Type and wait until the screen is quiet; None where nothing changed.

        Raises:
            ProgramEnded: it did.
        """
        self.frames()
        before, pressed = self.written, now()
        self.send(keys)
        if self.read(_NO_ANSWER_S):
            self.settle()
        if not self.alive:
            raise ProgramEnded(f"ended at key {keys!r}; the screen:\n{self.screen.text()}")
        frames = self.frames()
        if not frames:
            return None
        first, last = ((frame.moment - pressed) * 1000 for frame in (frames[0], frames[-1]))
        return Paint(first, last, self.written - before)

    def pour(self, events: Sequence[bytes], rate: float) -> list[float]:
        """Type on a schedule, reading meanwhile and until it is quiet; return when each was sent.

        Raises:
            ProgramEnded: it did.
        """
        start = now() + 0.02
        sent = []
        for number, event in enumerate(events):
            if not self.alive:
                raise ProgramEnded(f"ended at key {number}; the screen:\n{self.screen.text()}")
            self.read_until(start + number / rate)
            sent.append(now())
            self.send(event)
        self.settle(0.3)
        return sent

    def processor_seconds(self) -> float:
        """Return the processor time it has taken."""
        return processor_seconds(self._process.pid)

    def wake_ups(self) -> int:
        """Return how often it has woken up."""
        return wake_ups(self._process.pid)

    def resident_mb(self) -> float:
        """Return its resident memory."""
        return resident_mb(self._process.pid)

    def quit(self, keys: bytes, seconds: float = 5.0) -> float | None:
        """Type what ends it; return the milliseconds until it was gone, or None where it had to be killed."""
        pressed = now()
        self.send(keys)
        gone = None
        while now() < pressed + seconds:
            self.read(0.001)
            if self._process.poll() is not None:
                gone = (now() - pressed) * 1000
                break
        if gone is None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        os.close(self._terminal)
        return gone
