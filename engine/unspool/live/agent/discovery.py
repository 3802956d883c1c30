"""What changes most, where nobody said what to watch: a count of stores by object, and the names that lead to them.

Without events, on Python 3.11, the objects that names lead to are compared at every turn of the timer instead. What a short
program made and changed between two turns is told of too when it ends: as new, since nobody saw how often it changed.
"""

from __future__ import annotations

import ast
import os
import sys
import time
from types import FrameType, ModuleType
from typing import Any

from unspool.live.agent.following import LOST, Scope
from unspool.live.agent.recording import Session
from unspool.live.agent.shapes import Shape, Shapes
from unspool.live.agent.sites import CodeSites, Place, argument_names
from unspool.live.agent.whereabouts import running_frames
from unspool.live.agent.wire import mro_of, type_name

_MOST_NAMES = 20
_MOST_CANDIDATES = 2_000
_MOST_OBJECTS = 100_000
_MOST_NODES = 2_000
"""Objects that are looked at below one name."""
_ROW = 200
_FIXED = (tuple, frozenset)


def _changed_roots(line: str) -> list[str]:
    """Return the names that a line of source begins with where it changes something, such as `cart` in `cart.items.append(1)`."""
    try:
        tree = ast.parse(line)
    except (SyntaxError, ValueError):
        try:
            # The head of a block.
            tree = ast.parse(f"{line} pass")
        except (SyntaxError, ValueError):
            return []
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute | ast.Subscript):
            inner: ast.expr = node
            while isinstance(inner, ast.Attribute | ast.Subscript):
                inner = inner.value
            if isinstance(inner, ast.Name):
                found.append(inner.id)
    return found


class _Counted:
    """How often an object was stored into, and where last."""

    __slots__ = ("kind", "place", "times")

    def __init__(self, kind: type) -> None:
        self.kind = kind
        self.times = 0
        self.place: Place | None = None


