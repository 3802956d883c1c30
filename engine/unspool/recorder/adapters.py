"""How objects of an app are kept: built-in adapters, those of libraries, and `adapter` for one's own.

Objects of classes that nobody made an adapter for are kept by their fields, as they are stored. No adapter imports a
library: what belongs to one is only looked for where the program has it loaded. None reads a property, a descriptor or
a lazy attribute of the app's: fields are read where they are stored.
"""

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
from typing import Any, Final, Literal, NamedTuple, TypeVar

from unspool.errors import ConfigError
from unspool.model.recipes import (
    Contents,
    Recipe,
    Recipes,
    fields_reader,
    find_plain,
    inherited_content,
    module_name,
    object_content,
    stored_reader,
    tagged,
    type_name,
)
from unspool.model.tags import standard_contents
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
    inherited = None if kind in standard_contents() else inherited_content(kind, _BASES)
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
"""Types whose objects hold what no field shows, or in fields of their own making, where an app builds on them."""


_LISTED: Final = 1024
"""Numbers of an array up to which it is kept as lists, whose items can be compared one by one; beyond, as bytes."""
_LARGEST: Final = 16 * 1024 * 1024
"""Bytes of an array or table beyond which only its shape and type are kept."""
_STARS: Final = "**********"
"""What stands in the place of secrets that libraries hide themselves."""
_MOST_CELLS: Final = 100_000


def find_library(kind: type) -> Recipe | None:
    """Return the recipe of a library's type; None for others."""
    for base in kind.__mro__:
        module = module_name(base)
        find = _LIBRARY_FINDERS.get(module.partition(".")[0])
        library = sys.modules.get(module.partition(".")[0])
        if find is not None and library is not None:
            recipe = find(kind, library)
            if recipe is not None:
                return recipe
    attributes = getattr(kind, "__attrs_attrs__", None)
    if isinstance(attributes, tuple):
        return tagged(kind, object_content(kind, tuple(item.name for item in attributes)))
    return None


def _pydantic(kind: type, library: Any) -> Recipe | None:
    secrets = (library.SecretStr, library.SecretBytes, getattr(library, "Secret", library.SecretStr))
    if issubclass(kind, secrets):
        return tagged(kind, lambda _: _STARS)
    read = stored_reader(kind)
    if read is None or not issubclass(kind, library.BaseModel):
        return None

    def content(value: Value) -> dict[str, Value]:
        held = read(value)
        extra, private = held.pop("__pydantic_extra__", None), held.pop("__pydantic_private__", None)
        held.pop("__pydantic_fields_set__", None)
        return {**held, **(extra or {}), **(private or {})}

    return tagged(kind, content)


def _starlette(kind: type, _: Any) -> Recipe | None:
    # The library itself need not have loaded the module that its secrets are in.
    structures = sys.modules.get("starlette.datastructures")
    secret = getattr(structures, "Secret", None)
    return tagged(kind, lambda _: _STARS) if secret is not None and issubclass(kind, secret) else None


def _pydantic_core(kind: type, library: Any) -> Recipe | None:
    if not issubclass(kind, library.ValidationError):
        return None

    def content(error: Value) -> dict[str, Value]:
        # Without the input, which may be a password.
        return {
            "title": error.title,
            "errors": error.errors(include_url=False, include_context=False, include_input=False),
        }

    return tagged(kind, content)


def _numpy(kind: type, library: Any) -> Recipe | None:
    if issubclass(kind, library.ma.MaskedArray):
        return tagged(kind, _masked_content)
    if issubclass(kind, library.ndarray):
        return tagged(kind, _array_of(kind))
    if issubclass(kind, library.datetime64 | library.timedelta64):
        return tagged(kind, str)
    if issubclass(kind, library.void):
        return tagged(kind, _row_content)
    if issubclass(kind, library.longdouble | library.clongdouble):
        # Python has no number for it: `item()` gives it back as it is.
        return tagged(kind, str)
    if issubclass(kind, library.generic):
        return tagged(kind, library.generic.item)
    return tagged(kind, str) if issubclass(kind, library.dtype) else None


