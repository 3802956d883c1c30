"""Changes as an RFC 6902 JSON Patch that any other tool can apply."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from unspool.delta.structural import Identity, diff_encoded
from unspool.errors import NotInJsonPatch
from unspool.model.encoding import encode
from unspool.model.entries import Op, OpKind
from unspool.model.keys import Path, spell_key, to_pointer
from unspool.model.paths import content_of, step_of
from unspool.model.values import MISSING, State, Value
from unspool.model.wire import decode


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
