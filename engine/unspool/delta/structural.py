"""Structural differences inside a value, as ops at paths, and the equality of wire forms.

Equality is decided by the bytes where they can decide it, and by the equality of values elsewhere.
"""

from __future__ import annotations

import math
import struct
import zlib
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Final

from msgspec import Struct

from unspool.delta.identity import GONE, align, identity_values, pattern_of, record_of
from unspool.model.encoding import encode
from unspool.model.entries import Op, OpKind
from unspool.model.keys import Path, Step, format_path
from unspool.model.paths import CONTAINERS, DEEPEST, parts_alike
from unspool.model.values import Value, json_equal, strict_equal
from unspool.model.wire import FormShape, NotSplittable, decode, shape_of, shared_ends, split_list, split_map


def same_value(old: bytes, new: bytes, ends: tuple[int, int] | None = None) -> bool:
    """Return whether two different wire forms hold strictly equal values.

    That is so for objects whose keys only changed order, and for NaN of another bit pattern. The first have the same
    bytes in another order, the second differ inside one NaN, so almost every real change is distinguished undecoded.

    Args:
        old: one wire form.
        new: the other.
        ends: leading and trailing bytes they share, where that is known.
    """
    if len(old) != len(new) or old[0] not in _HIDING:
        return False
    if shape_of(old) is not shape_of(new):
        return False
    if old[0] == _FLOAT64 and new[0] == _FLOAT64:
        return math.isnan(_DOUBLE.unpack_from(old, 1)[0]) and math.isnan(_DOUBLE.unpack_from(new, 1)[0])
    if (
        ends is None
        and len(old) <= _SMALL
        and _byte_sum(old) != _byte_sum(new)
        and not any(nan in new for nan in _NAN_STARTS)
    ):
        return False
    start, end = shared_ends(old, 0, new, 0) if ends is None else ends
    stop = len(old) - end
    if not _only_nan(old, new, start, stop) and _byte_sum(memoryview(old)[start:stop]) != _byte_sum(
        memoryview(new)[start:stop]
    ):
        return False
    return strict_equal(decode(old), decode(new))


def may_hide(state: bytes) -> frozenset[int]:
    """Return the first bytes of wire forms in a state whose value may equal that of other bytes; see `same_value`."""
    return _HIDING if any(nan in state for nan in _NAN_STARTS) else _HIDING_CONTENT


def _byte_sum(data: bytes | memoryview) -> int:
    """Return a number that is the same for the same bytes in whatever order."""
    return zlib.adler32(data) & 0xFFFF


def _only_nan(old: bytes, new: bytes, start: int, stop: int) -> bool:
    """Return whether two wire forms may differ only inside one NaN."""
    for at in range(max(0, stop - 9), start):
        if old[at] == _FLOAT64 and old[at + 1] & 0x7F == 0x7F and new[at + 1] & 0x7F == 0x7F:
            return math.isnan(_DOUBLE.unpack_from(old, at + 1)[0]) and math.isnan(_DOUBLE.unpack_from(new, at + 1)[0])
    return False


_SMALL = 1024
"""Bytes of a value up to which adding them up costs less than finding where two values differ."""
_FLOAT64 = 0xCB
_NAN_STARTS = (b"\xcb\x7f", b"\xcb\xff")
"""How the wire forms of NaN begin."""
_HIDING_CONTENT = frozenset((*range(0x80, 0xA0), *range(0xC7, 0xCA), *range(0xD4, 0xD9), *range(0xDC, 0xE0)))
_HIDING = _HIDING_CONTENT | {_FLOAT64}
"""First bytes of wire forms whose value others may have as well: maps, lists, tagged values, and floats for NaN."""
_DOUBLE = struct.Struct(">d")
_UNLIKE: Final[list[tuple[bytes, bytes]]] = []
"""Told from an empty list of parts by identity: two maps in another order have no different part."""


