"""Ops as bytes and as JSON objects."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from unspool.errors import ContradictoryDelta, CorruptHistory, PathSyntaxError
from unspool.model.entries import Op, OpKind
from unspool.model.keys import Step, key_of, step_of
from unspool.model.paths import Path, format_path, parse_path, parse_pointer, to_pointer
from unspool.model.values import MISSING, Value
from unspool.model.wire import decode, encode

_CODES: Final = {OpKind.ADD: 0, OpKind.REMOVE: 1, OpKind.REPLACE: 2, OpKind.MOVE: 3, OpKind.SPLICE: 4}
_KINDS: Final = {code: kind for kind, code in _CODES.items()}


def pack_ops(ops: Iterable[Op]) -> bytes:
    """Return ops as one wire form; equal ops give equal bytes.

    Raises:
        UnsupportedValue: an op holds a value that has no wire form.
    """
    return encode([_row(op) for op in ops])


def _row(op: Op) -> list[Value]:
    row: list[Value] = [_CODES[op.kind], list(map(key_of, op.path))]
    match op.kind:
        case OpKind.ADD:
            row.append(op.new)
        case OpKind.REMOVE:
            row.append(op.old)
        case OpKind.REPLACE:
            row += (op.old, op.new)
        case OpKind.MOVE:
            row.append(list(map(key_of, op.source)))
        case OpKind.SPLICE:
            row += (op.index, op.old, op.new)
    if op.key:
        row.append(op.key)
    return row


_WIDTHS: Final = {OpKind.ADD: 3, OpKind.REMOVE: 3, OpKind.REPLACE: 4, OpKind.MOVE: 3, OpKind.SPLICE: 5}


def unpack_ops(data: bytes) -> tuple[Op, ...]:
    """Rebuild ops from `pack_ops`; every call returns values that nobody else holds.

    Raises:
        CorruptHistory: the bytes are no ops.
    """
    rows = decode(data)
    try:
        return tuple(_op(row) for row in rows)
    except (TypeError, ValueError, KeyError, IndexError) as error:
        raise CorruptHistory(f"stored ops do not decode ({error})") from None


def _op(row: list[Value]) -> Op:
    kind, path, rest = _KINDS[row[0]], _path(row[1]), row[2:]
    key = row[-1] if len(row) > _WIDTHS[kind] else ""
    match kind:
        case OpKind.ADD:
            return Op(kind, path, new=rest[0], key=key)
        case OpKind.REMOVE:
            return Op(kind, path, old=rest[0], key=key)
        case OpKind.REPLACE:
            return Op(kind, path, old=rest[0], new=rest[1], key=key)
        case OpKind.MOVE:
            return Op(kind, path, source=_path(rest[0]), key=key)
        case OpKind.SPLICE:
            return Op(kind, path, index=rest[0], old=rest[1], new=rest[2], key=key)


def _path(steps: list[Value]) -> Path:
    return tuple(map(step_of, steps))


def op_to_dict(op: Op) -> dict[str, Value]:
    """Return an op as a JSON object; paths are RFC 6901 pointers."""
    data: dict[str, Value] = {"op": op.kind.value, "path": to_pointer(op.path)}
    if op.kind is OpKind.MOVE:
        data["from"] = to_pointer(op.source)
    if op.kind is OpKind.SPLICE:
        data["index"] = op.index
    if op.old is not MISSING:
        data["old"] = op.old
    if op.new is not MISSING:
        data["new"] = op.new
    # A pointer cannot tell the key "0" from the index 0, and knows neither negative keys nor those of other types.
    if any(parse_pointer(to_pointer(path)) != path for path in (op.path, op.source)):
        if any(not isinstance(step, str) and not _is_index(step) for step in (*op.path, *op.source)):
            data["paths"] = [format_path(op.path), format_path(op.source)]
        else:
            data["steps"] = [list(op.path), list(op.source)]
    return data


def _is_index(step: Step) -> bool:
    return isinstance(step, int) and abs(step) < _LARGEST_INDEX


_LARGEST_INDEX: Final = 2**53
"""Integers from which on other readers of JSON may round."""


def op_from_dict(data: Mapping[str, Value]) -> Op:
    """Read an op from its JSON object.

    Raises:
        ContradictoryDelta: the object is no op.
    """
    try:
        steps, paths = data.get("steps"), data.get("paths")
        if paths:
            path, source = parse_path(paths[0]), parse_path(paths[1])
        elif steps:
            path, source = tuple(steps[0]), tuple(steps[1])
        else:
            path, source = parse_pointer(data["path"]), parse_pointer(data.get("from", ""))
        old, new = data.get("old", MISSING), data.get("new", MISSING)
        return Op(OpKind(data["op"]), path, old=old, new=new, source=source, index=data.get("index", 0))
    except (KeyError, ValueError, TypeError, IndexError, AttributeError, PathSyntaxError) as error:
        raise ContradictoryDelta(f"{dict(data)!r} is no op of a delta ({error})") from None
