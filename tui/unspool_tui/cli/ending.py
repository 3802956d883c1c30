"""Being told to end: Ctrl-C, SIGTERM and SIGHUP end any command within a second, and nothing stays behind.

A command is told by an exception, so that what it opened is closed on the way out. A question that can stop where it is
gets the first Ctrl-C as a wish instead, and answers with what it has. Whatever happens, a thread that the operating
system wakes ends the process in time: Python runs signal handlers in the main thread only, and not while that waits for
a lock, reads a database or lets go of millions of objects.
"""

from __future__ import annotations

import _thread
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Final

from unspool.system import ENDING

PATIENCE_S: Final = 0.4
"""Seconds that a question has to stop where it is, before it is interrupted."""
LAST_S: Final = 0.85
"""Seconds after which the process ends, whatever it is doing."""
_SIGNALS: Final = ENDING


class ToldToEnd(KeyboardInterrupt):
    """The process was told to end."""


class Interruption:
    """Whether a question is to stop where it is; asked now and then by what runs long.

    Attributes:
        came: it is.
    """

    def __init__(self) -> None:
        """Start uninterrupted."""
        self.came = False

    def __call__(self) -> bool:
        """Whether to stop."""
        return self.came


class _Ending:
    """What this process was told, and by which signal."""

    def __init__(self) -> None:
        self.signal = 0
        self.stoppable: Interruption | None = None
        self.is_over = False
        self.is_for_good = False

    def note(self, number: int, frame: FrameType | None) -> None:
        """Tell whatever runs in the main thread, once."""
        question, self.stoppable = self.stoppable, None
        if self.is_over or (self.signal and question is None):
            # It ends already.
            return
        is_first = not self.signal
        self.signal = self.signal or number
        if question is not None and number == signal.SIGINT and is_first:
            question.came = True
            self.stoppable = question
            return
        raise ToldToEnd

    def watch(self, descriptor: int) -> None:
        """Wait for a signal; from then on the process has little time."""
        while True:
            numbers = os.read(descriptor, 1)
            if not numbers:
                return
            if numbers[0] in _SIGNALS:
                break
        begun = time.monotonic()
        time.sleep(PATIENCE_S)
        if self.stoppable is not None and self.stoppable.came:
            # A signal, and not only its handler: the main thread may sleep.
            signal.raise_signal(signal.SIGINT) if not hasattr(signal, "pthread_kill") else signal.pthread_kill(
                threading.main_thread().ident or 0, signal.SIGINT
            )
        time.sleep(max(0.0, begun + LAST_S - time.monotonic()))
        # Where it was never loaded, nothing is left behind; to load it now could wait for a lock for ever.
        leftovers = sys.modules.get("unspool.files")
        if leftovers is not None:
            leftovers.remove_leftovers()
        os._exit(code_of(numbers[0]))


_ending = _Ending()


def code_of(number: int) -> int:
    """Return the exit code of a process that a signal ended, as shells tell it."""
    return 128 + number


def was_told() -> int:
    """Return the exit code that being told to end stands for; 0 when nobody did."""
    return code_of(_ending.signal) if _ending.signal else 0


def note_code(code: int) -> None:
    """Take note that something that listens to signals itself, as a screen does, ended by one if its code says so."""
    if code > code_of(0):
        _ending.signal = code - code_of(0)


def end_when_told() -> None:
    """From now on, end this process within a second of being told; for the process's own start only."""
    _ending.is_for_good = True
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    for number in _SIGNALS:
        # What is ignored from the start, as under nohup, stays so.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _ending.note)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    _thread.start_new_thread(_ending.watch, (reading,))


def is_ending() -> None:
    """Say that the command is over: being told to end from here on interrupts nothing any more."""
    _ending.is_over = True


@contextmanager
def interruptible() -> Iterator[Interruption]:
    """Turn the first Ctrl-C into a wish to stop; the second one, or one that is not heard, ends the command."""
    interruption = Interruption()
    if threading.current_thread() is not threading.main_thread():
        yield interruption
        return
    handler = signal.getsignal(signal.SIGINT)
    outer, _ending.stoppable = _ending.stoppable, interruption
    if handler is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, _ending.note)
    try:
        yield interruption
    finally:
        _ending.stoppable = outer
        if not _ending.is_for_good:
            # Somebody else's process, which goes on.
            _ending.signal = 0
        with suppress(TypeError):
            signal.signal(signal.SIGINT, handler)
