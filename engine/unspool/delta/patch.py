"""Byte patches between two wire forms: what the file store writes for a changed atom when it is smaller.

A patch is a flat msgpack list of triples `skip, length, insert`: move `skip` bytes on from the end of the last copy
(negative: back), copy `length` bytes of the old form, then write `insert`. It is found along the structure of the
value (keys, list items paired by identity, lines of text), so it is as small as ops at paths would be, and it is
applied by joining slices: nothing is decoded, and moved records cost nothing.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict, deque
from collections.abc import Callable
from itertools import accumulate
from operator import add
from typing import Any, Final

import msgspec

from unspool.delta.align import GONE, align
from unspool.errors import CorruptHistory
from unspool.model.encoded import (
    NotSplittable,
    Shape,
    header_size,
    list_views,
    map_views,
    shape_of,
    shared_ends,
    text_size,
)
from unspool.model.limits import in_force

SMALLEST_PATCHED: Final = 64
"""Bytes below which a value is written whole: a patch would not be smaller."""
_DEEPEST: Final = 24
"""Levels of structure that are followed; what differs further down is written whole."""
_FREE_BYTES: Final = 1 << 26
"""Bytes of a result up to which nothing is asked."""
_LARGE: Final = 16_384
"""Bytes from which a view of a value costs less than a copy of a part."""
_NEAR: Final = 48
"""Bytes of a differing middle that are simply written, without looking at their structure."""

_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final[Callable[[bytes], list[Any]]] = msgspec.msgpack.Decoder(list[int | bytes]).decode


class _Program:
    """A patch being written; adjacent copies and inserts merge."""

    __slots__ = ("cost", "items", "source")

    def __init__(self) -> None:
        self.items: list[int | bytearray] = [0, 0, bytearray()]
        self.source = 0
        self.cost = 0

    def copy(self, start: int, end: int) -> None:
        if start == end:
            return
        if start == self.source and not self.items[-1]:
            self.items[-2] += end - start  # type: ignore[operator]
        else:
            self.items += [start - self.source, end - start, bytearray()]
        self.source = end

    def put(self, data: bytes) -> None:
        self.items[-1] += data  # type: ignore[operator]
        self.cost += len(data)


def make_patch(old: bytes, new: bytes, ends: tuple[int, int] | None = None) -> bytes | None:
    """Return a patch from one wire form to another, or None when the new form itself is not larger.

    Args:
        old: wire form of the value before.
        new: wire form of the value after.
        ends: leading and trailing bytes they share, where that is known.
    """
    if len(new) < SMALLEST_PATCHED or len(old) < SMALLEST_PATCHED:
        return None
    start, end = shared_ends(old, 0, new, 0) if ends is None else ends
    middle = len(new) - start - end
    if middle <= _NEAR or start + end == len(old):
        # One small edit, or a pure insertion: no structure could tell it shorter.
        items: list[Any] = [0, start, new[start : start + middle], len(old) - end - start, end, b""]
    else:
        program = _Program()
        _write(program, old, 0, new, 0)
        items = program.items[3:] if program.items[1] == 0 and not program.items[2] else program.items
        items = [bytes(item) if isinstance(item, bytearray) else item for item in items]
    patch = _encode(items)
    return patch if len(patch) < len(new) else None


def apply_patch(old: bytes, patch: bytes) -> bytes:
    """Return the wire form that a patch makes of its base.

    Raises:
        CorruptHistory: the patch is damaged or belongs to another base.
    """
    try:
        items = _decode(patch)
    except msgspec.DecodeError as error:
        raise CorruptHistory(f"a patch does not decode ({error})") from None
    size = len(old)
    # Slices of a large value are joined without copying them first.
    base = memoryview(old) if size > _LARGE else old
    try:
        if len(items) == 6:
            # One edit inside: nearly every patch.
            start, length, insert, skip, rest, last = items
            end = start + length
            back = end + skip
            position = back + rest
            if 0 <= start <= end <= size and 0 <= back <= position <= size:
                _check_result(length + rest)
                return b"".join((base[start:end], insert, base[back:position], last))
        parts: list[bytes | memoryview] = []
        put = parts.append
        position = copied = 0
        steps = iter(items)
        for skip, length, insert in zip(steps, steps, steps, strict=False):
            start = position + skip
            position = start + length
            if not 0 <= start <= position <= size:
                raise CorruptHistory(f"a patch copies bytes {start}-{position} of a base of {size}")
            copied += length
            _check_result(copied)
            put(base[start:position])
            put(insert)
        return b"".join(parts)
    except TypeError:
        raise CorruptHistory("a patch is malformed") from None


def _check_result(copied: int) -> None:
    """Refuse a result that few steps could double again and again.

    Raises:
        CorruptHistory: it is larger than anything that is stored.
    """
    if copied > _FREE_BYTES and copied > in_force().frame_bytes:
        raise CorruptHistory(f"a patch makes a value of {copied:,} bytes and more; {in_force().told('frame_bytes')}")


def _write(program: _Program, old: bytes, at: int, new: bytes, depth: int) -> None:
    """Write how `new` is made of `old`, which starts at `at` in the base."""
    shape = shape_of(new)
    if shape is not shape_of(old) or shape is Shape.LEAF:
        _write_bytes(program, old, at, new)
        return
    old_header, new_header = header_size(old), header_size(new)
    start, end = shared_ends(old, old_header, new, new_header)
    middle = len(new) - new_header - start - end
    if old[:old_header] == new[:new_header]:
        program.copy(at, at + old_header)
    else:
        program.put(new[:new_header])
    replaces = len(old) - old_header - start - end > 0
    # What was only inserted is written as it is; there is nothing to look for.
    if replaces and middle > _NEAR and depth < _DEEPEST and shape is not Shape.TEXT:
        try:
            if shape is Shape.MAP:
                _write_map(program, old, at, new, depth)
            else:
                _write_list(program, old, at, new, depth, start, end)
        except NotSplittable:
            pass
        else:
            return
    old_start, old_end = old_header + start, len(old) - end
    program.copy(at + old_header, at + old_start)
    put = new[new_header + start : len(new) - end]
    if middle > _NEAR and shape is Shape.TEXT:
        _write_lines(program, old[old_start:old_end], at + old_start, put)
    else:
        program.put(put)
    program.copy(at + old_end, at + len(old))


def _write_bytes(program: _Program, old: bytes, at: int, new: bytes) -> None:
    """Write a value without structure of its own: what its content shares with its predecessor's ends is copied."""
    old_header, new_header = _LEAF_HEADERS.get(old[0], 1), _LEAF_HEADERS.get(new[0], 1)
    start, end = shared_ends(old, old_header, new, new_header)
    if start + end < _NEAR:
        program.put(new)
        return
    program.put(new[:new_header])
    program.copy(at + old_header, at + old_header + start)
    program.put(new[new_header + start : len(new) - end])
    program.copy(at + len(old) - end, at + len(old))


