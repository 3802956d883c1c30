"""Library code between the program's own lines: what it changes belongs to the line that called it.

A library's function that the program calls, by whatever syntax, is seen at its end. Where it calls back into the program before
that, what it changed until then is looked for first. Functions in C hand over what they change; those that run others in C do not,
so everything is looked at before and after a call that is given such functions.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from types import (
    BuiltinFunctionType,
    CodeType,
    FrameType,
    FunctionType,
    GeneratorType,
    MethodDescriptorType,
    MethodType,
    MethodWrapperType,
    ModuleType,
    WrapperDescriptorType,
)
from typing import Any

from unspool.live.agent.following import CO_OPTIMIZED, LOST, Scope
from unspool.live.agent.graph import ANY, END
from unspool.live.agent.nodes import Node
from unspool.live.agent.recording import Session
from unspool.live.agent.shapes import dict_getter
from unspool.live.agent.sites import PURE, CodeSites, Place, argument_names
from unspool.live.agent.whereabouts import OUTWARDS, is_installed
from unspool.live.agent.wire import PLAIN, short_name, type_name

_MOST_FIELDS = 32
"""Fields of an object in a library's hands that are looked through for what is watched."""
_FEW_ITEMS = 8
_MOST_VALUES = 200
"""Values that a call of a library is looked through for what is watched."""
PATIENCE = 64
LEAST_PATIENCE = 4
_DEEP_LOOKS = 8
"""Looks at all that a library's function reaches, until only its arguments are looked at."""
_DEEP_EVERY = 5
"""Times that what rests is brought back, of which one looks at all again."""
_RESTART_EVERY = 25
"""Times that what rests is brought back, of which one brings back functions that libraries call."""
_OPERATOR_STARTS = 16
"""Calls of an operator's method until it is taken for one that the program does not use."""
_CO_RESUMED = 0x20 | 0x80 | 0x200
"""Flags of the code of generators, coroutines and asynchronous generators."""
_NOT_LOOKED_THROUGH = (type, ModuleType, FunctionType, MethodType)


def held_by(
    session: Session,
    frame: FrameType,
    *,
    is_deep: bool = False,
    on_generator: Callable[[CodeType], None] = lambda _: None,
) -> list[Node]:
    """Return what is watched of that which a call of a library was given, or holds on to.

    Args:
        session: knows what is watched.
        frame: the call.
        is_deep: not only its arguments and what they hold, but also its other variables, those of its module, and all below them.
        on_generator: is told of generators that it holds, which go on when it, or another call, asks them to.
    """
    values = _variables(frame, is_deep=is_deep)
    found: list[Node] = []
    level = len(values)
    for number, value in enumerate(values):
        kind = type(value)
        if kind in PLAIN or kind in _NOT_LOOKED_THROUGH:
            continue
        node = session.node_of(value)
        if node is not None:
            found.append(node)
        elif len(values) > _MOST_VALUES or (number >= level and not is_deep):
            continue
        elif kind in (tuple, list):
            values += value if len(value) < _FEW_ITEMS else ()
        elif kind is BuiltinFunctionType or kind is MethodWrapperType:
            # It changes what it belongs to, when the library calls it.
            values.append(value.__self__)
        elif type_name(kind) == "functools.partial":
            values += (value.func, *value.args[:_FEW_ITEMS])
        elif kind is dict:
            values += value.values() if len(value) < _FEW_ITEMS else ()
        elif (fields_of := dict_getter(kind)) is not None and len(fields := fields_of(value)) < _MOST_FIELDS:
            for field in fields.values():
                values.append(field)
                if type(field) is GeneratorType:
                    on_generator(field.gi_code)
                    values += _variables(field.gi_frame, is_deep=is_deep)
    return found


def _variables(frame: FrameType | None, *, is_deep: bool) -> list[Any]:
    """Return what the variables of a call are now: arguments, what a decorator's wrapper has from around it, or all, its module's with them."""
    if frame is None or not frame.f_code.co_flags & CO_OPTIMIZED:
        return []
    code = frame.f_code
    scope = Scope(frame, CodeSites(code))
    names = (*argument_names(code), *code.co_freevars)
    if is_deep:
        names = (*code.co_varnames, *code.co_cellvars, *code.co_freevars, *code.co_names)
    return [scope.value(name) for name in names]


