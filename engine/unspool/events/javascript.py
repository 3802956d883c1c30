"""How JavaScript spells numbers, quotes text and orders keys: the hashes depend on it (E-31..E-33)."""

from __future__ import annotations

import json.encoder
import math
import re
from collections.abc import Iterable
from typing import Final

import msgspec

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

_INDEX: Final = re.compile(r"(?:0|[1-9][0-9]{0,9})\Z")
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
    """Say whether text holds half a character, which UTF-8 cannot."""
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
    """Say whether JavaScript takes a key for an array index (`"0"`, no leading zero, up to 4294967294)."""
    return _INDEX.match(key) is not None and int(key) <= MAX_ARRAY_INDEX


def _has_surrogate(text: str) -> bool:
    """Say whether text holds surrogates; trying the encoder is far faster than searching."""
    if text.isascii():
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def _utf16_units(key: str) -> bytes:
    return key.encode("utf-16-be", "surrogatepass")
