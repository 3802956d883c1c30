"""Which item of an old list became which item of a new one.

Items are compared as wire forms. Equal ones pair first; the rest pair by an identity key (a field that tells
records apart, such as `id` or `sku`), or, where there is none, by their place between paired neighbours. On real
histories of record lists this is the difference between deltas of 1.1x and 13x (docs/architecture.md).
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import msgspec

from unspool.model.encoded import NotSplittable, Shape, map_views, shape_of

GONE: Final = -1
"""The old index of an item that no old item became."""

_RECORDS_LIMIT: Final = 20_000
"""Unequal records beyond which no identity key is looked for: taking them apart would stall the recorder."""

_EXACT_NAMES: Final = ("id", "_id", "uuid", "guid", "uid", "uniqueid", "key", "pk", "sku", "slug")
_WEAK_NAMES: Final = ("name", "title", "code", "path", "email", "hash", "number")


@dataclass(frozen=True, slots=True)
class Alignment:
    """How two lists correspond.

    Attributes:
        sources: for each new item the old index it came from, or `GONE`.
        key: the identity key that paired records, or "".
    """

    sources: list[int]
    key: str = ""


def align(old: Sequence[bytes], new: Sequence[bytes], key: str | None = None) -> Alignment:
    """Pair the items of two lists.

    Args:
        old: wire forms of the old items.
        new: wire forms of the new items.
        key: the identity key where it is known; detected when None.
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
        found = _pair_by_identity(old, new, old_left, new_left, sources, key)
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


def _records(items: Sequence[bytes], indices: list[int]) -> list[dict[str, msgspec.Raw]] | None:
    records = []
    for index in indices:
        if shape_of(items[index]) is not Shape.MAP:
            return None
        try:
            records.append(map_views(items[index]))
        except NotSplittable:
            return None
    return records


def _pair_by_identity(
    old: Sequence[bytes],
    new: Sequence[bytes],
    old_left: list[int],
    new_left: list[int],
    sources: list[int],
    key: str | None,
) -> str:
    old_records, new_records = _records(old, old_left), _records(new, new_left)
    if old_records is None or new_records is None:
        return ""
    chosen = key if key is not None else _detect_key(old_records, new_records)
    if not chosen:
        return ""
    places = zip(old_records, old_left, strict=True)
    by_identity = {bytes(record[chosen]): index for record, index in places if chosen in record}
    for record, index in zip(new_records, new_left, strict=True):
        if chosen in record:
            sources[index] = by_identity.pop(bytes(record[chosen]), GONE)
    return chosen


def _detect_key(old_records: list[dict[str, msgspec.Raw]], new_records: list[dict[str, msgspec.Raw]]) -> str:
    by_rank: defaultdict[int, list[str]] = defaultdict(list)
    for name in old_records[0]:
        by_rank[_name_rank(name)].append(name)
    for rank in sorted(by_rank, reverse=True):
        best, most = "", -1
        for name in by_rank[rank]:
            old_values = _unique_scalars(old_records, name)
            new_values = _unique_scalars(new_records, name) if old_values else None
            if old_values and new_values and len(old_values & new_values) > most:
                best, most = name, len(old_values & new_values)
        # A field nobody would call an identity must at least have recognised something.
        if best and (rank >= _CLEAR_RANK or most > 0):
            return best
    return ""


def _unique_scalars(records: list[dict[str, msgspec.Raw]], name: str) -> set[bytes] | None:
    values: set[bytes] = set()
    for record in records:
        if name not in record:
            return None
        value = bytes(record[name])
        # nil, booleans and floats tell nothing apart; containers are no identity.
        if value[0] in _NO_IDENTITY or value in values or shape_of(value) in _CONTAINERS:
            return None
        values.add(value)
    return values


_NO_IDENTITY: Final = frozenset((0xC0, 0xC2, 0xC3, 0xCA, 0xCB, 0xA0))
_CONTAINERS: Final = frozenset((Shape.MAP, Shape.LIST))


_CLEAR_RANK: Final = 2
"""Rank from which a name alone makes a unique field the identity."""


def names_identity(field: str) -> bool:
    """Say whether a field is called what identities are called (`id`, `uuid`, `user_id`, `sku`, ...)."""
    return _name_rank(field) >= _CLEAR_RANK


@lru_cache(maxsize=4096)
def _name_rank(name: str) -> int:
    folded = name.lower()
    if folded in _EXACT_NAMES:
        return 3
    if folded.endswith(("_id", "uuid", "-id", "_key")) or name.endswith(("Id", "ID", "Key")):
        return 2
    return 1 if folded in _WEAK_NAMES else 0


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