def took_before(session: Session, frame: FrameType) -> bool:
    """Make an entry of what libraries changed before they called a function of the program.

    Returns:
        whether they have anything in hand that is watched.
    """
    nodes: list[Node] = []
    outer = frame.f_back
    for _ in range(OUTWARDS):
        if outer is None:
            return False
        if session.where.owns(outer.f_code):
            break
        nodes += held_by(session, outer)
        outer = outer.f_back
    else:
        return False
    if nodes:
        _blame(session, outer, nodes)
    return bool(nodes)


def _blame(session: Session, caller: FrameType, nodes: list[Node]) -> None:
    """Make an entry of what a library changed, unless the program itself may have changed the same unseen."""
    if not session.has_lost:
        session.changed(session.where.places.of(caller.f_code, caller.f_lineno or 0), caller, nodes, below=True)


def is_called_back(session: Session, frame: FrameType) -> bool:
    """Whether a library called a function of the program."""
    outer = frame.f_back
    return outer is not None and not session.where.owns(outer.f_code)


class LibraryCalls:
    """The functions of libraries that the program calls, and its own that they call, while `sys.monitoring` tells of them."""

    def __init__(self, session: Session, monitoring: Any, tool: int) -> None:
        """Begin.

        Args:
            session: gets what happens.
            monitoring: `sys.monitoring`.
            tool: its number for us.
        """
        self._session = session
        self._monitoring = monitoring
        self._tool = tool
        self._ends = monitoring.events.PY_RETURN | monitoring.events.PY_YIELD
        self._called: dict[int, CodeType] = {}
        self._resting: dict[int, CodeType] = {}
        self._patience: dict[int, int] = {}
        self._deep_left: dict[int, int] = {}
        self._rounds = 0
        self._has_resting_callbacks = False
        self._starts: dict[int, int] = {}
        self._called_back: dict[int, CodeType] = {}

    def codes(self) -> list[CodeType]:
        """Return the libraries' code whose ends are seen."""
        return list(self._called.values())

    def __contains__(self, code: CodeType) -> bool:
        return id(code) in self._called

    def calls(self, function: Any) -> bool:
        """See the end of what the program calls, if it is a library's; return whether it is, but rests."""
        if type(function) is MethodType:
            function = function.__func__
        code = getattr(function, "__code__", None)
        if type(code) is not CodeType or not self._is_looked_at(code):
            return False
        if id(code) in self._resting:
            return True
        self._see_ends(code)
        return False

    def _is_looked_at(self, code: CodeType) -> bool:
        return not self._session.where.is_looked_into(code)

    def _see_ends(self, code: CodeType) -> None:
        if id(code) not in self._called:
            self._called[id(code)] = code
            self._monitoring.set_local_events(self._tool, code, self._ends)

    def started(self, code: CodeType, frame: FrameType) -> Any:
        """See the end of a library's function that the program calls without a call: an operator, a property, `with`, `for`."""
        caller = frame.f_back
        if code.co_filename.startswith("<"):
            return self._monitoring.DISABLE
        if caller is not None and self._session.where.owns(caller.f_code):
            self._see_ends(code)
            return self._monitoring.DISABLE
        if not code.co_name.startswith("__") or code.co_name == "__init__":
            return self._monitoring.DISABLE
        starts = self._starts[id(code)] = self._starts.get(id(code), 0) + 1
        return self._monitoring.DISABLE if starts > _OPERATOR_STARTS else None

    def is_called_back(self, code: CodeType) -> bool:
        """Whether libraries call a function of the program."""
        return id(code) in self._called_back

    def forget(self, code: CodeType) -> None:
        """No longer take a function for a library's: it is looked into."""
        self._called.pop(id(code), None)
        self._resting.pop(id(code), None)

    def bring_back(self) -> None:
        """See the ends again of what rests."""
        resting, self._resting = self._resting, {}
        self._rounds += 1
        if self._has_resting_callbacks and self._rounds % _RESTART_EVERY == 0:
            # The start of a function is an event of all code: no other way leads back to it.
            self._has_resting_callbacks = False
            self._monitoring.restart_events()
        for code in resting.values():
            self._deep_left[id(code)] = int(self._rounds % _DEEP_EVERY == 0)
            self._see_ends(code)

    def ended(self, code: CodeType, frame: FrameType) -> None:
        """Look at what a library's function changed that the program called, at the end of it."""
        session, caller = self._session, frame.f_back
        if code.co_flags & _CO_RESUMED:
            # What resumes it may be a library's too, as in `with`.
            _, caller = session.where.blamed(None, caller)
        if caller is None or not session.where.owns(caller.f_code):
            return
        deep = self._deep_left.get(id(code), _DEEP_LOOKS)
        nodes = held_by(session, frame, is_deep=deep > 0, on_generator=self._holds)
        if not nodes:
            self._deep_left[id(code)] = deep - 1
            if is_installed(code.co_filename):
                # It may hold on to something watched all the same.
                session.doubt = True
            self._missed(code)
            return
        self._patience[id(code)] = PATIENCE
        if session.enter():
            try:
                _blame(session, caller, nodes)
            finally:
                session.leave()

    def _holds(self, code: CodeType) -> None:
        if self._is_looked_at(code):
            self._see_ends(code)

    def _missed(self, code: CodeType) -> None:
        left = self._patience[id(code)] = self._patience.get(id(code), PATIENCE) - 1
        if left <= 0 and not self._session.exact:
            self._patience[id(code)] = LEAST_PATIENCE
            del self._called[id(code)]
            self._resting[id(code)] = code
            self._monitoring.set_local_events(self._tool, code, 0)
            self._session.doubt = True

    # The program's own functions that libraries call.

    def calls_back(self, code: CodeType, frame: FrameType, rest: Callable[[CodeType, set[type]], Any]) -> Any:
        """Take what libraries changed before they called a function of the program.

        Args:
            code: of the function.
            frame: its call; the turn is had.
            rest: disables an event until it is brought back.

        Returns:
            what the event is to be answered; None where more such calls are to be seen.
        """
        session = self._session
        if not is_called_back(session, frame):
            return self._monitoring.DISABLE if id(code) not in self._called_back else None
        self._called_back[id(code)] = code
        if took_before(session, frame):
            self._patience[id(code)] = PATIENCE
            return None
        left = self._patience[id(code)] = self._patience.get(id(code), PATIENCE) - 1
        if left > 0 or session.exact:
            return None
        self._patience[id(code)] = LEAST_PATIENCE
        self._has_resting_callbacks = True
        return rest(code, set())