def encoded_equal(one: bytes, other: bytes, *, strict: bool = False) -> bool:
    """Return whether two wire forms hold the same value, by structure at any depth.

    Args:
        one: a wire form.
        other: another.
        strict: let 1 and 1.0, and 0.0 and -0.0, differ; the order of object keys never counts.
    """
    if strict:
        return one == other or same_value(one, other)
    pending = [(one, other)]
    while pending:
        left, right = pending.pop()
        if left == right:
            continue
        shape = shape_of(left)
        if shape is not shape_of(right) or shape is FormShape.TEXT:
            return False
        try:
            parts = _parts(left, right) if shape in CONTAINERS else None
        except NotSplittable:
            parts = None
        if parts is None:
            if not json_equal(decode(left), decode(right)):
                return False
        elif parts is _UNLIKE:
            return False
        else:
            pending.extend(parts)
    return True


def _parts(left: bytes, right: bytes) -> list[tuple[bytes, bytes]]:
    """Return the pairs of parts that differ, or `_UNLIKE` when sizes or keys do already.

    Raises:
        NotSplittable: nested too deeply for the fast path.
    """
    if shape_of(left) is FormShape.LIST:
        items, others = split_list(left), split_list(right)
        if len(items) != len(others):
            return _UNLIKE
        return [pair for pair in zip(items, others, strict=True) if pair[0] != pair[1]]
    values, rest = split_map(left), split_map(right)
    if values.keys() != rest.keys():
        return _UNLIKE
    return [(value, rest[key]) for key, value in values.items() if value != rest[key]]


Identity = Mapping[str, str]
"""Identity keys set by hand: pattern of a list's path (`"cart.items"`, `"orders[*].lines"`) to key name."""

_SPLICE_FROM: Final = 64
"""Code points from which a text is spliced instead of replaced, where splices are asked for."""

_MOVES_LIMIT: Final = 2_000
"""Moves beyond which a reordered list is replaced: each move costs a scan of the list."""


def diff_values(
    old: Value, new: Value, *, at: Path = (), identity: Identity | None = None, text_splices: bool = False
) -> tuple[Op, ...]:
    """Return the ops that turn one value into another; see `diff_encoded`.

    Raises:
        UnsupportedValue: a value that has no wire form.
    """
    return diff_encoded(encode(old), encode(new), at=at, identity=identity, text_splices=text_splices)


def diff_encoded(
    old: bytes,
    new: bytes,
    *,
    at: Path = (),
    identity: Identity | None = None,
    text_splices: bool = False,
    keys: dict[Path, str] | None = None,
    only_plain: bool = False,
) -> tuple[Op, ...]:
    """Return the ops that turn one value into another.

    Args:
        old: wire form of the old value.
        new: wire form of the new value.
        at: where the value stands, for looking up `identity`; paths of the ops do not include it.
        identity: identity keys set by hand; others are detected.
        text_splices: tell changes of long texts as splices of a part instead of whole replacements.
        only_plain: look into nothing but lists and objects whose keys are all text, as JSON knows them.
        keys: takes the key by which the records of each list were distinguished, by the list's path in the new value.

    Returns:
        Ops to apply in order; paths are relative to the value. Empty when the two are strictly equal (the order of
        object keys does not count).
    """
    ops: list[Op] = []
    pending: list[tuple[Path, bytes, bytes, str]] = [((), old, new, "")]
    while pending:
        path, before, after, label = pending.pop()
        if before == after:
            continue
        pair = parts_alike(before, after, only_plain=only_plain) if len(path) < DEEPEST else None
        children: list[tuple[Path, bytes, bytes, str]] | None = None
        if pair is not None:
            old_parts, new_parts = pair
            if isinstance(old_parts, dict) and isinstance(new_parts, dict):
                children = _diff_objects(path, old_parts, new_parts, ops)
            elif isinstance(old_parts, list) and isinstance(new_parts, list):
                children, used = _diff_lists(path, old_parts, new_parts, identity_at(identity, at + path), ops)
                if used and keys is not None:
                    keys[at + path] = used
        if children is None:
            both_text = shape_of(before) is FormShape.TEXT and shape_of(after) is FormShape.TEXT
            _diff_leaves(path, before, after, label, text_splices and both_text, ops)
        else:
            pending.extend(reversed(children))
    return tuple(ops)


