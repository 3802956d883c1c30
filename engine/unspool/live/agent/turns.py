"""Whose turn it is: events of all threads, the timer and the host's questions, one at a time; and faults of the agent.

A turn never outlasts its thread's patience, a forked child never has one, and what a signal's handler raises in the middle
of one goes on to the program.
"""

from __future__ import annotations

import _thread
import os
from collections.abc import Callable

from unspool.live.agent.wire import Outlet, short_name

_LOCK_SECONDS = 2.0
_MOST_FAULTS = 20


class Turns:
    """The one lock of a recording, and what became of turns that failed.

    Attributes:
        is_over: nothing is recorded any more.
        doubt: something may have changed that nobody saw.
        is_stale: a turn failed, or is in the middle of a look: the next one begins anew.
        on_event: called once, at the next event.
        on_too_many_faults: called when the agent had better be gone.
    """

    def __init__(self, link: Outlet) -> None:
        """Begin.

        Args:
            link: is told of faults.
        """
        self.link = link
        self.is_over = False
        self.doubt = self.is_stale = False
        self.faults: list[str] = []
        self.pid = os.getpid()
        self.turns = self._turns_seen = 0
        self.on_event: Callable[[], None] | None = None
        self.on_too_many_faults: Callable[[], None] = lambda: None
        self._lock = _thread.RLock()
        self._planned = 0
        self._patience: float = _LOCK_SECONDS

    def enter(self, *, is_planned: bool = False) -> bool:
        """Take the turn; return whether it was had: not in a forked child, nor within another turn of this thread.

        Args:
            is_planned: this is no event of the program.
        """
        if self.is_over:
            return False
        if not is_planned:
            self.turns += 1
            if self.on_event is not None and os.getpid() == self.pid:
                wake, self.on_event = self.on_event, None
                wake()
        if os.getpid() != self.pid:
            self.is_over = True
            self.link.close()
            return False
        me = _thread.get_ident()
        if self._lock._is_owned():  # type: ignore[attr-defined]
            if is_planned or self._planned == me:
                # Code of the program that a destructor ran in the middle of a look.
                self.doubt = True
                return False
            # No event comes while another is handled: a signal's handler ended that one before it gave the turn back.
            return self._is_renewed()
        if not self._lock.acquire(timeout=self._patience):
            self._patience = 0
            self.doubt = True
            return False
        self._patience = _LOCK_SECONDS
        if is_planned:
            self._planned = me
        return self._is_renewed()

    def _is_renewed(self) -> bool:
        """Begin anew in this turn where an earlier one failed; return whether there is still a turn."""
        if not self.is_stale:
            return True
        try:
            self.resync()
        except BaseException as error:
            self.leave()
            if not isinstance(error, Exception) or not _is_ours(error):
                raise
            # At a limit of the program itself it is tried again.
            self.is_over = not isinstance(error, RecursionError | MemoryError)
            return False
        self.is_stale = False
        return True

    def is_idle(self) -> bool:
        """Whether nothing happened in the program since this was last asked."""
        before, self._turns_seen = self._turns_seen, self.turns
        return before == self.turns

    def leave(self) -> None:
        """Give the turn back."""
        self._planned = 0
        if self._lock._is_owned():  # type: ignore[attr-defined]
            self._lock.release()

    def take_back(self) -> None:
        """Give back what a signal's handler left behind of a turn of this thread; called where no turn is under way."""
        self._planned = 0
        while self._lock._is_owned():  # type: ignore[attr-defined]
            self._lock.release()

    def fault(self, error: BaseException) -> None:
        """Take note of a fault of the agent; what the program's own code raised meanwhile is raised on.

        Raises:
            BaseException: a signal's handler raised it, or it asks the program to end.
        """
        # Another thread may have its turn now, so what is known is replaced in the next turn of this one or any other.
        self.is_stale = self.doubt = True
        if not isinstance(error, Exception) or not _is_ours(error):
            raise error
        if isinstance(error, RecursionError | MemoryError):
            # The program itself is at that limit.
            return
        if len(self.faults) < _MOST_FAULTS:
            self.faults.append(f"{short_name(type(error))}: {_last_line(error)}")
        try:
            self.link.send({"m": "error", "text": self.faults[-1], "fatal": False, "where": "agent"})
        except Exception:  # noqa: BLE001 - whatever it is, the program goes on
            self.is_over = True
        if len(self.faults) >= _MOST_FAULTS and not self.is_over:
            self.on_too_many_faults()

    def resync(self) -> None:
        """Begin anew: what was known can no longer be relied on."""
        raise NotImplementedError


_OWN_FILE = short_name.__code__.co_filename
_OWN_MODULES = frozenset(
    ("json", "ast", "dis", "re", "fnmatch", "weakref", "socket", "linecache", "tokenize", "enum")
)


def _is_ours(error: BaseException) -> bool:
    """Whether an exception was raised by the agent and what it calls, not by a signal's handler of the program."""
    trace = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        module = str(trace.tb_frame.f_globals.get("__name__", "")).partition(".")[0]
        if code.co_filename != _OWN_FILE and module not in _OWN_MODULES:
            return module == "unspool"
        trace = trace.tb_next
    return True


def _last_line(error: BaseException) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = f" ({trace.tb_frame.f_code.co_name}, line {trace.tb_lineno})" if trace is not None else ""
    return f"{error}"[:300] + place
