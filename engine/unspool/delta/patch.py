"""Byte patches between two wire forms: what the file store writes for a changed atom when it is smaller.

A patch is a flat msgpack list of triples `skip, length, insert`: move `skip` bytes on from the end of the last copy
(negative: back), copy `length` bytes of the old form, then write `insert`. It is found along the structure of the
value (keys, list items paired by identity, lines of text), so it is as small as ops at paths would be, and it is
applied by joining slices: nothing is decoded, and moved records cost nothing.

A value that changes in very many places would take more steps than encoding it does. Such a patch is a frame: the
byte 0xC1, which no msgpack begins with, how many leading and trailing bytes are copied (two little-endian numbers of
four bytes), and a zstd frame of what lies between, compressed against the old bytes in its place.
"""

from __future__ import annotations

import struct
from bisect import bisect_left, bisect_right
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate, compress, count
from operator import add, ne
from typing import Any, Final

import msgspec
import zstandard

from unspool.delta.identity import GONE, align
from unspool.errors import CorruptHistory
from unspool.model.limits import in_force
from unspool.model.tags import Tag
from unspool.model.wire import (
    FormShape,
    NotSplittable,
    header_size,
    list_views,
    map_views,
    shape_of,
    shared_ends,
    text_size,
)

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

_IN_PLACE: Final = 4
"""One in so many items may differ for a list of the same length to be taken for one whose items did not move."""

_STEP_ITEMS: Final = 3
_FRAME: Final = struct.Struct("<BII")
"""Of a patch that is a frame: its mark, and the bytes that are copied before and after what the frame holds."""
_FRAME_MARK: Final = 0xC1
_FRAME_BYTE: Final = bytes((_FRAME_MARK,))
_LONGEST_FRAME_HEADER: Final = 18
_WINDOW_SPARE: Final = 1024
_WINDOW_BITS: Final = (17, 27)
_HASH_BITS: Final = (12, 17)
_BYTES_OF_A_STEP: Final = 768
"""Bytes of a frame's content that are decompressed in the time of a step: a chain of 16 such patches is long enough."""
_LIST_16, _LIST_32 = 0xDC, 0xDD

_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final[Callable[[bytes], list[Any]]] = msgspec.msgpack.Decoder(list[int | bytes]).decode


class _Program:
    """A patch being written; adjacent copies and inserts merge."""

    __slots__ = ("items", "most_items", "source")

    def __init__(self, steps: int | None) -> None:
        self.items: list[int | bytearray] = [0, 0, bytearray()]
        self.most_items = None if steps is None else _STEP_ITEMS * steps
        self.source = 0

    def copy(self, start: int, end: int) -> None:
        if start == end:
            return
        if start == self.source and not self.items[-1]:
            self.items[-2] += end - start  # type: ignore[operator]
        else:
            self.items += [start - self.source, end - start, bytearray()]
            if self.most_items is not None and len(self.items) > self.most_items:
                raise TooManySteps
        self.source = end

    def put(self, data: bytes) -> None:
        self.items[-1] += data  # type: ignore[operator]


class TooManySteps(Exception):
    """A patch along the structure would take more steps than it may."""


def make_patch(
    old: bytes, new: bytes, ends: tuple[int, int] | None = None, *, steps: int | None = None
) -> bytes | None:
    """Return a patch from one wire form to another, or None when the new form itself is not larger.

    Args:
        old: wire form of the value before.
        new: wire form of the value after.
        ends: leading and trailing bytes they share, where that is known.
        steps: most steps that the patch may take; None for any number. At 0 no structure is looked at.

    Raises:
        TooManySteps: it would take more.
    """
    if len(new) < SMALLEST_PATCHED or len(old) < SMALLEST_PATCHED:
        return None
    start, end = shared_ends(old, 0, new, 0) if ends is None else ends
    middle = len(new) - start - end
    if middle <= _NEAR or start + end == len(old):
        # One small edit, or a pure insertion: no structure could tell it shorter.
        items: list[Any] = [0, start, new[start : start + middle], len(old) - end - start, end, b""]
    elif steps == 0:
        raise TooManySteps
    else:
        program = _Program(steps)
        _write(program, old, 0, new, 0)
        items = program.items[3:] if program.items[1] == 0 and not program.items[2] else program.items
        items = [bytes(item) if isinstance(item, bytearray) else item for item in items]
    patch = _encode(items)
    return patch if len(patch) < len(new) else None


