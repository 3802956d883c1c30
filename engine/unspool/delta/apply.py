"""Ops at paths: applied to values, inverted, and written as an RFC 6902 JSON Patch that any other tool can apply."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from unspool.delta.structural import Identity, diff_encoded
from unspool.errors import ContradictoryDelta, NotInJsonPatch
from unspool.model.encoding import encode
from unspool.model.entries import Op, OpKind
from unspool.model.keys import Path, format_path, key_of, spell_key, to_pointer
from unspool.model.paths import content_of, step_of, with_content
from unspool.model.values import MISSING, State, Value, strict_equal
from unspool.model.wire import decode

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
        check_old: also refuse an op whose `old` value is not what is there.

    Raises:
        ContradictoryDelta: an op does not fit the value; the message names its path.
    """
    whole = _Value(value)
    for op in ops:
        if op.kind is OpKind.MOVE:
            whole.add(op.path, whole.remove(op.source, MISSING))
        elif op.kind is OpKind.ADD:
            whole.add(op.path, op.new)
        elif op.kind is OpKind.REMOVE:
            whole.remove(op.path, op.old if check_old else MISSING)
        else:
            whole.change(op, check_old)
    return whole.root[0]


def _misfit(path: Path, why: str) -> ContradictoryDelta:
    return ContradictoryDelta(f"a delta does not fit its base at {format_path(path)}: {why}")


class _Value:
    """A value that ops are applied to: shared containers are copied once, on the way to what changes."""

    def __init__(self, value: Value) -> None:
        self.root: list[Value] = [value]
        self._owned: set[int] = {id(self.root)}
        # An id stays unique only while its object lives.
        self._keep: list[Value] = []
        self._thawed: list[tuple[Value, Value, Value, list[Value]]] = []

    def container(self, path: Path) -> tuple[Value, Value]:
        """Return the container of a path, which may be changed, and the key or index in it."""
        holder: Value = self.root
        key: Value = 0
        self._thawed.clear()
        for depth, following in enumerate(path):
            child = _get(holder, key, path, depth)
            content = child if type(child) in _PLAIN else content_of(child)
            if id(content) not in self._owned:
                if type(content) is tuple:
                    content = list(content)
                    self._thawed.append((holder, key, child, content))
                elif type(content) in _PLAIN:
                    copied = content.copy()
                    self._owned.add(id(copied))
                    self._keep.append(copied)
                    holder[key] = copied if child is content else with_content(child, copied)
                    content = copied
                else:
                    raise _misfit(path[:depth], f"a {type(content).__name__} has no parts")
            holder, key = content, key_of(following)
        return holder, key

    def settle(self) -> None:
        """Put the tuples that were opened on the way back together."""
        for holder, key, child, items in reversed(self._thawed):
            holder[key] = with_content(child, tuple(items))

    def add(self, path: Path, value: Value) -> None:
        holder, key = self.container(path)
        if holder is self.root:
            self.root[0] = value
        elif isinstance(holder, dict):
            if key in holder:
                raise _misfit(path, "something is there already")
            holder[key] = value
        elif isinstance(key, int) and 0 <= key <= len(holder):
            holder.insert(key, value)
        else:
            raise _misfit(path, f"the list has {len(holder)} items")
        self.settle()

    def remove(self, path: Path, expected: Value) -> Value:
        holder, key = self.container(path)
        value = _get(holder, key, path, len(path) - 1)
        if expected is not MISSING and not strict_equal(value, expected):
            raise _misfit(path, "another value is there")
        if holder is self.root:
            self.root[0] = MISSING
        else:
            del holder[key]
        self.settle()
        return value

    def change(self, op: Op, check_old: bool) -> None:
        holder, key = self.container(op.path)
        before = _get(holder, key, op.path, len(op.path) - 1)
        if op.kind is OpKind.SPLICE:
            if not isinstance(before, str) or before[op.index : op.index + len(op.old)] != op.old:
                raise _misfit(op.path, "the text to be spliced is another one")
            holder[key] = before[: op.index] + op.new + before[op.index + len(op.old) :]
        elif check_old and not strict_equal(before, op.old):
            raise _misfit(op.path, "another value is there")
        else:
            holder[key] = op.new
        self.settle()


def _get(holder: Value, key: Value, path: Path, depth: int) -> Value:
    """Return the part of a container, which stands behind so many steps of a path."""
    try:
        if isinstance(holder, dict):
            return holder[key]
        if isinstance(key, int) and key >= 0:
            return holder[key]
    except (IndexError, KeyError):
        pass
    way = path[: max(depth, 0)]
    raise _misfit((*way, step_of(key)), "nothing is there")


_PLAIN: Final = frozenset((dict, list))


def ops_patch(ops: Iterable[Op], at: Path = ()) -> list[dict[str, Value]]:
    """Write ops as JSON Patch operations below a path.

    Raises:
        ValueError: the ops hold a text splice, which RFC 6902 does not know.
    """
    patch: list[dict[str, Value]] = []
    for op in ops:
        pointer = to_pointer((*at, *op.path))
        if op.kind is OpKind.REMOVE:
            patch.append({"op": "remove", "path": pointer})
        elif op.kind is OpKind.MOVE:
            patch.append({"op": "move", "from": to_pointer((*at, *op.source)), "path": pointer})
        elif op.kind is OpKind.SPLICE:
            raise ValueError("a JSON Patch has no splices; compute the ops without text_splices")
        else:
            patch.append({"op": op.kind.value, "path": pointer, "value": op.new})
    return patch


def encoded_patch(
    old: Mapping[str, bytes], new: Mapping[str, bytes], identity: Identity | None = None
) -> list[dict[str, Value]]:
    """Return the JSON Patch that turns one state, given as wire forms by atom, into another."""
    patch: list[dict[str, Value]] = [{"op": "remove", "path": to_pointer((atom,))} for atom in old if atom not in new]
    for atom, after in new.items():
        before = old.get(atom)
        if before is None:
            patch.append({"op": "add", "path": to_pointer((atom,)), "value": decode(after)})
        elif before != after:
            ops = diff_encoded(before, after, at=(atom,), identity=identity, only_plain=True)
            patch.extend(ops_patch(ops, (atom,)))
    return patch


def portable(patch: list[dict[str, Value]]) -> list[dict[str, Value]]:
    """Return a JSON Patch that any other tool can apply as it is.

    Raises:
        NotInJsonPatch: it holds an object with keys that are no text.
    """
    for operation in patch:
        pending = [operation["value"]] if "value" in operation else []
        while pending:
            content = content_of(pending.pop())
            if isinstance(content, dict):
                odd = next((key for key in content if type(key) is not str), MISSING)
                if odd is not MISSING:
                    raise NotInJsonPatch(
                        f"a JSON Patch cannot hold the key {spell_key(step_of(odd))} at or below {operation['path']}: "
                        "keys of JSON are text; the ops of `unspool diff --json` hold any key"
                    )
                pending.extend(content.values())
            elif isinstance(content, list | tuple | set | frozenset):
                pending.extend(content)
    return patch


def state_patch(old: State, new: State, identity: Identity | None = None) -> list[dict[str, Value]]:
    """Return the JSON Patch that turns one state into another.

    Raises:
        UnsupportedValue: a value that has no wire form.
        NotInJsonPatch: a change that JSON cannot hold.
    """
    before = {atom: encode(value) for atom, value in old.items()}
    after = {atom: encode(value) for atom, value in new.items()}
    return portable(encoded_patch(before, after, identity))