FUNCTIONS_IN_C = (BuiltinFunctionType, MethodDescriptorType, MethodWrapperType, WrapperDescriptorType)
_LAZY = frozenset(("map", "filter", "zip", "enumerate", "starmap", "chain", "generator"))
"""Types whose instances run other code when they are read."""
_RUNNERS = (exec, eval)
_KINDS_IN_C = (list, dict, set, deque, bytearray)
_MOST_PARTIAL = 8


class CallsIntoC:
    """The functions in C that the program calls, while `sys.monitoring` tells of them."""

    def __init__(self, session: Session, disable: Any, rest: Callable[[CodeType, set[type]], Any]) -> None:
        """Begin.

        Args:
            session: gets what happens.
            disable: the answer that disables an event.
            rest: disables an event until it is brought back.
        """
        self._session = session
        self._disable = disable
        self._rest = rest
        self._patience: dict[tuple[int, int], int] = {}
        self._missed_kinds: dict[tuple[int, int], set[type]] = {}
        self._lines: dict[tuple[int, int], int] = {}
        """By code and offset: the line of a call."""

    def began(self, code: CodeType, offset: int, function: Any, first: Any, frame: FrameType) -> Any:
        """Look at what a call is about to change; return what its event is to be answered."""
        session = self._session
        sites = session.codes.get(id(code))
        if sites is None:
            return None
        if session.on_store is None and self._runs_others(sites, offset, first):
            look = session.look_at_all if session.exact else session.prepare_for_lost
            self._in_turn(lambda: look(self._place(code, offset, frame), frame))
            return None
        function, first = _whole(function, first)
        if type(function) in FUNCTIONS_IN_C:
            if function.__name__ in PURE:
                return self._disable
            node = self._changed(function, first)
            if node is not None:
                self._in_turn(lambda: session.look_before(node, self._place(code, offset, frame), frame))
            elif not session.exact and self._patience.get((id(code), offset), 1) <= 0:
                self._patience[id(code), offset] = LEAST_PATIENCE
                return self._rest(code, self._missed_kinds.pop((id(code), offset), set()))
            return None
        if short_name(type(first)) in _LAZY:
            # Its code runs when this reads it, whatever that changes.
            session.doubt = True
            return None
        return None if session.exact else self._disable

    def ended(self, sites: CodeSites, offset: int, function: Any, first: Any, frame: FrameType) -> None:
        """Look at what a call changed."""
        session, code = self._session, sites.code
        runs_others = self._runs_others(sites, offset, first)
        function, first = _whole(function, first)
        is_in_c = type(function) in FUNCTIONS_IN_C
        if is_in_c and function not in _RUNNERS:
            self._take_change(code, offset, function, first, frame)
        elif is_in_c or (session.exact and short_name(type(first)) in _LAZY):
            runs_others = True
        if runs_others and session.on_store is None:
            place = self._place(code, offset, frame)
            if session.exact:
                self._in_turn(lambda: session.look_at_all(place, frame, is_seen=True))
            else:
                self._in_turn(
                    lambda: session.looked_for_lost(place, frame, is_prepared=not is_in_c or function not in _RUNNERS)
                )

    def _runs_others(self, sites: CodeSites, offset: int, first: Any) -> bool:
        """Whether a call may run functions in C that the program handed over, to it or before."""
        return offset in sites.handing or (self._session.has_escapes and short_name(type(first)) in _LAZY)

    def _changed(self, function: Any, first: Any) -> Node | None:
        """Return what is watched of that which a function in C may change: what it belongs to, or what it is given first."""
        owner = getattr(function, "__self__", None)
        node = None if owner is None or type(owner) is ModuleType else self._session.node_of(owner)
        return self._session.node_of(first) if node is None else node

    def _take_change(self, code: CodeType, offset: int, function: Any, first: Any, frame: FrameType) -> None:
        session = self._session
        node = self._changed(function, first)
        owner = getattr(function, "__self__", None)
        target = first if owner is None or type(owner) is ModuleType else owner
        if node is not None and session.node_of(target) is None:
            target = first
        if session.on_store is not None:
            if type(target) in _KINDS_IN_C:
                session.on_store(target, self._place(code, offset, frame))
            return
        is_found = node is not None
        if node is None:
            node = session.grown_by_reading()
        if node is None and id(target) not in session.holders:
            if not session.exact:
                # Only the call itself can be disabled; what follows it cannot.
                self._count_miss(code, offset, type(target))
            return
        self._patience[id(code), offset] = PATIENCE
        place = self._place(code, offset, frame)
        if node is None:
            self._in_turn(lambda: session.rebind(place, frame))
            return
        is_append = type(target) is list and getattr(function, "__name__", "") == "append"
        key = END if is_append else ANY if is_found else LOST
        below = type(target) not in _KINDS_IN_C
        self._in_turn(lambda: session.changed(place, frame, [node], below=below, key=key))

    def _count_miss(self, code: CodeType, offset: int, kind: type) -> None:
        key = (id(code), offset)
        self._patience[key] = self._patience.get(key, PATIENCE) - 1
        self._missed_kinds.setdefault(key, set()).add(kind)

    def _place(self, code: CodeType, offset: int, frame: FrameType) -> Place:
        line = self._lines.get((id(code), offset))
        if line is None:
            line = self._lines[id(code), offset] = _line_at(code, offset)
        return self._session.where.places.of(code, line or frame.f_lineno or 0)

    def _in_turn(self, call: Callable[[], object]) -> None:
        if self._session.enter():
            try:
                call()
            finally:
                self._session.leave()


def _whole(function: Any, first: Any) -> tuple[Any, Any]:
    """Return the function that a `functools.partial` calls, and what it is given first; any other as it is."""
    for _ in range(_MOST_PARTIAL):
        if type(function) in FUNCTIONS_IN_C or type_name(type(function)) != "functools.partial":
            break
        given = function.args
        function, first = function.func, given[0] if given else first
    return function, first


def _line_at(code: CodeType, offset: int) -> int:
    for start, stop, line in code.co_lines():
        if start <= offset < stop:
            return line or 0
    return 0
