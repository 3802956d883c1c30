"""The canonical form of JSON that hashes are taken over, and how JavaScript spells numbers, quotes text and orders keys."""

from __future__ import annotations

import hashlib
import json.encoder
import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Final

import msgspec

from unspool.errors import UnsupportedValue
from unspool.model.values import Value

MAX_EXACT_INTEGER: Final = 2**53
"""Up to here every integer is a double of its own."""
MAX_ARRAY_INDEX: Final = 2**32 - 2
"""The largest key that JavaScript orders as a number."""

_PLAIN_LOW: Final = 1e-4
_PLAIN_HIGH: Final = 1e16
"""Between these two, Python and JavaScript spell a double alike but for a trailing `.0`."""
_MAX_POINT: Final = 21
_MIN_POINT: Final = -5
"""Where JavaScript changes to an exponent: 1e21 and above, below 1e-6."""

ARRAY_INDEX: Final = re.compile(r"(?:0|[1-9][0-9]{0,9})\Z")
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_FAST_QUOTED: Final = 200
"""From this length on msgspec's quoting, which gives the same text, is worth its overhead."""
_QUOTER: Final = msgspec.json.Encoder()


def number_text(value: float) -> str:
    """Spell a number as `JSON.stringify` does: the shortest text that reads back as the same double.

    Returns:
        `null` for what no double can hold (NaN, infinities, integers beyond the range).
    """
    if isinstance(value, int):
        if -MAX_EXACT_INTEGER <= value <= MAX_EXACT_INTEGER:
            return str(value)
        try:
            value = float(value)
        except OverflowError:
            return "null"
    if not math.isfinite(value):
        return "null"
    if value == 0:
        return "0"
    if _PLAIN_LOW <= abs(value) < _PLAIN_HIGH:
        return repr(value).removesuffix(".0")
    return _exponent_text(value)


def _exponent_text(value: float) -> str:
    """Spell a double far from one, where Python's exponent rules and JavaScript's part ways."""
    mantissa, _, exponent = repr(abs(value)).partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    point = len(whole) + int(exponent or 0) - (len(whole + fraction) - len(digits))
    digits = digits.rstrip("0")
    sign = "-" if value < 0 else ""
    if len(digits) <= point <= _MAX_POINT:
        return f"{sign}{digits.ljust(point, '0')}"
    if 0 < point <= _MAX_POINT:
        return f"{sign}{digits[:point]}.{digits[point:]}"
    if _MIN_POINT <= point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    tail = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{sign}{digits[0]}{tail}e{point - 1:+d}"


def quoted(text: str) -> str:
    """Quote text as JSON: only the quote, the backslash and control characters are escaped."""
    if len(text) >= _FAST_QUOTED and not _has_surrogate(text):
        return _QUOTER.encode(text).decode()
    return json.encoder.encode_basestring(text)


