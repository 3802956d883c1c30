"""Value types of the standard library that come back as themselves: a name from one list, and plain content.

The list is closed: what a file names beside it is kept as `Tagged`, and nothing that a file says is imported or called.
"""

from __future__ import annotations

import array
import datetime as dt
import decimal
import ipaddress
import os
import pathlib
import struct
import uuid
from collections.abc import Callable, Mapping
from enum import IntEnum
from functools import cache
from typing import Final

from unspool.errors import CorruptHistory
from unspool.model.values import Tagged, Unrepresentable, Value

Take = Callable[[Value], Value]

_ADDRESSES: Final = (
    ipaddress.IPv4Address,
    ipaddress.IPv6Address,
    ipaddress.IPv4Network,
    ipaddress.IPv6Network,
    ipaddress.IPv4Interface,
    ipaddress.IPv6Interface,
)
# A path of another system can be looked at, but not used.
_PATHS: Final[dict[type, type]] = {
    pathlib.PosixPath: pathlib.PosixPath if os.name == "posix" else pathlib.PurePosixPath,
    pathlib.WindowsPath: pathlib.PureWindowsPath if os.name == "posix" else pathlib.WindowsPath,
    pathlib.PurePosixPath: pathlib.PurePosixPath,
    pathlib.PureWindowsPath: pathlib.PureWindowsPath,
}


@cache
def standard_contents() -> Mapping[type, tuple[str, Take]]:
    """Return name and content of each type, for writing."""
    # Few programs hold such values, and every start would wait some milliseconds for these modules.
    import zoneinfo
    from fractions import Fraction

    return {
        Fraction: ("fraction", lambda value: [value.numerator, value.denominator]),
        range: ("range", lambda value: [value.start, value.stop, value.step]),
        slice: ("slice", lambda value: [value.start, value.stop, value.step]),
        bytearray: ("bytearray", bytes),
        array.array: ("array", lambda value: [value.typecode, value.tobytes()]),
        zoneinfo.ZoneInfo: ("zone", lambda value: value.key),
        **{kind: (kind.__name__, str) for kind in _ADDRESSES},
        **{kind: (kind.__name__, str) for kind in _PATHS},
    }


def _array(content: Value) -> Value:
    typecode, data = content
    made = array.array(typecode)
    made.frombytes(data)
    return made


def _bytearray(content: Value) -> bytearray:
    if type(content) is not bytes:
        # A number would be a size.
        raise TypeError("a bytearray is bytes")
    return bytearray(content)


def _fraction(content: Value) -> Value:
    numerator, denominator = content
    if type(numerator) is not int or type(denominator) is not int:
        raise TypeError("a fraction is two integers")
    from fractions import Fraction  # see `standard_contents`

    return Fraction(numerator, denominator)


def _zone(content: Value) -> Value:
    from zoneinfo import ZoneInfo  # see `standard_contents`

    return ZoneInfo(content)


_MAKERS: Final[dict[str, Take]] = {
    "fraction": _fraction,
    "range": lambda content: range(*content),
    "slice": lambda content: slice(*content),
    "array": _array,
    "bytearray": _bytearray,
    "zone": _zone,
    **{kind.__name__: kind for kind in _ADDRESSES},
    **{kind.__name__: made for kind, made in _PATHS.items()},
}


def standard_value(name: str, content: Value) -> Value:
    """Return a value of the standard library; `Tagged` where this Python has no such value.

    Args:
        name: as `standard_contents` names it.
        content: what stands for it.
    """
    make = _MAKERS.get(name)
    try:
        return Tagged(name, content) if make is None else make(content)
    except (ValueError, TypeError, ArithmeticError, LookupError, OSError, ImportError):
        # A zone that is not installed here, or bytes that no recorder wrote.
        return Tagged(name, content)


class Tag(IntEnum):
    """Extension codes of the wire form; a code never changes its meaning."""

    BIG_INT = 0
    TUPLE = 1
    SET = 2
    FROZENSET = 3
    DATETIME = 4
    DATE = 5
    TIME = 6
    TIMEDELTA = 7
    DECIMAL = 8
    UUID = 9
    PAIRS = 10
    SURROGATES = 11
    TAGGED = 12
    COMPLEX = 13
    UNREPRESENTABLE = 14
    STANDARD = 15
    ZONED = 16


