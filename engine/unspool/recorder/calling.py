"""Who calls `record()`: file, line and function, found in well under a microsecond once a function is known."""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Iterable, Mapping
from pathlib import PurePath
from types import CodeType, FrameType, FunctionType
from typing import Any, Final

from unspool.errors import ConfigError
from unspool.model.entries import CALLER
from unspool.model.entries import SourceLine as Line
from unspool.model.values import Value

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