def _array_of(kind: type) -> Callable[[Value], Value]:
    fields = None if module_name(kind).partition(".")[0] == "numpy" else fields_reader(kind)
    if fields is None:
        return _array_content
    # An array of an app's own kind has facts besides, such as a unit.
    return lambda array: {**fields(array), **_array_content(array)}


def _masked_content(array: Value) -> dict[str, Value]:
    """Return an array with what of it is masked, which its values alone do not tell."""
    masks = sys.modules["numpy.ma"].getmaskarray(array)
    return {**_array_content(array), "mask": _array_content(masks)}


def _array_content(array: Value) -> dict[str, Value]:
    numpy = sys.modules["numpy"]
    plain = numpy.asarray(array)
    content: dict[str, Value] = {"dtype": str(plain.dtype), "shape": list(plain.shape)}
    if plain.dtype.names is not None:
        # Each field by its name, for what is to be left out is named; bytes of all of them would hold it.
        fields = {name: _array_content(plain[name]) for name in plain.dtype.names}
        content["fields"] = fields if plain.nbytes <= _LARGEST else _left_out(plain.nbytes)
    elif plain.dtype.kind in "mM":
        content["values"] = plain.astype(str).tolist() if plain.size <= _MOST_CELLS else _left_out(plain.nbytes)
    elif plain.dtype.hasobject or plain.size <= _LISTED:
        content["values"] = plain.tolist() if plain.size <= _MOST_CELLS else _left_out(plain.nbytes)
    else:
        content["data"] = plain.tobytes() if plain.nbytes <= _LARGEST else _left_out(plain.nbytes)
    return content


def _row_content(row: Value) -> Value:
    """Return a row of a structured array by its fields; bytes where it has none."""
    return row.item() if row.dtype.names is None else {name: row[name] for name in row.dtype.names}


def _left_out(size: int) -> str:
    return f"{size:,} bytes left out"


def _pandas(kind: type, library: Any) -> Recipe | None:
    if issubclass(kind, library.DataFrame):
        return tagged(kind, _frame_content)
    if issubclass(kind, library.Series):
        return tagged(kind, _series_content)
    if issubclass(kind, library.Index):
        return tagged(kind, _index_content)
    if issubclass(kind, library.api.extensions.ExtensionArray):
        return tagged(kind, _column_content)
    if issubclass(kind, library.Timestamp):
        return tagged(kind, library.Timestamp.isoformat)
    if issubclass(kind, library.Timedelta):
        return tagged(kind, library.Timedelta.isoformat)
    is_missing = kind in (type(library.NA), type(library.NaT))
    return tagged(kind, str) if is_missing or issubclass(kind, library.Period | library.Interval) else None


def _index_content(index: Value) -> Value:
    values = index.tolist() if index.size <= _MOST_CELLS else _left_out(index.nbytes)
    return {**_names_of(index, "names"), "values": values} if _names_of(index, "names") else values


def _names_of(index: Value, key: str) -> dict[str, Value]:
    """Return the names of an index' levels, if there are any."""
    return {key: list(index.names)} if any(name is not None for name in index.names) else {}


def _frame_content(frame: Value) -> dict[str, Value]:
    content: dict[str, Value] = {
        "shape": list(frame.shape),
        **_names_of(frame.columns, "column_names"),
        "columns": frame.columns.tolist(),
        "dtypes": [str(kind) for kind in frame.dtypes],
    }
    if frame.attrs:
        content["attrs"] = dict(frame.attrs)
    if frame.size > _MOST_CELLS:
        content["values"] = f"{frame.size:,} cells left out"
        return content
    content |= _names_of(frame.index, "index_names")
    content["index"] = frame.index.tolist()
    # By position: names of columns may be there twice.
    content["values"] = [frame.iloc[:, place].tolist() for place in range(frame.shape[1])]
    return content


