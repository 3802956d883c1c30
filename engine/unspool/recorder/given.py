"""What an app says of a state besides: checked, and put as every store can keep it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice
from operator import index
from typing import Final, TypeVar

from unspool.errors import ConfigError
from unspool.model.recipes import MOST_ITEMS
from unspool.model.values import Value

_Item = TypeVar("_Item")


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


def whole_level(stacklevel: int) -> int:
    """Return how many callers up a line is looked for, as a plain integer.

    Raises:
        RefusedEntry: it is none.
    """
    try:
        return index(stacklevel)
    except TypeError:
        raise RefusedEntry(f"stacklevel is {shown(stacklevel)}; give 1 for the caller, 2 for its caller") from None


def items_of(given: Mapping[str, Value], what: str) -> list[tuple[str, Value]]:
    """Return the items of a mapping that an app handed over.

    Args:
        given: the mapping.
        what: how a message calls one of its items, such as "atoms of a state".

    Raises:
        RefusedEntry: it is no mapping, or no dict and has very many.
    """
    if isinstance(given, dict):
        return list(dict.items(given))
    if not isinstance(given, Mapping):
        raise RefusedEntry(f"{what} are given by a {type(given).__name__}; give a dict")
    return bounded(given.items(), what)


def bounded(given: Iterable[_Item], what: str) -> list[_Item]:
    """Return what an iterable of the app's own gives: it may never end.

    Raises:
        RefusedEntry: that is very much.
    """
    items = list(islice(given, MOST_ITEMS + 1))
    if len(items) > MOST_ITEMS:
        raise RefusedEntry(f"more than {MOST_ITEMS:,} {what}, which may never end")
    return items


def shown(value: object) -> str:
    """Return what a message says of something wrong: no code of the app is asked for a text, and no text is quoted."""
    return repr(value) if type(value) in _SHOWN else f"a {type(value).__name__}"


_SHOWN: Final = (bool, int, float, type(None))
