"""The wire form of values: msgpack with strict types, tagged where msgpack alone would forget the type.

ormsgpack encodes plain JSON-like values and hands over whatever it would coerce; msgspec decodes the same bytes.
What ormsgpack refuses (lone surrogates, keys that are no text, nesting beyond its limits) takes the iterative path
in `unspool.model.wire_deep`. Nothing is ever pickled, imported or called when reading.

ormsgpack walks the memory of lists and dicts without holding on to them, so no Python code may run while it does:
another thread, a signal handler or a destructor could change them under it. What it hands over is therefore only
collected, by a function that is no Python code, and encoded afterwards.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from functools import partial
from itertools import repeat
from typing import Final

import msgspec
import ormsgpack

from unspool.errors import CorruptHistory
from unspool.model.counting import LARGE_BYTES, refuse_heavy
from unspool.model.tags import Tag, Tagged, extension, from_tag, leaf_form
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

_TUPLE: Final = int(Tag.TUPLE)
_TAGGED: Final = int(Tag.TAGGED)
_NIL: Final = b"\xc0"
_MARK: Final = os.urandom(16)
"""Stands for a value that was handed over; nothing that a program holds has these bytes."""
_MARK_FORM: Final = b"\xc4\x10" + _MARK
_mark: Final[Callable[[Value], bytes]] = partial(next, repeat(_MARK))
_ATTEMPTS: Final = 4
"""Times that a value is looked at which another thread changes meanwhile."""


class ChangedMeanwhile(RuntimeError):
    """A value that was changed while it was encoded, as Python raises for a dict that changes while it is walked."""


# Most histories never need the iterative path, and every start of the app would wait for its import.
def _encode_deep(value: Value) -> bytes:
    from unspool.model.wire_deep import encode_deep

    return encode_deep(value)


def _decode_deep(data: bytes) -> Value:
    from unspool.model.wire_deep import decode_deep

    return decode_deep(data)


def _pack(value: Value) -> bytes:
    """Return the wire form of a value that the fast path knows; TypeError or RecursionError where it does not."""
    odd: list[Value] = []
    blob = ormsgpack.packb(value, odd.append, _OPTIONS)
    return _filled(value, blob, odd) if odd else blob


def _filled(value: Value, blob: bytes, odd: list[Value]) -> bytes:
    """Put the wire forms of what was handed over in the places of the nils that stand for it.

    Args:
        value: the whole.
        blob: its wire form with those nils.
        odd: what was handed over, in order.
    """
    if value is odd[0]:
        return _odd_form(value)
    for _ in range(_ATTEMPTS):
        between = _between(value, blob, len(odd))
        if between is not None:
            forms = list(map(_odd_form, odd))
            forms.append(b"")
            return b"".join([part for pair in zip(between, forms, strict=True) for part in pair])
        odd.clear()
        blob = ormsgpack.packb(value, odd.append, _OPTIONS)
        if not odd:
            return blob
    raise ChangedMeanwhile("another thread changed it whenever it was looked at")


def _between(value: Value, blob: bytes, count: int) -> list[bytes] | None:
    """Return the bytes around what was handed over, or None where the value was changed meanwhile."""
    if blob.count(_NIL) == count:
        return blob.split(_NIL)
    # Other nils, or numbers that hold that byte: marks tell the places. The value may have been changed since.
    between = ormsgpack.packb(value, _mark, _OPTIONS).split(_MARK_FORM)
    return between if len(between) == count + 1 and _NIL.join(between) == blob else None


def _odd_form(value: Value) -> bytes:
    kind = type(value)
    if kind is tuple:
        return extension(_TUPLE, _pack(list(value)))
    if kind is Tagged:
        # Whole conversations are made of these.
        return extension(_TAGGED, _pack([value.type_name, value.value]))
    form = leaf_form(value)
    if form is None:
        # Sets, dataclasses and the rest are rare: the iterative path knows them and can name the place of a failure.
        raise TypeError
    return form


def encode(value: Value) -> bytes:
    """Return the canonical wire form of a value.

    Args:
        value: anything JSON-like, and also tuple, set, frozenset, bytes, datetime, date, time, timedelta, Decimal,
            UUID, complex, Enum, dataclass, subclasses of plain types, integers of any size, objects with keys of
            any of these types. Depth is unlimited.

    Returns:
        msgpack bytes; equal values of plain types with equal key order give equal bytes.

    Raises:
        UnsupportedValue: the value, or one inside it, cannot be kept; the message names the path.
        ChangedMeanwhile: another thread changed it whenever it was looked at.
    """
    try:
        return _pack(value)
    except (TypeError, RecursionError):
        return _encode_deep(value)


def encode_plain(value: Value) -> bytes | None:
    """Return the wire form where the fast path gives it, or None where `encode` has to."""
    try:
        return _pack(value)
    except (TypeError, RecursionError):
        return None


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
        return _decode_deep(data)
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError, TypeError) as error:
        if isinstance(error, msgspec.DecodeError) and "hashable" in str(error):
            return _decode_deep(data)
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
        # One by one, the slow path is taken for those that need it, and what is damaged is told.
        return [decode(form) for form in forms]


def wire_size(value: Value) -> int:
    """Return the number of bytes the value takes in wire form.

    Raises:
        UnsupportedValue: as `encode`.
    """
    return len(encode(value))


__all__ = ["ChangedMeanwhile", "Tagged", "decode", "decode_all", "encode", "encode_json", "encode_plain", "wire_size"]