def identity_at(identity: Identity | None, path: Path) -> str | None:
    """Return the identity key set by hand for the list at a path, or None where none is."""
    if not identity:
        return None
    pattern = format_path(tuple(step for step in path if not isinstance(step, int)), root="")
    starred = format_path(path, root="")
    return identity.get(starred) or identity.get(pattern) or identity.get(pattern_of(path)) or None


def _diff_objects(
    path: Path, before: dict[Step, bytes], after: dict[Step, bytes], ops: list[Op]
) -> list[tuple[Path, bytes, bytes, str]]:
    ops.extend(Op(OpKind.REMOVE, (*path, key), old=decode(before[key])) for key in before if key not in after)
    children = []
    for key, value in after.items():
        known = before.get(key)
        if known is None:
            ops.append(Op(OpKind.ADD, (*path, key), new=decode(value)))
        elif known != value:
            children.append(((*path, key), known, value, ""))
    return children


def _diff_lists(
    path: Path, before: list[bytes], after: list[bytes], key: str | None, ops: list[Op]
) -> tuple[list[tuple[Path, bytes, bytes, str]] | None, str]:
    alignment = align(before, after, key)
    sources = alignment.sources
    moves = _moves(len(before), sources)
    if moves is None:
        return None, ""
    kept = set(sources)
    for index in range(len(before) - 1, -1, -1):
        if index not in kept:
            label = _label(before[index], alignment.key)
            ops.append(Op(OpKind.REMOVE, (*path, index), old=decode(before[index]), key=label))
    for start, target in moves:
        ops.append(Op(OpKind.MOVE, (*path, target), source=(*path, start)))
    children = []
    for index, source in enumerate(sources):
        if source == GONE:
            label = _label(after[index], alignment.key)
            ops.append(Op(OpKind.ADD, (*path, index), new=decode(after[index]), key=label))
        elif before[source] != after[index]:
            label = _label(after[index], alignment.key)
            children.append(((*path, index), before[source], after[index], label))
    return children, alignment.key


def _label(item: bytes, key: str) -> str:
    record = record_of(item) if key else None
    values = identity_values(record, key) if record is not None else []
    return f"{key}={'/'.join(str(decode(value)) for value in values)}" if values else ""


def _moves(old_size: int, sources: list[int]) -> list[tuple[int, int]] | None:
    """Return (from, to) moves that bring the kept items into their new order, or None when there are too many.

    Items on a longest increasing run stay; each other one is put right behind its new predecessor.
    """
    order = [source for source in sources if source != GONE]
    if all(one < other for one, other in pairwise(order)):
        return []
    staying = _longest_increasing(order)
    if len(order) - len(staying) > _MOVES_LIMIT:
        return None
    current = sorted(order)
    moves = []
    for place, item in enumerate(order):
        if item in staying:
            continue
        start = current.index(item)
        del current[start]
        target = current.index(order[place - 1]) + 1 if place else 0
        current.insert(target, item)
        if start != target:
            moves.append((start, target))
    return moves


def _longest_increasing(order: list[int]) -> set[int]:
    tails: list[int] = []
    tail_places: list[int] = []
    previous = [GONE] * len(order)
    for place, item in enumerate(order):
        length = bisect_left(tails, item)
        previous[place] = tail_places[length - 1] if length else GONE
        if length == len(tails):
            tails.append(item)
            tail_places.append(place)
        else:
            tails[length], tail_places[length] = item, place
    members = set()
    place = tail_places[-1]
    while place != GONE:
        members.add(order[place])
        place = previous[place]
    return members


def _diff_leaves(path: Path, old: bytes, new: bytes, label: str, splice: bool, ops: list[Op]) -> None:
    before, after = decode(old), decode(new)
    if strict_equal(before, after):
        return
    if splice and min(len(before), len(after)) >= _SPLICE_FROM:
        start, cut, put = splice_of(before, after)
        if len(cut) + len(put) < len(after):
            ops.append(Op(OpKind.SPLICE, path, old=cut, new=put, index=start, key=label))
            return
    ops.append(Op(OpKind.REPLACE, path, old=before, new=after, key=label))


