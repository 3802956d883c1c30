"""What an app says of a state besides: checked, and put as every store can keep it."""

from __future__ import annotations

from collections.abc import Mapping
from operator import index
from typing import Final

from unspool.errors import ConfigError, UnsupportedValue
from unspool.model.tags import Unrepresentable
from unspool.model.values import Value
from unspool.model.wire import decode, encode


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
        raise RefusedEntry(f"timestamp_ns is {moment!r}; give whole nanoseconds, as time.time_ns() does") from None
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
        raise RefusedEntry(f"parent_seq is {seq!r}; give the number of an entry") from None
    if whole < 0:
        raise RefusedEntry(f"parent_seq is {whole}; entries count from 0")
    return whole


def plain_text(text: str, what: str) -> str:
    """Return a text as what it holds: no member of an enumeration, and no lone surrogates, which SQLite does not store.

    Raises:
        RefusedEntry: it is no text.
    """
    if not isinstance(text, str):
        raise RefusedEntry(f"{what} is {text!r}; give a text")
    # What a class makes of itself when it is shown is another text than the one that a database takes.
    held = str.__str__(text)
    return held if held.isascii() else held.encode("utf-8", "backslashreplace").decode()


def plain_meta(meta: Mapping[str, Value] | None) -> dict[str, Value] | None:
    """Return facts as plain values of their own; one that cannot be kept is a marker.

    Raises:
        RefusedEntry: they are no mapping, or one's name is no text.
    """
    if meta is None:
        return None
    if not isinstance(meta, Mapping):
        raise RefusedEntry(f"meta is a {type(meta).__name__}; give a dict of facts")
    return {plain_text(name, "the name of a fact in meta"): _plain(fact) for name, fact in list(meta.items())} or None


def _plain(fact: Value) -> Value:
    if type(fact) in _PLAIN:
        return fact
    try:
        return decode(encode(fact))
    except UnsupportedValue as error:
        return Unrepresentable(type(fact).__name__, str(error))


_PLAIN: Final = frozenset((str, int, float, bool, type(None)))
