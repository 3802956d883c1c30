"""One RFC 6902 operation on a document; the document given is never changed, unchanged parts are shared."""

from __future__ import annotations

import re
from typing import Final

from unspool.model.values import Value, json_equal
from unspool.sources.entries import UnusableRecord

_INDEX: Final = re.compile(r"0|[1-9][0-9]*", re.ASCII)
_SLOT: Final = "slot"
_LENGTH: Final = "length"


def _steps(pointer: Value) -> list[str]:
    if isinstance(pointer, list):
        # Immer's own form: the keys and indexes themselves.
        return [str(step) for step in pointer]
    if not isinstance(pointer, str) or (pointer and not pointer.startswith("/")):
        raise UnusableRecord(f"{pointer!r} is no JSON Pointer")
    return [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]


def _index(step: str, length: int, pointer: str, *, may_append: bool) -> int:
    if may_append and step == "-":
        return length
    if not _INDEX.fullmatch(step) or len(step) > 18 or int(step) >= length + may_append:
        raise UnusableRecord(f"{pointer} does not exist: the list there has {length} items")
    return int(step)


def _child(container: Value, step: str, pointer: str) -> Value:
    if isinstance(container, dict):
        if step not in container:
            raise UnusableRecord(f"{pointer} does not exist; is the state the log starts from missing?")
        return container[step]
    if isinstance(container, list):
        return container[_index(step, len(container), pointer, may_append=False)]
    raise UnusableRecord(f"{pointer} does not exist: there is no object or list on the way")


def value_at(document: Value, pointer: Value) -> Value:
    """Return what stands at a JSON Pointer.

    Raises:
        UnusableRecord: there is nothing, or the pointer is none.
    """
    for step in _steps(pointer):
        document = _child(document, step, pointer)
    return document


def _copy_to(document: Value, steps: list[str], pointer: str) -> tuple[dict[str, Value], Value]:
    """Copy the containers on the way to a place.

    Returns:
        The new document and the (copied) container that holds the place.
    """
    root: dict[str, Value] = {_SLOT: document}
    holder: Value = root
    key: str | int = _SLOT
    for number, step in enumerate(steps):
        current = holder[key]
        if not isinstance(current, dict | list):
            raise UnusableRecord(f"{pointer} does not exist: there is no object or list on the way")
        holder[key] = current.copy()
        holder = holder[key]
        if number < len(steps) - 1:
            _child(holder, step, pointer)
            key = int(step) if isinstance(holder, list) else step
    return root, holder


def _put(document: Value, pointer: Value, value: Value, *, replaces: bool) -> Value:
    steps = _steps(pointer)
    if not steps:
        return value
    if replaces:
        value_at(document, pointer)
    root, holder = _copy_to(document, steps, pointer)
    if isinstance(holder, dict):
        holder[steps[-1]] = value
    elif replaces:
        holder[_index(steps[-1], len(holder), pointer, may_append=False)] = value
    else:
        holder.insert(_index(steps[-1], len(holder), pointer, may_append=True), value)
    return root[_SLOT]


def _remove(document: Value, pointer: Value) -> Value:
    steps = _steps(pointer)
    if not steps:
        return {}
    value_at(document, pointer)
    root, holder = _copy_to(document, steps, pointer)
    del holder[steps[-1] if isinstance(holder, dict) else int(steps[-1])]
    return root[_SLOT]


def _shortened(document: Value, path: list[Value], length: Value) -> tuple[Value] | None:
    """Return the document with a list cut to a length, as Immer writes it; None where no list stands there."""
    items = value_at(document, path[:-1])
    if not isinstance(items, list):
        return None
    if type(length) is not int or not 0 <= length <= len(items):
        raise UnusableRecord(f"a list of {len(items)} items cannot be cut to the length {length!r}")
    return (_put(document, path[:-1], items[:length], replaces=True),)


def state_before(inverse: list[dict[str, Value]]) -> dict[str, Value]:
    """Return what the inverse of some operations tells of an otherwise unknown object: the values that they bring back."""
    known: dict[str, Value] = {}
    for operation in inverse:
        steps = _steps(operation["path"])
        if operation["op"] not in ("add", "replace") or not steps or "value" not in operation:
            continue
        holder = known
        for step in steps[:-1]:
            inner = holder.setdefault(step, {})
            if not isinstance(inner, dict):
                break
            holder = inner
        else:
            holder[steps[-1]] = operation["value"]
    return known


def apply_operation(document: Value, operation: dict[str, Value]) -> Value:
    """Apply one operation and return the new document.

    Raises:
        UnusableRecord: the operation does not fit the document, or a test failed.
    """
    kind, path = operation.get("op"), operation.get("path")
    if kind == "replace" and isinstance(path, list) and path and path[-1] == _LENGTH:
        shortened = _shortened(document, path, operation.get("value"))
        if shortened is not None:
            return shortened[0]
    if kind in ("add", "replace", "test") and "value" not in operation:
        raise UnusableRecord(f"a {kind} operation without a value")
    if kind == "add" or kind == "replace":
        return _put(document, path, operation["value"], replaces=kind == "replace")
    if kind == "remove":
        return _remove(document, path)
    if kind == "test":
        if not json_equal(value_at(document, path), operation["value"]):
            raise UnusableRecord(f"the test at {path!r} fails")
        return document
    origin = operation.get("from")
    value = value_at(document, origin)
    if kind == "move":
        if isinstance(path, str) and isinstance(origin, str) and path.startswith(f"{origin}/"):
            raise UnusableRecord(f"{origin!r} cannot be moved into itself")
        document = _remove(document, origin)
    elif kind != "copy":
        raise UnusableRecord(f"{kind!r} is no JSON Patch operation")
    return _put(document, path, value, replaces=False)
