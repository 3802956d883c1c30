"""Identity of list items: which item of an old list became which item of a new one, and the keys that distinguish records.

Items are compared as wire forms. Equal ones pair first; the rest pair by an identity key, or, where there is none, by
their place between paired neighbours. On real histories of record lists this is the difference between deltas of 1.1x
and 13x (docs/architecture.md).

A key names a field (`sku`), a field further inside (`metadata.uid`) or several that identify together
(`mode,type,name`). Keys are detected, or set by hand for the pattern of a list's path (`orders[*].lines`).
"""

from __future__ import annotations

import re
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Final

import msgspec
from msgspec import Struct

from unspool.errors import PathSyntaxError
from unspool.model.keys import Path, format_path
from unspool.model.paths import CONTAINERS, PathPattern, parse_path, parse_pattern, spell_pattern, unwrapped
from unspool.model.wire import FormShape, NotSplittable, map_views, shape_of

Record = Mapping[str, msgspec.Raw | bytes]
"""A record of a list: the wire forms of its fields."""


def identity_pattern(text: str) -> str:
    """Return the pattern of a list's path in the form in which it is looked up: `orders[*].lines`.

    Args:
        text: as people write it: `Incidents[*]`, `$.Incidents`, `orders[*].lines[*]` or `/orders/*/lines`.

    Raises:
        PathSyntaxError: it is no path, or names no list.
    """
    steps = pattern_steps(text)
    while steps and steps[-1] is None:
        steps = steps[:-1]
    if not steps:
        raise PathSyntaxError(f"{text!r} names no list; write Incidents[*] or orders[*].lines")
    return spell_pattern(steps)


def pattern_steps(text: str) -> PathPattern:
    """Return the steps of a pattern of lists.

    Raises:
        PathSyntaxError: it is no pattern.
    """
    try:
        return parse_pattern(text)
    except PathSyntaxError:
        raise PathSyntaxError(
            f'{text!r} is no path of a list; write Incidents[*], orders[*].lines or $["odd key"]'
        ) from None


def pattern_of(path: Path) -> str:
    """Return the pattern of the lists that stand where one does: `orders[*].lines` for `orders[3].lines`."""
    return spell_pattern(tuple(None if isinstance(step, int) else step for step in path))


def canonical_identity(given: Mapping[str, str] | None) -> dict[str, str]:
    """Return identity keys by pattern in the form in which they are looked up; an empty key leaves it to detection.

    Raises:
        PathSyntaxError: a pattern is no path, or names no list.
    """
    return {identity_pattern(pattern): key for pattern, key in (given or {}).items()}


_ANY_OF: Final = re.compile(r'((?:[^",]|"(?:[^"\\]|\\.)*")+)')
"""The members of a key that names several fields; a comma in quotes belongs to the name."""
_NIL: Final = b"\xc0"


@lru_cache(maxsize=1024)
def key_paths(key: str) -> tuple[tuple[str, ...], ...]:
    """Return the fields that a key names, each as the steps to it: `mode,type,name` names three.

    A text that is no path is the name of one field as it stands.
    """
    try:
        paths = [parse_path(member.strip()) for member in _ANY_OF.findall(key)]
    except PathSyntaxError:
        return ((key,),)
    steps = tuple(tuple(map(str, path)) for path in paths)
    return steps if steps and all(steps) else ((key,),)


def identity_of(record: Record, key: str) -> bytes | None:
    """Return the value that identifies a record, as wire forms in a row; None where the record has no such field.

    Args:
        record: the wire forms of its fields.
        key: a field's name, or what `key_paths` reads. Of several fields one may be missing, but not all.
    """
    plain = record.get(key)
    if plain is not None:
        return bytes(plain)
    values = [_field_at(record, path) for path in key_paths(key)]
    if all(value is None for value in values):
        return None
    return b"".join(_NIL if value is None else value for value in values)


