"""How much of a recording is kept: a ring by entries, bytes or age, from whose beginning whole blocks are dropped.

Numbers of entries stay as they are; the first one that is kept moves. Which one that is stands in the mark of the
file's end, so it changes in the very transaction in which blocks go.
"""

from __future__ import annotations

import re
import sqlite3
from datetime import timedelta
from itertools import pairwise
from typing import Any, Final, Protocol, runtime_checkable

from msgspec import Struct

from unspool.errors import ConfigError, EntryNotKept
from unspool.store.layout import FactValue, FileConnection
from unspool.store.recordings import TALLY_KEY

KEEP: Final = "keep"
"""Key of the fact that says by which bound entries were dropped, as it was asked for."""
_FORMS: Final = 'write "last 10_000" (entries), "100MB" or "7d", several with a comma between them'
_SIZES: Final = {
    "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12, "kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40,
}  # fmt: skip
_AGES: Final = {"s": 1, "min": 60, "h": 3600, "d": 86_400, "w": 604_800}
_ENTRIES: Final = re.compile(r"last (\d[\d_,]*)(?: entries)?\Z")
_AMOUNT: Final = re.compile(r"(\d[\d_]*(?:\.\d+)?) ?([a-z]+)\Z")
_LEAST_BYTES: Final = 1_000_000
"""The smallest bound by bytes: below it the names, a keyframe and a block or two would be all there is room for."""
_NS: Final = 1_000_000_000
_MOST: Final = 1 << 62
_AT_ONCE: Final = 16
"""Blocks dropped in one transaction at most, so that the recording app never waits long for the file."""
_LEAST_BLOCKS: Final = 2
"""Blocks without which nothing is dropped: the newest one always stays."""
_SPARE_PAGES: Final = 4096
"""Free pages that a file may have for blocks to come; more are given back to the disk, so many at a time."""
_SPARE_SHARE: Final = 16
"""They are no larger a share of a bound by bytes either."""


class Keep(Struct, frozen=True):
    """What is kept of a recording; where several bounds are given, all of them hold.

    Attributes:
        text: the bounds as they were asked for.
        entries: how many of the newest entries stay at least; None for no such bound.
        size: bytes that the file may take; None for no such bound.
        age_ns: nanoseconds after which an entry may go; None for no such bound.
    """

    text: str
    entries: int | None = None
    size: int | None = None
    age_ns: int | None = None


