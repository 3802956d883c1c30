"""Where a call of `record()` came from: file, line and function; process, thread, task, and context variables of the app.

Each is found in well under a microsecond: lines once a function is known, surroundings where variables hold plain values.
"""

from __future__ import annotations

import functools
import inspect
import os
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from contextvars import ContextVar
from operator import is_
from pathlib import PurePath
from types import CodeType, FrameType, FunctionType
from typing import Any, Final

from unspool.errors import ConfigError
from unspool.model.entries import CALLER, CONTEXT, RESTATED, SAME, SAME_META
from unspool.model.entries import SourceLine as Line
from unspool.model.values import Value, strict_equal
from unspool.recorder.encoding import Encoding

_MOST_KNOWN: Final = 4096
"""Functions remembered; a program that makes functions without end gets by with these."""

_BRIDGES: Final = "unspool.bridges."


class Caller:
    """Adds the calling line to an entry's meta."""

    def __init__(self, skip: Iterable[str] = ()) -> None:
        """Start knowing no function; files are named as seen from the current directory.

        Args:
            skip: modules and packages whose lines are not meant: the first caller in none of them is. Where a library
                calls the app back (a framework's hook, say), its frames lie between the app's line and the recording.
        """
        self._skip = tuple(skip)
        for module in self._skip:
            if not isinstance(module, str):
                raise ConfigError("skip names modules, as in skip=('textual', 'sqlalchemy')")
        try:
            self._folder = os.path.join(os.getcwd(), "")  # noqa: PTH109, PTH118 - compared with text
        except OSError:
            # Somebody removed the current directory, or it may not be read; files keep their whole names.
            self._folder = "\0"
        # By identity: hashing a code object looks at all of it. Holding the code keeps its number from being reused.
        self._known: dict[int, tuple[CodeType, str]] = {}

    def added_to(self, meta: Mapping[str, Value] | None, frame: FrameType | None, up: int) -> Mapping[str, Value]:
        """Return meta with the place of a call; a `caller` that the app gave itself stays.

        Args:
            meta: what the app gave.
            frame: of the caller of `record()`.
            up: how many callers further up to go; the outermost one where there are not so many.
        """
        while up > 0 and frame is not None and frame.f_back is not None:
            frame, up = frame.f_back, up - 1
        frame = self._first_of_the_app(frame) if self._skip else frame
        if frame is None or (meta is not None and CALLER in meta):
            return meta or {}
        code = frame.f_code
        known = self._known.get(id(code))
        if known is None:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            known = self._known[id(code)] = (code, self._named(code, frame.f_globals))
        if not known[1]:
            return meta or {}
        place = Line(known[1], frame.f_lineno, code.co_qualname).to_meta()
        return {CALLER: place} if meta is None else {**meta, CALLER: place}

    def _first_of_the_app(self, frame: FrameType | None) -> FrameType | None:
        """Return the first frame that is to be named, going up; the one given where all are skipped."""
        found = frame
        while found is not None:
            module, code = found.f_globals.get("__name__"), found.f_code
            # Methods that a decorator wrote, such as the `__init__` of a dataclass, stand in no file.
            skips = (code.co_filename.startswith("<") and code.co_name.startswith("__")) or (
                isinstance(module, str)
                and any(module == name or module.startswith(f"{name}.") for name in self._skip)
            )
            if not skips:
                return found
            found = found.f_back
        return frame

    def of_function(self, function: Any) -> Line | None:
        """Return where a function begins, its decorators included; None for what is no function written in Python."""
        while isinstance(function, functools.partial):
            function = function.func
        plain = getattr(function, "__func__", function)
        if not isinstance(plain, FunctionType):
            return None
        try:
            plain = inspect.unwrap(plain)
        except ValueError:
            # It wraps itself.
            return None
        if not isinstance(plain, FunctionType):
            return None
        code = plain.__code__
        return Line(self._named(code, plain.__globals__), code.co_firstlineno, code.co_qualname)

    def _named(self, code: CodeType, names: Mapping[str, Any]) -> str:
        """Return a file's path from the current directory, or for a module elsewhere from where its package lies.

        A bridge's is empty: where one finds no line of the app, its own would say nothing.
        """
        if str(names.get("__name__")).startswith(_BRIDGES):
            return ""
        path = code.co_filename
        if path.startswith(self._folder):
            return path[len(self._folder) :]
        spec = names.get("__spec__")
        module = getattr(spec, "name", None)
        if not os.path.isabs(path) or not isinstance(module, str):  # noqa: PTH117 - text from the interpreter
            return path
        # `shop.cart` lies in shop/cart.py, and the package `shop` itself in shop/__init__.py.
        parts = module.split(".") + (["__init__"] if path.endswith("__init__.py") else [])
        return str(PurePath(*PurePath(path).parts[-len(parts) :]))


