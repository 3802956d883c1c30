"""A program in a terminal of its own, while ours shows its recording; and what the command that records it says meanwhile.

The program runs in front at first: what it prints is shown, what is typed is its. While the screen is up it goes on behind
it, and what it prints is kept. When the person leaves the screen, that is shown, and the program is in front again.
"""

from __future__ import annotations

import errno
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType, TracebackType
from typing import Any, Final, Self

from unspool.errors import ConfigError
from unspool_tui.live_programs import Message, status_messages

with suppress(ImportError):
    # Windows has none of these; `unspool run` says so before it comes here.
    import fcntl
    import pty
    import termios
    import tty

_KEPT: Final = 256 * 1024
"""Bytes of what the program prints behind the screen that are kept; the newest."""
_CHUNK: Final = 1 << 16
_LOOK_S: Final = 0.1
_ENDING_S: Final = 10.0

_SCREEN_KEY: Final = b"\x1d"
"""Ctrl-], which telnet leaves by, and hardly a program reads."""
_END_OF_INPUT: Final = b"\x04"

_SHOW_AGAIN: Final[Message] = {"recorded": True}


class TerminalStatus:
    """The other end: how the command that records tells the one that shows the screen how far it is."""

    def __init__(
        self, descriptor: int, watch: Callable[[list[str]], None], gone: Callable[[], object] = lambda: None
    ) -> None:
        """Take the terminal for this process and those it starts, and listen.

        Args:
            descriptor: of the socket that was inherited.
            watch: is told which names to watch, in a thread.
            gone: is called there when nobody shows the recording any more.

        Raises:
            ConfigError: there is no such socket.
        """
        try:
            os.set_inheritable(descriptor, False)
            self._socket = socket.socket(fileno=descriptor)
            if os.getsid(0) == os.getpid():
                fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        except OSError as error:
            raise ConfigError(f"--status: {error.strerror or error}") from None
        self._watch = watch
        self._gone = gone
        threading.Thread(target=self._listen, name="unspool status", daemon=True).start()

    def say(self, **message: Any) -> None:
        """Tell something; nobody may be there any more."""
        with suppress(OSError):
            self._socket.sendall(json.dumps(message).encode() + b"\n")

    def _listen(self) -> None:
        for message in status_messages(self._socket):
            names = message.get("watch")
            if isinstance(names, list):
                self._watch([str(name) for name in names])
        self._gone()


