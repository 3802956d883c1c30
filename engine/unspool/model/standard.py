"""Value types of the standard library that come back as themselves: a name from one list, and plain content.

The list is closed: what a file names beside it is kept as `Tagged`, and nothing that a file says is imported or called.
"""

from __future__ import annotations

import array
import ipaddress
import os
import pathlib
import zoneinfo
from collections.abc import Callable
from fractions import Fraction
from typing import Final

from unspool.model.values import Tagged, Value

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

CONTENTS: Final[dict[type, tuple[str, Take]]] = {
    Fraction: ("fraction", lambda value: [value.numerator, value.denominator]),
    range: ("range", lambda value: [value.start, value.stop, value.step]),
    slice: ("slice", lambda value: [value.start, value.stop, value.step]),
    bytearray: ("bytearray", bytes),
    array.array: ("array", lambda value: [value.typecode, value.tobytes()]),
    zoneinfo.ZoneInfo: ("zone", lambda value: value.key),
    **{kind: (kind.__name__, str) for kind in _ADDRESSES},
    **{kind: (kind.__name__, str) for kind in _PATHS},
}
"""Name and content of each type, for writing."""


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
    return Fraction(numerator, denominator)


_MAKERS: Final[dict[str, Take]] = {
    "fraction": _fraction,
    "range": lambda content: range(*content),
    "slice": lambda content: slice(*content),
    "array": _array,
    "bytearray": _bytearray,
    "zone": zoneinfo.ZoneInfo,
    **{kind.__name__: kind for kind in _ADDRESSES},
    **{kind.__name__: made for kind, made in _PATHS.items()},
}


def standard_value(name: str, content: Value) -> Value:
    """Return a value of the standard library; `Tagged` where this Python has no such value.

    Args:
        name: as `CONTENTS` names it.
        content: what stands for it.
    """
    make = _MAKERS.get(name)
    try:
        return Tagged(name, content) if make is None else make(content)
    except (ValueError, TypeError, ArithmeticError, LookupError, OSError, ImportError):
        # A zone that is not installed here, or bytes that no recorder wrote.
        return Tagged(name, content)
