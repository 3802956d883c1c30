"""One entry is written at a time, and nobody ever waits for a call that cannot end.

No code of the app runs while a turn is taken, yet signal handlers, destructors and other threads run whenever they
like, and may record themselves. A call within a turn of its own thread is put in line and written when that turn
ends. So is one that waits longer than a write can take: it may hold what the turn is waiting for.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Final, Generic, TypeVar

Work = TypeVar("Work")

_LINE: Final = 64
"""Entries that may stand in line; each holds its whole state."""
_PATIENCE: Final = 2.0
"""Seconds that a call waits for its turn before it is put in line instead."""


class Turns(Generic[Work]):
    """Gives turns to calls."""

    def __init__(self, write: Callable[[Work, bool], int | None], failed: Callable[[Exception | None], None]) -> None:
        """Begin with nobody in line.

        Args:
            write: does one call's work, under the turn; also told whether it stood in line, so that nobody can do it
                once more.
            failed: told, after the turn, of each error of work that stood in line, and with None of work for which
                there was no room in it.
        """
        self._write = write
        self._failed = failed
        # It lets a thread in again, so that a signal handler never waits for the call that it interrupts.
        self._lock = threading.RLock()
        self._is_taken = False
        self._line: deque[Work] = deque()
        self._dropped = 0
        self._errors: list[Exception] = []
        self._afterwards: Callable[[], None] | None = None

    def take(self, work: Work) -> int | None:
        """Do a call's work, or put it in line.

        Returns:
            What `write` returned; None where it was put in line.
        """
        if not self._lock.acquire(timeout=_PATIENCE):
            self._put_in_line(work)
            self._serve_line()
            return None
        try:
            if self._is_taken:
                self._put_in_line(work)
                return None
            try:
                self._is_taken = True
                result = self._write(work, False)
            finally:
                try:
                    self._write_line()
                finally:
                    self._is_taken = False
        finally:
            self._lock.release()
        self._serve_line()
        return result

    def alone(self, work: Callable[[], None]) -> None:
        """Do something else under a turn; where this thread has one already, when that ends."""
        with self._lock:
            if self._is_taken:
                self._afterwards = work
                return
            try:
                self._is_taken = True
                self._write_line()
                work()
            finally:
                self._is_taken = False
        self._tell()

    def _put_in_line(self, work: Work) -> None:
        if len(self._line) < _LINE:
            self._line.append(work)
        else:
            self._dropped += 1

    def _write_line(self) -> None:
        while self._line:
            try:
                self._write(self._line.popleft(), True)
            except Exception as error:  # noqa: BLE001 - told after the turn, where code of the app may run
                self._errors.append(error)
        afterwards, self._afterwards = self._afterwards, None
        if afterwards is not None:
            try:
                afterwards()
            except Exception as error:  # noqa: BLE001 - as above
                self._errors.append(error)

    def _serve_line(self) -> None:
        """Write what came in line when nobody looked any more."""
        while self._line and self._lock.acquire(blocking=False):
            try:
                if self._is_taken:
                    return
                try:
                    self._is_taken = True
                    self._write_line()
                finally:
                    self._is_taken = False
            finally:
                self._lock.release()
        self._tell()

    def _tell(self) -> None:
        while self._errors:
            self._failed(self._errors.pop(0))
        while self._dropped:
            self._dropped -= 1
            self._failed(None)
