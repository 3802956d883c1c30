"""Parts of a value by path, on wire forms: what is somewhere, what a value ends in, and how two values differ.

A leaf is what has no parts: a scalar, an empty list or object, and what is shown in one piece (a set, a member of an
enumeration, a tuple of leaves, a value nested too deeply to be taken apart). Nothing here recurses, and only what differs is looked into.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from unspool.delta.identity import GONE, align
from unspool.delta.structural import Identity, identity_at, same_value
from unspool.errors import PathNotFound, near_name
from unspool.model.keys import Path, Step, format_path, spell_key
from unspool.model.paths import DEEPEST, Parts, child_of, own_step, parts_alike, parts_inside, parts_of
from unspool.model.values import MISSING, Tagged, Unrepresentable, Value
from unspool.model.wire import decode


def children(parts: Parts) -> Iterator[tuple[Step, bytes]]:
    """Yield parts with the step that leads to each."""
    yield from parts.items() if isinstance(parts, dict) else enumerate(parts)


def leaves(value: bytes, path: Path = ()) -> Iterator[tuple[Path, bytes]]:
    """Yield the leaves of a value with their paths, in the order of the value."""
    pending = [(path, value)]
    while pending:
        place, part = pending.pop()
        parts = parts_inside(part) if len(place) < DEEPEST else None
        if not parts:
            yield place, part
            continue
        pending.extend(reversed([((*place, step), child) for step, child in children(parts)]))


def find(state: Mapping[str, bytes], path: Path, where: str) -> tuple[Path, bytes]:
    """Return what stands at a path in a state, and the path as the state spells it.

    A number also stands for the object key of that name, and negative numbers count a list from its end.

    Args:
        state: wire forms by atom.
        path: an atom, and steps inside it.
        where: which state this is, for the message: `"entry 12"`.

    Raises:
        PathNotFound: nothing is there.
    """
    atoms: dict[Step, bytes] = {}
    atoms.update(state)
    found: list[Step] = []
    value = b""
    for depth, step in enumerate(path):
        if depth:
            part = child_of(value, step)
        else:
            own = own_step(atoms, step)
            part = None if own is None else (own, state[str(own)])
        if part is None:
            parts = parts_of(value) if depth else atoms
            told = f"{_what(found, value, parts)}{_meant(path, found, parts, state)}"
            raise PathNotFound(f"{where} has nothing at {format_path(path[: depth + 1])}: {told}")
        name, value = part
        found.append(name)
    return tuple(found), value


def _what(found: list[Step], value: bytes, parts: Parts | None) -> str:
    place = format_path(tuple(found)) if found else "the state"
    if isinstance(parts, list):
        return f"{place} is a list of {len(parts)}"
    if parts is None:
        kind = _type_of(decode(value))
        return f"{place} is {kind}" if kind == "null" else f"{place} is a {kind}"
    names = [repr(name) if isinstance(name, str) else spell_key(name) for name in parts]
    if not names:
        return f"{place} is empty"
    return f"{place} has {', '.join(names[:8])}{f' and {len(names) - 8} more' if len(names) > 8 else ''}"


def _meant(path: Path, found: list[Step], parts: Parts | None, state: Mapping[str, bytes]) -> str:
    """Return what was probably meant by a path that leads nowhere; "" where nothing near leads anywhere."""
    step, rest = path[len(found)], path[len(found) + 1 :]
    tried: list[Path] = [path]
    if isinstance(parts, list) and isinstance(step, str):
        tried = [(*found, 0, step, *rest)]
    elif not found and step in _WHOLE and rest:
        tried = [rest]
    elif not found:
        tried += [(atom, *path) for atom in state]
    near = next((right for wrong in tried if (right := _repaired(wrong, state)) is not None), None)
    return "" if near is None else f"; did you mean {format_path(near, root='')}?"


_WHOLE: Final = frozenset(("state", "root", "data", "self", "this"))
"""Names that other languages give the whole state."""
_MOST_TRIED: Final = 2_000
"""Names among which the one that was meant is looked for."""


def _repaired(path: Path, state: Mapping[str, bytes]) -> Path | None:
    """Return a path with each name that leads nowhere as the nearest that does; None where one is near to none."""
    steps: list[Step] = []
    form = b""
    for depth, step in enumerate(path):
        inside = child_of(form, step) if depth else ((str(step), state[str(step)]) if str(step) in state else None)
        if inside is None:
            parts = parts_of(form) if depth else dict(state)
            names = [name for name in parts or () if isinstance(name, str)] if isinstance(parts, dict) else []
            near = near_name(step, names[:_MOST_TRIED]) if isinstance(step, str) else ""
            if not near:
                return None
            inside = child_of(form, near) if depth else (near, state[near])
        if inside is None:
            return None
        own, form = inside
        steps.append(own)
    return tuple(steps)


def _type_of(value: Value) -> str:
    if value is None:
        return "null"
    return value.type_name if isinstance(value, Tagged | Unrepresentable) else type(value).__name__


class Difference(NamedTuple):
    """A part that two values do not share.

    Attributes:
        old_path: where it stands in the old value; None when it was added.
        new_path: where it stands in the new value; None when it was removed.
        old_bytes: its wire form in the old value, or None.
        new_bytes: its wire form in the new value, or None.
    """

    old_path: Path | None
    new_path: Path | None
    old_bytes: bytes | None
    new_bytes: bytes | None

    @property
    def old(self) -> Value:
        """The old value; `MISSING` when it was added."""
        return MISSING if self.old_bytes is None else decode(self.old_bytes)

    @property
    def new(self) -> Value:
        """The new value; `MISSING` when it was removed."""
        return MISSING if self.new_bytes is None else decode(self.new_bytes)


def differences(
    old: bytes | None, new: bytes | None, path: Path = (), identity: Identity | None = None
) -> Iterator[Difference]:
    """Yield the smallest parts that differ between two values, in the order of the new one, removed ones first.

    Lists are compared by identity, as every diff in unspool. That items only changed places is no difference.

    Args:
        old: wire form of the old value; None when there is none.
        new: wire form of the new value; None when there is none.
        path: where both stand, from the state on.
        identity: identity keys of lists set by hand.
    """
    pending = [Difference(None if old is None else path, None if new is None else path, old, new)]
    while pending:
        item = pending.pop()
        if item.old_bytes is None or item.new_bytes is None:
            if item.old_bytes is not item.new_bytes:
                yield item
            continue
        if item.old_bytes == item.new_bytes:
            continue
        is_deep = len(item.new_path or ()) >= DEEPEST
        pair = None if is_deep else parts_alike(item.old_bytes, item.new_bytes)
        inner: list[Difference] | None = None
        if pair is not None:
            before, after = pair
            if isinstance(before, dict) and isinstance(after, dict):
                inner = _in_objects(item, before, after)
            elif isinstance(before, list) and isinstance(after, list):
                inner = _in_lists(item, before, after, identity)
        if inner is not None:
            pending.extend(reversed(inner))
        elif not same_value(item.old_bytes, item.new_bytes):
            yield item


def _in_objects(item: Difference, old: dict[Step, bytes], new: dict[Step, bytes]) -> list[Difference]:
    before, after = item.old_path or (), item.new_path or ()
    inner = [Difference((*before, key), None, value, None) for key, value in old.items() if key not in new]
    for key, value in new.items():
        known = old.get(key)
        if known is None:
            inner.append(Difference(None, (*after, key), None, value))
        elif known != value:
            inner.append(Difference((*before, key), (*after, key), known, value))
    return inner


def _in_lists(
    item: Difference, old: Sequence[bytes], new: Sequence[bytes], identity: Identity | None
) -> list[Difference]:
    before, after = item.old_path or (), item.new_path or ()
    sources = align(old, new, identity_at(identity, after)).sources
    kept = set(sources)
    inner = [Difference((*before, at), None, value, None) for at, value in enumerate(old) if at not in kept]
    for at, source in enumerate(sources):
        if source == GONE:
            inner.append(Difference(None, (*after, at), None, new[at]))
        elif old[source] != new[at]:
            inner.append(Difference((*before, source), (*after, at), old[source], new[at]))
    return inner