def make_frame(old: bytes, new: bytes, ends: tuple[int, int] | None = None) -> bytes | None:
    """Return a patch that is a frame, or None when the new form itself is not larger.

    The cost is that of compressing the new form quickly, in however many places it differs.

    Args:
        old: wire form of the value before.
        new: wire form of the value after.
        ends: leading and trailing bytes they share, where that is known.
    """
    start, end = shared_ends(old, 0, new, 0) if ends is None else ends
    before, after = old[start : len(old) - end], new[start : len(new) - end]
    bits = (len(before) + len(after) + _WINDOW_SPARE).bit_length()
    parameters = zstandard.ZstdCompressionParameters.from_level(
        1,
        # Both must lie in the window, and a table made for large inputs costs more than a small one takes to compress.
        window_log=min(max(bits, _WINDOW_BITS[0]), _WINDOW_BITS[1]),
        hash_log=min(max(bits - 1, _HASH_BITS[0]), _HASH_BITS[1]),
        write_checksum=False,
    )
    prefix = _raw_prefix(before)
    frame = zstandard.ZstdCompressor(dict_data=prefix, compression_params=parameters).compress(after)
    patch = _FRAME.pack(_FRAME_MARK, start, end) + frame
    return patch if len(patch) < len(new) else None


def _raw_prefix(data: bytes) -> zstandard.ZstdCompressionDict:
    # zstd takes no empty prefix.
    return zstandard.ZstdCompressionDict(data or b"\0", dict_type=zstandard.DICT_TYPE_RAWCONTENT)


def _apply_frame(old: bytes, patch: bytes) -> bytes:
    try:
        _, start, end = _FRAME.unpack_from(patch)
        if start + end > len(old):
            raise CorruptHistory(f"a patch copies {start} and {end} bytes of a base of {len(old)}")
        claimed = zstandard.frame_content_size(patch[_FRAME.size : _FRAME.size + _LONGEST_FRAME_HEADER])
        if claimed < 0:
            raise CorruptHistory("a patch does not say how large its value is")
        _check_result(start + claimed + end)
        reader = zstandard.ZstdDecompressor(dict_data=_raw_prefix(old[start : len(old) - end]))
        middle = reader.decompress(patch[_FRAME.size :], allow_extra_data=False)
    except (struct.error, zstandard.ZstdError) as error:
        raise CorruptHistory(f"a patch does not decode ({error})") from None
    return b"".join((old[:start], middle, old[len(old) - end :]))


