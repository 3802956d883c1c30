"""A small terminal: runs a program in a pseudo-terminal, keeps its screen as text, notes which modes it left on."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Mapping
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Self

from rich.cells import cell_len

KEYS: Mapping[str, bytes] = {
    "enter": b"\r",
    "escape": b"\x1b",
    "tab": b"\t",
    "up": b"\x1b[A",
    "down": b"\x1b[B",
    "right": b"\x1b[C",
    "left": b"\x1b[D",
    "ctrl+c": b"\x03",
    "ctrl+d": b"\x04",
    "ctrl+o": b"\x0f",
    "space": b" ",
}
PATIENCE = 60.0
"""Seconds until what is waited for and does not come fails the test."""
_CODE = re.compile(
    rb"\x1b\[(?P<args>[0-?]*)[ -/]*(?P<final>[@-~])|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[P_^X](?:[^\x1b]|\x1b(?!\\))*\x1b\\"
    rb"|\x1b[()*+#%].|\x1b[=>78cDEHMNOZ]"
)


class Screen:
    """Cells of text; colours are not kept."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self.cells = [[" "] * width for _ in range(height)]
        self.x = self.y = 0
        self.modes: set[str] = set()
        self.rest = b""

    def feed(self, data: bytes) -> None:
        """Take what the program wrote."""
        data = self.rest + data
        place = 0
        while place < len(data):
            if data[place] == 0x1B:
                match = _CODE.match(data, place)
                if match is None:
                    # A program that is stopped as it writes may lose the rest of a sequence; the next one ends it, as in a terminal.
                    begun_anew = data.find(b"\x1b", place + 1) if data[place + 1 : place + 2] == b"[" else -1
                    if begun_anew < 0:
                        break
                    place = begun_anew
                    continue
                if match["final"]:
                    self._control(match["args"].decode(), match["final"].decode())
                place = match.end()
                continue
            end = data.find(b"\x1b", place)
            end = len(data) if end < 0 else end
            whole = _whole_characters(data[place:end], last=end == len(data))
            self._text(data[place : place + whole].decode("utf-8", "replace"))
            place += whole
            if whole < end - len(data[:place]) + whole and place < end:
                break
        self.rest = data[place:]

    def _text(self, text: str) -> None:
        for character in text:
            if character == "\r":
                self.x = 0
            elif character == "\n":
                self.y = min(self.y + 1, self.height - 1)
            elif character == "\b":
                self.x = max(0, self.x - 1)
            elif character >= " ":
                size = cell_len(character)
                if self.x < self.width and size:
                    self.cells[self.y][self.x] = character
                    if size == 2 and self.x + 1 < self.width:
                        self.cells[self.y][self.x + 1] = ""
                self.x += size

    def _control(self, args: str, final: str) -> None:
        if args.startswith("?") and final in "hl":
            for mode in args[1:].split(";"):
                (self.modes.add if final == "h" else self.modes.discard)(mode)
            return
        numbers = [int(part) if part.isdigit() else 0 for part in args.split(";")]
        if final in "Hf":
            self.y = max(0, min((numbers[0] or 1) - 1, self.height - 1))
            self.x = max(0, min((numbers[1] if len(numbers) > 1 else 1) or 1, self.width) - 1)
        elif final == "J":
            # From the cursor to the end, from the beginning to the cursor, or all.
            place, size = min(self.y * self.width + self.x, self.width * self.height), self.width * self.height
            start, end = {0: (place, size), 1: (0, place + 1)}.get(numbers[0], (0, size))
            for cell in range(start, min(end, size)):
                self.cells[cell // self.width][cell % self.width] = " "
        elif final == "K":
            self.cells[self.y][self.x :] = [" "] * (self.width - self.x)

    @property
    def text(self) -> str:
        """What is on the screen."""
        return "\n".join("".join(row).rstrip() for row in self.cells)


def _whole_characters(data: bytes, *, last: bool) -> int:
    """Return how many bytes are complete characters; the rest of one may still be on its way."""
    if not last:
        return len(data)
    for back in range(1, min(4, len(data)) + 1):
        byte = data[-back]
        if byte >= 0xC0:
            need = 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            return len(data) if back >= need else len(data) - back
        if byte < 0x80:
            break
    return len(data)


def _close_card(environment: Mapping[str, str]) -> None:
    """Be somebody who has closed the card of a first run: it takes lines from the panes."""
    state = environment.get("XDG_STATE_HOME")
    if state is not None:
        closed = Path(state) / "unspool" / "closed-cards.json"
        closed.parent.mkdir(parents=True, exist_ok=True)
        closed.write_text('{"cards": ["app"]}')


class Terminal:
    """A program in a pseudo-terminal."""

    def __init__(
        self, command: list[str], *, size: tuple[int, int] = (100, 30), env: Mapping[str, str] | None = None
    ) -> None:
        self.screen = Screen(*size)
        self.written = b""
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
        self.before = termios.tcgetattr(slave)
        self._slave = slave
        environment = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor", **(env or {})}
        environment.pop("NO_COLOR", None)
        _close_card(environment)
        self.process = subprocess.Popen(
            command, stdin=slave, stdout=slave, stderr=slave, env=environment, start_new_session=True
        )

    def read(self, seconds: float) -> bool:
        """Take what the program wrote meanwhile; say whether it wrote anything."""
        ready, _, _ = select.select([self._master], [], [], seconds)
        if not ready:
            return False
        try:
            data = os.read(self._master, 1 << 16)
        except OSError:
            return False
        self.written += data
        self.screen.feed(data)
        return bool(data)

    def wait_for(self, pattern: str) -> re.Match[str]:
        """Wait until the screen shows something."""
        end = monotonic() + PATIENCE
        while True:
            found = re.search(pattern, self.screen.text)
            if found is not None:
                return found
            assert monotonic() < end, f"{pattern!r} never came; the screen shows:\n{self.screen.text}"
            assert self.process.poll() is None or self.read(0), f"the program left:\n{self.screen.text}"
            self.read(0.05)

    def send(self, *keys: str) -> None:
        """Press keys; a word that is no key name is typed."""
        for key in keys:
            os.write(self._master, KEYS.get(key, key.encode()))

    def vanish(self) -> None:
        """Close the terminal as a killed multiplexer does: no signal, nothing to read, nobody who takes what is written."""
        os.close(self._slave)
        os.close(self._master)
        self._master = self._slave = -1

    def resize(self, width: int, height: int) -> None:
        """Give the terminal another size; what was on it is gone, as the program draws everything anew."""
        before, self.screen = self.screen, Screen(width, height)
        self.screen.modes, self.screen.rest = before.modes, before.rest
        fcntl.ioctl(self._slave, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))
        self.process.send_signal(signal.SIGWINCH)

    def wait(self) -> int:
        """Wait until the program has left; return its exit code."""
        end = monotonic() + PATIENCE
        while self.process.poll() is None:
            assert monotonic() < end, f"the program never left; the screen shows:\n{self.screen.text}"
            self.read(0.05)
        while self.read(0):
            pass
        return self.process.returncode

    def restored(self) -> bool:
        """Whether the program put the terminal back: no alternate screen, no mouse, a cursor, the line settings."""
        left_on = self.screen.modes & {"1049", "1000", "1002", "1003", "1006", "1015", "2004"}
        return not left_on and "25" in self.screen.modes and termios.tcgetattr(self._slave) == self.before

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
        for descriptor in (self._master, self._slave):
            if descriptor >= 0:
                os.close(descriptor)


def unspool(*args: str, **options: object) -> Terminal:
    """Run the command line in a terminal."""
    return Terminal([sys.executable, "-m", "unspool_tui.cli", *args], **options)  # type: ignore[arg-type]
