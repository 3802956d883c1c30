"""Objects of classes that nobody made an adapter for are kept by their fields, as they are stored."""

from __future__ import annotations

import argparse
import array
import collections
import datetime as dt
import functools
import inspect
import logging
import pathlib
import random
import re
import sys
import types
import weakref
from collections.abc import Callable
from contextlib import suppress
from traceback import walk_tb
from typing import Final, NamedTuple

from unspool.model.recipes import (
    Contents,
    Recipe,
    fields_reader,
    inherited_content,
    module_name,
    object_content,
    stored_reader,
    tagged,
    type_name,
)
from unspool.model.tags import CONTENTS
from unspool.model.values import Value


def find_object(kind: type) -> Recipe | None:
    """Return the recipe of a class of the app's own, or of a library's; None for one whose objects are no data.

    Classes of the standard library that hold fields are services (threads, sockets, locks, tasks): following them
    leads into the machinery of the program.
    """
    module = module_name(kind).partition(".")[0]
    if module == __name__.partition(".")[0]:
        # An app's object often holds its recorder, which leads to the bytes of all that the state was before.
        return tagged(kind, lambda _: None)
    if module in sys.stdlib_module_names and module != "__main__":
        return None
    return None if stored_reader(kind) is None else tagged(kind, object_content(kind))


_NO_FACTS: Final = frozenset(("obj", "print_file_and_line"))
"""What exceptions hold for the interpreter: the object without an attribute leads into the machinery of the program."""
_MOST_FRAMES: Final = 100
"""Frames of a traceback that are kept: the innermost, where an error arose."""


def find_standard(kind: type) -> Recipe | None:
    """Return the recipe of a type of the standard library that is kept by name; None for others."""
    content = _CONTENTS.get(kind)
    if content is not None:
        return tagged(kind, content)
    if issubclass(kind, BaseException):
        return tagged(kind, exception_content)
    inherited = None if kind in CONTENTS else inherited_content(kind, _BASES)
    if inherited is not None:
        return tagged(kind, inherited)
    if issubclass(kind, type):
        return tagged(kind, type_name)
    return None


def exception_content(error: BaseException) -> dict[str, Value]:
    """Return what is kept of an exception: its arguments, where it arose, what it came from, and its own fields."""
    content: dict[str, Value] = {**_members(error), **_own_fields(error)}
    content["args"] = _own(error, "args")
    frames = [
        f"{frame.f_code.co_filename}:{line} in {frame.f_code.co_qualname}"
        for frame, line in walk_tb(_own(error, "__traceback__"))
    ]
    if frames:
        content["traceback"] = frames[-_MOST_FRAMES:]
    for name in ("cause", "context"):
        other = _own(error, f"__{name}__")
        if other is not None:
            content[name] = other
    if isinstance(error, BaseExceptionGroup):
        content["exceptions"] = list(error.exceptions)
    return content


def _members(error: BaseException) -> dict[str, Value]:
    """Return what an exception holds in slots and as the interpreter's own facts, such as the name of a file."""
    given = [id(part) for part in _own(error, "args")]
    found: dict[str, Value] = {}
    for base in type.mro(type(error)):
        if base is BaseException:
            break
        for name, member in vars(base).items():
            if type(member) is types.MemberDescriptorType and name not in _NO_FACTS:
                with suppress(AttributeError):
                    found.setdefault(name, member.__get__(error))
    return {name: fact for name, fact in found.items() if fact is not None and id(fact) not in given}


def _own_fields(error: BaseException) -> dict[str, Value]:
    read = fields_reader(type(error))
    return {} if read is None else dict(read(error))


def _own(error: BaseException, name: str) -> Value:
    """Return what the interpreter keeps of an exception, whatever a class of the app's own says instead."""
    return vars(BaseException)[name].__get__(error)


def _function_name(value: Value) -> str:
    return f"{getattr(value, '__module__', None) or '?'}.{value.__qualname__}"


