"""The wire form of values: msgpack with strict types, tagged where msgpack alone would forget the type.

ormsgpack encodes plain JSON-like values and hands over whatever it would coerce; msgspec decodes the same bytes.
What ormsgpack refuses (lone surrogates, keys that are no text, nesting beyond its limits) takes the iterative path
in `unspool.model.encoding`. Nothing is ever pickled, imported or called when reading.

ormsgpack walks the memory of lists and dicts without holding on to them, so no Python code may run while it does:
another thread, a signal handler or a destructor could change them under it. What it hands over is therefore only
collected, by a function that is no Python code, and encoded afterwards.

Parts of a form are found, and its kind is known, without decoding it.
"""

from __future__ import annotations

import gc
import os
import struct
from collections.abc import Callable, Collection, Iterable
from enum import Enum
from functools import lru_cache, partial
from itertools import repeat
from typing import Final

import msgspec
import ormsgpack
from msgspec import Struct, field

from unspool.errors import CorruptHistory
from unspool.model.limits import LARGE_BYTES, refuse_heavy
from unspool.model.recipes import FROZENSET, SET, TAGGED, TUPLE, Recipes, find_plain
from unspool.model.tags import Tagged, array_header, compose, extension, from_tag, is_leaf_tag, leaf_form
from unspool.model.values import Value

_OPTIONS: Final = (
    ormsgpack.OPT_PASSTHROUGH_TUPLE
    | ormsgpack.OPT_PASSTHROUGH_DATACLASS
    | ormsgpack.OPT_PASSTHROUGH_DATETIME
    | ormsgpack.OPT_PASSTHROUGH_SUBCLASS
    | ormsgpack.OPT_PASSTHROUGH_BIG_INT
    | ormsgpack.OPT_PASSTHROUGH_ENUM
    | ormsgpack.OPT_PASSTHROUGH_UUID
)

_NIL: Final = b"\xc0"
_MARK: Final = os.urandom(16)
"""Stands for a value that was handed over; nothing that a program holds has these bytes."""
_MARK_FORM: Final = b"\xc4\x10" + _MARK
_mark: Final[Callable[[Value], bytes]] = partial(next, repeat(_MARK))
_ATTEMPTS: Final = 4
"""Times that a value is looked at which another thread changes meanwhile."""


class ChangedMeanwhile(RuntimeError):
    """A value that was changed while it was encoded, as Python raises for a dict that changes while it is walked."""


def is_race(error: BaseException) -> bool:
    """Whether an error means that something was changed while it was looked at, so that looking again may help."""
    return isinstance(error, RuntimeError) and (
        # As Python says of a dict or set that changes its size while it is walked.
        isinstance(error, ChangedMeanwhile) or "during iteration" in str(error)
    )


class TooMany(TypeError):
    """A value in which the same lists and dicts stand so often that its wire form would be far larger than it is."""