class Discovery:
    """Counts changes for some seconds, and tells the host what changed most."""

    def __init__(self, session: Session, *, has_events: bool) -> None:
        """Begin to count.

        Args:
            session: the recording, which watches nothing yet.
            has_events: stores are seen.
        """
        self._session = session
        self._has_events = has_events
        self._seconds = float(session.config["discover"])
        self._began = time.monotonic()
        self._shapes = Shapes()
        self._counts: dict[int, _Counted] = {}
        self._prints: dict[str, tuple[int, ...]] = {}
        self._changes: dict[str, int] = {}
        self._running: set[tuple[int, int]] = set()
        """Calls of functions that were under way at the last look."""
        self._old = {name for name, _ in self._candidates()}
        """Names that stood for something before anybody counted."""
        self.is_over = False

    def saw(self, value: Any, place: Place) -> None:
        """Count a store into an object."""
        known = self._counts.get(id(value))
        if known is None or known.kind is not type(value):
            if len(self._counts) >= _MOST_OBJECTS:
                return
            known = self._counts[id(value)] = _Counted(type(value))
        known.times += 1
        known.place = place

    def turn(self, *, is_last: bool = False) -> None:
        """Tell what was found, once it is time and there is anything."""
        if self.is_over:
            return
        candidates = [*self._candidates(), *self._locals()]
        if not self._has_events:
            self._compare(candidates)
        if not is_last and time.monotonic() - self._began < self._seconds:
            return
        found = self._found(candidates, is_over=is_last)
        if is_last and (not found or not self._has_events):
            found += self._new(candidates, {name for _, name, *_ in found})[: _MOST_NAMES - len(found)]
        if not found and not is_last:
            return
        self.is_over = True
        session = self._session
        session.on_store = None
        seconds = round(time.monotonic() - self._began, 1)
        told = []
        for times, name, kind, nodes, place in found:
            line: dict[str, Any] = {"watch": name, "changes": times, "type": kind, "nodes": nodes, "new": not times}
            if place is not None:
                session.tell(place)
                line["site"] = place.id
            told.append(line)
        session.link.send({"m": "found", "seconds": seconds, "names": told, "over": is_last})
        self._counts.clear()
        self._prints.clear()

    def _candidates(self) -> list[tuple[str, Any]]:
        """Return the names of containers in modules of the project, and in their classes."""
        session = self._session
        found: list[tuple[str, Any]] = []
        for key, module in list(sys.modules.items()):
            if not session.where.owns_module(module):
                continue
            place = session.names.module_name_of(key)
            for name, value in list(vars(module).items()):
                if name.startswith("__") or len(found) >= _MOST_CANDIDATES:
                    continue
                if type in mro_of(type(value)):
                    if type_name(value).startswith(f"{key}."):
                        found.append((f"{place}:{name}", value))
                elif self._shape(value) is not None:
                    found.append((f"{place}:{name}", value))
        return found

    def _locals(self) -> list[tuple[str, Any]]:
        """Return the names of containers in functions of the project that have been running since the last look."""
        session = self._session
        found: list[tuple[str, Any]] = []
        before, self._running = self._running, set()
        if not self._has_events:
            return found
        for top in running_frames():
            frame: FrameType | None = top
            while frame is not None:
                code = frame.f_code
                sites = session.codes.get(id(code))
                if sites is not None and not sites.is_traced and code.co_name != "<module>":
                    call = (id(frame), id(code))
                    self._running.add(call)
                    if call in before and "<locals>" not in code.co_qualname:
                        found += self._locals_of(frame, sites)
                frame = frame.f_back
        return found[:_MOST_CANDIDATES]

    def _locals_of(self, frame: FrameType, sites: CodeSites) -> list[tuple[str, Any]]:
        code, scope = frame.f_code, Scope(frame, sites)
        module = self._session.names.module_name_of(str(frame.f_globals.get("__name__", "")))
        values = [(name, scope.value(name)) for name in (*code.co_varnames, *code.co_cellvars)]
        return [
            (f"{module}:{code.co_qualname}.{name}", value)
            for name, value in values
            if value is not LOST and type not in mro_of(type(value)) and self._shape(value) is not None
        ]

    def _is_own(self, kind: type) -> bool:
        """Whether a class is one of the project's."""
        return self._session.where.owns_module(sys.modules.get(type_name(kind).partition(".")[0]))

    def _shape(self, value: Any) -> Shape | None:
        if self._shapes.leaf(type(value)) is not None or ModuleType in mro_of(type(value)):
            return None
        return self._shapes.of(value)

    def _below(self, value: Any) -> dict[int, Any]:
        """Return the containers that a value reaches, within bounds."""
        found: dict[int, Any] = {id(value): value}
        todo = [value]
        while todo and len(found) < _MOST_NODES:
            item = todo.pop()
            shape = self._shape(item) if item is not value else self._shapes.of(item)
            for part in (shape, shape.fields if shape is not None else None):
                if part is None:
                    continue
                try:
                    _, values, _ = part.read(item, _ROW)
                except RuntimeError:
                    continue
                for inner in values:
                    if id(inner) not in found and self._shape(inner) is not None:
                        found[id(inner)] = inner
                        todo.append(inner)
        return found

    def _compare(self, candidates: list[tuple[str, Any]]) -> None:
        for name, value in candidates:
            marks: list[int] = []
            for item in self._below(value).values():
                shape = self._shapes.of(item)
                if shape is not None:
                    _, values, _ = shape.read(item, _ROW)
                    marks += map(id, values)
            now = tuple(marks)
            if self._prints.get(name, now) != now:
                self._changes[name] = self._changes.get(name, 0) + 1
            self._prints[name] = now

    def _found(
        self, candidates: list[tuple[str, Any]], *, is_over: bool
    ) -> list[tuple[int, str, str, int, Place | None]]:
        found: list[tuple[int, str, str, int, Place | None]] = []
        reached: set[int] = set()
        for name, value in candidates:
            if id(value) in reached and "." in name.rpartition(":")[2]:
                # A local that is another name of what a module holds.
                continue
            below = self._below(value)
            counted = [
                known for oid, item in below.items() if (known := self._counts.get(oid)) and known.kind is type(item)
            ]
            times = sum(known.times for known in counted) + self._changes.get(name, 0)
            if times:
                most = max(counted, key=lambda known: known.times, default=None)
                reached.update(below)
                place = None if most is None else most.place
                found.append((times, name, type_name(type(value)), len(below), place))
        # What a name leads to comes first: it can be put back, too.
        found.sort(key=lambda item: -item[0])
        ended = self._by_variable(reached) if is_over else []
        for others in (ended, self._by_class(reached)):
            found += sorted(others, key=lambda item: -item[0])
        return found[:_MOST_NAMES]

    def _by_variable(self, reached: set[int]) -> list[tuple[int, str, str, int, Place | None]]:
        """Return variables of functions that have ended, by the lines that changed what they held."""
        totals: dict[str, tuple[int, int, str, Place]] = {}
        names: dict[int, str] = {}
        for oid, known in self._counts.items():
            place = known.place
            if oid in reached or place is None or "<" in place.name:
                continue
            # What is of a class of the project is offered by its class.
            if self._shapes.leaf(known.kind) is not None or self._is_own(known.kind):
                continue
            if place.id not in names:
                names[place.id] = self._variable_at(place)
            name = names[place.id]
            if name:
                times, count, _, _ = totals.get(name, (0, 0, "", place))
                totals[name] = (times + known.times, count + 1, type_name(known.kind), place)
        # What is new with each call, and changed once, is no state.
        return [
            (times, name, kind, count, place)
            for name, (times, count, kind, place) in totals.items()
            if times > count or count == 1
        ]

    def _variable_at(self, place: Place) -> str:
        """Return the name of the variable whose object a line changes; "" where it has none of its function's own."""
        codes = (sites.code for sites in self._session.codes.values())
        code = next((one for one in codes if (one.co_qualname, one.co_filename) == (place.name, place.file)), None)
        if code is None:
            return ""
        own = {*code.co_varnames, *code.co_cellvars} - {*argument_names(code)}
        root = next((root for root in _changed_roots(place.text) if root in own), "")
        for key, module in list(sys.modules.items()):
            file = getattr(module, "__file__", None) if root and type(module) is ModuleType else None
            if type(file) is str and os.path.abspath(file) == os.path.abspath(place.file):
                return f"{self._session.names.module_name_of(key)}:{place.name}.{root}"
        return ""

    def _new(
        self, candidates: list[tuple[str, Any]], known: set[str]
    ) -> list[tuple[int, str, str, int, Place | None]]:
        """Return what came about while nobody could count: objects of the project first, then what can be changed most."""
        found: list[tuple[bool, int, str, str]] = []
        for name, value in candidates:
            if name in self._old or name in known or type in mro_of(type(value)) or type(value) in _FIXED:
                continue
            kind = type(value)
            found.append((self._is_own(kind), len(self._below(value)), name, type_name(kind)))
        found.sort(key=lambda item: (not item[0], -item[1]))
        return [(0, name, kind, nodes, None) for _, nodes, name, kind in found]

    def _by_class(self, reached: set[int]) -> list[tuple[int, str, str, int, Place | None]]:
        """Return classes of the project whose objects changed, though no name leads to them."""
        totals: dict[type, tuple[int, int, Place | None]] = {}
        for oid, known in self._counts.items():
            if oid in reached or not self._is_own(known.kind) or "<locals>" in type_name(known.kind):
                continue
            times, count, _ = totals.get(known.kind, (0, 0, None))
            totals[known.kind] = (times + known.times, count + 1, known.place)
        return [
            (times, f"@{type_name(kind).rpartition('.')[2]}", type_name(kind), count, place)
            for kind, (times, count, place) in totals.items()
        ]
