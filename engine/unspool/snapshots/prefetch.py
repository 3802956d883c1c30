"""Guessing the next states from the way a person scrubs, and warming them ahead (row N-73)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Final

_LONGEST_STEP: Final = 64
"""Positions between two reads beyond which they are jumps and tell no direction."""


class ScrubPredictor:
    """Remembers the last reads of one line of states and says which come next.

    Two reads within a short distance give a direction and a stride; the next states lie that way.
    """

    __slots__ = ("_last", "_line", "_stride")

    def __init__(self) -> None:
        self._line: Hashable = None
        self._last: int | None = None
        self._stride = 0

    def observe(self, line: Hashable, position: int) -> None:
        """Note a read.

        Args:
            line: what the position counts on, such as a chain's id; a read on another line starts afresh.
            position: the state read.
        """
        last = self._last if line == self._line else None
        step = 0 if last is None else position - last
        if step == 0 and last is not None:
            return
        self._stride = step if 0 < abs(step) <= _LONGEST_STEP else 0
        self._line, self._last = line, position

    def next_positions(self, count: int, first: int, last: int) -> tuple[int, ...]:
        """Return up to `count` positions that are likely read next, nearest first, within `first` to `last`."""
        if self._last is None or self._stride == 0:
            return ()
        guesses = (self._last + self._stride * ahead for ahead in range(1, count + 1))
        return tuple(guess for guess in guesses if first <= guess <= last)


class Prefetcher:
    """Runs warming jobs beside the caller, one at a time, newest wish first served.

    Jobs of an older wish that did not start yet are dropped: the person has moved on.
    """

    def __init__(self, executor: Executor | None = None) -> None:
        """Choose where jobs run.

        Args:
            executor: where; a thread of our own, started with the first job, when None.
        """
        self._executor = executor
        self._owns_executor = executor is None
        self._lock = threading.Lock()
        self._waiting: list[Future[None]] = []

    def want(self, jobs: list[Callable[[], None]]) -> None:
        """Ask for jobs to be run, and drop what was asked for before and has not started."""
        with self._lock:
            for future in self._waiting:
                future.cancel()
            if self._executor is None:
                self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="unspool-prefetch")
            self._waiting = [self._executor.submit(job) for job in jobs]

    def wait(self, timeout: float | None = None) -> None:
        """Wait until what was asked for last is done; an error in a job is raised here.

        Args:
            timeout: seconds to wait for each job.
        """
        with self._lock:
            waiting = list(self._waiting)
        for future in waiting:
            if not future.cancelled():
                future.result(timeout)

    def close(self) -> None:
        """Drop what has not started, and end our own thread."""
        with self._lock:
            for future in self._waiting:
                future.cancel()
            self._waiting = []
            if self._owns_executor and self._executor is not None:
                self._executor.shutdown(wait=True, cancel_futures=True)
                self._executor = None
