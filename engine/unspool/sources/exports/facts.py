"""What the exports say about an entry besides its state."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from unspool.history.history import History
from unspool.model.entries import Entry, EntryKind
from unspool.model.values import Value
from unspool.sources.tagged_values import TAGGED
from unspool.sources.timestamps import iso_time

NS_PER_MS: Final = 1_000_000
_NS_PER_US: Final = 1_000
_BATCH: Final = 256


def entries_of(history: History, total: int) -> Iterator[Entry]:
    """Yield the entries of a history before `total`, a batch at a time; those that arrive meanwhile are left alone."""
    for start in range(history.first, total, _BATCH):
        yield from history[start : min(start + _BATCH, total)]


def exact_time(timestamp_ns: int) -> str:
    """Spell a time as ISO 8601 in UTC: microseconds, or nanoseconds where there are any."""
    text = iso_time(timestamp_ns)
    rest = timestamp_ns % _NS_PER_US
    return f"{text[:-1]}{rest:03}Z" if rest else text


def milliseconds(timestamp_ns: int) -> int | float:
    """Return a time in milliseconds, whole where it is whole."""
    whole, rest = divmod(timestamp_ns, NS_PER_MS)
    return timestamp_ns / NS_PER_MS if rest else whole


def entry_facts(entry: Entry, *, is_tagged: bool = False) -> dict[str, Value]:
    """Return id, time, action and meta of an entry as JSON Lines have them, whether it is a note, and has tags in its values."""
    facts: dict[str, Value] = {"id": entry.id, "timestamp": exact_time(entry.timestamp_ns), "action": entry.action}
    if entry.meta:
        facts["meta"] = dict(entry.meta)
    if entry.kind is EntryKind.NOTE:
        facts["kind"] = entry.kind.value
    if is_tagged:
        facts[TAGGED] = True
    return facts
