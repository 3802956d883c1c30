"""Which item of an old list became which item of a new one.

Items are compared as wire forms. Equal ones pair first; the rest pair by an identity key (a field that tells
records apart, such as `id` or `sku`), or, where there is none, by their place between paired neighbours. On real
histories of record lists this is the difference between deltas of 1.1x and 13x (docs/architecture.md).
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from unspool.delta.identity import Record, detect_key, identity_of, record_of
from unspool.model.encoded import FormShape, shape_of

GONE: Final = -1
"""The old index of an item that no old item became."""

_RECORDS_LIMIT: Final = 20_000
"""Unequal records beyond which no identity key is looked for: taking them apart would stall the recorder."""


@dataclass(frozen=True, slots=True)
class Alignment:
    """How two lists correspond.

    Attributes:
        sources: for each new item the old index it came from, or `GONE`.
        key: the identity key that paired records, or "".
    """

    sources: list[int]
    key: str = ""


def align(old: Sequence[bytes], new: Sequence[bytes], key: str | None = None, *, thorough: bool = True) -> Alignment:
    """Pair the items of two lists.

    Args:
        old: wire forms of the old items.
        new: wire forms of the new items.
        key: the identity key where it is known; detected when None.
        thorough: a field that is not called what identities are called must tell apart all records of both lists, not
            only those that differ, and records may be objects of a class. Looking at all of them takes time that a
            recorder does not have.
    """
    sources = [GONE] * len(new)
    start, end = _equal_ends(old, new)
    for index in range(start):
        sources[index] = index
    for index in range(1, end + 1):
        sources[len(new) - index] = len(old) - index
    old_left, new_left = _pair_equal(old, new, sources, start, end)
    if not old_left or not new_left:
        return Alignment(sources)
    if len(old_left) + len(new_left) <= _RECORDS_LIMIT:
        found = _pair_by_identity(old, new, old_left, new_left, sources, key, thorough)
        if found:
            return Alignment(sources, found)
    _pair_by_place(len(old), old_left, new_left, sources)
    return Alignment(sources)


def _equal_ends(old: Sequence[bytes], new: Sequence[bytes]) -> tuple[int, int]:
    limit = min(len(old), len(new))
    start = 0
    while start < limit and old[start] == new[start]:
        start += 1
    end = 0
    while end < limit - start and old[-1 - end] == new[-1 - end]:
        end += 1
    return start, end


def _pair_equal(
    old: Sequence[bytes], new: Sequence[bytes], sources: list[int], start: int, end: int
) -> tuple[list[int], list[int]]:
    places: defaultdict[bytes, deque[int]] = defaultdict(deque)
    for index in range(start, len(old) - end):
        places[old[index]].append(index)
    new_left = []
    for index in range(start, len(new) - end):
        queue = places.get(new[index])
        if queue:
            sources[index] = queue.popleft()
        else:
            new_left.append(index)
    return sorted(index for queue in places.values() for index in queue), new_left


def _records(items: Sequence[bytes], indices: Sequence[int], thorough: bool) -> list[Record] | None:
    records: list[Record] = []
    for index in indices:
        if not thorough and shape_of(items[index]) is not FormShape.MAP:
            return None
        record = record_of(items[index])
        if record is None:
            return None
        records.append(record)
    return records


def _pair_by_identity(
    old: Sequence[bytes],
    new: Sequence[bytes],
    old_left: list[int],
    new_left: list[int],
    sources: list[int],
    key: str | None,
    thorough: bool,
) -> str:
    old_records, new_records = _records(old, old_left, thorough), _records(new, new_left, thorough)
    if old_records is None or new_records is None:
        return ""

    def everything() -> list[list[Record]]:
        if not thorough or len(old) + len(new) > _RECORDS_LIMIT:
            return [old_records, new_records]
        found = (_records(old, range(len(old)), thorough), _records(new, range(len(new)), thorough))
        return [records for records in found if records is not None]

    chosen = key if key is not None else detect_key(old_records, new_records, everything)
    if not chosen:
        return ""
    by_identity: dict[bytes, int] = {}
    for record, index in zip(old_records, old_left, strict=True):
        told = identity_of(record, chosen)
        if told is not None:
            by_identity[told] = index
    for record, index in zip(new_records, new_left, strict=True):
        told = identity_of(record, chosen)
        if told is not None:
            sources[index] = by_identity.pop(told, GONE)
    return chosen


def _pair_by_place(old_size: int, old_left: list[int], new_left: list[int], sources: list[int]) -> None:
    """Pair leftovers that stand in the same gap between paired neighbours."""
    taken = set(sources)
    gap_of_old: defaultdict[int, deque[int]] = defaultdict(deque)
    left = set(old_left)
    anchor = GONE
    for index in range(old_size):
        if index in left:
            gap_of_old[anchor].append(index)
        elif index in taken:
            anchor = index
    pending = set(new_left)
    anchor = GONE
    for index, source in enumerate(sources):
        if index in pending:
            queue = gap_of_old.get(anchor)
            if queue:
                sources[index] = queue.popleft()
        elif source != GONE:
            anchor = source