def splice_of(old: str, new: str) -> tuple[int, str, str]:
    """Return where two texts begin to differ (code points), what is cut there and what is put there."""
    limit = min(len(old), len(new))
    start = _shared(old, new, limit, from_end=False)
    end = _shared(old[start:], new[start:], limit - start, from_end=True)
    return start, old[start : len(old) - end], new[start : len(new) - end]


def _shared(old: str, new: str, limit: int, *, from_end: bool) -> int:
    low, high = 0, limit + 1
    while high - low > 1:
        middle = (low + high) // 2
        same = old[len(old) - middle :] == new[len(new) - middle :] if from_end else old[:middle] == new[:middle]
        low, high = (middle, high) if same else (low, middle)
    return low


SHORT_TEXT: Final = 60
"""Characters up to which a text is shown whole."""
_MOST_PAIRS: Final = 4_000_000
"""Pairs of lines up to which the lines between two equal ends are matched; beyond, they are one hunk."""
_AROUND: Final = 16
"""Characters that are shown on each side of the changed part of a line."""


class TextHunk(Struct, frozen=True):
    """Lines of a text that were replaced, removed or added together.

    Attributes:
        old_line: number of the first removed line in the old text, from 1; where lines were only added, that of the
            line they stand before.
        new_line: the same in the new text.
        removed: the lines that are gone, without their ends.
        added: the lines in their place.
    """

    old_line: int
    new_line: int
    removed: tuple[str, ...]
    added: tuple[str, ...]


def is_long_text(old: object, new: object) -> bool:
    """Whether two values are texts of which a person cannot be shown the whole."""
    return isinstance(old, str) and isinstance(new, str) and max(len(old), len(new)) > SHORT_TEXT


def is_told_by_lines(old: object, new: object) -> bool:
    """Whether a change is reported by the lines that differ: of two texts that are long, or of which one has three lines."""
    if not isinstance(old, str) or not isinstance(new, str):
        return False
    breaks = max(old.count("\n"), new.count("\n"))
    return breaks > 1 or (breaks > 0 and is_long_text(old, new))


def text_hunks(old: str, new: str) -> list[TextHunk]:
    """Return the lines in which two texts differ, in order; empty where they are equal."""
    before, after = old.split("\n"), new.split("\n")
    lead = _shared_hunks(before, after)
    trail = _shared_hunks(before[lead:][::-1], after[lead:][::-1])
    inner, fresh = before[lead : len(before) - trail], after[lead : len(after) - trail]
    return [
        TextHunk(lead + start + 1, lead + begin + 1, tuple(inner[start:stop]), tuple(fresh[begin:end]))
        for start, stop, begin, end in _differing(inner, fresh)
    ]


def _shared_hunks(before: list[str], after: list[str]) -> int:
    pairs = zip(before, after, strict=False)
    return next((place for place, (one, other) in enumerate(pairs) if one != other), min(len(before), len(after)))


def _differing(before: list[str], after: list[str]) -> Iterator[tuple[int, int, int, int]]:
    if len(before) * len(after) > _MOST_PAIRS:
        yield 0, len(before), 0, len(after)
        return
    from difflib import SequenceMatcher  # only changed texts need it, and every reader loads this module

    for kind, start, stop, begin, end in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if kind != "equal":
            yield start, stop, begin, end


def changed_part(old: str, new: str) -> tuple[str, str]:
    """Return the parts in which two texts differ with a little of what surrounds them; `…` stands for what is left out."""
    at, cut, put = splice_of(old, new)
    return _around(old, at, len(cut)), _around(new, at, len(put))


def _around(text: str, at: int, length: int) -> str:
    start, end = max(0, at - _AROUND), min(len(text), at + length + _AROUND)
    start, end = start if start > 1 else 0, end if end < len(text) - 1 else len(text)
    return f"{'…' if start else ''}{text[start:end]}{'…' if end < len(text) else ''}"