_TIMEDELTA: Final = struct.Struct(">iiI")
_COMPLEX: Final = struct.Struct(">dd")


def _moment_text(value: dt.datetime | dt.time) -> bytes:
    # The fold bit is not part of the ISO text; a suffix keeps ambiguous wall times apart.
    return (value.isoformat() + ("~" if value.fold else "")).encode()


def _zone_of(value: dt.datetime) -> str:
    """Return the name of the zone that a time is in; "" for one that is given by its offset."""
    zone = value.tzinfo
    if zone is None or type(zone) is dt.timezone:
        return ""
    key = getattr(zone, "key", None) if type(zone).__module__ == "zoneinfo" else None
    return key if isinstance(key, str) else ""


def _zoned(text: str) -> dt.datetime:
    moment, _, key = text.partition("|")
    made = _datetime(moment)
    zone = standard_value("zone", key)
    # Where the zone is not installed, or says another offset today, the time itself is what counts.
    if not isinstance(zone, dt.tzinfo):
        return made
    there = made.replace(tzinfo=zone)
    return there if there.utcoffset() == made.utcoffset() else made


_LEAF_PAYLOADS: Final[dict[type, tuple[int, Callable[[Value], bytes]]]] = {
    int: (int(Tag.BIG_INT), lambda value: hex(value).encode()),
    dt.datetime: (int(Tag.DATETIME), _moment_text),
    dt.date: (int(Tag.DATE), lambda value: value.isoformat().encode()),
    dt.time: (int(Tag.TIME), _moment_text),
    dt.timedelta: (int(Tag.TIMEDELTA), lambda value: _TIMEDELTA.pack(value.days, value.seconds, value.microseconds)),
    decimal.Decimal: (int(Tag.DECIMAL), lambda value: str(value).encode()),
    uuid.UUID: (int(Tag.UUID), lambda value: value.bytes),
    complex: (int(Tag.COMPLEX), lambda value: _COMPLEX.pack(value.real, value.imag)),
    str: (int(Tag.SURROGATES), lambda value: value.encode("utf-8", "surrogatepass")),
}


def leaf_form(value: Value) -> bytes | None:
    """Return the wire form of a tagged value that has no parts, or None where its type is none of these."""
    known = _LEAF_PAYLOADS.get(type(value))
    if known is None:
        return None
    if known[0] == _DATETIME and value.tzinfo is not None:
        zone = _zone_of(value)
        if zone:
            return extension(Tag.ZONED, known[1](value) + b"|" + zone.encode())
    return extension(known[0], known[1](value))


_DATETIME: Final = int(Tag.DATETIME)


def _datetime(text: str) -> dt.datetime:
    moment = dt.datetime.fromisoformat(text.removesuffix("~"))
    return moment.replace(fold=1) if text.endswith("~") else moment


def _time(text: str) -> dt.time:
    moment = dt.time.fromisoformat(text.removesuffix("~"))
    return moment.replace(fold=1) if text.endswith("~") else moment


_LEAVES: Final[dict[int, Callable[[bytes], Value]]] = {
    Tag.BIG_INT: lambda data: int(data, 16),
    Tag.DATETIME: lambda data: _datetime(data.decode()),
    Tag.ZONED: lambda data: _zoned(data.decode()),
    Tag.DATE: lambda data: dt.date.fromisoformat(data.decode()),
    Tag.TIME: lambda data: _time(data.decode()),
    Tag.TIMEDELTA: lambda data: dt.timedelta(*_TIMEDELTA.unpack(data)),
    Tag.DECIMAL: lambda data: decimal.Decimal(data.decode()),
    Tag.UUID: lambda data: uuid.UUID(bytes=data),
    Tag.SURROGATES: lambda data: data.decode("utf-8", "surrogatepass"),
    Tag.COMPLEX: lambda data: complex(*_COMPLEX.unpack(data)),
}


