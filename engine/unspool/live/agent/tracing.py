"""Seeing stores by `sys.settrace`: for Python 3.11, which has no `sys.monitoring`, and for tests up to Python 3.12.

The same sites are looked at after the same instructions. Calls into C hand nothing over here, so the source of each call
says which containers it may change. Functions without sites are not traced.
"""

from __future__ import annotations

import dis
import sys
import threading
from types import FrameType
from typing import Any

from unspool.live.agent.following import local_value
from unspool.live.agent.libraries import is_called_back, took_before
from unspool.live.agent.notes import Notes, TracedCalls
from unspool.live.agent.recording import Session
from unspool.live.agent.sites import CodeSites, argument_names


class HeldByTracer(Exception):
    """Another tool traces the program."""


class Tracing:
    """The trace functions of one session."""

    how = "settrace"

    def __init__(self, session: Session) -> None:
        """Prepare.

        Args:
            session: gets what happens.

        Raises:
            HeldByTracer: a debugger or coverage traces the program already.
        """
        holder = sys.gettrace()
        if holder is not None:
            raise HeldByTracer(
                f"sys.settrace is taken by {type(holder).__module__}.{type(holder).__qualname__}: end that tool first"
            )
        self._session = session
        session.reads_calls = True
        self._notes = Notes(session)
        self._traced = TracedCalls(session)
        self._raising: dict[int, BaseException] = {}
        self._last_error = 0
        self._is_over = False

    def start(self) -> None:
        """Begin to see events, in this thread and those that start later."""
        # Python 3.12 traces instructions from the `settrace` on that comes after the first frame has asked for them.
        frame = sys._getframe()
        frame.f_trace_opcodes, asked = True, frame.f_trace_opcodes
        threading.settrace(self._on_call)
        sys.settrace(self._on_call)
        frame.f_trace_opcodes = asked
        # It would hold itself, and all frames that called it.
        del frame

    def stop(self) -> None:
        """See no more events."""
        self._is_over = True
        self._raising.clear()
        if threading.gettrace() == self._on_call:
            threading.settrace(None)
        if sys.gettrace() == self._on_call:
            sys.settrace(None)

    def _on_call(self, frame: FrameType, event: str, argument: Any) -> Any:
        if self._is_over:
            return None
        session, code = self._session, frame.f_code
        try:
            sites = session.codes.get(id(code))
            if sites is None:
                if self._notes.is_wanted and event == "call" and self._notes.wants(code):
                    with_turn(session, lambda: self._notes.began(frame))
                    return self._on_noted
                is_own = session.where.is_looked_into(code) or session.began_with(code, frame)
                if not is_own or not session.enter():
                    return None
                try:
                    sites = session.sites_of(code, str(frame.f_globals.get("__name__", "")))
                finally:
                    session.leave()
            module = str(frame.f_globals.get("__name__", ""))
            is_traced = sites is not None and self._traced.wants(code, module)
            if sites is None or not (
                sites.after or sites.local_names or is_traced or session.settle == "call" or session.on_line
            ):
                return None
            frame.f_trace_opcodes = bool(sites.after)
            if is_called_back(session, frame) and session.where.owns(code):
                with_turn(session, lambda: took_before(session, frame))
            if sites.local_names:
                with_turn(session, lambda: self._entered(sites, frame))
            if is_traced and _operation(frame) == ("RESUME", 0):
                with_turn(session, lambda: self._traced.began(sites, frame, module))
        except BaseException as error:  # noqa: BLE001 - the program must not see a fault of ours
            session.fault(error)
            return None
        return self._on_event

    def _entered(self, sites: CodeSites, frame: FrameType) -> None:
        code, session = sites.code, self._session
        for name in argument_names(code):
            if name in sites.local_names or "*" in sites.local_names:
                session.names.frames[code.co_qualname].set(id(frame), name, local_value(frame, name, sites))
        session.rebind(session.where.places.of(code, code.co_firstlineno), frame, must_look=True)

    def _on_noted(self, frame: FrameType, event: str, argument: Any) -> Any:
        try:
            if event == "return" and not self._is_over:
                with_turn(self._session, lambda: self._notes.ended(frame))
        except BaseException as error:  # noqa: BLE001 - the program must not see a fault of ours
            self._session.fault(error)
        return self._on_noted

    def _on_event(self, frame: FrameType, event: str, argument: Any) -> Any:
        if self._is_over:
            return None
        session = self._session
        try:
            sites = session.codes.get(id(frame.f_code))
            if sites is None:
                return None
            if event == "exception":
                self._raising[id(frame)] = argument[1]
            elif event == "return":
                self._on_return(sites, frame, argument)
            else:
                if self._raising:
                    self._raising.pop(id(frame), None)
                self._on_instruction(sites, frame, event)
        except BaseException as error:  # noqa: BLE001 - the program must not see a fault of ours
            session.fault(error)
        return self._on_event

    def _on_instruction(self, sites: CodeSites, frame: FrameType, event: str) -> None:
        session = self._session
        if event == "line":
            if session.on_line is not None:
                session.on_line(frame, frame.f_lineno or 0)
            if session.settle == "line" and session.has_dirty_elsewhere(frame.f_code, frame.f_lineno or 0):
                with_turn(session, lambda: session.settle_now(frame))
            return
        found, coming = sites.after.get(frame.f_lasti, ()), sites.before.get(frame.f_lasti)
        is_handing = frame.f_lasti in sites.handing
        if not session.exact and not is_handing:
            coming = None
        if not (found or coming) or not session.enter():
            return
        try:
            for site in found:
                session.touched(site, sites, frame)
            if coming is not None and session.exact:
                session.look_at_all(coming, frame)
            elif coming is not None:
                session.prepare_for_lost(coming, frame)
        finally:
            session.leave()

    def _on_return(self, sites: CodeSites, frame: FrameType, value: Any) -> None:
        session = self._session
        error = self._raising.pop(id(frame), None)
        if session.on_returned is not None and error is None:
            session.on_returned(frame)
        if not session.enter():
            return
        try:
            if error is not None and id(error) != self._last_error and session.where.owns(frame.f_code):
                self._last_error = id(error)
                if not isinstance(error, StopIteration | StopAsyncIteration | GeneratorExit):
                    session.raised(frame, sites, error)
            if session.settles(frame):
                session.settle_now(frame, **session.call_action(frame))
            if sites.local_names:
                session.left(frame, session.where.places.of(frame.f_code, frame.f_lineno or 0))
            is_traced = error is None and self._traced.wants(frame.f_code, str(frame.f_globals.get("__name__", "")))
            if is_traced and _operation(frame)[0].startswith("RETURN"):
                self._traced.ended(frame, value)
        finally:
            session.leave()


def _operation(frame: FrameType) -> tuple[str, int]:
    """Return the instruction that a frame is at: a generator begins anew, and returns, at other ones than it goes on at."""
    code = frame.f_code.co_code
    return dis.opname[code[frame.f_lasti]], code[frame.f_lasti + 1]


def with_turn(session: Session, call: Any) -> None:
    """Call something in a turn of its own, where that is to be had."""
    if session.enter():
        try:
            call()
        finally:
            session.leave()