class Encoder:
    """Encodes values, with recipes for the types that the wire form has no form of its own for."""

    def __init__(self, recipes: Recipes, largest: int | None = None) -> None:
        """Use recipes.

        Args:
            recipes: by class.
            largest: bytes beyond which `plain` gives up, also on values that only would become so large because they
                hold the same parts over and over; None for no bound.
        """
        self.recipes = recipes
        self._largest = largest
        self._looked = 0
        self._has_buffers = False
        self._suspects = 0

    def plain(self, value: Value) -> bytes | None:
        """Return the wire form where the fast path gives it, or None where another has to.

        Raises:
            ChangedMeanwhile: another thread changed the value whenever it was looked at.
            Exception: whatever code of the app raises, where recipes call any.
        """
        try:
            return self._pack(value, _Met())
        except (TypeError, RecursionError):
            return None

    def _pack(self, value: Value, met: _Met, content: Value = None) -> bytes:
        """Return a wire form; where a list only wraps the content, that is what may be too much."""
        if self._largest is not None:
            self._look_for_repetition(value if content is None else content)
        blob = self._pack_modest(value, met)
        if self._largest is not None and len(blob) > self._largest:
            raise TooMany
        return blob

    def _pack_modest(self, value: Value, met: _Met) -> bytes:
        odd: list[Value] = []
        blob = ormsgpack.packb(value, odd.append, _OPTIONS)
        if (_BIN_8 in blob or _BIN_16 in blob or _BIN_32 in blob) and self._holds_buffer(value, len(blob)):
            raise TypeError("a buffer, which the fast path takes for bytes")
        return self._filled(value, blob, odd, met) if odd else blob

    def _holds_buffer(self, value: Value, size: int) -> bool:
        """Whether a value, whose wire form may begin some bytes, holds a bytearray or a view of memory.

        Numbers and texts may have the same bytes, and looking through every value of a large state costs more than
        encoding it: then the first ones are looked through and one now and then, until one is found.
        """
        if type(value) not in _WALKED:
            return type(value) in _BUFFERS
        if size > _SHORT and not self._has_buffers:
            self._suspects += 1
            if self._suspects > _LOOKED_THROUGH and self._suspects % _LOOK_EVERY:
                return False
        found = holds_buffer(value)
        self._has_buffers = self._has_buffers or found
        return found

    def _look_for_repetition(self, value: Value) -> None:
        """Refuse a value whose wire form would be far larger than the value is."""
        self._looked += 1
        if not is_modest(value, self._looked):
            raise TooMany

    def _filled(self, value: Value, blob: bytes, odd: list[Value], met: _Met) -> bytes:
        """Put the wire forms of what was handed over in the places of the nils that stand for it.

        Args:
            value: the whole.
            blob: its wire form with those nils.
            odd: what was handed over, in order.
            met: what this call has encoded already.
        """
        if value is odd[0]:
            return self._odd_form(value, met)
        for _ in range(_ATTEMPTS):
            between = _between(value, blob, len(odd))
            if between is not None:
                forms = self._odd_forms(odd, met)
                forms.append(b"")
                return b"".join([part for pair in zip(between, forms, strict=True) for part in pair])
            odd.clear()
            blob = ormsgpack.packb(value, odd.append, _OPTIONS)
            if not odd:
                return blob
        raise ChangedMeanwhile("another thread changed it whenever it was looked at")

    def _odd_forms(self, odd: list[Value], met: _Met) -> list[bytes]:
        forms = []
        for item in odd:
            if type(item) is tuple and not met.forms:
                # Thousands of short tuples of numbers are common; calls would cost more than the work.
                items = list(item)
                if _NOT_FLAT.isdisjoint(map(type, items)):
                    inner: list[Value] = []
                    payload = ormsgpack.packb(items, inner.append, _OPTIONS)
                    size = len(payload)
                    if not inner and size < _SMALL:
                        forms.append(_TUPLE_HEADS[size] + payload)
                        continue
            forms.append(self._odd_form(item, met))
        return forms

    def _odd_form(self, value: Value, met: _Met) -> bytes:
        kind = type(value)
        if kind is not tuple:
            form = leaf_form(value)
            if form is not None:
                return form
        known = met.forms.get(id(value)) if met.forms else None
        if known is not None:
            if len(known[0]) > _SMALL:
                met.repeated += len(known[0])
                if self._largest is not None and met.repeated > _REPEATED:
                    raise TooMany
            return known[0]
        if kind is tuple:
            items = list(value)
            # Most tuples hold a few leaves.
            is_flat = _WALKED.isdisjoint(map(type, items))
            form = extension(TUPLE, self._pack_modest(items, met) if is_flat else self._pack(items, met))
            if len(form) <= _SMALL:
                return form
        else:
            tag, content = self.recipes[kind](value)
            if type(content) is bytes:
                form = extension(tag, content)
            elif tag in _SETS:
                # Set order varies between processes; encoded order does not.
                members = sorted([self._pack(item, met) for item in content])
                form = extension(tag, array_header(len(content)) + b"".join(members))
            elif tag == TAGGED:
                form = extension(tag, self._pack(content, met, content[1]))
            else:
                form = extension(tag, self._pack(content, met))
        # Numbers of objects that are gone are given again, so the object is kept beside its form.
        met.forms[id(value)] = (form, value)
        return form


def holds_buffer(value: Value) -> bool:
    """Whether a buffer is among what lists and dicts of a value hold, at any depth; a C call a level."""
    level = [value]
    for _ in range(_DEEPEST):
        held = gc.get_referents(*level)
        kinds = set(map(type, held))
        if not _BUFFERS.isdisjoint(kinds):
            return True
        if _WALKED.isdisjoint(kinds):
            break
        level = [item for item in held if type(item) in _WALKED]
        if len(level) > _MANY:
            # The same ones may stand there over and over.
            level = list({id(item): item for item in level}.values())
    return False