class Parameters(NamedTuple):
    """Names of what a function takes by position.

    Attributes:
        single: of one argument each.
        rest: of all arguments beyond; "" where there are none.
    """

    single: tuple[str, ...] = ()
    rest: str = ""

    @classmethod
    def of(cls, function: Callable[..., Value]) -> Parameters:
        """Return those of a function; none where it does not tell them, as functions written in C may not."""
        try:
            parameters = inspect.signature(function).parameters.values()
        except Exception:  # noqa: BLE001 - annotations and signatures are code of the app's own
            return cls()
        by_place = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
        return cls(
            tuple(item.name for item in parameters if item.kind in by_place),
            next((item.name for item in parameters if item.kind is inspect.Parameter.VAR_POSITIONAL), ""),
        )

    @classmethod
    def known(cls, function: Callable[..., Value]) -> Parameters:
        """Return those of a function that may be asked for again and again."""
        if type(function) is not types.FunctionType:
            return cls.of(function)
        found = _parameters.get(function)
        if found is None:
            found = _parameters[function] = cls.of(function)
        return found

    def names(self, count: int) -> list[str]:
        """Return the names of so many arguments given by position; fewer where those beyond have none."""
        missing = count - len(self.single)
        return [*self.single[:count], *([self.rest] * missing if self.rest and missing > 0 else [])]


_parameters: Final[weakref.WeakKeyDictionary[types.FunctionType, Parameters]] = weakref.WeakKeyDictionary()


def _deque(value: collections.deque[Value]) -> Value:
    items = list(collections.deque.__iter__(value))
    longest = _DEQUE_MAXLEN(value)
    return items if longest is None else {"items": items, "maxlen": longest}


_DEQUE_MAXLEN: Final[Callable[[Value], Value]] = vars(collections.deque)["maxlen"].__get__
_PARTIAL: Final = vars(functools.partial)


def _partial(value: functools.partial[Value]) -> dict[str, Value]:
    function, given, named = (_PARTIAL[name].__get__(value) for name in ("func", "args", "keywords"))
    names = Parameters.known(function).names(len(given)) if given else []
    parameters = {"parameters": names} if names else {}
    return {"func": function, **parameters, "args": list(given), "keywords": dict(named)}


def _zone(value: dt.timezone) -> Value:
    name, offset = dt.timezone.tzname(value, None), dt.timezone.utcoffset(value, None)
    return name if name == dt.timezone.tzname(dt.timezone(offset), None) else {"name": name, "offset": offset}


def _array(value: array.array[Value]) -> Value:
    return {"typecode": array.array.typecode.__get__(value), "items": array.array.tolist(value)}


def _log_record(value: logging.LogRecord) -> dict[str, Value]:
    return dict(object.__getattribute__(value, "__dict__"))


_CONTENTS: Final[dict[type, Callable[[Value], Value]]] = {
    collections.deque: _deque,
    collections.UserDict: lambda value: value.data,
    collections.UserList: lambda value: value.data,
    collections.UserString: lambda value: value.data,
    types.MappingProxyType: dict,
    types.SimpleNamespace: lambda value: dict(object.__getattribute__(value, "__dict__")),
    argparse.Namespace: lambda value: dict(object.__getattribute__(value, "__dict__")),
    logging.LogRecord: _log_record,
    re.Pattern: lambda value: {"pattern": value.pattern, "flags": value.flags},
    random.Random: random.Random.getstate,
    functools.partial: _partial,
    dt.timezone: _zone,
    types.FunctionType: _function_name,
    types.BuiltinFunctionType: _function_name,
    types.MethodType: lambda value: _function_name(value.__func__),
    types.ModuleType: lambda value: str(types.ModuleType.__getattribute__(value, "__dict__").get("__name__")),
    type(Ellipsis): lambda _: "...",
    type(NotImplemented): lambda _: "NotImplemented",
}

_BASES: Final[Contents] = (
    (collections.deque, "items", _deque),
    (array.array, "items", _array),
    (functools.partial, "partial", _partial),
    (random.Random, "state", random.Random.getstate),
    (pathlib.PurePath, "value", pathlib.PurePath.__str__),
)
"""Types whose objects hold what no field tells, or in fields of their own making, where an app builds on them."""