def _column_content(column: Value) -> dict[str, Value]:
    values = column.tolist() if len(column) <= _MOST_CELLS else f"{len(column):,} cells left out"
    return {"dtype": str(column.dtype), "values": values}


def _series_content(series: Value) -> dict[str, Value]:
    content: dict[str, Value] = {"name": series.name, "dtype": str(series.dtype)}
    if series.attrs:
        content["attrs"] = dict(series.attrs)
    if series.size > _MOST_CELLS:
        content["values"] = f"{series.size:,} cells left out"
        return content
    content |= _names_of(series.index, "index_names")
    content["index"] = series.index.tolist()
    content["values"] = series.tolist()
    return content


def _torch(kind: type, library: Any) -> Recipe | None:
    return tagged(kind, _tensor_content) if issubclass(kind, library.Tensor) else None


def _tensor_content(tensor: Value) -> dict[str, Value]:
    content: dict[str, Value] = {
        "dtype": str(tensor.dtype),
        "shape": list(tensor.shape),
        "device": str(tensor.device),
        "requires_grad": bool(tensor.requires_grad),
    }
    # Values on another device would have to be waited for.
    if tensor.device.type == "cpu" and tensor.numel() <= _LISTED:
        content["values"] = tensor.detach().tolist()
    return content


def _sqlalchemy(kind: type, library: Any) -> Recipe | None:
    row = getattr(getattr(library, "engine", None), "Row", None)
    if row is None or not issubclass(kind, row):
        return None
    return tagged(kind, lambda value: dict(zip(value._fields, tuple(value), strict=False)))


_LIBRARY_FINDERS: Final[dict[str, Callable[[type, Any], Recipe | None]]] = {
    "numpy": _numpy,
    "pandas": _pandas,
    "pydantic": _pydantic,
    "pydantic_core": _pydantic_core,
    "sqlalchemy": _sqlalchemy,
    "starlette": _starlette,
    "torch": _torch,
}


Objects = Literal["fields", "marker"]
"""How objects of classes that no adapter is for are kept: by their fields, or as a marker with type and short text."""

Kept = TypeVar("Kept")

_registered: Final[dict[type, Callable[[Value], Value]]] = {}


def adapter(kind: type[Kept]) -> Callable[[Callable[[Kept], Value]], Callable[[Kept], Value]]:
    """Register how objects of a class, and of its subclasses, are recorded.

    The decorated function is given an object and returns what is kept of it: plain values, or other objects. It is kept
    as `Tagged` under the object's own type, and goes before built-in adapters. What it raises costs that object only.

    Args:
        kind: the class.
    """

    def register(content: Callable[[Kept], Value]) -> Callable[[Kept], Value]:
        _registered[kind] = content
        for recipes in _RECIPES.values():
            recipes.forget()
        return content

    return register


def _find_own(kind: type) -> Recipe | None:
    for base in kind.__mro__:
        content = _registered.get(base)
        if content is not None:
            return tagged(kind, content)
    return None


_FINDERS: Final = (_find_own, find_library, find_standard, find_plain)


def _find_marked(kind: type) -> Recipe | None:
    for find in _FINDERS:
        recipe = find(kind)
        if recipe is not None:
            return recipe
    return None


def _find(kind: type) -> Recipe | None:
    return _find_marked(kind) or find_object(kind)


_RECIPES: Final[dict[str, Recipes]] = {"fields": Recipes(_find), "marker": Recipes(_find_marked)}


def recipes_for(objects: Objects) -> Recipes:
    """Return the recipes of all classes.

    Raises:
        ConfigError: an unknown choice.
    """
    try:
        return _RECIPES[objects]
    except (KeyError, TypeError):
        raise ConfigError(f"objects is {objects!r}; write fields or marker") from None