_BIN_8, _BIN_16, _BIN_32 = 0xC4, 0xC5, 0xC6
"""How the wire form of bytes begins."""
_BUFFERS: Final = frozenset((bytearray, memoryview))
_SHORT: Final = 2048
"""Bytes of a wire form up to which a value is always looked through."""
_LOOKED_THROUGH: Final = 8
_LOOK_EVERY: Final = 64


class _Met:
    """What one call has encoded already: an object that is met again is not taken apart again."""

    __slots__ = ("forms", "repeated")

    def __init__(self) -> None:
        self.forms: dict[int, tuple[bytes, Value]] = {}
        self.repeated = 0


_TUPLE_HEADS: Final = tuple(extension(TUPLE, bytes(size))[: -size or None] for size in range(256))
_SETS: Final = (SET, FROZENSET)
_SMALL: Final = 256
"""Bytes up to which an object may be written as often as it is met."""
_REPEATED: Final = 1024 * 1024
"""Bytes of larger objects that are written again before the fast path gives up."""


def _between(value: Value, blob: bytes, count: int) -> list[bytes] | None:
    """Return the bytes around what was handed over, or None where the value was changed meanwhile."""
    if blob.count(_NIL) == count:
        return blob.split(_NIL)
    # Other nils, or numbers that hold that byte: marks tell the places. The value may have been changed since.
    between = ormsgpack.packb(value, _mark, _OPTIONS).split(_MARK_FORM)
    return between if len(between) == count + 1 and _NIL.join(between) == blob else None


_WALKED: Final = frozenset((list, dict))
_NOT_FLAT: Final = _WALKED | _BUFFERS
_MANY: Final = 100_000
"""Items from which it is asked whether they are the same ones over and over."""
_DEEPEST: Final = 256
"""Levels beyond which the fast path gives up by itself."""


def is_modest(value: Value, turn: int = 0) -> bool:
    """Whether lists and dicts of a value are about as many as they would be when written.

    `x = [x, x]`, done thirty times, makes thirty lists and a wire form of a gigabyte. Most of this is one C call a level,
    in which dicts and tuples that hold no containers are not even looked at.

    Args:
        value: what is to be written.
        turn: which items of a long list are looked at before the list is taken for one of numbers or texts: after as
            many turns as one in so many items is, all were.
    """
    if type(value) not in _WALKED:
        return True
    items: Iterable[Value] = value.values() if type(value) is dict else value
    written, suspicious = 0, _MANY
    for _ in range(_DEEPEST):
        level = [item for item in filter(gc.is_tracked, items) if type(item) in _WALKED]
        if not level:
            break
        written += sum(map(len, level))
        if written > suspicious:
            if 2 * len(set(map(id, level))) < len(level):
                return False
            suspicious *= 4
        if written > _FEW:
            level = [
                item for item in level if len(item) <= _SHORT_LIST or type(item) is dict or _may_nest(item, turn)
            ]
        items = gc.get_referents(*level)
    return True


def _may_nest(items: list[Value], turn: int) -> bool:
    stride = len(items) // _SAMPLE
    return not _WALKED.isdisjoint(map(type, items[turn % stride :: stride]))


_FEW: Final = 2_000
"""Items up to which all of them are looked at."""
_SHORT_LIST: Final = 32
"""Items of a list up to which all of them are looked at."""
_SAMPLE: Final = 16


PLAIN: Final = Encoder(Recipes(find_plain))
"""Encodes what has a wire form of its own."""


def encode_json(value: Value) -> bytes | None:
    """Return the wire form of a JSON-like value in one step during which no other code runs; None for all others."""
    try:
        return ormsgpack.packb(value, None, _OPTIONS)
    except (TypeError, RecursionError):
        return None


def _untag(code: int, payload: memoryview) -> Value:
    return from_tag(code, bytes(payload), decode)


_decode: Final[Callable[[bytes], Value]] = msgspec.msgpack.Decoder(ext_hook=_untag).decode