_LEAF_HEADERS: Final = {0xC4: 2, 0xC5: 3, 0xC6: 5, 0xC7: 3, 0xC8: 4, 0xC9: 6}
"""Bytes before the content of binary and tagged values: their size, which differs when the content grows."""


def _write_map(program: _Program, old: bytes, at: int, new: bytes, depth: int) -> None:
    before, after = map_views(old), map_views(new)
    sizes = map(add, map(text_size, before), map(len, before.values()))
    starts = list(accumulate(sizes, initial=at + header_size(old)))
    if list(before) == list(after):
        copied = starts[0]
        for start, (key, value), earlier in zip(starts, after.items(), before.values(), strict=False):
            if earlier != value:
                value_at = start + text_size(key)
                program.copy(copied, value_at)
                _write(program, bytes(earlier), value_at, bytes(value), depth + 1)
                copied = value_at + len(earlier)
        program.copy(copied, at + len(old))
        return
    places = dict(zip(before, starts, strict=False))
    for key, value in after.items():
        known = before.get(key)
        if known is None:
            program.put(_encode(key))
            program.put(bytes(value))
            continue
        start = places[key]
        value_at = start + text_size(key)
        if known == value:
            program.copy(start, value_at + len(value))
        else:
            program.copy(start, value_at)
            _write(program, bytes(known), value_at, bytes(value), depth + 1)


def _write_list(program: _Program, old: bytes, at: int, new: bytes, depth: int, start: int, end: int) -> None:
    """Write how a list is made of another, whose bodies share `start` leading and `end` trailing bytes."""
    before, after = list_views(old), list_views(new)
    ends = list(accumulate(map(len, before), initial=0))
    lead = min(bisect_right(ends, start) - 1, len(after))
    trail = min(len(ends) - bisect_left(ends, ends[-1] - end) - 1, len(before) - lead, len(after) - lead)
    # Equal leading bytes mean equal leading items; trailing ones may end in the middle of an item.
    if trail and before[-trail:] != after[-trail:]:
        pairs = zip(reversed(before), reversed(after), strict=False)
        trail = next((place for place, (one, other) in enumerate(pairs) if one != other), trail)
    body = at + header_size(old)
    program.copy(body, body + ends[lead])
    stop = len(before) - trail
    inner = [bytes(item) for item in before[lead:stop]]
    fresh = [bytes(item) for item in after[lead : len(after) - trail]]
    for value, source in zip(fresh, align(inner, fresh, thorough=False).sources, strict=True):
        if source == GONE:
            program.put(value)
            continue
        known, value_at = inner[source], body + ends[lead + source]
        if known == value:
            program.copy(value_at, value_at + len(value))
        else:
            _write(program, known, value_at, value, depth + 1)
    program.copy(body + ends[stop], body + ends[-1])


def _write_lines(program: _Program, old: bytes, at: int, new: bytes) -> None:
    """Write the middle of a text line by line: a line that was there is copied, others are put."""
    if b"\n" not in new or b"\n" not in old:
        program.put(new)
        return
    before = old.splitlines(keepends=True)
    places = list(accumulate(map(len, before), initial=at))
    where: defaultdict[bytes, deque[int]] = defaultdict(deque)
    for index, line in enumerate(before):
        where[line].append(index)
    for line in new.splitlines(keepends=True):
        queue = where.get(line)
        # A copy costs about six bytes of its own.
        if queue and len(line) > 6:
            index = queue.popleft()
            program.copy(places[index], places[index + 1])
        else:
            program.put(line)
