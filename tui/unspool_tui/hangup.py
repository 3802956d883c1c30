"""A terminal that goes away while the app is in it: nothing may block on it, and the app ends.

A closed window does not always send SIGHUP (a multiplexer that was killed, a session of its own), and then reading
returns at once for ever while writing fails.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO


class LastingOutput:
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
def outlasting_the_terminal() -> Iterator[None]:
    """Tell this process with SIGHUP when its terminal goes away, and let what is drawn meanwhile be lost."""
    output = sys.__stderr__
    if output is None or sys.platform == "win32" or not os.isatty(0):
        yield
        return
    threading.Thread(target=_tell_of_the_end, args=(0,), name="unspool-terminal", daemon=True).start()
    sys.__stderr__ = LastingOutput(output)  # type: ignore[assignment,misc]
    try:
        yield
    finally:
        sys.__stderr__ = output  # type: ignore[misc]


def _tell_of_the_end(descriptor: int) -> None:
    """Sleep until a terminal hangs up; asked for no event, `poll` tells of nothing else."""
    poll = select.poll()
    poll.register(descriptor, 0)
    if poll.poll():
        os.kill(os.getpid(), signal.SIGHUP)