def decode(data: bytes) -> Value:
    """Rebuild the value from its wire form; the result shares nothing with any other.

    Enums, dataclasses and subclasses of plain types come back as `Tagged`: their classes are never imported.

    Raises:
        CorruptHistory: the bytes are no wire form, or stand for more than the limits allow.
    """
    if len(data) > LARGE_BYTES:
        refuse_heavy(data)
    try:
        return _decode(data)
    except RecursionError:
        return decode_deep(data)
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError, TypeError) as error:
        if isinstance(error, msgspec.DecodeError) and "hashable" in str(error):
            return decode_deep(data)
        raise CorruptHistory(f"a stored value does not decode ({error}); run `unspool doctor` on the file") from None


def decode_all(forms: Collection[bytes]) -> list[Value]:
    """Rebuild many values; they share nothing with each other.

    Raises:
        CorruptHistory: one of them is no wire form.
    """
    if any(len(form) > LARGE_BYTES for form in forms):
        return [decode(form) for form in forms]
    try:
        return list(map(_decode, forms))
    except (RecursionError, msgspec.DecodeError, UnicodeDecodeError, ValueError, TypeError):
        # One by one, the slow path is taken for those that need it, and what is damaged is reported.
        return [decode(form) for form in forms]


class _Node(Struct):
    """A container being read."""

    left: int
    items: list[Value]
    is_map: bool
    tags: list[int] = field(default_factory=list)

    def close(self) -> Value:
        value: Value = dict(zip(self.items[::2], self.items[1::2], strict=True)) if self.is_map else self.items
        for code in reversed(self.tags):
            value = compose(code, value)
        return value


def decode_deep(data: bytes) -> Value:
    """Rebuild a value of any depth from its wire form, without recursion.

    Raises:
        CorruptHistory: the bytes are no wire form.
    """
    try:
        return _decode_wire_deep(data)
    except (struct.error, IndexError, UnicodeDecodeError, TypeError, ValueError) as error:
        raise CorruptHistory(f"a stored value does not decode ({error}); run `unspool doctor` on the file") from None


def _decode_wire_deep(data: bytes) -> Value:
    nodes: list[_Node] = []
    tags: list[int] = []
    position = 0
    while True:
        kind, size, start = read_header(data, position)
        if kind in ("array", "map"):
            nodes.append(_Node(size * (2 if kind == "map" else 1), [], kind == "map", tags))
            tags, position = [], start
        elif kind == "ext" and not is_leaf_tag(data[start - 1]):
            tags.append(data[start - 1])
            position = start
            continue
        else:
            value: Value = _scalar(data, kind, position, start, size)
            for code in reversed(tags):
                value = compose(code, value)
            tags, position = [], start + size
            if not nodes:
                return value
            nodes[-1].items.append(value)
            nodes[-1].left -= 1
        while nodes and nodes[-1].left == 0:
            value = nodes.pop().close()
            if not nodes:
                return value
            nodes[-1].items.append(value)
            nodes[-1].left -= 1


def _scalar(data: bytes, kind: str, position: int, start: int, size: int) -> Value:
    if kind == "ext":
        return from_tag(data[start - 1], data[start : start + size], decode_deep)
    import msgpack  # only what is nested beyond all other readers is read here

    return msgpack.unpackb(data[position : start + size], raw=False, strict_map_key=False)


def split_map_deep(data: bytes) -> dict[str, bytes]:
    """Return the wire forms of a map's values by key, however deep they are; the keys are text.

    Raises:
        IndexError, ValueError: the bytes end early or are no such map.
    """
    _, count, position = read_header(data, 0)
    parts: dict[str, bytes] = {}
    for _ in range(count):
        value_at = _value_end(data, position)
        key = _decode_wire_deep(data[position:value_at])
        position = _value_end(data, value_at)
        parts[key] = data[value_at:position]
    return parts


def _value_end(data: bytes, position: int) -> int:
    """Return where the value that starts at a place ends."""
    left = 1
    while left:
        kind, size, position = read_header(data, position)
        left -= 1
        if kind in ("array", "map"):
            left += size * (2 if kind == "map" else 1)
        else:
            position += size
    return position


_FIXED: Final = {0xC0: 0, 0xC2: 0, 0xC3: 0, 0xCA: 4, 0xCB: 8, 0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8,
                 0xD0: 1, 0xD1: 2, 0xD2: 4, 0xD3: 8}  # fmt: skip