_PLAIN: Final = frozenset((str, int, float, bool, type(None)))
_OWN: Final = ("pid", "thread", "task")
_UNSET: Final = object()


Form = tuple[Value, ...]
"""Surroundings as they are compared: process, thread, task or None, then the variables; `_UNSET` for one that is not set."""


class Surroundings:
    """Returns what surrounds a call, in well under a microsecond where context variables hold plain values."""

    def __init__(self, variables: Mapping[str, ContextVar[Any]], encoding: Encoding) -> None:
        """Prepare.

        Args:
            variables: context variables by the name they are kept under; one that is not set is left out.
            encoding: how values are kept that are no plain ones, and what is left out of them.

        Raises:
            ConfigError: a name is no text or taken, or something is no context variable.
        """
        for name, variable in variables.items():
            if not isinstance(name, str) or name in _OWN or not isinstance(variable, ContextVar):
                raise ConfigError(
                    f"context maps names other than {', '.join(_OWN)} to context variables, "
                    'as in context={"request": request_id}'
                )
        self._pid = os.getpid()
        self._names = (*_OWN, *variables)
        self._variables = tuple(variables.values())
        self._encoding = encoding.short

    def after_fork(self) -> None:
        """Take note of being in another process: asking for its number at each call would cost more than all else."""
        self._pid = os.getpid()

    def now(self) -> Form:
        """Return what surrounds the call that this thread is in.

        Raises:
            UnsupportedValue: the value of a variable cannot be kept, and that is to be raised.
        """
        task = None
        asyncio = sys.modules.get("asyncio")
        if asyncio is not None and asyncio._get_running_loop() is not None:
            running = asyncio.current_task()
            task = None if running is None else running.get_name()
        own = (self._pid, threading.current_thread().name, task)
        return (*own, *map(self._kept, self._variables)) if self._variables else own

    def _kept(self, variable: ContextVar[Any]) -> Value:
        value = variable.get(_UNSET)
        if type(value) in _PLAIN or value is _UNSET:
            return value
        return (self._encoding.meta({"": value}, []) or {}).get("")

    def told(self, form: Form) -> dict[str, Value]:
        """Return surroundings by name, without what is to be left out."""
        found = {name: value for name, value in zip(self._names, form, strict=True) if value is not _UNSET}
        if found["task"] is None:
            del found["task"]
        return dict(self._encoding.clean_meta(found, set()) or {})


class LastSurroundings:
    """Which surroundings the entries written last have: they are told where they change, and now and then again.

    Attributes:
        is_on: whether any are recorded.
    """

    def __init__(self, named: Callable[[Form], dict[str, Value]] | None) -> None:
        """Begin with nothing told; `named` gives surroundings by name."""
        self._named = named
        self.is_on = named is not None
        self._form: Form | None = None
        self._since = 0

    def added_to(self, meta: Mapping[str, Value] | None, form: Form) -> Mapping[str, Value] | None:
        """Return an entry's meta with its surroundings, or the word that they are those of the entry before."""
        known = self._form
        if (
            known is not None
            and self._since < RESTATED
            and form == known
            # True equals 1, but is not the same.
            and (all(map(is_, form, known)) or all(map(_is_same, form, known)))
        ):
            return SAME_META if not meta else {**meta, CONTEXT: SAME}
        return meta if self._named is None else {**(meta or {}), CONTEXT: self._named(form)}

    def keep(self, form: Form | None, meta: Mapping[str, Value] | None) -> None:
        """Take note of a written entry's surroundings, and of the meta that tells them."""
        is_same = meta is SAME_META or (meta is not None and meta.get(CONTEXT) is SAME)
        self._since = self._since + 1 if is_same else 1
        self._form = form


def _is_same(value: Value, known: Value) -> bool:
    return type(value) is type(known) and (type(value) in _PLAIN or strict_equal(value, known))


__all__ = ["Form", "LastSurroundings", "Surroundings"]
