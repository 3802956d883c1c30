"""Library code between the program's own lines: what it changes belongs to the line that called it.

A library's function that the program calls, by whatever syntax, is seen at its end. Where it calls back into the program before
that, what it changed until then is looked for first.
"""

from __future__ import annotations

from collections.abc import Callable
from types import CodeType, FrameType, FunctionType, GeneratorType, MethodType, ModuleType
from typing import Any

from unspool.live.agent.following import CO_OPTIMIZED, Scope
from unspool.live.agent.nodes import Node
from unspool.live.agent.recording import Session
from unspool.live.agent.shapes import dict_getter
from unspool.live.agent.sites import CodeSites, argument_names
from unspool.live.agent.whereabouts import OUTWARDS, is_installed
from unspool.live.agent.wire import PLAIN

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