def patch_work(patch: bytes) -> int:
    """Return the work of applying a patch, counted in steps."""
    mark = patch[0] if patch else 0
    if mark == _FRAME_MARK:
        try:
            claimed = zstandard.frame_content_size(patch[_FRAME.size : _FRAME.size + _LONGEST_FRAME_HEADER])
        except zstandard.ZstdError:
            return 0
        return max(1, claimed // _BYTES_OF_A_STEP)
    if mark == _LIST_16:
        return int.from_bytes(patch[1:3]) // _STEP_ITEMS
    return (int.from_bytes(patch[1:5]) if mark == _LIST_32 else mark & 0x0F) // _STEP_ITEMS


def apply_patch(old: bytes, patch: bytes) -> bytes:
    """Return the wire form that a patch makes of its base.

    Raises:
        CorruptHistory: the patch is damaged or belongs to another base.
    """
    if patch[:1] == _FRAME_BYTE:
        return _apply_frame(old, patch)
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
        raise CorruptHistory(
            f"a patch makes a value of {copied:,} bytes and more; {in_force().remedy('frame_bytes')}"
        )


def _write(program: _Program, old: bytes, at: int, new: bytes, depth: int) -> None:
    """Write how `new` is made of `old`, which starts at `at` in the base."""
    shape = shape_of(new)
    if shape is not shape_of(old) or shape is FormShape.LEAF:
        if depth >= _DEEPEST or not _write_holder(program, old, at, new, depth):
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
    if replaces and middle > _NEAR and depth < _DEEPEST and shape is not FormShape.TEXT:
        try:
            if shape is FormShape.MAP:
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
    if middle > _NEAR and shape is FormShape.TEXT:
        _write_lines(program, old[old_start:old_end], at + old_start, put)
    else:
        program.put(put)
    program.copy(at + old_end, at + len(old))


def _write_holder(program: _Program, old: bytes, at: int, new: bytes, depth: int) -> bool:
    """Write a tagged value whose content is a list, such as an object with its fields; return whether it was one."""
    old_header, new_header = _LEAF_HEADERS.get(old[0], 0), _LEAF_HEADERS.get(new[0], 0)
    if len(new) < SMALLEST_PATCHED or old[0] not in _EXTENSIONS or new[0] not in _EXTENSIONS:
        return False
    if old[old_header - 1] not in _HOLDERS or old[old_header - 1] != new[new_header - 1]:
        return False
    before, after = old[old_header:], new[new_header:]
    if shape_of(before) is not FormShape.LIST or shape_of(after) is not FormShape.LIST:
        return False
    program.put(new[:new_header])
    if old[old_header - 1] != Tag.TAGGED:
        _write(program, before, at + old_header, after, depth + 1)
        return True
    try:
        parts, fresh = list_views(before), list_views(after)
    except NotSplittable:
        parts = fresh = []
    if not parts or len(parts) != len(fresh):
        _write(program, before, at + old_header, after, depth + 1)
        return True
    # A class and its content stand where they stood, however much of the content is another.
    body = at + old_header + header_size(before)
    program.copy(at + old_header, body)
    _write_items(program, parts, body, fresh, compress(count(), map(ne, parts, fresh)), depth)
    return True


_EXTENSIONS: Final = frozenset((0xC7, 0xC8, 0xC9))
_HOLDERS: Final = frozenset((Tag.TUPLE, Tag.SET, Tag.FROZENSET, Tag.PAIRS, Tag.TAGGED))
"""Tags of values whose content is the wire form of a list."""


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
    inner, fresh = before[lead:stop], after[lead : len(after) - trail]
    if len(inner) == len(fresh):
        places = list(compress(count(), map(ne, inner, fresh)))
        if _IN_PLACE * len(places) <= len(inner):
            # Items that stay where they are need no identity.
            _write_items(program, inner, body + ends[lead], fresh, places, depth)
            program.copy(body + ends[stop], body + ends[-1])
            return
    _write_aligned(
        program, list(map(bytes, inner)), [body + at for at in ends[lead:stop]], list(map(bytes, fresh)), depth
    )
    program.copy(body + ends[stop], body + ends[-1])


def _write_items(
    program: _Program,
    before: Sequence[msgspec.Raw],
    at: int,
    after: Sequence[msgspec.Raw],
    places: Iterable[int],
    depth: int,
) -> None:
    """Write items in a row of which those at some places changed; the first one starts at `at` in the base."""
    starts = list(accumulate(map(len, before), initial=at))
    copied = at
    for place in places:
        program.copy(copied, starts[place])
        _write(program, bytes(before[place]), starts[place], bytes(after[place]), depth + 1)
        copied = starts[place + 1]
    program.copy(copied, starts[-1])


def _write_aligned(
    program: _Program, before: list[bytes], starts: Sequence[int], after: list[bytes], depth: int
) -> None:
    """Write items in a row that may be others or elsewhere; `starts` says where the old ones stand in the base."""
    for value, source in zip(after, align(before, after, thorough=False).sources, strict=True):
        if source == GONE:
            program.put(value)
            continue
        known, start = before[source], starts[source]
        if known == value:
            program.copy(start, start + len(value))
        else:
            _write(program, known, start, value, depth + 1)


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