def keep_of(given: object) -> Keep:
    """Return what an option says: `"last 10_000"` or `10_000`, `"100MB"`, `"7d"` or a `timedelta`, or several of the texts.

    Raises:
        ConfigError: it means nothing, or a bound is too small.
    """
    if isinstance(given, timedelta):
        return _checked(Keep(f"{given.total_seconds():g}s", age_ns=given // timedelta(microseconds=1) * 1000))
    if isinstance(given, int) and not isinstance(given, bool):
        return _checked(Keep(f"last {given}", entries=given))
    if not isinstance(given, str):
        raise ConfigError(f"keep is of type {type(given).__name__}; {_FORMS}")
    bounds: dict[str, int] = {}
    for part in re.split(r",(?!\d{3}\b)", given):
        name, amount = _bound(part.strip().lower(), given)
        if name in bounds:
            raise ConfigError(f"keep is {given!r}, which bounds one thing twice; {_FORMS}")
        bounds[name] = amount
    return _checked(Keep(given.strip(), bounds.get("entries"), bounds.get("size"), bounds.get("age_ns")))


def _bound(text: str, given: str) -> tuple[str, int]:
    if match := _ENTRIES.match(text):
        return "entries", int(match[1].replace("_", "").replace(",", ""))
    if match := _AMOUNT.match(text):
        amount, unit = float(match[1].replace("_", "")), match[2]
        if unit in _SIZES and amount * _SIZES[unit] < _MOST:
            return "size", int(amount * _SIZES[unit])
        if unit in _AGES and amount * _AGES[unit] * _NS < _MOST:
            return "age_ns", int(amount * _AGES[unit] * _NS)
    raise ConfigError(f"keep is {given[:80]!r}; {_FORMS}")


def _checked(keep: Keep) -> Keep:
    if any(bound is not None and not 0 < bound < _MOST for bound in (keep.entries, keep.size, keep.age_ns)):
        raise ConfigError(f"keep is {keep.text[:80]!r}, which keeps nothing; {_FORMS}")
    if keep.size is not None and keep.size < _LEAST_BYTES:
        raise ConfigError(f"keep is {keep.text!r}; a bound by bytes is at least 1MB")
    return keep


@runtime_checkable
class MayBegin(Protocol):
    """A store whose first entries may have been dropped by a bound on the recording."""

    @property
    def first(self) -> int:
        """The first entry that is kept."""

    @property
    def bound(self) -> str:
        """The bound, as it was asked for; "" where the store does not say."""


SHARED: Final = "share"
"""The bound of a file that was made of a part of another history."""


def first_of(store: object) -> int:
    """Return the first entry that a store keeps."""
    # Asked with every entry; to ask whether the store is a `MayBegin` costs a tenth of recording one.
    first = getattr(store, "first", 0)
    return first if type(first) is int and hasattr(store, "bound") else 0


def bound_in(fact: FactValue) -> str:
    """Return the bound that the fact `KEEP` tells; "" for none."""
    return fact if isinstance(fact, str) else ""


def by_bound(bound: str) -> str:
    """Return by what entries were dropped, for people."""
    if bound == SHARED:
        return "`unspool share`"
    return f"keep={bound!r}" if bound else "keep"


def not_kept(name: str, seq: int, first: int, bound: str) -> EntryNotKept:
    """Return the error that names an entry which was dropped, and what else was.

    Args:
        name: what people call the history.
        seq: the entry.
        first: the first entry that is kept.
        bound: see `MayBegin.bound`.
    """
    return EntryNotKept(
        f"{name} has no entry {seq} any more: {by_bound(bound)} dropped the {first:,} entries before entry {first}, "
        "which is the first one kept",
        first=first,
    )


def told_dropped(store: object) -> str:
    """Say what was dropped by a bound on the recording, or return "" where nothing was."""
    if not isinstance(store, MayBegin) or not store.first:
        return ""
    gone = "entry 0 was" if store.first == 1 else f"entries 0 to {store.first - 1} were"
    return f"{gone} dropped by {by_bound(store.bound)}; the history begins with entry {store.first}"


def drop_old(connection: FileConnection, keep: Keep, count: int, now_ns: int) -> int | None:
    """Drop blocks from the beginning of a file, as far as a bound asks and one transaction goes.

    The newest block always stays. Readers see the file before or after that, and so does whoever opens it after a crash.

    Args:
        connection: the file, written to.
        keep: the bound.
        count: entries recorded so far.
        now_ns: what ages are measured from, in nanoseconds since the epoch.

    Returns:
        The first entry that is kept, or None where nothing was to be dropped.

    Raises:
        ConfigError: the file's format has no place for a first entry.
    """
    heads = connection.execute(
        "SELECT first, end_ns, segment FROM block ORDER BY first LIMIT ?", (_AT_ONCE + 1,)
    ).fetchall()
    if len(heads) < _LEAST_BLOCKS:
        return None
    if not _is_due(keep, heads[0], heads[1][0], count, now_ns) and not _is_too_large(connection, keep):
        return None
    connection.execute("BEGIN IMMEDIATE")
    try:
        first = None
        for head, after in pairwise(heads):
            if not _is_due(keep, head, after[0], count, now_ns) and not _is_too_large(connection, keep):
                break
            _drop_block(connection, head[0], after[0], after[2])
            first = after[0]
        if first is not None:
            connection.layout.begin_at(connection, first)
            connection.layout.keep_fact(connection, KEEP, keep.text)
            # It counts entries that are gone; whoever asks for statistics counts anew what is left.
            connection.layout.drop_fact(connection, TALLY_KEY)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return first


def give_back(connection: FileConnection, keep: Keep) -> None:
    """Give free pages back to the disk where there are more than blocks to come will soon fill."""
    spare = _SPARE_PAGES
    if keep.size is not None:
        spare = min(spare, keep.size // (_SPARE_SHARE * _asked(connection, "page_size")))
    over = _asked(connection, "freelist_count") - spare
    if over > spare:
        # One step frees one page; a script runs to the end.
        connection.executescript(f"PRAGMA incremental_vacuum({min(over, _SPARE_PAGES)})")


def _is_due(keep: Keep, head: tuple[Any, ...], stop: int, count: int, now_ns: int) -> bool:
    """Whether a block may go by its number or its age; `head` is its first entry, its newest time and its segment."""
    if keep.entries is not None and stop <= count - keep.entries:
        return True
    # A damaged block goes with what is older than the one behind it.
    return keep.age_ns is not None and isinstance(head[1], int) and head[1] < now_ns - keep.age_ns


def _is_too_large(connection: FileConnection, keep: Keep) -> bool:
    if keep.size is None:
        return False
    used = _asked(connection, "page_count") - _asked(connection, "freelist_count")
    return used * _asked(connection, "page_size") > keep.size


def _asked(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])


def _drop_block(connection: FileConnection, first: int, stop: int, segment: object) -> None:
    """Delete a block and what only it needed: its records, spans that end with it, keyframes older than those after it."""
    connection.execute("DELETE FROM block WHERE first = ?", (first,))
    connection.execute("DELETE FROM block_data WHERE first = ?", (first,))
    connection.execute("DELETE FROM tail WHERE seq < ?", (stop,))
    if isinstance(segment, int):
        connection.execute("DELETE FROM segment WHERE id < ?", (segment,))
    connection.layout.drop_spans(connection, stop)


__all__ = [
    "KEEP",
    "Keep",
    "MayBegin",
    "bound_in",
    "by_bound",
    "drop_old",
    "first_of",
    "give_back",
    "keep_of",
    "not_kept",
    "told_dropped",
]
