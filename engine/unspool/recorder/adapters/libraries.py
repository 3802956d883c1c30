"""Types of libraries that a program may have loaded: attrs, pydantic, numpy, pandas, PyTorch, SQLAlchemy.

A class tells by its module where it comes from; the library itself is taken from `sys.modules` and never imported.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, Final

from unspool.model.recipes import Recipe, fields_reader, module_name, object_content, stored_reader, tagged
from unspool.model.values import Value

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
        find = _FINDERS.get(module.partition(".")[0])
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


_FINDERS: Final[dict[str, Callable[[type, Any], Recipe | None]]] = {
    "numpy": _numpy,
    "pandas": _pandas,
    "pydantic": _pydantic,
    "pydantic_core": _pydantic_core,
    "sqlalchemy": _sqlalchemy,
    "starlette": _starlette,
    "torch": _torch,
}