def identity_values(record: Record, key: str) -> list[bytes]:
    """Return the wire forms of the fields that identify a record; those that are missing are left out."""
    plain = record.get(key)
    if plain is not None:
        return [bytes(plain)]
    return [value for path in key_paths(key) if (value := _field_at(record, path)) is not None]


def _field_at(record: Record, path: tuple[str, ...]) -> bytes | None:
    fields: Record = record
    for step in path[:-1]:
        inner = _inside(fields.get(step))
        if inner is None:
            return None
        fields = inner
    value = fields.get(path[-1])
    return None if value is None else bytes(value)


def _inside(value: msgspec.Raw | bytes | None) -> Record | None:
    return None if value is None else record_of(bytes(value))


def record_of(form: bytes) -> Record | None:
    """Return the fields of an object, or of a tagged value that has some; None for other values."""
    try:
        inner = form if shape_of(form) is FormShape.MAP else unwrapped(form)
        return map_views(inner) if inner is not None and shape_of(inner) is FormShape.MAP else None
    except NotSplittable:
        return None


_EXACT_NAMES: Final = frozenset(
    ("id", "_id", "uuid", "guid", "uid", "uniqueid", "objectid", "key", "pk", "sku", "slug")
)
_WEAK_NAMES: Final = frozenset(("name", "title", "code", "path", "email", "hash", "number"))
_CARRIERS: Final = frozenset(
    ("metadata", "meta", "properties", "props", "attributes", "attrs", "fields", "node", "header")
)
"""Objects inside a record that describe the record itself, so that an identity in them is its own."""
_OWN_CARRIERS: Final = frozenset(("metadata", "meta", "header", "node"))
_QUALIFIERS: Final = ("module", "mode", "namespace", "kind", "type", "group", "arch", "platform")
"""Fields that make a name one of its kind: `aws_instance` `web` is not `aws_eip` `web`."""
_TOGETHER: Final = (("mode", "type", "name"), ("kind", "namespace", "name"))
"""Fields that identify together wherever all of them stand, whatever one alone would tell."""
_EXACT, _INNER_EXACT, _CLEAR, _INNER_CLEAR, _COMPOSITE, _WEAK, _OTHER = range(7)
"""How clearly a key's name is that of an identity; the best first."""
_CERTAIN: Final = frozenset((_EXACT, _INNER_EXACT, _CLEAR, _COMPOSITE))


def names_identity(field: str) -> bool:
    """Whether a field is called what identities are called (`id`, `uuid`, `user_id`, `sku`, ...)."""
    return _rank_of(field) <= _CLEAR


@lru_cache(maxsize=4096)
def _rank_of(name: str) -> int:
    folded = name.lower()
    if folded in _EXACT_NAMES:
        return _EXACT
    if folded.endswith(("_id", "uuid", "-id", "_key")) or name.endswith(("Id", "ID", "Key")):
        return _CLEAR
    return _WEAK if folded in _WEAK_NAMES else _OTHER


def own_keys(record: Record) -> Iterator[str]:
    """Yield the keys by which a record may be known without others to compare it with, the clearest first."""
    ranked = sorted(_candidates(record), key=lambda found: found[0])
    yield from (key for rank, key in ranked if rank <= _COMPOSITE)


def _candidates(record: Record) -> Iterator[tuple[int, str]]:
    """Yield each key that might identify a record like this one, with how clear its name is."""
    for name, value in record.items():
        rank = _rank_of(name)
        yield rank, name
        inner = _inside(value) if name.lower() in _CARRIERS else None
        for field in inner or ():
            inner_rank = _rank_of(field)
            if inner_rank <= _CLEAR:
                is_own = inner_rank == _EXACT and name.lower() in _OWN_CARRIERS
                yield _INNER_EXACT if is_own else _INNER_CLEAR, _spelt((name, field))
        if inner is not None and "name" in inner:
            several = [(name, field) for field in ("namespace", "name") if field in inner]
            yield _COMPOSITE, ",".join(map(_spelt, several))
    for names in _TOGETHER:
        if all(name in record for name in names):
            yield _COMPOSITE, ",".join(names)
    yield from ((_WEAK, key) for key in _qualified(record))