_SIZED: Final = {0xC4: ("scalar", 1), 0xC5: ("scalar", 2), 0xC6: ("scalar", 4),
                 0xD9: ("scalar", 1), 0xDA: ("scalar", 2), 0xDB: ("scalar", 4),
                 0xDC: ("array", 2), 0xDD: ("array", 4), 0xDE: ("map", 2), 0xDF: ("map", 4),
                 0xC7: ("ext", 1), 0xC8: ("ext", 2), 0xC9: ("ext", 4)}  # fmt: skip


def read_header(data: bytes, position: int) -> tuple[str, int, int]:
    """Read one msgpack header.

    Returns:
        Kind (`scalar`, `array`, `map` or `ext`), size (payload bytes, or number of items), and where the payload
        starts; the extension code is the byte before the payload.

    Raises:
        IndexError, ValueError: the bytes end early or are no msgpack.
    """
    first = data[position]
    if first < 0x80 or first >= 0xE0:
        return "scalar", 0, position + 1
    if first < 0x90:
        return "map", first & 0x0F, position + 1
    if first < 0xA0:
        return "array", first & 0x0F, position + 1
    if first < 0xC0:
        return "scalar", first & 0x1F, position + 1
    if first in _FIXED:
        return "scalar", _FIXED[first], position + 1
    if first in _SIZED:
        kind, width = _SIZED[first]
        size = int.from_bytes(data[position + 1 : position + 1 + width])
        return kind, size, position + 1 + width + (kind == "ext")
    if 0xD4 <= first <= 0xD8:
        return "ext", 1 << (first - 0xD4), position + 2
    raise ValueError(f"byte 0x{first:02x} at {position} starts no value")


EncodedState = dict[str, bytes]
"""A state as wire forms by atom."""


class FormShape(Enum):
    """What a wire form holds, as far as comparing needs to know."""

    MAP = "map"
    LIST = "list"
    TEXT = "text"
    LEAF = "leaf"


def _shape_table() -> tuple[FormShape, ...]:
    table = [FormShape.LEAF] * 256
    for first in (*range(0x80, 0x90), 0xDE, 0xDF):
        table[first] = FormShape.MAP
    for first in (*range(0x90, 0xA0), 0xDC, 0xDD):
        table[first] = FormShape.LIST
    for first in (*range(0xA0, 0xC0), 0xD9, 0xDA, 0xDB):
        table[first] = FormShape.TEXT
    return tuple(table)


_SHAPES: Final = _shape_table()
_HEADER_BYTES: Final = {0xD9: 2, 0xDA: 3, 0xDB: 5, 0xDC: 3, 0xDD: 5, 0xDE: 3, 0xDF: 5}
_split_list: Final[Callable[[bytes], list[msgspec.Raw]]] = msgspec.msgpack.Decoder(list[msgspec.Raw]).decode
_split_map: Final[Callable[[bytes], dict[str, msgspec.Raw]]] = msgspec.msgpack.Decoder(dict[str, msgspec.Raw]).decode

_skip: Final[Callable[[bytes], msgspec.Raw]] = msgspec.msgpack.Decoder(msgspec.Raw).decode


class NotSplittable(Exception):
    """A wire form that is nested too deeply to be taken apart by the fast path."""


def shape_of(data: bytes) -> FormShape:
    """Say what a wire form holds."""
    return _SHAPES[data[0]]


def header_size(data: bytes) -> int:
    """Return the bytes before the content of a map, list or text."""
    return _HEADER_BYTES.get(data[0], 1)


def split_list(data: bytes) -> list[bytes]:
    """Return the wire forms of a list's items.

    Raises:
        NotSplittable: nested too deeply.
    """
    return [bytes(item) for item in list_views(data)]


def list_views(data: bytes) -> list[msgspec.Raw]:
    """Return views of the wire forms of a list's items: they have a length and compare, and `bytes` copies them.

    Raises:
        NotSplittable: nested too deeply.
    """
    if len(data) > LARGE_BYTES:
        refuse_heavy(data)
    try:
        return _split_list(data)
    except (RecursionError, msgspec.DecodeError) as error:
        raise NotSplittable from error


def split_map(data: bytes) -> dict[str, bytes]:
    """Return the wire forms of a map's values by key.

    Raises:
        NotSplittable: nested too deeply, or keys that are no text.
    """
    return {key: bytes(item) for key, item in map_views(data).items()}


