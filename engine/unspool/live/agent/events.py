"""Seeing what a program does by `sys.monitoring`: after each store, around calls into C, at the ends of functions.

Everything else stays at full speed: an instruction that is of no interest is disabled at its first event.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from types import (
    CodeType,
    FrameType,
    FunctionType,
    MethodType,
)
from typing import Any

from unspool.live.agent.following import LOST, local_value, stored_attribute
from unspool.live.agent.libraries import FUNCTIONS_IN_C, LEAST_PATIENCE, PATIENCE, CallsIntoC, LibraryCalls
from unspool.live.agent.notes import EXECUTES, Notes, TracedCalls
from unspool.live.agent.recording import Session
from unspool.live.agent.sites import CodeSites, Site, argument_names
from unspool.live.agent.whereabouts import running_frames

_TOOL_IDS = (3, 4)
_NAME = "unspool"
_TOOLS = 6
"""Numbers that `sys.monitoring` has for tools."""


class HeldByAnother(Exception):
    """Both tool numbers are taken."""


class Monitoring:
    """The events of one session."""

    how = "monitoring"

    def __init__(self, session: Session) -> None:
        """Take a tool number.

        Args:
            session: gets what happens.

        Raises:
            HeldByAnother: names who holds them.
        """
        self._session = session
        self._traced = TracedCalls(session)
        self._monitoring: Any = vars(sys)["monitoring"]
        self._events = self._monitoring.events
        self._tool = self._take_tool()
        self._is_over = self._has_rival = False
        self._disabled: dict[int, tuple[CodeType, set[type]]] = {}
        self._notes = Notes(session)
        self._noted: dict[int, CodeType] = {}
        self._libraries = LibraryCalls(session, self._monitoring, self._tool)
        self._ending: dict[int, CodeType] = {}
        self._last_error = 0
        self._in_c = CallsIntoC(session, self._monitoring.DISABLE, self._rest)

    def _take_tool(self) -> int:
        holders = []
        for number in _TOOL_IDS:
            holder = self._monitoring.get_tool(number)
            if holder is None:
                self._monitoring.use_tool_id(number, _NAME)
                return number
            holders.append(f"{number} by {holder!r}")
        raise HeldByAnother(
            f"both tool numbers of sys.monitoring are taken ({', '.join(holders)}): end that tool first"
        )

    def start(self) -> None:
        """Begin to see events."""
        events, register = self._events, self._monitoring.register_callback
        register(self._tool, events.PY_START, self._on_start)
        register(self._tool, events.PY_RESUME, self._on_start)
        register(self._tool, events.PY_RETURN, self._on_return)
        register(self._tool, events.PY_YIELD, self._on_return)
        register(self._tool, events.INSTRUCTION, self._on_instruction)
        register(self._tool, events.LINE, self._on_line)
        register(self._tool, events.CALL, self._on_call)
        register(self._tool, events.C_RETURN, self._on_c_return)
        register(self._tool, events.C_RAISE, self._on_c_return)
        register(self._tool, events.PY_UNWIND, self._on_unwind)
        self._session.on_new_kinds = self._bring_back_kinds
        self._session.on_names = self._start_over
        self._session.on_owner = self._see_end
        self._session.on_more_code = self._look_at_more
        self._monitoring.set_events(self._tool, events.PY_START | events.PY_RESUME | events.PY_UNWIND)
        self._monitoring.restart_events()

    def stop(self) -> None:
        """See no more events, and give the tool number back."""
        if self._is_over:
            return
        self._is_over = True
        events = self._events
        self._monitoring.set_events(self._tool, 0)
        known = [sites.code for sites in self._session.codes.values()]
        for code in (*known, *self._libraries.codes(), *self._ending.values(), *self._noted.values()):
            self._monitoring.set_local_events(self._tool, code, 0)
        for event in (
            events.PY_START, events.PY_RESUME, events.PY_RETURN, events.PY_YIELD, events.INSTRUCTION, events.LINE,
            events.CALL, events.C_RETURN, events.C_RAISE, events.PY_UNWIND,
        ):  # fmt: skip
            self._monitoring.register_callback(self._tool, event, None)
        self._monitoring.free_tool_id(self._tool)

    def prepare(self, code: CodeType, module: str) -> CodeSites | None:
        """See what a code object does from now on, if it belongs to the project."""
        session = self._session
        if id(code) in session.codes:
            return session.codes[id(code)]
        sites = session.sites_of(code, module)
        if sites is None:
            return None
        self._libraries.forget(code)
        self._look_for_rivals()
        self._monitoring.set_local_events(self._tool, code, self._events_of(sites, module))
        return sites

    def _look_for_rivals(self) -> None:
        """See lines too from now on, if another tool, such as coverage, watches the program by `sys.monitoring`.

        Where that is done with a line, the interpreter drops the instruction that begins it for all tools that do not see lines.
        """
        monitoring = self._monitoring
        if self._has_rival or not any(n != self._tool and monitoring.get_tool(n) for n in range(_TOOLS)):
            return
        self._has_rival = True
        for known in self._session.codes.values():
            wanted = monitoring.get_local_events(self._tool, known.code)
            monitoring.set_local_events(self._tool, known.code, wanted | self._events.LINE)

    def _events_of(self, sites: CodeSites, module: str) -> int:
        events, settle = self._events, self._session.settle
        wanted = events.NO_EVENTS
        if sites.after:
            wanted |= events.INSTRUCTION
        if sites.calls:
            wanted |= events.CALL
        if settle == "line" or self._has_rival:
            wanted |= events.LINE
        if sites.local_names:
            wanted |= events.PY_START | events.PY_RETURN
        if self._session.on_line is not None:
            wanted |= events.LINE
        if self._session.on_returned is not None:
            wanted |= events.PY_RETURN
        if self._traced.wants(sites.code, module):
            wanted |= events.PY_START | events.PY_RETURN
        return int(wanted)

    def _see_end(self, code: CodeType) -> None:
        """See the ends of a function that changed something, and its beginnings, before which others' changes settle."""
        if id(code) in self._ending:
            return
        self._ending[id(code)] = code
        events = self._events
        wanted = events.PY_RETURN | events.PY_YIELD
        if self._session.settle == "return":
            wanted |= events.PY_START | events.PY_RESUME
        self._monitoring.set_local_events(
            self._tool, code, self._monitoring.get_local_events(self._tool, code) | wanted
        )

    # What a disabled instruction missed comes back.

    def _rest(self, code: CodeType, kinds: set[type]) -> Any:
        """Disable an instruction that missed too often, until it is brought back."""
        known = self._disabled.get(id(code))
        if known is None:
            self._disabled[id(code)] = (code, set(kinds))
        else:
            known[1].update(kinds)
        self._session.doubt = True
        return self._monitoring.DISABLE

    def bring_back(self) -> None:
        """Enable again what was disabled."""
        self._libraries.bring_back()
        self._look_for_rivals()
        disabled, self._disabled = self._disabled, {}
        for code, _ in disabled.values():
            self._enable(code)

    def _bring_back_kinds(self, kinds: set[type]) -> None:
        for number, (code, missed) in list(self._disabled.items()):
            if not missed.isdisjoint(kinds):
                del self._disabled[number]
                self._enable(code)

    def _enable(self, code: CodeType) -> None:
        wanted = self._monitoring.get_local_events(self._tool, code)
        self._monitoring.set_local_events(self._tool, code, 0)
        self._monitoring.set_local_events(self._tool, code, wanted)

    # Events.

    def _on_start(self, code: CodeType, offset: int) -> Any:
        session = self._session
        try:
            known = session.codes.get(id(code))
            frame = sys._getframe(1)
            if known is None:
                if self._notes.is_wanted and self._is_noted(code):
                    self._in_turn(self._notes.began, frame)
                    return None
                if not session.where.is_looked_into(code) and not session.began_with(code, frame):
                    return self._libraries.started(code, frame)
                if not session.enter():
                    return self._monitoring.DISABLE
            elif not self._libraries.is_called_back(code) and not self._wants_starts(known, frame):
                return self._monitoring.DISABLE
            elif not session.enter():
                return None
            try:
                return self._started(code, known, frame)
            finally:
                session.leave()
        except BaseException as error:  # noqa: BLE001 - the program must not see a fault of ours
            session.fault(error)
        return None

    def _started(self, code: CodeType, known: CodeSites | None, frame: FrameType) -> Any:
        session, module = self._session, str(frame.f_globals.get("__name__", ""))
        if session.has_dirty_of_another(frame) and (known is not None or session.settle == "return"):
            session.settle_now(frame.f_back)
        if known is None:
            known = self.prepare(code, module)
            if known is None:
                return self._monitoring.DISABLE
        is_own = session.where.owns(code)
        answer = self._libraries.calls_back(code, frame, self._rest) if is_own else self._monitoring.DISABLE
        if known.local_names:
            self._entered(known, frame)
        if self._traced.wants(code, module):
            self._traced.began(known, frame, module)
        return None if answer is None or self._wants_starts(known, frame) else answer

    def _is_noted(self, code: CodeType) -> bool:
        if id(code) in self._noted:
            return True
        if not self._notes.wants(code):
            return False
        self._noted[id(code)] = code
        events = self._events
        self._monitoring.set_local_events(self._tool, code, events.PY_START | events.PY_RETURN)
        return True

    def _in_turn(self, call: Callable[[FrameType], object], frame: FrameType) -> None:
        if self._session.enter():
            try:
                call(frame)
            finally:
                self._session.leave()

    def _wants_starts(self, sites: CodeSites, frame: FrameType) -> bool:
        return bool(
            id(sites.code) in self._ending
            or sites.local_names
            or self._traced.wants(sites.code, str(frame.f_globals.get("__name__", "")))
        )

    def _entered(self, sites: CodeSites, frame: FrameType) -> None:
        """Take the arguments of a function whose locals are watched."""
        code = sites.code
        if self._take_locals(sites, frame, argument_names(code)):
            place = self._session.where.places.of(code, code.co_firstlineno)
            self._session.rebind(place, frame, must_look=True)

    def _take_locals(self, sites: CodeSites, frame: FrameType, names: Iterable[str]) -> bool:
        """Take what watched ones among some locals are now; return whether any is watched."""
        frames = self._session.names.frames[sites.code.co_qualname]
        found = False
        for name in names:
            if name in sites.local_names or "*" in sites.local_names:
                frames.set(id(frame), name, local_value(frame, name, sites))
                found = True
        return found

    def _on_instruction(self, code: CodeType, offset: int) -> Any:
        session = self._session
        try:
            sites = session.codes.get(id(code))
            if sites is None:
                return self._monitoring.DISABLE
            found, coming = sites.after.get(offset), sites.before.get(offset) if session.exact else None
            if found is None and coming is None:
                return self._monitoring.DISABLE
            if not session.enter():
                return None
            try:
                frame = sys._getframe(1)
                is_resting = None if found is None else self._after_stores(found, sites, frame)
                if coming is not None:
                    session.look_at_all(coming, frame)
                return is_resting
            finally:
                session.leave()
        except BaseException as error:  # noqa: BLE001 - the program must not see a fault of ours
            session.fault(error)
        return None

    def _after_stores(self, found: list[Site], sites: CodeSites, frame: FrameType) -> Any:
        session = self._session
        is_resting = True
        for site in found:
            if session.touched(site, sites, frame):
                site.misses = 0
                site.patience = PATIENCE
                is_resting = False
                continue
            site.misses += 1
            if session.exact or site.roots or site.misses < site.patience:
                is_resting = False
        if not is_resting:
            return None
        kinds: set[type] = set()
        for site in found:
            site.misses = 0
            site.patience = max(LEAST_PATIENCE, site.patience // 2)
            kinds |= site.kinds
            site.kinds = set()
        return self._rest(sites.code, kinds)

    def _on_line(self, code: CodeType, line: int) -> Any:
        session = self._session
        try:
            if session.on_line is not None:
                session.on_line(sys._getframe(1), line)
            if session.settle == "line" and session.has_dirty_elsewhere(code, line) and session.enter():
                try:
                    session.settle_now(sys._getframe(1))
                finally:
                    session.leave()
        except BaseException as error:  # noqa: BLE001 - the program must not see a fault of ours
            session.fault(error)
        return None

    def _on_return(self, code: CodeType, offset: int, value: Any) -> Any:
        session = self._session
        try:
            if code in self._libraries:
                self._libraries.ended(code, sys._getframe(1))
                return None
            if id(code) in self._noted:
                self._in_turn(self._notes.ended, sys._getframe(1))
                return None
            sites = session.codes.get(id(code))
            if sites is None:
                if id(code) not in self._ending:
                    return self._monitoring.DISABLE
                sites = CodeSites(code)
            frame = sys._getframe(1)
            if session.on_returned is not None:
                session.on_returned(frame)
            is_traced = self._traced.wants(code, str(frame.f_globals.get("__name__", "")))
            if (session.settles(frame) or sites.local_names or is_traced) and session.enter():
                try:
                    if session.settles(frame):
                        session.settle_now(frame, **session.call_action(frame))
                    if sites.local_names:
                        session.left(frame, session.where.places.of(code, frame.f_lineno or 0))
                    if is_traced:
                        self._traced.ended(frame, value)
                finally:
                    session.leave()
        except BaseException as error:  # noqa: BLE001 - the program must not see a fault of ours
            session.fault(error)
        return None

    def _on_unwind(self, code: CodeType, offset: int, error: BaseException) -> Any:
        session = self._session
        try:
            sites = session.codes.get(id(code))
            if sites is None and code in self._libraries:
                self._libraries.ended(code, sys._getframe(1))
            if sites is None and id(code) in self._noted:
                self._in_turn(self._notes.ended, sys._getframe(1))
            if sites is None or not session.enter():
                return None
            try:
                frame = sys._getframe(1)
                is_new = self._last_error != id(error) and session.where.owns(code)
                if is_new and not isinstance(error, StopIteration | StopAsyncIteration | GeneratorExit):
                    self._last_error = id(error)
                    session.raised(frame, sites, error)
                elif session.settles(frame):
                    session.settle_now(frame)
                if sites.local_names:
                    session.left(frame, session.where.places.of(code, frame.f_lineno or 0))
            finally:
                session.leave()
        except BaseException as fault:  # noqa: BLE001 - the program must not see a fault of ours
            session.fault(fault)
        return None

    # Calls into C, and into libraries.

    def _on_call(self, code: CodeType, offset: int, function: Any, first: Any) -> Any:
        try:
            kind = type(function)
            if self._notes.is_wanted and kind in FUNCTIONS_IN_C and function.__name__ in EXECUTES:
                self._in_turn(lambda frame: self._notes.calls(code, offset, function, first, frame), sys._getframe(1))
                return None
            if kind is FunctionType or kind is MethodType:
                return self._on_python_call(code, function)
            called = LOST if kind in FUNCTIONS_IN_C else stored_attribute(kind, "__call__")
            if type(called) is FunctionType:
                return self._on_python_call(code, called)
            return self._in_c.began(code, offset, function, first, sys._getframe(1))
        except BaseException as error:  # noqa: BLE001 - the program must not see a fault of ours
            self._session.fault(error)
        return None

    def _on_python_call(self, code: CodeType, function: Any) -> Any:
        """See the end of a library's function that the project calls: it may change what it was given."""
        if self._libraries.calls(function):
            return self._rest(code, set())
        return None if self._session.exact else self._monitoring.DISABLE

    def _on_c_return(self, code: CodeType, offset: int, function: Any, first: Any) -> Any:
        session = self._session
        try:
            sites = session.codes.get(id(code))
            if sites is None:
                return None
            frame = sys._getframe(1)
            if self._notes.is_wanted and getattr(function, "__name__", "") in EXECUTES:
                self._in_turn(lambda _: self._notes.returned(offset), frame)
            self._in_c.ended(sites, offset, function, first, frame)
        except BaseException as error:  # noqa: BLE001 - the program must not see a fault of ours
            session.fault(error)
        return None

    def _look_at_more(self) -> None:
        """See what code does that was passed over before modules were looked into."""
        self._monitoring.restart_events()
        self.instrument_running()

    def _start_over(self) -> None:
        """Read all code anew, for other names."""
        for code, _ in self._disabled.values():
            self._enable(code)
        self._disabled.clear()
        self._monitoring.restart_events()
        self.instrument_running()

    def instrument_running(self) -> None:
        """See what functions do that run already, in any thread, and take those of their locals that are watched."""
        for top in running_frames():
            frame: FrameType | None = top
            holding: list[tuple[CodeSites, FrameType]] = []
            while frame is not None:
                sites = self.prepare(frame.f_code, str(frame.f_globals.get("__name__", "")))
                if sites is not None and sites.local_names:
                    holding.append((sites, frame))
                frame = frame.f_back
            # Of a recursion those of the innermost call count.
            for sites, frame in reversed(holding):
                code = frame.f_code
                self._take_locals(sites, frame, (*code.co_varnames, *code.co_cellvars, *code.co_freevars))

    @property
    def has_disabled(self) -> bool:
        """Whether anything was disabled."""
        return bool(self._disabled)
