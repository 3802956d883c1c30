"""Operations on a source that is a JSON document (E-02, E-03, E-15), right, and as the original applied them.

Right: a step into a list is an index; `add` inserts there (up to the end of the list), `remove` closes the gap; the
value before must be the one given; parents that are missing are made for `add` alone. In the original's manner: a list
on the way is thrown away for an object, nothing is compared, and no dot can be in a key.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, Final, NoReturn

from unspool.events.canonical import canonical_json, plain_json
from unspool.events.diff_types import AstDiffOperation, DiffOperationType
from unspool.events.errors import InvalidEvent
from unspool.events.json_text import parse_json
from unspool.model.values import Value

_STEP: Final = re.compile(r"(?:\\[\\.]|[^.])*")
_ESCAPED: Final = re.compile(r"\\([\\.])")
_INDEX: Final = re.compile(r"(?:0|[1-9][0-9]{0,9})\Z")
_NOTHING: Final = object()


def join_path(steps: Iterable[str | int]) -> str:
    """Spell a path: dots between steps, `\\.` for a dot in a key, `\\\\` for a backslash."""
    return ".".join(str(step).replace("\\", "\\\\").replace(".", "\\.") for step in steps)


def split_path(path: str) -> list[str]:
    """Read a path; a backslash escapes only a dot or another backslash, elsewhere it is itself."""
    steps: list[str] = []
    position = 0
    while position <= len(path):
        match = _STEP.match(path, position)
        step = match[0] if match else ""
        steps.append(_ESCAPED.sub(r"\1", step))
        position += len(step) + 1
    return steps


def apply_operations(tree: Value, operations: Sequence[AstDiffOperation]) -> None:
    """Apply operations to a tree of dicts and lists, in order and in place.

    Raises:
        InvalidEvent: a value before does not match, or a path leads nowhere; the tree is then half changed.
    """
    for index, operation in enumerate(operations):
        steps = split_path(operation.path)
        container = _walk(tree, steps, operation, index)
        if isinstance(container, list):
            _change_list(container, steps[-1], operation, index)
        else:
            _change_dict(container, steps[-1], operation, index)


def apply_as_original(tree: dict[str, Value], operations: Sequence[AstDiffOperation]) -> None:
    """Apply operations as the original did, so that its own hashes come out (E-02, E-03)."""
    for operation in operations:
        steps = operation.path.split(".")
        is_removal = operation.operation is DiffOperationType.REMOVE
        container: dict[str, Value] | None = tree
        for step in steps[:-1]:
            child = container.get(step) if container is not None else None
            if not isinstance(child, dict):
                if is_removal or container is None:
                    container = None
                    break
                child = container[step] = {}
            container = child
        if container is None:
            continue
        if is_removal:
            container.pop(steps[-1], None)
        else:
            container[steps[-1]] = own_copy(operation.after)


def own_copy(value: Value) -> Value:
    """Copy a JSON value, so that a change of the tree does not reach the operation it came from."""
    return value if value is None or isinstance(value, str | int | float) else parse_json(plain_json(value))


def _walk(tree: Value, steps: Sequence[str], operation: AstDiffOperation, index: int) -> Any:
    container = tree
    for depth, step in enumerate(steps[:-1]):
        child = _child(container, step)
        if child is _NOTHING:
            if operation.operation is not DiffOperationType.ADD or not isinstance(container, dict):
                _mismatch(operation, index, f"there is nothing at {join_path(steps[: depth + 1])!r}")
            child = container[step] = {}
        if not isinstance(child, dict | list):
            _mismatch(operation, index, f"{join_path(steps[: depth + 1])!r} is no object or list")
        container = child
    return container


def _child(container: Any, step: str) -> Any:
    if isinstance(container, dict):
        return container.get(step, _NOTHING)
    return container[int(step)] if _INDEX.match(step) and int(step) < len(container) else _NOTHING


def _change_dict(container: dict[str, Value], key: str, operation: AstDiffOperation, index: int) -> None:
    if operation.operation is not DiffOperationType.ADD:
        _check_before(container.get(key, _NOTHING), operation, index)
    if operation.operation is DiffOperationType.REMOVE:
        del container[key]
    else:
        container[key] = own_copy(operation.after)


def _change_list(container: list[Value], step: str, operation: AstDiffOperation, index: int) -> None:
    position = int(step) if _INDEX.match(step) else -1
    if operation.operation is DiffOperationType.ADD:
        if not 0 <= position <= len(container):
            _mismatch(operation, index, f"a list of {len(container)} items has no place {step!r} to add at")
        container.insert(position, own_copy(operation.after))
        return
    _check_before(container[position] if 0 <= position < len(container) else _NOTHING, operation, index)
    if operation.operation is DiffOperationType.REMOVE:
        del container[position]
    else:
        container[position] = own_copy(operation.after)


def _check_before(actual: Any, operation: AstDiffOperation, index: int) -> None:
    if actual is _NOTHING:
        _mismatch(operation, index, "there is nothing there")
    if canonical_json(actual) != canonical_json(operation.before):
        _mismatch(operation, index, "'before' is not the value there")


def _mismatch(operation: AstDiffOperation, index: int, reason: str) -> NoReturn:
    raise InvalidEvent(
        f"astDiff operation {index} ({operation.operation} {operation.path[:200]!r}) does not fit the source: {reason}",
        field="astDiff",
    )