def join_surrogates(text: str) -> str:
    """Make one character of two surrogates that stand side by side, as JavaScript sees them."""
    if not _has_surrogate(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")


def escape_lone_surrogates(json_text: str) -> str:
    """Spell lone surrogates as `\\udxxx`, for they have no UTF-8 form."""
    if not _has_surrogate(json_text):
        return json_text
    return _SURROGATE.sub(lambda match: f"\\u{ord(match[0]):04x}", join_surrogates(json_text))


def has_lone_surrogate(text: str) -> bool:
    """Whether text holds half a character, which UTF-8 cannot."""
    return _has_surrogate(join_surrogates(text))


def utf8(text: str) -> bytes:
    """Encode text as JavaScript's encoder does: lone surrogates become U+FFFD."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return _SURROGATE.sub("\ufffd", join_surrogates(text)).encode()


def own_key_order(keys: Iterable[str]) -> list[str]:
    """Order keys as an object lists them: array indices by number first, the others as they came."""
    listed = list(keys)
    indices = sorted((key for key in listed if is_array_index(key)), key=int)
    return listed if not indices else indices + [key for key in listed if not is_array_index(key)]


def sorted_key_order(keys: Iterable[str]) -> list[str]:
    """Order keys as an object lists them after a sort: array indices by number, the others by UTF-16 unit."""
    return own_key_order(sorted(keys, key=_utf16_units))


def is_array_index(key: str) -> bool:
    """Whether JavaScript takes a key for an array index (`"0"`, no leading zero, up to 4294967294)."""
    return ARRAY_INDEX.match(key) is not None and int(key) <= MAX_ARRAY_INDEX


def _has_surrogate(text: str) -> bool:
    """Whether text holds surrogates; trying the encoder is far faster than searching."""
    if text.isascii():
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def _utf16_units(key: str) -> bytes:
    return key.encode("utf-16-be", "surrogatepass")


PROTO_KEY: Final = "__proto__"
"""The key that an assignment in JavaScript loses, so canonical text never has it."""

_FAST: Final = msgspec.json.Encoder(order="sorted")
_INDEX_KEY: Final = re.compile(rb'"(?:0|[1-9][0-9]{0,9})":')
_BEYOND_BMP: Final = re.compile(rb"[\xf0-\xf4]")
_EXPONENT: Final = re.compile(rb"e-?[0-9]{1,3}[],}]")
_POINT_ZERO: Final = re.compile(rb"\.0[],}]")
_DIGITS: Final = re.compile(rb"[0-9]{16}")
_LONG_INTEGER: Final = re.compile(rb"[\[,:]-?[0-9]{16}")

_KeyOrder = Callable[[Iterable[str]], list[str]]


class _Written(str):
    """Text that is JSON already."""

    __slots__ = ()


class _Closing(str):
    """The bracket that ends a list or an object, and which one it ends."""

    __slots__ = ("container",)
    container: int


def canonical_json(value: Value) -> str:
    """Write a value in canonical form: keys sorted at all levels, no blanks, numbers as JavaScript spells them.

    The result has a UTF-8 form, whatever the value holds. Any depth.

    Raises:
        UnsupportedValue: the value is no JSON (a type JSON lacks, a key that is no text, a cycle).
    """
    return _write(value, _canonical_order)


def canonical_parsed(value: Value) -> str:
    """Do what `canonical_json` does, many times faster, for a value that came from JSON text and from nothing else."""
    if not isinstance(value, dict | list):
        return canonical_json(value)
    try:
        text = _FAST.encode(value)
    except (UnicodeEncodeError, RecursionError, OverflowError):
        return canonical_json(value)
    return canonical_json(value) if _may_differ(text) else text.decode()


def _may_differ(text: bytes) -> bool:
    """Whether msgspec's text holds what JavaScript treats in its own way; that it is only in text does no harm.

    Lost and index-like keys, characters that sort otherwise by UTF-16 unit, numbers with an exponent, whole numbers
    with a point, whole numbers that may be beyond 2^53. One search each: a single one for all is ten times slower.
    """
    return (
        PROTO_KEY.encode() in text
        or _INDEX_KEY.search(text) is not None
        or (not text.isascii() and _BEYOND_BMP.search(text) is not None)
        or _EXPONENT.search(text) is not None
        or _POINT_ZERO.search(text) is not None
        or (_DIGITS.search(text) is not None and _LONG_INTEGER.search(text) is not None)
    )


def plain_json(value: Value) -> str:
    """Write a value as `JSON.stringify` does: no blanks, keys as they came but array indices first.

    Raises:
        UnsupportedValue: as for `canonical_json`.
    """
    return _write(value, own_key_order)


def sha256_hex(text: str) -> str:
    """Hash the UTF-8 bytes of a text: 64 lower-case hex digits."""
    return hashlib.sha256(utf8(text)).hexdigest()


def _canonical_order(keys: Iterable[str]) -> list[str]:
    return [key for key in sorted_key_order(keys) if key != PROTO_KEY]


def _write(value: Value, key_order: _KeyOrder) -> str:
    parts: list[str] = []
    pending: list[Value] = [value]
    open_containers: set[int] = set()
    while pending:
        item = pending.pop()
        if type(item) is _Written:
            parts.append(item)
        elif type(item) is _Closing:
            open_containers.discard(item.container)
            parts.append(item)
        elif isinstance(item, str):
            parts.append(quoted(item))
        elif isinstance(item, bool | int | float) or item is None:
            parts.append(_scalar(item))
        else:
            if id(item) in open_containers:
                raise UnsupportedValue("a value that holds itself has no JSON form; break the cycle first")
            open_containers.add(id(item))
            parts.append(_open(item, pending, key_order))
    return escape_lone_surrogates("".join(parts))


def _scalar(item: float | None) -> str:
    if item is None:
        return "null"
    if isinstance(item, bool):
        return "true" if item else "false"
    return number_text(item)


def _open(item: Value, pending: list[Value], key_order: _KeyOrder) -> str:
    """Put a container's content on the stack, last things first, and return its opening bracket."""
    is_object = isinstance(item, Mapping)
    if not is_object and not isinstance(item, list | tuple):
        raise UnsupportedValue(
            f"{type(item).__name__} has no JSON form; convert it to text, numbers, lists or objects"
        )
    closing = _Closing("}" if is_object else "]")
    closing.container = id(item)
    pending.append(closing)
    if is_object:
        for key in item:
            if not isinstance(key, str):
                raise UnsupportedValue(f"the key {key!r} is no text; JSON objects have text keys only")
        keys = key_order(item)
        for position in range(len(keys) - 1, -1, -1):
            pending.append(item[keys[position]])
            pending.append(_Written(f"{',' if position else ''}{quoted(keys[position])}:"))
    else:
        for position in range(len(item) - 1, -1, -1):
            pending.append(item[position])
            if position:
                pending.append(_Written(","))
    return "{" if is_object else "["
