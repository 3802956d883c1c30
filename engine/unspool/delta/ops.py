"""Applying ops to values, and turning them round."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from unspool.errors import ContradictoryDelta
from unspool.model.entries import Op, OpKind
from unspool.model.paths import Path, format_path
from unspool.model.values import MISSING, Value, strict_equal

_SWAPPED: Final = {OpKind.ADD: OpKind.REMOVE, OpKind.REMOVE: OpKind.ADD}


def invert_ops(ops: Iterable[Op]) -> tuple[Op, ...]:
    """Return the ops that undo the given ones; applying them to the result gives the value before."""
    return tuple(_inverted(op) for op in reversed(tuple(ops)))


def _inverted(op: Op) -> Op:
    if op.kind is OpKind.MOVE:
        return Op(op.kind, op.source, source=op.path, key=op.key)
    kind = _SWAPPED.get(op.kind, op.kind)
    return Op(kind, op.path, old=op.new, new=op.old, index=op.index, key=op.key)


def apply_ops(value: Value, ops: Iterable[Op], *, check_old: bool = False) -> Value:
    """Apply ops in order and return the result; the input is not changed, unchanged parts are shared.

    Args:
        value: the value before.
        ops: as `unspool.delta.structural.diff_values` gives them.
        check_old: also refuse an op whose `old` value is not what stands there.

    Raises:
        ContradictoryDelta: an op does not fit the value; the message names its path.
    """
    root: list[Value] = [value]
    owned: set[int] = {id(root)}
    keep: list[Value] = []
    for op in ops:
        if op.kind is OpKind.MOVE:
            moved = _remove(root, op.source, owned, keep, MISSING)
            _add(root, op.path, moved, owned, keep)
        elif op.kind is OpKind.ADD:
            _add(root, op.path, op.new, owned, keep)
        elif op.kind is OpKind.REMOVE:
            _remove(root, op.path, owned, keep, op.old if check_old else MISSING)
        else:
            _change(root, op, owned, keep, check_old)
    return root[0]


def _misfit(path: Path, why: str) -> ContradictoryDelta:
    return ContradictoryDelta(f"a delta does not fit its base at {format_path(path)}: {why}")


def _container(root: list[Value], path: Path, owned: set[int], keep: list[Value]) -> tuple[Value, str | int]:
    """Walk to the container of a path, copying each shared container once."""
    holder: Value = root
    step: str | int = 0
    for depth, following in enumerate(path):
        child = _get(holder, step, path[:depth])
        if id(child) not in owned:
            if type(child) not in (dict, list):
                raise _misfit(path[:depth], f"a {type(child).__name__} has no parts")
            child = child.copy()
            owned.add(id(child))
            # An id stays unique only while its object lives.
            keep.append(child)
            holder[step] = child
        holder, step = child, following
    return holder, step


def _get(holder: Value, step: str | int, path: Path) -> Value:
    try:
        if isinstance(holder, list) and isinstance(step, int) and step >= 0:
            return holder[step]
        if isinstance(holder, dict):
            return holder[step]
    except (IndexError, KeyError):
        pass
    raise _misfit((*path, step) if path else (step,), "nothing is there")


def _add(root: list[Value], path: Path, value: Value, owned: set[int], keep: list[Value]) -> None:
    holder, step = _container(root, path, owned, keep)
    if holder is root:
        root[0] = value
    elif isinstance(holder, dict):
        if step in holder:
            raise _misfit(path, "something is there already")
        holder[step] = value
    elif isinstance(step, int) and 0 <= step <= len(holder):
        holder.insert(step, value)
    else:
        raise _misfit(path, f"the list has {len(holder)} items")


def _remove(root: list[Value], path: Path, owned: set[int], keep: list[Value], expected: Value) -> Value:
    holder, step = _container(root, path, owned, keep)
    value = _get(holder, step, path[:-1])
    if expected is not MISSING and not strict_equal(value, expected):
        raise _misfit(path, "another value is there")
    if holder is root:
        root[0] = MISSING
    else:
        del holder[step]
    return value


def _change(root: list[Value], op: Op, owned: set[int], keep: list[Value], check_old: bool) -> None:
    holder, step = _container(root, op.path, owned, keep)
    before = _get(holder, step, op.path[:-1])
    if op.kind is OpKind.SPLICE:
        if not isinstance(before, str) or before[op.index : op.index + len(op.old)] != op.old:
            raise _misfit(op.path, "the text to be spliced is another one")
        holder[step] = before[: op.index] + op.new + before[op.index + len(op.old) :]
        return
    if check_old and not strict_equal(before, op.old):
        raise _misfit(op.path, "another value is there")
    holder[step] = op.new