def from_tag(code: int, payload: bytes, decode: Callable[[bytes], Value]) -> Value:
    """Rebuild a tagged value.

    Args:
        code: the extension code.
        payload: its bytes.
        decode: how nested wire forms are decoded.

    Raises:
        CorruptHistory: unknown code or a payload that does not fit it.
    """
    try:
        leaf = _LEAVES.get(code)
        return leaf(payload) if leaf is not None else compose(code, decode(payload))
    except (ValueError, TypeError, ArithmeticError, struct.error) as error:
        raise CorruptHistory(f"a stored value of tag {code} does not decode ({error})") from None


_FIXED_SIZES: Final = {1: b"\xd4", 2: b"\xd5", 4: b"\xd6", 8: b"\xd7", 16: b"\xd8"}
_HEADERS: Final = tuple(_FIXED_SIZES.get(size, bytes((0xC7, size))) for size in range(256))
_CODES: Final = tuple(bytes((code,)) for code in range(128))


def extension(code: int, payload: bytes) -> bytes:
    """Return a tagged value's wire form."""
    return extension_header(code, len(payload)) + payload


def extension_header(code: int, size: int) -> bytes:
    """Return what stands before the payload of a tagged value in wire form."""
    if size < 256:
        return _HEADERS[size] + _CODES[code]
    return (b"\xc8" + size.to_bytes(2) if size < 65536 else b"\xc9" + size.to_bytes(4)) + _CODES[code]


def array_header(count: int) -> bytes:
    """Return what stands before the items of a list in wire form."""
    if count < 16:
        return bytes((0x90 | count,))
    return b"\xdc" + count.to_bytes(2) if count < 65536 else b"\xdd" + count.to_bytes(4)


def map_header(count: int) -> bytes:
    """Return what stands before the keys and values of a map in wire form."""
    if count < 16:
        return bytes((0x80 | count,))
    return b"\xde" + count.to_bytes(2) if count < 65536 else b"\xdf" + count.to_bytes(4)


def is_leaf_tag(code: int) -> bool:
    """Whether a tag's payload is no nested wire form."""
    return code in _LEAVES


_TAGGED_PARTS: Final = 2
"""Parts of a tagged value; a third one says that it is a member of an enumeration."""
_MEMBER_PARTS: Final = 2
"""Name and value of a member."""


def compose(code: int, inner: Value) -> Value:
    """Build a tagged container from its decoded content.

    Objects that were keys or members by being themselves may have equal content: then a list of what was there stands
    in a `Tagged`.

    Raises:
        CorruptHistory: unknown code or content that does not fit it.
    """
    try:
        match code:
            case Tag.TUPLE:
                return tuple(inner)
            case Tag.SET | Tag.FROZENSET:
                members = set(inner) if code == Tag.SET else frozenset(inner)
                return members if len(members) == len(inner) else Tagged(type(members).__name__, inner)
            case Tag.PAIRS:
                content = dict(zip(inner[::2], inner[1::2], strict=True))
                if 2 * len(content) == len(inner):
                    return content
                return Tagged("dict", [list(pair) for pair in zip(inner[::2], inner[1::2], strict=True)])
            case Tag.TAGGED:
                is_member = len(inner) > _TAGGED_PARTS and type(inner[1]) is list and len(inner[1]) == _MEMBER_PARTS
                return Tagged(str(inner[0]), inner[1], is_member)
            case Tag.STANDARD:
                return standard_value(str(inner[0]), inner[1])
            case Tag.UNREPRESENTABLE:
                return Unrepresentable(str(inner[0]), str(inner[1]))
    except (TypeError, ValueError, IndexError, KeyError) as error:
        raise CorruptHistory(f"a stored value of tag {code} does not decode ({error})") from None
    raise CorruptHistory(f"a stored value has the unknown tag {code}; a newer unspool may have written it")


__all__ = [
    "Tag",
    "Tagged",
    "Unrepresentable",
    "array_header",
    "compose",
    "extension",
    "from_tag",
    "is_leaf_tag",
    "leaf_form",
    "map_header",
]