class ProgramTerminal:
    """A command that records a program, in a terminal of its own."""

    def __init__(self, command: Sequence[str]) -> None:
        """Start it.

        Args:
            command: our own command line; `--status` and the number of a socket are added.

        Raises:
            ConfigError: there is no terminal to be had.
        """
        ours, theirs = socket.socketpair()
        try:
            self._master, slave = pty.openpty()
        except OSError as error:
            raise ConfigError(f"no terminal can be made for the program ({error.strerror}); use --headless") from None
        self._match_size()
        place = theirs.fileno()
        words = [sys.executable, "-m", "unspool_tui.cli", command[0], "--status", str(place), *command[1:]]
        try:
            self._process = subprocess.Popen(
                words, stdin=slave, stdout=slave, stderr=slave, start_new_session=True, pass_fds=[place]
            )
        finally:
            os.close(slave)
            theirs.close()
        self._status = ours
        self._rest = b""
        self._kept = bytearray()
        self._hears = True
        self._is_behind = False
        self._is_open = True

    @property
    def code(self) -> int | None:
        """The command's exit code, once it ended."""
        return self._process.poll()

    def in_front(self, until: Callable[[Message], bool] = lambda _: False) -> Message | None:
        """Let the program have our terminal.

        Args:
            until: is shown each message of the command; when it says so, that is returned.

        Returns:
            The message, one that says `recorded` where Ctrl-] was pressed, or None when the command ended.
        """
        with self._raw(), self._sized():
            while self._is_open:
                watched: list[Any] = [self._master, 0] if sys.stdin.isatty() else [self._master]
                if self._hears:
                    watched.append(self._status)
                ready, _, _ = select.select(watched, [], [], _LOOK_S)
                if self._master in ready:
                    self._show(self._read())
                if 0 in ready and self._type():
                    return dict(_SHOW_AGAIN)
                if self._status in ready:
                    message = self._heard(until)
                    if message is not None:
                        self._show_rest()
                        return message
                if not ready and self.code is not None:
                    return None
        return None

    @contextmanager
    def behind(self) -> Iterator[None]:
        """Keep what the program prints while the screen has our terminal, and show it in the end."""
        reader = threading.Thread(target=self._keep, name="unspool program", daemon=True)
        self._is_behind = True
        reader.start()
        try:
            yield
        finally:
            self._is_behind = False
            reader.join()
            kept, self._kept = bytes(self._kept), bytearray()
            self._show(kept)

    def tell(self, **message: Any) -> None:
        """Tell the command something; it may have ended."""
        with suppress(OSError):
            self._status.sendall(json.dumps(message).encode() + b"\n")

    def interrupt(self) -> None:
        """Do what Ctrl-C in the program's terminal does."""
        with suppress(OSError):
            os.write(self._master, b"\x03")

    def close(self) -> int:
        """Take the terminal away: what still runs in it is told so, as when a window is closed.

        Returns:
            The command's exit code.
        """
        self._status.close()
        if self.code is None:
            self._process.send_signal(signal.SIGHUP)
        if self._master >= 0:
            os.close(self._master)
            self._master = -1
        try:
            return self._process.wait(_ENDING_S)
        except subprocess.TimeoutExpired:
            # A program that does not want to end is not made to; it is nobody's any more.
            return 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _heard(self, until: Callable[[Message], bool]) -> Message | None:
        try:
            data = self._status.recv(_CHUNK)
        except OSError:
            data = b""
        if not data:
            # The command is about to end; what it prints is still read.
            self._hears = False
            return None
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            message: Message = json.loads(line)
            if until(message):
                return message
        return None

    def _read(self) -> bytes:
        try:
            data = os.read(self._master, _CHUNK)
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            # Nobody has the other end open any more.
            data = b""
        self._is_open = self._is_open and bool(data)
        return data

    def _show(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(1, view) :]

    def _show_rest(self) -> None:
        """Show what the command printed before it told something."""
        while self._is_open and select.select([self._master], [], [], 0)[0]:
            self._show(self._read())

    def _type(self) -> bool:
        """Pass on what is typed; say whether the screen is wanted."""
        data = os.read(0, _CHUNK)
        typed, wanted, _ = data.partition(_SCREEN_KEY)
        with suppress(OSError):
            os.write(self._master, typed if wanted else data or _END_OF_INPUT)
        return bool(wanted)

    def _keep(self) -> None:
        while self._is_behind and self._is_open:
            ready, _, _ = select.select([self._master], [], [], _LOOK_S)
            if ready:
                self._kept += self._read()
                del self._kept[:-_KEPT]

    @contextmanager
    def _raw(self) -> Iterator[None]:
        """Pass each key on as it is typed, Ctrl-C too: what it does is the business of the program's own terminal."""
        if not sys.stdin.isatty():
            yield
            return
        before = termios.tcgetattr(0)
        tty.setraw(0, termios.TCSADRAIN)
        try:
            yield
        finally:
            termios.tcsetattr(0, termios.TCSADRAIN, before)

    @contextmanager
    def _sized(self) -> Iterator[None]:
        """Have the program's terminal be as large as ours, whenever ours changes its size."""

        def changed(_: int, __: FrameType | None) -> None:
            self._match_size()

        before = signal.signal(signal.SIGWINCH, changed)
        self._match_size()
        try:
            yield
        finally:
            signal.signal(signal.SIGWINCH, before)

    def _match_size(self) -> None:
        with suppress(OSError):
            termios.tcsetwinsize(self._master, termios.tcgetwinsize(1))


__all__ = ["ProgramTerminal", "TerminalStatus"]