def map_views(data: bytes) -> dict[str, msgspec.Raw]:
    """Return views of the wire forms of a map's values by key; see `list_views`.

    Raises:
        NotSplittable: nested too deeply, or keys that are no text.
    """
    if len(data) > LARGE_BYTES:
        refuse_heavy(data)
    try:
        return _split_map(data)
    except (RecursionError, msgspec.DecodeError) as error:
        raise NotSplittable from error


def extension_of(data: bytes) -> tuple[int, bytes] | None:
    """Return code and payload of a tagged value; None for a wire form that is none."""
    first = data[0]
    if 0xD4 <= first <= 0xD8:
        return data[1], data[2:]
    width = _EXTENSION_WIDTHS.get(first)
    return None if width is None else (data[1 + width], data[2 + width :])


_EXTENSION_WIDTHS: Final = {0xC7: 1, 0xC8: 2, 0xC9: 4}


def is_one_value(data: bytes) -> bool:
    """Whether bytes are exactly one wire form, without decoding it; False where that cannot be known quickly."""
    try:
        _skip(data)
    except (RecursionError, msgspec.DecodeError):
        return False
    return True


@lru_cache(maxsize=4096)
def text_size(key: str) -> int:
    """Return the bytes a text takes in wire form."""
    size = len(key.encode())
    return size + (1 if size < 32 else 2 if size < 256 else 3 if size < 65536 else 5)


def shared_ends(left: bytes, left_at: int, right: bytes, right_at: int) -> tuple[int, int]:
    """Return how many leading and trailing bytes two byte strings share from two places on; they never overlap.

    Args:
        left: one byte string.
        left_at: where to begin in it.
        right: the other.
        right_at: where to begin in that.
    """
    start = shared_from(left, left_at, right, right_at)
    limit = min(len(left) - left_at, len(right) - right_at) - start
    return start, shared_end(left, right, limit)


def shared_from(left: bytes, left_at: int, right: bytes, right_at: int) -> int:
    """Return how many bytes two byte strings share from two places on; strides grow, so near ends cost little.

    Nothing is copied: a view of one is held against the other.
    """
    view = memoryview(left)
    low, most = 0, min(len(left) - left_at, len(right) - right_at)
    high, stride = most, _STRIDE
    while most > _WORD and low < most:
        high = min(low + stride, most)
        if not right.startswith(view[left_at + low : left_at + high], right_at + low):
            break
        low, stride = high, stride * _GROWTH
    while high - low > _WORD:
        middle = (low + high) // 2
        if right.startswith(view[left_at + low : left_at + middle], right_at + low):
            low = middle
        else:
            high = middle
    one, other = left[left_at + low : left_at + high], right[right_at + low : right_at + high]
    # The lowest bit in which two little-endian numbers differ is in the first byte that does.
    different = int.from_bytes(one, "little") ^ int.from_bytes(other, "little")
    return low + ((different & -different).bit_length() - 1 >> 3) if different else high


def shared_end(left: bytes, right: bytes, limit: int) -> int:
    """Return how many trailing bytes two byte strings share, at most `limit`."""
    view = memoryview(left)
    left_end, right_end = len(left), len(right)
    low, high = 0, limit
    if limit > _WORD and right.endswith(view[left_end - limit + _WORD :]):
        # Mostly little differs, in one place, and all that follows it is shared.
        low = limit - _WORD
    elif limit > _WORD:
        stride = _STRIDE
        while low < limit:
            high = min(low + stride, limit)
            if not right.endswith(view[left_end - high : left_end - low], 0, right_end - low):
                break
            low, stride = high, stride * _GROWTH
    while high - low > _WORD:
        middle = (low + high) // 2
        if right.endswith(view[left_end - middle : left_end - low], 0, right_end - low):
            low = middle
        else:
            high = middle
    one, other = left[left_end - high : left_end - low], right[right_end - high : right_end - low]
    different = int.from_bytes(one) ^ int.from_bytes(other)
    return low + ((different & -different).bit_length() - 1 >> 3) if different else high


_GROWTH: Final = 4
_STRIDE: Final = 512
"""Bytes compared first; further strides grow."""
_WORD: Final = 256
"""Bytes that are compared as one number."""


__all__ = ["PLAIN", "ChangedMeanwhile", "Encoder", "Tagged", "decode", "decode_all", "encode_json", "is_race"]