def _qualified(record: Record) -> Iterator[str]:
    """Yield names together with what makes them one of their kind."""
    qualifiers = [name for name in _QUALIFIERS if name in record and shape_of(bytes(record[name])) is FormShape.TEXT]
    if qualifiers:
        for name in record:
            if _rank_of(name) == _WEAK:
                yield ",".join(_spelt((part,)) for part in (*qualifiers, name))


def _spelt(path: Path) -> str:
    return format_path(path, root="")


def own_key(records: Sequence[Record]) -> str:
    """Return the clearest key that identifies the records of one list by itself, or ""."""
    if len(records) < 2:
        return ""
    return next((key for key in own_keys(records[0]) if _unique_values(records, key)), "")


def twice(records: Sequence[Record], key: str) -> tuple[bytes, ...]:
    """Return what first identifies two records, as the wire forms of the fields of a key; empty where nothing does."""
    seen: set[bytes] = set()
    for record in records:
        value = identity_of(record, key)
        if value is not None and value in seen:
            return tuple(identity_values(record, key))
        if value is not None:
            seen.add(value)
    return ()


def detect_key(
    old: Sequence[Record], new: Sequence[Record], everything: Callable[[], Iterable[Sequence[Record]]]
) -> str:
    """Return the key that identifies records, or "".

    Args:
        old: the old records that differ from all new ones.
        new: the new records that differ from all old ones.
        everything: gives all records of each list. A field that is not called what identities are called must tell all
            of them apart: among the few that differ a kind or a colour may be unique by chance.
    """
    by_rank: defaultdict[int, list[str]] = defaultdict(list)
    for rank, key in _candidates(old[0]):
        by_rank[rank].append(key)
    lists: list[Sequence[Record]] | None = None
    for rank in sorted(by_rank):
        best, most = "", -1
        for key in by_rank[rank]:
            old_values = _unique_values(old, key)
            new_values = _unique_values(new, key) if old_values else None
            if old_values and new_values and len(old_values & new_values) > most:
                if rank >= _COMPOSITE:
                    lists = list(everything()) if lists is None else lists
                    if not all(_unique_values(records, key) for records in lists):
                        continue
                best, most = key, len(old_values & new_values)
        # A field whose name does not make it the record's own identity must at least have recognised something.
        if best and (most > 0 or rank in _CERTAIN) and not (rank == _OTHER and _is_chance(old, new, best)):
            return best
    return ""


def _is_chance(old: Sequence[Record], new: Sequence[Record], key: str) -> bool:
    """Whether a field pairs records by chance: a single pair, or most pairs would get another name."""
    if len(old) == len(new) == 1:
        return True
    named = [name for name in old[0] if _rank_of(name) == _WEAK]
    known = {identity_of(record, key): record for record in old}
    pairs = [(known[told], record) for record in new if (told := identity_of(record, key)) in known]
    renamed = sum(
        any(bytes(one.get(name, b"")) != bytes(other.get(name, b"")) for name in named) for one, other in pairs
    )
    return 2 * renamed > len(pairs)


def _unique_values(records: Sequence[Record], key: str) -> set[bytes] | None:
    """Return the values of a key if each record has one of its own that may be an identity, else None."""
    values: set[bytes] = set()
    for record in records:
        value = identity_of(record, key)
        # nil, booleans, floats and empty texts tell nothing apart; containers are no identity.
        if value is None or value in values or value[0] in _NO_IDENTITY:
            return None
        if value == _NIL or shape_of(value) in CONTAINERS:
            return None
        values.add(value)
    return values


_NO_IDENTITY: Final = frozenset((0xC2, 0xC3, 0xCA, 0xCB, 0xA0))


GONE: Final = -1
"""The old index of an item that no old item became."""

_RECORDS_LIMIT: Final = 20_000
"""Unequal records beyond which no identity key is looked for: taking them apart would stall the recorder."""


class Alignment(Struct, frozen=True):
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
