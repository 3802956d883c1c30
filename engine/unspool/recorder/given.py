"""What an app says of a state besides: checked, and put as every store can keep it."""

from __future__ import annotations

from operator import index
from typing import Final

from unspool.errors import ConfigError


class RefusedEntry(ConfigError):
    """A fact about one entry that no file can keep; the entry is left out, and the recording goes on."""


_MAX_NS: Final = 2**63 - 1


def whole_ns(moment: int) -> int:
    """Return a time in nanoseconds since the epoch; a database takes fractions too, and gives other numbers back.

    Raises:
        RefusedEntry: it is no whole number, or does not fit 64 bits.
    """
    try:
        whole = index(moment)
    except TypeError:
        raise RefusedEntry(
            f"timestamp_ns is {shown(moment)}; give whole nanoseconds, as time.time_ns() does"
        ) from None
    if not -_MAX_NS <= whole <= _MAX_NS:
        raise RefusedEntry(f"timestamp_ns is {whole}; give nanoseconds since 1970 that fit 64 bits")
    return whole


def whole_seq(seq: int | None) -> int | None:
    """Return an entry's number as a plain integer, whatever type of integer it comes as.

    Raises:
        RefusedEntry: it is none.
    """
    if seq is None:
        return None
    try:
        whole = index(seq)
    except TypeError:
        raise RefusedEntry(f"parent_seq is {shown(seq)}; give the number of an entry") from None
    if whole < 0:
        raise RefusedEntry(f"parent_seq is {whole}; entries count from 0")
    return whole


def plain_text(text: str, what: str) -> str:
    """Return a text as what it holds: no member of an enumeration, and no lone surrogates, which SQLite does not store.

    Raises:
        RefusedEntry: it is no text.
    """
    if not isinstance(text, str):
        raise RefusedEntry(f"{what} is {shown(text)}; give a text")
    # What a class makes of itself when it is shown is another text than the one that a database takes.
    held = str.__str__(text)
    return held if held.isascii() else held.encode("utf-8", "backslashreplace").decode()


def shown(value: object) -> str:
    """Return what a message says of something wrong: no code of the app is asked for a text, and no text is quoted."""
    return repr(value) if type(value) in _SHOWN else f"a {type(value).__name__}"


_SHOWN: Final = (bool, int, float, type(None))
